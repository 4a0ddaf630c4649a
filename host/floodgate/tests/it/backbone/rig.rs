//! A backbone with one partition, and a way to do to it what nobody can do
//! through the trait.

use floodgate_backbone::{Backbone, Embedded, Redis};
use floodgate_embedded::Database;
use floodgate_flow::Partition;
use redis::aio::MultiplexedConnection;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

pub struct Rig {
    pub backbone: Box<dyn Backbone>,
    pub partition: Partition,
    pub server: Server,
}

/// What the backbone stands on, as somebody else sees it.
pub enum Server {
    Redis(MultiplexedConnection),
    File(TempDir),
}

impl Rig {
    pub async fn redis() -> Self {
        Self::on(&support::redis().await).await
    }

    pub async fn on(url: &str) -> Self {
        let client = redis::Client::open(url).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        let backbone = Box::new(Redis::new(url).unwrap());
        Self::of(backbone, Server::Redis(connection)).await
    }

    pub async fn embedded() -> Self {
        Self::in_dir(tempfile::tempdir().unwrap()).await
    }

    pub async fn in_dir(dir: TempDir) -> Self {
        let database = Database::open(dir.path()).unwrap();
        let backbone = Box::new(Embedded::new(database).await.unwrap());
        Self::of(backbone, Server::File(dir)).await
    }

    async fn of(backbone: Box<dyn Backbone>, server: Server) -> Self {
        let partition = Partition {
            flow: FlowName::new("orders"),
            index: 0,
        };
        backbone.prepare(&partition).await.unwrap();
        Self {
            backbone,
            partition,
            server,
        }
    }

    /// A command of Redis.
    pub async fn raw<T: redis::FromRedisValue>(&self, command: &str) -> T {
        let mut words = command.split_whitespace();
        let mut call = redis::cmd(words.next().unwrap());
        words.for_each(|word| _ = call.arg(word));
        call.query_async(&mut self.connection()).await.unwrap()
    }

    pub fn connection(&self) -> MultiplexedConnection {
        match &self.server {
            Server::Redis(connection) => connection.clone(),
            Server::File(_) => panic!("there is no Redis"),
        }
    }

    /// The database file, as a tool would open it beside Floodgate.
    pub fn file(&self) -> Connection {
        match &self.server {
            Server::File(dir) => Connection::open(dir.path().join("floodgate.db")).unwrap(),
            Server::Redis(_) => panic!("there is no file"),
        }
    }

    pub async fn append(&self, group: &[NewEntry]) -> Vec<&'static str> {
        self.append_up_to(1000, group).await
    }

    pub async fn append_up_to(&self, max_backlog: u64, group: &[NewEntry]) -> Vec<&'static str> {
        let limits = AppendLimits::of_backlog(max_backlog);
        let appended = self.backbone.append(&self.partition, limits, group);
        let appended = appended.await.unwrap();
        assert_eq!(appended.len(), group.len());
        appended.iter().map(outcome).collect()
    }

    /// Appends `count` entries with the ids `1`, `2` and so on.
    pub async fn fill(&self, count: u64) {
        for group in (1..=count).collect::<Vec<_>>().chunks(100) {
            let group: Vec<_> = group.iter().map(|n| entry(&n.to_string(), "{}")).collect();
            assert!(self.append(&group).await.iter().all(|a| *a == NEW));
        }
    }

    pub async fn read(&self, worker: &str, max: usize) -> Vec<Delivery> {
        let reader = self.backbone.reader(&self.partition, worker).await;
        reader.unwrap().read(max).await.unwrap()
    }

    pub async fn claim(&self, worker: &str) -> Vec<Delivery> {
        let claimed = self.backbone.claim(&self.partition, worker, 100);
        claimed.await.unwrap()
    }

    /// Claims until something comes.
    pub async fn claim_some(&self, worker: &str) -> Vec<Delivery> {
        support::eventually_some(Duration::from_secs(10), "something is due", async || {
            let claimed = self.claim(worker).await;
            (!claimed.is_empty()).then_some(claimed)
        })
        .await
    }

    /// As if its holder had not been heard of for longer than the lease.
    pub async fn forget(&self, delivery: &Delivery, worker: &str) {
        let id = delivery.stream_id;
        match &self.server {
            Server::Redis(_) => {
                let aged = format!("XCLAIM {STREAM} workers {worker} 0 {id} IDLE 31000 JUSTID");
                let _claimed: redis::Value = self.raw(&aged).await;
            }
            Server::File(_) => {
                let aged = "UPDATE pending SET since = since - 31000 WHERE position = ?1";
                self.file().execute(aged, [id.seq]).unwrap();
            }
        }
    }

    /// Puts an entry that waits for its next attempt into a worker's hands.
    pub async fn put_back(&self, delivery: &Delivery, worker: &str) {
        let id = delivery.stream_id;
        match &self.server {
            Server::Redis(_) => {
                let back = format!("XCLAIM {STREAM} workers {worker} 0 {id} JUSTID");
                let _held: redis::Value = self.raw(&back).await;
            }
            Server::File(_) => {
                let back = "UPDATE pending SET owner = ?2, due = NULL WHERE position = ?1";
                self.file().execute(back, (id.seq, worker)).unwrap();
            }
        }
    }

    /// Entries that are not trimmed yet.
    pub async fn logged(&self) -> u64 {
        match &self.server {
            Server::Redis(_) => self.raw(&format!("XLEN {STREAM}")).await,
            Server::File(_) => {
                let count = "SELECT count(*) FROM log";
                self.file().query_one(count, (), |row| row.get(0)).unwrap()
            }
        }
    }

    /// By its stream id, as if it had been appended then.
    pub async fn append_an_hour_ago(&self, id: &str) {
        match &self.server {
            Server::Redis(_) => {
                let (seconds, _): (u64, u64) = self.raw("TIME").await;
                let old = (seconds - 3600) * 1000;
                let old = format!("XADD {STREAM} {old}-0 id {id} body {{}}");
                let _id: String = self.raw(&old).await;
            }
            Server::File(_) => {
                self.append(&[entry(id, "{}")]).await;
                let old = "UPDATE log SET ms = ms - 3600000 WHERE id = ?1";
                self.file().execute(old, [id]).unwrap();
            }
        }
    }

    pub async fn trim(&self, retain: Duration) {
        let trimmed = self.backbone.trim(&self.partition, retain);
        trimmed.await.unwrap();
    }

    pub async fn settle(&self, deliveries: &[Delivery], remember: Duration) {
        let stored = proof(deliveries).await;
        let none = Outcomes::new();
        let settled =
            self.backbone
                .settle(&self.partition, &stored, super::remember(remember), &none);
        settled.await.unwrap();
    }

    pub async fn open(&self) -> u64 {
        self.backbone.depth(&self.partition).await.unwrap().open
    }

    pub async fn pending(&self) -> u64 {
        self.backbone.depth(&self.partition).await.unwrap().pending
    }
}
