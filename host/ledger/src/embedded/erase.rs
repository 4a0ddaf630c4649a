use rusqlite::{Connection, OptionalExtension, params};

use crate::Erased;
use crate::erasure::ERASED;
use floodgate_embedded::now;
use floodgate_flow::FlowName;

use super::keep::moved;

const BEING_MOVED: &str = "SELECT cold_files.number
    FROM decisions JOIN cold_files
      ON cold_files.flow = decisions.flow
     AND cold_files.day = strftime('%Y-%m-%d', decisions.at / 1000.0, 'unixepoch')
    WHERE decisions.flow = ?1 AND decisions.id = ?2
      AND cold_files.state IN ('writing', 'moving')
    LIMIT 1";

const DECISION: &str = "UPDATE decisions
    SET body = 'null', output = NULL, attributes = NULL, erased_at = ?3
    WHERE flow = ?1 AND id = ?2 AND erased_at IS NULL";

const LETTERS: &str = "UPDATE dead_letters
    SET body = x'', attributes = NULL, error = ?3
    WHERE flow = ?1 AND id = ?2 AND body <> x''";

const CONTROLS: &str = "DELETE FROM oracle_controls WHERE flow = ?1 AND id = ?2";

const DELIVERIES: &str = "UPDATE deliveries
    SET state = 'given-up', ended_at = ?4, error = ?3,
        posted_at = NULL, leased_by = NULL, leased_until = NULL
    WHERE flow = ?1 AND id = ?2 AND state = 'waiting'";

/// The number of the file that the body may be read for just now, where there
/// is one: then nothing was erased.
pub(super) fn erase(
    db: &Connection,
    flow: &FlowName,
    id: &str,
) -> rusqlite::Result<Result<Erased, i64>> {
    let of = (flow.as_str(), id);
    let moving = db
        .prepare_cached(BEING_MOVED)?
        .query_one(of, |row| row.get(0))
        .optional()?;
    if let Some(file) = moving {
        return Ok(Err(file));
    }
    let now = now();
    let (flow_name, id) = of;
    let decisions = db
        .prepare_cached(DECISION)?
        .execute(params![flow_name, id, now])?;
    let letters = db
        .prepare_cached(LETTERS)?
        .execute(params![flow_name, id, ERASED])?;
    let ended = db
        .prepare_cached(DELIVERIES)?
        .execute(params![flow_name, id, ERASED, now])?;
    let controls = db.prepare_cached(CONTROLS)?.execute(of)?;
    let erased_at: Option<Option<i64>> = db
        .prepare_cached("SELECT erased_at FROM decisions WHERE flow = ?1 AND id = ?2")?
        .query_one(of, |row| row.get(0))
        .optional()?;
    Ok(Ok(Erased {
        decision: decisions > 0,
        dead_letters: letters as u64,
        deliveries: ended as u64,
        controls: controls as u64,
        file: moved(db, flow, id)?,
        erased_at: erased_at.flatten().map(i64::unsigned_abs),
    }))
}
