//! A connection of the pool in a transaction that only reads. Whoever is done
//! with it early neither waits for the rest nor leaves it to the next.

use deadpool_postgres::Client;
use tokio::runtime::Handle;
use tokio_postgres::NoTls;

use crate::ledger::Error;

pub(super) struct Lent {
    /// `None` once it is given back.
    client: Option<Client>,
    /// Rows are on their way, or will be.
    pub reading: bool,
}

impl Lent {
    /// `as_of` is what another transaction exported that is still open.
    pub async fn at_one_instant(client: Client, as_of: Option<&str>) -> Result<Self, Error> {
        let mut begin = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY".to_owned();
        if let Some(name) = as_of {
            begin.push_str(&format!("; SET TRANSACTION SNAPSHOT '{name}'"));
        }
        // In it before it began: whatever happens, it is rolled back.
        let lent = Self {
            client: Some(client),
            reading: false,
        };
        lent.client()?.batch_execute(&begin).await?;
        Ok(lent)
    }

    pub fn client(&self) -> Result<&Client, Error> {
        let client = self.client.as_ref();
        client.ok_or_else(|| Error::Other("the connection was given back".to_owned()))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) if self.reading => drop(runtime.spawn(cancel(client))),
            Ok(runtime) => drop(runtime.spawn(give_back(client))),
            Err(_) => drop(Client::take(client)),
        }
    }
}

async fn cancel(client: Client) {
    // Where it cannot be cancelled, it ends when nobody takes what it sends.
    let _ = client.cancel_token().cancel_query(NoTls).await;
    drop(Client::take(client));
}

async fn give_back(client: Client) {
    if client.batch_execute("ROLLBACK").await.is_err() {
        drop(Client::take(client));
    }
}
