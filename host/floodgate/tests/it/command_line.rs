//! What every command keeps to: exit codes, JSON, pipes.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::host::{DEADLINE, Ground, Host, MEMPOOL_RISK, MISBEHAVING, Site, repository, told_to};
use crate::support;

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9";

/// One that has something to say in answer to every command: a decision, a
/// pending entry and a dead letter.
async fn host() -> Host {
    let site = Site::on(Ground::embedded().await)
        .with_oracle(MISBEHAVING)
        .impatient();
    let host = Host::start_on(site).await;
    host.accepted(&told_to(1, "high")).await;
    host.accepted(&told_to(2, "trap")).await;
    host.until_kept(1).await;
    support::eventually(DEADLINE, "one is dead", async || {
        host.get("/dead").await.as_array().unwrap().len() == 1
    })
    .await;
    host
}

fn floodgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floodgate"));
    command.args(arguments).current_dir(repository());
    command
}

fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn id(number: u64) -> String {
    told_to(number, "")["tx_hash"].as_str().unwrap().to_owned()
}

/// A command line, with these names in it replaced.
fn words(command: &str, names: &[(&str, &str)]) -> Vec<String> {
    let name = |word: &str| {
        let known = names.iter().find(|(name, _)| *name == word);
        known.map_or(word, |(_, value)| value).to_owned()
    };
    command.split_whitespace().map(name).collect()
}

fn run(host: &Host, arguments: &[String]) -> Output {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = floodgate(&arguments);
    let command = command.env("FLOODGATE_ADMIN", &host.admin);
    command.output().unwrap()
}

