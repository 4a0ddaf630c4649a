//! Answers, for as long as whoever asks says; the same question asked twice at
//! once is answered once.

use std::sync::Arc;
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

pub(super) struct Answers(Cache<Key, Arc<Answer>>);

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
        Self(cache.expire_after(AsAsked).build())
    }

    /// The answer, and whether it was there.
    pub async fn get(
        &self,
        key: Key,
        compute: impl Future<Output = Result<Arc<Answer>, Error>>,
    ) -> Result<(Arc<Answer>, bool), Error> {
        if let Some(answer) = self.0.get(&key).await {
            return Ok((answer, true));
        }
        let mut own = false;
        let compute = async {
            own = true;
            compute.await
        };
        let answer = self.0.try_get_with(key, compute).await;
        let answer = answer.map_err(|error| Error::clone(&error))?;
        Ok((answer, !own))
    }

    /// What was erased must not be told again.
    pub fn forget(&self) {
        self.0.invalidate_all();
    }
}
