//! `floodgate erase`: what is left of an entry afterwards, and what is not.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::archive::{Archive, move_to};
use crate::host::{DEADLINE, Ground, Ground as Rig, Host, MISBEHAVING, Site, told_to};
use crate::services::Service;
use crate::support::{self, request};

contract!([servers, embedded] {
    of_a_decision_its_body_goes_and_that_it_was_made_stays,
    a_dead_letter_that_was_erased_cannot_be_requeued,
    an_open_entry_is_not_erased,
    whoever_asks_for_its_fate_is_told_that_it_was_done,
    what_is_in_the_cold_tier_takes_the_archive,
    an_id_is_known_in_any_case_that_the_flow_takes_it_in,
});

fn id(number: u64) -> String {
    told_to(number, "")["tx_hash"].as_str().unwrap().to_owned()
}

/// With two attempts of each entry, the second after `pause`.
async fn host(ground: Ground, pause: &str) -> Host {
    Host::start_on(site(ground, pause)).await
}

fn site(ground: Ground, pause: &str) -> Site {
    let site = Site::on(ground).with_oracle(MISBEHAVING);
    site.with_flow("attempts = 5", "attempts = 2")
        .with_flow("first = \"1s\"", &format!("first = \"{pause}\""))
        .with_flow("# retain = \"0s\"", "retain = \"1h\"")
}

/// What a command that fails says.
fn fails(host: &Host, arguments: &[&str]) -> String {
    let output = host.try_cli(arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
    said
}

async fn of_a_decision_its_body_goes_and_that_it_was_made_stays(ground: Ground) {
    let host = host(ground, "10ms").await;
    for number in [1, 2] {
        host.accepted(&told_to(number, "high")).await;
        host.until_kept(i64::try_from(number).unwrap()).await;
    }
    host.settled().await;
    let id = id(1);
    let said = host.cli(&["erase", "transactions", &id]);
    // The first one that is judged is a control from then on.
    let touched = "its decision, 1 copy in the stream, 1 control entry";
    assert_eq!(said, format!("erased of transactions {id}: {touched}\n"));

    let decision = host.get(&format!("/decisions/transactions/{id}")).await;
    assert_eq!(decision["body"], "null");
    assert_eq!(decision["outcome"]["score"], 0.9);
    let erased_at = decision["erased_at"].as_str().unwrap();
    let why = host.cli(&["why", "transactions", &id]);
    assert!(why.contains(&format!("erased at {erased_at}")), "{why}");
    let said = fails(&host, &["oracle", "verify", "transactions", &id]);
    assert!(said.contains("nothing to judge again"), "{said}");
    assert!(host.cli(&["decisions"]).contains(&id[..10]));
    let again = host.cli(&["erase", "transactions", &id, "--json"]);
    let again: Value = serde_json::from_str(&again).unwrap();
    let nothing = json!({
        "flow": "transactions", "id": id, "copies": 0, "decision": false, "dead_letters": 0,
        "deliveries": 0, "controls": 0, "files": [], "erased_at": erased_at,
    });
    assert_eq!(again, nothing);

    let (status, answer) = host.post(&told_to(1, "high")).await;
    assert_eq!(
        (status, &answer["tx_hash"]),
        (StatusCode::ACCEPTED, &json!(id))
    );
    let (status, _) = host.post(&told_to(1, "trap")).await;
    assert_eq!(status, StatusCode::CONFLICT, "its hash is known");
    assert_eq!(host.kept().await, 2);
    let other = self::id(2);
    let other = host.get(&format!("/decisions/transactions/{other}")).await;
    assert!(other["body"].as_str().unwrap().contains("high"), "{other}");
}

async fn a_dead_letter_that_was_erased_cannot_be_requeued(ground: Ground) {
    let host = host(ground, "10ms").await;
    // It is not the oracle that fails.
    host.accepted(&told_to(0, "high")).await;
    host.until_kept(1).await;
    for number in [1, 2] {
        host.accepted(&told_to(number, "trap")).await;
    }
    support::eventually(DEADLINE, "both are dead", async || {
        host.get("/dead").await.as_array().unwrap().len() == 2
    })
    .await;
    host.settled().await;
    let id = id(1);
    let said = host.cli(&["erase", "transactions", &id]);
    assert!(said.contains("1 dead letter, 1 copy"), "{said}");
    let said = fails(&host, &["dead", "requeue", "--id", &id]);
    assert!(said.contains("its body was erased"), "{said}");
    assert!(
        host.cli(&["dead", "show", "transactions", &id])
            .ends_with("body: erased\n")
    );
    let why = host.cli(&["why", "transactions", &id]);
    assert!(why.contains("it cannot be requeued"), "{why}");
    let rehearsed = ["dead", "requeue", "--id", &id, "--dry-run"];
    assert!(host.cli(&rehearsed).contains("its body is gone"));
    let said = host.cli(&["dead", "requeue", "--flow", "transactions"]);
    assert_eq!(said, "1 requeued, 1 skipped (1 of them erased before)\n");

    let said = fails(&host, &["erase", "transactions", "0x00"]);
    assert!(said.contains("no entry 0x00"), "{said}");
    let said = fails(&host, &["erase", "nobody", "0x00"]);
    assert!(said.contains("no flow nobody"), "{said}");
    let audit = host.get("/audit").await;
    let rows: Vec<&Value> = audit
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["action"] == "erase")
        .collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(
        rows[2]["target"],
        json!({ "flow": "transactions", "id": id })
    );
    assert_eq!(rows[2]["outcome"]["dead_letters"], 1);
    assert!(rows[1]["outcome"]["error"].is_string());
    assert!(host.cli(&["audit"]).contains("erased 1 dead letter"));
}

