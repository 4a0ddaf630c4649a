//! The crate that `floodgate oracle new` writes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::host::repository;

/// Where the oracles of the checkout are built: what crates have in common is
/// compiled once.
pub fn shared_target() -> PathBuf {
    repository().join("plugins/target")
}

fn floodgate(arguments: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_floodgate"))
        .args(arguments)
        .current_dir(dir)
        .env("CARGO_TARGET_DIR", shared_target())
        .output()
        .unwrap()
}

/// Makes a crate at the same place in every run: where std is built for wasm32,
/// it is built for each place anew.
pub fn made(name: &str) -> PathBuf {
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracles");
    std::fs::create_dir_all(&parent).unwrap();
    let dir = parent.join(name);
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
    succeeded(&floodgate(&["oracle", "new", name], &parent));
    dir
}

fn succeeded(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout.into_owned()
}

fn names_in(dir: &Path) -> Vec<String> {
    let found = dir.read_dir().unwrap();
    let mut names: Vec<String> = found
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_new_crate_passes_its_tests_and_lints_and_builds_a_component_that_fits() {
    let dir = made("a-new-rule");
    for arguments in [
        &["fmt", "--check"][..],
        &["test", "--quiet"],
        &["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"],
    ] {
        let cargo = Command::new("cargo")
            .args(arguments)
            .current_dir(&dir)
            .env("CARGO_TARGET_DIR", shared_target())
            .output()
            .unwrap();
        succeeded(&cargo);
    }
    let out = tempfile::tempdir().unwrap();
    let (crate_dir, out_dir) = (dir.to_str().unwrap(), out.path().to_str().unwrap());
    let build = ["oracle", "build", crate_dir, "--out", out_dir];
    succeeded(&floodgate(&build, out.path()));
    let component = out.path().join("a-new-rule.wasm");
    let sample = dir.join("sample.ndjson");
    let (component, sample) = (component.to_str().unwrap(), sample.to_str().unwrap());
    let check = ["oracle", "check", component, "--sample", sample];
    let said = succeeded(&floodgate(&check, out.path()));
    assert_eq!(said.matches("large-in-a-hurry").count(), 2, "{said}");
    assert_eq!(said.matches("0.1000").count(), 3, "{said}");
}

#[test]
fn what_was_made_and_the_next_three_commands_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    let new = ["oracle", "new", "my-rule", "--path", "rules"];
    let said = succeeded(&floodgate(&new, dir.path()));
    assert_eq!(names_in(dir.path()), ["rules"]);
    for next in [
        "(cd rules && cargo test)",
        "floodgate oracle build rules",
        "floodgate oracle watch rules",
    ] {
        assert!(said.contains(next), "{said}");
    }
    let manifest = std::fs::read_to_string(dir.path().join("rules/sdk/Cargo.toml")).unwrap();
    let origin = format!("Floodgate {}", env!("CARGO_PKG_VERSION"));
    assert!(manifest.contains(&origin), "{manifest}");
}

#[test]
fn bad_names_and_places_that_are_taken_are_refused_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let full = dir.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("mine"), "mine").unwrap();
    std::fs::write(dir.path().join("file"), "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
    let cases: [(&[&str], &str); 9] = [
        (&["My-Rule"], "lowercase"),
        (&["my_rule"], "lowercase"),
        (&["../rule"], "lowercase"),
        (&["match"], "match-rule"),
        (&["full"], "full; name another directory with --path"),
        (&["file"], "something else has that name"),
        (&["a", "--path", "link"], "link; name another directory"),
        (&["a", "--path", "."], "--path"),
        (&["a", "--path", "no/such/parent"], "write to no/such"),
    ];
    for (arguments, said) in cases {
        let output = floodgate(&[&["oracle", "new"], arguments].concat(), dir.path());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
        assert_eq!(names_in(dir.path()), ["file", "full", "link"]);
        assert_eq!(names_in(&full), ["mine"]);
    }
}
