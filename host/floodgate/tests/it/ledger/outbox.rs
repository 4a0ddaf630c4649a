//! What a ledger promises of decisions on their way to other services.

use floodgate_flow::{DeliverWhen, Downstream, EntryUrl, Retry};
use floodgate_ledger::{DeliveryCounts, DeliveryState, LeasedDelivery, Route, Undelivered};

use super::*;
use crate::support;

contract!([postgres, pgbouncer, embedded] {
    a_decision_and_its_outbox_are_stored_together_and_once,
    only_what_is_high_goes_to_a_downstream_that_wants_nothing_else,
    a_delivery_is_leased_to_one_deliverer_until_the_lease_runs_out,
    what_failed_is_due_after_its_pause_with_its_attempt,
    after_a_post_of_unknown_outcome_nobody_takes_it_up_before_the_quiet_has_passed,
    what_is_given_up_is_a_dead_letter_and_can_be_delivered_again,
    whoever_lost_its_lease_begins_no_post,
    questions_without_an_answer_are_counted_until_an_attempt_counts,
    what_is_due_later_than_any_pause_is_brought_forward,
});

const LEASE: Duration = Duration::from_secs(60);

pub(super) fn downstream(name: &str, when: DeliverWhen, quiet: Duration) -> Arc<Downstream> {
    Arc::new(Downstream {
        name: name.into(),
        when,
        url: EntryUrl::parse("http://localhost/{id}").unwrap(),
        exists: None,
        ca: None,
        timeout: Duration::from_millis(1),
        quiet,
        concurrency: 1,
        retry: Retry {
            attempts: 3,
            first: Duration::ZERO,
            factor: 1.0,
            max: Duration::ZERO,
        },
    })
}

pub(super) fn route(deliverer: &str, quiet: Duration) -> Route {
    Route {
        flow: FlowName::new("f"),
        downstream: downstream("post", DeliverWhen::Always, quiet),
        deliverer: deliverer.into(),
    }
}

fn failed(attempt: bool, uncertain: bool, again_after: Duration) -> Undelivered {
    Undelivered {
        error: "it answered 500".to_owned(),
        attempt,
        unanswered: false,
        uncertain,
        again_after,
    }
}

impl Rig {
    /// Decides `id`, to be delivered to `post`.
    async fn decide(&self, id: &str) {
        let mut by = by("f");
        by.deliver = vec![downstream("post", DeliverWhen::Always, Duration::ZERO)];
        let kept = self.ledger.keep(&by, &[decided(1, id, "{}")]).await;
        kept.unwrap();
    }

    async fn lease(&self, route: &Route, lease: Duration) -> Vec<LeasedDelivery> {
        let leased = self.ledger.lease_deliveries(route, lease, 10).await;
        leased.unwrap()
    }

    async fn until_leased(&self, route: &Route) -> LeasedDelivery {
        let leased = async || self.lease(route, LEASE).await.pop();
        support::eventually_some(Duration::from_secs(10), "it is due", leased).await
    }

    async fn counts(&self) -> (u64, u64) {
        let counts = self.ledger.delivery_counts(&FlowName::new("f")).await;
        let DeliveryCounts { waiting, given_up } = counts.unwrap();
        (waiting, given_up)
    }

    async fn state(&self, id: &str) -> (DeliveryState, u32, Option<String>) {
        let states = self.ledger.deliveries(&FlowName::new("f"), id).await;
        let one = states.unwrap().pop().unwrap();
        (one.state, one.attempts, one.error)
    }
}

