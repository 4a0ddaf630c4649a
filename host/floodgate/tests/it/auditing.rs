//! What the audit log tells of changes that were made through the admin API.

use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::host::{
    DEADLINE, Ground, Ground as Rig, Host, MEMPOOL_RISK, MISBEHAVING, Site, UNIFORM_RISK, told_to,
};
use crate::support::{self, Floodgate, request};

contract!([servers, embedded] {
    every_change_is_told_with_who_made_it_and_what_became_of_it,
    a_change_whose_caller_hangs_up_is_told_as_far_as_it_came,
    a_post_that_the_front_end_refuses_is_told_as_one_that_failed,
    a_change_has_the_name_that_its_caller_says_and_is_found_by_time_flow_and_kind,
});

/// With this many dead letters.
async fn with_dead(ground: Ground, count: u64) -> Host {
    let site = Site::on(ground).with_oracle(MISBEHAVING);
    let host = Host::start_on(site.impatient()).await;
    host.post(&told_to(0, "high")).await;
    host.until_kept(1).await;
    for number in 1..=count {
        host.post(&told_to(number, "trap")).await;
    }
    support::eventually(DEADLINE, "they are dead", async || {
        host.get("/dead").await.as_array().unwrap().len() as u64 == count
    })
    .await;
    host
}

fn id(number: u64) -> String {
    told_to(number, "")["tx_hash"].as_str().unwrap().to_owned()
}

