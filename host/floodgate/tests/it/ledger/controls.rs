//! What a ledger promises of entries that were judged well.

use floodgate_ledger::{Control, Sender};

use super::*;

contract!([postgres, pgbouncer, embedded] {
    a_control_comes_back_as_the_oracle_was_shown_it,
    four_an_hour_are_kept_and_one_of_each_sender,
    hosts_that_keep_controls_at_once_keep_four,
    an_erased_entry_is_no_control_any_more_and_becomes_none,
    what_is_older_than_a_day_is_neither_read_nor_kept,
});

fn control(id: &str, sender: Sender) -> Control {
    let mut entry = decided(1, id, r#"{"secret":1}"#).entry;
    if let Sender::Owner(owner) = &sender {
        entry.attributes = [("owner".to_owned(), owner.to_string())].into();
    }
    Control { sender, entry }
}

fn of_owner(id: &str, owner: &str) -> Control {
    control(id, Sender::Owner(owner.into()))
}

impl Rig {
    async fn keep_control(&self, oracle: &str, control: &Control) {
        let flow = FlowName::new("f");
        let kept = self.ledger.keep_control(&flow, oracle, control);
        kept.await.unwrap();
    }

    async fn controls(&self, oracle: &str) -> Vec<Control> {
        let flow = FlowName::new("f");
        self.ledger.controls(&flow, oracle).await.unwrap()
    }
}

async fn a_control_comes_back_as_the_oracle_was_shown_it(rig: Rig) {
    let expected = [
        of_owner("a", "shop"),
        control("b", Sender::Quarter(1_962_962)),
    ];
    for control in &expected {
        rig.keep_control("risk", control).await;
    }
    let mut controls = rig.controls("risk").await;
    controls.sort_by(|a, b| a.entry.id.cmp(&b.entry.id));
    assert_eq!(controls, expected);
    assert!(rig.controls("other").await.is_empty());
}

/// The hour may end while the test goes on: then there are those of two.
async fn four_an_hour_are_kept_and_one_of_each_sender(rig: Rig) {
    for id in ["a", "b", "c"] {
        rig.keep_control("risk", &of_owner(id, "shop")).await;
    }
    let of_one = rig.controls("risk").await.len();
    assert!((1..=2).contains(&of_one), "{of_one}");
    for number in 0..20 {
        let control = of_owner(&format!("n{number}"), &format!("o{number}"));
        rig.keep_control("risk", &control).await;
        rig.keep_control("other", &control).await;
    }
    for oracle in ["risk", "other"] {
        let of_all = rig.controls(oracle).await.len();
        assert!((4..=8).contains(&of_all), "{of_all}");
    }
}

async fn hosts_that_keep_controls_at_once_keep_four(rig: Rig) {
    let controls: Vec<Control> = (0..32)
        .map(|number| of_owner(&format!("n{number}"), &format!("o{number}")))
        .collect();
    let all = controls
        .iter()
        .map(|control| rig.keep_control("risk", control));
    futures_util::future::join_all(all).await;
    let kept = rig.controls("risk").await.len();
    assert!((1..=8).contains(&kept), "{kept}");
}

async fn an_erased_entry_is_no_control_any_more_and_becomes_none(rig: Rig) {
    let flow = FlowName::new("f");
    let (a, b) = (of_owner("a", "shop"), of_owner("b", "bank"));
    rig.keep_control("risk", &a).await;
    rig.keep_control("other", &a).await;
    rig.keep_control("risk", &b).await;
    let (by, kept) = (by("f"), decided(1, "a", r#"{"secret":1}"#));
    rig.ledger.keep(&by, &[kept]).await.unwrap();
    assert_eq!(rig.ledger.erase(&flow, "a").await.unwrap().controls, 2);
    assert_eq!(rig.controls("risk").await, [b]);
    assert!(rig.controls("other").await.is_empty());
    assert_eq!(rig.ledger.erase(&flow, "a").await.unwrap().controls, 0);
    // Of a worker that judged it, and stood still until it was erased.
    rig.keep_control("other", &a).await;
    assert!(rig.controls("other").await.is_empty());
}

async fn what_is_older_than_a_day_is_neither_read_nor_kept(rig: Rig) {
    rig.keep_control("risk", &of_owner("a", "shop")).await;
    rig.run("UPDATE oracle_controls SET hour = hour - 25").await;
    rig.keep_control("risk", &of_owner("b", "shop")).await;
    // Of a clock that was set back since.
    rig.keep_control("other", &of_owner("c", "shop")).await;
    rig.run("UPDATE oracle_controls SET hour = hour + 48 WHERE oracle = 'other'")
        .await;
    assert_eq!(rig.controls("risk").await, [of_owner("b", "shop")]);
    assert!(rig.controls("other").await.is_empty());
    assert_eq!(rig.ledger.forget_controls().await.unwrap(), 2);
    assert_eq!(rig.count("oracle_controls").await, 1);
}