async fn an_open_entry_is_not_erased(ground: Ground) {
    let host = host(ground, "1h").await;
    host.accepted(&told_to(1, "trap")).await;
    let id = id(1);
    support::eventually(DEADLINE, "it waits for its next attempt", async || {
        let why = host.get(&format!("/why/transactions/{id}")).await;
        why["next_attempt"].is_string()
    })
    .await;
    let said = fails(&host, &["erase", "transactions", &id]);
    assert!(
        said.contains(&format!("floodgate why transactions {id}")),
        "{said}"
    );
    let url = format!("{}/erase", host.admin);
    let json = [("content-type", "application/json")];
    let body = json!({ "flow": "transactions", "id": id }).to_string();
    let (status, ..) = request("POST", &url, &json, body).await;
    assert_eq!(status, StatusCode::CONFLICT);
    let (status, headers, _) = request("GET", &url, &[], String::new()).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(headers["allow"], "POST");
}

async fn whoever_asks_for_its_fate_is_told_that_it_was_done(ground: Ground) {
    let service = Service::start_on(Service::site_on(ground, &["tasks"])).await;
    service.post("/tasks", &json!({"payload": "secret"})).await;
    let task = service.until("/tasks/1", "status", "done").await;
    assert_eq!(task["result"], "Processed: SECRET");
    let url = format!("{}/erase", service.admin);
    let json = [("content-type", "application/json")];
    support::eventually(DEADLINE, "it is settled and erased", async || {
        let body = json!({ "flow": "tasks", "id": "1" }).to_string();
        request("POST", &url, &json, body).await.0 == StatusCode::OK
    })
    .await;
    let (status, task) = service.get("/tasks/1").await;
    assert_eq!((status, &task["status"]), (StatusCode::OK, &json!("done")));
    assert_eq!(
        (&task["payload"], &task["result"]),
        (&Value::Null, &Value::Null)
    );
}

