//! Starts the process that compiles, and says what became of it.

use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use rustix::process::{Pid, Signal};

use super::CompileLimits;
use super::child::{REASON, REFUSED};
use crate::component::LoadError;
use crate::words::cut;

/// Wall time for each unit of processor time: so busy a machine may be. Only
/// a process that hangs comes to the end of it.
const PATIENCE: u32 = 10;
/// Bytes of its last words that are kept.
const WORDS: u64 = 1 << 10;

pub(super) fn compile(
    program: &Path,
    limits: CompileLimits,
    on_demand: Option<u64>,
    bytes: &[u8],
) -> Result<Vec<u8>, LoadError> {
    let ended = run(program, limits, on_demand, bytes);
    let ended = ended.map_err(|error| LoadError::NoCompiler(error.to_string()))?;
    let status = ended.status;
    if status.success() {
        return Ok(ended.out);
    }
    if status.code() == Some(i32::from(REFUSED)) {
        let reason = String::from_utf8_lossy(&ended.out).into_owned();
        // What the kernel refuses a compiler can come as an error, too.
        return Err(match is_of_memory(&reason) {
            true => LoadError::CompileMemory(limits.memory),
            false => LoadError::Invalid(cut(reason, REASON)),
        });
    }
    let words = String::from_utf8_lossy(&ended.words).into_owned();
    let by = |signals: &[Signal]| {
        let by = status.signal();
        signals.iter().any(|signal| by == Some(signal.as_raw()))
    };
    if ended.too_long || by(&[Signal::XCPU]) {
        return Err(LoadError::CompileTime(limits.time));
    }
    if ended.too_large || is_of_memory(&words) {
        return Err(LoadError::CompileMemory(limits.memory));
    }
    if by(&[Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT]) {
        return Err(LoadError::NoCompiler(format!(
            "somebody stopped it ({status})"
        )));
    }
    Err(LoadError::CompilerEnded {
        status,
        words: cut(words, REASON),
    })
}

/// As Rust's allocator, the kernel and wasmtime say it.
fn is_of_memory(words: &str) -> bool {
    ["memory allocation of", "os error 12", "out of memory"]
        .iter()
        .any(|said| words.contains(said))
}

struct Ended {
    status: ExitStatus,
    out: Vec<u8>,
    words: Vec<u8>,
    too_long: bool,
    too_large: bool,
}

fn run(
    program: &Path,
    limits: CompileLimits,
    on_demand: Option<u64>,
    bytes: &[u8],
) -> io::Result<Ended> {
    let mut command = Command::new(program);
    command
        .arg("compile-component")
        .arg(format!("--memory={}", limits.memory.as_u64()))
        // Not zero, which would end it before it begins.
        .arg(format!("--seconds={}", limits.time.as_secs().max(1)))
        .args(on_demand.map(|bytes| format!("--on-demand={bytes}")))
        .env_clear()
        // What the allocator takes in advance counts as taken.
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // A group of its own: who stops this program on a terminal does not mean it.
    command.process_group(0);
    let mut child = command.spawn()?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(mut stderr)) = pipes else {
        return Err(io::Error::other("it has no pipes"));
    };
    let pid = pid(&child);
    let (done, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        // One that ends early does not read to the end.
        scope.spawn(move || stdin.write_all(bytes).ok());
        let words = scope.spawn(move || {
            let mut words = Vec::new();
            stderr.by_ref().take(WORDS).read_to_end(&mut words).ok();
            io::copy(&mut stderr, &mut io::sink()).ok();
            words
        });
        let hanging = scope.spawn(move || {
            let most = limits.time.saturating_mul(PATIENCE);
            let hangs = ended.recv_timeout(most) == Err(RecvTimeoutError::Timeout);
            if hangs {
                kill(pid);
            }
            hangs
        });
        // Its memory had no room for more.
        let most = limits.memory.as_u64();
        let mut out = Vec::new();
        let read = stdout.take(most + 1).read_to_end(&mut out);
        let too_large = out.len() as u64 > most;
        if too_large || read.is_err() {
            kill(pid);
        }
        drop(done);
        let too_long = hanging.join().unwrap_or_default();
        let status = child.wait()?;
        read?;
        Ok(Ended {
            status,
            out,
            words: words.join().unwrap_or_default(),
            too_long,
            too_large,
        })
    })
}

fn pid(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// It was not waited for, so the number is still its own.
fn kill(pid: Option<Pid>) {
    if let Some(pid) = pid {
        rustix::process::kill_process(pid, Signal::KILL).ok();
    }
}
