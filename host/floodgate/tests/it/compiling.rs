//! Components that are made to take much from whoever compiles them.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use floodgate_oracle_host::{
    CompileLimits, CompileOptions, Engine, EngineOptions, LoadError, Oracle,
};
use hyper::StatusCode;
use serde_json::json;

use crate::host::{self, DEADLINE, Ground, Host, MEMPOOL_RISK, Site, drainer, repository};
use crate::support::{self, eventually};

fn engine(cache: Option<&Path>, limits: CompileLimits) -> Engine {
    let compile = CompileOptions {
        program: Some(env!("CARGO_BIN_EXE_floodgate").into()),
        limits,
    };
    Engine::new(&EngineOptions {
        cache: cache.map(Path::to_owned),
        compile,
        ..EngineOptions::default()
    })
    .unwrap()
}

/// A function of a few kilobytes: every local is another one in every loop, so
/// that a compiler has to tell `many` times `many` of them apart.
fn heavy(many: usize) -> Vec<u8> {
    let mut text = "(component (core module (func (param i32) (local".to_owned();
    text.push_str(&" i64".repeat(many));
    text.push(')');
    for n in 0..many {
        write!(text, "(loop $l{n} ").unwrap();
    }
    for n in 1..=many {
        write!(
            text,
            "(local.set {n} (i64.add (local.get {n}) (i64.const {n})))"
        )
        .unwrap();
    }
    for n in (0..many).rev() {
        write!(text, "(br_if $l{n} (local.get 0)))").unwrap();
    }
    text.push_str(")))");
    wat::parse_str(text).unwrap()
}

fn refusal(engine: &Engine, bytes: &[u8]) -> LoadError {
    Oracle::load(engine, bytes).err().unwrap()
}

#[test]
fn what_another_process_compiled_is_an_oracle_as_any_other() {
    let cache = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(repository().join(MEMPOOL_RISK)).unwrap();
    let engine = || engine(Some(cache.path()), CompileLimits::default());
    assert!(!Oracle::load(&engine(), &bytes).unwrap().from_cache());
    assert!(Oracle::load(&engine(), &bytes).unwrap().from_cache());
}

#[test]
fn what_is_no_component_is_told_by_the_process_that_compiles() {
    let bytes = std::fs::read(repository().join(MEMPOOL_RISK)).unwrap();
    let half = &bytes[..bytes.len() / 2];
    let error = refusal(&engine(None, CompileLimits::default()), half);
    assert!(matches!(error, LoadError::Invalid(_)), "{error}");
}

#[test]
fn a_component_that_takes_too_much_memory_is_refused_and_remembered() {
    let cache = tempfile::tempdir().unwrap();
    let limits = CompileLimits {
        memory: ByteSize::mib(96),
        ..CompileLimits::default()
    };
    let (bytes, first) = (heavy(1000), engine(Some(cache.path()), limits));
    let before = SystemTime::now();
    let error = refusal(&first, &bytes);
    assert!(matches!(error, LoadError::CompileMemory(_)), "{error}");
    assert!(error.to_string().contains("--compile-memory"), "{error}");

    let remembered = |error: &LoadError| matches!(error, LoadError::FailedBefore { .. });
    for engine in [first, engine(Some(cache.path()), limits)] {
        let error = refusal(&engine, &bytes);
        assert!(remembered(&error), "after a restart, too: {error}");
        let error = Oracle::load_written(&engine, &bytes, before).err().unwrap();
        assert!(remembered(&error), "it lay there before: {error}");
    }
    let dropped_again = SystemTime::now() + Duration::from_secs(1);
    let engine = engine(Some(cache.path()), limits);
    let error = Oracle::load_written(&engine, &bytes, dropped_again)
        .err()
        .unwrap();
    assert!(matches!(error, LoadError::CompileMemory(_)), "{error}");
}

#[test]
fn a_component_that_takes_too_much_time_is_refused() {
    let limits = CompileLimits {
        time: Duration::from_secs(1),
        ..CompileLimits::default()
    };
    let error = refusal(&engine(None, limits), &heavy(300));
    assert!(matches!(error, LoadError::CompileTime(_)), "{error}");
    assert!(error.to_string().contains("--compile-time"), "{error}");
}

#[test]
fn code_of_another_cache_or_another_component_is_not_taken() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bytes = std::fs::read(repository().join(MEMPOOL_RISK)).unwrap();
    let other = std::fs::read(repository().join(host::UNIFORM_RISK)).unwrap();
    let load = |dir: &Path, bytes: &[u8]| {
        let engine = engine(Some(dir), CompileLimits::default());
        Oracle::load(&engine, bytes).unwrap().from_cache()
    };
    let code = |dir: &Path, bytes: &[u8]| {
        let digest = floodgate_flow::Digest::of(bytes).to_string();
        let files = std::fs::read_dir(dir).unwrap();
        let mut files = files.map(|file| file.unwrap().path());
        let of_digest = |path: &std::path::PathBuf| path.to_str().unwrap().contains(&digest);
        files.find(of_digest).unwrap()
    };
    for bytes in [&bytes, &other] {
        assert!(!load(ours.path(), bytes));
    }
    assert!(!load(theirs.path(), &bytes));
    let place = code(ours.path(), &bytes);
    for foreign in [code(theirs.path(), &bytes), code(ours.path(), &other)] {
        std::fs::copy(&foreign, &place).unwrap();
        assert!(!load(ours.path(), &bytes), "{}", foreign.display());
        assert!(load(ours.path(), &bytes), "it was made again");
    }
}

#[tokio::test]
async fn a_flow_whose_oracle_takes_long_to_compile_keeps_no_other_waiting() {
    let cache = tempfile::tempdir().unwrap();
    let site = Site::of_flows(Ground::embedded().await, &["transactions", "tasks"]);
    site.drop_as("task-echo", "plugins/dist/task-echo.wasm");
    std::fs::write(site.oracles.path().join("mempool-risk.wasm"), heavy(1000)).unwrap();
    let cache = cache.path().to_str().unwrap();
    let env = [
        ("FLOODGATE_CACHE", cache),
        // It is stopped by the end of the test, not by these.
        ("FLOODGATE_COMPILE_MEMORY", "8GiB"),
        ("FLOODGATE_COMPILE_TIME", "1h"),
    ];
    let host = Host::start_in(site, &env).await;
    let base = host.url.trim_end_matches("/transactions").to_owned();
    let (status, ..) = support::request(
        "POST",
        &format!("{base}/tasks"),
        &[("content-type", "application/json")],
        json!({"payload": "hello"}).to_string(),
    )
    .await;
    assert_eq!(status, StatusCode::CREATED);
    eventually(DEADLINE, "the task is decided", async || {
        host.cli(&["decisions", "tasks"]).contains("tasks")
    })
    .await;

    let (status, _) = host.post(&drainer(1)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let listed = host.cli(&["oracles"]);
    assert!(listed.contains("compiling"), "{listed}");
}
