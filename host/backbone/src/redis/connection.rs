use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{PoolError, QueueMode, Timeouts};
use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisError};

use super::meaning::Meaning;
use super::pool::{Connection, Manager, Pool};
use super::script::Invoke;
use super::{Error, leave, raw_entry};
use floodgate_flow::masked;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// An fsync of a busy disk takes seconds; the default of 500 ms would call a
/// commit failed that is about to succeed.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Two flows that append as much as they can leave room for all the others.
const POOL: usize = 32;

/// One Redis server: a pool for calls that answer at once.
#[derive(Clone)]
pub(super) struct Server {
    client: redis::Client,
    pool: Pool,
    /// Which server this is, in errors.
    name: String,
}

impl Server {
    pub fn new(url: &str) -> Result<Self, Error> {
        let invalid = |source: RedisError| Error::Refused {
            backbone: format!("Redis at {}", masked::url(url)),
            cause: source.into(),
        };
        // A group of entries fills several segments, of which the last would
        // wait for the receipt of those before.
        let settings = TcpSettings::default().set_nodelay(true);
        let info = url.into_connection_info().map_err(invalid)?;
        let resp2 = info.redis_settings().clone();
        let resp2 = resp2.set_protocol(ProtocolVersion::RESP2);
        let info = info.set_redis_settings(resp2).set_tcp_settings(settings);
        let client = redis::Client::open(info.clone()).map_err(invalid)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let manager = Manager::new(info, config).map_err(invalid)?;
        let pool = Pool::builder(manager)
            .max_size(POOL)
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(CONNECT_TIMEOUT),
                create: Some(CONNECT_TIMEOUT),
                recycle: Some(CONNECT_TIMEOUT),
            })
            .build()
            .map_err(|_| {
                invalid(RedisError::from((
                    ErrorKind::InvalidClientConfig,
                    "connection pool",
                )))
            })?;
        Ok(Self {
            name: format!("Redis at {}", client.get_connection_info().addr()),
            client,
            pool,
        })
    }

    pub async fn connection(&self) -> Result<Connection, Error> {
        self.pool.get().await.map_err(|error| {
            let source = match error {
                PoolError::Backend(source) => source,
                other => io(std::io::ErrorKind::TimedOut, other.to_string()),
            };
            self.error(source)
        })
    }

    /// A connection of its own for a read that blocks for up to `block`; its
    /// replies come as [`raw_entry`] hands them on.
    pub async fn blocking_connection(
        &self,
        block: Duration,
    ) -> Result<MultiplexedConnection, Error> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(block + RESPONSE_TIMEOUT));
        let connecting = raw_entry::connect(self.client.get_connection_info(), config);
        tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .unwrap_or_else(|elapsed| Err(io(std::io::ErrorKind::TimedOut, elapsed.to_string())))
            .map_err(|source| self.error(source))
    }

    /// Runs a script; where the group is gone (a flush, a restart with an
    /// empty file) creates it anew and runs the script once more.
    pub async fn run<T: redis::FromRedisValue>(
        &self,
        call: &impl Invoke,
        keys: &super::Keys,
    ) -> Result<T, Error> {
        let mut connection = self.connection().await?;
        match call.invoke(&mut connection).await {
            Err(error) if is_no_group(&error) => {
                leave::recreate_group(self, keys).await?;
                call.invoke(&mut connection).await
            }
            answer => answer,
        }
        .map_err(|source| self.error(source))
    }

    /// Looks whether it can be written: a replica, and a primary that lacks its
    /// replicas or its disk, still answer PING. To delete nothing is a write that
    /// reaches no file, and that Redis takes without memory.
    pub async fn ping(&self) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        let _none: u64 = redis::cmd("DEL")
            .arg("floodgate:nothing")
            .query_async(&mut *connection)
            .await
            .map_err(|source| self.error(source))?;
        Ok(())
    }

    /// Says what the error means. Where the server is no place to write any more,
    /// no connection to it is used again.
    pub fn error(&self, source: RedisError) -> Error {
        let backbone = self.name.clone();
        let meaning = Meaning::of(&source);
        match meaning {
            Meaning::Lost => self.pool.manager().doubt(),
            Meaning::NoPrimary => self.pool.manager().retire(),
            Meaning::Busy | Meaning::Full | Meaning::NoGroup | Meaning::Never => {}
        }
        let cause = source.into();
        match meaning {
            Meaning::Full => Error::Full { backbone, cause },
            Meaning::NoGroup | Meaning::Never => Error::Refused { backbone, cause },
            Meaning::Lost | Meaning::NoPrimary | Meaning::Busy => {
                Error::Unreachable { backbone, cause }
            }
        }
    }

    pub fn unfit(&self, what: String) -> Error {
        Error::Unfit {
            backbone: self.name.clone(),
            what,
        }
    }

    pub fn unexpected(&self, call: &'static str, reply: impl std::fmt::Debug) -> Error {
        let mut reply = format!("{reply:?}");
        let cut = reply.floor_char_boundary(200);
        reply.truncate(cut);
        Error::Unexpected {
            backbone: self.name.clone(),
            call,
            reply,
        }
    }
}

pub(super) fn is_no_group(error: &RedisError) -> bool {
    Meaning::of(error) == Meaning::NoGroup
}

fn io(kind: std::io::ErrorKind, text: String) -> RedisError {
    RedisError::from(std::io::Error::new(kind, text))
}
