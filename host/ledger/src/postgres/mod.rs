//! The ledger on Postgres. Postgres may be away at any time, at start too:
//! calls then say so and work again by themselves when it is back.

mod audit;
mod call;
mod controls;
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
mod schema;
mod sequences;
mod views;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use deadpool_postgres::{Client, Manager, ManagerConfig, Pool, RecyclingMethod};
use jiff::Timestamp;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_postgres::{Config, NoTls};

use self::call::with;
use super::proof::{self, Hashes};
use super::{
    Buried, Choice, DeadFilter, DeadLetter, Decided, DecidedBy, Erased, Error, Kept, KeptDecision,
    Ledger, ListedDecision, Migrated, Stored,
};
use floodgate_flow::{BodyHash, Digest, FlowName, Landmark, Partition, StreamId};

/// A Postgres that was paused or lost its network says nothing at all.
const CONNECT: Duration = Duration::from_secs(5);
/// Longer than the server's own `statement_timeout`, so that the server's
/// answer is what a call ends with as long as there is a server.
const ANSWER: Duration = Duration::from_secs(15);
const PING: Duration = Duration::from_secs(2);
/// Whether all tables are there, by the migrations that made them, and whether
/// they can be written to.
const USABLE: &str = "SELECT
    to_regclass('decisions') IS NOT NULL AND $1::int4[] <@ array_agg(version),
    current_setting('transaction_read_only') = 'off'
    FROM refinery_schema_history";

/// The schema of a new installation.
pub const SCHEMA: &str = "floodgate";

/// Decisions, dead letters and components in one Postgres database.
#[derive(Clone)]
pub struct Postgres {
    pool: Pool,
    /// Of the connection that migrations are made on.
    direct: Config,
    address: Arc<str>,
    /// Of a new installation; an older one is used where it lies.
    schema: Arc<str>,
    /// What each transaction begins with; known once the tables were found.
    begin: Arc<OnceLock<Arc<str>>>,
}

