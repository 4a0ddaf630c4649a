//! What is secret is shown to nobody, and what strangers write steers nothing.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use serde_json::json;

use crate::downstream::{Downstream, id, post, posting};
use crate::host::{DEADLINE, Ground, Host, MEMPOOL_RISK, Site, drainer};
use crate::services::Service;
use crate::support;

const SECRET: &str = "hunter2hunter2hunter2";

/// `floodgate` with nothing in its environment but these.
fn floodgate(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floodgate"));
    command.args(arguments).env_clear();
    command.envs(environment.iter().copied()).output().unwrap()
}

fn told(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

#[test]
fn a_password_in_the_wrong_variable_is_not_printed() {
    let url = format!("redis://:{SECRET}@127.0.0.1:notaport");
    let postgres = format!("postgres://user:{SECRET}@host:notaport/db");
    for (variable, value) in [
        ("REDIS_URL", SECRET),
        ("REDIS_URL", &url),
        ("DATABASE_URL", SECRET),
        ("DATABASE_URL", &postgres),
        ("POSTGRES_PORT", SECRET),
        ("FLOODGATE_ROLE", SECRET),
        ("FLOODGATE_LISTEN", SECRET),
        ("FLOODGATE_NOTICE", SECRET),
        ("FLOODGATE_MAX_CONNECTIONS", SECRET),
        ("FLOODGATE_ADMIN_TOKEN_FILE", SECRET),
        ("FLOODGATE_ADMIN_TOKEN", "hunter2"),
        ("FLOODGATE_ARCHIVE_TOKEN_FILE", SECRET),
        ("FLOODGATE_ARCHIVE_URL", &url),
        ("FLOODGATE_KEYS_FILE", SECRET),
        ("FLOODGATE_KEYS", SECRET),
        ("FLOODGATE_CORS_ORIGIN", SECRET),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", SECRET),
    ] {
        let mut environment = vec![
            ("REDIS_URL", "redis://127.0.0.1:1"),
            ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
            (
                "FLOODGATE_FLOWS",
                concat!(env!("CARGO_MANIFEST_DIR"), "/../../flows"),
            ),
            ("FLOODGATE_ADMIN_LISTEN", "127.0.0.1:0"),
            ("FLOODGATE_LISTEN", "127.0.0.1:0"),
        ];
        if variable.starts_with("FLOODGATE_ARCHIVE_TOKEN") {
            environment.push(("FLOODGATE_ARCHIVE_URL", "http://127.0.0.1:1"));
        }
        if variable.starts_with("POSTGRES") {
            environment.retain(|(name, _)| *name != "DATABASE_URL");
            environment.push(("POSTGRES_HOST", "127.0.0.1"));
        }
        environment.push((variable, value));
        // `flows check` needs none of it, and is told it all the same.
        for arguments in [&["serve", "--help"][..], &["health", "--help"]] {
            let output = floodgate(arguments, &environment);
            assert!(output.status.success(), "{variable}");
            let told = told(&output);
            assert!(told.contains("Usage"), "{variable}: {told}");
            assert!(!told.contains("hunter2"), "{variable}: {told}");
        }
        let served = std::thread::spawn({
            let environment: Vec<_> = environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            move || {
                let mut command = Command::new("timeout");
                let binary = env!("CARGO_BIN_EXE_floodgate");
                command.args(["-k", "1", "5", binary, "serve"]).env_clear();
                command.env("PATH", "/usr/bin:/bin");
                command.envs(environment).output().unwrap()
            }
        });
        let output = served.join().unwrap();
        let told = told(&output);
        // It ended by itself, and said why.
        let code = output.status.code();
        assert!(matches!(code, Some(1 | 2)), "{variable}: {code:?}");
        assert!(told.contains("error: "), "{variable}: {told}");
        assert!(!told.contains("hunter2"), "{variable}: {told}");
    }
    // What stands on the command line is no secret, and helps.
    let told = told(&floodgate(&["serve", "--notice", "soon"], &[]));
    assert!(told.contains("soon"), "{told}");
}

#[tokio::test]
async fn a_token_in_the_url_of_a_downstream_is_shown_to_nobody() {
    let downstream = Downstream::start(floodgate_prove::stand_in::Options {
        fail_before: 1.0,
        ..Default::default()
    })
    .await;
    let site = posting(&downstream.url, 2).await;
    let host = downstream.url.strip_prefix("http://").unwrap();
    let with_user = format!("user:{SECRET}@{host}");
    site.rewrite_flow("posting", |text| {
        let text = text.replace(host, &with_user);
        text.replace(
            "/transactions\"",
            &format!("/transactions?token={SECRET}\""),
        )
        .replacen(
            &format!("path = \"/api/transactions?token={SECRET}\""),
            "path = \"/api/transactions\"",
            1,
        )
    });
    let service = Service::start_on(site).await;
    post(&service, 1).await;
    let path = format!("/api/transactions/{}", id(1));
    let failed = service.until(&path, "status", "failed").await;
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("answered 500"), "{error}");
    assert!(!error.contains(host) && !error.contains("http"), "{error}");
    for path in [
        "/dead".to_owned(),
        format!("/why/posting/{}", id(1)),
        "/flows".to_owned(),
        format!("/decisions/posting/{}", id(1)),
    ] {
        let shown = crate::host::get(&service.admin, &path).await.to_string();
        assert!(!shown.contains("urn:floodgate:problem"), "{path}: {shown}");
        assert!(!shown.contains("hunter2"), "{path}: {shown}");
    }
    let verified = std::process::Command::new(env!("CARGO_BIN_EXE_floodgate"))
        .args(["oracle", "verify", "posting", &id(1)])
        .env("FLOODGATE_ADMIN", &service.admin)
        .output()
        .unwrap();
    let told = told(&verified);
    assert!(
        verified.status.success(),
        "a masked definition is understood: {told}"
    );
    let dead = crate::host::get(&service.admin, "/dead").await;
    let error = dead[0]["error"].as_str().unwrap();
    assert!(error.contains("***") && error.contains(host), "{error}");
    let log = service.floodgate.stderr();
    assert!(log.contains("***") && !log.contains("hunter2"), "{log}");
}

