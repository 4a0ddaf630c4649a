//! What the queries at work may take together.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::error::Result;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};

/// Footers of cold files that are kept.
const FOOTERS: usize = 64 << 20;

/// How many of those that hold most an error names.
const NAMED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes for groups, joins and sorts of all queries.
    pub memory: usize,
    /// Where what does not fit goes meanwhile.
    pub spill: PathBuf,
    /// Bytes there.
    pub spill_most: u64,
    /// Cores for one query.
    pub cores: usize,
    /// Queries at work at once; others wait, within their time.
    pub at_once: usize,
}

impl Limits {
    pub(super) fn runtime(&self) -> Result<Arc<RuntimeEnv>> {
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![self.spill.clone()]))
            .with_max_temp_directory_size(self.spill_most);
        RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(TrackConsumersPool::new(
                FairSpillPool::new(self.memory),
                NAMED,
            )))
            .with_disk_manager_builder(disk)
            .with_metadata_cache_limit(FOOTERS)
            .build_arc()
    }
}
