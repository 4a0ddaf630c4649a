//! How much of Redis the ids of settled entries take up.

use floodgate_flow::RememberFull;

use super::*;
use crate::support::PrivateRedis;

const HOUR: Duration = Duration::from_secs(3600);

/// Room for some hundred ids.
const MEMORY: u64 = 1 << 17;

fn within(full: RememberFull) -> Remember {
    let bytes = Some(MEMORY);
    let memory = RememberMemory { bytes, full };
    Remember {
        known_for: HOUR,
        memory,
    }
}

impl Rig {
    /// Appends, reads and settles entries with these ids.
    async fn pass(&self, ids: std::ops::Range<u64>, remember: Remember) -> Vec<&'static str> {
        let limits = AppendLimits {
            max_backlog: 1000,
            memory: remember.memory,
        };
        let group: Vec<_> = ids.map(|id| entry(&id.to_string(), "{}")).collect();
        let appended = self.backbone.append(&self.partition, limits, &group);
        let appended = appended.await.unwrap();
        if appended.iter().any(|of| matches!(of, Appended::New(_))) {
            let read = self.read("w", 1000).await;
            let stored = proof(&read).await;
            let none = Outcomes::new();
            let settled = self
                .backbone
                .settle(&self.partition, &stored, remember, &none);
            settled.await.unwrap();
        }
        appended.iter().map(outcome).collect()
    }

    async fn remembered(&self) -> u64 {
        let depth = self.backbone.depth(&self.partition).await.unwrap();
        depth.remembered
    }

    /// As if this much time had passed for everything that expires.
    async fn let_pass(&self, minutes: u64) {
        let key = "floodgate:{orders:0}:remembered";
        let script = "local by = tonumber(ARGV[1])
            local moved = {}
            for _, minute in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
              local bytes = redis.call('HGET', KEYS[1], minute)
              redis.call('HDEL', KEYS[1], minute)
              redis.call('ZREM', KEYS[2], minute)
              moved[#moved + 1] = { string.format('%d', minute - by), bytes }
            end
            for _, one in ipairs(moved) do
              redis.call('HSET', KEYS[1], one[1], one[2])
              redis.call('ZADD', KEYS[2], one[1], one[1])
            end
            for k = 3, #KEYS do
              redis.call('PEXPIRE', KEYS[k], redis.call('PTTL', KEYS[k]) - by * 60000)
            end
            return 1";
        let mut connection = self.connection();
        let ids: Vec<Vec<u8>> = redis::cmd("KEYS")
            .arg("floodgate:{orders:0}:id:*")
            .query_async(&mut connection)
            .await
            .unwrap();
        let script = redis::Script::new(script);
        let mut call = script.prepare_invoke();
        call.key(key).key(format!("{key}:minutes")).arg(minutes);
        for id in ids {
            call.key(id);
        }
        let _done: u64 = call.invoke_async(&mut connection).await.unwrap();
    }

    /// The shortest and the longest time for which ids are still known.
    async fn known_for(&self) -> (i64, i64) {
        let script = "local least, most = math.huge, -1
            for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
              local left = redis.call('PTTL', key)
              least, most = math.min(least, left), math.max(most, left)
            end
            return { least, most }";
        let mut connection = self.connection();
        redis::Script::new(script)
            .arg("floodgate:{orders:0}:id:*")
            .invoke_async(&mut connection)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn what_is_counted_is_what_redis_uses() {
    let server = PrivateRedis::start().await;
    let rig = Rig::on(&server.url()).await;
    let used = async || -> u64 {
        let info: redis::InfoDict = rig.raw("INFO memory").await;
        info.get("used_memory").unwrap()
    };
    rig.pass(0..200, remember(HOUR)).await;
    rig.trim(Duration::ZERO).await;
    let before = (used().await, rig.remembered().await);
    for from in (200..20_000).step_by(200) {
        rig.pass(from..from + 200, remember(HOUR)).await;
    }
    rig.trim(Duration::ZERO).await;
    let (used, counted) = (used().await - before.0, rig.remembered().await - before.1);
    let share = counted as f64 / used as f64;
    assert!((0.7..1.5).contains(&share), "{counted} of {used}");
}

#[tokio::test]
async fn a_flow_whose_ids_fill_its_memory_is_refused_until_they_expire() {
    let rig = Rig::redis().await;
    let remember = within(RememberFull::Refuse);
    let mut next = 0;
    while rig.pass(next..next + 100, remember).await == [NEW; 100] {
        next += 100;
        assert!(next < 2000, "{} bytes and no end", rig.remembered().await);
    }
    assert_eq!(rig.pass(next..next + 2, remember).await, [REMEMBER_FULL; 2]);
    assert_eq!(rig.pass(0..1, remember).await, [REPLAYED], "it is known");
    assert_eq!(rig.open().await, 0);
    let key = async |key: &str, id: &str| {
        let hash = BodyHash::of(b"{}");
        let claimed = rig
            .backbone
            .claim_key(&rig.partition, key, hash, id, remember);
        claimed.await.unwrap()
    };
    assert_eq!(key("k", "1").await.as_deref(), Some("1"));
    assert_eq!(key("k", "2").await.as_deref(), Some("2"), "it was not kept");
    rig.let_pass(62).await;
    assert_eq!(rig.pass(next..next + 2, remember).await, [NEW; 2]);
    assert!(rig.remembered().await < 1000);
    assert_eq!(key("k", "3").await.as_deref(), Some("3"));
    assert_eq!(key("k", "4").await.as_deref(), Some("3"));
}

#[tokio::test]
async fn with_shorter_nothing_is_refused_and_ids_are_known_for_less() {
    let rig = Rig::redis().await;
    let remember = within(RememberFull::Shorter);
    rig.pass(0..100, remember).await;
    let (least, _) = rig.known_for().await;
    assert!(least > 3_500_000, "{least}");
    for from in (100..2000).step_by(100) {
        assert_eq!(rig.pass(from..from + 100, remember).await, [NEW; 100]);
    }
    let (least, most) = rig.known_for().await;
    assert!((30_000..=60_000).contains(&least), "{least}");
    assert!(most > 3_400_000, "{most}");
    // What came while there was no memory is gone first.
    let before = rig.remembered().await;
    rig.let_pass(2).await;
    rig.trim(Duration::ZERO).await;
    assert!(rig.remembered().await < before / 2);
}

#[tokio::test]
async fn an_id_that_is_settled_twice_is_counted_once() {
    let rig = Rig::redis().await;
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    rig.settle(&read, HOUR).await;
    let once = rig.remembered().await;
    rig.settle(&read, HOUR).await;
    assert_eq!(rig.remembered().await, once);
}

#[tokio::test]
async fn without_a_limit_of_its_own_a_flow_has_a_share_of_the_memory_for_entries() {
    let server = PrivateRedis::start().await;
    let rig = Rig::on(&server.url()).await;
    let limit = async |backbone: &dyn floodgate_backbone::Backbone| {
        let memory = RememberMemory::default();
        let limit = backbone.remember_limit(&rig.partition, memory);
        limit.await.unwrap()
    };
    assert_eq!(limit(&*rig.backbone).await, None, "there is no maxmemory");
    let _set: String = rig.raw("CONFIG SET maxmemory 1000000000").await;
    let fresh = floodgate_backbone::Redis::new(&server.url()).unwrap();
    assert_eq!(limit(&fresh).await, Some(400_000_000));
    let flows = [("orders", 2), ("other", 1)];
    let flows = flows.map(|(name, partitions)| (FlowName::new(name), partitions));
    use floodgate_backbone::Backbone;
    fresh.check(&flows).await.unwrap();
    assert_eq!(limit(&fresh).await, Some(100_000_000));
}

#[tokio::test]
async fn an_owner_or_an_outcome_is_counted_with_its_id() {
    let rig = Rig::redis().await;
    rig.fill(2).await;
    let read = rig.read("w", 2).await;
    rig.settle(&read[..1], HOUR).await;
    let plain = rig.remembered().await;
    let outcome = "x".repeat(300);
    let outcomes = Outcomes::from([(read[1].stream_id, outcome)]);
    let stored = proof(&read[1..]).await;
    let settled = rig
        .backbone
        .settle(&rig.partition, &stored, remember(HOUR), &outcomes);
    settled.await.unwrap();
    assert_eq!(rig.remembered().await, 2 * plain + 301);
}
