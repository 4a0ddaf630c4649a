//! What the keys of a partition hold, written by versions before and after this
//! one, and what the scripts make of stream ids of any size.

use floodgate_backbone::{Error, OwnerHash};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;

const LAYOUT: &str = "floodgate:{orders:0}:layout";
const LIBRARY: &str = include_str!("../../../../backbone/src/redis/lua/library.lua");

impl Rig {
    async fn set(&self, key: &[u8], value: &[u8]) {
        let mut set = redis::cmd("SET");
        let set = set.arg(key).arg(value);
        let () = set.query_async(&mut self.connection()).await.unwrap();
    }

    async fn fate_of(&self, id: &str) -> Fate {
        self.backbone.fate(&self.partition, id).await.unwrap()
    }
}

fn id_key(id: &str) -> Vec<u8> {
    let hash = floodgate_flow::sha256_16(id.as_bytes());
    [b"floodgate:{orders:0}:id:", &hash[..]].concat()
}

/// As a version before owners wrote it.
fn of_layout_1(state: &str, stream_id: &str, outcome: &str) -> Vec<u8> {
    let hash = BodyHash::of(b"{}").0;
    let rest = format!("{state}{stream_id}{outcome}");
    [&hash[..], rest.as_bytes()].concat()
}

#[tokio::test]
async fn id_keys_of_the_layout_before_are_read_and_worked_on() {
    let rig = Rig::redis().await;
    let outcome = r#"{"label":"HIGH"}"#;
    let settled = of_layout_1("s", "5-1", &format!("\n{outcome}"));
    rig.set(&id_key("settled"), &settled).await;
    rig.set(&id_key("dead"), &of_layout_1("d", "5-2", "")).await;
    let open: String = rig.raw(&format!("XADD {STREAM} * id open body {{}}")).await;
    rig.set(&id_key("open"), &of_layout_1("w", &open, "")).await;
    let known = ["settled", "dead", "open"].map(|id| entry(id, "{}"));
    assert_eq!(rig.append(&known).await, [REPLAYED; 3]);
    assert!(matches!(
        rig.fate_of("settled").await,
        Fate::Settled { owner: None, outcome: Some(found), .. } if found == outcome
    ));
    assert!(matches!(rig.fate_of("dead").await, Fate::Dead { .. }));
    assert!(matches!(rig.fate_of("open").await, Fate::Waiting(_)));
    let read = rig.read("w", 1).await;
    rig.settle(&read, Duration::from_secs(60)).await;
    assert!(matches!(rig.fate_of("open").await, Fate::Settled { .. }));
}

#[tokio::test]
async fn what_this_version_writes_is_found_where_the_version_before_looks_for_it() {
    let rig = Rig::redis().await;
    let mut owned = entry("a", "{}");
    owned.origin.owner = Some("shop".into());
    rig.append(&[owned]).await;
    let read = rig.read("w", 1).await;
    let mut connection = rig.connection();
    let value: Vec<u8> = redis::cmd("GET")
        .arg(id_key("a"))
        .query_async(&mut connection)
        .await
        .unwrap();
    // The version before reads digits and dashes behind the state.
    assert_eq!(value[..16], BodyHash::of(b"{}").0);
    let rest = String::from_utf8(value[16..].to_vec()).unwrap();
    let before = format!("w{} ", read[0].stream_id);
    assert!(rest.starts_with(&before), "{rest}");
    assert_eq!(
        rig.fate_of("a").await.owner(),
        Some(OwnerHash::of("shop")),
        "{rest}"
    );
}

#[tokio::test]
async fn the_layout_is_noted_never_lowered_and_refused_where_it_cannot_be_read() {
    let rig = Rig::redis().await;
    let flows = [(FlowName::new("orders"), 1)];
    assert_eq!(rig.raw::<String>(&format!("GET {LAYOUT}")).await, "2 1");
    rig.backbone.check(&flows).await.unwrap();
    // The next version writes what this one still reads.
    rig.set(LAYOUT.as_bytes(), b"3 2").await;
    rig.backbone.prepare(&rig.partition).await.unwrap();
    assert_eq!(rig.raw::<String>(&format!("GET {LAYOUT}")).await, "3 2");
    rig.backbone.check(&flows).await.unwrap();
    rig.set(LAYOUT.as_bytes(), b"4 3").await;
    let error = rig.backbone.check(&flows).await.unwrap_err();
    assert!(matches!(error, Error::Unfit { .. }), "{error}");
    assert!(error.to_string().contains(LAYOUT), "{error}");
}

