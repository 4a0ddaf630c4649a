//! What an instance sees of the host, and what it may take from it.

use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tracing::{debug, info, warn};
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{ResourceLimiter, Store, Trap, UpdateDeadline};

use super::engine::{CORE_INSTANCES, MEMORIES, TABLE_ELEMENTS, TABLES, TICK};
use super::wasi::{self, Wasi};
use super::words::{LastWords, cut};
use floodgate_flow::OracleSettings;

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "oracle",
    ownership: Borrowing { duplicate_if_necessary: true },
});

/// Log lines of one batch; what is said beyond is counted.
const LOG_LINES: u32 = 16;
/// The level of what is no log line, but why the guest is about to trap: part
/// of the fault, because it may quote a body.
const PANIC: &str = "panic";
/// Bytes of one log line.
const LOG_LINE: usize = 1 << 10;
/// Bytes that one call may hand to the host. The largest answer that is
/// accepted, 256 verdicts with 64 reasons of 128 bytes and an output of
/// 64 KiB each, is 18 MiB.
const HANDED_OVER: usize = 32 << 20;

/// The data of a store: one instance, one batch.
pub(super) struct Guest {
    name: Arc<str>,
    settings: Arc<OracleSettings>,
    limiter: Limiter,
    said: u32,
    pub(super) words: LastWords,
    pub(super) wasi: Option<Box<Wasi>>,
}

pub(super) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    Oracle::add_to_linker::<_, HasSelf<_>>(&mut linker, |guest| guest)?;
    wasi::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// A store for one fresh instance with so many bytes of memory and so many
/// ticks to live.
pub(super) fn store(
    engine: &wasmtime::Engine,
    name: &Arc<str>,
    settings: &Arc<OracleSettings>,
    memory: usize,
    ticks: u64,
) -> Store<Guest> {
    let guest = Guest {
        name: Arc::clone(name),
        settings: Arc::clone(settings),
        limiter: Limiter { memory, taken: 0 },
        said: 0,
        words: LastWords::default(),
        wasi: None,
    };
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| &mut guest.limiter);
    store.set_hostcall_fuel(HANDED_OVER);
    store.set_epoch_deadline(ticks);
    store
}

/// Ends the instance once its thread has used this much processor time and a
/// tick, instead of after so many ticks.
pub(super) fn count_processor_time(store: &mut Store<Guest>, timeout: Duration) {
    let ends = processor_time() + timeout + 2 * TICK;
    store.epoch_deadline_callback(move |_| match processor_time() < ends {
        true => Ok(UpdateDeadline::Continue(1)),
        false => Err(Trap::Interrupt.into()),
    });
}

/// The processor time that this thread has used since it began.
pub(super) fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(used.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(used.tv_nsec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}

impl Guest {
    /// Says how many lines were dropped, if any were.
    pub(super) fn close_log(&self) {
        let dropped = self.said.saturating_sub(LOG_LINES);
        if dropped > 0 {
            warn!(target: "oracle", name = &*self.name, dropped, "log lines dropped");
        }
    }
}

impl floodgate::oracle::types::Host for Guest {}

impl floodgate::oracle::settings::Host for Guest {
    fn get(&mut self, key: String) -> Option<String> {
        self.settings.values.get(&key).cloned()
    }
}

impl floodgate::oracle::log::Host for Guest {
    fn write(&mut self, level: String, message: String) {
        if level == PANIC {
            return self.words.add(message.as_bytes());
        }
        self.said = self.said.saturating_add(1);
        if self.said > LOG_LINES {
            return;
        }
        let (name, line) = (&*self.name, &*cut(message, LOG_LINE));
        match level.as_str() {
            // Not ERROR: that is for what a person must look at, and the host decides it.
            "error" | "warn" => warn!(target: "oracle", name, level, line, "oracle says"),
            "info" => info!(target: "oracle", name, level, line, "oracle says"),
            _ => debug!(target: "oracle", name, line, "oracle says"),
        }
    }
}

/// Growing beyond a limit traps with this, so that it can be told from other
/// traps; a guest that was answered -1 would abort without saying why.
#[derive(Debug, thiserror::Error)]
pub(super) enum OverLimit {
    #[error("asked for {wanted} bytes of memory, and `memory` of its [[oracle]] allows {limit}")]
    Memory { wanted: usize, limit: usize },
    #[error("asked for a table of {wanted} elements, and {TABLE_ELEMENTS} are allowed")]
    Table { wanted: usize },
    #[error("asked for a memory or table that the instance pool does not have")]
    Pool,
}

struct Limiter {
    /// Bytes, over all memories of the instance.
    memory: usize,
    taken: usize,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.taken.saturating_add(desired.saturating_sub(current));
        if wanted > self.memory {
            return Err(OverLimit::Memory {
                wanted,
                limit: self.memory,
            }
            .into());
        }
        self.taken = wanted;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Err(OverLimit::Pool.into())
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            return Err(OverLimit::Table { wanted: desired }.into());
        }
        Ok(true)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Err(OverLimit::Pool.into())
    }

    // The pool has these limits, too; without the pool nothing else would.
    fn instances(&self) -> usize {
        CORE_INSTANCES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }
}
