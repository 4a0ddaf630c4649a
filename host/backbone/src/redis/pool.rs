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

    /// Makes every later call open a new connection, and resolve the server's name
    /// again, because the server that answers is not the one that takes writes.
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

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;

    #[test]
    fn what_was_made_before_the_server_was_left_is_not_used_again() {
        let info = "redis://127.0.0.1:1".into_connection_info().unwrap();
        let manager = Manager::new(info, AsyncConnectionConfig::new()).unwrap();
        let before = Metrics::default();
        assert!(!manager.is_retired(&before));
        manager.retire();
        assert!(manager.is_retired(&before));
        let long_ago = Instant::now().checked_sub(2 * MAX_AGE);
        let old = Metrics {
            created: long_ago.unwrap_or_else(Instant::now),
            ..Metrics::default()
        };
        assert_eq!(manager.is_retired(&old), long_ago.is_some());
    }
}
