use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{ms, parse_digest};
use crate::proof::Hashes;
use crate::{Decided, DecidedBy, Error, KeptDecision, ListedDecision};
use floodgate_embedded::now;
use floodgate_embedded::values::{attributes, from_json, signed, to_json};
use floodgate_flow::{BodyHash, DeliverWhen, Digest, FlowName, Label, Outcome, sha256_16};

/// What is to be kept of a batch, refused where Postgres would refuse it.
///
/// # Errors
/// [`Error::Data`] for a body that is no text and for a NUL in a text.
pub(super) fn rows(batch: &[Decided]) -> Result<Vec<Decided>, Error> {
    let rows: Vec<Decided> = batch.iter().filter(|row| row.keep).cloned().collect();
    for row in &rows {
        let id = &row.entry.id;
        if row.entry.body_str().is_none() {
            return Err(Error::Data(format!("body of {id} is not UTF-8")));
        }
        let decision = &row.decision;
        let mut texts = decision.reasons.iter().chain(&decision.output);
        if texts.any(|text| text.contains('\0')) {
            return Err(Error::Data(format!(
                "a text of the decision on {id} has a NUL"
            )));
        }
    }
    Ok(rows)
}

/// The body hash that each id is stored with, by this call or an earlier one.
pub(super) fn store(db: &Connection, by: &DecidedBy, rows: &[Decided]) -> rusqlite::Result<Hashes> {
    let mut hashes = Hashes::new();
    for row in rows {
        let id = &*row.entry.id;
        let hash = row.body_hash();
        if insert(db, by, row, hash)? {
            // Only the letter of this body: one buried as a conflict tells of another.
            db.prepare_cached(
                "DELETE FROM dead_letters WHERE flow = ?1 AND id = ?2 AND body_hash = ?3",
            )?
            .execute(params![by.flow.as_str(), id, hash.0])?;
            hashes.insert(id.to_owned(), hash.0.to_vec());
        } else if let Some(known) = body_hash(db, &by.flow, id)? {
            hashes.insert(id.to_owned(), known);
        }
    }
    Ok(hashes)
}

const INSERT: &str = "INSERT INTO decisions (
        flow, flow_digest, settings_digest, id, body, body_hash, score, label, label_name, reasons,
        output, oracles, threshold, inference_us, stream_id, received_at, attributes, decided_at, at
    )
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19
    WHERE NOT EXISTS (SELECT 1 FROM moved WHERE flow = ?1 AND id_hash = ?20)
    ON CONFLICT (flow, id) DO NOTHING";

/// Whether it was not stored before; with its outbox.
fn insert(
    db: &Connection,
    by: &DecidedBy,
    row: &Decided,
    body_hash: BodyHash,
) -> rusqlite::Result<bool> {
    let (entry, decision, flow) = (&row.entry, &row.decision, by.flow.as_str());
    let now = now();
    let inserted = db.prepare_cached(INSERT)?.execute(params![
        flow,
        by.flow_digest.to_string(),
        by.settings_digest.as_ref().map(Digest::to_string),
        entry.id,
        entry.body_str(),
        body_hash.0,
        decision.score,
        decision.label.map(Label::as_str),
        decision.label_name,
        to_json(&decision.reasons)?,
        decision.output,
        to_json(&decision.oracles)?,
        decision.threshold,
        decision.inference.as_secs_f64() * 1e6,
        row.stream_id.to_string(),
        signed(entry.received_at),
        attributes(&entry.attributes)?,
        now,
        row.at,
        sha256_16(entry.id.as_bytes()),
    ])?;
    if inserted == 0 {
        return Ok(false);
    }
    for downstream in &by.deliver {
        if downstream.when != DeliverWhen::High || decision.label == Some(Label::High) {
            db.prepare_cached(
                "INSERT INTO deliveries (flow, id, downstream, due_at) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![flow, entry.id, downstream.name, now])?;
        }
    }
    Ok(true)
}

pub(super) fn body_hashes(
    db: &Connection,
    flow: &FlowName,
    ids: &[Arc<str>],
) -> rusqlite::Result<Hashes> {
    let mut hashes = Hashes::new();
    for id in ids {
        if let Some(hash) = body_hash(db, flow, id)? {
            hashes.insert(id.to_string(), hash);
        }
    }
    Ok(hashes)
}

fn body_hash(db: &Connection, flow: &FlowName, id: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let known = "SELECT body_hash FROM decisions WHERE flow = ?1 AND id = ?2
        UNION ALL SELECT body_hash FROM moved WHERE flow = ?1 AND id_hash = ?3";
    db.prepare_cached(known)?
        .query_row(
            params![flow.as_str(), id, sha256_16(id.as_bytes())],
            |row| row.get(0),
        )
        .optional()
}

/// The number of the cold file that has it.
pub(super) fn moved(db: &Connection, flow: &FlowName, id: &str) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT file FROM moved WHERE flow = ?1 AND id_hash = ?2")?
        .query_one((flow.as_str(), sha256_16(id.as_bytes())), |row| row.get(0))
        .optional()
}

