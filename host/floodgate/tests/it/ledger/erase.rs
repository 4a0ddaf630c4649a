//! What a ledger promises of entries that are erased: nothing of the body is
//! left, and that it was decided is.

use floodgate_flow::{DeliverWhen, FaultKind};
use floodgate_ledger::{Buried, DeadFilter, DeliveryState, Erased, Error, KeptDecision};

use super::dead::letter;
use super::outbox::{downstream, route};
use super::*;

contract!([postgres, pgbouncer, embedded] {
    a_decision_loses_its_body_its_output_and_its_attributes_and_stays_decided,
    erasing_twice_touches_nothing_the_second_time,
    what_is_erased_is_still_the_same_entry_and_another_body_a_conflict,
    dead_letters_lose_their_bodies_and_are_not_delivered_again,
    a_dead_letter_without_a_body_from_the_start_was_not_erased,
    what_waits_to_be_delivered_is_not_delivered_any_more,
    what_is_being_delivered_ends_as_erased,
    of_another_entry_nothing_is_erased,
    what_was_moved_is_told_by_its_file,
    what_is_being_moved_is_not_erased_before_that_is_done,
});

const BODY: &str = r#"{"secret":1}"#;

impl Rig {
    async fn erase(&self, id: &str) -> Erased {
        self.ledger.erase(&FlowName::new("f"), id).await.unwrap()
    }

    async fn kept(&self, id: &str) -> KeptDecision {
        let decision = self.ledger.decision(&FlowName::new("f"), id).await;
        decision.unwrap().unwrap()
    }

    async fn keep_secret(&self, id: &str) {
        let mut made = decided(1, id, BODY);
        made.decision.output = Some("secret".to_owned());
        made.entry.attributes = [("key".to_owned(), "of-a-bank".to_owned())].into();
        let mut by = by("f");
        by.deliver = vec![downstream("post", DeliverWhen::Always, Duration::ZERO)];
        self.ledger.keep(&by, &[made]).await.unwrap();
    }

    async fn letters(&self) -> Vec<Buried> {
        self.dead().await
    }
}

async fn a_decision_loses_its_body_its_output_and_its_attributes_and_stays_decided(rig: Rig) {
    rig.keep_secret("x").await;
    let before = rig.kept("x").await;
    assert_eq!(before.erased_at, None);
    let erased = rig.erase("x").await;
    assert!(erased.decision);
    assert_eq!((erased.dead_letters, erased.file), (0, None));
    let after = rig.kept("x").await;
    assert_eq!(
        (&*after.body, &after.listed.outcome.output),
        ("null", &None)
    );
    assert!(after.listed.attributes.is_empty());
    assert_eq!(after.erased_at, erased.erased_at);
    assert!(after.erased_at.unwrap() >= after.listed.outcome.decided_at);
    assert_eq!(after.body_hash, BodyHash::of(BODY.as_bytes()));
    assert_eq!(after.listed.outcome.score, before.listed.outcome.score);
    assert_eq!(after.listed.outcome.oracles, before.listed.outcome.oracles);
    let latest = rig.ledger.latest(None, 10).await.unwrap();
    assert_eq!(&*latest[0].id, "x");
}

async fn erasing_twice_touches_nothing_the_second_time(rig: Rig) {
    rig.keep_secret("x").await;
    let first = rig.erase("x").await;
    let expected = Erased {
        erased_at: first.erased_at,
        ..Erased::default()
    };
    assert_eq!(rig.erase("x").await, expected);
    assert_eq!(rig.erase("unknown").await, Erased::default());
}

async fn what_is_erased_is_still_the_same_entry_and_another_body_a_conflict(rig: Rig) {
    rig.keep_secret("x").await;
    rig.erase("x").await;
    let batch = [decided(2, "x", BODY), decided(3, "x", "{}")];
    let kept = rig.ledger.keep(&by("f"), &batch).await.unwrap();
    assert_eq!(kept.stored.entries(), [(stream_id(2), Arc::from("x"))]);
    assert_eq!(kept.conflicts, [stream_id(3)]);
    assert_eq!(rig.kept("x").await.body, "null");
    rig.ledger.bury(&[letter(4, "x", BODY)]).await.unwrap();
    assert!(rig.letters().await.is_empty());
}

async fn dead_letters_lose_their_bodies_and_are_not_delivered_again(rig: Rig) {
    let letters = [
        letter(1, "x", BODY),
        letter(2, "x", "[]"),
        letter(3, "y", BODY),
    ];
    rig.ledger.bury(&letters).await.unwrap();
    let erased = rig.erase("x").await;
    assert_eq!((erased.decision, erased.dead_letters), (false, 2));
    let (of_x, of_y): (Vec<_>, Vec<_>) = rig
        .letters()
        .await
        .into_iter()
        .partition(|buried| &*buried.letter.id == "x");
    assert_eq!(of_x.len(), 2);
    for buried in &of_x {
        let letter = &buried.letter;
        assert!(buried.erased && letter.body.is_empty() && letter.attributes.is_empty());
        assert_eq!(
            (&*letter.fault.error, letter.fault.kind),
            ("erased", FaultKind::WrongCount)
        );
        assert!(!rig.ledger.redeliver(buried).await.unwrap());
    }
    assert_eq!(rig.count("dead_letters").await, 3);
    assert!(!of_y[0].erased && of_y[0].letter.body == BODY);
    let listed = rig.ledger.dead(&DeadFilter::default()).await.unwrap();
    assert_eq!(listed.iter().filter(|buried| buried.erased).count(), 2);
    assert_eq!(rig.erase("x").await, Erased::default());
}

