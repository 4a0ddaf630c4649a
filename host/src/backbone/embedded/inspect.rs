use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::partition;
use super::rows::{fault_record, stream_id};
use crate::backbone::{Depth, FaultRecord, Landmark, Partition, Pending, StreamId};
use crate::embedded::now;
use crate::embedded::values::signed;

const PENDING: &str = "SELECT * FROM pending JOIN (SELECT position, ms, id FROM log)
    USING (position)";

pub(super) fn pending(
    db: &Connection,
    partition: &Partition,
    max: usize,
) -> rusqlite::Result<Vec<Pending>> {
    let Some(number) = partition::known(db, partition)? else {
        return Ok(Vec::new());
    };
    let rows = format!("{PENDING} WHERE partition = ?1 ORDER BY position LIMIT ?2");
    let mut rows = db.prepare_cached(&rows)?;
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let rows = rows.query_map(params![number, max], |row| pending_of(partition, row))?;
    rows.collect()
}

pub(super) fn pending_entry(
    db: &Connection,
    partition: &Partition,
    position: i64,
) -> rusqlite::Result<Option<Pending>> {
    let row = format!("{PENDING} WHERE position = ?1");
    db.prepare_cached(&row)?
        .query_one([position], |row| pending_of(partition, row))
        .optional()
}

fn pending_of(partition: &Partition, row: &Row<'_>) -> rusqlite::Result<Pending> {
    let idle = now().saturating_sub(row.get("since")?).max(0);
    Ok(Pending {
        partition: partition.index,
        stream_id: stream_id(row)?,
        id: row.get("id")?,
        owner: row.get("owner")?,
        idle: Duration::from_millis(idle.unsigned_abs()),
        deliveries: row.get("deliveries")?,
        next_attempt: row.get::<_, Option<i64>>("due")?.map(i64::unsigned_abs),
        faults: fault_record(row)?,
    })
}

pub(super) fn faults(
    db: &Connection,
    stream_id: StreamId,
) -> rusqlite::Result<Option<FaultRecord>> {
    let record = "SELECT attempts, first_at, last_at, fault FROM pending WHERE position = ?1";
    let record = db
        .prepare_cached(record)?
        .query_one([signed(stream_id.seq)], fault_record)
        .optional()?;
    Ok(record.flatten())
}

pub(super) fn depth(db: &Connection, partition: &Partition) -> rusqlite::Result<Depth> {
    let Some(number) = partition::known(db, partition)? else {
        return Ok(Depth::default());
    };
    let counts = "SELECT open, decided, dead,
        (SELECT count(*) FROM pending WHERE partition = number) AS pending,
        (SELECT count(due) FROM pending WHERE partition = number) AS retrying,
        (SELECT ms FROM log WHERE position =
            coalesce((SELECT min(position) FROM pending WHERE partition = number),
                     (SELECT min(position) FROM log WHERE partition = number AND position > read))
        ) AS oldest
        FROM partitions WHERE number = ?1";
    db.prepare_cached(counts)?.query_one([number], |row| {
        let count = |name| {
            row.get::<_, i64>(name)
                .map(|count| count.max(0).unsigned_abs())
        };
        let oldest: Option<i64> = row.get("oldest")?;
        let age = oldest.map(|ms| now().saturating_sub(ms).max(0).unsigned_abs());
        Ok(Depth {
            open: count("open")?,
            pending: count("pending")?,
            retrying: count("retrying")?,
            // Nobody else trims here.
            lost: 0,
            oldest: age.map(Duration::from_millis),
            decided: count("decided")?,
            dead: count("dead")?,
        })
    })
}

pub(super) fn landmark(
    db: &Connection,
    partition: &Partition,
) -> rusqlite::Result<Option<Landmark>> {
    db.prepare_cached("SELECT born, open FROM partitions WHERE flow = ?1 AND idx = ?2")?
        .query_one((partition.flow.as_str(), partition.index), |row| {
            Ok(Landmark {
                born: row.get(0)?,
                open: row.get::<_, i64>(1)?.max(0).unsigned_abs(),
            })
        })
        .optional()
}
