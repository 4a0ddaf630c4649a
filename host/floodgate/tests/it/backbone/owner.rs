//! Whose an entry is, as long as its id is known.

use super::*;
use floodgate_backbone::{OwnerHash, Requeue};

const REMEMBER: Duration = Duration::from_secs(60);

contract!([redis, embedded] {
    the_first_sender_owns_an_id_and_a_replay_tells_whose_it_is,
    the_owner_is_known_from_the_append_to_the_outcome,
    a_requeued_entry_belongs_to_whom_it_belonged,
    an_id_without_an_owner_has_none,
    settling_late_leaves_the_id_of_a_requeued_entry_alone,
});

fn owned(id: &str, owner: &str) -> NewEntry {
    let mut entry = entry(id, "{}");
    entry.origin.owner = Some(owner.into());
    entry
}

impl Rig {
    async fn owner(&self, id: &str) -> Option<OwnerHash> {
        let fate = self.backbone.fate(&self.partition, id);
        fate.await.unwrap().owner()
    }

    async fn bury(&self, read: &[Delivery]) {
        let stored = proof(read).await;
        let buried = self
            .backbone
            .settle_dead(&self.partition, &stored, RememberMemory::default());
        buried.await.unwrap();
    }

    async fn requeue(&self, read: &Delivery, attributes: &[(&str, &str)]) -> bool {
        let attributes = attributes.iter();
        let dead = Requeue {
            id: ids(std::slice::from_ref(read))[0].as_str().into(),
            body: "{}".into(),
            body_hash: BodyHash::of(b"{}"),
            attributes: attributes
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            stream_id: read.stream_id,
        };
        let requeued = self.backbone.requeue(&self.partition, &dead);
        requeued.await.unwrap()
    }
}

async fn the_first_sender_owns_an_id_and_a_replay_tells_whose_it_is(rig: Rig) {
    let limits = AppendLimits::of_backlog(10);
    let group = [owned("a", "shop"), owned("a", "till"), entry("a", "{}")];
    let appended = rig.backbone.append(&rig.partition, limits, &group).await;
    let appended = appended.unwrap();
    let Appended::New(stream_id) = appended[0] else {
        panic!("{appended:?}")
    };
    let replayed = Appended::Replayed {
        stream_id,
        owner: Some(OwnerHash::of("shop")),
    };
    assert_eq!(appended[1..], [replayed, replayed]);
    let again = rig.backbone.append(&rig.partition, limits, &group[1..]);
    assert_eq!(again.await.unwrap(), [replayed, replayed]);
}

async fn the_owner_is_known_from_the_append_to_the_outcome(rig: Rig) {
    let shop = Some(OwnerHash::of("shop"));
    assert_eq!(rig.owner("a").await, None);
    let group = ["a", "b", "c"].map(|id| owned(id, "shop"));
    rig.append(&group).await;
    assert_eq!(rig.owner("a").await, shop, "waiting");
    let read = rig.read("w", 3).await;
    assert_eq!(rig.owner("a").await, shop, "processing");
    rig.settle(&read[..1], REMEMBER).await;
    assert_eq!(rig.owner("a").await, shop, "settled");
    rig.bury(&read[1..2]).await;
    assert_eq!(rig.owner("b").await, shop, "dead");
    let outcomes = Outcomes::from([(read[2].stream_id, r#"{"label":"HIGH"}"#.to_owned())]);
    let stored = proof(&read[2..]).await;
    let settled = rig
        .backbone
        .settle(&rig.partition, &stored, remember(REMEMBER), &outcomes);
    settled.await.unwrap();
    let erased = rig.backbone.erase(&rig.partition, "c", &[]).await.unwrap();
    assert_eq!(erased, Some(2), "body and outcome");
    assert_eq!(rig.owner("c").await, shop, "settled with an outcome");
}

async fn a_requeued_entry_belongs_to_whom_it_belonged(rig: Rig) {
    rig.append(&[owned("a", "shop")]).await;
    let read = rig.read("w", 1).await;
    rig.bury(&read).await;
    assert!(rig.requeue(&read[0], &[]).await);
    assert_eq!(rig.owner("a").await, Some(OwnerHash::of("shop")));
    // Whose id was forgotten meanwhile, the dead letter tells.
    let mut forgotten = read[0].clone();
    if let Payload::Entry(entry) = &mut forgotten.payload {
        entry.id = "forgotten".into();
    }
    assert!(rig.requeue(&forgotten, &[("owner", "till")]).await);
    assert_eq!(rig.owner("forgotten").await, Some(OwnerHash::of("till")));
}

async fn an_id_without_an_owner_has_none(rig: Rig) {
    rig.append(&[entry("a", "{}"), owned("b", "shop")]).await;
    assert_eq!(rig.owner("a").await, None);
    let limits = AppendLimits::of_backlog(10);
    let again = [owned("a", "shop")];
    let again = rig.backbone.append(&rig.partition, limits, &again).await;
    let again = again.unwrap()[0];
    assert!(
        matches!(again, Appended::Replayed { owner: None, .. }),
        "{again:?}"
    );
}

async fn settling_late_leaves_the_id_of_a_requeued_entry_alone(rig: Rig) {
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    rig.bury(&read).await;
    assert!(rig.requeue(&read[0], &[]).await);
    rig.settle(&read, Duration::ZERO).await;
    let fate = rig.backbone.fate(&rig.partition, "1").await.unwrap();
    assert!(matches!(fate, Fate::Waiting(_)), "{fate:?}");
    assert_eq!(rig.append(&[entry("1", "{}")]).await, [REPLAYED]);
}
