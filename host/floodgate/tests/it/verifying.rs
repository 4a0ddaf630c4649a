//! `floodgate oracle verify`: stored decisions, made again.

use std::process::Output;

use serde_json::{Value, json};

use crate::host::{
    DEADLINE, Ground, Ground as Rig, Host, MEMPOOL_RISK, MISBEHAVING, UNIFORM_RISK, drainer,
    told_to,
};
use crate::metrics::told::until_told;
use crate::services::Service;
use crate::support;

contract!([servers, embedded] {
    a_kept_decision_is_the_same_again_and_each_digest_of_a_swap_answers_for_its_own,
    what_somebody_changed_in_the_ledger_is_told,
    what_is_not_kept_any_more_is_named,
    a_decision_is_made_again_with_the_settings_of_then,
    what_no_oracle_judged_is_not_called_the_same,
});

fn verify(admin: &str, flow: &str, id: &str) -> Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_floodgate"))
        .args(["oracle", "verify", flow, id, "--json", "--admin", admin])
        .output()
        .unwrap()
}

/// What it found, where it found the same; components are kept a moment after
/// they are in force.
async fn same(admin: &str, flow: &str, id: &str) -> Value {
    let what = format!("{id} verifies");
    let found = support::eventually_some(DEADLINE, &what, async || {
        let output = verify(admin, flow, id);
        (output.status.code() == Some(0)).then_some(output.stdout)
    });
    let found: Value = serde_json::from_slice(&found.await).unwrap();
    assert_eq!(found["same"], true, "{found}");
    found
}

/// Why it is not the same, with what was printed.
fn differs(admin: &str, flow: &str, id: &str) -> (String, String) {
    let output = verify(admin, flow, id);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    (said, String::from_utf8(output.stdout).unwrap())
}

fn id_of(body: &Value) -> String {
    body["tx_hash"].as_str().unwrap().to_owned()
}

async fn a_kept_decision_is_the_same_again_and_each_digest_of_a_swap_answers_for_its_own(
    ground: Ground,
) {
    let host = Host::start_with(ground, MEMPOOL_RISK).await;
    let first = host.digest().await;
    host.accepted(&drainer(1)).await;
    host.until_kept(1).await;
    host.drop(MISBEHAVING);
    host.until_digest_is_not(&first).await;
    let second = host.digest().await;
    host.accepted(&told_to(2, "high")).await;
    host.until_kept(2).await;
    let of = |body: Value| id_of(&body);
    for (id, digest) in [(of(drainer(1)), &first), (of(told_to(2, "")), &second)] {
        let found = same(&host.admin, "transactions", &id).await;
        let oracle = &found["oracles"][0];
        assert_eq!(
            (&oracle["name"], &oracle["digest"], &oracle["same"]),
            (&json!("mempool-risk"), &json!(digest), &json!(true))
        );
        assert_eq!(oracle["stored"], oracle["now"]);
        assert_eq!(found["decision"]["now"]["label"], "HIGH");
        let said = host.cli(&["oracle", "verify", "transactions", &id]);
        assert!(
            said.contains(&digest[..12]) && said.contains("the same as at"),
            "{said}"
        );
    }
}

async fn what_somebody_changed_in_the_ledger_is_told(ground: Ground) {
    let host = Host::start_with(ground, MEMPOOL_RISK).await;
    for number in 1..=4 {
        host.accepted(&drainer(number)).await;
    }
    host.until_kept(4).await;
    let ids: Vec<String> = (1..=4).map(|number| id_of(&drainer(number))).collect();
    let change = async |number: usize, set: &str| {
        let (id, admin) = (&ids[number - 1], &host.admin);
        same(admin, "transactions", id).await;
        let sql = format!("UPDATE decisions SET {set} WHERE id = '{id}'");
        host.site.query(&sql).await;
        differs(admin, "transactions", id)
    };
    let (said, found) = change(1, "score = 0.8125").await;
    assert!(said.contains("the flow: score 0.8125 is stored"), "{said}");
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(
        (&found["same"], &found["oracles"][0]["same"]),
        (&json!(false), &json!(true))
    );
    let (said, _) = change(2, "label_name = 'LOW'").await;
    assert!(said.contains("label LOW is stored, now HIGH"), "{said}");
    let (said, found) = change(3, "body = '{}'").await;
    assert!(said.contains("its hash is another"), "{said}");
    assert_eq!(found, "", "nothing was judged");
    let (text, json) = match host.site.ground {
        Ground::Servers { .. } => ("::text", "::json"),
        Ground::Embedded(_) => ("", ""),
    };
    let other = r#"'"score":', '"score":0.5,"then":'"#;
    let other = format!("oracles = REPLACE(oracles{text}, {other}){json}");
    let (said, _) = change(4, &other).await;
    assert!(said.contains("mempool-risk: score 0.5 is stored"), "{said}");
}

