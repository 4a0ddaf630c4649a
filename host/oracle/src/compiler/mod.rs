//! Compiles components in a process of its own. A component can be made so
//! that its compilation takes gigabytes or hours: that process has limits, and
//! only that one component is refused.

mod child;
mod failures;
mod process;

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use clap::Args;

pub use self::child::{Arguments as ChildArguments, run as run_child};
pub(super) use self::failures::{Failures, REMEMBERED};
use super::component::LoadError;

/// Where and within which limits components are compiled.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// The `floodgate` that is started for each compilation. `None`: this
    /// process compiles, and nothing limits it; for tests and benchmarks.
    pub program: Option<PathBuf>,
    pub limits: CompileLimits,
}

/// What one compilation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct CompileLimits {
    /// Memory that compiling one oracle may take; one that takes more is refused
    #[arg(id = "compile_memory", long = "compile-memory", env = "FLOODGATE_COMPILE_MEMORY", default_value_t = Self::MEMORY, value_name = "SIZE")]
    pub memory: bytesize::ByteSize,

    /// Processor time that compiling one oracle may take; one that takes more is refused
    #[arg(id = "compile_time", long = "compile-time", env = "FLOODGATE_COMPILE_TIME", default_value = "2m", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub time: Duration,
}

impl CompileLimits {
    /// Measured: a Python component of 18 MB takes 400 MB on two threads.
    const MEMORY: bytesize::ByteSize = bytesize::ByteSize::gib(1);
    const TIME: Duration = Duration::from_secs(120);
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self {
            memory: Self::MEMORY,
            time: Self::TIME,
        }
    }
}

static THIS_PROGRAM: OnceLock<CompileOptions> = OnceLock::new();

/// Notes that this process is `floodgate` itself, and can be started again
/// to compile: from now on that is what [`CompileOptions::default`] says.
pub fn this_is_floodgate(limits: CompileLimits) {
    // Not the path of the executable: a newer one may lie there by now, and
    // its code would not be for this process.
    let program = Some(PathBuf::from("/proc/self/exe"));
    THIS_PROGRAM.set(CompileOptions { program, limits }).ok();
}

impl Default for CompileOptions {
    fn default() -> Self {
        let of_tests = || Self {
            program: None,
            limits: CompileLimits::default(),
        };
        THIS_PROGRAM.get().cloned().unwrap_or_else(of_tests)
    }
}

/// Compiles for one engine.
pub(super) struct Compiler {
    options: CompileOptions,
    /// Bytes of the largest memory, where instances are allocated on demand:
    /// code depends on it.
    on_demand: Option<u64>,
}

impl Compiler {
    pub fn new(options: CompileOptions, on_demand: Option<u64>) -> Self {
        Self { options, on_demand }
    }

    /// Returns the code of a component, as [`super::cache::code`] takes it.
    ///
    /// # Errors
    /// [`LoadError::Invalid`] where it is no valid component;
    /// [`LoadError::CompileMemory`], [`LoadError::CompileTime`] and
    /// [`LoadError::CompilerEnded`] where it cannot be compiled within the
    /// limits; [`LoadError::NoCompiler`] where it was not tried.
    pub fn compile(&self, engine: &wasmtime::Engine, bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
        let _turn = TURNS.take(bytes.len());
        match &self.options.program {
            Some(program) => process::compile(program, self.options.limits, self.on_demand, bytes),
            None => engine
                .precompile_component(bytes)
                .map_err(|error| LoadError::Invalid(child::refusal(&error))),
        }
    }
}

/// Compilations at a time. A heavy one keeps one of them for minutes, and the
/// others wait for none of it; each may take the memory of the limit.
const AT_A_TIME: usize = 4;

static TURNS: Turns = Turns {
    state: Mutex::new(State {
        running: 0,
        waiting: Vec::new(),
    }),
    changed: Condvar::new(),
};

/// Whose turn it is to compile: the smallest of those that wait.
struct Turns {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    running: usize,
    /// Bytes of the components that wait.
    waiting: Vec<usize>,
}

impl Turns {
    fn take(&self, size: usize) -> Turn<'_> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting.push(size);
        let mut state = self
            .changed
            .wait_while(state, |state| {
                state.running >= AT_A_TIME || state.waiting.iter().min() != Some(&size)
            })
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = state.waiting.iter().position(|waiting| *waiting == size) {
            state.waiting.swap_remove(at);
        }
        state.running += 1;
        // The next smallest may have its turn as well.
        self.changed.notify_all();
        Turn(self)
    }
}

struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running -= 1;
        self.0.changed.notify_all();
    }
}
