//! SECURITY.md names tests that are there.

use std::collections::BTreeSet;
use std::path::Path;

use crate::host::repository;

/// Adds the names of all functions in the sources below `directory`.
fn functions(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in walkdir::WalkDir::new(directory) {
        let entry = entry.unwrap();
        if entry.path().extension().is_some_and(|ext| ext == "rs") {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let named = text
                .split("fn ")
                .skip(1)
                .filter_map(|rest| rest.split('(').next());
            names.extend(named.map(|name| name.trim().to_owned()));
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let text = std::fs::read_to_string(repository().join("SECURITY.md")).unwrap();
    let is_test = |word: &&str| {
        word.matches('_').count() > 2
            && word
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
    };
    let named: BTreeSet<&str> = text.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 20, "{named:?}");
    let mut known = BTreeSet::new();
    for directory in ["host", "archive"] {
        functions(&repository().join(directory), &mut known);
    }
    let missing: Vec<_> = named
        .iter()
        .filter(|name| !known.contains(**name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
