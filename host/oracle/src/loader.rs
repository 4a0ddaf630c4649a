//! Has components compiled, from a file's bytes or by the digest of one that
//! the ledger stores.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use super::component::{LoadError, Oracle};
use super::engine::Engine;
use super::seat::Seat;
use floodgate_flow::Digest;
use floodgate_ledger::{self as ledger, Ledger};
use floodgate_process::metrics::table::ORACLE_LOADS;

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
    /// Loads a component that was dropped at `written`, and counts what came
    /// of it.
    pub async fn load(
        &self,
        seat: &Seat,
        bytes: Bytes,
        written: SystemTime,
    ) -> Result<Arc<Oracle>, LoadError> {
        let _said = seat.is_loading();
        let engine = Arc::clone(&self.engine);
        let loading =
            tokio::task::spawn_blocking(move || Oracle::load_written(&engine, &bytes, written));
        let loaded = loading
            .await
            .unwrap_or_else(|error| Err(LoadError::NoCompiler(error.to_string())));
        ORACLE_LOADS
            .of([&*seat.name, outcome(&loaded)])
            .increment(1);
        Ok(Arc::new(loaded?.named(Arc::clone(&seat.name))))
    }

    /// Has a digest in memory, from the ledger if need be.
    pub async fn fetched(&self, seat: &Arc<Seat>, digest: Digest) -> Result<(), FetchError> {
        if seat.kept(digest).is_some() {
            return Ok(());
        }
        let bytes = self.ledger.component(digest).await?;
        let bytes = bytes.ok_or(FetchError::NotStored { digest })?;
        let loaded = self.load(seat, bytes, SystemTime::UNIX_EPOCH).await;
        seat.keep(loaded.map_err(|error| FetchError::Load { digest, error })?);
        Ok(())
    }
}

fn outcome(loaded: &Result<Oracle, LoadError>) -> &'static str {
    match loaded {
        Ok(oracle) if oracle.from_cache() => "cached",
        Ok(_) => "compiled",
        Err(LoadError::CompileMemory(_)) => "memory",
        Err(LoadError::CompileTime(_)) => "time",
        Err(LoadError::CompilerEnded { .. } | LoadError::NoCompiler(_)) => "failed",
        Err(LoadError::FailedBefore { .. }) => "failed-before",
        Err(_) => "refused",
    }
}
