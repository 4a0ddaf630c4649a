//! What it costs to judge one entry (P4 of the design): a batch of 256 and of
//! 64, a fresh instance for each batch, against the same crate native.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use criterion::{Criterion, Throughput};
use floodgate::flow::{Entry, OracleLimits, OracleSettings};
use floodgate::oracle::{Engine, EngineOptions, Oracle};

const COMPONENT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../plugins/dist/mempool-risk.wasm"
);
const LIMITS: OracleLimits = OracleLimits {
    memory: 64 << 20,
    timeout: Duration::from_millis(100),
};

fn main() -> anyhow::Result<()> {
    let bytes = std::fs::read(Path::new(COMPONENT))
        .with_context(|| format!("read {COMPONENT}: build it with scripts/build_oracles.sh"))?;
    let engine = Engine::new(&EngineOptions::default())?;
    let oracle = Oracle::load(&engine, &bytes)?.named("mempool-risk");
    let settings = Arc::new(OracleSettings::default());
    let transactions: Vec<Entry> = (0..256).map(transaction).collect();

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("judge");
    for size in [256, 64] {
        let batch: Vec<&Entry> = transactions.iter().take(size).collect();
        // What a bench measures must not be the cost of failing.
        let answers = oracle.judge(&batch, &settings, LIMITS)?;
        answers.into_iter().collect::<Result<Vec<_>, _>>()?;
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(format!("fresh instance per batch of {size}"), |bencher| {
            bencher.iter(|| oracle.judge(&batch, &settings, LIMITS));
        });
    }
    let native: Vec<_> = transactions.iter().map(as_the_guest_sees_it).collect();
    for answer in mempool_risk::judge_batch(&native) {
        answer.map_err(anyhow::Error::msg)?;
    }
    group.throughput(Throughput::Elements(native.len() as u64));
    group.bench_function("native, a batch of 256", |bencher| {
        bencher.iter(|| mempool_risk::judge_batch(&native));
    });
    group.finish();
    criterion.final_summary();
    Ok(())
}

fn as_the_guest_sees_it(entry: &Entry) -> floodgate_oracle::Entry {
    let body = String::from_utf8_lossy(&entry.body);
    floodgate_oracle::Entry {
        received_at: entry.received_at,
        ..floodgate_oracle::Entry::new(&*entry.id, body)
    }
}

/// 412 bytes, and no two alike.
fn transaction(n: u64) -> Entry {
    let hash = format!("0x{:064x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let call = format!("0xa9059cbb{:064x}{:064x}", n + 1, n * 1_000);
    let body = format!(
        r#"{{"tx_hash":"{hash}","from_address":"0x{:040x}","to_address":"0x{:040x}","value_eth":{}.5,"gas_price_gwei":{},"input_data":"{call}","timestamp":1766700{n:03}}}"#,
        n + 0xa3f5,
        n + 0x7a25,
        n % 40,
        20 + n % 90,
    );
    Entry {
        id: hash.into(),
        body: body.into(),
        received_at: 1_766_700_000_000 + n,
        attributes: Vec::new(),
    }
}