async fn a_decision_and_its_outbox_are_stored_together_and_once(rig: Rig) {
    rig.decide("x").await;
    rig.decide("x").await;
    assert_eq!(rig.counts().await, (1, 0));
    let route = route("d", Duration::ZERO);
    let leased = rig.lease(&route, LEASE).await;
    assert_eq!((&*leased[0].id, &*leased[0].body), ("x", "{}"));
    assert_eq!(rig.state("x").await.0, DeliveryState::InFlight);
    assert!(rig.ledger.begin_post(&route, "x").await.unwrap());
    rig.ledger.delivered(&route, "x").await.unwrap();
    rig.ledger.delivered(&route, "x").await.unwrap();
    assert_eq!(rig.state("x").await.0, DeliveryState::Delivered);
    assert_eq!(rig.counts().await, (0, 0));
    rig.decide("x").await;
    assert!(rig.lease(&route, LEASE).await.is_empty());
}

async fn only_what_is_high_goes_to_a_downstream_that_wants_nothing_else(rig: Rig) {
    let mut by = by("f");
    by.deliver = vec![
        downstream("all", DeliverWhen::Always, Duration::ZERO),
        downstream("high", DeliverWhen::High, Duration::ZERO),
    ];
    let mut low = decided(1, "low", "{}");
    low.decision.label = Some(Label::Low);
    let mut without_label = decided(2, "none", "{}");
    without_label.decision.label = None;
    let batch = [low, without_label, decided(3, "high", "{}")];
    rig.ledger.keep(&by, &batch).await.unwrap();
    let names = async |id| {
        let all = rig.ledger.deliveries(&by.flow, id).await.unwrap();
        all.into_iter().map(|one| one.name).collect::<Vec<_>>()
    };
    assert_eq!(names("low").await, ["all"]);
    assert_eq!(names("none").await, ["all"]);
    assert_eq!(names("high").await, ["all", "high"]);
}

async fn a_delivery_is_leased_to_one_deliverer_until_the_lease_runs_out(rig: Rig) {
    rig.decide("x").await;
    let (one, other) = (route("one", Duration::ZERO), route("other", Duration::ZERO));
    let leased = rig.lease(&one, Duration::from_millis(50)).await;
    assert_eq!(leased.len(), 1);
    rig.until_leased(&other).await;
    assert!(rig.lease(&one, LEASE).await.is_empty());
    assert!(!rig.ledger.begin_post(&one, "x").await.unwrap());
    assert!(rig.ledger.begin_post(&other, "x").await.unwrap());
}

async fn what_failed_is_due_after_its_pause_with_its_attempt(rig: Rig) {
    rig.decide("x").await;
    let route = route("d", Duration::ZERO);
    let fail = async |undelivered: &Undelivered| {
        rig.until_leased(&route).await;
        let failed = rig.ledger.not_delivered(&route, "x", undelivered).await;
        failed.unwrap();
    };
    fail(&failed(true, false, Duration::from_millis(20))).await;
    // Nobody was there: that uses up nothing.
    fail(&failed(false, false, Duration::ZERO)).await;
    let again = rig.until_leased(&route).await;
    assert_eq!(
        (again.attempts, again.error.as_deref()),
        (1, Some("it answered 500"))
    );
    let hour = Duration::from_secs(3600);
    let later = failed(true, false, hour);
    rig.ledger.not_delivered(&route, "x", &later).await.unwrap();
    assert!(rig.lease(&route, LEASE).await.is_empty());
    let waiting = (
        DeliveryState::Waiting,
        2,
        Some("it answered 500".to_owned()),
    );
    assert_eq!(rig.state("x").await, waiting);
}

async fn after_a_post_of_unknown_outcome_nobody_takes_it_up_before_the_quiet_has_passed(rig: Rig) {
    rig.decide("x").await;
    let hour = Duration::from_secs(3600);
    let slow = route("d", hour);
    rig.lease(&slow, LEASE).await;
    rig.ledger.begin_post(&slow, "x").await.unwrap();
    let unknown = failed(true, true, Duration::ZERO);
    rig.ledger
        .not_delivered(&slow, "x", &unknown)
        .await
        .unwrap();
    assert!(rig.lease(&slow, LEASE).await.is_empty());
    // What is known to be absent waits for nothing.
    let soon = route("d", Duration::from_millis(20));
    rig.until_leased(&soon).await;
    let absent = failed(true, false, Duration::ZERO);
    rig.ledger.not_delivered(&soon, "x", &absent).await.unwrap();
    rig.until_leased(&slow).await;
}

