//! What a ledger promises of decisions.

use floodgate_ledger::{Error, KeptDecision};

use super::*;

contract!([postgres, pgbouncer, embedded] {
    a_decision_comes_back_as_it_was_made_and_the_body_byte_for_byte,
    without_a_verdict_there_is_neither_score_nor_label,
    the_latest_decisions_come_newest_first_of_one_flow_or_of_all,
    high_decisions_are_found_behind_any_number_of_others,
    decisions_are_counted_by_when_their_entries_were_received,
    the_same_entry_again_is_proven_and_its_decision_stays_as_it_is,
    another_body_under_a_decided_id_is_a_conflict_and_proves_nothing,
    of_one_id_twice_in_a_batch_the_first_wins,
    the_same_id_in_two_flows_is_two_entries,
    what_is_not_to_be_kept_is_proven_without_a_row,
    a_batch_with_refused_data_stores_nothing,
    what_was_decided_before_is_told_apart_from_what_was_not,
    overlapping_batches_of_several_workers_are_stored_once,
});

impl Rig {
    async fn decision(&self, id: &str) -> KeptDecision {
        let decision = self.ledger.decision(&FlowName::new("f"), id).await;
        decision.unwrap().unwrap()
    }
}

async fn a_decision_comes_back_as_it_was_made_and_the_body_byte_for_byte(rig: Rig) {
    // Spaces and a doubled key: whoever parses it and writes it anew loses them.
    let body = r#"{"b":  1.0, "a": 2, "a": 3}"#;
    let mut made = decided(7, "x", body);
    made.entry.attributes = [("key".to_owned(), "of-a-bank".to_owned())].into();
    // Of 17 digits: a JSON parser in a hurry reads its neighbour.
    made.decision.oracles[0].score = 0.381_204_237_688_212_43;
    let kept = rig.ledger.keep(&by("f"), std::slice::from_ref(&made)).await;
    let kept = kept.unwrap().stored;
    assert_eq!(kept.entries(), [(stream_id(7), Arc::from("x"))]);
    let decision = rig.decision("x").await;
    let listed = decision.listed;
    assert_eq!((&*listed.id, listed.flow.as_str()), ("x", "f"));
    assert_eq!(
        (&*decision.body, &*decision.stream_id),
        (body, "1766700000123-7")
    );
    assert_eq!(listed.received_at, 1_766_700_000_123);
    assert_eq!(decision.body_hash, made.body_hash());
    assert_eq!(listed.attributes, made.entry.attributes);
    assert_eq!(
        (decision.threshold, decision.flow_digest),
        (0.8, Digest::of(b"flow"))
    );
    let outcome = listed.outcome;
    assert_eq!(
        (outcome.score, outcome.label.as_deref()),
        (Some(0.93), Some("HIGH"))
    );
    assert_eq!(outcome.reasons, made.decision.reasons);
    assert_eq!(outcome.oracles, made.decision.oracles);
    assert_eq!(outcome.output, None);
    assert!(outcome.decided_at > listed.received_at);
    let other = rig.ledger.decision(&FlowName::new("g"), "x").await;
    assert!(other.unwrap().is_none());
}

async fn without_a_verdict_there_is_neither_score_nor_label(rig: Rig) {
    let made = unjudged(1, "x");
    rig.ledger.keep(&by("f"), &[made]).await.unwrap();
    let outcome = rig.decision("x").await.listed.outcome;
    assert_eq!((outcome.score, outcome.label), (None, None));
    assert_eq!((outcome.reasons.len(), outcome.oracles.len()), (0, 0));
    assert_eq!(outcome.output.as_deref(), Some("done"));
}

