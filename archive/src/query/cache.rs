//! Answers, for as long as whoever asks says; the same question asked twice at
//! once is answered once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;

use super::answer::Answer;
use super::error::Error;

/// Of all answers together.
const MOST_BYTES: u64 = 64 << 20;

/// What makes two questions the same one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub flow: String,
    pub sql: String,
    /// In JSON, by name.
    pub parameters: String,
    pub lasts: Duration,
}

pub(super) struct Answers {
    kept: Cache<Kept, Arc<Answer>>,
    forgotten: AtomicU64,
}

/// With how often was forgotten before: what is being computed meanwhile may
/// have been read before it was erased.
type Kept = (u64, Key);

struct AsAsked;

impl Expiry<Kept, Arc<Answer>> for AsAsked {
    fn expire_after_create(
        &self,
        (_, key): &Kept,
        answer: &Arc<Answer>,
        _: Instant,
    ) -> Option<Duration> {
        // A file that is back should show at once.
        Some(if answer.skipped.is_empty() {
            key.lasts
        } else {
            Duration::ZERO
        })
    }
}

impl Answers {
    pub fn new() -> Self {
        let weigh = |(_, key): &Kept, answer: &Arc<Answer>| {
            let bytes = key.sql.len() + key.parameters.len() + answer.bytes();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(MOST_BYTES).weigher(weigh);
        Self {
            kept: cache.expire_after(AsAsked).build(),
            forgotten: AtomicU64::new(0),
        }
    }

    /// The answer, and whether it was there.
    pub async fn get(
        &self,
        key: Key,
        compute: impl Future<Output = Result<Arc<Answer>, Error>>,
    ) -> Result<(Arc<Answer>, bool), Error> {
        let key = (self.forgotten.load(Ordering::SeqCst), key);
        if let Some(answer) = self.kept.get(&key).await {
            return Ok((answer, true));
        }
        let mut own = false;
        let compute = async {
            own = true;
            compute.await
        };
        let answer = self.kept.try_get_with(key, compute).await;
        let answer = answer.map_err(|error| Error::clone(&error))?;
        Ok((answer, !own))
    }

    /// What was erased must not be told again.
    pub fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.kept.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::query::Scanned;

    fn key() -> Key {
        Key {
            flow: "events".to_owned(),
            sql: "SELECT body FROM events".to_owned(),
            parameters: "{}".to_owned(),
            lasts: Duration::from_secs(600),
        }
    }

    fn answer(elapsed_ms: f64) -> Arc<Answer> {
        Arc::new(Answer {
            columns: Vec::new(),
            rows: serde_json::value::to_raw_value(&()).unwrap(),
            skipped: Vec::new(),
            scanned: Scanned::default(),
            elapsed_ms,
            plan: None,
        })
    }

    #[tokio::test]
    async fn what_was_being_computed_when_all_was_forgotten_is_not_kept() {
        let answers = Answers::new();
        let (read, go_on) = oneshot::channel();
        let before = answers.get(key(), async {
            go_on.await.unwrap();
            Ok(answer(1.0))
        });
        let erase = async {
            answers.forget();
            read.send(()).unwrap();
        };
        let (before, ()) = tokio::join!(before, erase);
        assert!(!before.unwrap().1);
        let (after, was_there) = answers.get(key(), async { Ok(answer(2.0)) }).await.unwrap();
        assert_eq!((after.elapsed_ms, was_there), (2.0, false));
        let (again, was_there) = answers.get(key(), async { Ok(answer(3.0)) }).await.unwrap();
        assert_eq!((again.elapsed_ms, was_there), (2.0, true));
    }
}
