//! What each part of the way of an entry costs, so that a change shows where:
//! admit, reply, judge by size of the batch and against the same crate native;
//! append, settle and keep by size of the group, against a Redis and a Postgres
//! of its own that fsync.

mod judging;

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use floodgate_backbone::{self as backbone, AppendLimits, Backbone, NewEntry};
use floodgate_flow::{
    BodyHash, Decision, Digest, Entry, Filled, Flow, FlowName, Judged, Label, Name, OracleSettings,
    Partition, StreamId, Values,
};
use floodgate_ledger::{self as ledger, Decided, DecidedBy, Ledger};
use floodgate_prove::servers::{Postgres, Redis};
use tokio::runtime::Runtime;

use self::judging::{LIMITS, as_the_guest_sees_it, new, transaction};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

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
    let body = transaction(7).body;
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
        bencher.iter(|| black_box(events.admit.check_batch(&batch, |item| item).is_ok()));
    });
    group.finish();
}

fn judge(criterion: &mut Criterion) -> anyhow::Result<()> {
    let oracle = judging::oracle()?;
    let settings = Arc::new(OracleSettings::default());
    let entries: Vec<Entry> = (0..256).map(transaction).collect();
    let mut group = criterion.benchmark_group("judge");
    for size in [1, 16, 64, 256] {
        let batch: Vec<&Entry> = entries.iter().take(size).collect();
        // What a bench measures must not be the cost of failing.
        let answers = oracle.judge(&batch, &settings, LIMITS)?;
        answers.into_iter().collect::<Result<Vec<_>, _>>()?;
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(
            format!("a batch of {size}, in a fresh instance"),
            |bencher| {
                bencher.iter(|| black_box(oracle.judge(&batch, &settings, LIMITS)));
            },
        );
    }
    let native: Vec<_> = entries.iter().map(as_the_guest_sees_it).collect();
    for answer in mempool_risk::judge_batch(&native) {
        answer.map_err(anyhow::Error::msg)?;
    }
    group.throughput(Throughput::Elements(native.len() as u64));
    group.bench_function("a batch of 256, native", |bencher| {
        bencher.iter(|| black_box(mempool_risk::judge_batch(&native)));
    });
    group.finish();
    Ok(())
}

/// Ids that were never there.
fn group_of(size: u64, next: &mut u64) -> Vec<NewEntry> {
    let numbers = *next..*next + size;
    *next += size;
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
    let limits = AppendLimits::of_backlog(u64::MAX / 2);
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
    let entry = transaction(number);
    Decided {
        stream_id: StreamId {
            ms: 1_766_700_000_123,
            seq: number,
        },
        at: 1_766_700_000_123,
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