async fn what_is_in_the_cold_tier_takes_the_archive(ground: Ground) {
    let host = host(ground, "10ms").await;
    let id = kept(&host).await;
    let hash = hex::encode(floodgate_flow::sha256_16(id.as_bytes()));
    let hash = match host.site.ground {
        Ground::Servers { .. } => format!("'\\x{hash}'"),
        Ground::Embedded(_) => format!("x'{hash}'"),
    };
    let moved = format!("INSERT INTO moved SELECT flow, {hash}, body_hash, 7 FROM decisions");
    host.site.query(&moved).await;
    host.site.query("DELETE FROM decisions").await;
    let said = fails(&host, &["erase", "transactions", &id]);
    for part in [
        "in cold file 7 still",
        "no floodgate-archive is configured",
        "erased so far: 1 copy in the stream",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

async fn an_id_is_known_in_any_case_that_the_flow_takes_it_in(ground: Ground) {
    let host = host(ground, "10ms").await;
    host.accepted(&told_to(0xabc, "high")).await;
    host.until_kept(1).await;
    host.settled().await;
    let id = id(0xabc);
    let shouted = id.to_uppercase();
    assert_ne!(shouted, id);
    let why = host.cli(&["why", "transactions", &shouted]);
    assert!(why.starts_with("decided at "), "{why}");
    let said = host.cli(&["erase", "transactions", &shouted]);
    let touched = "its decision, 1 copy in the stream, 1 control entry";
    assert_eq!(said, format!("erased of transactions {id}: {touched}\n"));
    let decision = host
        .get(&format!("/decisions/transactions/{shouted}"))
        .await;
    assert_eq!(
        (&decision["id"], &decision["body"]),
        (&json!(id), &json!("null"))
    );
}

/// A decision that nothing waits for any more; its id.
async fn kept(host: &Host) -> String {
    host.accepted(&told_to(1, "high")).await;
    host.until_kept(1).await;
    host.settled().await;
    id(1)
}

/// Commands are waited for, and the archive in this process answers meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_cold_file_is_written_anew_by_the_archive() {
    let archive = Archive::start().await;
    let site = site(Ground::servers().await, "10ms");
    let host = Host::start_in(site, &archive.env()).await;
    let id = kept(&host).await;
    let decision = host.get(&format!("/decisions/transactions/{id}")).await;
    move_to(&host, &archive, &decision).await;
    archive.answers("POST /erase", 503, json!({"detail": "the bucket is away"}));
    let said = fails(&host, &["erase", "transactions", &id]);
    assert!(
        said.contains("the bucket is away") && said.contains("so far: 1 copy"),
        "{said}"
    );
    let anew = "transactions/day=2025-12-25/8.parquet";
    archive.answers("POST /erase", 200, json!({ "files": [anew] }));
    let said = host.cli(&["erase", "transactions", &id]);
    let expected = format!("erased of transactions {id}: the cold file {anew}\n");
    assert_eq!(said, expected);
    let what = json!({ "flow": "transactions", "id": id });
    assert_eq!(archive.asked("POST /erase"), [what.clone(), what]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_archive_forgets_its_answers_where_only_the_ledger_had_the_body() {
    let archive = Archive::start().await;
    let host = Host::start_in(site(Ground::embedded().await, "10ms"), &archive.env()).await;
    let id = kept(&host).await;
    archive.answers(
        "POST /forget",
        503,
        json!({"detail": "it is just going away"}),
    );
    let said = host.cli(&["erase", "transactions", &id]);
    let (erased, left) = said.split_once('\n').unwrap();
    assert!(
        erased.ends_with("its decision, 1 copy in the stream, 1 control entry"),
        "{said}"
    );
    assert!(
        left.starts_with("left: answers that floodgate-archive keeps"),
        "{said}"
    );
    assert!(left.contains("it is just going away"), "{said}");
    archive.answers("POST /forget", 200, json!({}));
    let said = host.cli(&["erase", "transactions", &id]);
    assert_eq!(said, format!("erased of transactions {id}: nothing\n"));
    assert_eq!(archive.asked("POST /forget"), [json!({}), json!({})]);
    assert!(archive.asked("POST /erase").is_empty());
}

/// What only the cold tier knows: by which id the stream still has the entry.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_in_the_stream_is_not_left_because_nobody_told_of_it() {
    let archive = Archive::start().await;
    let site = site(Ground::servers().await, "10ms");
    let site = site.with_flow("remember = \"10m\"", "remember = \"0s\"");
    let host = Host::start_in(site, &archive.env()).await;
    let id = kept(&host).await;
    let decision = host.get(&format!("/decisions/transactions/{id}")).await;
    move_to(&host, &archive, &decision).await;
    let away = json!({"detail": "the bucket is away"});
    let anew = "transactions/day=2025-12-25/8.parquet";
    archive.answers("POST /erase", 200, json!({ "files": [anew] }));
    for _ in 0..2 {
        archive.answers_once("GET /entries", 503, away.clone());
    }
    let said = fails(&host, &["erase", "transactions", &id]);
    for part in [
        "the stream may have a copy still",
        "the bucket is away",
        &format!("erased so far: 1 control entry, the cold file {anew}"),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    archive.answers_once("GET /entries", 503, away);
    let said = host.cli(&["erase", "transactions", &id]);
    let expected =
        format!("erased of transactions {id}: 1 copy in the stream, the cold file {anew}\n");
    assert_eq!(said, expected);
}
