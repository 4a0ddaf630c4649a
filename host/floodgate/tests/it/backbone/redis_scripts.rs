//! No script stops half-way: what it cannot do it refuses before its first write.

use std::collections::BTreeMap;

use super::*;

struct Script {
    name: &'static str,
    text: &'static str,
    /// Names within the partition; `ID` is the id key of the entry.
    keys: &'static [&'static str],
    /// `ID` is the stream id of the entry.
    args: &'static [&'static str],
    /// Which of them are numbers.
    numbers: &'static [usize],
}

const HASH: &str = "0123456789abcdef";

macro_rules! scripts {
    ($($name:literal $keys:expr, $args:expr, $numbers:expr;)*) => {
        [$(Script {
            name: $name,
            text: concat!(
                include_str!("../../../../backbone/src/redis/lua/library.lua"),
                include_str!(concat!("../../../../backbone/src/redis/lua/", $name, ".lua")),
            ),
            keys: &$keys,
            args: &$args,
            numbers: &$numbers,
        }),*]
    };
}

const SCRIPTS: [Script; 10] = scripts! {
    "append" ["stream", "open", "remembered", "remembered:minutes", "new"],
        ["10", "1000000", "5", HASH, "", "new", "{}", "request"], [0, 1, 2];
    "claim" ["stream", "faults", "due", "open", "lost"], ["workers", "v", "10", "1"], [2, 3];
    "claim_key" ["key", "remembered", "remembered:minutes"],
        [HASH, "id", "60000", "0", "0"], [2, 3, 4];
    "hand_back" ["stream", "due"], ["workers", "w", "ID"], [];
    "prepare" ["stream", "floor", "open", "born", "layout"], ["workers", "2", "1"], [1];
    "record_faults" ["stream", "faults", "due"],
        ["workers", "w", "3", "10", "2", "100", "ID", "fault"], [2, 3, 4, 5];
    "renew" ["stream"], ["workers", "w", "ID"], [];
    "requeue" ["stream", "open", "dead-id", "dead"], ["5-5", HASH, "", "id", "{}"], [];
    "settle" ["stream", "open", "faults", "due", "decided", "remembered", "remembered:minutes", "ID"],
        ["workers", "s", "60000", "1000000", "ID", "outcome"], [2, 3];
    "trim" ["stream", "floor", "open", "lost", "remembered", "remembered:minutes"],
        ["workers", "0"], [1];
};

const PREFIX: &str = "floodgate:{orders:0}:";

/// A partition with an entry that a worker holds, and its stream id.
async fn partition() -> (Rig, String) {
    let rig = Rig::redis().await;
    rig.fill(2).await;
    let read = rig.read("w", 1).await;
    let dead = format!("SET {PREFIX}dead-id {HASH}d5-5");
    let _set: String = rig.raw(&dead).await;
    let id = read[0].stream_id.to_string();
    let known = format!("SET {PREFIX}ID {HASH}w{id}");
    let _set: String = rig.raw(&known).await;
    (rig, id)
}

/// Every key with all that it holds.
async fn dump(rig: &Rig) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut connection = rig.connection();
    let keys: Vec<Vec<u8>> = rig.raw("KEYS *").await;
    let mut all = BTreeMap::new();
    for key in keys {
        let mut dump = redis::cmd("DUMP");
        let dumped = dump.arg(&key).query_async(&mut connection);
        let dumped: Vec<u8> = dumped.await.unwrap();
        all.insert(key, dumped);
    }
    all
}

async fn run(rig: &Rig, script: &Script, args: &[&str], id: &str) -> redis::RedisResult<()> {
    let called = redis::Script::new(script.text);
    let mut call = called.prepare_invoke();
    for key in script.keys {
        call.key(format!("{PREFIX}{key}"));
    }
    for arg in args {
        call.arg(if *arg == "ID" { id } else { arg });
    }
    let answer: redis::RedisResult<redis::Value> = call.invoke_async(&mut rig.connection()).await;
    answer.map(|_| ())
}

#[tokio::test]
async fn every_script_does_what_it_is_asked_for_in_this_test() {
    for script in &SCRIPTS {
        let (rig, id) = partition().await;
        let done = run(&rig, script, script.args, &id).await;
        assert!(done.is_ok(), "{}: {done:?}", script.name);
    }
}

#[tokio::test]
async fn no_script_writes_anything_where_an_argument_is_no_number_that_it_can_use() {
    for script in &SCRIPTS {
        let (rig, id) = partition().await;
        let before = dump(&rig).await;
        for number in script.numbers {
            for wrong in ["x", "", "-1", "nan", "1e300"] {
                let mut args = script.args.to_vec();
                args[*number] = wrong;
                let refused = run(&rig, script, &args, &id).await;
                let what = format!("{} with {wrong:?} at {number}", script.name);
                assert!(refused.is_err(), "{what}");
                assert_eq!(dump(&rig).await, before, "{what}");
            }
        }
    }
}

#[tokio::test]
async fn no_script_stops_half_way_over_a_key_of_another_type_or_a_counter_that_is_no_number() {
    for script in &SCRIPTS {
        for key in script.keys {
            for strange in ["SADD {} x", "SET {} x", "HSET {} total x"] {
                let (rig, id) = partition().await;
                let key = format!("{PREFIX}{key}");
                let _gone: u64 = rig.raw(&format!("DEL {key}")).await;
                let _set: redis::Value = rig.raw(&strange.replace("{}", &key)).await;
                let before = dump(&rig).await;
                if let Err(error) = run(&rig, script, script.args, &id).await {
                    let what = format!("{} over {strange} of {key}: {error}", script.name);
                    assert_eq!(dump(&rig).await, before, "{what}");
                }
            }
        }
    }
}