async fn a_dead_letter_without_a_body_from_the_start_was_not_erased(rig: Rig) {
    rig.ledger.bury(&[letter(1, "x", "")]).await.unwrap();
    assert!(!rig.letters().await[0].erased);
    assert_eq!(rig.erase("x").await.dead_letters, 0);
}

async fn what_waits_to_be_delivered_is_not_delivered_any_more(rig: Rig) {
    rig.keep_secret("x").await;
    let erased = rig.erase("x").await;
    assert_eq!(erased.deliveries, 1);
    let route = route("d", Duration::ZERO);
    let leased = rig
        .ledger
        .lease_deliveries(&route, Duration::from_secs(60), 10);
    assert!(leased.await.unwrap().is_empty());
    let deliveries = rig.ledger.deliveries(&route.flow, "x").await.unwrap();
    assert_eq!(deliveries[0].state, DeliveryState::GivenUp);
    assert_eq!(deliveries[0].error.as_deref(), Some("erased"));
    assert!(deliveries[0].ended_at.is_some());
}

async fn what_is_being_delivered_ends_as_erased(rig: Rig) {
    rig.keep_secret("x").await;
    let route = route("d", Duration::ZERO);
    let leased = rig
        .ledger
        .lease_deliveries(&route, Duration::from_secs(60), 10);
    assert_eq!(leased.await.unwrap().len(), 1);
    rig.erase("x").await;
    assert!(!rig.ledger.begin_post(&route, "x").await.unwrap());
    let given_up = rig
        .ledger
        .give_up_delivery(&route, "x", 0, "it answered 400");
    given_up.await.unwrap();
    rig.ledger.delivered(&route, "x").await.unwrap();
    let deliveries = rig.ledger.deliveries(&route.flow, "x").await.unwrap();
    assert_eq!(deliveries[0].error.as_deref(), Some("erased"));
    assert!(rig.letters().await.is_empty());
}

async fn of_another_entry_nothing_is_erased(rig: Rig) {
    rig.keep_secret("x").await;
    rig.keep_secret("y").await;
    let other = [decided(1, "x", BODY)];
    rig.ledger.keep(&by("g"), &other).await.unwrap();
    rig.erase("x").await;
    assert_eq!(rig.kept("y").await.body, BODY);
    let same_id = rig.ledger.decision(&FlowName::new("g"), "x").await;
    assert_eq!(same_id.unwrap().unwrap().body, BODY);
    let counts = rig.ledger.delivery_counts(&FlowName::new("f")).await;
    assert_eq!(counts.unwrap().waiting, 1);
}

async fn what_was_moved_is_told_by_its_file(rig: Rig) {
    let batch = [decided(1, "x", BODY)];
    rig.ledger.keep(&by("f"), &batch).await.unwrap();
    rig.ledger.bury(&[letter(2, "x", "[]")]).await.unwrap();
    rig.move_to_cold("f", "x", 7).await;
    let expected = Erased {
        dead_letters: 1,
        file: Some(7),
        ..Erased::default()
    };
    assert_eq!(rig.erase("x").await, expected);
}

async fn what_is_being_moved_is_not_erased_before_that_is_done(rig: Rig) {
    // Happened on 2025-12-25.
    rig.keep_secret("x").await;
    let file = |flow: &str, day: &str, state: &str| {
        let created_at = match rig.is_postgres() {
            true => "now()",
            false => "0",
        };
        let sealed = match (state, rig.is_postgres()) {
            ("writing", _) => "NULL, NULL, NULL, NULL, NULL",
            (_, true) => "1, 1, now(), now(), now()",
            (_, false) => "1, 1, 0, 0, 0",
        };
        format!(
            "INSERT INTO cold_files
                (flow, day, path, state, created_at, rows, bytes, first_at, last_at, sealed_at)
             VALUES ('{flow}', '{day}', 'p', '{state}', {created_at}, {sealed})"
        )
    };
    for unrelated in [
        file("g", "2025-12-25", "writing"),
        file("f", "2025-12-24", "moving"),
        file("f", "2025-12-25", "cold"),
    ] {
        rig.run(&unrelated).await;
    }
    for state in ["writing", "moving"] {
        rig.run(&file("f", "2025-12-25", state)).await;
        let refused = rig.ledger.erase(&FlowName::new("f"), "x").await;
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        assert!(
            error.to_string().contains("is writing cold file"),
            "{error}"
        );
        assert_eq!(rig.kept("x").await.body, BODY);
        let done = format!(
            "DELETE FROM cold_files WHERE state = '{state}' AND flow = 'f' AND day = '2025-12-25'"
        );
        rig.run(&done).await;
    }
    assert!(rig.erase("x").await.decision);
}
