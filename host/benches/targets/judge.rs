//! P4: one judged entry in a batch of 256, a fresh instance for each batch,
//! against the same crate native. `cargo bench --bench judge` has more of it.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use floodgate::flow::{Entry, OracleLimits, OracleSettings};
use floodgate::oracle::{Engine, EngineOptions, Oracle};

use super::report::{Figure, Target};

const COMPONENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../plugins/dist/mempool-risk.wasm"
);
const BATCH: usize = 256;
const TIMES: usize = 400;

pub fn measure() -> anyhow::Result<Vec<Figure>> {
    let engine = Engine::new(&EngineOptions::default())?;
    let oracle = Oracle::load(&engine, &std::fs::read(COMPONENT)?)?.named("mempool-risk");
    let settings = Arc::new(OracleSettings::default());
    let limits = OracleLimits {
        memory: 64 << 20,
        timeout: Duration::from_millis(100),
    };
    let entries: Vec<Entry> = (0..BATCH).map(transaction).collect();
    let batch: Vec<&Entry> = entries.iter().collect();
    let native: Vec<_> = entries.iter().map(as_the_guest_sees_it).collect();
    let (mut guest_us, mut native_us) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        guest_us.push(time(|| {
            _ = black_box(oracle.judge(&batch, &settings, limits))
        }));
        native_us.push(time(|| _ = black_box(mempool_risk::judge_batch(&native))));
    }
    let (guest, native) = (median(guest_us), median(native_us));
    Ok(vec![
        Figure::told(
            "P4",
            "judged, a fresh instance per batch of 256",
            guest,
            "µs",
        ),
        Figure::told("P4", "the same crate native", native, "µs"),
        Figure::of(
            "P4",
            "against native",
            guest / native,
            "times",
            Target::AtMost(4.0),
        ),
    ])
}

/// Microseconds per entry.
fn time(job: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    job();
    begun.elapsed().as_secs_f64() * 1e6 / BATCH as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn as_the_guest_sees_it(entry: &Entry) -> floodgate_oracle::Entry {
    let body = String::from_utf8_lossy(&entry.body);
    floodgate_oracle::Entry {
        received_at: entry.received_at,
        ..floodgate_oracle::Entry::new(&*entry.id, body)
    }
}

/// As long as the ones that the design speaks of: 412 bytes.
fn transaction(number: usize) -> Entry {
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
        attributes: Vec::new(),
    }
}
