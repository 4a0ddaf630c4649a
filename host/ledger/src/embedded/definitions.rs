use rusqlite::{Connection, OptionalExtension, params};

use floodgate_embedded::now;
use floodgate_embedded::values::signed;
use floodgate_flow::{Digest, FlowName, Landmark, Partition};

pub(super) fn next_ids(db: &Connection, flow: &FlowName, count: u32) -> rusqlite::Result<u64> {
    let next = "INSERT INTO sequences (flow, next) VALUES (?1, 1 + ?2)
        ON CONFLICT (flow) DO UPDATE SET next = next + ?2 RETURNING next - ?2";
    db.prepare_cached(next)?
        .query_one((flow.as_str(), count), |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

pub(super) fn note_landmark(
    db: &Connection,
    partition: &Partition,
    landmark: &Landmark,
) -> rusqlite::Result<Option<Landmark>> {
    let (flow, index) = (partition.flow.as_str(), partition.index);
    let before = "SELECT born, open FROM landmarks WHERE flow = ?1 AND partition = ?2";
    let before = db
        .prepare_cached(before)?
        .query_one((flow, index), |row| {
            Ok(Landmark {
                born: row.get(0)?,
                open: row.get::<_, i64>(1)?.max(0).unsigned_abs(),
            })
        })
        .optional()?;
    let note = "INSERT OR REPLACE INTO landmarks VALUES (?1, ?2, ?3, ?4, ?5)";
    let row = params![flow, index, landmark.born, signed(landmark.open), now()];
    db.prepare_cached(note)?.execute(row)?;
    Ok(before)
}

pub(super) fn accept_flow(db: &Connection, flow: &FlowName, source: &str) -> rusqlite::Result<()> {
    let digest = Digest::of(source.as_bytes()).to_string();
    db.prepare_cached("INSERT INTO definitions VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute(params![digest, source, now()])?;
    let accept = "INSERT INTO flow_definitions VALUES (?1, ?2, ?3)
        ON CONFLICT (flow) DO UPDATE SET source = excluded.source, accepted_at = excluded.accepted_at
        WHERE source <> excluded.source";
    db.prepare_cached(accept)?
        .execute(params![flow.as_str(), source, now()])?;
    Ok(())
}

pub(super) fn definition(db: &Connection, digest: Digest) -> rusqlite::Result<Option<String>> {
    db.prepare_cached("SELECT source FROM definitions WHERE digest = ?1")?
        .query_one([digest.to_string()], |row| row.get(0))
        .optional()
}

pub(super) fn accepted_flows(db: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut all = db.prepare_cached("SELECT flow, source FROM flow_definitions ORDER BY flow")?;
    all.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}