fn write(dir: &Path, name: &str, body: &Value) -> String {
    let path = dir.join(format!("{name}.ndjson"));
    std::fs::write(&path, format!("{body}\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

const ANSWERS: [&str; 19] = [
    "health",
    "flows",
    "flows check FLOWS",
    "oracles",
    "oracles unpin mempool-risk",
    "pending",
    "decisions",
    "why transactions KEPT",
    "oracle verify transactions KEPT",
    "oracle check plugins/dist/mempool-risk.wasm",
    "oracle check plugins/dist/mempool-risk.wasm --sample LINES",
    "dead list",
    "dead show transactions DEAD",
    "dead requeue --dry-run --id DEAD",
    "dead purge --id nobody",
    "audit",
    "keys new of-a-bank",
    "load --requests 3 --url URL/transactions",
    "import transactions LINES --flows FLOWS --url URL",
];

#[tokio::test]
async fn each_answer_is_json_where_that_is_asked_for_and_has_no_colours_in_a_pipe() {
    let host = host().await;
    let names = [
        ("KEPT", &*id(1)),
        ("DEAD", &id(2)),
        ("FLOWS", host.site.flows.path().to_str().unwrap()),
        ("URL", host.url.trim_end_matches("/transactions")),
        ("URL/transactions", &host.url),
        (
            "LINES",
            &write(host.site.flows.path(), "lines", &told_to(7, "")),
        ),
    ];
    for command in ANSWERS {
        let mut arguments = words(command, &names);
        let (answer, error) = said(&run(&host, &arguments));
        assert!(!answer.is_empty(), "{command}: {error}");
        assert!(!answer.contains('\u{1b}'), "{command}: {answer}");
        arguments.push("--json".to_owned());
        let output = run(&host, &arguments);
        let (answer, error) = said(&output);
        assert!(output.status.success(), "{command}: {error}");
        let answer: Result<Value, _> = serde_json::from_str(&answer);
        assert!(answer.is_ok(), "{command}: {answer:?}");
    }
}

const CASES: [(i32, &str); 33] = [
    (0, "--help"),
    (0, "dead requeue --help"),
    (0, "health"),
    (1, "health --admin NOBODY"),
    (2, "health --unheard-of"),
    (0, "flows check FLOWS"),
    (1, "flows check EMPTY"),
    (2, "flows check"),
    (0, "oracle check plugins/dist/mempool-risk.wasm"),
    (1, "oracle check flows/transactions.toml"),
    (2, "oracle check plugins/dist/mempool-risk.wasm --setting x"),
    (0, "oracle verify transactions KEPT"),
    (1, "oracle verify transactions nobody"),
    (2, "oracle verify transactions"),
    (0, "import transactions GOOD --flows FLOWS --url URL"),
    (1, "import transactions BAD --flows FLOWS --url URL"),
    (2, "import transactions GOOD --batch 0"),
    (0, "load -n 2 --url URL/transactions"),
    (1, "load -n 2 --url URL --no-drain"),
    (2, "load --url ftp//"),
    (0, "why transactions nobody"),
    (1, "why nobody nobody"),
    (1, "query transactions VALUES(1)"),
    (2, "query transactions"),
    (2, "query transactions VALUES(1) --param from:date=soon"),
    (1, "dead show transactions nobody"),
    (0, "dead purge --id nobody"),
    (2, "dead purge"),
    (2, "dead requeue"),
    (2, "keys new Of-A-Bank"),
    (2, "prove --faults earthquake"),
    (2, "completions abacus"),
    (2, ""),
];

#[tokio::test]
async fn the_exit_code_is_0_for_done_1_for_not_done_and_2_for_a_wrong_command_line() {
    let host = host().await;
    let empty = tempfile::tempdir().unwrap();
    let files = tempfile::tempdir().unwrap();
    let names = [
        ("KEPT", &*id(1)),
        ("NOBODY", NOBODY),
        ("FLOWS", host.site.flows.path().to_str().unwrap()),
        ("EMPTY", empty.path().to_str().unwrap()),
        ("GOOD", &write(files.path(), "good", &told_to(8, ""))),
        ("BAD", &write(files.path(), "bad", &json!({}))),
        ("URL", host.url.trim_end_matches("/transactions")),
        ("URL/transactions", &host.url),
    ];
    for (code, command) in CASES {
        let output = run(&host, &words(command, &names));
        let (_, error) = said(&output);
        assert_eq!(output.status.code(), Some(code), "{command}: {error}");
        assert!(code == 0 || !error.is_empty(), "{command}");
    }
    let dead = host.get("/dead").await;
    assert_eq!(dead.as_array().unwrap().len(), 1, "nothing was purged");
}

#[tokio::test]
async fn what_was_only_partly_accepted_is_not_done() {
    let host = Host::start_on(
        Site::on(Ground::embedded().await)
            .with_oracle(MEMPOOL_RISK)
            .with_flow("# rate = \"none\"", "rate = \"3/h\" #"),
    )
    .await;
    let arguments = ["load", "-n", "5", "-c", "1", "--json", "--url", &host.url];
    let output = host.try_cli(&arguments);
    let (report, error) = said(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("2 of 5 were not accepted"), "{error}");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        (&report["accepted"], &report["others"]),
        (&json!(3), &json!({"HTTP 429": 2}))
    );
    assert!(report["queue"]["kept"].is_u64(), "{report}");
}

#[tokio::test]
async fn whoever_has_read_enough_makes_no_command_fail() {
    let host = host().await;
    let commands: [&[&str]; 6] = [
        &["decisions"],
        &["decisions", "--json"],
        &["oracle", "check", MEMPOOL_RISK],
        &["completions", "bash"],
        &["oracle", "verify", "transactions", &id(1)],
        &["keys", "new", "of-a-bank"],
    ];
    for arguments in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = floodgate(arguments);
        command.env("FLOODGATE_ADMIN", &host.admin).stdout(writer);
        let output = command.output().unwrap();
        let (_, error) = said(&output);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {error}");
        assert!(
            !error.contains("rror") && !error.contains("panicked"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let output = floodgate(&["completions", "bash"])
        .stdout(full.unwrap())
        .output()
        .unwrap();
    let (_, error) = said(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("write to standard output"), "{error}");
}

#[test]
fn where_nobody_answers_one_line_says_where_why_and_what_to_do() {
    let commands: [&[&str]; 5] = [
        &["health"],
        &["flows"],
        &["decisions", "--json"],
        &["oracle", "verify", "transactions", "0x1"],
        &["dead", "purge", "--flow", "transactions"],
    ];
    for arguments in commands {
        let output = floodgate(arguments)
            .env("FLOODGATE_ADMIN", NOBODY)
            .output()
            .unwrap();
        let (answer, error) = said(&output);
        assert_eq!((output.status.code(), &*answer), (Some(1), ""));
        assert_eq!(error.lines().count(), 1, "{error}");
        for part in [NOBODY, "refused", "floodgate dev", "--admin"] {
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
    }
}

#[test]
fn a_shell_completes_commands_and_options() {
    let script = r#"
        source <("$FLOODGATE" completions bash)
        complete_last() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _floodgate floodgate "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            echo "${COMPREPLY[*]}"; }
        complete_last floodgate orac
        complete_last floodgate oracle ver
        complete_last floodgate dead requeue --dry
    "#;
    let output = Command::new("bash")
        .args(["-c", script])
        .env("FLOODGATE", env!("CARGO_BIN_EXE_floodgate"))
        .output()
        .unwrap();
    let (completed, error) = said(&output);
    assert_eq!(completed, "oracle oracles\nverify\n--dry-run\n", "{error}");
    for shell in ["zsh", "fish"] {
        let output = floodgate(&["completions", shell]).output().unwrap();
        assert!(said(&output).0.contains("verify"), "{shell}");
    }
}
