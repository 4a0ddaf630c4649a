//! What each part of the way of an entry costs, so that a change shows where:
//! admit, reply, judge by size of the batch; append, settle and keep by size of
//! the group, against a Redis and a Postgres of its own that fsync.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use floodgate::backbone::{self, AppendLimits, Backbone, NewEntry, Partition, StreamId};
use floodgate::flow::{
    BodyHash, Decision, Digest, Entry, Filled, Flow, FlowName, Judged, Label, Name, OracleLimits,
    OracleSettings, Values,
};
use floodgate::ledger::{self, Decided, DecidedBy, Ledger};
use floodgate::oracle::{Engine, EngineOptions, Oracle};
use floodgate::prove::servers::{Postgres, Redis};
use tokio::runtime::Runtime;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default()
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let flows = Flow::load_dir(Path::new(ROOT).join("flows"));
    let flows = flows.map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
    let named = |name: &str| {
        let found = flows.iter().find(|flow| flow.name.as_str() == name);
        found.with_context(|| format!("no flow {name}"))
    };
    admit(&mut criterion, named("transactions")?, named("events")?);
    judge(&mut criterion)?;
    let runtime = Runtime::new()?;
    append(&mut criterion, &runtime)?;
    keep(&mut criterion, &runtime)?;
    criterion.final_summary();
    Ok(())
}

/// A body of about 450 bytes.
fn transaction(number: u64) -> String {
    let spender = "8617e340b3d01fa5f11f306f4090fd50e238070d";
    format!(
        r#"{{"tx_hash":"0x{number:064x}","from_address":"0x52908400098527886e0f7030069857d2e4169ee7","to_address":"0x{spender}","value_eth":12.5,"gas_price_gwei":30,"input_data":"0xa9059cbb{spender:0>64}{number:064x}","timestamp":1766700000}}"#
    )
}

fn event(number: u64) -> String {
    format!(
        r#"{{"event_id":"00000000-0000-4000-8000-{number:012}","occurred_at":"2026-01-02T03:04:05Z","user_id":"u1","event_type":"login","properties":{{"n":{number}}}}}"#
    )
}

struct Receipt;

impl Values for Receipt {
    fn value(&self, name: Name) -> Filled<'_> {
        match name {
            Name::Id => Filled::Text("0x52908400098527886e0f7030069857d2e4169ee7"),
            _ => Filled::Null,
        }
    }
}

fn admit(criterion: &mut Criterion, transactions: &Flow, events: &Flow) {
    let mut group = criterion.benchmark_group("admit");
    let body = Bytes::from(transaction(7));
    group.bench_function(
        "a transaction: parse, normalise, check, identify",
        |bencher| {
            bencher.iter(|| black_box(transactions.admit.admit(body.clone())));
        },
    );
    group.bench_function("its body hash", |bencher| {
        bencher.iter(|| black_box(BodyHash::of(&body)));
    });
    group.bench_function("its reply", |bencher| {
        let mut reply = Vec::with_capacity(256);
        bencher.iter(|| {
            reply.clear();
            transactions.admit.reply.body.render(&Receipt, &mut reply);
        });
    });
    let batch: Vec<String> = (0..1000).map(event).collect();
    let batch = Bytes::from(format!("[{}]", batch.join(",")));
    group.throughput(Throughput::Elements(1000));
    group.bench_function("a batch of 1000 events", |bencher| {
        bencher.iter(|| black_box(events.admit.admit_batch(&batch)));
    });
    group.finish();
}

fn judge(criterion: &mut Criterion) -> anyhow::Result<()> {
    let engine = Engine::new(&EngineOptions::default())?;
    let component = std::fs::read(format!("{ROOT}/plugins/dist/mempool-risk.wasm"))?;
    let oracle = Oracle::load(&engine, &component)?;
    let settings = Arc::new(OracleSettings::default());
    let limits = OracleLimits {
        memory: 64 << 20,
        timeout: Duration::from_millis(100),
    };
    let entries: Vec<Entry> = (0..256).map(entry).collect();
    let mut group = criterion.benchmark_group("judge in a fresh instance");
    for size in [1, 16, 64, 256] {
        let batch: Vec<&Entry> = entries.iter().take(size).collect();
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(format!("a batch of {size}"), |bencher| {
            bencher.iter(|| black_box(oracle.judge(&batch, &settings, limits)));
        });
    }
    group.finish();
    Ok(())
}

fn entry(number: u64) -> Entry {
    Entry {
        id: format!("0x{number:064x}").into(),
        body: transaction(number).into(),
        received_at: 1_766_700_000_123,
        attributes: Vec::new(),
    }
}

/// Ids that were never there.
fn group_of(size: u64, next: &mut u64) -> Vec<NewEntry> {
    let numbers = *next..*next + size;
    *next += size;
    let new = |number| {
        let Entry { id, body, .. } = entry(number);
        NewEntry {
            id,
            body_hash: BodyHash::of(&body),
            body,
            key: None,
        }
    };
    numbers.map(new).collect()
}

fn append(criterion: &mut Criterion, runtime: &Runtime) -> anyhow::Result<()> {
    let redis = runtime.block_on(Redis::start(&std::env::temp_dir(), None))?;
    let backbone = backbone::Redis::new(&redis.url())?;
    let partition = Partition {
        flow: FlowName::new("bench"),
        index: 0,
    };
    runtime.block_on(backbone.prepare(&partition))?;
    let limits = AppendLimits {
        max_backlog: u64::MAX / 2,
    };
    let mut next = 0;
    let mut group = criterion.benchmark_group("append to redis, with an fsync");
    for size in [1, 16, 128] {
        group.throughput(Throughput::Elements(size));
        group.bench_function(format!("a group of {size}"), |bencher| {
            bencher.iter_batched(
                || group_of(size, &mut next),
                |group| runtime.block_on(backbone.append(&partition, limits, &group)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    Ok(())
}

fn keep(criterion: &mut Criterion, runtime: &Runtime) -> anyhow::Result<()> {
    let postgres = runtime.block_on(Postgres::start(&std::env::temp_dir(), None, true))?;
    let ledger = ledger::Postgres::connect(postgres.url().parse()?, 1)?;
    runtime.block_on(ledger.migrate())?;
    let by = DecidedBy {
        flow: FlowName::new("bench"),
        flow_digest: Digest::of(b"flow"),
        settings_digest: None,
        deliver: Vec::new(),
    };
    let mut next = 0;
    let mut group = criterion.benchmark_group("keep in postgres, with an fsync");
    for size in [1, 16, 64, 256] {
        group.throughput(Throughput::Elements(size));
        group.bench_function(format!("a batch of {size}"), |bencher| {
            bencher.iter_batched(
                || {
                    next += size;
                    (next - size..next).map(decided).collect::<Vec<_>>()
                },
                |batch| runtime.block_on(ledger.keep(&by, &batch)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    Ok(())
}

fn decided(number: u64) -> Decided {
    let entry = entry(number);
    Decided {
        stream_id: StreamId {
            ms: 1_766_700_000_123,
            seq: number,
        },
        body_hash: BodyHash::of(&entry.body),
        entry,
        decision: Decision {
            score: Some(0.93),
            label: Some(Label::High),
            label_name: Some("HIGH".into()),
            reasons: vec!["gas-price-spike".to_owned()],
            output: None,
            oracles: vec![Judged {
                name: "mempool-risk".into(),
                digest: Digest::of(b"component"),
                score: 0.93,
                reasons: vec!["gas-price-spike".to_owned()],
            }],
            threshold: 0.8,
            inference: Duration::from_nanos(1_700),
        },
        keep: true,
    }
}
