//! Remembers what could not be compiled: trying again takes as much memory and
//! time, and ends the same.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::cache::{Cache, Kind};
use crate::component::LoadError;
use floodgate_flow::Digest;

/// How long a failure is remembered: the machine may have had a bad day.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(3600);
/// Digests that are remembered at a time.
const MOST: usize = 256;

/// By digest, in memory and, where there is a cache, in its directory.
#[derive(Default)]
pub(crate) struct Failures(Mutex<HashMap<Digest, Failure>>);

#[derive(Clone, Serialize, Deserialize)]
struct Failure {
    at: SystemTime,
    error: String,
}

impl Failures {
    /// Returns why this digest could not be compiled less than an hour ago.
    /// `written` is when its file was last written: one that was dropped after
    /// the failure is tried again.
    pub fn of(
        &self,
        cache: Option<&Cache>,
        digest: Digest,
        written: SystemTime,
        now: SystemTime,
    ) -> Option<LoadError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let failure = known.get(&digest).cloned().or_else(|| {
            let bytes = cache?.get(Kind::Failed, digest)?;
            serde_json::from_slice(&bytes).ok()
        })?;
        // Of the future, it was written before the clock was set back.
        let age = now.duration_since(failure.at).ok();
        let left = age.and_then(|age| REMEMBERED.checked_sub(age));
        let Some(again_in) = left.filter(|left| !left.is_zero() && written <= failure.at) else {
            known.remove(&digest);
            return None;
        };
        let error = failure.error.clone();
        known.insert(digest, failure);
        Some(LoadError::FailedBefore { error, again_in })
    }

    pub fn remember(&self, cache: Option<&Cache>, digest: Digest, error: &LoadError) {
        let failure = Failure {
            at: SystemTime::now(),
            error: error.to_string(),
        };
        if let (Some(cache), Ok(bytes)) = (cache, serde_json::to_vec(&failure)) {
            cache.put(Kind::Failed, digest, &bytes);
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, failure)| failure.at);
            if let Some(oldest) = oldest.map(|(digest, _)| *digest) {
                known.remove(&oldest);
            }
        }
        known.insert(digest, failure);
    }
}