#[tokio::test]
async fn a_stream_id_that_no_float_holds_is_not_taken_for_its_neighbour() {
    let rig = Rig::redis().await;
    let (read, unread) = ("9-9007199254740992", "9-9007199254740993");
    for id in [read, unread] {
        let added = format!("XADD {STREAM} {id} id {id} body {{}}");
        assert_eq!(rig.raw::<String>(&added).await, id);
        rig.set(&id_key(id), &of_layout_1("w", id, "")).await;
    }
    let delivered = rig.read("w", 1).await;
    assert_eq!(delivered[0].stream_id.to_string(), read);
    let fate = rig.fate_of(unread).await;
    assert!(matches!(fate, Fate::Waiting(_)), "{fate:?}");
    let erased = rig.backbone.erase(&rig.partition, unread, &[]).await;
    assert_eq!(erased.unwrap(), None, "it is open");
    rig.settle(&delivered, Duration::from_secs(60)).await;
    rig.trim(Duration::ZERO).await;
    let _gone: u64 = rig.raw(&format!("XGROUP DESTROY {STREAM} workers")).await;
    rig.backbone.prepare(&rig.partition).await.unwrap();
    assert_eq!(ids(&rig.read("v", 10).await), [unread], "only what is open");
}

/// Numbers around those where floats, digits or 64 bits end.
fn number() -> impl Strategy<Value = u64> {
    let near = |at: u64| (0..4_u64).prop_map(move |by| at.saturating_add(by).saturating_sub(2));
    prop_oneof![
        any::<u64>(),
        0..1000_u64,
        near(1 << 53),
        (0..20_u32).prop_flat_map(move |digits| near(10_u64.saturating_pow(digits))),
        near(u64::MAX),
    ]
}

#[test]
fn stream_ids_of_any_size_are_compared_and_counted_in_lua_as_they_are_here() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let rig = runtime.block_on(Rig::redis());
    let script = format!(
        "{LIBRARY}
         return {{ is_before(ARGV[1], ARGV[2]) and 1 or 0, after(ARGV[1]), before(ARGV[2]) }}"
    );
    let script = redis::Script::new(&script);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::with_cases(500), rng);
    let id = || (number(), number()).prop_map(|(ms, seq)| StreamId { ms, seq });
    let last = StreamId {
        ms: u64::MAX,
        seq: u64::MAX,
    };
    let first = StreamId { ms: 0, seq: 0 };
    let checked = runner.run(&(id(), id()), |(a, b)| {
        prop_assume!(a != last && b != first);
        let mut call = script.prepare_invoke();
        call.arg(a.to_string()).arg(b.to_string());
        let mut connection = rig.connection();
        let asked = call.invoke_async(&mut connection);
        let said: (bool, String, String) = runtime.block_on(asked).unwrap();
        let after = match a.seq.checked_add(1) {
            Some(seq) => StreamId { seq, ..a },
            None => StreamId {
                ms: a.ms + 1,
                seq: 0,
            },
        };
        let before = match b.seq.checked_sub(1) {
            Some(seq) => StreamId { seq, ..b },
            None => StreamId {
                ms: b.ms - 1,
                seq: u64::MAX,
            },
        };
        prop_assert_eq!(said, (a < b, after.to_string(), before.to_string()));
        Ok(())
    });
    checked.unwrap();
}

#[tokio::test]
async fn a_number_that_no_script_can_use_is_refused_before_anything_is_written() {
    let rig = Rig::redis().await;
    rig.fill(1).await;
    let read = rig.read("w", 1).await;
    let stored = proof(&read).await;
    let forever = Duration::from_secs(300_000_000 * 365 * 24 * 3600);
    let none = Outcomes::new();
    let settled = rig
        .backbone
        .settle(&rig.partition, &stored, remember(forever), &none);
    let error = settled.await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert_eq!((rig.open().await, rig.pending().await), (1, 1));
    let day = Duration::from_secs(24 * 3600);
    rig.settle(&read, day).await;
    assert_eq!((rig.open().await, rig.pending().await), (0, 0));
}

#[tokio::test]
async fn a_key_that_somebody_else_wrote_over_stops_a_script_before_its_first_write() {
    for key in ["open", "faults", "due", "decided"] {
        let rig = Rig::redis().await;
        rig.fill(1).await;
        let read = rig.read("w", 1).await;
        let key = format!("floodgate:{{orders:0}}:{key}");
        let _gone: u64 = rig.raw(&format!("DEL {key}")).await;
        let _other: u64 = rig.raw(&format!("SADD {key} nonsense")).await;
        let stored = proof(&read).await;
        let none = Outcomes::new();
        let settled = rig.backbone.settle(
            &rig.partition,
            &stored,
            remember(Duration::from_secs(60)),
            &none,
        );
        let error = settled.await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{key}: {error}");
        let held: Vec<redis::Value> = rig.raw(&format!("XPENDING {STREAM} workers - + 10")).await;
        assert_eq!(held.len(), 1, "{key}: it is not acknowledged");
    }
}