async fn what_is_not_kept_any_more_is_named(ground: Ground) {
    let host = Host::start_with(ground, MEMPOOL_RISK).await;
    let digest = host.digest().await;
    let id = id_of(&drainer(1));
    let (said, _) = differs(&host.admin, "transactions", &id);
    assert!(said.contains("keeps no decision on"), "{said}");
    host.accepted(&drainer(1)).await;
    host.until_kept(1).await;
    same(&host.admin, "transactions", &id).await;

    host.site.query("DELETE FROM component_history").await;
    host.site.query("DELETE FROM components").await;
    let (said, _) = differs(&host.admin, "transactions", &id);
    assert!(
        said.contains("oracle mempool-risk") && said.contains(&digest),
        "{said}"
    );
    host.site.query("DELETE FROM definitions").await;
    let (said, _) = differs(&host.admin, "transactions", &id);
    assert!(said.contains("does not have the flow file"), "{said}");
}

async fn a_decision_is_made_again_with_the_settings_of_then(ground: Ground) {
    let service = Service::start_on(Service::site_on(ground, &["credit"])).await;
    let ticket = async || {
        let request = json!({"age": 20, "value": 1});
        let (_, _, answer) = service.post("/credit-request", &request).await;
        answer["ticket"].as_str().unwrap().to_owned()
    };
    let decided = async |ticket: &str, status: &str| {
        let path = format!("/credit-validation?ticket={ticket}");
        service.until(&path, "status", status).await;
    };
    let before = ticket().await;
    decided(&before, "APPROVED").await;
    let older = |text: String| text.replace("min_age = 18", "min_age = 21");
    service.site.rewrite_flow("credit", older);
    let taken = "floodgate_files_read_total{kind=\"flows\",outcome=\"taken\"}";
    until_told(&service.admin, &[(taken, 1.0)]).await;
    let after = ticket().await;
    decided(&after, "NOT approved").await;
    let (found_before, found_after) = (
        same(&service.admin, "credit", &before).await,
        same(&service.admin, "credit", &after).await,
    );
    let digest = |found: &Value| found["flow_digest"].as_str().unwrap().to_owned();
    assert_ne!(digest(&found_before), digest(&found_after));
    let scores = |found: &Value| [0, 1].map(|at| found["oracles"][at]["now"]["score"].clone());
    assert_eq!(scores(&found_before), [json!(0.0), json!(0.0)]);
    assert_eq!(scores(&found_after), [json!(1.0), json!(0.0)]);
}

async fn what_no_oracle_judged_is_not_called_the_same(ground: Ground) {
    let site = crate::host::Site::on(ground)
        .with_oracle(MISBEHAVING)
        .with_flow("attempts = 5", "attempts = 1")
        .with_flow("# unjudged = \"dead-letter\"", "unjudged = \"high\" #");
    let host = Host::start_on(site).await;
    host.accepted(&told_to(1, "high")).await;
    host.accepted(&told_to(2, "trap")).await;
    host.until_kept(2).await;
    let id = id_of(&told_to(2, ""));
    let output = host.try_cli(&["oracle", "verify", "transactions", &id]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("no oracle judged this entry"), "{said}");
}

/// The flow file of a decision that was made while the ledger was away is
/// noted as soon as it is there, and not at the next start.
#[tokio::test]
async fn a_host_that_starts_before_its_ledger_notes_its_flows_once_it_is_there() {
    let redis = support::redis().await;
    let mut postgres = support::PrivatePostgres::start().await;
    let url = postgres.url();
    postgres.stop();
    let site = crate::host::Site::on(Ground::of(redis, url)).with_oracle(UNIFORM_RISK);
    let site = site.with_flow("when = \"high\"", "when = \"always\"");
    let host = Host::start_on(site).await;
    host.accepted(&drainer(1)).await;
    postgres.restart().await;
    host.until_kept(1).await;
    same(&host.admin, "transactions", &id_of(&drainer(1))).await;
}
