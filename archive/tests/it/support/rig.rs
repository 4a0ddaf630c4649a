use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::Int64Type;
use floodgate_archive::cold::{self, State, Store};
use floodgate_archive::columns;
use floodgate_archive::flows::{Column, Flow, Kind as Type};
use floodgate_archive::ledger::{During, Embedded, Ledger, Postgres, Scan};
use floodgate_archive::moving::Mover;
use futures_util::{StreamExt, TryStreamExt, pin_mut};
use jiff::Timestamp;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio_postgres::Client;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    Embedded,
}

/// What a test puts into the ledger.
#[derive(Clone, Debug)]
pub struct Entry {
    pub flow: &'static str,
    pub id: String,
    pub at: Timestamp,
    pub body: String,
}

impl Entry {
    pub fn new(id: &str, at: &str) -> Self {
        Self {
            flow: "events",
            id: id.to_owned(),
            at: at.parse().unwrap(),
            body: format!(r#"{{"id":"{id}","user":"u-{id}","n":{}}}"#, id.len()),
        }
    }

    /// So many of a day, a second after another.
    pub fn of_day(day: &str, count: usize) -> Vec<Self> {
        let at = |n| {
            format!(
                "{day}T{:02}:{:02}:{:02}.125Z",
                n / 3600,
                n / 60 % 60,
                n % 60
            )
        };
        (0..count)
            .map(|n| Self::new(&format!("{day}-{n}"), &at(n)))
            .collect()
    }

    pub fn kept(&self) -> Kept {
        (self.id.clone(), self.body_hash(), Some(self.body.clone()))
    }

    fn body_hash(&self) -> Vec<u8> {
        Sha256::digest(&self.body)[..16].to_vec()
    }
}

/// Id, body hash and body.
pub type Kept = (String, Vec<u8>, Option<String>);

/// A ledger, a directory for cold files and one for flow files.
pub struct Rig {
    pub kind: Kind,
    /// Of Postgres.
    url: String,
    directory: TempDir,
}

impl Rig {
    pub async fn new(kind: Kind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["data", "cold", "flows"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        let url = match kind {
            Kind::Postgres => super::database().await,
            Kind::Embedded => String::new(),
        };
        let rig = Self {
            kind,
            url,
            directory,
        };
        if kind == Kind::Embedded {
            let db = rig.sqlite();
            db.pragma_update(None, "journal_mode", "wal").unwrap();
            for migration in super::migrations("embedded") {
                db.execute_batch(&migration).unwrap();
            }
        }
        let flow = "[keep]\nwhen = \"always\"\nhot = \"1d\"\n[keep.columns]\n\
             user = { field = \"/user\" }\nn = { field = \"/n\", type = \"integer\" }\n";
        fs::write(rig.path("flows").join("events.toml"), flow).unwrap();
        rig
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn ledger(&self) -> Arc<dyn Ledger> {
        match self.kind {
            Kind::Postgres => Arc::new(Postgres::connect(self.url.parse().unwrap()).unwrap()),
            Kind::Embedded => Arc::new(Embedded::new(&self.path("data"))),
        }
    }

    pub fn store(&self) -> Store {
        Store::open(self.path("cold").to_str().unwrap(), []).unwrap()
    }

    pub fn mover(&self) -> Mover {
        Mover::new(self.ledger(), self.store())
    }

    /// Of which everything that is older than a day is moved.
    pub fn flow() -> Flow {
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            field: format!("/{name}"),
            kind,
        };
        Flow {
            name: "events".to_owned(),
            hot: Some(Duration::from_secs(86_400)),
            columns: vec![column("n", Type::Integer), column("user", Type::Text)],
        }
    }

    /// The real program, which moves this rig's rows.
    pub fn archiver(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_floodgate-archive"));
        command.args(["run", "--once", "--json"]).args(arguments);
        command.arg("--flows").arg(self.path("flows"));
        command.arg("--cold").arg(self.path("cold"));
        command.env_clear().env("RUST_LOG", "off");
        match self.kind {
            Kind::Postgres => command.args(["--database-url", &self.url]),
            Kind::Embedded => command.arg("--data-dir").arg(self.path("data")),
        };
        command.output().unwrap()
    }

    pub async fn postgres(&self) -> Client {
        super::connect(&self.url).await.unwrap()
    }

    pub fn sqlite(&self) -> Connection {
        let db = Connection::open(self.path("data").join("floodgate.db")).unwrap();
        db.busy_timeout(Duration::from_secs(10)).unwrap();
        db
    }

    /// In both dialects.
    pub async fn execute(&self, sql: &str) {
        match self.kind {
            Kind::Postgres => self.postgres().await.batch_execute(sql).await.unwrap(),
            Kind::Embedded => self.sqlite().execute_batch(sql).unwrap(),
        }
    }

    /// The one number that `sql` asks for.
    pub async fn number(&self, sql: &str) -> i64 {
        match self.kind {
            Kind::Postgres => self
                .postgres()
                .await
                .query_one(sql, &[])
                .await
                .unwrap()
                .get(0),
            Kind::Embedded => self.sqlite().query_one(sql, (), |row| row.get(0)).unwrap(),
        }
    }

    pub async fn insert(&self, entries: &[Entry]) {
        match self.kind {
            Kind::Postgres => self.insert_postgres(entries).await,
            Kind::Embedded => self.insert_sqlite(entries),
        }
    }

    async fn insert_postgres(&self, entries: &[Entry]) {
        let client = self.postgres().await;
        let insert = "INSERT INTO decisions (flow, id, body, body_hash, score, label, label_name,
                reasons, output, oracles, flow_digest, threshold, inference_us, stream_id,
                received_at, decided_at, attributes, at)
            VALUES ($1, $2, $3::text::json, $4, 0.25, 'low', 'LOW', ARRAY['new', 'a \"b\"'], NULL,
                '[{\"name\":\"x\"}]', 'abc', 0.8, 12.5, '1-0', '2026-01-05Z', '2026-01-05Z',
                '[[\"key\",\"k\"]]', $5)";
        for entry in entries {
            let hash = entry.body_hash();
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
                [&entry.flow, &entry.id, &entry.body, &hash, &entry.at];
            client.execute(insert, &values).await.unwrap();
        }
    }

