use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::partition;
use super::rows::{fault_record, stream_id};
use crate::{ByDeliveries, Depth, FaultRecord, Pending};
use floodgate_embedded::now;
use floodgate_embedded::values::signed;
use floodgate_flow::{Landmark, Partition, StreamId};

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
            (SELECT min(position) FROM log WHERE partition = number AND position > read)
        ) AS oldest_waiting,
        (SELECT ms FROM log WHERE position =
            (SELECT min(position) FROM pending WHERE partition = number)
        ) AS oldest_pending
        FROM partitions WHERE number = ?1";
    db.prepare_cached(counts)?.query_one([number], |row| {
        let count = |name| {
            row.get::<_, i64>(name)
                .map(|count| count.max(0).unsigned_abs())
        };
        let age = |name| {
            let since: Option<i64> = row.get(name)?;
            let age = since.map(|ms| now().saturating_sub(ms).max(0).unsigned_abs());
            Ok::<_, rusqlite::Error>(age.map(Duration::from_millis))
        };
        Ok(Depth {
            open: count("open")?,
            pending: count("pending")?,
            retrying: count("retrying")?,
            // Nobody else trims here.
            lost: 0,
            oldest_waiting: age("oldest_waiting")?,
            oldest_pending: age("oldest_pending")?,
            decided: count("decided")?,
            dead: count("dead")?,
            remembered: 0,
        })
    })
}

pub(super) fn by_deliveries(
    db: &Connection,
    partition: &Partition,
    max: usize,
) -> rusqlite::Result<ByDeliveries> {
    let mut counts = ByDeliveries::default();
    let Some(number) = partition::known(db, partition)? else {
        return Ok(counts);
    };
    let oldest = "SELECT deliveries FROM pending WHERE partition = ?1 ORDER BY position LIMIT ?2";
    let mut oldest = db.prepare_cached(oldest)?;
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    for deliveries in oldest.query_map(params![number, max], |row| row.get::<_, usize>(0))? {
        counts[deliveries?.clamp(1, counts.len()) - 1] += 1;
    }
    Ok(counts)
}

/// In bytes.
pub(super) fn file_size(db: &Connection) -> rusqlite::Result<u64> {
    let pages = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
    db.prepare_cached(pages)?.query_one((), |row| row.get(0))
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
