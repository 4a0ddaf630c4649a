//! Components that are large or odd, and bytes that are none.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use floodgate_flow::{Entry, OracleLimits, OracleSettings};

fn engine() -> Engine {
    Engine::new(&EngineOptions::default()).unwrap()
}

fn score(oracle: &Oracle) -> f64 {
    let entry = Entry {
        id: "a".into(),
        body: "{}".into(),
        received_at: 0,
        attributes: Arc::default(),
    };
    let limits = OracleLimits {
        memory: 64 << 20,
        timeout: std::time::Duration::from_secs(5),
    };
    let judged = oracle.judge_one(
        &entry,
        &std::sync::Arc::new(OracleSettings::default()),
        limits,
    );
    judged.unwrap().score
}

#[test]
fn exports_that_nobody_asked_for_change_nothing() {
    let oracle = Oracle::load(&engine(), &floodgate_test_components::with_many_exports()).unwrap();
    assert_eq!(score(&oracle), 0.5);
}

#[test]
fn a_component_of_many_exports_without_judge_is_refused_in_a_few_words() {
    let refused = Oracle::load(
        &engine(),
        &floodgate_test_components::with_the_wrong_exports(),
    )
    .err();
    let said = refused.unwrap().to_string();
    assert!(said.contains("judge"), "{said}");
    assert!(said.len() < 4096, "{} bytes are said", said.len());
}

#[test]
fn a_component_of_fifty_megabytes_judges_like_a_small_one() {
    let bytes = floodgate_test_components::of_fifty_megabytes(0.25);
    assert!(bytes.len() > 50_000_000);
    let oracle = Oracle::load(&engine(), &bytes).unwrap();
    assert_eq!(score(&oracle), 0.25);
}

#[test]
fn bytes_that_were_damaged_on_the_way_are_refused_or_judge_within_their_limits() {
    let engine = engine();
    let whole = include_bytes!("../../../plugins/dist/uniform-risk.wasm");
    let damage = (
        0..whole.len(),
        any::<u8>(),
        proptest::option::of(0..whole.len()),
    );
    // Each compiles a component.
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 32;
    }
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let checked = runner.run(&damage, |(at, byte, cut)| {
        let mut bytes = whole.to_vec();
        bytes[at] = byte;
        bytes.truncate(cut.unwrap_or(whole.len()));
        if let Err(error) = Oracle::load(&engine, &bytes) {
            prop_assert!(!error.to_string().is_empty());
        }
        Ok(())
    });
    checked.unwrap();
}
