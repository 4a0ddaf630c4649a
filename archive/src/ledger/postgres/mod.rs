//! The ledger on Postgres. It may be away at any time: calls then say so and
//! work again by themselves when it is back.

mod error;
mod files;
mod lent;
mod scan;

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use deadpool_postgres::{
    Client, ClientWrapper, Manager, ManagerConfig, Pool, RecyclingMethod, Timeouts,
};
use jiff::civil::Date;
use tokio_postgres::{Config, NoTls};

use self::lent::Lent;
use super::{ColdFile, Draft, Error, Gone, Known, LOOK, Ledger, Owned, Place, Sealed, Snapshot};

/// A Postgres that was paused or lost its network says nothing at all.
const CONNECT: Duration = Duration::from_secs(5);
const SILENT: Duration = Duration::from_secs(15);
const PING: Duration = Duration::from_secs(2);

/// A query of several tables holds a connection for each of them.
const CONNECTIONS: usize = 16;

/// What every session is opened with. What is read is read for as long as the
/// reader takes, who has a limit of its own; by one process of the server, and
/// not with a program compiled for it: all that it does is send rows. Those of
/// some days lie together, but an index of two columns does not show that: at
/// the cost of a page that a disk has to look for, all of the ledger is read.
const SESSION: &str = "-c synchronous_commit=on -c timezone=UTC -c statement_timeout=0 \
                       -c idle_in_transaction_session_timeout=10min \
                       -c max_parallel_workers_per_gather=0 -c jit=off \
                       -c random_page_cost=1.1";

/// The session that has the archiver's lock. What nobody but the owner may do is
/// done in it: when it ends, the lock is somebody else's, and no more is done.
type Session = tokio::sync::Mutex<ClientWrapper>;

/// `cold`: the first half of the number of the archiver's advisory lock.
const OWNER: i32 = 0x636f_6c64;

pub struct Postgres {
    pool: Pool,
    config: Config,
    address: String,
    /// As long as somebody here is the owner.
    owner: Mutex<Weak<Session>>,
}

/// The schema that the host makes its tables in, if it is not told another.
pub const SCHEMA: &str = "floodgate";

impl Postgres {
    /// As [`Self::connect_in`], in the schema of most ledgers.
    ///
    /// # Errors
    /// Never because Postgres is away.
    pub fn connect(config: Config) -> Result<Self, Error> {
        Self::connect_in(config, SCHEMA)
    }

    /// Opens nothing yet: connections are made when they are needed, and never
    /// through a pooler, which hands the session that owns the archive to others.
    /// Where the schema is not there, the tables are those of an older ledger, in
    /// `public`, or where the options of the connection say.
    ///
    /// # Errors
    /// Never because Postgres is away.
    pub fn connect_in(mut config: Config, schema: &str) -> Result<Self, Error> {
        let address = address(&config);
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        if config.get_application_name().is_none() {
            config.application_name("floodgate-archive");
        }
        config.tcp_user_timeout(SILENT);
        let given = config.get_options().unwrap_or_default();
        let mut session = format!("{given} {SESSION}");
        if !given.contains("search_path") {
            session.push_str(&format!(" -c search_path={schema},public"));
        }
        config.options(session.trim_start());
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(config.clone(), NoTls, recycling);
        let timeouts = Timeouts {
            wait: Some(SILENT),
            create: Some(SILENT),
            recycle: Some(SILENT),
        };
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .timeouts(timeouts)
            .build();
        Ok(Self {
            pool: pool.map_err(|error| Error::Other(error.to_string()))?,
            config,
            address,
            owner: Mutex::default(),
        })
    }

    async fn client(&self) -> Result<Client, Error> {
        let client = self.pool.get().await;
        client.map_err(|error| error::pooled(&self.address, error))
    }

    /// Not while somebody else here believes to be the owner, who may have lost
    /// the lock and not heard of it yet: that one must not go on in this session.
    fn is_owned_by(&self, session: &Arc<Session>) -> bool {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        let free = owner.strong_count() == 0;
        if free {
            *owner = Arc::downgrade(session);
        }
        free
    }

