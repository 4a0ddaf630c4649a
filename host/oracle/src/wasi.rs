//! The part of WASI that an oracle may import: enough for a JavaScript or
//! Python runtime to start, nothing that differs from run to run, nothing
//! that waits. There are no files, no arguments, no environment and no
//! sockets; the clock stands still, timers are ready at once, and the random
//! source is a constant.

use async_trait::async_trait;
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random, sync};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::random::{Deterministic, WasiRandom, WasiRandomView as _};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::guest::Guest;
use super::words::{LastWords, StandardError};

/// Interfaces that are given to an oracle, without their versions (0.2.x).
pub(super) const GIVEN: [&str; 20] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Handles that a guest may hold at once: each costs the host memory.
const HANDLES: usize = 4096;
/// Bytes of one answer of the random source.
const RANDOM_BYTES: u64 = 1 << 20;

/// Made when the guest first calls WASI: most oracles never do.
pub(super) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl Wasi {
    fn new(words: LastWords) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(HANDLES);
        let ctx = WasiCtx::builder()
            .stderr(StandardError(words))
            .secure_random(Deterministic::new(vec![0]))
            .insecure_random(Deterministic::new(vec![0]))
            .insecure_random_seed(0)
            .max_random_size(RANDOM_BYTES)
            .build();
        Self { ctx, table }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let words = &self.words;
        let wasi = (self.wasi).get_or_insert_with(|| Box::new(Wasi::new(words.clone())));
        WasiCtxView {
            ctx: &mut wasi.ctx,
            table: &mut wasi.table,
        }
    }
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    cli::environment::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, Guest::cli)?;
    wall_clock::add_to_linker::<_, StoppedClock<'static>>(linker, stopped_clock)?;
    monotonic_clock::add_to_linker::<_, StoppedClock<'static>>(linker, stopped_clock)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, Guest::filesystem)?;
    sync::filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, Guest::filesystem)?;
    wasmtime_wasi::p2::bindings::io::error::add_to_linker::<_, Handles>(linker, handles)?;
    sync::io::poll::add_to_linker::<_, Handles>(linker, handles)?;
    sync::io::streams::add_to_linker::<_, Handles>(linker, handles)?;
    random::random::add_to_linker::<_, WasiRandom>(linker, Guest::random)?;
    random::insecure::add_to_linker::<_, WasiRandom>(linker, Guest::random)?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(linker, Guest::random)?;
    Ok(())
}

struct Handles;

impl HasData for Handles {
    type Data<'a> = &'a mut ResourceTable;
}

fn handles(guest: &mut Guest) -> &mut ResourceTable {
    guest.ctx().table
}

/// A clock at which it is always the same moment. wasmtime-wasi's own timers
/// would wait on the host's clock, whatever clock they are given.
struct StoppedClock<'a>(&'a mut ResourceTable);

impl HasData for StoppedClock<'static> {
    type Data<'a> = StoppedClock<'a>;
}

fn stopped_clock(guest: &mut Guest) -> StoppedClock<'_> {
    StoppedClock(guest.ctx().table)
}

impl wall_clock::Host for StoppedClock<'_> {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime {
            seconds: 0,
            nanoseconds: 0,
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime {
            seconds: 1,
            nanoseconds: 0,
        })
    }
}

impl monotonic_clock::Host for StoppedClock<'_> {
    fn now(&mut self) -> wasmtime::Result<monotonic_clock::Instant> {
        Ok(0)
    }

    fn resolution(&mut self) -> wasmtime::Result<monotonic_clock::Duration> {
        Ok(1_000_000_000)
    }

    fn subscribe_instant(
        &mut self,
        _: monotonic_clock::Instant,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = self.0.push(Ready)?;
        subscribe(self.0, timer)
    }

    fn subscribe_duration(
        &mut self,
        _: monotonic_clock::Duration,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.subscribe_instant(0)
    }
}

struct Ready;

#[async_trait]
impl Pollable for Ready {
    async fn ready(&mut self) {}
}
