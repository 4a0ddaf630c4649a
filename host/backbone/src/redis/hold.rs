use std::sync::LazyLock;
use std::time::Duration;

use redis::{Script, Value};
use tracing::error;

use super::connection::Server;
use super::script::script;
use super::{GROUP, Keys, parse};
use crate::{Delivery, Error, Failed, Recorded};
use floodgate_flow::{Partition, Retry, StreamId};
use floodgate_process::metrics::table::ENTRIES_LOST;

static RENEW: LazyLock<Script> = LazyLock::new(|| script!("renew"));
static CLAIM: LazyLock<Script> = LazyLock::new(|| script!("claim"));
static HAND_BACK: LazyLock<Script> = LazyLock::new(|| script!("hand_back"));
static RECORD_FAULTS: LazyLock<Script> = LazyLock::new(|| script!("record_faults"));

/// A row of `claim.lua`: stream id, fields, deliveries, attempts.
type Claimed = (String, Value, u32, u32);

pub(super) async fn renew(
    server: &Server,
    keys: &Keys,
    worker: &str,
    held: &[StreamId],
) -> Result<Vec<StreamId>, Error> {
    let mut call = RENEW.prepare_invoke();
    call.key(&keys.stream).arg(GROUP).arg(worker);
    for id in held {
        call.arg(id.to_string());
    }
    let still: Vec<String> = server.run(&call, keys).await?;
    still
        .iter()
        .map(|id| id.parse().map_err(|_| server.unexpected("renew", id)))
        .collect()
}

pub(super) async fn record_faults(
    server: &Server,
    keys: &Keys,
    worker: &str,
    retry: &Retry,
    failed: &[Failed],
) -> Result<Vec<Recorded>, Error> {
    let mut call = RECORD_FAULTS.prepare_invoke();
    call.key(&keys.stream).key(&keys.faults).key(&keys.due);
    call.arg(GROUP)
        .arg(worker)
        .arg(retry.attempts)
        .arg(retry.first.as_millis() as u64)
        .arg(retry.factor)
        .arg(retry.max.as_millis() as u64);
    for Failed { stream_id, fault } in failed {
        call.arg(stream_id.to_string())
            .arg(parse::fault_to_json(fault));
    }
    let answers: Vec<(u32, u64, u8)> = server.run(&call, keys).await?;
    if answers.len() != failed.len() {
        return Err(server.unexpected("record_faults", answers));
    }
    Ok(answers.into_iter().map(recorded).collect())
}

fn recorded((attempts, first_at, retried): (u32, u64, u8)) -> Recorded {
    match (attempts, retried) {
        (0, _) => Recorded::NotHeld,
        (_, 1) => Recorded::Retried { attempts },
        _ => Recorded::Exhausted { attempts, first_at },
    }
}

/// No `entries`: all that the worker holds.
pub(super) async fn hand_back(
    server: &Server,
    keys: &Keys,
    worker: &str,
    entries: &[StreamId],
) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut call = HAND_BACK.prepare_invoke();
    call.key(&keys.stream).key(&keys.due).arg(GROUP).arg(worker);
    for id in entries {
        call.arg(id.to_string());
    }
    let _handed_back: u64 = server.run(&call, keys).await?;
    Ok(())
}

pub(super) async fn hand_back_all(server: &Server, keys: &Keys, worker: &str) -> Result<(), Error> {
    loop {
        let mut call = HAND_BACK.prepare_invoke();
        call.key(&keys.stream).key(&keys.due).arg(GROUP).arg(worker);
        let handed_back: u64 = server.run(&call, keys).await?;
        if handed_back == 0 {
            return Ok(());
        }
    }
}

pub(super) async fn claim(
    server: &Server,
    partition: &Partition,
    worker: &str,
    max: usize,
    lease: Duration,
) -> Result<Vec<Delivery>, Error> {
    let keys = &Keys::of(partition);
    let mut call = CLAIM.prepare_invoke();
    call.key(&keys.stream)
        .key(&keys.faults)
        .key(&keys.due)
        .key(&keys.open)
        .key(&keys.lost);
    call.arg(GROUP)
        .arg(worker)
        .arg(max)
        .arg(lease.as_millis() as u64);
    let (entries, lost): (Vec<Claimed>, Vec<String>) = server.run(&call, keys).await?;
    for stream_id in lost {
        ENTRIES_LOST.of([partition.flow.as_str()]).increment(1);
        error!(
            stream = keys.stream,
            stream_id, "entry lost: trimmed while it was pending"
        );
    }
    entries
        .into_iter()
        .map(|(stream_id, fields, deliveries, attempts)| {
            let stream_id: StreamId = stream_id
                .parse()
                .map_err(|_| server.unexpected("claim", &stream_id))?;
            Ok(Delivery {
                stream_id,
                payload: parse::payload(stream_id, parse::fields(fields)),
                redelivered: true,
                deliveries,
                attempts,
            })
        })
        .collect()
}
