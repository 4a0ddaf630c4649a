use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytesize::ByteSize;
use wasmtime::Store;
use wasmtime::component::Component;

use super::cache::{self, InUse};
use super::compiler::REMEMBERED;
use super::contract::{self, Part};
use super::engine::{Engine, Slots};
use super::guest::{self, Guest, OraclePre};
use super::judge::trap_text;
use super::words::cut;
use floodgate_flow::{Digest, OracleSettings};
use tracing::warn;

/// Bytes of the largest component that is loaded; Python oracles have 18 MB.
pub(super) const MAX_COMPONENT: u64 = 64 << 20;
/// Until a compiler that did not start is started again.
const SOON: Duration = Duration::from_secs(10);
/// Ticks for the first instance: generous, since only a start function that
/// never ends is to be found out.
const FIRST_INSTANCE: u64 = 5_000;

/// A component that fits the contract, compiled and ready to judge. Loading
/// is expensive, judging with it is not.
pub struct Oracle {
    pub(super) name: Arc<str>,
    pub(super) pre: OraclePre<Guest>,
    pub(super) slots: Arc<Slots>,
    digest: Digest,
    size: usize,
    compile_time: Duration,
    from_cache: bool,
    parts: Vec<Part>,
    imports_random: bool,
    _in_cache: Option<InUse>,
}

/// Why a file is no oracle, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{size} bytes are more than the {MAX_COMPONENT} that a component may have")]
    TooLarge { size: u64 },
    #[error("not WebAssembly: build it with `floodgate oracle build`")]
    NotWasm,
    #[error(
        "a core module, not a component: build it with `floodgate oracle build`, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    #[error("cut short, damaged, or in need of a wasm feature that is off: {0}")]
    Invalid(String),
    #[error("has more parts than one instance may: {0}; build it from fewer modules")]
    TooManyParts(String),
    #[error(
        "compiling it took more than {0} of memory: make it smaller, or raise --compile-memory"
    )]
    CompileMemory(ByteSize),
    #[error(
        "compiling it took more than {} of processor time: make it smaller, or raise --compile-time",
        humantime::format_duration(*.0)
    )]
    CompileTime(Duration),
    #[error("its compiler ended without an answer ({status}): {words}")]
    CompilerEnded { status: ExitStatus, words: String },
    /// Says nothing of the component.
    #[error("its compiler does not start: {0}")]
    NoCompiler(String),
    #[error(
        "{error} (found less than an hour ago; it is tried again after that, or when it is dropped again)"
    )]
    FailedBefore { error: String, again_in: Duration },
    #[error("does not fit wit/oracle.wit: {}", list(.0))]
    DoesNotFit(Vec<Part>),
    #[error("does not start: {0}")]
    DoesNotStart(String),
}

impl LoadError {
    /// Whether it took all that a compilation may take, and would again.
    fn is_of_the_limits(&self) -> bool {
        matches!(
            self,
            Self::CompileMemory(_) | Self::CompileTime(_) | Self::CompilerEnded { .. }
        )
    }

    /// When to try again by itself, where that may help.
    pub(super) fn again_in(&self) -> Option<Duration> {
        match self {
            Self::FailedBefore { again_in, .. } => Some(*again_in),
            error if error.is_of_the_limits() => Some(REMEMBERED),
            Self::NoCompiler(_) => Some(SOON),
            _ => None,
        }
    }
}

/// Bytes of what is said of a component that does not load.
const ERROR: usize = 2 << 10;

fn list(parts: &[Part]) -> String {
    let misfits: Vec<String> = parts
        .iter()
        .filter(|part| part.misfit.is_some())
        .map(Part::to_string)
        .collect();
    // Names are the component's own choice: this goes to logs and heartbeats.
    cut(misfits.join(" | "), ERROR)
}

