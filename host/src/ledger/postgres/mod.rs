//! The ledger on Postgres. Postgres may be away at any time, at start too:
//! calls then say so and work again by themselves when it is back.

mod audit;
mod dead;
mod definitions;
mod erase;
mod error;
mod keep;
mod landmarks;
mod migrate;
mod moved;
mod oracles;
mod outbox;
mod sequences;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, RecyclingMethod};
use jiff::Timestamp;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::{Config, NoTls};

use super::proof::{self, Hashes};
use super::{
    Buried, Choice, DeadFilter, DeadLetter, Decided, DecidedBy, Erased, Error, Kept, KeptDecision,
    Ledger, ListedDecision, Stored,
};
use crate::backbone::{Landmark, Partition, StreamId};
use crate::flow::{BodyHash, Digest, FlowName};

/// A Postgres that was paused or lost its network says nothing at all.
const CONNECT: Duration = Duration::from_secs(5);
/// Longer than the server's own `statement_timeout`, so that the server's
/// answer is what a call ends with as long as there is a server.
const ANSWER: Duration = Duration::from_secs(15);
const PING: Duration = Duration::from_secs(2);

/// What every session is opened with. `synchronous_commit` is the promise
/// that what is settled was stored; a database may have it off. A host that
/// was stopped in a transaction must not hold its locks for ever.
const SESSION: &str = "-c synchronous_commit=on -c statement_timeout=10s \
                       -c idle_in_transaction_session_timeout=30s";

/// Decisions, dead letters and components in one Postgres database.
#[derive(Clone)]
pub struct Postgres {
    pool: Pool,
    config: Config,
    address: Arc<str>,
}

impl Postgres {
    /// Opens nothing yet: connections are made when they are needed, at most
    /// `pool_size` of them.
    ///
    /// # Errors
    /// Never because Postgres is away.
    pub fn connect(mut config: Config, pool_size: usize) -> Result<Self, Error> {
        let address = address(&config);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_application_name().is_none() {
            config.application_name("floodgate");
        }
        config.tcp_user_timeout(ANSWER);
        let session = match config.get_options() {
            Some(options) => format!("{options} {SESSION}"),
            None => SESSION.to_owned(),
        };
        config.options(session);

        let manager_config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(config.clone(), NoTls, manager_config);
        let pool = Pool::builder(manager)
            .max_size(pool_size)
            .build()
            .map_err(|error| Error::Other(error.to_string()))?;
        Ok(Self {
            pool,
            config,
            address: address.into(),
        })
    }

    async fn client(&self) -> Result<Client, Error> {
        timeout(ANSWER, self.pool.get())
            .await
            .map_err(|_| self.silent(ANSWER))?
            .map_err(|error| error::pooled(&self.address, error))
    }

    /// A connection that did not answer is closed: whoever got it next would
    /// wait as well.
    fn answered<T>(
        &self,
        client: Client,
        call: Result<Result<T, Error>, Elapsed>,
    ) -> Result<T, Error> {
        call.unwrap_or_else(|_| {
            drop(Client::take(client));
            Err(self.silent(ANSWER))
        })
    }

    fn silent(&self, limit: Duration) -> Error {
        Error::Unavailable(format!("{} did not answer in {limit:?}", self.address))
    }
}

fn address(config: &Config) -> String {
    use tokio_postgres::config::Host;
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(directory)) => directory.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port}")
}

/// Unix milliseconds come from stream ids, which somebody else may have
/// written: what no timestamp holds is as late as can be, and no error.
fn timestamp(unix_ms: u64) -> Timestamp {
    moment(i64::try_from(unix_ms).unwrap_or(i64::MAX))
}

/// As [`timestamp`], also of before 1970.
fn moment(unix_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::MAX)
}

#[async_trait]
impl Ledger for Postgres {
    /// Hosts that start at once do it one after the other.
    async fn migrate(&self) -> Result<Vec<String>, Error> {
        let (client, connection) = timeout(ANSWER, self.config.connect(NoTls))
            .await
            .map_err(|_| self.silent(ANSWER))?
            .map_err(|error| error::connecting(&self.address, &error))?;
        migrate::migrate(client, connection).await
    }

    async fn keep(&self, by: &DecidedBy, batch: &[Decided]) -> Result<Kept, Error> {
        let rows: Vec<&Decided> = batch.iter().filter(|decided| decided.keep).collect();
        if rows.is_empty() {
            return proof::prove(batch, &Hashes::new());
        }
        let mut client = self.client().await?;
        let call = timeout(ANSWER, keep::store(&mut client, by, &rows)).await;
        proof::prove(batch, &self.answered(client, call)?)
    }

