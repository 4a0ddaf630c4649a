//! Has components compiled, from a file's bytes or by the digest of one that
//! the ledger stores.

use std::sync::Arc;

use bytes::Bytes;

use super::component::{LoadError, Oracle};
use super::engine::Engine;
use super::seat::Seat;
use crate::flow::Digest;
use crate::ledger::{self, Ledger};

pub(super) struct Loader {
    pub engine: Arc<Engine>,
    pub ledger: Arc<dyn Ledger>,
}

/// Why a digest of the past cannot be brought into force.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{digest} is not stored in the ledger: drop its file again")]
    NotStored { digest: Digest },
    #[error("{digest} does not load any more: {error}")]
    Load { digest: Digest, error: LoadError },
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

impl Loader {
    pub async fn load(&self, name: &Arc<str>, bytes: Bytes) -> Result<Arc<Oracle>, LoadError> {
        let engine = Arc::clone(&self.engine);
        let name = Arc::clone(name);
        let loading =
            tokio::task::spawn_blocking(move || Ok(Oracle::load(&engine, &bytes)?.named(name)));
        let oracle = loading
            .await
            .unwrap_or_else(|error| Err(LoadError::Invalid(error.to_string())))?;
        Ok(Arc::new(oracle))
    }

    /// Has a digest in memory, from the ledger if need be.
    pub async fn fetched(&self, seat: &Arc<Seat>, digest: Digest) -> Result<(), FetchError> {
        if seat.kept(digest).is_some() {
            return Ok(());
        }
        let bytes = self.ledger.component(digest).await?;
        let bytes = bytes.ok_or(FetchError::NotStored { digest })?;
        let loaded = self.load(&seat.name, bytes).await;
        seat.keep(loaded.map_err(|error| FetchError::Load { digest, error })?);
        Ok(())
    }
}
