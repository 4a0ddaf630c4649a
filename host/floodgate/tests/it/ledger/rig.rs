use std::time::Duration;

use floodgate_embedded::Database;
use floodgate_flow::sha256_16;
use floodgate_ledger::{Buried, DeadFilter, Embedded, Ledger, Postgres};
use floodgate_prove::servers::look_into;
use rusqlite::{Connection, TransactionBehavior, params};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::support;

/// An empty ledger, and a way to look into it from outside.
pub struct Rig {
    pub ledger: Box<dyn Ledger>,
    /// Of Postgres, past any pooler.
    url: String,
    server: Server,
}

enum Server {
    Postgres(Client),
    File(TempDir),
}

impl Rig {
    pub async fn postgres() -> Self {
        let url = support::postgres().await;
        let ledger = Postgres::connect(url.parse().unwrap(), 4).unwrap();
        ledger.migrate().await.unwrap();
        let client = look_into(&url).await.unwrap();
        Self {
            ledger: Box::new(ledger),
            url,
            server: Server::Postgres(client),
        }
    }

    /// Behind a PgBouncer in transaction mode, migrations too.
    pub async fn pgbouncer() -> Self {
        let url = support::postgres().await;
        let pooled = support::through_pgbouncer(&url).await;
        let ledger = Postgres::connect(pooled.parse().unwrap(), 4).unwrap();
        ledger.migrate().await.unwrap();
        let client = look_into(&url).await.unwrap();
        Self {
            ledger: Box::new(ledger),
            url,
            server: Server::Postgres(client),
        }
    }

    pub async fn embedded() -> Self {
        Self::in_dir(tempfile::tempdir().unwrap()).await
    }

    async fn in_dir(dir: TempDir) -> Self {
        let database = Database::open(dir.path()).unwrap();
        Self {
            ledger: Box::new(Embedded::new(database).await.unwrap()),
            url: String::new(),
            server: Server::File(dir),
        }
    }

    /// All dead letters with their bodies, newest first.
    pub async fn dead(&self) -> Vec<Buried> {
        let mut all = self.ledger.dead(&DeadFilter::default()).await.unwrap();
        for buried in &mut all {
            let body = self.ledger.dead_body(buried).await.unwrap();
            buried.letter.body = body.unwrap();
        }
        all
    }

    pub fn client(&self) -> &Client {
        match &self.server {
            Server::Postgres(client) => client,
            Server::File(_) => panic!("there is no Postgres"),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn is_postgres(&self) -> bool {
        matches!(self.server, Server::Postgres(_))
    }

    /// As the archiver does it: what is in a cold file leaves the ledger.
    pub async fn move_to_cold(&self, flow: &str, id: &str, file: i64) {
        let hash = sha256_16(id.as_bytes());
        match &self.server {
            Server::Postgres(client) => {
                client.batch_execute("BEGIN").await.unwrap();
                move_on_postgres(client, flow, id, file).await;
                client.batch_execute("COMMIT").await.unwrap();
            }
            Server::File(dir) => {
                let mut db = Connection::open(dir.path().join("floodgate.db")).unwrap();
                db.busy_timeout(Duration::from_secs(5)).unwrap();
                let moving = db
                    .transaction_with_behavior(TransactionBehavior::Immediate)
                    .unwrap();
                let gone = "DELETE FROM decisions WHERE flow = ?1 AND id = ?2 RETURNING body_hash";
                let body_hash: Vec<u8> = moving
                    .query_row(gone, [flow, id], |row| row.get(0))
                    .unwrap();
                let known = params![flow, hash, body_hash, file];
                moving
                    .execute("INSERT INTO moved VALUES (?1, ?2, ?3, ?4)", known)
                    .unwrap();
                moving.commit().unwrap();
            }
        }
    }

    /// Statements in the words of both databases.
    pub async fn run(&self, sql: &str) {
        match &self.server {
            Server::Postgres(client) => client.batch_execute(sql).await.unwrap(),
            Server::File(dir) => {
                let file = Connection::open(dir.path().join("floodgate.db")).unwrap();
                file.busy_timeout(Duration::from_secs(5)).unwrap();
                file.execute_batch(sql).unwrap();
            }
        }
    }

    /// Of a table, or of its rows that a WHERE behind it lets pass.
    pub async fn count(&self, rows: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {rows}");
        match &self.server {
            Server::Postgres(client) => client.query_one(&query, &[]).await.unwrap().get(0),
            Server::File(dir) => {
                let file = Connection::open(dir.path().join("floodgate.db")).unwrap();
                file.query_one(&query, (), |row| row.get(0)).unwrap()
            }
        }
    }
}

/// In a transaction: under the lock that decisions are kept under.
pub async fn move_on_postgres(client: &Client, flow: &str, id: &str, file: i64) {
    client
        .execute(
            "SELECT pg_advisory_xact_lock(1718382447, hashtext($1))",
            &[&flow],
        )
        .await
        .unwrap();
    let hash = sha256_16(id.as_bytes());
    let moved = "WITH gone AS (
            DELETE FROM decisions WHERE flow = $1 AND id = $2 RETURNING flow, body_hash
        ), undelivered AS (
            DELETE FROM deliveries WHERE flow = $1 AND id = $2
        )
        INSERT INTO moved SELECT flow, $3, body_hash, $4 FROM gone";
    let moved = client
        .execute(moved, &[&flow, &id, &&hash[..], &file])
        .await
        .unwrap();
    assert_eq!(moved, 1);
}
