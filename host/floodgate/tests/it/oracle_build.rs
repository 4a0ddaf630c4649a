//! The oracles as committed and as built anew, held to the same cases; and
//! the test components, held to what they are for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floodgate_flow::{Digest, Entry, FaultKind, OracleLimits, OracleSettings, Verdict};
use floodgate_oracle_build::{BuildError, build};
use floodgate_oracle_host::{Engine, EngineOptions, LoadError, Oracle, Refusal};

const LIMITS: OracleLimits = OracleLimits {
    memory: 64 << 20,
    timeout: Duration::from_secs(10),
};

/// A line of `plugins/cases/<oracle>.ndjson`.
#[derive(serde::Deserialize)]
struct Case {
    case: String,
    id: Arc<str>,
    received_at: u64,
    body: serde_json::Value,
    score: f64,
    reasons: Vec<String>,
    output: Option<String>,
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn component(name: &str) -> Vec<u8> {
    let dir = repository().join("host/floodgate/tests/components");
    let compiled = dir.join(format!("{name}.wasm"));
    match std::fs::read(compiled) {
        Ok(bytes) => bytes,
        Err(_) => wat::parse_file(dir.join(format!("{name}.wat"))).unwrap(),
    }
}

fn engine() -> Engine {
    Engine::new(&EngineOptions::default()).unwrap()
}

fn entry(id: &str, body: &str) -> Entry {
    Entry {
        id: id.into(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        received_at: 0,
        attributes: Arc::default(),
    }
}

fn settings(values: &[(&str, &str)]) -> Arc<OracleSettings> {
    let values = values
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()));
    Arc::new(OracleSettings {
        values: values.collect(),
        digest: None,
    })
}

fn judge(
    oracle: &Oracle,
    batch: &[Entry],
    values: &[(&str, &str)],
) -> Vec<Result<Verdict, Refusal>> {
    let batch: Vec<&Entry> = batch.iter().collect();
    let answers = oracle.judge(&batch, &settings(values), LIMITS).unwrap();
    assert_eq!(answers.len(), batch.len());
    answers
}

fn hold_to_cases(name: &str, component: &[u8]) {
    let cases = repository().join(format!("plugins/cases/{name}.ndjson"));
    let cases: Vec<Case> = std::fs::read_to_string(cases)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(!cases.is_empty());
    let batch: Vec<Entry> = cases
        .iter()
        .map(|case| Entry {
            id: Arc::clone(&case.id),
            body: case.body.to_string().into(),
            received_at: case.received_at,
            attributes: Arc::default(),
        })
        .collect();
    let oracle = Oracle::load(&engine(), component).unwrap();
    for (case, answer) in cases.iter().zip(judge(&oracle, &batch, &[])) {
        let verdict = answer.unwrap();
        assert_eq!(verdict.reasons, case.reasons, "{name}: {}", case.case);
        assert_eq!(verdict.output, case.output, "{name}: {}", case.case);
        let off = (verdict.score - case.score).abs();
        assert!(
            off < 1e-9,
            "{name}: {}: {} for {}",
            case.case,
            verdict.score,
            case.score
        );
    }
}

async fn builds_anew(name: &str) {
    let committed = std::fs::read(repository().join(format!("plugins/dist/{name}.wasm"))).unwrap();
    let out = tempfile::tempdir().unwrap();
    let crate_dir = repository().join("plugins").join(name);
    let built = build(&crate_dir, out.path(), |line| eprintln!("{line}"))
        .await
        .unwrap();
    let fresh = std::fs::read(&built.path).unwrap();

    assert_eq!(built.path, out.path().join(format!("{name}.wasm")));
    assert_eq!(built.digest, Digest::of(&fresh));
    assert_eq!(built.size, fresh.len() as u64);
    hold_to_cases(name, &committed);
    hold_to_cases(name, &fresh);
}

#[tokio::test]
async fn mempool_risk_judges_the_same_as_committed_and_as_built_anew() {
    builds_anew("mempool-risk").await;
}

#[tokio::test]
async fn uniform_risk_judges_the_same_as_committed_and_as_built_anew() {
    builds_anew("uniform-risk").await;
}

#[tokio::test]
async fn the_small_oracles_judge_the_same_as_committed_and_as_built_anew() {
    for name in ["age-rule", "value-rule", "task-echo"] {
        builds_anew(name).await;
    }
}

#[test]
fn a_build_leaves_no_path_of_this_machine_in_a_component() {
    let home = std::env::var("HOME").unwrap();
    for name in [
        "mempool-risk",
        "uniform-risk",
        "age-rule",
        "value-rule",
        "task-echo",
    ] {
        let path: PathBuf = repository().join(format!("plugins/dist/{name}.wasm"));
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        for path in [home.as_str(), repository().to_str().unwrap()] {
            assert!(!text.contains(&format!("{path}/")), "{name}: {path}");
        }
    }
}