async fn post(
    host: &Host,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> (StatusCode, Value) {
    let url = format!("{}{path}", host.admin);
    let json = [&[("content-type", "application/json")], headers].concat();
    let (status, _, answer) = request("POST", &url, &json, body.to_string()).await;
    (status, serde_json::from_slice(&answer).unwrap())
}

/// What the log said so far of changes and of calls that were not let in.
fn audit_lines(floodgate: &Floodgate) -> Vec<String> {
    let log = floodgate.stderr();
    let lines = log
        .lines()
        .filter(|line| line.contains("\"target\":\"audit\""));
    lines.map(str::to_owned).collect()
}

async fn every_change_is_told_with_who_made_it_and_what_became_of_it(ground: Ground) {
    let host = with_dead(ground, 3).await;
    let digest = host.digest().await;
    host.cli(&["dead", "purge", "--id", &id(1)]);
    host.cli(&["dead", "requeue", "--id", &id(2)]);
    // Neither changes anything.
    host.cli(&["dead", "requeue", "--flow", "transactions", "--dry-run"]);
    host.cli(&["dead", "list"]);
    host.cli(&["oracles", "pin", "mempool-risk", &digest[..12]]);
    host.cli(&["oracles", "unpin", "mempool-risk"]);
    let named = [("x-request-id", "r-7")];
    let (status, _) = post(&host, "/oracles/nobody/rollback", &named, &json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = post(&host, "/dead/purge", &[], &json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);

    let audit = host.get("/audit").await;
    let audit = audit.as_array().unwrap();
    let told: Vec<_> = audit
        .iter()
        .rev()
        .map(|row| (row["action"].as_str().unwrap(), row["target"].clone()))
        .collect();
    let oracle = |name| json!({ "oracle": name });
    assert_eq!(
        told,
        [
            ("purge", json!({ "id": id(1) })),
            ("requeue", json!({ "id": id(2), "rate": 500 })),
            (
                "pin",
                json!({ "oracle": "mempool-risk", "digest": digest[..12] })
            ),
            ("unpin", oracle("mempool-risk")),
            ("rollback", oracle("nobody")),
            ("purge", json!({})),
        ]
    );
    for row in audit {
        assert_eq!(
            (&row["who"], &row["peer"]),
            (&json!("loopback"), &json!("127.0.0.1"))
        );
        let time = |name: &str| row[name].as_str().unwrap().parse::<Timestamp>().unwrap();
        assert!(time("at") <= time("ended_at"));
    }
    let outcome = |at: usize| &audit[audit.len() - 1 - at]["outcome"];
    let one = |number| json!({ "done": 1, "skipped": 0, "ids": { "transactions": [id(number)] } });
    assert_eq!((outcome(0), outcome(1)), (&one(1), &one(2)));
    assert_eq!(outcome(2)["digest"], json!(digest));
    let refused = |at| outcome(at)["error"].as_str().unwrap();
    assert!(refused(4).contains("nobody"), "{}", refused(4));
    assert!(refused(5).contains("say which"), "{}", refused(5));
    assert_eq!(audit[1]["request_id"], "r-7");
    assert!(audit.iter().all(|row| row["request_id"].is_string()));

    let table = host.cli(&["audit", "--max", "2"]);
    assert!(
        table.contains("rollback") && !table.contains("unpin"),
        "{table}"
    );
    let table = host.cli(&["audit"]);
    for part in [
        "1 done, 0 skipped",
        &format!("runs {}", &digest[..12]),
        "error: say which",
    ] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let listed: Value = serde_json::from_str(&host.cli(&["audit", "--json"])).unwrap();
    assert_eq!(listed.as_array().unwrap(), audit);
    support::eventually(DEADLINE, "the log has each change once", async || {
        audit_lines(&host.floodgate).len() == 6
    })
    .await;
}

async fn a_change_whose_caller_hangs_up_is_told_as_far_as_it_came(ground: Ground) {
    let host = with_dead(ground, 20).await;
    let address = host.admin.strip_prefix("http://").unwrap();
    let mut caller = TcpStream::connect(address).await.unwrap();
    let body = r#"{"flow":"transactions","rate":1}"#;
    let call = format!(
        "POST /dead/requeue HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    caller.write_all(call.as_bytes()).await.unwrap();
    let told = async || host.get("/audit").await[0].clone();
    support::eventually(DEADLINE, "it is told as going on", async || {
        told().await["action"] == "requeue"
    })
    .await;
    assert_eq!(told().await["outcome"], Value::Null);
    drop(caller);
    let outcome = support::eventually_some(DEADLINE, "it is told as cut off", async || {
        let outcome = told().await["outcome"].clone();
        let error = outcome["error"].as_str();
        error
            .is_some_and(|error| error.starts_with("cut off"))
            .then_some(outcome)
    })
    .await;
    // One a second, and the caller did not wait for long. Where none was done
    // yet, there is no count.
    let done = outcome.get("done").map_or(0, |done| done.as_u64().unwrap());
    assert!(done < 20, "{outcome}");
    let left = host.get("/dead?limit=1000").await;
    assert_eq!(left.as_array().unwrap().len() as u64, 20 - done);
}

async fn a_post_that_the_front_end_refuses_is_told_as_one_that_failed(ground: Ground) {
    let host = Host::start_with(ground, MISBEHAVING).await;
    let path = "/flows/transactions/post";
    let taken = told_to(1, "high");
    support::eventually(DEADLINE, "it is taken", async || {
        post(&host, path, &[], &taken).await.1["status"] == 202
    })
    .await;
    let secret = "a-body-that-is-nobodys-business";
    let refused = json!({ "tx_hash": secret });
    let (_, posted) = post(&host, path, &[], &refused).await;
    assert_eq!(posted["status"], 422);

    let audit = host.get("/audit?max=2").await;
    for row in audit.as_array().unwrap() {
        assert_eq!(row["action"], "post");
        assert_eq!(row["target"], json!({ "flow": "transactions" }));
    }
    assert_eq!(audit[1]["outcome"], json!({ "status": 202, "id": id(1) }));
    let outcome = &audit[0]["outcome"];
    assert_eq!(
        (&outcome["status"], &outcome["id"]),
        (&json!(422), &Value::Null)
    );
    let error = outcome["error"].as_str().unwrap();
    assert!(error.starts_with("refused by the front end: "), "{error}");
    assert!(!audit.to_string().contains(secret), "{audit}");

    let table = host.cli(&["audit", "--max", "2"]);
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.contains("answered"))
        .collect();
    assert!(rows[0].contains("answered 422; error: refused"), "{table}");
    assert!(rows[1].trim_end().ends_with("answered 202"), "{table}");
    support::eventually(DEADLINE, "the log tells them apart", async || {
        let lines = audit_lines(&host.floodgate);
        let says = |status: &str, what: &str| {
            let both = |line: &String| line.contains(status) && line.contains(what);
            lines.iter().any(both)
        };
        says(":202", "\"level\":\"INFO\"") && says(":422", "\"level\":\"WARN\"")
    })
    .await;
}

async fn a_change_has_the_name_that_its_caller_says_and_is_found_by_time_flow_and_kind(
    ground: Ground,
) {
    let host = with_dead(ground, 1).await;
    let digest = host.digest().await;
    let pin = ["oracles", "pin", "mempool-risk", &*digest, "--as", "Zoë"];
    host.cli(&pin);
    host.cli(&["oracles", "unpin", "mempool-risk", "--as", "Max"]);
    host.cli(&["dead", "purge", "--id", &id(1), "--as", "Ann"]);
    let listed = |arguments: &[&str]| {
        let arguments = [&["audit", "--json"], arguments].concat();
        let rows: Vec<Value> = serde_json::from_str(&host.cli(&arguments)).unwrap();
        rows
    };
    let people = |arguments: &[&str]| {
        let rows = listed(arguments);
        let people = rows.iter().map(|row| row["person"].as_str().unwrap());
        people.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(people(&["--kind", "pin,unpin"]), ["Max", "Zoë"]);
    assert_eq!(people(&["--kind", "purge"]), ["Ann"]);
    // The purge names no flow: it may touch any.
    assert_eq!(people(&["--flow", "transactions"]), ["Ann", "Max", "Zoë"]);
    assert_eq!(people(&["--flow", "credit"]), ["Ann"]);
    assert_eq!(people(&["--since", "1h"]), ["Ann", "Max", "Zoë"]);
    assert!(people(&["--until", "1h"]).is_empty());
    let newest = listed(&["--max", "1"]);
    let before = newest[0]["seq"].to_string();
    assert_eq!(people(&["--before", &before]), ["Max", "Zoë"]);
    assert_eq!(
        listed(&["--kind", "pin"])[0]["flows"],
        json!(["transactions"])
    );
    let table = host.cli(&["audit"]);
    assert!(table.contains("Zoë (loopback)"), "{table}");

    let long = "a".repeat(65);
    let unpin = ["oracles", "unpin", "mempool-risk", "--as", &*long];
    assert_eq!(host.try_cli(&unpin).status.code(), Some(2));
    assert_eq!(
        host.try_cli(&["audit", "--kind", "swapped"]).status.code(),
        Some(2)
    );
    let named = [("x-floodgate-as", &*long)];
    let (status, _) = post(&host, "/oracles/mempool-risk/unpin", &named, &json!({})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    for wrong in ["kind=swapped", "since=yesterday", "before=x"] {
        let problem = host.get(&format!("/audit?{wrong}")).await;
        assert_eq!(problem["status"], 400, "{wrong}");
    }
    assert_eq!(listed(&[]).len(), 3);
}

/// How many events a process has told the ledger of.
async fn events_told(admin: &str) -> u64 {
    let (_, _, page) = request("GET", &format!("{admin}/metrics"), &[], "").await;
    let page = String::from_utf8(page.to_vec()).unwrap();
    let count = "floodgate_ledger_duration_seconds_count{call=\"happened\"} ";
    let told = page.lines().find_map(|line| line.strip_prefix(count));
    told.map_or(0, |told| told.parse().unwrap())
}

#[tokio::test]
async fn a_swap_by_file_is_one_row_although_each_worker_sees_it() {
    let host = Host::start(MEMPOOL_RISK).await;
    let mut second = host.site.serve("worker");
    let admins = [host.admin.clone(), second.admin_url().await];
    support::eventually(DEADLINE, "both have the oracle", async || {
        let oracles = host.get("/oracles").await;
        let oracles = oracles.as_array().unwrap();
        oracles.len() == 2 && oracles.iter().all(|oracle| oracle["digest"].is_string())
    })
    .await;
    for (swaps, component) in [(1, UNIFORM_RISK), (2, MEMPOOL_RISK), (3, UNIFORM_RISK)] {
        host.drop(component);
        for admin in &admins {
            support::eventually(DEADLINE, "it has told of the swap", async || {
                events_told(admin).await == swaps
            })
            .await;
        }
        let rows = host.get("/audit").await;
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len() as u64, swaps, "{rows:?}");
        assert_eq!(
            (&rows[0]["who"], &rows[0]["action"]),
            (&json!("file"), &json!("swap"))
        );
        assert_eq!(rows[0]["flows"], json!(["transactions"]));
    }
}

#[tokio::test]
async fn who_shows_the_token_is_told_so() {
    let site = Site::on(Ground::embedded().await).with_oracle(MISBEHAVING);
    let token = "a-token-for-tests-only";
    let mut floodgate = site.serve_in("all", &[], &[("FLOODGATE_ADMIN_TOKEN", token)]);
    let url = format!("{}/oracles/mempool-risk/unpin", floodgate.admin_url().await);
    let bearer = format!("Bearer {token}");
    let headers = [
        ("content-type", "application/json"),
        ("authorization", &*bearer),
    ];
    let (status, ..) = request("POST", &url, &headers[..1], "{}").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, ..) = request("POST", &url, &headers, "{}").await;
    assert_eq!(status, StatusCode::OK);
    let rows = site.query("SELECT who, peer, action FROM audit").await;
    assert_eq!(rows, [["token", "127.0.0.1", "unpin"]]);
    support::eventually(DEADLINE, "the refused call is in the log", async || {
        let path = "\"path\":\"/oracles/mempool-risk/unpin\"";
        let refused = |line: &String| line.contains(path) && line.contains("\"level\":\"WARN\"");
        audit_lines(&floodgate).iter().any(refused)
    })
    .await;
    assert!(!floodgate.stderr().contains(token));
}

#[tokio::test]
async fn of_a_refused_call_the_log_has_only_the_beginning() {
    let host = Host::start_on(Site::on(Ground::embedded().await)).await;
    let path = format!("/{}", "a".repeat(1000));
    let foreign = [("host", "evil.example")];
    let (status, ..) = request("GET", &format!("{}{path}", host.admin), &foreign, "").await;
    assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
    support::eventually(DEADLINE, "it is in the log, cut", async || {
        let cut = format!("\"{}\"", &path[..128]);
        let lines = audit_lines(&host.floodgate);
        lines.iter().any(|line| line.contains(&cut))
    })
    .await;
    assert!(!host.floodgate.stderr().contains(&path[..129]));
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    let host = Host::start(MISBEHAVING).await;
    let digest = host.digest().await;
    support::eventually(DEADLINE, "a pin is made", async || {
        host.try_cli(&["oracles", "pin", "mempool-risk", &digest])
            .status
            .success()
    })
    .await;
    host.site.query("DROP TABLE audit").await;
    let (status, _) = post(&host, "/oracles/mempool-risk/unpin", &[], &json!({})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let chosen = host.site.query("SELECT kind FROM oracle_choices").await;
    assert_eq!(chosen, [["pinned"]]);
}