    async fn kept_before(
        &self,
        flow: &FlowName,
        entries: &[(StreamId, Arc<str>, BodyHash)],
    ) -> Result<Kept, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, keep::kept_before(&client, flow, entries)).await;
        self.answered(client, call)
    }

    async fn decision(&self, flow: &FlowName, id: &str) -> Result<Option<KeptDecision>, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, keep::decision(&client, flow, id)).await;
        self.answered(client, call)
    }

    async fn moved(&self, flow: &FlowName, id: &str) -> Result<Option<i64>, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, moved::file(&client, flow, id)).await;
        self.answered(client, call)
    }

    async fn erase(&self, flow: &FlowName, id: &str) -> Result<Erased, Error> {
        let mut client = self.client().await?;
        let call = timeout(ANSWER, erase::erase(&mut client, flow, id)).await;
        self.answered(client, call)
    }

    async fn latest(
        &self,
        flow: Option<&FlowName>,
        max: u32,
    ) -> Result<Vec<ListedDecision>, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, keep::latest(&client, flow, max)).await;
        self.answered(client, call)
    }

    async fn latest_high(&self, max: u32) -> Result<Vec<ListedDecision>, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, keep::latest_high(&client, max)).await;
        self.answered(client, call)
    }

    async fn kept_since(&self, flow: &FlowName, since: u64) -> Result<u64, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, keep::kept_since(&client, flow, since)).await;
        self.answered(client, call)
    }

    async fn next_ids(&self, flow: &FlowName, count: u32) -> Result<u64, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, sequences::next(&client, flow, count)).await;
        self.answered(client, call)
    }

    async fn bury(&self, letters: &[DeadLetter]) -> Result<Stored, Error> {
        let mut client = self.client().await?;
        let call = timeout(ANSWER, dead::bury(&mut client, letters)).await;
        self.answered(client, call)
    }

    async fn dead(&self, filter: &DeadFilter) -> Result<Vec<Buried>, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, dead::dead(&client, filter)).await;
        self.answered(client, call)
    }

    async fn remove_dead(&self, buried: &Buried) -> Result<bool, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, dead::remove(&client, buried)).await;
        self.answered(client, call)
    }

    async fn component_taken(&self, name: &str, digest: Digest, bytes: &[u8]) -> Result<(), Error> {
        let mut client = self.client().await?;
        let taken = oracles::component_taken(&mut client, name, digest, bytes);
        let call = timeout(ANSWER, taken).await;
        self.answered(client, call)
    }

    async fn component(&self, digest: Digest) -> Result<Option<Bytes>, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, oracles::component(&client, digest)).await;
        self.answered(client, call)
    }

    async fn component_history(&self, name: &str) -> Result<Vec<Digest>, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, oracles::component_history(&client, name)).await;
        self.answered(client, call)
    }

    async fn choices(&self) -> Result<Vec<(String, Choice)>, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, oracles::choices(&client)).await;
        self.answered(client, call)
    }

    async fn choose(&self, name: &str, choice: Option<&Choice>) -> Result<(), Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, oracles::choose(&client, name, choice)).await;
        self.answered(client, call)
    }

    async fn note_landmark(
        &self,
        partition: &Partition,
        landmark: &Landmark,
    ) -> Result<Option<Landmark>, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, landmarks::note(&client, partition, landmark)).await;
        self.answered(client, call)
    }

    async fn accept_flow(&self, flow: &FlowName, source: &str) -> Result<(), Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, definitions::accept(&client, flow, source)).await;
        self.answered(client, call)
    }

    async fn definition(&self, digest: Digest) -> Result<Option<String>, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, definitions::definition(&client, digest)).await;
        self.answered(client, call)
    }

    async fn accepted_flows(&self) -> Result<Vec<(String, String)>, Error> {
        let client = self.client().await?;
        let call = timeout(ANSWER, definitions::accepted(&client)).await;
        self.answered(client, call)
    }

    /// Answers within two seconds, one way or the other.
    async fn ping(&self) -> Result<(), Error> {
        let ping = async {
            let client = self.client().await?;
            client.simple_query("SELECT 1").await?;
            Ok(())
        };
        timeout(PING, ping)
            .await
            .unwrap_or_else(|_| Err(self.silent(PING)))
    }
}
