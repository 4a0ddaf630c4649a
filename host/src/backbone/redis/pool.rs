use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use deadpool::managed::{self, Metrics, RecycleResult};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ConnectionInfo, RedisError, RedisResult};

/// A connection that was used so lately is used again without a question.
const TRUST: Duration = Duration::from_secs(1);

/// The connections of `deadpool_redis`, without its `PING` before each call:
/// that waits for whatever Redis does just then, an fsync included, and so
/// costs every call a turn of Redis' event loop.
pub(super) struct Manager {
    inner: deadpool_redis::Manager,
    /// When a call failed last, so that other connections may be gone as well.
    doubted: Mutex<Option<Instant>>,
}

pub(super) type Pool = managed::Pool<Manager>;
pub(super) type Connection = managed::Object<Manager>;

impl Manager {
    pub fn new(info: ConnectionInfo, config: AsyncConnectionConfig) -> RedisResult<Self> {
        Ok(Self {
            inner: deadpool_redis::Manager::new_with_config(info, config)?,
            doubted: Mutex::new(None),
        })
    }

    /// Has each connection asked, before it is used again, whether it is well.
    pub fn doubt(&self) {
        let mut doubted = self.doubted.lock().unwrap_or_else(PoisonError::into_inner);
        *doubted = Some(Instant::now());
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
        match self.trusts(metrics) {
            true => Ok(()),
            false => self.inner.recycle(connection, metrics).await,
        }
    }
}