async fn the_latest_decisions_come_newest_first_of_one_flow_or_of_all(rig: Rig) {
    for (flow, id) in [("f", "1"), ("g", "2"), ("f", "3"), ("f", "4")] {
        let stored = rig.ledger.keep(&by(flow), &[decided(1, id, "{}")]).await;
        stored.unwrap();
    }
    let latest = async |flow: Option<&FlowName>, max| {
        let latest = rig.ledger.latest(flow, max).await.unwrap();
        latest.iter().map(|d| d.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(latest(None, 10).await, ["4", "3", "2", "1"]);
    let f = FlowName::new("f");
    assert_eq!(latest(Some(&f), 2).await, ["4", "3"]);
}

async fn high_decisions_are_found_behind_any_number_of_others(rig: Rig) {
    let mut first = decided(1, "1", "{}");
    // As its flow calls it.
    first.decision.label_name = Some("FRAUD".into());
    let mut low = decided(3, "3", "{}");
    low.decision.label = Some(Label::Low);
    // A flow may call it so, and it is none.
    low.decision.label_name = Some("HIGH".into());
    for (flow, row) in [("f", first), ("g", decided(2, "2", "{}")), ("f", low)] {
        rig.ledger.keep(&by(flow), &[row]).await.unwrap();
    }
    let others: Vec<_> = (4..300).map(|n| unjudged(n, &n.to_string())).collect();
    rig.ledger.keep(&by("g"), &others).await.unwrap();
    let high = async |max| {
        let high = rig.ledger.latest_high(max).await.unwrap();
        let ids = high.iter().map(|d| (d.flow.to_string(), d.id.to_string()));
        ids.collect::<Vec<_>>()
    };
    let row = |flow: &str, id: &str| (flow.to_owned(), id.to_owned());
    assert_eq!(high(10).await, [row("g", "2"), row("f", "1")]);
    assert_eq!(high(1).await, [row("g", "2")]);
}

async fn decisions_are_counted_by_when_their_entries_were_received(rig: Rig) {
    let mut later = decided(2, "y", "{}");
    later.entry.received_at += 1000;
    rig.ledger
        .keep(&by("f"), &[decided(1, "x", "{}"), later])
        .await
        .unwrap();
    let since = async |ms| {
        rig.ledger
            .kept_since(&FlowName::new("f"), ms)
            .await
            .unwrap()
    };
    let first = 1_766_700_000_123;
    assert_eq!((since(first).await, since(first + 1).await), (2, 1));
    assert_eq!(since(first + 1001).await, 0);
}

async fn the_same_entry_again_is_proven_and_its_decision_stays_as_it_is(rig: Rig) {
    rig.ledger
        .keep(&by("f"), &[decided(1, "x", "{}")])
        .await
        .unwrap();
    let mut again = decided(2, "x", "{}");
    again.decision.score = Some(0.1);
    let kept = rig.ledger.keep(&by("f"), &[again]).await.unwrap();
    assert_eq!(kept.stored.entries(), [(stream_id(2), Arc::from("x"))]);
    assert!(kept.conflicts.is_empty());
    assert_eq!(rig.decision("x").await.listed.outcome.score, Some(0.93));
    assert_eq!(rig.count("decisions").await, 1);
}

async fn another_body_under_a_decided_id_is_a_conflict_and_proves_nothing(rig: Rig) {
    rig.ledger
        .keep(&by("f"), &[decided(1, "x", "{}")])
        .await
        .unwrap();
    let batch = [decided(2, "x", r#"{"a":1}"#), decided(3, "y", "{}")];
    let kept = rig.ledger.keep(&by("f"), &batch).await.unwrap();
    assert_eq!(kept.conflicts, [stream_id(2)]);
    assert_eq!(ids(&kept.stored), ["y"]);
    assert_eq!(rig.decision("x").await.body, "{}");
}

async fn of_one_id_twice_in_a_batch_the_first_wins(rig: Rig) {
    let batch = [
        decided(1, "x", "{}"),
        decided(2, "x", "{}"),
        decided(3, "x", r#"{"a":1}"#),
    ];
    let kept = rig.ledger.keep(&by("f"), &batch).await.unwrap();
    assert_eq!(ids(&kept.stored), ["x", "x"]);
    assert_eq!(kept.conflicts, [stream_id(3)]);
    assert_eq!(rig.decision("x").await.body, "{}");
}

async fn the_same_id_in_two_flows_is_two_entries(rig: Rig) {
    rig.ledger
        .keep(&by("f"), &[decided(1, "x", "{}")])
        .await
        .unwrap();
    let other = decided(1, "x", r#"{"a":1}"#);
    let kept = rig.ledger.keep(&by("g"), &[other]).await.unwrap();
    assert!(kept.conflicts.is_empty());
    assert_eq!(rig.count("decisions").await, 2);
}

async fn what_is_not_to_be_kept_is_proven_without_a_row(rig: Rig) {
    let mut low = decided(1, "low", "{}");
    low.keep = false;
    let kept = rig
        .ledger
        .keep(&by("f"), &[low, decided(2, "high", "{}")])
        .await;
    assert_eq!(ids(&kept.unwrap().stored), ["low", "high"]);
    assert_eq!(rig.count("decisions").await, 1);
}

async fn a_batch_with_refused_data_stores_nothing(rig: Rig) {
    let mut nul_reason = decided(2, "reason", "{}");
    nul_reason.decision.reasons = vec!["a\0b".to_owned()];
    let mut nul_output = decided(2, "output", "{}");
    nul_output.decision.output = Some("a\0b".to_owned());
    let mut not_utf8 = decided(2, "utf8", "{}");
    not_utf8.entry.body = Bytes::from_static(b"\xff");
    for refused in [nul_reason, nul_output, not_utf8, decided(2, "json", "{")] {
        let what = refused.entry.id.clone();
        let batch = [decided(1, "good", "{}"), refused];
        let error = rig.ledger.keep(&by("f"), &batch).await.unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{what}: {error:?}");
        assert_eq!(rig.count("decisions").await, 0, "{what}");
    }
}

async fn what_was_decided_before_is_told_apart_from_what_was_not(rig: Rig) {
    let batch = [decided(1, "x", "{}"), decided(2, "y", "{}")];
    rig.ledger.keep(&by("f"), &batch).await.unwrap();
    let same = BodyHash::of(b"{}");
    let asked = [
        (stream_id(3), Arc::from("x"), same),
        (stream_id(4), Arc::from("y"), BodyHash::of(b"[]")),
        (stream_id(5), Arc::from("z"), same),
    ];
    let kept = rig.ledger.kept_before(&by("f").flow, &asked).await.unwrap();
    assert_eq!(kept.stored.entries(), [(stream_id(3), Arc::from("x"))]);
    assert_eq!(kept.conflicts, [stream_id(4)]);
}

async fn overlapping_batches_of_several_workers_are_stored_once(rig: Rig) {
    let worker = |reversed: bool| {
        let mut batch: Vec<_> = (0..256)
            .map(|n| decided(n, &format!("id-{n}"), "{}"))
            .collect();
        if reversed {
            batch.reverse();
        }
        let ledger = &rig.ledger;
        async move { ledger.keep(&by("f"), &batch).await.unwrap() }
    };
    let kept = tokio::join!(worker(false), worker(true), worker(false), worker(true));
    for kept in [kept.0, kept.1, kept.2, kept.3] {
        assert_eq!(kept.stored.entries().len(), 256);
    }
    assert_eq!(rig.count("decisions").await, 256);
}
