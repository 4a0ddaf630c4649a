//! The process that compiles: a component comes in on standard input, its code
//! goes out on standard output.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use clap::Args;
use rustix::process::{Resource, Rlimit, Signal};

use crate::component::MAX_COMPONENT;
use crate::engine;
use crate::words::cut;

/// The exit code that says: standard output has the reason, not the code.
pub(super) const REFUSED: u8 = 3;
/// Bytes of that reason.
pub(super) const REASON: usize = 2 << 10;

/// Judging and answering go first: on a busy machine a compiler gets a tenth of
/// what they get, and on an idle one it is as fast as ever.
const NICENESS: i32 = 10;

/// `floodgate compile-component`, which only another floodgate starts.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Private memory, in bytes
    #[arg(long)]
    memory: u64,
    /// Processor time, in seconds
    #[arg(long)]
    seconds: u64,
    /// Largest memory of an instance, where there is no pool, in bytes
    #[arg(long)]
    on_demand: Option<u64>,
}

/// Compiles one component within the limits that it sets itself first.
pub fn run(arguments: &Arguments) -> ExitCode {
    match compile(arguments) {
        Ok(Ok(code)) => written(&code, ExitCode::SUCCESS),
        Ok(Err(reason)) => written(reason.as_bytes(), ExitCode::from(REFUSED)),
        Err(error) => {
            io::stderr().write_all(error.to_string().as_bytes()).ok();
            ExitCode::FAILURE
        }
    }
}

fn written(bytes: &[u8], code: ExitCode) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => code,
        // Nobody waits for it any more.
        Err(_) => ExitCode::FAILURE,
    }
}

fn compile(arguments: &Arguments) -> io::Result<Result<Vec<u8>, String>> {
    // Not for the whole address space: that would count what is only reserved.
    limit(Resource::Data, arguments.memory, arguments.memory)?;
    // Only SIGXCPU, at the first of the two, says why it ended: at the second
    // one the kernel sends SIGKILL.
    limit(
        Resource::Cpu,
        arguments.seconds,
        arguments.seconds.saturating_add(5),
    )?;
    limit(Resource::Core, 0, 0)?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // Threads inherit the priority, so it is set before any thread is started. If the
    // system does not allow that, the compiler runs with the usual priority.
    rustix::process::setpriority_process(None, NICENESS).ok();
    let mut bytes = Vec::new();
    io::stdin().take(MAX_COMPONENT).read_to_end(&mut bytes)?;
    let engine = wasmtime::Engine::new(&engine::compiling(arguments.on_demand));
    let engine = engine.map_err(io::Error::other)?;
    let compiled = engine.precompile_component(&bytes);
    Ok(compiled.map_err(|error| refusal(&error)))
}

fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let limit = Rlimit {
        current: Some(soft),
        maximum: Some(hard),
    };
    Ok(rustix::process::setrlimit(resource, limit)?)
}

/// Why a component cannot be compiled, in a few words.
pub(super) fn refusal(error: &wasmtime::Error) -> String {
    cut(format!("{error:#}"), REASON)
}
