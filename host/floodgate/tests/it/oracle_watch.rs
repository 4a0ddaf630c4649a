//! `floodgate oracle watch`: from a save to a verdict that changed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floodgate_flow::Digest;
use floodgate_prove::servers::{Supervised, User, supervised};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::host::{Host, MEMPOOL_RISK};
use crate::oracle_new::{made, shared_target};
use crate::support;

/// The first build may compile std, and wait for other builds.
const BUILT: Duration = Duration::from_secs(600);

struct Watch {
    process: Supervised,
    crate_dir: PathBuf,
    directory: TempDir,
    /// Bytes of the output that were waited for already.
    read: usize,
}

impl Watch {
    fn start(crate_dir: PathBuf, out: &Path, admin: &str) -> Self {
        let directory = User::Current.directory(&std::env::temp_dir()).unwrap();
        let mut command = supervised(&User::Current, directory.path(), "KILL");
        let output = File::create(directory.path().join("output")).unwrap();
        command
            .args([env!("CARGO_BIN_EXE_floodgate"), "oracle", "watch"])
            .arg(&crate_dir)
            .arg("--out")
            .arg(out)
            .args(["--admin", admin])
            .env("CARGO_TARGET_DIR", shared_target())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        Self {
            process: Supervised::spawn(command, directory.path()).unwrap(),
            crate_dir,
            directory,
            read: 0,
        }
    }

    /// What it says of the next build.
    async fn round(&mut self) -> String {
        let path = self.directory.path().join("output");
        let said = support::eventually_some(BUILT, "it is watching again", async || {
            let text = std::fs::read_to_string(&path).unwrap();
            let ended = self.process.exited().unwrap();
            assert!(ended.is_none(), "{ended:?}: {text}");
            let (round, _) = text[self.read..].split_once("Ctrl-C ends it\n")?;
            Some(round.to_owned())
        })
        .await;
        self.read += said.len() + "Ctrl-C ends it\n".len();
        said
    }

    fn save(&self, file: &str, from: &str, to: &str) {
        let path = self.crate_dir.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} says {from:?}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    /// As Ctrl-C does.
    async fn interrupt(&mut self) -> i32 {
        self.process.signal(Signal::INT);
        let process = &mut self.process;
        let ended = support::eventually_some(BUILT, "it ends", async || process.exited().unwrap());
        ended.await.code().unwrap()
    }
}

/// Nobody listens on port 1.
const NO_HOST: &str = "http://127.0.0.1:1";

fn digest(out: &TempDir, name: &str) -> Digest {
    Digest::of(&std::fs::read(out.path().join(name)).unwrap())
}

#[tokio::test]
async fn a_save_is_built_dropped_and_compared() {
    let out = tempfile::tempdir().unwrap();
    let mut watch = Watch::start(made("a-watched-rule"), out.path(), NO_HOST);
    let said = watch.round().await;
    let first = digest(&out, "a-watched-rule.wasm");
    assert!(said.contains(&format!("{first:.12}")), "{said}");
    assert!(said.contains("large-in-a-hurry"), "{said}");
    let nobody = format!("no running host at {NO_HOST}");
    assert!(said.contains(&nobody), "{said}");

    watch.save("src/lib.rs", "\"large_eth\", 100.0", "\"large_eth\", 50.0");
    let said = watch.round().await;
    assert_ne!(digest(&out, "a-watched-rule.wasm"), first);
    assert!(said.contains("1 of 5 verdicts changed"), "{said}");
    let mut lines = said.lines().map(str::trim_end);
    let line = lines.find(|line| line.ends_with(" changed")).unwrap();
    assert!(line.contains("0.1000") && line.contains("0.9000"), "{line}");

    watch.save(
        "sample.ndjson",
        "\"value_eth\": 0.25",
        "\"value_eth\": \"much\"",
    );
    let said = watch.round().await;
    assert!(said.contains("unchanged"), "{said}");
    assert!(said.contains("invalid type"), "{said}");

    assert_eq!(watch.interrupt().await, 0);
    assert_eq!(out.path().read_dir().unwrap().count(), 1);
}

#[tokio::test]
async fn a_save_that_does_not_build_changes_nothing_until_one_does() {
    let out = tempfile::tempdir().unwrap();
    let mut watch = Watch::start(made("a-broken-rule"), out.path(), NO_HOST);
    watch.round().await;
    let before = digest(&out, "a-broken-rule.wasm");

    watch.save("src/lib.rs", "oracle!(", "oracle!((");
    let said = watch.round().await;
    assert!(said.contains("error:"), "{said}");
    assert!(said.contains("src/lib.rs"), "{said}");
    assert!(said.contains("stays as it is"), "{said}");
    assert_eq!(digest(&out, "a-broken-rule.wasm"), before);

    watch.save("src/lib.rs", "oracle!((", "oracle!(");
    watch.round().await;
    watch.save("src/lib.rs", "score(0.9)", "score(0.95)");
    let said = watch.round().await;
    assert!(said.contains("2 of 5 verdicts changed"), "{said}");
    assert_ne!(digest(&out, "a-broken-rule.wasm"), before);
}

#[tokio::test]
async fn a_running_host_takes_what_is_dropped_if_a_flow_names_it() {
    let host = Host::start(MEMPOOL_RISK).await;
    let before = host.digest().await;
    let out = host.site.oracles.path();
    let mut watch = Watch::start(made("mempool-risk"), out, &host.admin);
    let said = watch.round().await;
    assert!(said.contains("running host took it after"), "{said}");
    assert!(said.contains("verdicts changed"), "{said}");
    assert_ne!(host.digest().await, before);

    watch.save("Cargo.toml", "\"mempool-risk\"", "\"another-rule\"");
    let said = watch.round().await;
    assert!(
        said.contains("does not use another-rule: name it in a flow file"),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_no_crate_of_an_oracle_is_not_watched() {
    let dir = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_floodgate"))
        .args(["oracle", "watch", "nowhere"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(stderr.contains("nowhere has no package"), "{stderr}");
    assert!(dir.path().read_dir().unwrap().next().is_none());
}
