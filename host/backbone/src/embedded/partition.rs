use rusqlite::{Connection, OptionalExtension, params};

use floodgate_embedded::now;
use floodgate_flow::{FlowName, Partition};

/// Under which number the tables know a partition; new ones are given one.
pub(super) fn number(db: &Connection, partition: &Partition) -> rusqlite::Result<i64> {
    if let Some(number) = known(db, partition)? {
        return Ok(number);
    }
    let insert = "INSERT INTO partitions (flow, idx, born) VALUES (?1, ?2, ?3) RETURNING number";
    let born = format!("{}-{}", now(), uuid::Uuid::new_v4().simple());
    let of = params![partition.flow.as_str(), partition.index, born];
    db.prepare_cached(insert)?.query_one(of, |row| row.get(0))
}

/// `None` where nobody has prepared it yet.
pub(super) fn known(db: &Connection, partition: &Partition) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT number FROM partitions WHERE flow = ?1 AND idx = ?2")?
        .query_one((partition.flow.as_str(), partition.index), |row| row.get(0))
        .optional()
}

/// An entry's partition is the hash of its id modulo their number: with
/// another number an id would be looked for where it never was. What is wrong,
/// for a person to read.
pub(super) fn check(
    db: &Connection,
    flows: &[(FlowName, u16)],
) -> rusqlite::Result<Option<String>> {
    for (flow, partitions) in flows {
        db.prepare_cached("INSERT INTO flow_partitions VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
            .execute((flow.as_str(), partitions))?;
        let recorded: u16 = db
            .prepare_cached("SELECT partitions FROM flow_partitions WHERE flow = ?1")?
            .query_one([flow.as_str()], |row| row.get(0))?;
        if recorded != *partitions {
            return Ok(Some(format!(
                "has flow {flow} in {recorded} partitions, and its flow file says {partitions}: \
                 write stream.partitions = {recorded}, or start with another --data-dir"
            )));
        }
    }
    Ok(None)
}
