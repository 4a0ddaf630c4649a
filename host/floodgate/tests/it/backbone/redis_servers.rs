use super::*;
use crate::support::PrivateRedis;
use floodgate_backbone::{Error, Recorded};

#[tokio::test]
async fn after_a_restart_of_redis_a_reader_first_reads_again_what_it_holds() {
    let mut server = PrivateRedis::start().await;
    let rig = Rig::on(&server.url()).await;
    rig.fill(3).await;
    let mut reader = rig.backbone.reader(&rig.partition, "w").await.unwrap();
    assert_eq!(ids(&reader.read(2).await.unwrap()), ["1", "2"]);
    server.kill();
    assert!(reader.read(10).await.is_err());
    server.restart().await;
    let again = support::eventually_some(Duration::from_secs(10), "it reads", async || {
        reader.read(10).await.ok()
    })
    .await;
    assert_eq!(ids(&again), ["1", "2"]);
    assert!(again.iter().all(|delivery| delivery.redelivered));
    let mut next = reader.read(10).await.unwrap();
    if next.is_empty() {
        next = reader.read(10).await.unwrap();
    }
    assert_eq!(ids(&next), ["3"]);
}

#[tokio::test]
async fn what_was_trimmed_before_a_reconnect_is_counted_as_lost_and_not_judged() {
    let mut server = PrivateRedis::start().await;
    let rig = Rig::on(&server.url()).await;
    rig.fill(2).await;
    let mut reader = rig.backbone.reader(&rig.partition, "w").await.unwrap();
    let read = reader.read(2).await.unwrap();
    rig.forget(&read[0], "w").await;
    let gone = format!("XDEL {STREAM} {}", read[0].stream_id);
    let _gone: u64 = rig.raw(&gone).await;
    server.kill();
    assert!(reader.read(10).await.is_err());
    server.restart().await;
    let again = support::eventually_some(Duration::from_secs(10), "it reads", async || {
        reader.read(10).await.ok()
    })
    .await;
    assert_eq!(ids(&again), ["2"]);
    let rig = Rig::on(&server.url()).await;
    assert!(rig.claim("v").await.is_empty());
    let depth = rig.backbone.depth(&rig.partition).await.unwrap();
    assert_eq!((depth.lost, depth.open, depth.pending), (1, 1, 1));
}

#[tokio::test]
async fn scripts_that_redis_forgot_are_loaded_again() {
    let server = PrivateRedis::start().await;
    let rig = Rig::on(&server.url()).await;
    let forget = async || rig.raw::<String>("SCRIPT FLUSH").await;
    forget().await;
    assert_eq!(rig.append(&[entry("1", "{}")]).await, [NEW]);
    let read = rig.read("w", 1).await;
    forget().await;
    let held = stream_ids(&read);
    let renewed = rig.backbone.renew(&rig.partition, "w", &held);
    assert_eq!(renewed.await.unwrap(), held);
    forget().await;
    let handed = rig.backbone.hand_back(&rig.partition, "w", &held);
    handed.await.unwrap();
    forget().await;
    let again = rig.claim_some("v").await;
    forget().await;
    rig.settle(&again, Duration::ZERO).await;
    forget().await;
    let trimmed = rig.backbone.trim(&rig.partition, Duration::ZERO);
    trimmed.await.unwrap();
    assert_eq!(rig.open().await, 0);
}

#[tokio::test]
async fn without_any_memory_left_what_is_held_is_still_worked_off_and_makes_room() {
    let server = PrivateRedis::start().await;
    let rig = Rig::on(&server.url()).await;
    rig.fill(600).await;
    let read = rig.read("w", 600).await;
    let _set: String = rig.raw("CONFIG SET maxmemory 1000").await;
    let faults = [failed(&read[0])];
    let recorded = rig
        .backbone
        .record_faults(&rig.partition, "w", &RETRY, &faults);
    assert_eq!(recorded.await.unwrap(), [Recorded::Retried { attempts: 1 }]);
    assert_eq!(ids(&rig.claim_some("w").await), ["1"]);
    let back = [read[1].stream_id];
    let handed = rig.backbone.hand_back(&rig.partition, "w", &back);
    handed.await.unwrap();
    assert_eq!(ids(&rig.claim_some("w").await), ["2"]);
    rig.settle(&read, Duration::ZERO).await;
    assert_eq!(rig.open().await, 0);
    let trimmed = rig.backbone.trim(&rig.partition, Duration::ZERO);
    trimmed.await.unwrap();
    let left: u64 = rig.raw(&format!("XLEN {STREAM}")).await;
    assert!(left < 200, "{left} left of none");
}

