use floodgate::embedded::Database;
use floodgate::ledger::{Embedded, Ledger, Postgres};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::support;

/// An empty ledger, and a way to look into it from outside.
pub struct Rig {
    pub ledger: Box<dyn Ledger>,
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
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        Self {
            ledger: Box::new(ledger),
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
            server: Server::File(dir),
        }
    }

    pub fn client(&self) -> &Client {
        match &self.server {
            Server::Postgres(client) => client,
            Server::File(_) => panic!("there is no Postgres"),
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
