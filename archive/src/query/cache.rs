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
    /// As [`Answers::epoch`] was before the ledger was asked.
    pub epoch: u64,
}

pub(super) struct Answers {
    kept: Cache<Key, Arc<Answer>>,
    /// How often all was forgotten.
    epoch: AtomicU64,
}

struct AsAsked;

impl Expiry<Key, Arc<Answer>> for AsAsked {
    fn expire_after_create(&self, key: &Key, answer: &Arc<Answer>, _: Instant) -> Option<Duration> {
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
        let weigh = |key: &Key, answer: &Arc<Answer>| {
            let bytes = key.sql.len() + key.parameters.len() + answer.bytes();
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(MOST_BYTES).weigher(weigh);
        Self {
            kept: cache.expire_after(AsAsked).build(),
            epoch: AtomicU64::default(),
        }
    }

    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// The answer, and whether it was there.
    pub async fn get(
        &self,
        key: Key,
        compute: impl Future<Output = Result<Arc<Answer>, Error>>,
    ) -> Result<(Arc<Answer>, bool), Error> {
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

    /// What was erased must not be told again. A query that is under way may
    /// have read it: its answer is kept under an epoch that nobody asks for.
    pub fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.kept.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::super::scanned::Scanned;
    use super::*;

    fn answer(rows: &str) -> Arc<Answer> {
        Arc::new(Answer {
            columns: Vec::new(),
            rows: RawValue::from_string(rows.to_owned()).unwrap(),
            skipped: Vec::new(),
            scanned: Scanned::default(),
            elapsed_ms: 0.0,
            plan: None,
        })
    }

    #[tokio::test]
    async fn an_answer_that_was_under_way_is_forgotten_too() {
        let answers = Answers::new();
        let key = || Key {
            flow: "events".to_owned(),
            sql: "SELECT 1".to_owned(),
            parameters: "{}".to_owned(),
            lasts: Duration::from_secs(3600),
            epoch: answers.epoch(),
        };
        let ask = async |rows: &'static str| {
            let (answer, was_there) = answers
                .get(key(), async { Ok(answer(rows)) })
                .await
                .unwrap();
            (answer.rows.get().to_owned(), was_there)
        };
        let erased_meanwhile = async {
            answers.forget();
            Ok(answer("[[1]]"))
        };
        answers.get(key(), erased_meanwhile).await.unwrap();
        assert_eq!(ask("[[2]]").await, ("[[2]]".to_owned(), false));
        assert_eq!(ask("[[3]]").await, ("[[2]]".to_owned(), true));
    }
}
