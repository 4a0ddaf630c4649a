use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::{ms, parse_digest};
use crate::{Buried, DeadFilter, DeadLetter, storable};
use floodgate_embedded::values::{attributes, from_json, signed, unreadable};
use floodgate_flow::{BodyHash, EntryFault, FlowName, sha256_16};

/// Once more dead, a letter has another generation and the first time it had.
/// A decision of the same body, moved or not, is what the entry came for:
/// nothing is buried then. One of another body proves nothing of this entry.
const BURY: &str = "INSERT OR REPLACE INTO dead_letters (
        flow, partition, stream_id, id, body, body_hash, fault, error, oracle, digest,
        attempts, deliveries, received_at, first_at, last_at, attributes
    )
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
        coalesce((SELECT first_at FROM dead_letters
                  WHERE flow = ?1 AND partition = ?2 AND stream_id = ?3 AND downstream = ''), ?14),
        ?15, ?16
    WHERE NOT EXISTS (
        SELECT 1 FROM decisions WHERE flow = ?1 AND id = ?4 AND body_hash = ?6)
      AND NOT EXISTS (
        SELECT 1 FROM moved WHERE flow = ?1 AND id_hash = ?17 AND body_hash = ?6)";

pub(super) fn bury(db: &Connection, letters: &[DeadLetter]) -> rusqlite::Result<()> {
    let mut bury = db.prepare_cached(BURY)?;
    let mut seen = HashSet::new();
    for letter in letters {
        if !seen.insert((&letter.flow, letter.partition, letter.stream_id)) {
            continue;
        }
        let fault = &letter.fault;
        let oracle = fault.oracle.as_ref();
        bury.execute(params![
            letter.flow.as_str(),
            letter.partition,
            letter.stream_id.to_string(),
            letter.id,
            &letter.body[..],
            BodyHash::of(&letter.body).0,
            fault.kind.as_str(),
            storable(&fault.error),
            oracle.map(|(name, _)| name),
            oracle.map(|(_, digest)| digest.to_string()),
            letter.attempts,
            letter.deliveries,
            signed(letter.received_at),
            signed(letter.first_at),
            signed(letter.last_at),
            attributes(&letter.attributes)?,
            sha256_16(letter.id.as_bytes()),
        ])?;
    }
    Ok(())
}

/// No bodies: there may be a million letters of 64 KB. An empty body with the
/// hash of another is one that was erased.
const DEAD: &str = "SELECT
        flow, partition, stream_id, id, fault, error, oracle, digest,
        attempts, deliveries, received_at, first_at, last_at, generation, attributes,
        length(body) = 0 AND body_hash <> x'e3b0c44298fc1c149afbf4c8996fb924' AS erased
    FROM dead_letters";

/// Only what is asked for is a condition: SQLite plans without the values.
pub(super) fn dead(db: &Connection, filter: &DeadFilter) -> rusqlite::Result<Vec<Buried>> {
    let mut which: Vec<(&str, &dyn ToSql)> = Vec::new();
    let (since, limit) = (filter.since.map(signed), i64::from(filter.limit));
    for (condition, value) in [
        ("flow = ?", &filter.flow),
        ("fault = ?", &filter.fault),
        ("id = ?", &filter.id),
        ("instr(digest, ?) = 1", &filter.digest),
    ] {
        if let Some(value) = value {
            which.push((condition, value));
        }
    }
    if let Some(either) = &filter.id_or_stream_id {
        which.push(("? IN (id, stream_id)", either));
    }
    if let Some(since) = &since {
        which.push(("last_at >= ?", since));
    }
    if let Some(before) = &filter.before {
        which.push(("generation < ?", before));
    }
    let (conditions, mut values): (Vec<_>, Vec<_>) = which.into_iter().unzip();
    let all = match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    };
    values.push(&limit);
    let dead = format!("{DEAD}{all} ORDER BY generation DESC LIMIT ?");
    let mut dead = db.prepare_cached(&dead)?;
    dead.query_map(&*values, buried)?.collect()
}

pub(super) fn body(db: &Connection, generation: i64) -> rusqlite::Result<Option<Bytes>> {
    let body = "SELECT body FROM dead_letters WHERE generation = ?1";
    let mut body = db.prepare_cached(body)?;
    let body = body.query_one([generation], |row| row.get::<_, Vec<u8>>(0));
    Ok(body.optional()?.map(Bytes::from))
}

fn buried(row: &Row<'_>) -> rusqlite::Result<Buried> {
    let oracle: (Option<String>, Option<String>) = (row.get("oracle")?, row.get("digest")?);
    let fault = EntryFault {
        kind: row
            .get_ref("fault")?
            .as_str()?
            .parse()
            .map_err(unreadable)?,
        error: row.get("error")?,
        oracle: match oracle {
            (Some(name), Some(text)) => Some((name, parse_digest(&text)?)),
            _ => None,
        },
    };
    let attributes: Option<String> = row.get("attributes")?;
    let attributes = attributes.map(|json| from_json(&json)).transpose()?;
    let letter = DeadLetter {
        flow: FlowName::new(row.get::<_, String>("flow")?),
        partition: row.get("partition")?,
        stream_id: row
            .get_ref("stream_id")?
            .as_str()?
            .parse()
            .map_err(unreadable)?,
        id: Arc::from(row.get_ref("id")?.as_str()?),
        body: Bytes::new(),
        attributes: attributes.unwrap_or_default(),
        fault,
        attempts: row.get("attempts")?,
        deliveries: row.get("deliveries")?,
        received_at: ms(row, "received_at")?,
        first_at: ms(row, "first_at")?,
        last_at: ms(row, "last_at")?,
    };
    Ok(Buried {
        letter,
        generation: row.get("generation")?,
        erased: row.get("erased")?,
    })
}

/// The generations of those that were there.
pub(super) fn remove(db: &Connection, generations: &[i64]) -> rusqlite::Result<Vec<i64>> {
    let mut remove = db.prepare_cached("DELETE FROM dead_letters WHERE generation = ?1")?;
    let mut removed = Vec::new();
    for generation in generations {
        if remove.execute([generation])? > 0 {
            removed.push(*generation);
        }
    }
    Ok(removed)
}
