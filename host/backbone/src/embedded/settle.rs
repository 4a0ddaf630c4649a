use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::ids::Id;
use super::partition;
use super::rows::last_read;
use crate::{DEAD_FOR, Outcomes};
use floodgate_embedded::now;
use floodgate_embedded::values::{millis, signed};
use floodgate_flow::{Partition, StreamId};
use floodgate_ledger::Stored;

/// Rows that one trim drops: what waits behind it is committed in between.
const TRIMMED: usize = 5000;

/// An entry that was decided, and what is remembered of it.
pub(super) type Settled = (StreamId, Arc<str>, Option<String>);

pub(super) fn with_outcomes(stored: &Stored, outcomes: &Outcomes) -> Vec<Settled> {
    stored
        .entries()
        .iter()
        .map(|(stream_id, id)| (*stream_id, id.clone(), outcomes.get(stream_id).cloned()))
        .collect()
}

pub(super) fn settle(
    db: &Connection,
    partition: &Partition,
    entries: &[Settled],
    remember: Duration,
) -> rusqlite::Result<()> {
    let partition = partition::number(db, partition)?;
    let entries = entries
        .iter()
        .map(|(stream_id, id, outcome)| (*stream_id, &**id, outcome.as_deref()));
    let settled = acknowledge(db, partition, "settled", remember, entries)?;
    db.prepare_cached(
        "UPDATE partitions SET open = open - ?2, decided = decided + ?2 WHERE number = ?1",
    )?
    .execute(params![partition, settled])?;
    Ok(())
}

pub(super) fn settle_dead(
    db: &Connection,
    partition: &Partition,
    entries: &[(StreamId, Arc<str>)],
) -> rusqlite::Result<()> {
    let partition = partition::number(db, partition)?;
    let entries = entries
        .iter()
        .map(|(stream_id, id)| (*stream_id, &**id, None));
    let dead = acknowledge(db, partition, "dead", DEAD_FOR, entries)?;
    db.prepare_cached(
        "UPDATE partitions SET open = open - ?2, dead = dead + ?2 WHERE number = ?1",
    )?
    .execute(params![partition, dead])?;
    Ok(())
}

/// How many of them were still open.
fn acknowledge<'e>(
    db: &Connection,
    partition: i64,
    state: &str,
    known_for: Duration,
    entries: impl Iterator<Item = (StreamId, &'e str, Option<&'e str>)>,
) -> rusqlite::Result<usize> {
    let expires = now().saturating_add(millis(known_for));
    let mut drop =
        db.prepare_cached("DELETE FROM pending WHERE position = ?1 AND partition = ?2")?;
    // Requeued meanwhile, the id speaks of another entry: it is left alone.
    let mut know = db.prepare_cached(
        "UPDATE ids SET state = ?3, outcome = ?4, expires = ?5
         WHERE partition = ?1 AND hash = ?2 AND position = ?6",
    )?;
    let mut open = 0;
    for (stream_id, id, outcome) in entries {
        let position = signed(stream_id.seq);
        open += drop.execute((position, partition))?;
        let Id { hash, .. } = Id::new(partition, id);
        know.execute(params![partition, hash, state, outcome, expires, position])?;
    }
    Ok(open)
}

/// Drops what nobody needs any more; whether there may be more of it.
pub(super) fn trim(
    db: &Connection,
    partition: &Partition,
    retain: Duration,
) -> rusqlite::Result<bool> {
    let Some(partition) = partition::known(db, partition)? else {
        return Ok(false);
    };
    let now = now();
    // Behind the oldest that is pending, else behind the last that was read.
    let pending = "SELECT min(position) FROM pending WHERE partition = ?1";
    let pending: Option<i64> = db
        .prepare_cached(pending)?
        .query_one([partition], |row| row.get(0))?;
    let needed = match pending {
        Some(position) => position,
        None => last_read(db, partition)?.saturating_add(1),
    };
    let mut behind = db.prepare_cached(
        "SELECT position, ms FROM log WHERE partition = ?1 AND position < ?2
         ORDER BY position LIMIT ?3",
    )?;
    let behind = behind.query_map(params![partition, needed, TRIMMED], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let behind: Vec<(i64, i64)> = behind.collect::<Result<_, _>>()?;
    // Without a time to retain it does not matter what the clock did.
    let before = now.saturating_sub(millis(retain));
    let old = |(_, ms): &&(i64, i64)| retain.is_zero() || *ms <= before;
    let old = behind.iter().take_while(old);
    let mut dropped = old.clone().count();
    if let Some((last, _)) = old.last() {
        db.prepare_cached("DELETE FROM log WHERE partition = ?1 AND position <= ?2")?
            .execute((partition, last))?;
    }
    for table in ["ids", "idempotency_keys"] {
        let expired = format!(
            "DELETE FROM {table} WHERE (partition, hash) IN (
                SELECT partition, hash FROM {table} WHERE expires <= ?1 LIMIT ?2)"
        );
        dropped = dropped.max(
            db.prepare_cached(&expired)?
                .execute(params![now, TRIMMED])?,
        );
    }
    Ok(dropped >= TRIMMED)
}
