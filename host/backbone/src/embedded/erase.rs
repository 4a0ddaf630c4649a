use rusqlite::{Connection, params};

use super::ids::Id;
use super::partition;
use super::rows::last_read;
use floodgate_flow::Partition;

/// An entry may be in the log more than once, settled before.
const OPEN: &str = "SELECT EXISTS (
    SELECT 1 FROM log WHERE partition = ?1 AND id = ?2
      AND (position > ?3 OR position IN (SELECT position FROM pending)))";

const BODIES: &str = "UPDATE log SET body = x'', attributes = NULL
    WHERE partition = ?1 AND id = ?2 AND body <> x''";

const OUTCOME: &str = "UPDATE ids SET outcome = NULL
    WHERE partition = ?1 AND hash = ?2 AND outcome IS NOT NULL";

/// Rows stay where they are, without a body: what is read is by position.
pub(super) fn erase(
    db: &Connection,
    partition: &Partition,
    id: &str,
) -> rusqlite::Result<Option<u64>> {
    let Some(partition) = partition::known(db, partition)? else {
        return Ok(Some(0));
    };
    let read = last_read(db, partition)?;
    let open: bool = db
        .prepare_cached(OPEN)?
        .query_one(params![partition, id, read], |row| row.get(0))?;
    if open {
        return Ok(None);
    }
    let bodies = db.prepare_cached(BODIES)?.execute((partition, id))?;
    let Id { hash, .. } = Id::new(partition, id);
    let outcomes = db.prepare_cached(OUTCOME)?.execute((partition, hash))?;
    Ok(Some((bodies + outcomes) as u64))
}