pub(super) fn kept_since(db: &Connection, flow: &FlowName, since: u64) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT count(*) FROM decisions WHERE flow = ?1 AND received_at >= ?2")?
        .query_one((flow.as_str(), signed(since)), |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

pub(super) fn decision(
    db: &Connection,
    flow: &FlowName,
    id: &str,
) -> rusqlite::Result<Option<KeptDecision>> {
    db.prepare_cached("SELECT * FROM decisions WHERE flow = ?1 AND id = ?2")?
        .query_one((flow.as_str(), id), kept)
        .optional()
}

pub(super) fn latest(
    db: &Connection,
    flow: Option<&FlowName>,
    max: u32,
) -> rusqlite::Result<Vec<ListedDecision>> {
    let latest = "SELECT flow, id, received_at, attributes,
            score, label_name, reasons, NULL AS output, oracles, decided_at
        FROM decisions
        WHERE ?1 IS NULL OR flow = ?1
        ORDER BY seq DESC
        LIMIT ?2";
    let mut latest = db.prepare_cached(latest)?;
    latest
        .query_map(params![flow.map(FlowName::as_str), max], listed)?
        .collect()
}

pub(super) fn latest_high(db: &Connection, max: u32) -> rusqlite::Result<Vec<ListedDecision>> {
    let latest = "SELECT flow, id, received_at, attributes,
            score, label_name, reasons, NULL AS output, oracles, decided_at
        FROM decisions
        WHERE label = 'high'
        ORDER BY seq DESC
        LIMIT ?1";
    let mut latest = db.prepare_cached(latest)?;
    latest.query_map([max], listed)?.collect()
}

fn kept(row: &Row<'_>) -> rusqlite::Result<KeptDecision> {
    Ok(KeptDecision {
        listed: listed(row)?,
        stream_id: row.get("stream_id")?,
        body: row.get("body")?,
        body_hash: BodyHash(row.get("body_hash")?),
        threshold: row.get("threshold")?,
        flow_digest: parse_digest(row.get_ref("flow_digest")?.as_str()?)?,
        erased_at: row
            .get::<_, Option<i64>>("erased_at")?
            .map(i64::unsigned_abs),
    })
}

fn listed(row: &Row<'_>) -> rusqlite::Result<ListedDecision> {
    let label: Option<String> = row.get("label_name")?;
    let attributes: Option<String> = row.get("attributes")?;
    let attributes = attributes.map(|json| from_json(&json)).transpose()?;
    Ok(ListedDecision {
        flow: FlowName::new(row.get::<_, String>("flow")?),
        id: row.get_ref("id")?.as_str()?.into(),
        received_at: ms(row, "received_at")?,
        attributes: attributes.unwrap_or_default(),
        outcome: Outcome {
            score: row.get("score")?,
            label: label.map(Arc::from),
            reasons: from_json(row.get_ref("reasons")?.as_str()?)?,
            output: row.get("output")?,
            oracles: from_json(row.get_ref("oracles")?.as_str()?)?,
            decided_at: ms(row, "decided_at")?,
        },
    })
}
