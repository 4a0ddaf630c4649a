//! What several calls read the same way.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, Row};

use crate::{FaultRecord, Payload};
use floodgate_embedded::values::from_json;
use floodgate_flow::{Entry, EntryFault, StreamId};

/// From the columns `ms` and `position`.
pub(super) fn stream_id(row: &Row<'_>) -> rusqlite::Result<StreamId> {
    Ok(StreamId {
        ms: row.get::<_, i64>("ms")?.unsigned_abs(),
        seq: row.get::<_, i64>("position")?.unsigned_abs(),
    })
}

/// From the columns of `log`.
pub(super) fn payload(row: &Row<'_>) -> rusqlite::Result<Payload> {
    let attributes: Option<String> = row.get("attributes")?;
    let attributes = attributes.map(|json| from_json(&json)).transpose()?;
    Ok(Payload::Entry(Entry {
        id: Arc::from(row.get_ref("id")?.as_str()?),
        body: Bytes::from(row.get::<_, Vec<u8>>("body")?),
        received_at: stream_id(row)?.ms,
        attributes: attributes.unwrap_or_default(),
    }))
}

/// From the columns of `pending`; `None` where no fault was recorded.
pub(super) fn fault_record(row: &Row<'_>) -> rusqlite::Result<Option<FaultRecord>> {
    let Some(fault) = row.get::<_, Option<String>>("fault")? else {
        return Ok(None);
    };
    let fault: EntryFault = from_json(&fault)?;
    Ok(Some(FaultRecord {
        attempts: row.get("attempts")?,
        first_at: row.get::<_, i64>("first_at")?.unsigned_abs(),
        last_at: row.get::<_, i64>("last_at")?.unsigned_abs(),
        last: fault,
    }))
}

/// The last position that was handed out of a partition, for the first time.
pub(super) fn last_read(db: &Connection, partition: i64) -> rusqlite::Result<i64> {
    db.prepare_cached("SELECT read FROM partitions WHERE number = ?1")?
        .query_one([partition], |row| row.get(0))
}
