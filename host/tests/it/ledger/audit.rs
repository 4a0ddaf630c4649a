//! What a ledger promises of the changes that were made through the admin API.

use floodgate::ledger::Change;
use serde_json::json;

use super::*;

contract!([postgres, pgbouncer, embedded] {
    a_change_is_told_from_its_beginning_on_and_with_its_outcome,
    the_first_outcome_stays,
    the_newest_changes_come_first,
    what_no_text_may_hold_is_kept_in_a_target,
});

fn change(action: &str) -> Change {
    Change {
        who: "token".to_owned(),
        peer: "192.0.2.7".to_owned(),
        action: action.to_owned(),
        target: json!({ "oracle": "risk" }),
        request_id: Some("r-1".to_owned()),
    }
}

async fn a_change_is_told_from_its_beginning_on_and_with_its_outcome(rig: Rig) {
    let pin = change("pin");
    let row = rig.ledger.change_begins(&pin).await.unwrap();
    let begun = rig.ledger.audit(10).await.unwrap().remove(0);
    assert_eq!((begun.change, begun.ended), (pin.clone(), None));
    assert!(begun.at > 1_766_700_000_000, "{}", begun.at);

    let outcome = json!({ "digest": "abc" });
    rig.ledger.change_ended(row, &outcome).await.unwrap();
    let ended = rig.ledger.audit(10).await.unwrap().remove(0);
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
    let (_, told) = rig.ledger.audit(1).await.unwrap().remove(0).ended.unwrap();
    assert_eq!(told, json!({ "done": 3 }));
}

async fn the_newest_changes_come_first(rig: Rig) {
    for action in ["pin", "unpin", "rollback"] {
        rig.ledger.change_begins(&change(action)).await.unwrap();
    }
    let latest = rig.ledger.audit(2).await.unwrap();
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
    assert_eq!(rig.ledger.audit(1).await.unwrap().remove(0).change, odd);
}
