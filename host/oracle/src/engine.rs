use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::warn;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache::Cache;
use super::compiler::{CompileOptions, Compiler, Failures};
use super::guest::{self, Guest};
use floodgate_process::tasks::ORACLE_EPOCH;

/// One tick of the epoch: what deadlines are counted in.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Per component; a Python oracle has about forty core instances.
pub(super) const CORE_INSTANCES: u32 = 64;
pub(super) const MEMORIES: u32 = 4;
pub(super) const TABLES: u32 = 8;
pub(super) const TABLE_ELEMENTS: usize = 100_000;

/// What an engine is made from.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Where compiled components are kept; `None`: they are compiled at every start.
    pub cache: Option<PathBuf>,
    /// The largest `memory` of any flow's `[[oracle]]`, in bytes.
    pub max_memory: usize,
    pub compile: CompileOptions,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            cache: None,
            max_memory: 64 << 20,
            compile: CompileOptions::default(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("set up the wasm engine: {0:#}")]
pub struct EngineError(#[from] wasmtime::Error);

/// Compiles and runs components. One per process: it owns the pool that
/// instances come from.
pub struct Engine {
    pub(super) wasmtime: wasmtime::Engine,
    pub(super) linker: Linker<Guest>,
    pub(super) cache: Option<Cache>,
    pub(super) compiler: Compiler,
    pub(super) failures: Failures,
    pub(super) slots: Arc<Slots>,
    pub(super) max_memory: usize,
}

impl Engine {
    /// # Errors
    /// Where the engine cannot run on this machine at all. A pool that cannot
    /// be reserved or a cache that cannot be used is only warned about.
    pub fn new(options: &EngineOptions) -> Result<Self, EngineError> {
        let slots = slots();
        let mut without_pool = None;
        let wasmtime = match wasmtime::Engine::new(&pooling(options, slots)) {
            Ok(engine) => engine,
            Err(error) => {
                warn!(
                    error = format!("{error:#}"),
                    "no address space for the instance pool, instances are allocated on demand and cost twice as much"
                );
                without_pool = Some(options.max_memory as u64);
                wasmtime::Engine::new(&compiling(without_pool))?
            }
        };
        let linker = guest::linker(&wasmtime)?;
        tick(wasmtime.weak())?;
        Ok(Self {
            cache: options.cache.as_deref().and_then(|dir| {
                Cache::open(dir, &wasmtime)
                    .inspect_err(|error| {
                        warn!(dir = %dir.display(), %error, "compile cache not used, oracles are compiled at every start");
                    })
                    .ok()
            }),
            compiler: Compiler::new(options.compile.clone(), without_pool),
            failures: Failures::default(),
            wasmtime,
            linker,
            slots: Arc::new(Slots::new(slots)),
            max_memory: options.max_memory,
        })
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Nothing here is asynchronous, and the bookkeeping costs 0.5 us a call.
        .concurrency_support(false)
        .gc_support(false)
        .shared_memory(false)
        // The same entry gives the same verdict, on any machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}

/// As many batches at once as there are cores, and no fewer than eight.
fn slots() -> u32 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores).unwrap_or(u32::MAX).clamp(8, 64)
}

/// A pool in which `slots` components always find room, however many
/// instances, memories and tables each of them uses; four times as many of
/// the usual size do.
fn pooling(options: &EngineOptions, slots: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots * 4)
        .total_core_instances(slots * CORE_INSTANCES)
        .total_memories(slots * MEMORIES * 2)
        .total_tables(slots * TABLES * 2)
        .max_memory_size(options.max_memory.next_multiple_of(64 << 10))
        .max_component_instance_size(16 << 20)
        .max_core_instance_size(16 << 20)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .table_elements(TABLE_ELEMENTS)
        // Measured: a fresh instance costs 14 us with these three, 25 without.
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

/// What code is compiled for: an engine with a pool, or one whose address
/// space is limited and whose memories have at most so many bytes. The latter
/// reserves no more than that, instead of the 4 GiB each that save the bounds
/// checks.
pub(super) fn compiling(without_pool: Option<u64>) -> Config {
    let mut config = config();
    if let Some(max_memory) = without_pool {
        config
            .memory_reservation(max_memory)
            .memory_reservation_for_growth(0)
            .memory_guard_size(64 << 10);
    }
    config
}

/// Raises the epoch every millisecond, from a thread of its own: a runtime
/// whose threads are all busy judging would never come to it. Ends with the engine.
fn tick(engine: EngineWeak) -> wasmtime::Result<()> {
    ORACLE_EPOCH.on_a_thread(move || {
        loop {
            thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    })?;
    Ok(())
}

/// How many instances may live at once. The pool refuses one too many, and
/// that refusal would look like a fault of the oracle.
pub(super) struct Slots {
    free: Mutex<u32>,
    freed: Condvar,
}

impl Slots {
    fn new(free: u32) -> Self {
        Self {
            free: Mutex::new(free),
            freed: Condvar::new(),
        }
    }

    /// Blocks until there is room, at most for the deadlines of those before.
    pub(super) fn take(&self) -> Slot<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .freed
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Slot(self)
    }
}

pub(super) struct Slot<'a>(&'a Slots);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