impl Oracle {
    /// Compiles a component, or takes it from the cache, and proves that it
    /// fits and starts. Takes from milliseconds to minutes: not on a runtime thread.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(engine: &Engine, bytes: &[u8]) -> Result<Self, LoadError> {
        Self::load_written(engine, bytes, SystemTime::UNIX_EPOCH)
    }

    /// As [`Oracle::load`], of a file that was last written at `written`: one
    /// that could not be compiled before that is tried again.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load_written(
        engine: &Engine,
        bytes: &[u8],
        written: SystemTime,
    ) -> Result<Self, LoadError> {
        must_be_a_component(bytes)?;
        let digest = Digest::of(bytes);
        let started = Instant::now();
        let Compiled {
            component,
            from_cache,
            in_cache,
        } = compiled(engine, digest, bytes, written)?;
        let compile_time = started.elapsed();
        let parts = contract::compare(&component, &engine.wasmtime);
        if parts.iter().any(|part| part.misfit.is_some()) {
            return Err(LoadError::DoesNotFit(parts));
        }
        // What compare() lets through can still fail here: the functions of
        // WASI are not compared one by one.
        let pre = engine
            .linker
            .instantiate_pre(&component)
            .and_then(OraclePre::new)
            .map_err(|error| LoadError::DoesNotStart(cut(format!("{error:#}"), ERROR)))?;
        let oracle = Self {
            imports_random: contract::imports_random(&component, &engine.wasmtime),
            name: Arc::from("unnamed"),
            pre,
            slots: Arc::clone(&engine.slots),
            digest,
            size: bytes.len(),
            compile_time,
            from_cache,
            parts,
            _in_cache: in_cache,
        };
        oracle.start_once(engine)?;
        Ok(oracle)
    }

    /// The name that the guest's log lines carry.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Bytes of the component.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What it took to compile it, or to read it from the cache.
    pub fn compile_time(&self) -> Duration {
        self.compile_time
    }

    pub fn from_cache(&self) -> bool {
        self.from_cache
    }

    /// Whether it has a source of chance. It is always the same one, so an
    /// entry's verdict depends on how often others of its batch drew before it.
    pub fn imports_random(&self) -> bool {
        self.imports_random
    }

    /// Its imports and exports; all of them fit.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn start_once(&self, engine: &Engine) -> Result<(), LoadError> {
        let _slot = self.slots.take();
        let settings = Arc::new(OracleSettings::default());
        let mut store: Store<Guest> = guest::store(
            &engine.wasmtime,
            &self.name,
            &settings,
            engine.max_memory,
            FIRST_INSTANCE,
        );
        match self.pre.instantiate(&mut store) {
            Ok(_) => Ok(()),
            Err(error) => Err(LoadError::DoesNotStart(trap_text(
                &error,
                &store.data().words,
            ))),
        }
    }
}

/// Magic, then version: 1 is a core module, 13 with layer 1 a component.
fn must_be_a_component(bytes: &[u8]) -> Result<(), LoadError> {
    let size = bytes.len() as u64;
    if size > MAX_COMPONENT {
        return Err(LoadError::TooLarge { size });
    }
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', 1, 0, 0, 0]) => Err(LoadError::CoreModule),
        Some([0, b'a', b's', b'm', ..]) => Ok(()),
        _ => Err(LoadError::NotWasm),
    }
}

struct Compiled {
    component: Component,
    from_cache: bool,
    in_cache: Option<InUse>,
}

fn compiled(
    engine: &Engine,
    digest: Digest,
    bytes: &[u8],
    written: SystemTime,
) -> Result<Compiled, LoadError> {
    let cache = engine.cache.as_ref();
    if let Some((code, in_cache)) = cache.and_then(|cache| cache.get_code(digest)) {
        match cache::code(&engine.wasmtime, &code) {
            Ok(component) => {
                return Ok(Compiled {
                    component,
                    from_cache: true,
                    in_cache,
                });
            }
            Err(error) => warn!(
                error = format!("{error:#}"),
                "cached component not usable, compiling it again"
            ),
        }
    }
    if let Some(failed) = engine
        .failures
        .of(cache, digest, written, SystemTime::now())
    {
        return Err(failed);
    }
    let compiled = engine.compiler.compile(&engine.wasmtime, bytes);
    let code = compiled.inspect_err(|error| {
        if error.is_of_the_limits() {
            engine.failures.remember(cache, digest, error);
        }
    })?;
    // It is valid: what is left is what the pool has no room for.
    let component = cache::code(&engine.wasmtime, &code)
        .map_err(|error| LoadError::TooManyParts(cut(format!("{error:#}"), ERROR)))?;
    Ok(Compiled {
        component,
        from_cache: false,
        in_cache: cache.and_then(|cache| cache.put_code(digest, &code)),
    })
}