#[tokio::test]
async fn nearly_full_memory_refuses_what_is_new_and_answers_what_is_known() {
    let server = PrivateRedis::start().await;
    let rig = Rig::on(&server.url()).await;
    rig.fill(1).await;
    let info: redis::InfoDict = rig.raw("INFO memory").await;
    let used: u64 = info.get("used_memory").unwrap();
    let most = format!("CONFIG SET maxmemory {}", used + used / 9);
    let _set: String = rig.raw(&most).await;
    let mut next = 2;
    // A new id each time: the look at the memory may be a moment old.
    let mut becomes = async |expected: &str| {
        support::eventually(
            Duration::from_secs(10),
            "the memory is looked at",
            async || {
                next += 1;
                let group = [entry("1", "{}"), entry(&next.to_string(), "{}")];
                let appended = rig.append(&group).await;
                assert_eq!(appended[0], REPLAYED);
                appended[1] == expected
            },
        )
        .await;
    };
    becomes(MEMORY_SCARCE).await;
    let _set: String = rig.raw("CONFIG SET maxmemory 0").await;
    becomes(NEW).await;
    // Beyond the limit Redis itself refuses, sooner than the next look.
    let _set: String = rig.raw("CONFIG SET maxmemory 1000").await;
    let appended = rig.append(&[entry("1", "{}"), entry("new", "{}")]).await;
    assert_eq!(appended, [REPLAYED, MEMORY_SCARCE]);
    let _set: String = rig.raw("CONFIG SET maxmemory 0").await;
    becomes(NEW).await;
}

#[tokio::test]
async fn a_redis_that_evicts_is_refused_and_one_that_may_forget_is_warned_of() {
    let server = PrivateRedis::start().await;
    let rig = Rig::on(&server.url()).await;
    let flows = [(FlowName::new("orders"), 1)];
    assert_eq!(
        rig.backbone.check(&flows).await.unwrap(),
        Vec::<String>::new()
    );
    let _set: String = rig.raw("CONFIG SET appendfsync everysec").await;
    let weak = rig.backbone.check(&flows).await.unwrap();
    assert!(weak[0].contains("appendfsync"), "{weak:?}");
    let _set: String = rig.raw("CONFIG SET maxmemory-policy allkeys-lru").await;
    let error = rig.backbone.check(&flows).await.unwrap_err();
    assert!(matches!(error, Error::Unfit { .. }), "{error}");
    assert!(error.to_string().contains("noeviction"), "{error}");
}

#[tokio::test]
async fn a_redis_that_hides_its_configuration_is_warned_of_and_works() {
    let server = PrivateRedis::start().await;
    let rig = Rig::on(&server.url()).await;
    let guest = "ACL SETUSER guest on >secret ~* &* +@all -config -info";
    let _set: String = rig.raw(guest).await;
    let rig = Rig::on(&server.url().replace("redis://", "redis://guest:secret@")).await;
    let flows = [(FlowName::new("orders"), 1)];
    let weak = rig.backbone.check(&flows).await.unwrap();
    assert!(
        weak.iter().any(|weak| weak.contains("configuration")),
        "{weak:?}"
    );
    assert!(weak.iter().any(|weak| weak.contains("memory")), "{weak:?}");
    assert_eq!(rig.append(&[entry("1", "{}")]).await, [NEW]);
}

#[tokio::test]
async fn another_number_of_partitions_is_an_error_that_names_the_way_to_change_it() {
    let rig = Rig::redis().await;
    let orders = FlowName::new("orders");
    rig.backbone.check(&[(orders.clone(), 2)]).await.unwrap();
    rig.backbone.check(&[(orders.clone(), 2)]).await.unwrap();
    let error = rig.backbone.check(&[(orders, 3)]).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("2 partitions") && said.contains("DEL "),
        "{said}"
    );
}

#[tokio::test]
async fn pending_entries_are_told_without_their_bodies() {
    const ENTRIES: usize = 300;
    const BODY: usize = 64 << 10;
    let server = PrivateRedis::start().await;
    let rig = Rig::on(&server.url()).await;
    let body = format!(r#"{{"memo":"{}"}}"#, "x".repeat(BODY));
    for at in 0..ENTRIES {
        rig.append(&[entry(&at.to_string(), &body)]).await;
    }
    assert_eq!(rig.read("w", ENTRIES).await.len(), ENTRIES);
    let sent = async || {
        let stats: String = rig.raw("INFO stats").await;
        let field = "total_net_output_bytes:";
        let sent = stats.lines().find_map(|line| line.strip_prefix(field));
        sent.unwrap().trim().parse::<usize>().unwrap()
    };
    let before = sent().await;
    let pending = rig.backbone.pending(&rig.partition, ENTRIES).await.unwrap();
    let bytes = sent().await - before;
    let told: Vec<_> = pending.iter().map(|row| row.id.clone().unwrap()).collect();
    let all: Vec<_> = (0..ENTRIES).map(|at| at.to_string()).collect();
    assert_eq!(told, all);
    assert!(bytes < 4 * BODY, "{bytes} bytes for {ENTRIES} ids");
}
