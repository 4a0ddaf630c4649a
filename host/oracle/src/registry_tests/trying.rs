//! Oracles that fail, and who is found guilty of it.

use super::*;
use floodgate_flow::OracleUse;
use floodgate_ledger::Sender;
use floodgate_report::Standing;

impl Host {
    async fn use_flows(&self, flows: &[&Arc<Flow>]) {
        self.registry.use_flows(flows.iter().copied()).await;
    }

    fn judge(&self, flow: &Flow) -> Judge {
        self.registry.judge_of(&flow.name, &flow.oracles[0])
    }

    fn judged_by(&self, flow: &Flow) -> Option<Digest> {
        match self.judge(flow) {
            Judge::Is(oracle) => Some(oracle.digest()),
            _ => None,
        }
    }

    fn held(&self, flow: &Flow) -> Option<Arc<Held>> {
        match self.judge(flow) {
            Judge::Held(held) => Some(held),
            _ => None,
        }
    }

    async fn try_flow(&self, flow: &Flow) -> Settled {
        let usage: &OracleUse = &flow.oracles[0];
        let Judge::Is(oracle) = self.judge(flow) else {
            return Settled::AskAgain;
        };
        self.registry.put_on_trial(&flow.name, usage, &oracle).await
    }

    /// Actions in the audit log with their flow, once there are so many.
    async fn events(&self, many: usize) -> Vec<(String, String, String)> {
        let there = || self.shelf.events.lock().unwrap().len() >= many;
        until("the audit log is written", there).await;
        let events = self.shelf.events.lock().unwrap();
        let event = |change: &Change| {
            let flow = change.target["flow"].as_str().unwrap_or("-");
            (change.who.clone(), change.action.clone(), flow.to_owned())
        };
        events.iter().map(event).collect()
    }
}

fn digest_of(component: &[u8]) -> Option<Digest> {
    Some(Digest::of(component))
}

/// Two flows with the same oracle; what the second one's control makes of it.
async fn two(oracle: &str, component: &[u8]) -> (Host, Arc<Flow>, Arc<Flow>) {
    let host = Host::with(&[0.1]).await;
    let (one, other) = (flow_of("one", oracle, "a"), flow_of("other", "", "a"));
    host.drop_file(component);
    until("it is in force", || host.digest() == digest_of(component)).await;
    host.use_flows(&[&one, &other]).await;
    (host, one, other)
}

#[tokio::test]
async fn what_breaks_on_the_controls_is_not_taken_in_the_place_of_what_does_not() {
    let host = Host::with(&[0.1]).await;
    host.drop_file(&floodgate_test_components::breaks(1));
    let refused = || host.status().refused.is_some();
    until("it is refused", refused).await;
    let refused = host.status().refused.unwrap();
    assert_eq!(
        refused.digest,
        digest_of(&floodgate_test_components::breaks(1))
    );
    assert!(refused.error.contains("1 of 1 controls"), "{refused:?}");
    assert_eq!(host.digest(), Some(of(0.1)));
    let events = host.events(1).await;
    assert_eq!(
        events.last().unwrap(),
        &("file".into(), "swap".into(), "probe".into())
    );
    host.drop_file(&floodgate_test_components::constant(0.2));
    host.until_scored(0.2).await;
}

#[tokio::test]
async fn what_refuses_its_controls_is_taken_and_holds_the_flow_until_another_is_dropped() {
    let host = Host::with(&[0.1]).await;
    let probe = flow_of("probe", "", "a");
    host.use_flows(&[&probe]).await;
    host.drop_file(&floodgate_test_components::refuses());
    until("the flow is held", || host.held(&probe).is_some()).await;
    let held = host.held(&probe).unwrap();
    assert_eq!(
        Some(held.digest),
        digest_of(&floodgate_test_components::refuses())
    );
    let shown = host.status().in_flows.remove(0);
    assert_eq!(shown.standing, Standing::Held);
    assert!(
        shown
            .reason
            .unwrap()
            .contains("1 of 1 controls are refused")
    );
    host.drop_file(&floodgate_test_components::constant(0.2));
    until("the new one judges", || {
        host.judged_by(&probe) == Some(of(0.2))
    })
    .await;
    let events: Vec<String> = host
        .events(4)
        .await
        .into_iter()
        .map(|event| event.1)
        .collect();
    assert_eq!(events, ["swap", "hold", "swap", "release"]);
}

#[tokio::test]
async fn a_component_that_is_alone_and_breaks_holds_its_flow() {
    let host = Host::new().await;
    let probe = flow_of("probe", "", "a");
    host.use_flows(&[&probe]).await;
    host.drop_file(&floodgate_test_components::breaks(1));
    until("the flow is held", || host.held(&probe).is_some()).await;
    assert_eq!(
        host.digest(),
        digest_of(&floodgate_test_components::breaks(1))
    );
}

