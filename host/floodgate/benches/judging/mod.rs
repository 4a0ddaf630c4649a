//! What is measured: transactions, and a shipped rule that judges them, as a
//! component and native.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use floodgate_backbone::{NewEntry, Origin};
use floodgate_flow::{BodyHash, Entry, OracleLimits};
use floodgate_oracle_host::{Engine, EngineOptions, Oracle};

const COMPONENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../plugins/dist/mempool-risk.wasm"
);
pub const LIMITS: OracleLimits = OracleLimits {
    memory: 64 << 20,
    timeout: Duration::from_millis(100),
};

pub fn oracle() -> anyhow::Result<Oracle> {
    let bytes = std::fs::read(COMPONENT)
        .with_context(|| format!("read {COMPONENT}: build it with scripts/build_oracles.sh"))?;
    let engine = Engine::new(&EngineOptions::default())?;
    Ok(Oracle::load(&engine, &bytes)?.named("mempool-risk"))
}

/// As long as the ones that the design speaks of, which have 412 bytes, and
/// no two alike.
pub fn transaction(number: u64) -> Entry {
    let spender = "8617e340b3d01fa5f11f306f4090fd50e238070d";
    let body = format!(
        r#"{{"tx_hash":"0x{number:064x}","from_address":"0x52908400098527886e0f7030069857d2e4169ee7","to_address":"0x{spender}","value_eth":{}.5,"gas_price_gwei":{},"input_data":"0xa9059cbb{spender:0>64}{number:064x}","timestamp":1766700000}}"#,
        number % 90,
        1 + number % 200,
    );
    Entry {
        id: format!("0x{number:064x}").into(),
        body: body.into(),
        received_at: 1_766_700_000_123,
        attributes: Arc::default(),
    }
}

/// The same as it is appended.
pub fn new(number: u64) -> NewEntry {
    let Entry { id, body, .. } = transaction(number);
    NewEntry {
        id,
        body_hash: BodyHash::of(&body),
        body,
        origin: Origin {
            request_id: format!("{number:016x}").into(),
            ..Origin::default()
        },
    }
}

/// What the rule is called with where it is native.
pub fn as_the_guest_sees_it(entry: &Entry) -> floodgate_oracle::Entry {
    let body = String::from_utf8_lossy(&entry.body);
    floodgate_oracle::Entry {
        received_at: entry.received_at,
        ..floodgate_oracle::Entry::new(&*entry.id, body)
    }
}
