//! What happens to the file of the embedded backbone: killed processes, torn
//! writes, damage, other programs.

use std::path::Path;

use floodgate_embedded::{Database, OpenError};
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

/// What a process leaves that is killed now: it gets to close nothing.
fn image(dir: &Path) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    for file in ["floodgate.db", "floodgate.db-wal"] {
        std::fs::copy(dir.join(file), image.path().join(file)).unwrap();
    }
    image
}

impl Rig {
    fn dir(&self) -> &Path {
        match &self.server {
            Server::File(dir) => dir.path(),
            Server::Redis(_) => panic!("there is no file"),
        }
    }

    /// The process is killed, and another one opens the file.
    pub async fn crash(&mut self) {
        *self = Self::in_dir(image(self.dir())).await;
    }
}

#[tokio::test]
async fn what_a_killed_process_held_comes_again_at_once() {
    let mut rig = Rig::embedded().await;
    rig.fill(3).await;
    rig.read("w", 2).await;
    rig.crash().await;
    let again = rig.claim("v").await;
    assert_eq!(ids(&again), ["1", "2"]);
    assert!(again.iter().all(|d| d.redelivered && d.deliveries == 2));
    assert_eq!(ids(&rig.read("v", 10).await), ["3"]);
    assert_eq!(rig.append(&[entry("1", "{}")]).await, [REPLAYED]);
}

/// A machine that loses power leaves a write-ahead log that ends anywhere.
#[tokio::test]
async fn wherever_the_log_of_the_file_is_torn_a_whole_state_is_found() {
    let rig = Rig::embedded().await;
    for round in 0..8 {
        let new: Vec<_> = (0..20)
            .map(|n| entry(&format!("{round}-{n}"), "{}"))
            .collect();
        rig.append(&new).await;
        let read = rig.read("w", 15).await;
        rig.settle(&read[..5], Duration::from_secs(60)).await;
        let faults: Vec<_> = read[5..10].iter().map(failed).collect();
        let recorded = rig
            .backbone
            .record_faults(&rig.partition, "w", &RETRY, &faults);
        recorded.await.unwrap();
    }
    let wal = std::fs::read(rig.dir().join("floodgate.db-wal")).unwrap();
    for cut in (0..=16).map(|part| wal.len() * part / 16) {
        let torn = image(rig.dir());
        std::fs::write(torn.path().join("floodgate.db-wal"), &wal[..cut]).unwrap();
        let torn = Rig::in_dir(torn).await;
        let depth = torn.backbone.depth(&torn.partition).await.unwrap();
        let mut delivered = torn.claim_all("v").await;
        delivered.extend(torn.read("v", 1000).await);
        assert_eq!(delivered.len() as u64, depth.open, "cut at {cut}");
        torn.settle(&delivered, Duration::ZERO).await;
        assert_eq!((torn.open().await, torn.pending().await), (0, 0));
    }
}

impl Rig {
    /// Claims until nothing waits any more.
    async fn claim_all(&self, worker: &str) -> Vec<Delivery> {
        let mut claimed = Vec::new();
        let retrying = async || {
            let depth = self.backbone.depth(&self.partition).await;
            depth.unwrap().retrying
        };
        while retrying().await > 0 {
            claimed.extend(self.claim_some(worker).await);
        }
        claimed
    }
}

#[tokio::test]
async fn one_process_at_a_time_uses_a_directory_and_a_second_one_is_told_which() {
    let dir = tempfile::tempdir().unwrap();
    let first = Database::open(dir.path()).unwrap();
    let error = Database::open(dir.path()).err().unwrap();
    let said = error.to_string();
    assert!(matches!(error, OpenError::InUse { .. }), "{said}");
    assert!(said.contains(&std::process::id().to_string()), "{said}");
    assert!(said.contains("--data-dir"), "{said}");
    drop(first);
    Database::open(dir.path()).unwrap();
}

/// Opens a directory with this file, and returns why it was not opened.
fn refused(bytes: &[u8]) -> OpenError {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("floodgate.db");
    std::fs::write(&file, bytes).unwrap();
    let error = Database::open(dir.path()).err().unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), bytes, "it was left alone");
    error
}