#[tokio::test]
async fn an_entry_that_breaks_an_oracle_convicts_it_of_nothing() {
    let host = Host::with(&[0.1]).await;
    let probe = flow_of("probe", "", "a");
    host.drop_file(&floodgate_test_components::misbehaving());
    host.use_flows(&[&probe]).await;
    until("it judges", || {
        host.judged_by(&probe) == digest_of(&floodgate_test_components::misbehaving())
    })
    .await;
    for _ in 0..10 {
        assert_eq!(host.try_flow(&probe).await, Settled::ItStays);
    }
    assert_eq!(
        host.judged_by(&probe),
        digest_of(&floodgate_test_components::misbehaving())
    );
}

#[tokio::test]
async fn a_table_under_which_all_versions_break_holds_its_flow_and_no_other() {
    // 64 KiB each: the guest has four pages from the beginning.
    let guest = floodgate_test_components::constant(0.2);
    let host = Host::with(&[0.1]).await;
    let (one, other) = (
        flow_of("one", "memory = \"1MiB\"", "m"),
        flow_of("other", "", "a"),
    );
    host.drop_file(&floodgate_test_components::misbehaving());
    host.use_flows(&[&one, &other]).await;
    until("the other is judged by the new one", || {
        host.judged_by(&other) == digest_of(&floodgate_test_components::misbehaving())
    })
    .await;
    // The version before asks for no memory: it judges in the first flow.
    until("the first goes back", || {
        host.judged_by(&one) == Some(of(0.1))
    })
    .await;
    let shown: Vec<Standing> = (host.status().in_flows.iter())
        .map(|stands| stands.standing)
        .collect();
    assert_eq!(shown, [Standing::PassedOver, Standing::Judges]);
    assert_eq!(host.shelf.choice(), None, "nobody chose anything for both");
    // A correction ends it.
    let corrected = flow_of("one", "memory = \"512MiB\"", "a");
    host.use_flows(&[&corrected, &other]).await;
    assert_eq!(
        host.judged_by(&corrected),
        digest_of(&floodgate_test_components::misbehaving())
    );
    drop(guest);
}

#[tokio::test]
async fn a_hold_ends_with_the_flow_file_that_brought_it() {
    let (host, _, other) = two("", &floodgate_test_components::misbehaving()).await;
    // Its control is one that the guest answers with an error.
    let typo = flow_of("one", "settings = { a = \"b\" }", "e");
    host.use_flows(&[&typo, &other]).await;
    assert!(host.held(&typo).is_some());
    assert!(host.held(&other).is_none());
    let corrected = flow_of("one", "", "a");
    host.use_flows(&[&corrected, &other]).await;
    assert_eq!(
        host.judged_by(&corrected),
        digest_of(&floodgate_test_components::misbehaving())
    );
    let events = host.events(3).await;
    let of_one: Vec<_> = events.iter().filter(|event| event.2 == "one").collect();
    assert_eq!(of_one[0], &("host".into(), "hold".into(), "one".into()));
    assert_eq!(of_one[1], &("host".into(), "release".into(), "one".into()));
}

#[tokio::test]
async fn what_holds_a_flow_is_tried_again() {
    let host = Host::new().await;
    let probe = flow_of("probe", "", "a");
    host.use_flows(&[&probe]).await;
    // Its history is known to the ledger only, which was away.
    let old = floodgate_test_components::constant(0.1);
    host.drop_file(&floodgate_test_components::breaks(1));
    until("the flow is held", || host.held(&probe).is_some()).await;
    host.registry.try_held().await;
    assert!(host.held(&probe).is_some(), "nothing has changed");
    let digest = Digest::of(&old);
    let components = &host.shelf.components;
    components.lock().unwrap().insert(digest, Bytes::from(old));
    host.shelf.history.lock().unwrap().push(digest);
    host.registry.try_held().await;
    assert_eq!(host.judged_by(&probe), Some(digest));
}

#[tokio::test]
async fn without_controls_nobody_is_convicted() {
    let host = Host::new().await;
    // The schema asks for an object, and the example is none.
    let probe = Flow::of_source(
        "probe",
        "[admit]\npath = \"/probe\"\nschema = \"a\"\nid = { field = \"/id\" }\n[[oracle]]\ncomponent = \"judge\"\n[keep]\nwhen = \"always\"\n",
    );
    let probe = Arc::new(probe.map_err(|_| "problems").unwrap());
    host.use_flows(&[&probe]).await;
    host.drop_file(&floodgate_test_components::refuses());
    until("it judges", || host.judged_by(&probe).is_some()).await;
    assert_eq!(host.try_flow(&probe).await, Settled::ItStays);
    assert!(host.held(&probe).is_none());
}

