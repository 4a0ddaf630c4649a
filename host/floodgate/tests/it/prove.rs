//! `floodgate prove` as it is shipped.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// With `directory` for all that it writes.
fn prove(directory: &Path, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_floodgate"))
        .args(["prove", "--workers", "2", "--rate", "100"])
        .args(arguments)
        .env("TMPDIR", directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Servers that run as another user have their data in there.
fn open_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(directory.path(), open).unwrap();
    directory
}

fn left_in(directory: &Path) -> Vec<String> {
    let files = std::fs::read_dir(directory).unwrap();
    let names = files.map(|file| file.unwrap().file_name().display().to_string());
    names.collect()
}

async fn ended(process: Child) -> Output {
    let waiting = tokio::task::spawn_blocking(|| process.wait_with_output());
    let output = tokio::time::timeout(DEADLINE, waiting).await;
    output.expect("prove ends").unwrap().unwrap()
}

#[tokio::test]
async fn a_proof_accounts_for_every_entry_and_leaves_nothing_behind() {
    let directory = open_directory();
    let faults = ["--faults", "kill-api,kill-redis,trap-oracle"];
    let arguments = [&["--for", "1s", "--seed", "1", "--json"][..], &faults].concat();
    let output = ended(prove(directory.path(), &arguments)).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["seed"], 1);
    // Each of them came, though the time was too short for that.
    let faults = report["faults"].as_array().unwrap();
    assert_eq!(faults.len(), 3);
    for row in faults {
        assert_eq!(row["injected"], 1, "{row}");
    }
    let always = &report["flows"][0];
    assert!(always["accepted"].as_u64().unwrap() > 0, "{report:#}");
    let fates = ["decided", "dead"].map(|fate| always[fate].as_u64().unwrap());
    assert_eq!(always["accepted"], fates.iter().sum::<u64>());
    assert_eq!(left_in(directory.path()), [""; 0]);
}

#[tokio::test]
async fn a_proof_that_is_interrupted_proves_nothing_and_leaves_nothing_behind() {
    let directory = open_directory();
    let process = prove(directory.path(), &["--for", "10m", "--faults", "cut-redis"]);
    let pid = rustix::process::Pid::from_child(&process);
    eventually(DEADLINE, "a directory is made", async || {
        left_in(directory.path()).len() > 1
    })
    .await;
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = ended(process).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("nothing is proven"), "{said}");
    assert_eq!(left_in(directory.path()), [""; 0]);
}
