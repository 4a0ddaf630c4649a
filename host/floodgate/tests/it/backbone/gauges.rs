//! What `/metrics` reads of a backbone when it is asked.

use super::*;

contract!([redis, embedded] {
    the_ages_of_waiting_and_of_pending_entries_are_apart,
    pending_entries_are_counted_by_how_often_they_were_delivered,
    only_so_many_pending_entries_are_looked_at,
});

const HOUR: Duration = Duration::from_secs(3600);

async fn the_ages_of_waiting_and_of_pending_entries_are_apart(rig: Rig) {
    let ages = async || {
        let depth = rig.backbone.depth(&rig.partition).await.unwrap();
        (depth.oldest_waiting, depth.oldest_pending)
    };
    assert_eq!(ages().await, (None, None));
    rig.append_an_hour_ago("a").await;
    let (waiting, pending) = ages().await;
    assert!(waiting >= Some(HOUR) && pending.is_none());
    let read = rig.read("w", 1).await;
    let (waiting, pending) = ages().await;
    assert!(waiting.is_none() && pending >= Some(HOUR));
    rig.fill(1).await;
    let (waiting, pending) = ages().await;
    assert!(waiting.is_some() && waiting < Some(HOUR) && pending >= Some(HOUR));
    rig.settle(&read, Duration::ZERO).await;
    let (waiting, pending) = ages().await;
    assert!(waiting.is_some() && pending.is_none());
}

async fn pending_entries_are_counted_by_how_often_they_were_delivered(rig: Rig) {
    rig.fill(4).await;
    assert_eq!(by_deliveries(&rig, 100).await, [0; 5]);
    let read = rig.read("w", 3).await;
    assert_eq!(by_deliveries(&rig, 100).await, [3, 0, 0, 0, 0]);
    for delivered in 2..=7_u64 {
        rig.forget(&read[0], "w").await;
        let again = rig.claim_some("w").await;
        assert_eq!(u64::from(again[0].deliveries), delivered);
        let mut expected = [2, 0, 0, 0, 0];
        expected[delivered.min(5) as usize - 1] = 1;
        assert_eq!(by_deliveries(&rig, 100).await, expected);
    }
}

async fn only_so_many_pending_entries_are_looked_at(rig: Rig) {
    rig.fill(10).await;
    rig.read("w", 10).await;
    assert_eq!(by_deliveries(&rig, 4).await, [4, 0, 0, 0, 0]);
}

async fn by_deliveries(rig: &Rig, max: usize) -> [u64; 5] {
    let counted = rig.backbone.by_deliveries(&rig.partition, max);
    counted.await.unwrap()
}

#[tokio::test]
async fn the_file_grows_with_what_it_holds() {
    grows_with_what_it_holds(&Rig::embedded().await, None).await;
}

/// On a server of its own: another test's entries would count, too.
#[tokio::test]
async fn redis_tells_its_limit_and_grows_with_what_it_holds() {
    let server = support::PrivateRedis::start().await;
    let rig = Rig::on(&server.url()).await;
    grows_with_what_it_holds(&rig, None).await;
    let _set: String = rig.raw("CONFIG SET maxmemory 64mb").await;
    grows_with_what_it_holds(&rig, Some(64 << 20)).await;
}

async fn grows_with_what_it_holds(rig: &Rig, limit: Option<u64>) {
    let memory = async || rig.backbone.memory().await.unwrap().unwrap();
    let before = memory().await;
    assert_eq!(before.limit, limit);
    let body = format!("\"{}\"", "x".repeat(4 << 20));
    let id = format!("large, of {limit:?}");
    assert_eq!(rig.append(&[entry(&id, &body)]).await, [NEW]);
    assert!(memory().await.used >= before.used + (2 << 20));
}
