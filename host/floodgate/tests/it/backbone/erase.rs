//! What a backbone promises of entries that are erased.

use super::*;

const REMEMBER: Duration = Duration::from_secs(60);

contract!([redis, embedded] {
    what_is_settled_loses_its_body_and_its_id_stays_known,
    nothing_is_erased_of_what_is_unread_or_held,
    an_outcome_is_forgotten_and_not_that_it_was_decided,
    what_is_dead_can_be_erased,
    what_is_not_known_any_more_is_erased_by_its_stream_id,
    what_comes_after_it_is_handed_out_as_ever,
});

impl Rig {
    async fn erase(&self, id: &str, entries: &[StreamId]) -> Option<u64> {
        let erased = self.backbone.erase(&self.partition, id, entries);
        erased.await.unwrap()
    }

    /// Of what is not trimmed.
    async fn bodies(&self) -> Vec<String> {
        match &self.server {
            Server::Redis(_) => {
                let entries: Vec<(String, Vec<String>)> =
                    self.raw(&format!("XRANGE {STREAM} - +")).await;
                let body = |fields: &Vec<String>| {
                    let at = fields.iter().position(|field| field == "body").unwrap();
                    fields[at + 1].clone()
                };
                entries.iter().map(|(_, fields)| body(fields)).collect()
            }
            Server::File(_) => {
                let file = self.file();
                let bodies = "SELECT CAST(body AS TEXT) FROM log WHERE body <> x''";
                let mut bodies = file.prepare(bodies).unwrap();
                let bodies = bodies.query_map((), |row| row.get(0)).unwrap();
                bodies.collect::<Result<_, _>>().unwrap()
            }
        }
    }
}

async fn what_is_settled_loses_its_body_and_its_id_stays_known(rig: Rig) {
    rig.append(&[entry("a", "[1]"), entry("b", "[2]")]).await;
    let read = rig.read("w", 2).await;
    rig.settle(&read, REMEMBER).await;
    assert_eq!(rig.erase("a", &[]).await, Some(1));
    assert_eq!(rig.bodies().await, ["[2]"]);
    assert_eq!(rig.erase("a", &[]).await, Some(0), "it was erased before");
    let again = [entry("a", "[1]"), entry("a", "[7]")];
    assert_eq!(rig.append(&again).await, [REPLAYED, CONFLICT]);
    assert!(rig.read("w", 1).await.is_empty());
}

async fn nothing_is_erased_of_what_is_unread_or_held(rig: Rig) {
    rig.append(&[entry("a", "[1]"), entry("b", "[2]")]).await;
    let read = rig.read("w", 1).await;
    let by_id = stream_ids(&read);
    assert_eq!(rig.erase("a", &by_id).await, None, "held");
    assert_eq!(rig.erase("b", &[]).await, None, "unread");
    let faults = [failed(&read[0])];
    let recorded = rig
        .backbone
        .record_faults(&rig.partition, "w", &RETRY, &faults);
    recorded.await.unwrap();
    assert_eq!(
        rig.erase("a", &[]).await,
        None,
        "it waits for its next attempt"
    );
    assert_eq!(rig.bodies().await, ["[1]", "[2]"]);
}

async fn an_outcome_is_forgotten_and_not_that_it_was_decided(rig: Rig) {
    rig.append(&[entry("a", "[1]")]).await;
    let read = rig.read("w", 1).await;
    let stored = proof(&read).await;
    let outcomes = Outcomes::from([(read[0].stream_id, "{\"output\":\"secret\"}".to_owned())]);
    let settled = rig
        .backbone
        .settle(&rig.partition, &stored, remember(REMEMBER), &outcomes);
    settled.await.unwrap();
    assert_eq!(rig.erase("a", &[]).await, Some(2));
    let fate = rig.backbone.fate(&rig.partition, "a").await.unwrap();
    let Fate::Settled {
        stream_id, outcome, ..
    } = fate
    else {
        panic!("{fate:?}")
    };
    assert_eq!((stream_id, outcome), (read[0].stream_id, None));
}

async fn what_is_dead_can_be_erased(rig: Rig) {
    rig.append(&[entry("a", "[1]")]).await;
    let read = rig.read("w", 1).await;
    let stored = proof(&read).await;
    let settled = rig
        .backbone
        .settle_dead(&rig.partition, &stored, RememberMemory::default());
    settled.await.unwrap();
    assert_eq!(rig.erase("a", &stream_ids(&read)).await, Some(1));
    let fate = rig.backbone.fate(&rig.partition, "a").await.unwrap();
    assert!(matches!(fate, Fate::Dead { .. }), "{fate:?}");
}

async fn what_is_not_known_any_more_is_erased_by_its_stream_id(rig: Rig) {
    rig.append(&[entry("a", "[1]")]).await;
    let read = rig.read("w", 1).await;
    rig.settle(&read, Duration::from_millis(1)).await;
    support::eventually(Duration::from_secs(10), "it is forgotten", async || {
        let fate = rig.backbone.fate(&rig.partition, "a").await.unwrap();
        matches!(fate, Fate::Unknown)
    })
    .await;
    assert_eq!(rig.bodies().await, ["[1]"]);
    assert_eq!(rig.erase("a", &stream_ids(&read)).await, Some(1));
    assert!(rig.bodies().await.is_empty());
}

async fn what_comes_after_it_is_handed_out_as_ever(rig: Rig) {
    rig.fill(3).await;
    let read = rig.read("w", 2).await;
    rig.settle(&read, REMEMBER).await;
    assert_eq!(rig.erase("2", &[]).await, Some(1));
    assert_eq!(ids(&rig.read("w", 2).await), ["3"]);
    rig.trim(Duration::ZERO).await;
    let depth = rig.backbone.depth(&rig.partition).await.unwrap();
    assert_eq!((depth.open, depth.lost, depth.decided), (1, 0, 2));
}
