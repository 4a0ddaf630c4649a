use bytes::Bytes;
use rusqlite::{Connection, params};

use super::ids::{Id, Known};
use super::rows::last_read;
use super::{inspect, partition};
use crate::{Fate, OpenEntry, RETRY, Trace};
use floodgate_embedded::values::signed;
use floodgate_flow::Partition;

/// Where counting what is ahead ends, as on Redis.
const FAR: i64 = 100_000;

pub(super) fn trace(db: &Connection, partition: &Partition, id: &str) -> rusqlite::Result<Trace> {
    let Some((number, known)) = known(db, partition, id)? else {
        return Ok(Trace::Unknown);
    };
    let stream_id = known.stream_id;
    match known.state.as_str() {
        "dead" => return Ok(Trace::Dead { stream_id }),
        "settled" => return Ok(Trace::Settled { stream_id }),
        _ => {}
    }
    let position = signed(stream_id.seq);
    if let Some(pending) = inspect::pending_entry(db, partition, position)? {
        return Ok(Trace::Held(Box::new(pending)));
    }
    let ahead = "SELECT count(*) FROM (SELECT 1 FROM log
        WHERE partition = ?1 AND position > ?2 AND position < ?3 LIMIT ?4)";
    let between = params![number, last_read(db, number)?, position, FAR];
    let ahead: i64 = db
        .prepare_cached(ahead)?
        .query_one(between, |row| row.get(0))?;
    Ok(Trace::Waiting {
        stream_id,
        ahead: ahead.unsigned_abs(),
    })
}

pub(super) fn fate(db: &Connection, partition: &Partition, id: &str) -> rusqlite::Result<Fate> {
    let Some((_, known)) = known(db, partition, id)? else {
        return Ok(Fate::Unknown);
    };
    let (stream_id, owner) = (known.stream_id, known.owner);
    match known.state.as_str() {
        "dead" => return Ok(Fate::Dead { stream_id, owner }),
        "settled" => {
            let outcome = known.outcome;
            return Ok(Fate::Settled {
                stream_id,
                owner,
                outcome,
            });
        }
        _ => {}
    }
    let row = "SELECT body, owner FROM log LEFT JOIN pending USING (position)
        WHERE log.position = ?1";
    let (body, holder): (Vec<u8>, Option<String>) = db
        .prepare_cached(row)?
        .query_one([signed(stream_id.seq)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let entry = OpenEntry {
        stream_id,
        owner,
        body: Some(Bytes::from(body)),
    };
    Ok(match holder.as_deref() {
        None | Some(RETRY) => Fate::Waiting(entry),
        Some(_) => Fate::Processing(entry),
    })
}

/// The number of the partition, and what is known by the name of the id.
fn known(
    db: &Connection,
    partition: &Partition,
    id: &str,
) -> rusqlite::Result<Option<(i64, Known)>> {
    let Some(number) = partition::known(db, partition)? else {
        return Ok(None);
    };
    let known = Id::new(number, id).known(db)?;
    Ok(known.map(|known| (number, known)))
}
