//! Oracles in other languages: that they load, judge by the contract, and say
//! what went wrong with them. `scripts/build_guests.sh` builds them.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floodgate_flow::{Entry, FaultKind, OracleLimits, OracleSettings};
use floodgate_oracle_host::{CompileLimits, CompileOptions, Engine, EngineOptions, Oracle};

use crate::host::repository;

/// A Python runtime is no quick starter, and a busy machine makes it slower.
const LIMITS: OracleLimits = OracleLimits {
    memory: 64 << 20,
    timeout: Duration::from_secs(5),
};

fn oracle(language: &str) -> Oracle {
    let path = repository().join(format!(
        "host/floodgate/tests/components/{language}.wasm.zst"
    ));
    let file = std::fs::File::open(path).unwrap();
    let mut bytes = Vec::new();
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(file).unwrap();
    decoder.read_to_end(&mut bytes).unwrap();
    let engine = Engine::new(&EngineOptions {
        // Compiling Python takes long: the next run finds it there.
        cache: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracles")),
        compile: CompileOptions {
            program: Some(env!("CARGO_BIN_EXE_floodgate").into()),
            limits: CompileLimits::default(),
        },
        ..EngineOptions::default()
    });
    Oracle::load(&engine.unwrap(), &bytes).unwrap()
}

fn entry(id: &str, body: &str) -> Entry {
    Entry {
        id: id.into(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        received_at: 1,
        attributes: Arc::default(),
    }
}

fn settings(values: &[(&str, &str)]) -> Arc<OracleSettings> {
    let values = values.iter();
    let values = values.map(|&(key, value)| (key.to_owned(), value.to_owned()));
    Arc::new(OracleSettings {
        values: values.collect(),
        digest: None,
    })
}

fn hold_to_the_contract(oracle: &Oracle) {
    let small = entry("small", r#"{"amount": 50}"#);
    let large = entry("large", r#"{"amount": 500}"#);
    let refused = entry("no", r#"{"do": "refuse"}"#);
    let batch = [&small, &large, &refused, &small];
    let answers = oracle.judge(&batch, &settings(&[]), LIMITS).unwrap();
    assert_eq!(answers.len(), 4);
    let verdict = |at: usize| answers[at].clone().unwrap();
    assert_eq!(verdict(0).score, 0.1);
    assert_eq!((verdict(0).reasons.len(), verdict(0).output), (0, None));
    assert_eq!(verdict(1).score, 0.9);
    assert_eq!(verdict(1).reasons, ["large-amount"]);
    assert_eq!(verdict(1).output.as_deref(), Some("500"));
    let refusal = answers[2].clone().unwrap_err();
    assert_eq!(
        (refusal.kind, &*refusal.error),
        (FaultKind::Refused, "refused no")
    );
    assert_eq!(verdict(3), verdict(0));

    let of_others = settings(&[("limit", "1000")]);
    let judged = oracle.judge_one(&large, &of_others, LIMITS);
    assert_eq!(judged.unwrap().score, 0.1);

    let random = entry("random", r#"{"do": "random"}"#);
    let one = || oracle.judge_one(&random, &settings(&[]), LIMITS).unwrap();
    assert_eq!(
        one(),
        one(),
        "an instance of its own gives the same verdict"
    );
}

/// What the guest threw is said first, and does not steer a terminal.
fn tells_what_it_threw(oracle: &Oracle) {
    let raising = entry("7", r#"{"do": "raise"}"#);
    let fault = oracle
        .judge_one(&raising, &settings(&[]), LIMITS)
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::Trap);
    assert!(
        fault.error.contains("broken by \\u{1b}[31m7"),
        "{}",
        fault.error
    );
    assert!(fault.error.len() <= 4 << 10);
}

#[test]
fn a_python_component_judges_by_the_contract_and_says_what_it_raised() {
    let oracle = oracle("python");
    assert!(!oracle.imports_random(), "it is built without WASI");
    hold_to_the_contract(&oracle);
    tells_what_it_threw(&oracle);
}

#[test]
fn a_javascript_component_judges_by_the_contract_and_says_what_it_threw() {
    let oracle = oracle("javascript");
    assert!(oracle.imports_random());
    hold_to_the_contract(&oracle);
    tells_what_it_threw(&oracle);
}