    fn insert_sqlite(&self, entries: &[Entry]) {
        let mut db = self.sqlite();
        let transaction = db.transaction().unwrap();
        let insert = "INSERT INTO decisions (flow, id, body, body_hash, score, label, label_name,
                reasons, output, oracles, flow_digest, threshold, inference_us, stream_id,
                received_at, decided_at, attributes, at)
            VALUES (?1, ?2, ?3, ?4, 0.25, 'low', 'LOW', '[\"new\",\"a \\\"b\\\"\"]', NULL,
                '[{\"name\":\"x\"}]', 'abc', 0.8, 12.5, '1-0', 1767571200000, 1767571200000,
                '[[\"key\",\"k\"]]', ?5)";
        for entry in entries {
            let at = entry.at.as_millisecond();
            let values = (entry.flow, &entry.id, &entry.body, entry.body_hash(), at);
            transaction.execute(insert, values).unwrap();
        }
        transaction.commit().unwrap();
    }

    pub async fn deliver(&self, id: &str, state: &str) {
        let sql = format!(
            "INSERT INTO deliveries (flow, id, downstream, state, attempts, due_at)
             VALUES ('events', '{id}', 'posting', '{state}', 1, {})",
            match self.kind {
                Kind::Postgres => "now()",
                Kind::Embedded => "0",
            }
        );
        self.execute(&sql).await;
    }

    /// Everything that was ever kept, as a query sees it: of the files that
    /// count and of the ledger, at one instant. Sorted; what is there twice is
    /// here twice.
    pub async fn books(&self) -> Vec<Kept> {
        let snapshot = self.ledger().snapshot().await.unwrap();
        let (mut kept, mut without) = (Vec::new(), Vec::new());
        for file in snapshot.files("events").await.unwrap() {
            let rows = cold::rows(&self.store(), &file).await.unwrap();
            for batch in rows.try_collect::<Vec<_>>().await.unwrap() {
                kept.extend(kept_of(&batch));
                if file.state == State::Moving {
                    without.extend(batch["seq"].as_primitive::<Int64Type>().values());
                }
            }
        }
        let scan = Scan {
            without,
            ..all_hot()
        };
        let hot = snapshot.hot(scan).await.unwrap();
        pin_mut!(hot);
        while let Some(batch) = hot.next().await {
            kept.extend(kept_of(&batch.unwrap()));
        }
        kept.sort();
        kept
    }

    /// What the ledger itself has.
    pub async fn hot(&self, scan: Scan) -> Vec<RecordBatch> {
        let snapshot = self.ledger().snapshot().await.unwrap();
        snapshot
            .hot(scan)
            .await
            .unwrap()
            .try_collect()
            .await
            .unwrap()
    }

    pub async fn hot_ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.hot(all_hot()).await.iter().flat_map(kept_of).collect();
        ids.sort();
        ids.into_iter().map(|(id, ..)| id).collect()
    }

    /// Of the files in the directory, by their paths in it.
    pub fn objects(&self) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        look(&self.path("cold"), "", &mut found);
        found
    }

    /// Nothing in the ledger, no file, and numbers that count on.
    pub async fn empty(&self) {
        let tables = ["decisions", "deliveries", "moved", "cold_files"];
        for table in tables {
            self.execute(&format!("DELETE FROM {table}")).await;
        }
        fs::remove_dir_all(self.path("cold")).unwrap();
        fs::create_dir(self.path("cold")).unwrap();
    }
}

pub fn all_hot() -> Scan {
    Scan {
        flow: "events".to_owned(),
        columns: columns::base(),
        during: During::default(),
        label: None,
        id: None,
        without: Vec::new(),
        limit: None,
    }
}

fn kept_of(batch: &RecordBatch) -> Vec<Kept> {
    let ids = batch["id"].as_string::<i32>().iter();
    let hashes = batch["body_hash"].as_binary::<i32>().iter();
    let bodies = batch["body"].as_string::<i32>().iter();
    let rows = ids.zip(hashes).zip(bodies).map(|((id, hash), body)| {
        (
            id.unwrap().to_owned(),
            hash.unwrap().to_vec(),
            body.map(str::to_owned),
        )
    });
    rows.collect()
}

fn look(directory: &Path, name: &str, found: &mut BTreeMap<String, u64>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let name = format!("{name}{}", entry.file_name().to_str().unwrap());
        match entry.file_type().unwrap().is_dir() {
            true => look(&entry.path(), &format!("{name}/"), found),
            false => drop(found.insert(name, entry.metadata().unwrap().len())),
        }
    }
}