#[tokio::test]
async fn a_broken_oracle_that_is_pinned_holds_the_flow_until_it_is_unpinned() {
    let host = Host::new().await;
    let probe = flow_of("probe", "", "a");
    host.use_flows(&[&probe]).await;
    let broken = Digest::of(&floodgate_test_components::breaks(1));
    host.drop_file(&floodgate_test_components::breaks(1));
    until("the flow is held", || host.held(&probe).is_some()).await;
    host.choose(Some(Choice::Pinned { digest: broken })).await;
    until("it is pinned", || host.status().pinned).await;
    host.drop_file(&floodgate_test_components::constant(0.2));
    let known = || host.status().file_digest == Some(of(0.2));
    until("the file is known", known).await;
    until("the flow is held again", || host.held(&probe).is_some()).await;
    host.choose(None).await;
    until("the new one judges", || {
        host.judged_by(&probe) == Some(of(0.2))
    })
    .await;
}

/// Returns an entry of an owner. `floodgate_test_components::misbehaving` does what the
/// first letter of its id says.
fn sampled(owner: &str, id: &str) -> Control {
    Control {
        sender: Sender::Owner(owner.into()),
        entry: Entry {
            id: id.into(),
            body: "{}".into(),
            received_at: 0,
            attributes: Arc::default(),
        },
    }
}

impl Host {
    /// With a flow whose one operator's control this is, and what was sampled.
    async fn sampling(control: &str, sample: &[Control]) -> (Self, Arc<Flow>) {
        let host = Self::new().await;
        *host.shelf.controls.lock().unwrap() = sample.to_vec();
        let probe = flow_of("probe", "settings = { a = 1 }", control);
        host.use_flows(&[&probe]).await;
        host.drop_file(&floodgate_test_components::misbehaving());
        until("it is in force", || host.digest().is_some()).await;
        (host, probe)
    }
}

#[tokio::test]
async fn what_was_judged_during_the_last_day_speaks_for_an_oracle_that_the_operators_convict() {
    // One that breaks and one that is judged: half is enough.
    let (host, probe) = Host::sampling("t", &[sampled("shop", "a")]).await;
    assert_eq!(host.try_flow(&probe).await, Settled::ItStays);
    let (host, probe) = Host::sampling("e", &[sampled("shop", "a")]).await;
    assert_eq!(host.try_flow(&probe).await, Settled::ItStays);
    assert!(host.held(&probe).is_none());
}

#[tokio::test]
async fn the_operators_controls_speak_for_an_oracle_that_the_last_day_convicts() {
    let sample = ["e1", "e2", "e3", "e4"].map(|id| sampled(id, id));
    let (host, probe) = Host::sampling("a", &sample).await;
    assert_eq!(host.try_flow(&probe).await, Settled::ItStays);
    assert!(host.held(&probe).is_none());
    let standing = || host.status().in_flows[0].standing;
    until("a person is told", || standing() == Standing::Suspected).await;
}

#[tokio::test]
async fn an_oracle_that_fails_both_kinds_in_the_same_way_holds_the_flow() {
    let (host, probe) = Host::sampling("e", &[sampled("shop", "e1")]).await;
    until("it is held", || host.held(&probe).is_some()).await;
    // They are kept through a change of the settings, and of another component.
    let again = flow_of("probe", "settings = { a = 2 }", "e");
    host.use_flows(&[&again]).await;
    assert!(host.held(&again).is_some());
    host.shelf.controls.lock().unwrap()[0] = sampled("shop", "a");
    host.registry.try_held().await;
    assert!(host.held(&again).is_none());
    let (host, probe) = Host::sampling("e", &[sampled("shop", "t")]).await;
    assert_eq!(host.try_flow(&probe).await, Settled::ItStays);
    assert!(host.held(&probe).is_none(), "in two ways");
}

#[tokio::test]
async fn while_the_ledger_does_not_tell_its_controls_nobody_is_convicted() {
    let host = Host::with(&[0.1]).await;
    host.shelf.away.store(true, Ordering::SeqCst);
    host.drop_file(&floodgate_test_components::breaks(1));
    until("it is refused", || host.status().refused.is_some()).await;
    assert!(host.status().refused.unwrap().error.contains("ledger"));
    assert_eq!(host.digest(), Some(of(0.1)));
    *host.shelf.controls.lock().unwrap() = vec![sampled("shop", "a")];
    host.shelf.away.store(false, Ordering::SeqCst);
    // It breaks on these, too.
    let events = host.events(1).await;
    assert_eq!(events[0], ("file".into(), "swap".into(), "probe".into()));
    assert_eq!(host.digest(), Some(of(0.1)));
}

#[tokio::test]
async fn what_is_judged_is_sampled_and_of_one_sender_once() {
    let host = Host::new().await;
    let probe = flow_of("probe", "", "a");
    host.use_flows(&[&probe]).await;
    let usage = &probe.oracles[0];
    for id in ["a", "b"] {
        let entry = sampled("shop", id).entry;
        let judged = [&entry].into_iter();
        host.registry.sample(&probe.name, usage, judged).await;
    }
    let kept = host.shelf.controls.lock().unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(&*kept[0].entry.id, "a");
}