#[test]
fn a_flow_file_that_is_wrong_is_told_without_its_secrets() {
    let site = Site::of_flows(Ground::of(String::new(), String::new()), &["posting"]);
    for url in [
        format!("http://user:{SECRET}@"),
        format!("ftp://host/{{id}}?token={SECRET}"),
        SECRET.to_owned(),
    ] {
        site.ship("posting");
        site.rewrite_flow("posting", |text| {
            text.replace("http://localhost:8080/transactions", &url)
        });
        let flows = site.flows.path().to_str().unwrap();
        let output = floodgate(&["flows", "check", flows], &[]);
        let told = told(&output);
        assert!(
            !output.status.success() && told.contains("deliver"),
            "{told}"
        );
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[tokio::test]
async fn nobody_else_can_read_the_database() {
    let dir = tempfile::tempdir().unwrap();
    let shared = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), shared).unwrap();
    // As a version before this one made it.
    let file = dir.path().join("floodgate.db");
    for old in [false, true] {
        if old {
            let readable = std::fs::Permissions::from_mode(0o644);
            std::fs::set_permissions(&file, readable).unwrap();
        }
        let database = floodgate_embedded::Database::open(dir.path()).unwrap();
        let written = database.write(|db| db.pragma_update(None, "user_version", 0));
        written.await.unwrap();
        for name in ["floodgate.db", "floodgate.db-wal", "floodgate.db-shm"] {
            let found = std::fs::metadata(dir.path().join(name)).unwrap();
            let mode = found.permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{name}, old: {old}");
        }
    }
}

/// It would show the rest of its line from right to left.
#[tokio::test]
async fn an_id_that_turns_the_line_around_is_escaped() {
    let site = Site::of_flows(Ground::embedded().await, &["transactions"]);
    site.rewrite_flow("transactions", |text| {
        text.replace("/tx_hash\" }              #", "/name\" } #")
            .replace("when = \"high\"", "when = \"always\"")
    });
    let host = Host::start_on(site.with_oracle(MEMPOOL_RISK)).await;
    let mut body = drainer(1);
    body["name"] = json!("a\u{202e}b\u{2066}c\u{9b}d");
    host.accepted(&body).await;
    host.until_kept(1).await;
    let table = host.cli(&["decisions"]);
    assert!(table.contains("a\\u{202e}b\\u{2066}c\\u{9b}d"), "{table}");
    assert!(!table.contains('\u{202e}') && !table.contains('\u{9b}'));
    let json = host.cli(&["decisions", "--json"]);
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(read[0]["id"], body["name"], "programs get it as it is");
    let missing = host.try_cli(&["why", "transactions\u{202e}", "x"]);
    let told = told(&missing);
    assert!(!told.contains('\u{202e}'), "{told}");
    // Each change is logged with what it is made to.
    host.cli(&[
        "dead",
        "purge",
        "--flow",
        "transactions",
        "--id",
        "a\u{202e}b",
    ]);
    support::eventually(DEADLINE, "it was logged", async || {
        host.floodgate.stderr().contains("a\\u202eb")
    })
    .await;
    assert!(!host.floodgate.stderr().contains('\u{202e}'));
}