impl Postgres {
    /// Opens nothing yet: connections are made when they are needed, at most
    /// `pool_size` of them.
    ///
    /// # Errors
    /// Never because Postgres is away.
    pub fn connect(config: Config, pool_size: usize) -> Result<Self, Error> {
        let address = address(&config);
        let config = patient(config);
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
            direct: config,
            address: address.into(),
            schema: SCHEMA.into(),
            begin: Arc::default(),
        })
    }

    /// Names the schema that a new installation makes its tables in.
    pub fn in_schema(mut self, schema: &str) -> Self {
        self.schema = schema.into();
        self
    }

    /// Makes migrations on this connection, past a pooler.
    pub fn migrating_on(mut self, direct: Config) -> Self {
        self.direct = patient(direct);
        self
    }

    /// Moves the tables of an older installation into the schema of a new one,
    /// and brings them up to date.
    ///
    /// # Errors
    /// Where any other Floodgate is connected: it looks for them where they were.
    pub async fn move_schema(&self) -> Result<Migrated, Error> {
        let mut client = self.direct_client().await?;
        migrate::move_schema(&mut client, &self.schema).await
    }

    async fn direct_client(&self) -> Result<tokio_postgres::Client, Error> {
        let address = address(&self.direct);
        let (client, connection) = timeout(ANSWER, self.direct.connect(NoTls))
            .await
            .map_err(|_| self.silent(ANSWER))?
            .map_err(|error| error::connecting(&address, &error))?;
        // Ends with the client; an error of it is also the error of a call.
        tokio::spawn(connection);
        Ok(client)
    }

    /// What a transaction begins with.
    ///
    /// # Errors
    /// [`Error::Other`] before the tables are made.
    async fn begin(&self) -> Result<Arc<str>, Error> {
        if let Some(begin) = self.begin.get() {
            return Ok(Arc::clone(begin));
        }
        let client = self.client().await?;
        let found = timeout(ANSWER, schema::find(&**client, &self.schema)).await;
        let schema = self.answered(client, found)?.ok_or_else(|| {
            let schema = &self.schema;
            Error::Other(format!(
                "schema {schema} has no tables of Floodgate: run floodgate migrate"
            ))
        })?;
        let begin = self.begin.get_or_init(|| call::begin_in(&schema).into());
        Ok(Arc::clone(begin))
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

/// Without `options`, which PgBouncer refuses: each transaction brings its settings.
fn patient(mut config: Config) -> Config {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_application_name().is_none() {
        config.application_name("floodgate");
    }
    config.tcp_user_timeout(ANSWER);
    config
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
    async fn migrate(&self) -> Result<Migrated, Error> {
        let mut client = self.direct_client().await?;
        migrate::migrate(&mut client, &self.schema).await
    }

    async fn keep(&self, by: &DecidedBy, batch: &[Decided]) -> Result<Kept, Error> {
        let rows: Vec<&Decided> = batch.iter().filter(|decided| decided.keep).collect();
        if rows.is_empty() {
            return proof::prove(batch, &Hashes::new());
        }
        proof::prove(batch, &keep::store(self, by, &rows).await?)
    }

    async fn kept_before(
        &self,
        flow: &FlowName,
        entries: &[(StreamId, Arc<str>, BodyHash)],
    ) -> Result<Kept, Error> {
        keep::kept_before(self, flow, entries).await
    }

    async fn decision(&self, flow: &FlowName, id: &str) -> Result<Option<KeptDecision>, Error> {
        keep::decision(self, flow, id).await
    }

    async fn moved(&self, flow: &FlowName, id: &str) -> Result<Option<i64>, Error> {
        moved::file(self, flow, id).await
    }

    async fn erase(&self, flow: &FlowName, id: &str) -> Result<Erased, Error> {
        erase::erase(self, flow, id).await
    }

    async fn latest(
        &self,
        flow: Option<&FlowName>,
        max: u32,
    ) -> Result<Vec<ListedDecision>, Error> {
        keep::latest(self, flow, max).await
    }

    async fn latest_high(&self, max: u32) -> Result<Vec<ListedDecision>, Error> {
        keep::latest_high(self, max).await
    }

    async fn kept_since(&self, flow: &FlowName, since: u64) -> Result<u64, Error> {
        keep::kept_since(self, flow, since).await
    }

    async fn next_ids(&self, flow: &FlowName, count: u32) -> Result<u64, Error> {
        sequences::next(self, flow, count).await
    }

    async fn bury(&self, letters: &[DeadLetter]) -> Result<Stored, Error> {
        dead::bury(self, letters).await
    }

    async fn dead(&self, filter: &DeadFilter) -> Result<Vec<Buried>, Error> {
        dead::dead(self, filter).await
    }

    async fn dead_body(&self, buried: &Buried) -> Result<Option<Bytes>, Error> {
        dead::body(self, buried).await
    }

    async fn remove_dead(&self, letters: &[Buried]) -> Result<Vec<i64>, Error> {
        dead::remove(self, letters).await
    }

    async fn component_taken(&self, name: &str, digest: Digest, bytes: &[u8]) -> Result<(), Error> {
        oracles::component_taken(self, name, digest, bytes).await
    }

    async fn component(&self, digest: Digest) -> Result<Option<Bytes>, Error> {
        oracles::component(self, digest).await
    }

    async fn component_history(&self, name: &str) -> Result<Vec<Digest>, Error> {
        oracles::component_history(self, name).await
    }

    async fn choices(&self) -> Result<Vec<(String, Choice)>, Error> {
        oracles::choices(self).await
    }

    async fn choose(&self, name: &str, choice: Option<&Choice>) -> Result<(), Error> {
        oracles::choose(self, name, choice).await
    }

    async fn note_landmark(
        &self,
        partition: &Partition,
        landmark: &Landmark,
    ) -> Result<Option<Landmark>, Error> {
        landmarks::note(self, partition, landmark).await
    }

    async fn accept_flow(&self, flow: &FlowName, source: &str) -> Result<(), Error> {
        definitions::accept(self, flow, source).await
    }

    async fn definition(&self, digest: Digest) -> Result<Option<String>, Error> {
        definitions::definition(self, digest).await
    }

    async fn accepted_flows(&self) -> Result<Vec<(String, String)>, Error> {
        definitions::accepted(self).await
    }

    /// Answers within two seconds, one way or the other.
    async fn ping(&self) -> Result<(), Error> {
        let with = with![migrate::versions() => INT4_ARRAY];
        let asked = self.one_row(USABLE, with);
        let answered = timeout(PING, asked).await;
        let row = answered.unwrap_or_else(|_| Err(self.silent(PING)))?;
        match (row.try_get::<_, Option<bool>>(0)?, row.try_get(1)?) {
            (Some(true), true) => Ok(()),
            (Some(false) | None, _) => Err(Error::Other(format!(
                "{}: tables of this version are missing: run floodgate migrate, which says why",
                self.address
            ))),
            (Some(true), false) => Err(Error::Unavailable(format!(
                "{} takes no writes: it is a standby, or default_transaction_read_only is on",
                self.address
            ))),
        }
    }
}
