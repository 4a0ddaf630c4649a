//! Files that are replaced while they are asked for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use floodgate_archive::cold::{ColdFile, Draft, Sealed};
use floodgate_archive::flows::Column;
use floodgate_archive::ledger::{Error, Gone, Known, Ledger, Owned, Place, Snapshot};
use floodgate_archive::moving::Mover;
use floodgate_archive::query::Engine;
use jiff::civil::Date;

use super::rig::{Rig, cells, events, limits, question};

/// Erases an entry as soon as somebody has looked: what was seen is gone then.
struct Overtaken {
    ledger: Arc<dyn Ledger>,
    mover: Mover,
    columns: Vec<Column>,
    after_snapshots: Mutex<Vec<&'static str>>,
    after_files: Mutex<Vec<&'static str>>,
}

impl Overtaken {
    async fn erase(&self, ids: &Mutex<Vec<&'static str>>) {
        let id = ids.lock().unwrap().pop();
        if let Some(id) = id {
            let erased = self
                .mover
                .erase("events", &self.columns, id, Duration::ZERO);
            assert_eq!(erased.await.unwrap().len(), 1);
        }
    }
}

#[async_trait]
impl Ledger for Overtaken {
    fn kind(&self) -> &'static str {
        self.ledger.kind()
    }

    async fn ping(&self) -> Result<(), Error> {
        self.ledger.ping().await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        let snapshot = self.ledger.snapshot().await?;
        self.erase(&self.after_snapshots).await;
        Ok(snapshot)
    }

    async fn own(&self, patience: Duration) -> Result<Option<Box<dyn Owned>>, Error> {
        self.ledger.own(patience).await
    }

    async fn days(&self, flow: &str, before: Date, most: usize) -> Result<Vec<Date>, Error> {
        self.ledger.days(flow, before, most).await
    }

    async fn day(
        &self,
        flow: &str,
        day: Date,
        after: Option<Place>,
        most: usize,
    ) -> Result<SendableRecordBatchStream, Error> {
        self.ledger.day(flow, day, after, most).await
    }

    async fn files(&self, flow: Option<&str>) -> Result<Vec<ColdFile>, Error> {
        let files = self.ledger.files(flow).await?;
        self.erase(&self.after_files).await;
        Ok(files)
    }

    async fn number(&self) -> Result<i64, Error> {
        self.ledger.number().await
    }

    async fn begin(&self, draft: &Draft) -> Result<ColdFile, Error> {
        self.ledger.begin(draft).await
    }

    async fn seal(&self, file: &ColdFile, sealed: &Sealed, replaces: &[i64]) -> Result<(), Error> {
        self.ledger.seal(file, sealed, replaces).await
    }

    async fn remember(&self, file: &ColdFile, known: &[Known]) -> Result<(), Error> {
        self.ledger.remember(file, known).await
    }

    async fn remove(&self, file: &ColdFile, rows: &[Gone]) -> Result<u64, Error> {
        self.ledger.remove(file, rows).await
    }

    async fn settle(&self, file: &ColdFile) -> Result<(), Error> {
        self.ledger.settle(file).await
    }

    async fn discard(&self, file: &ColdFile) -> Result<(), Error> {
        self.ledger.discard(file).await
    }

    async fn forget(&self, file: &ColdFile) -> Result<(), Error> {
        self.ledger.forget(file).await
    }

    async fn analyze(&self) -> Result<(), Error> {
        self.ledger.analyze().await
    }

    async fn vacuum(&self) -> Result<(), Error> {
        self.ledger.vacuum().await
    }

    async fn moved(&self, flow: &str, id: &str) -> Result<Option<i64>, Error> {
        self.ledger.moved(flow, id).await
    }
}

/// With days 1 to 4 in a file each.
async fn overtaken(
    after_snapshots: Vec<&'static str>,
    after_files: Vec<&'static str>,
) -> (Rig, Engine) {
    let rig = Rig::embedded();
    rig.keep("events", &events()).await;
    rig.archive("2026-01-12T12:00:00Z").await;
    let flow = rig.load().into_iter().find(|flow| flow.name == "events");
    let ledger = Overtaken {
        ledger: rig.ledger.clone(),
        mover: rig.mover(),
        columns: flow.unwrap().columns,
        after_snapshots: Mutex::new(after_snapshots),
        after_files: Mutex::new(after_files),
    };
    let (store, flows) = (rig.store.clone(), rig.flows.clone());
    let engine = Engine::new(Arc::new(ledger), store, flows, &limits()).unwrap();
    (rig, engine)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_is_replaced_again_and_again_is_never_declared_lost() {
    let ids = vec!["e-2-1", "e-2-2", "e-2-3", "e-2-4", "e-2-6"];
    let (_rig, engine) = overtaken(ids, Vec::new()).await;
    let sql = "SELECT count(*), count(DISTINCT body) FROM events WHERE day = '2026-01-02'";
    let asked = question("events", sql, serde_json::json!({}));
    let (answer, _) = engine.answer(asked).await.unwrap();
    assert_eq!(answer.skipped, []);
    assert_eq!(cells(&answer), [["60", "55"]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_entry_is_found_while_another_one_of_its_file_is_erased() {
    let (rig, engine) = overtaken(Vec::new(), vec!["e-3-11"]).await;
    let file = rig.ledger.moved("events", "e-3-10").await.unwrap().unwrap();
    let entry = engine.entry("events", file, "e-3-10").await.unwrap();
    assert_eq!(entry.unwrap()["id"], "e-3-10");
    let now = rig.ledger.moved("events", "e-3-10").await.unwrap();
    assert_ne!(now.unwrap(), file);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_entry_is_found_before_it_is_noted_where_it_is_now() {
    let (rig, engine) = overtaken(Vec::new(), Vec::new()).await;
    let file = rig.ledger.moved("events", "e-3-10").await.unwrap().unwrap();
    rig.run(&format!(
        "UPDATE cold_files SET state = 'replaced' WHERE number = {file}"
    ))
    .await;
    let entry = engine.entry("events", file, "e-3-10").await.unwrap();
    assert_eq!(entry.unwrap()["id"], "e-3-10");
}
