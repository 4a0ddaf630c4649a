//! How far an entry has come, for whoever sent it.

use super::*;

contract!([redis, embedded] {
    an_entry_is_waiting_processing_waiting_again_and_settled_with_its_outcome,
    without_an_outcome_a_settled_entry_is_settled_all_the_same,
    decided_and_dead_entries_are_counted,
});

impl Rig {
    /// In one word, with the body or the outcome that is known.
    async fn fate(&self, id: &str) -> (&'static str, Option<String>) {
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        match self.backbone.fate(&self.partition, id).await.unwrap() {
            Fate::Unknown => ("unknown", None),
            Fate::Waiting(entry) => ("waiting", entry.body.map(text)),
            Fate::Processing(entry) => ("processing", entry.body.map(text)),
            Fate::Dead { .. } => ("dead", None),
            Fate::Settled { outcome, .. } => ("settled", outcome),
        }
    }

    async fn settle_with(&self, read: &[Delivery], outcome: &str) {
        let outcomes = Outcomes::from([(read[0].stream_id, outcome.to_owned())]);
        let stored = proof(read).await;
        let settled = self.backbone.settle(
            &self.partition,
            &stored,
            remember(Duration::from_secs(60)),
            &outcomes,
        );
        settled.await.unwrap();
    }
}

fn known(state: &'static str, what: &str) -> (&'static str, Option<String>) {
    (state, Some(what.to_owned()))
}

async fn an_entry_is_waiting_processing_waiting_again_and_settled_with_its_outcome(rig: Rig) {
    assert_eq!(rig.fate("a").await, ("unknown", None));
    rig.append(&[entry("a", "{}")]).await;
    assert_eq!(rig.fate("a").await, known("waiting", "{}"));
    let read = rig.read("w", 1).await;
    assert_eq!(rig.fate("a").await, known("processing", "{}"));
    let failed = [failed(&read[0])];
    let faults = rig
        .backbone
        .record_faults(&rig.partition, "w", &RETRY, &failed);
    faults.await.unwrap();
    assert_eq!(rig.fate("a").await, known("waiting", "{}"));
    let claimed = rig.claim_some("w").await;
    rig.settle_with(&claimed, r#"{"label":"HIGH"}"#).await;
    assert_eq!(rig.fate("a").await, known("settled", r#"{"label":"HIGH"}"#));
    // The longer id key is still the identity that it was.
    assert_eq!(rig.append(&[entry("a", "{}")]).await, [REPLAYED]);
    assert_eq!(rig.append(&[entry("a", "[]")]).await, [CONFLICT]);
}

async fn without_an_outcome_a_settled_entry_is_settled_all_the_same(rig: Rig) {
    rig.fill(2).await;
    let read = rig.read("w", 1).await;
    rig.settle(&read, Duration::from_secs(60)).await;
    assert_eq!(rig.fate("1").await, ("settled", None));
    assert_eq!(rig.fate("2").await, known("waiting", "{}"));
}

async fn decided_and_dead_entries_are_counted(rig: Rig) {
    rig.fill(3).await;
    let read = rig.read("w", 3).await;
    rig.settle(&read[..2], Duration::from_secs(60)).await;
    rig.settle(&read[..2], Duration::from_secs(60)).await;
    let stored = proof(&read[2..]).await;
    let buried = rig
        .backbone
        .settle_dead(&rig.partition, &stored, RememberMemory::default());
    buried.await.unwrap();
    let counts = async || {
        let depth = rig.backbone.depth(&rig.partition).await.unwrap();
        (depth.decided, depth.dead)
    };
    assert_eq!(counts().await, (2, 1));
    assert_eq!(rig.fate("3").await, ("dead", None));
    let dead = floodgate_backbone::Requeue {
        id: "3".into(),
        body: "{}".into(),
        body_hash: BodyHash::of(b"{}"),
        attributes: Arc::default(),
        stream_id: read[2].stream_id,
    };
    assert!(rig.backbone.requeue(&rig.partition, &dead).await.unwrap());
    assert_eq!(counts().await, (2, 0));
}