fn crate_in(dir: &Path, crate_type: &str, source: &str) {
    std::fs::create_dir(dir.join("src")).unwrap();
    std::fs::write(dir.join("src/lib.rs"), source).unwrap();
    let manifest = format!(
        "[package]\nname = \"odd\"\nedition = \"2024\"\n\
         [lib]\ncrate-type = [\"{crate_type}\"]\n[workspace]\n"
    );
    std::fs::write(dir.join("Cargo.toml"), manifest).unwrap();
}

#[tokio::test]
async fn a_build_that_fails_says_why_and_writes_nothing() {
    type Expected = fn(&BuildError) -> bool;
    let cases: [(&str, &str, Expected, &str); 3] = [
        (
            "rlib",
            "",
            |e| matches!(e, BuildError::NoCdylib(_)),
            "crate-type",
        ),
        (
            "cdylib",
            "fn (",
            |e| matches!(e, BuildError::Command(_)),
            "src/lib.rs:1",
        ),
        (
            "cdylib",
            "",
            |e| matches!(e, BuildError::NotEncoded { .. }),
            "oracle!",
        ),
    ];
    for (crate_type, source, expected, said) in cases {
        let dir = tempfile::tempdir().unwrap();
        crate_in(dir.path(), crate_type, source);
        let out = dir.path().join("out");
        let error = build(dir.path(), &out, |_| ()).await.unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert!(error.to_string().contains(said), "{error}");
        assert!(!out.exists());
    }
    let nowhere = tempfile::tempdir().unwrap();
    let error = build(nowhere.path(), nowhere.path(), |_| ())
        .await
        .unwrap_err();
    assert!(matches!(error, BuildError::NoCrate(_)), "{error:?}");
}

/// What `misbehaving` does of its own accord; what the host makes of traps and
/// floods is tested with the host.
#[test]
fn the_guest_that_misbehaves_does_what_it_is_told() {
    let oracle = Oracle::load(&engine(), &component("misbehaving")).unwrap();
    let tell = |what: &str| entry(what, &format!(r#"{{"do": "{what}"}}"#));
    let batch = [
        "anything", "seven", "nan", "error", "count", "count", "setting", "high",
    ]
    .map(tell);
    let answers = judge(&oracle, &batch, &[("answer", "42")]);
    let score = |n: usize| answers[n].as_ref().unwrap().score;
    let kind = |n: usize| answers[n].as_ref().unwrap_err().kind;

    assert_eq!(score(0), 0.5);
    assert_eq!(
        (kind(1), kind(2)),
        (FaultKind::BadScore, FaultKind::BadScore)
    );
    assert_eq!(kind(3), FaultKind::Refused);
    assert_eq!((score(4), score(5)), (0.001, 0.002));
    assert_eq!(answers[6].as_ref().unwrap().output.as_deref(), Some("42"));
    assert_eq!(score(7), 0.9);

    for (what, expected) in [
        ("trap", FaultKind::Trap),
        ("recurse", FaultKind::Trap),
        ("loop", FaultKind::Timeout),
        ("memory", FaultKind::Memory),
    ] {
        // Only the one that never ends has to be cut off: the others take as
        // long as a busy machine makes them take.
        let millis = if what == "loop" { 300 } else { 30_000 };
        let limits = OracleLimits {
            timeout: Duration::from_millis(millis),
            ..LIMITS
        };
        let fault = oracle
            .judge(&[&tell(what)], &settings(&[]), limits)
            .unwrap_err();
        assert_eq!(fault.kind, expected, "{what}: {}", fault.error);
        let panics = fault.error.contains("told to panic");
        assert_eq!(panics, what == "trap", "{what}: {}", fault.error);
    }
    let drop = settings(&[("drop", "1")]);
    let fault = oracle
        .judge(&[&tell("anything")], &drop, LIMITS)
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::WrongCount);
    for answer in judge(&oracle, &batch, &[("fail", "always")]) {
        assert_eq!(answer.unwrap_err().kind, FaultKind::Refused);
    }
}

#[test]
fn the_guest_that_refuses_refuses_every_entry() {
    let oracle = Oracle::load(&engine(), &component("always-failing")).unwrap();
    for answer in judge(&oracle, &[entry("a", "{}"), entry("b", "[]")], &[]) {
        assert_eq!(answer.unwrap_err().kind, FaultKind::Refused);
    }
}

#[test]
fn the_guest_that_traps_at_start_fits_and_does_not_load() {
    let error = Oracle::load(&engine(), &component("traps-at-start"))
        .err()
        .unwrap();
    assert!(matches!(error, LoadError::DoesNotStart(_)), "{error}");
    assert!(error.to_string().contains("unreachable"), "{error}");
}

#[test]
fn the_guest_of_another_world_does_not_fit() {
    let error = Oracle::load(&engine(), &component("other-interface"))
        .err()
        .unwrap();
    assert!(matches!(error, LoadError::DoesNotFit(_)), "{error}");
    assert!(
        error.to_string().contains("somebody:else/oracle"),
        "{error}"
    );
}
