//! floodgate-archive beside `floodgate dev`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hyper::StatusCode;
use tempfile::TempDir;

use crate::archive::{Archive, QUERY, get, site};
use crate::host::{DEADLINE, Ground, Host};
use crate::metrics::told::until_told;
use crate::support::{Floodgate, eventually, eventually_some};

/// A program in place of floodgate-archive that says where `archive` listens,
/// notes its environment, its process id and its arguments, and stays.
fn program(archive: &Archive) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("floodgate-archive");
    let noted = dir.path().join("noted");
    let script = format!(
        "#!/bin/sh\necho listening on {}\nenv >{}\necho $$ \"$@\" >>{}\nexec sleep 1000\n",
        archive.url,
        dir.path().join("env").display(),
        noted.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

/// Process id and arguments of the start of this number.
async fn started(dir: &Path, number: usize) -> (u32, String) {
    eventually_some(DEADLINE, "the archive is started", async || {
        let noted = std::fs::read_to_string(dir.join("noted")).unwrap_or_default();
        let line = noted.lines().nth(number)?;
        let (pid, arguments) = line.split_once(' ')?;
        Some((pid.parse().ok()?, arguments.to_owned()))
    })
    .await
}

/// PATH, and before it the directory.
fn path_with(dir: &TempDir) -> String {
    let path = std::env::var("PATH").unwrap();
    format!("{}:{path}", dir.path().display())
}

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn dev_starts_the_archive_it_finds_and_ends_it_however_it_ends_itself() {
    let archive = Archive::start().await;
    let dir = program(&archive);
    let path = path_with(&dir);
    let site = site(Ground::embedded().await, QUERY);
    let mut host = Host::start_in(site, &[("PATH", &path)]).await;
    let (first, arguments) = started(dir.path(), 0).await;
    assert!(
        arguments.starts_with("serve --listen 127.0.0.1:0 --data-dir "),
        "{arguments}"
    );
    let flows = host.site.flows.path().to_str().unwrap();
    assert!(
        arguments.ends_with(&format!("--flows {flows}")),
        "{arguments}"
    );
    let answered = async || get(&host, "/stats/hours?from=2026-01-01").await.0 == StatusCode::OK;
    eventually(DEADLINE, "it answers", answered).await;
    let out = host.floodgate.stdout();
    let told = format!(
        "statistics: {}",
        dir.path().join("floodgate-archive").display()
    );
    assert!(out.contains(&told), "{out}");
    let pid = rustix::process::Pid::from_raw(i32::try_from(first).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let (second, _) = started(dir.path(), 1).await;
    eventually(DEADLINE, "it answers again", answered).await;
    host.floodgate.kill();
    host.floodgate.wait_exit().await;
    eventually(DEADLINE, "nobody is left", async || !runs(second)).await;
    let mut floodgate = host.site.serve_in("all", &[], &[("PATH", &path)]);
    floodgate.url().await;
    let (third, _) = started(dir.path(), 2).await;
    floodgate.sigterm();
    assert_eq!(floodgate.wait_exit().await, 0);
    assert!(!runs(third), "it is waited for");
}

#[tokio::test]
async fn the_archive_is_kept_running_though_that_panicked() {
    let archive = Archive::start().await;
    let dir = program(&archive);
    let path = path_with(&dir);
    let site = site(Ground::embedded().await, QUERY);
    let panic_on = ("FLOODGATE_PANIC_ON", "task:archive-process");
    let host = Host::start_in(site, &[("PATH", &*path), panic_on]).await;
    let panics = "floodgate_task_panics_total{task=\"archive-process\"}";
    until_told(&host.admin, &[(panics, 1.0)]).await;
    started(dir.path(), 0).await;
}

/// Whoever has the variables of a production in their shell tries nothing out on it.
#[tokio::test]
async fn what_dev_starts_hears_of_no_other_servers() {
    let archive = Archive::start().await;
    let dir = program(&archive);
    let path = path_with(&dir);
    let others = [
        ("FLOODGATE_COLD", "s3://production/cold"),
        ("FLOODGATE_ARCHIVE_TOKEN_FILE", "/nowhere/token"),
        ("DATABASE_URL", "postgres://production/floodgate"),
    ];
    let site = site(Ground::embedded().await, QUERY);
    let host = Host::start_in(site, &[&[("PATH", &*path)][..], &others].concat()).await;
    started(dir.path(), 0).await;
    let env = std::fs::read_to_string(dir.path().join("env")).unwrap();
    assert!(env.contains(&path), "{env}");
    for (name, _) in others {
        assert!(!env.contains(name), "{name}: {env}");
    }
    let answered = async || get(&host, "/stats/hours?from=2026-01-01").await.0 == StatusCode::OK;
    eventually(DEADLINE, "it answers", answered).await;
}

#[tokio::test]
async fn dev_without_one_says_how_to_get_it_and_starts_none_beside_a_named_one() {
    let archive = Archive::start().await;
    let dir = program(&archive);
    let both = path_with(&dir);
    let site = site(Ground::embedded().await, QUERY);
    let said = async |floodgate: &Floodgate| {
        eventually_some(DEADLINE, "it says who answers", async || {
            let out = floodgate.stdout();
            let line = out.lines().find(|line| line.starts_with("statistics: "));
            line.map(str::to_owned)
        })
        .await
    };
    let named = [("PATH", &*both), ("FLOODGATE_ARCHIVE_URL", &archive.url)];
    let mut floodgate = site.serve_in("all", &[], &named);
    assert!(said(&floodgate).await.contains(&archive.url));
    floodgate.sigterm();
    assert_eq!(floodgate.wait_exit().await, 0);
    assert!(!dir.path().join("noted").exists(), "none was started");
    let floodgate = site.serve_in("all", &[], &[]);
    let line = said(&floodgate).await;
    assert!(
        line.contains("floodgate-archive") && line.contains("PATH"),
        "{line}"
    );
}