async fn what_is_given_up_is_a_dead_letter_and_can_be_delivered_again(rig: Rig) {
    rig.decide("x").await;
    let route = route("d", Duration::ZERO);
    rig.lease(&route, LEASE).await;
    for _ in 0..2 {
        let given_up = rig
            .ledger
            .give_up_delivery(&route, "x", 3, "it answered 400");
        given_up.await.unwrap();
    }
    assert_eq!(rig.counts().await, (0, 1));
    assert_eq!(rig.state("x").await.0, DeliveryState::GivenUp);
    let dead = rig.dead().await;
    let [buried] = &dead[..] else {
        panic!("{dead:?}")
    };
    let letter = &buried.letter;
    assert_eq!(
        (&*letter.id, letter.partition, &letter.body[..]),
        ("x", 3, &b"{}"[..])
    );
    assert_eq!(letter.fault.kind.as_str(), "delivery");
    assert_eq!(letter.fault.error, "it answered 400");
    assert!(rig.ledger.redeliver(buried).await.unwrap());
    assert!(!rig.ledger.redeliver(buried).await.unwrap());
    assert_eq!(rig.counts().await, (1, 0));
    assert_eq!(rig.until_leased(&route).await.attempts, 0);
}

async fn whoever_lost_its_lease_begins_no_post(rig: Rig) {
    rig.decide("x").await;
    let (one, other) = (route("one", Duration::ZERO), route("other", Duration::ZERO));
    rig.lease(&one, LEASE).await;
    assert!(!rig.ledger.begin_post(&other, "x").await.unwrap());
    let given_up = rig.ledger.give_up_delivery(&other, "x", 0, "no");
    given_up.await.unwrap();
    let not = failed(true, false, Duration::ZERO);
    rig.ledger.not_delivered(&other, "x", &not).await.unwrap();
    assert_eq!(rig.state("x").await, (DeliveryState::InFlight, 0, None));
}

async fn questions_without_an_answer_are_counted_until_an_attempt_counts(rig: Rig) {
    rig.decide("x").await;
    let route = route("d", Duration::ZERO);
    let fail = async |attempt, unanswered| {
        let leased = rig.until_leased(&route).await;
        let undelivered = Undelivered {
            unanswered,
            ..failed(attempt, false, Duration::ZERO)
        };
        let failed = rig.ledger.not_delivered(&route, "x", &undelivered).await;
        failed.unwrap();
        (leased.attempts, leased.unanswered)
    };
    assert_eq!(fail(false, true).await, (0, 0));
    assert_eq!(fail(false, true).await, (0, 1));
    // Nobody was there to be asked.
    assert_eq!(fail(false, false).await, (0, 2));
    assert_eq!(fail(true, false).await, (0, 2));
    assert_eq!(fail(false, true).await, (1, 0));
    assert_eq!(rig.until_leased(&route).await.unanswered, 1);
}

/// As after a clock that was set back by an hour.
async fn what_is_due_later_than_any_pause_is_brought_forward(rig: Rig) {
    let (hour, minute) = (Duration::from_secs(3600), Duration::from_secs(60));
    rig.decide("x").await;
    let route = route("d", Duration::ZERO);
    rig.until_leased(&route).await;
    let later = failed(true, false, minute);
    rig.ledger.not_delivered(&route, "x", &later).await.unwrap();
    let forward = async |longest| rig.ledger.bring_forward(&route, longest).await.unwrap();
    assert_eq!(forward(hour).await, 0);
    assert_eq!(forward(minute / 2).await, 1);
    assert_eq!(forward(minute / 2).await, 0);
    assert!(rig.lease(&route, LEASE).await.is_empty());
    assert_eq!(forward(Duration::ZERO).await, 1);
    assert_eq!(rig.until_leased(&route).await.attempts, 1);
}
