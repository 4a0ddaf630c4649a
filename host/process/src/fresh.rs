//! For whoever asks often, and waits for nobody.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// How long what was found is good for: whoever asks more often is no load for
/// the servers.
const FRESH: Duration = Duration::from_secs(1);

/// How long a server may take to answer: less than a scraper, a load balancer
/// or a person waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was found last, at most a second old.
pub struct Fresh<T>(Mutex<Option<(Instant, T)>>);

impl<T> Default for Fresh<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Fresh<T> {
    /// Whoever asks meanwhile waits for what this one finds: `find` must end
    /// soon, as [`within`] does.
    pub async fn or(&self, find: impl Future<Output = T>) -> T {
        let mut last = self.0.lock().await;
        match &*last {
            Some((at, found)) if at.elapsed() < FRESH => found.clone(),
            _ => {
                let found = find.await;
                *last = Some((Instant::now(), found.clone()));
                found
            }
        }
    }
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
pub enum Unknown<E> {
    #[error("{0}")]
    Failed(E),
    #[error("no answer within {PATIENCE:?}")]
    Late,
}

/// # Errors
/// Those of `asked`, and [`Unknown::Late`] after two seconds.
pub async fn within<T, E>(asked: impl Future<Output = Result<T, E>>) -> Result<T, Unknown<E>> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(Unknown::Failed),
        Err(_) => Err(Unknown::Late),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn nobody_waits_for_a_server_that_says_nothing() {
        let asked = within(pending::<Result<(), Infallible>>());
        let answer = tokio::time::timeout(LONG, asked).await.unwrap();
        assert_eq!(answer.unwrap_err().to_string(), "no answer within 2s");
        assert_eq!(within(ready(Ok::<_, Infallible>(1))).await.unwrap(), 1);
        let failed = within(ready(Err::<(), _>("refused"))).await;
        assert_eq!(failed.unwrap_err().to_string(), "refused");
    }

    #[tokio::test]
    async fn what_was_just_found_is_not_looked_for_again() {
        let fresh = Fresh::default();
        assert_eq!(fresh.or(ready(1)).await, 1);
        assert_eq!(fresh.or(pending()).await, 1);
    }
}