fn database(prepare: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("any.db");
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch(prepare).unwrap();
    drop(connection);
    std::fs::read(file).unwrap()
}

#[tokio::test]
async fn a_file_that_is_no_database_or_of_another_program_is_refused_and_left_alone() {
    let error = refused(&[b'x'; 5000]);
    assert!(matches!(error, OpenError::NotOurs { .. }), "{error}");
    let error = refused(&database("CREATE TABLE notes (text)"));
    assert!(matches!(error, OpenError::NotOurs { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_file_is_refused_and_left_alone() {
    let rig = Rig::embedded().await;
    rig.fill(500).await;
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    rig.file().query_one(checkpoint, (), |_| Ok(())).unwrap();
    let mut bytes = std::fs::read(rig.dir().join("floodgate.db")).unwrap();
    // Pages of tables and indices, behind the header and the schema.
    for byte in &mut bytes[40_000..80_000] {
        *byte = 0x5a;
    }
    let error = refused(&bytes);
    let said = error.to_string();
    assert!(matches!(error, OpenError::Damaged { .. }), "{said}");
    assert!(said.contains("put a copy"), "{said}");
}

#[tokio::test]
async fn a_file_of_a_newer_floodgate_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Database::open(dir.path()).unwrap());
    let connection = Connection::open(dir.path().join("floodgate.db")).unwrap();
    let newer = "INSERT INTO refinery_schema_history
        SELECT 99, 'from_the_future', applied_on, checksum FROM refinery_schema_history LIMIT 1";
    connection.execute(newer, ()).unwrap();
    let error = Database::open(dir.path()).err().unwrap();
    let said = error.to_string();
    assert!(matches!(error, OpenError::Newer { .. }), "{said}");
    assert!(said.contains("from_the_future"), "{said}");
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Database::open(&file.join("data")).err().unwrap();
    let said = error.to_string();
    assert!(matches!(error, OpenError::Unusable { .. }), "{said}");
    assert!(said.contains("--data-dir"), "{said}");
}

/// All files of a directory that Floodgate has something to do with.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let files = ["floodgate.db", "floodgate.db-wal"].map(str::to_owned);
    let read = |name: String| Some((name.clone(), std::fs::read(dir.join(name)).ok()?));
    files.into_iter().filter_map(read).collect()
}

#[tokio::test]
async fn what_a_killed_process_left_damaged_is_refused_with_its_log_and_left_alone() {
    let rig = Rig::embedded().await;
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    rig.fill(500).await;
    rig.file().query_one(checkpoint, (), |_| Ok(())).unwrap();
    rig.read("w", 100).await;
    let killed = image(rig.dir());
    let file = killed.path().join("floodgate.db");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[40_000..80_000].fill(0x5a);
    std::fs::write(&file, bytes).unwrap();
    let before = contents(killed.path());
    let error = Database::open(killed.path()).err().unwrap();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(contents(killed.path()) == before, "it was left alone");
}

#[tokio::test]
async fn a_log_whose_file_is_missing_or_empty_is_not_taken_for_a_new_directory() {
    let rig = Rig::embedded().await;
    rig.fill(3).await;
    let killed = image(rig.dir());
    let file = killed.path().join("floodgate.db");
    std::fs::remove_file(&file).unwrap();
    for _ in 0..2 {
        let before = contents(killed.path());
        let error = Database::open(killed.path()).err().unwrap();
        assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
        assert!(contents(killed.path()) == before, "it was left alone");
        std::fs::write(&file, "").unwrap();
    }
}

#[tokio::test]
async fn a_clean_stop_leaves_one_file_that_holds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let write = |db: &Connection| db.execute("INSERT INTO sequences VALUES ('f', 7)", ());
    database.write(write).await.unwrap();
    let read = |db: &Connection| db.query_one("SELECT next FROM sequences", (), |row| row.get(0));
    assert_eq!(database.read::<i64>(read).await.unwrap(), 7);
    drop(database);
    let names: Vec<String> = contents(dir.path())
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["floodgate.db"]);
    let file = Connection::open(dir.path().join("floodgate.db")).unwrap();
    assert_eq!(read(&file).unwrap(), 7);
}

