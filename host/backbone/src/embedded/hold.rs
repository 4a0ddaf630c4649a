use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::partition;
use super::rows::{payload, stream_id};
use crate::{Delivery, Failed, RETRY, Recorded};
use floodgate_embedded::now;
use floodgate_embedded::values::{millis, signed, to_json};
use floodgate_flow::{Partition, Retry, StreamId};

/// To be claimed at once; ?1 is the time. The owner is [`RETRY`].
const HAND_BACK: &str = "UPDATE pending SET owner = 'retry', due = ?1, since = ?1";

const CLAIMABLE: &str = "SELECT position, ms, id, body, attributes,
        deliveries + 1 AS deliveries, attempts
    FROM pending JOIN log USING (position) WHERE pending.partition = ?1";

/// After a start: nobody who held anything lives.
pub(super) fn hand_back_everything(db: &Connection) -> rusqlite::Result<()> {
    db.execute(&format!("{HAND_BACK} WHERE due IS NULL"), [now()])?;
    follow_clock(db)
}

/// Whether something was recorded in what is now the future: the clock was set
/// back since.
pub(super) fn is_ahead(db: &Connection) -> rusqlite::Result<bool> {
    let ahead = "SELECT EXISTS (SELECT 1 FROM pending WHERE since > ?1)";
    db.prepare_cached(ahead)?
        .query_one([now()], |row| row.get(0))
}

/// What was recorded in the future waits from now on as long as it was to wait.
pub(super) fn follow_clock(db: &Connection) -> rusqlite::Result<()> {
    let put_back = "UPDATE pending SET due = ?1 + due - since, since = ?1 WHERE since > ?1";
    db.execute(put_back, [now()])?;
    Ok(())
}

/// All that `worker` holds.
pub(super) fn leave(db: &Connection, partition: &Partition, worker: &str) -> rusqlite::Result<()> {
    let partition = partition::number(db, partition)?;
    let held = format!("{HAND_BACK} WHERE due IS NULL AND partition = ?2 AND owner = ?3");
    db.execute(&held, params![now(), partition, worker])?;
    Ok(())
}

pub(super) fn hand_back(
    db: &Connection,
    worker: &str,
    entries: &[StreamId],
) -> rusqlite::Result<()> {
    let held = format!("{HAND_BACK} WHERE position = ?2 AND owner = ?3");
    let mut held = db.prepare_cached(&held)?;
    for entry in entries {
        held.execute(params![now(), signed(entry.seq), worker])?;
    }
    Ok(())
}

pub(super) fn renew(
    db: &Connection,
    worker: &str,
    entries: &[StreamId],
) -> rusqlite::Result<Vec<StreamId>> {
    let mut renew =
        db.prepare_cached("UPDATE pending SET since = ?3 WHERE owner = ?1 AND position = ?2")?;
    let mut held = Vec::with_capacity(entries.len());
    for entry in entries {
        if renew.execute(params![worker, signed(entry.seq), now()])? > 0 {
            held.push(*entry);
        }
    }
    Ok(held)
}

/// What is due, then what was forgotten: holders renew what they hold.
pub(super) fn claim(
    db: &Connection,
    partition: &Partition,
    worker: &str,
    max: usize,
    lease: Duration,
) -> rusqlite::Result<Vec<Delivery>> {
    let partition = partition::number(db, partition)?;
    let now = now();
    let forgotten = now.saturating_sub(millis(lease));
    let due = format!("{CLAIMABLE} AND due <= ?2 ORDER BY due LIMIT ?3");
    let held = format!("{CLAIMABLE} AND due IS NULL AND since <= ?2 LIMIT ?3");
    let mut claimed: Vec<Delivery> = Vec::new();
    for (which, until) in [(due, now), (held, forgotten)] {
        let room = max - claimed.len();
        let mut found = db.prepare_cached(&which)?;
        for delivery in found.query_map(params![partition, until, room], delivery)? {
            claimed.push(delivery?);
        }
    }
    let mut take = db.prepare_cached(
        "UPDATE pending SET owner = ?2, since = ?3, due = NULL, deliveries = deliveries + 1
         WHERE position = ?1",
    )?;
    for delivery in &claimed {
        take.execute(params![signed(delivery.stream_id.seq), worker, now])?;
    }
    Ok(claimed)
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        stream_id: stream_id(row)?,
        payload: payload(row)?,
        redelivered: true,
        deliveries: row.get("deliveries")?,
        attempts: row.get("attempts")?,
    })
}

pub(super) fn record_faults(
    db: &Connection,
    worker: &str,
    retry: &Retry,
    failed: &[Failed],
) -> rusqlite::Result<Vec<Recorded>> {
    failed
        .iter()
        .map(|failed| record_fault(db, worker, retry, failed))
        .collect()
}

fn record_fault(
    db: &Connection,
    worker: &str,
    retry: &Retry,
    failed: &Failed,
) -> rusqlite::Result<Recorded> {
    let now = now();
    let record = "UPDATE pending SET attempts = attempts + 1, last_at = ?3, fault = ?4,
        first_at = coalesce(first_at, ?3)
        WHERE owner = ?1 AND position = ?2 RETURNING attempts, first_at";
    let position = signed(failed.stream_id.seq);
    let recorded: Option<(u32, i64)> = db
        .prepare_cached(record)?
        .query_one(
            params![worker, position, now, to_json(&failed.fault)?],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((attempts, first_at)) = recorded else {
        return Ok(Recorded::NotHeld);
    };
    if attempts >= retry.attempts {
        let first_at = first_at.unsigned_abs();
        return Ok(Recorded::Exhausted { attempts, first_at });
    }
    let due = now.saturating_add(millis(retry.backoff(attempts)));
    db.prepare_cached("UPDATE pending SET owner = ?2, since = ?3, due = ?4 WHERE position = ?1")?
        .execute(params![position, RETRY, now, due])?;
    Ok(Recorded::Retried { attempts })
}

pub(super) fn suspect(db: &Connection, entry: StreamId) -> rusqlite::Result<u32> {
    let suspect = "UPDATE pending SET suspected = suspected + 1 WHERE position = ?1
        RETURNING suspected";
    let suspected = db
        .prepare_cached(suspect)?
        .query_one([signed(entry.seq)], |row| row.get(0))
        .optional()?;
    // Somebody else settled it meanwhile.
    Ok(suspected.unwrap_or(1))
}

pub(super) fn withdraw(db: &Connection, entry: StreamId) -> rusqlite::Result<()> {
    let withdraw = "UPDATE pending SET suspected = max(suspected - 1, 0) WHERE position = ?1";
    db.prepare_cached(withdraw)?.execute([signed(entry.seq)])?;
    Ok(())
}

pub(super) fn acquit(db: &Connection, entry: StreamId) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE pending SET suspected = 0 WHERE position = ?1")?
        .execute([signed(entry.seq)])?;
    Ok(())
}
