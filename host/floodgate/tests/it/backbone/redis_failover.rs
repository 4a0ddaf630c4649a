//! Redis servers that are no place to write any more, and keep their
//! connections open.

use floodgate_backbone::{Backbone, Error};

use super::*;
use crate::support::PrivateRedis;

#[tokio::test]
async fn a_primary_that_lacks_its_replicas_is_away_and_not_ready() {
    let server = PrivateRedis::start().await;
    let rig = Rig::on(&server.url()).await;
    rig.fill(1).await;
    let _set: String = rig.raw("CONFIG SET min-replicas-to-write 1").await;
    let limits = AppendLimits::of_backlog(10);
    let group = [entry("2", "{}")];
    let error = rig.backbone.append(&rig.partition, limits, &group).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let error = rig.backbone.ping().await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    let _set: String = rig.raw("CONFIG SET min-replicas-to-write 0").await;
    rig.backbone.ping().await.unwrap();
    assert_eq!(rig.append(&group).await, [NEW]);
}

#[tokio::test]
async fn after_a_graceful_failover_the_server_that_has_the_name_by_now_is_written_to() {
    let (before, after) = (PrivateRedis::start().await, PrivateRedis::start().await);
    let name = before.proxy().await;
    let url = format!("redis://127.0.0.1:{}", name.port());
    let rig = Rig::on(&before.url()).await;
    let backbone = floodgate_backbone::Redis::new(&url).unwrap();
    let limits = AppendLimits::of_backlog(100);
    let append = async |id: &str| {
        let group = [entry(id, "{}")];
        let appended = backbone.append(&rig.partition, limits, &group).await;
        appended.map(|appended| outcome(&appended[0]))
    };
    assert_eq!(append("1").await.unwrap(), NEW);
    let mut reader = backbone.reader(&rig.partition, "w").await.unwrap();
    assert_eq!(ids(&reader.read(1).await.unwrap()), ["1"]);
    before.hand_over_to(&after).await;
    // Its connections are open, and it is a replica.
    let error = append("2").await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(backbone.ping().await.is_err());
    name.lead_to(after.port());
    support::eventually(Duration::from_secs(10), "it is written to", async || {
        matches!(append("2").await, Ok(NEW | REPLAYED))
    })
    .await;
    backbone.ping().await.unwrap();
    let mut read = Vec::new();
    support::eventually(Duration::from_secs(10), "it is read from", async || {
        if let Ok(deliveries) = reader.read(10).await {
            read.extend(ids(&deliveries));
        }
        read.contains(&"2".to_owned())
    })
    .await;
    assert_eq!(append("1").await.unwrap(), REPLAYED, "it was replicated");
}
