use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionInfo, RedisError, RedisResult};

/// A connection that was used so lately is used again without a question.
const TRUST: Duration = Duration::from_secs(1);

/// How long a connection is used: then its server's name is resolved again, for
/// a server that was replaced and still answers.
pub(super) const MAX_AGE: Duration = Duration::from_secs(300);

/// The connections of `deadpool_redis`, without its `PING` before each call:
/// that waits for whatever Redis does just then, an fsync included, and so
/// costs every call a turn of Redis' event loop.
pub(super) struct Manager {
    inner: deadpool_redis::Manager,
    /// When a call failed last, so that other connections may be gone as well.
    doubted: Mutex<Option<Instant>>,
    /// Connections that were made before are closed instead of used again.
    retired: Mutex<Option<Instant>>,
}

pub(super) type Pool = managed::Pool<Manager>;
pub(super) type Connection = managed::Object<Manager>;

impl Manager {
    pub fn new(info: ConnectionInfo, config: AsyncConnectionConfig) -> RedisResult<Self> {
        Ok(Self {
            inner: deadpool_redis::Manager::new_with_config(info, config)?,
            doubted: Mutex::new(None),
            retired: Mutex::new(None),
        })
    }

    /// Has each connection asked, before it is used again, whether it is well.
    pub fn doubt(&self) {
        let mut doubted = self.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        *doubted = Some(Instant::now());
    }

    /// Has every call from now on connect anew, and the server's name resolved
    /// again: the one that answers is not the one that takes writes.
    pub fn retire(&self) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        *retired = Some(Instant::now());
    }

    fn is_retired(&self, metrics: &Metrics) -> bool {
        let retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        let retired = retired.is_some_and(|retired| metrics.created <= retired);
        retired || metrics.age() > MAX_AGE
    }

    fn trusts(&self, metrics: &Metrics) -> bool {
        let used = metrics.last_used();
        let doubted = self.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        used < TRUST && doubted.is_none_or(|doubted| doubted.elapsed() > used)
    }
}

impl managed::Manager for Manager {
    type Type = MultiplexedConnection;
    type Error = RedisError;

    async fn create(&self) -> Result<MultiplexedConnection, RedisError> {
        self.inner.create().await
    }

    async fn recycle(
        &self,
        connection: &mut MultiplexedConnection,
        metrics: &Metrics,
    ) -> RecycleResult<RedisError> {
        if self.is_retired(metrics) {
            return Err(RecycleError::message("it is of a server that was left"));
        }
        match self.trusts(metrics) {
            true => Ok(()),
            false => self.inner.recycle(connection, metrics).await,
        }
    }
}