#[tokio::test]
async fn once_its_file_is_removed_nothing_is_taken_any_more() {
    let rig = Rig::embedded().await;
    rig.fill(1).await;
    std::fs::remove_file(rig.dir().join("floodgate.db")).unwrap();
    let limits = AppendLimits::of_backlog(1000);
    let mut next = 1;
    let error = support::eventually_some(Duration::from_secs(10), "it is noticed", async || {
        next += 1;
        let group = [entry(&next.to_string(), "{}")];
        let appended = rig.backbone.append(&rig.partition, limits, &group);
        appended.await.err()
    })
    .await;
    assert!(error.to_string().contains("removed"), "{error}");
    assert!(rig.backbone.ping().await.is_err());
}

#[tokio::test]
async fn while_somebody_else_writes_the_ping_fails_and_later_it_does_not() {
    let rig = Rig::embedded().await;
    let tool = rig.file();
    tool.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(rig.backbone.ping().await.is_err());
    tool.execute_batch("ROLLBACK").unwrap();
    rig.backbone.ping().await.unwrap();
}

#[tokio::test]
async fn a_call_that_panics_or_fails_takes_no_other_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let insert = |flow: &'static str| {
        let database = database.clone();
        async move {
            let insert = move |db: &Connection| {
                db.execute("INSERT INTO sequences VALUES (?1, 1)", [flow])?;
                match flow {
                    "panics" => panic!("as a test wants it"),
                    "fails" => Err(rusqlite::Error::InvalidQuery),
                    _ => Ok(()),
                }
            };
            database.write(insert).await.is_ok()
        }
    };
    let done = tokio::join!(insert("a"), insert("fails"), insert("b"));
    assert_eq!(done, (true, false, true));
    assert!(!insert("panics").await);
    assert!(insert("c").await);
    let kept = "SELECT group_concat(flow, ' ') FROM (SELECT flow FROM sequences ORDER BY flow)";
    let kept = move |db: &Connection| db.query_one(kept, (), |row| row.get(0));
    assert_eq!(database.read::<String>(kept).await.unwrap(), "a b c");
}

/// As on a full disk: no call of that commit was done, and the next one that
/// fits is.
#[tokio::test]
async fn a_full_disk_refuses_whole_groups_and_is_written_again_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let limit = async |pages: u32| {
        let set = move |db: &Connection| db.pragma_update(None, "max_page_count", pages);
        database.write(set).await.unwrap();
    };
    let backbone = floodgate_backbone::Embedded::new(database.clone());
    let backbone = backbone.await.unwrap();
    let partition = floodgate_flow::Partition {
        flow: FlowName::new("orders"),
        index: 0,
    };
    limit(1).await;
    let big = "[1".repeat(100_000);
    let group = [entry("a", "{}"), entry("b", &big)];
    let limits = AppendLimits::of_backlog(10);
    let append = async || {
        use floodgate_backbone::Backbone;
        backbone.append(&partition, limits, &group).await
    };
    let error = append().await.unwrap_err();
    let away = matches!(error, floodgate_backbone::Error::Unreachable { .. });
    assert!(away && error.to_string().contains("full"), "{error}");
    limit(u32::MAX - 1).await;
    let appended: Vec<_> = append().await.unwrap().iter().map(outcome).collect();
    assert_eq!(appended, [NEW, NEW]);
}

#[tokio::test]
async fn a_clock_that_was_set_back_delays_no_attempt_by_as_much() {
    let rig = Rig::embedded().await;
    rig.fill(2).await;
    let read = rig.read("w", 2).await;
    let fault = [failed(&read[0])];
    let recorded = rig
        .backbone
        .record_faults(&rig.partition, "w", &RETRY, &fault);
    recorded.await.unwrap();
    // As if all of this had been recorded an hour from now.
    let ahead = "UPDATE pending SET since = since + 3600000, due = due + 3600000";
    rig.file().execute(ahead, ()).unwrap();
    rig.backbone.heartbeat(&rig.partition, "w").await.unwrap();
    assert_eq!(ids(&rig.claim_some("v").await), ["1"]);
    // And a worker that is gone is not waited for an hour.
    rig.forget(&read[1], "w").await;
    assert_eq!(ids(&rig.claim_some("v").await), ["2"]);
}