    fn session(&self) -> Result<Arc<Session>, Error> {
        let owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        let nobody = || Error::Other("the archive is not owned".to_owned());
        owner.upgrade().ok_or_else(nobody)
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

#[async_trait]
impl Ledger for Postgres {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    async fn ping(&self) -> Result<(), Error> {
        let ping = async {
            let looked = "SELECT 1 FROM cold_files LIMIT 1";
            self.client().await?.batch_execute(looked).await?;
            Ok(())
        };
        let silent = || Error::Away(format!("{} did not answer in {PING:?}", self.address));
        let answered = tokio::time::timeout(PING, ping).await;
        answered.unwrap_or_else(|_| Err(silent()))
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, Error> {
        let held = Lent::at_one_instant(self.client().await?, None).await?;
        let export = "SELECT pg_export_snapshot()";
        let row = held.client()?.query_one(export, &[]).await?;
        Ok(Box::new(scan::Instant {
            name: row.try_get(0)?,
            held,
            pool: self.pool.clone(),
            address: self.address.clone(),
        }))
    }

    /// The lock is the connection's, which is not one of the pool.
    async fn own(&self, patience: Duration) -> Result<Option<Box<dyn Owned>>, Error> {
        let began = Instant::now();
        let connected = self.config.connect(NoTls).await;
        let (client, connection) =
            connected.map_err(|error| error::connecting(&self.address, &error))?;
        let connection = tokio::spawn(async move {
            // Whoever asks it hears why it ended.
            let _ = connection.await;
        });
        let client = ClientWrapper::new(client, connection);
        // A pass may read for longer than a session may be idle.
        client.batch_execute("SET idle_session_timeout = 0").await?;
        let lock = "SELECT pg_try_advisory_lock($1, 0)";
        let lock = client.prepare(lock).await?;
        let session = Arc::new(Session::new(client));
        loop {
            let locked = session.lock().await.query_one(&lock, &[&OWNER]).await?;
            if locked.try_get(0)? && self.is_owned_by(&session) {
                return Ok(Some(Box::new(Owner(session))));
            }
            if began.elapsed() >= patience {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn days(&self, flow: &str, before: Date, most: usize) -> Result<Vec<Date>, Error> {
        let client = self.client().await?;
        scan::days(&client, flow, before, most).await
    }

    async fn day(
        &self,
        flow: &str,
        day: Date,
        after: Option<Place>,
        most: usize,
    ) -> Result<SendableRecordBatchStream, Error> {
        let lent = Lent::at_one_instant(self.client().await?, None).await?;
        scan::day(lent, flow, day, after, most).await
    }

    async fn files(&self, flow: Option<&str>) -> Result<Vec<ColdFile>, Error> {
        files::all(&self.client().await?, flow).await
    }

    async fn number(&self) -> Result<i64, Error> {
        files::number(&self.client().await?).await
    }

    async fn begin(&self, draft: &Draft) -> Result<ColdFile, Error> {
        files::begin(&mut *self.session()?.lock().await, draft).await
    }

    async fn seal(&self, file: &ColdFile, sealed: &Sealed, replaces: &[i64]) -> Result<(), Error> {
        files::seal(&mut *self.session()?.lock().await, file, sealed, replaces).await
    }

    async fn remember(&self, file: &ColdFile, known: &[Known]) -> Result<(), Error> {
        files::remember(&mut *self.session()?.lock().await, file, known).await
    }

    async fn remove(&self, file: &ColdFile, rows: &[Gone]) -> Result<u64, Error> {
        files::remove(&mut self.client().await?, file, rows).await
    }

    async fn settle(&self, file: &ColdFile) -> Result<(), Error> {
        files::settle(&self.client().await?, file).await
    }

    async fn discard(&self, file: &ColdFile) -> Result<(), Error> {
        files::discard(&self.client().await?, file).await
    }

    async fn forget(&self, file: &ColdFile) -> Result<(), Error> {
        files::forget(&self.client().await?, file).await
    }

    async fn analyze(&self) -> Result<(), Error> {
        files::analyze(&self.client().await?).await
    }

    async fn vacuum(&self) -> Result<(), Error> {
        files::vacuum(&self.client().await?).await
    }

    async fn moved(&self, flow: &str, id: &str) -> Result<Option<i64>, Error> {
        files::moved(&self.client().await?, flow, id).await
    }
}

/// Whoever is killed loses the connection, and the lock with it.
struct Owner(#[expect(dead_code, reason = "held, and asked through the ledger")] Arc<Session>);

impl Owned for Owner {}
