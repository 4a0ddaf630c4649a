//! Whether the running host takes what was dropped.

use std::time::{Duration, Instant};

use super::client::{Client, nobody_listens};
use floodgate_admin::types::{FlowStatus, WorkerOracle};
use floodgate_flow::Digest;
use floodgate_report::OracleStatus;

/// Workers look twice a second and report every second.
const DEADLINE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

enum Answer {
    Took,
    Refused(String),
    /// Something else is in force, because a person or the host chose so.
    Held(Option<Digest>),
    NotUsed,
    NoWorker,
    NotYet,
}

/// Waits until a worker reports the component under this name, or for a few
/// seconds; what came of it, in one line.
pub(super) async fn taken(client: &Client, name: &str, digest: Digest) -> String {
    let started = Instant::now();
    let host = client.base();
    loop {
        let asked = tokio::time::timeout(DEADLINE, ask(client, name, digest)).await;
        let over = started.elapsed() > DEADLINE;
        match asked {
            Ok(Ok(Answer::NotYet | Answer::NoWorker)) if !over => tokio::time::sleep(POLL).await,
            Ok(Ok(answer)) => return line(answer, host, name, started.elapsed()),
            Ok(Err(error)) if nobody_listens(&error) => {
                return format!("no running host at {host}; it will be taken when one starts");
            }
            Ok(Err(error)) => return format!("the host at {host} does not tell: {error:#}"),
            Err(_elapsed) => return format!("the host at {host} does not answer"),
        }
    }
}

fn line(answer: Answer, host: &str, name: &str, after: Duration) -> String {
    match answer {
        Answer::Took if after < POLL => "running host has it".to_owned(),
        Answer::Took => format!("running host took it after {:.1} s", after.as_secs_f64()),
        Answer::Refused(error) => format!("running host refused it: {error}"),
        Answer::Held(digest) => {
            let held = digest.map_or_else(|| "nothing".to_owned(), |held| format!("{held:.12}"));
            format!("running host stays at {held} until `floodgate oracles unpin {name}`")
        }
        Answer::NotUsed => format!("the host does not use {name}: name it in a flow file"),
        Answer::NoWorker => {
            format!("no worker reports to {host}; it will be taken when one starts")
        }
        Answer::NotYet => format!(
            "running host did not take it within {DEADLINE:?}; does it watch another directory?"
        ),
    }
}

async fn ask(client: &Client, name: &str, digest: Digest) -> anyhow::Result<Answer> {
    let mut rows: Vec<WorkerOracle> = client.get("/oracles", &[]).await?;
    rows.retain(|row| row.oracle.name == name);
    if !rows.is_empty() {
        let mut told = rows.into_iter().filter_map(|row| told(row.oracle, digest));
        return Ok(told.next().unwrap_or(Answer::NotYet));
    }
    let flows: Vec<FlowStatus> = client.get("/flows", &[]).await?;
    let used = flows
        .iter()
        .any(|flow| flow.oracles.iter().any(|oracle| oracle == name));
    Ok(match used {
        true => Answer::NoWorker,
        false => Answer::NotUsed,
    })
}

/// What a worker says of a digest; `None`: nothing yet.
fn told(oracle: OracleStatus, digest: Digest) -> Option<Answer> {
    if oracle.digest == Some(digest) {
        return Some(Answer::Took);
    }
    if oracle.file_digest == Some(digest) && (oracle.pinned || oracle.rolled_back == Some(digest)) {
        return Some(Answer::Held(oracle.digest));
    }
    let of_this = format!("({digest:.12})");
    let error = oracle.last_error.filter(|error| error.contains(&of_this));
    error.map(Answer::Refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> OracleStatus {
        let before = Digest::of(b"before");
        serde_json::from_value(serde_json::json!({
            "name": "a", "digest": before, "size": 1, "since": null, "calls": 0, "entries": 0,
            "faults": 0, "last_error": null, "pinned": false, "rolled_back": null,
            "file_digest": before, "compile_ms": 1, "rollback": null,
        }))
        .unwrap()
    }

    fn said(oracle: OracleStatus) -> Option<String> {
        let answer = told(oracle, Digest::of(b"new"))?;
        Some(line(answer, "http://h", "a", Duration::from_millis(420)))
    }

    #[test]
    fn a_worker_takes_it_refuses_it_holds_another_or_has_not_looked_yet() {
        let new = Digest::of(b"new");
        assert_eq!(said(status()), None);
        let took = OracleStatus {
            digest: Some(new),
            ..status()
        };
        assert_eq!(said(took).unwrap(), "running host took it after 0.4 s");
        let error = Some(format!("a.wasm ({new:.12}): not WebAssembly"));
        let refused = OracleStatus {
            last_error: error,
            ..status()
        };
        assert!(said(refused).unwrap().ends_with("not WebAssembly"));
        let older = OracleStatus {
            last_error: Some("a.wasm (0123): no".to_owned()),
            ..status()
        };
        assert_eq!(said(older), None);
        let pinned = OracleStatus {
            pinned: true,
            file_digest: Some(new),
            ..status()
        };
        assert!(said(pinned).unwrap().contains("oracles unpin a"));
    }
}
