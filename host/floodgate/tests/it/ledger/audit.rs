//! What a ledger promises of the changes that were made through the admin API.

use floodgate_ledger::{AuditFilter, Audited, Change, Event};
use serde_json::json;

use super::*;

contract!([postgres, pgbouncer, embedded] {
    a_change_is_told_from_its_beginning_on_and_with_its_outcome,
    the_first_outcome_stays,
    the_newest_changes_come_first,
    what_no_text_may_hold_is_kept_in_a_target,
    changes_are_listed_by_time_flow_and_kind_and_page_by_page,
    what_several_processes_see_is_one_row,
    what_happens_again_is_another_row,
});

fn change(action: &str) -> Change {
    Change {
        who: "token".to_owned(),
        person: Some("anna".to_owned()),
        peer: "192.0.2.7".to_owned(),
        action: action.to_owned(),
        target: json!({ "oracle": "risk" }),
        flows: vec!["credit".to_owned(), "transactions".to_owned()],
        request_id: Some("r-1".to_owned()),
    }
}

async fn listed(rig: &Rig, filter: AuditFilter) -> Vec<Audited> {
    let limit = 100;
    let filter = AuditFilter { limit, ..filter };
    rig.ledger.audit(&filter).await.unwrap()
}

async fn latest(rig: &Rig, limit: u32) -> Vec<Audited> {
    let filter = AuditFilter {
        limit,
        ..AuditFilter::default()
    };
    rig.ledger.audit(&filter).await.unwrap()
}

async fn a_change_is_told_from_its_beginning_on_and_with_its_outcome(rig: Rig) {
    let pin = change("pin");
    let row = rig.ledger.change_begins(&pin).await.unwrap();
    let begun = latest(&rig, 10).await.remove(0);
    assert_eq!((begun.change, begun.ended), (pin.clone(), None));
    assert!(begun.at > 1_766_700_000_000, "{}", begun.at);

    let outcome = json!({ "digest": "abc" });
    rig.ledger.change_ended(row, &outcome).await.unwrap();
    let ended = latest(&rig, 10).await.remove(0);
    let (ended_at, told) = ended.ended.unwrap();
    assert_eq!((ended.change, told), (pin, outcome));
    assert!(ended_at >= ended.at);
}

async fn the_first_outcome_stays(rig: Rig) {
    let row = rig.ledger.change_begins(&change("purge")).await.unwrap();
    for done in [3, 0] {
        let outcome = json!({ "done": done });
        rig.ledger.change_ended(row, &outcome).await.unwrap();
    }
    let (_, told) = latest(&rig, 1).await.remove(0).ended.unwrap();
    assert_eq!(told, json!({ "done": 3 }));
}

async fn the_newest_changes_come_first(rig: Rig) {
    for action in ["pin", "unpin", "rollback"] {
        rig.ledger.change_begins(&change(action)).await.unwrap();
    }
    let latest = latest(&rig, 2).await;
    let actions: Vec<_> = latest.iter().map(|row| &*row.change.action).collect();
    assert_eq!(actions, ["rollback", "unpin"]);
}

async fn what_no_text_may_hold_is_kept_in_a_target(rig: Rig) {
    let odd = Change {
        target: json!({ "id": "a\0b\u{feff}\"" }),
        request_id: None,
        ..change("requeue")
    };
    rig.ledger.change_begins(&odd).await.unwrap();
    assert_eq!(latest(&rig, 1).await.remove(0).change, odd);
}

fn actions(rows: &[Audited]) -> Vec<&str> {
    rows.iter().map(|row| &*row.change.action).collect()
}

async fn changes_are_listed_by_time_flow_and_kind_and_page_by_page(rig: Rig) {
    let swap = swapped("worker-1", "a", "b", 1, 1_766_700_000_000);
    rig.ledger.happened(&swap).await.unwrap();
    let of_one = |action: &str, flow: Option<&str>| Change {
        target: json!({ "id": "a\0b \"flow\":\"credit\"" }),
        flows: flow.map(str::to_owned).into_iter().collect(),
        ..change(action)
    };
    for change in [
        of_one("purge", Some("tasks")),
        of_one("requeue", None),
        change("pin"),
    ] {
        rig.ledger.change_begins(&change).await.unwrap();
    }
    let by = async |filter| {
        let rows = listed(&rig, filter).await;
        actions(&rows).join(" ")
    };
    let all = AuditFilter::default;
    let flow = |name: &str| AuditFilter {
        flow: Some(name.to_owned()),
        ..all()
    };
    assert_eq!(by(flow("credit")).await, "pin requeue");
    assert_eq!(by(flow("tasks")).await, "requeue purge swap");
    assert_eq!(by(flow("a\0b")).await, "requeue");
    let kinds = AuditFilter {
        actions: vec!["swap".to_owned(), "pin".to_owned()],
        ..all()
    };
    assert_eq!(by(kinds).await, "pin swap");
    let since = AuditFilter {
        since: Some(1_766_700_000_001),
        ..all()
    };
    assert_eq!(by(since).await, "pin requeue purge");
    let until = AuditFilter {
        until: Some(1_766_700_000_001),
        ..all()
    };
    assert_eq!(by(until).await, "swap");

    let mut paged = Vec::new();
    let mut before = None;
    loop {
        let filter = AuditFilter {
            before,
            limit: 3,
            ..all()
        };
        let page = rig.ledger.audit(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.row);
        paged.extend(page);
    }
    assert_eq!(actions(&paged), ["pin", "requeue", "purge", "swap"]);
    assert_eq!(paged.last().unwrap().at, swap.at);
}

/// An older process writes rows without flows.
fn swapped(process: &str, from: &str, to: &str, times: u32, at: u64) -> Event {
    Event {
        change: Change {
            who: "file".to_owned(),
            person: None,
            peer: process.to_owned(),
            action: "swap".to_owned(),
            target: json!({ "oracle": "risk", "from": from, "to": to }),
            flows: vec!["tasks".to_owned()],
            request_id: None,
        },
        outcome: json!({ "why": "a file was dropped" }),
        at,
        times,
    }
}

async fn what_several_processes_see_is_one_row(rig: Rig) {
    let (early, late) = (1_766_700_000_000, 1_766_700_000_900);
    let seen = |process: &str, at| swapped(process, "a", "b", 1, at);
    let seen = [seen("one", early), seen("two", late), seen("three", late)];
    let told = seen.iter().map(|event| rig.ledger.happened(event));
    for told in futures_util::future::join_all(told).await {
        told.unwrap();
    }
    // One did not hear that it was written down.
    rig.ledger.happened(&seen[0]).await.unwrap();
    let rows = latest(&rig, 10).await;
    assert_eq!(actions(&rows), ["swap"]);
    let (ended_at, outcome) = rows[0].ended.clone().unwrap();
    assert_eq!(outcome, json!({ "why": "a file was dropped" }));
    assert!(ended_at > late && rows[0].at <= late);
}

async fn what_happens_again_is_another_row(rig: Rig) {
    let steps = [("a", "b", 1), ("b", "a", 1), ("a", "b", 1), ("a", "b", 2)];
    for (from, to, times) in steps {
        for process in ["one", "two"] {
            let event = swapped(process, from, to, times, 1_766_700_000_000);
            rig.ledger.happened(&event).await.unwrap();
        }
    }
    let rows = latest(&rig, 10).await;
    let to: Vec<_> = rows.iter().map(|row| &row.change.target["to"]).collect();
    assert_eq!(to, ["b", "b", "a", "b"]);
}
