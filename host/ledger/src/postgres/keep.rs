use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::call::with;
use super::dead::{parse_digest, unix_ms, unreadable};
use super::moved::id_hashes;
use super::{Postgres, moment, timestamp};
use crate::proof::{self, Hashes};
use crate::{Decided, DecidedBy, Error, Kept, KeptDecision, ListedDecision};
use floodgate_flow::{
    Attributes, BodyHash, DeliverWhen, Digest, FlowName, Judged, Label, Outcome, StreamId,
};

const KEEP: &str = include_str!("queries/keep.sql");
const KEEP_AND_DELIVER: &str = include_str!("queries/keep_and_deliver.sql");
const BODY_HASHES: &str = include_str!("queries/body_hashes.sql");
/// For as long as the transaction takes, no plan is made that reads a whole
/// table: it would be used again when `moved` has millions of rows.
pub(super) const LOCK_SHARED: &str = "SELECT pg_advisory_xact_lock_shared($1, hashtext($2)),
    set_config('enable_seqscan', 'off', true)";

/// Under this advisory lock decisions and dead letters of a flow exclude each
/// other, and the archiver both: neither side's check would see what the other
/// has not yet committed. What is checked under it is asked for by a statement
/// of its own, which sees all that was committed before it begins.
pub(super) const DECIDED_OR_DEAD: i32 = 0x666c_6f6f;

/// The body hash that each id is stored with, by this call or an earlier one.
pub(super) async fn store(
    ledger: &Postgres,
    by: &DecidedBy,
    rows: &[&Decided],
) -> Result<Hashes, Error> {
    let mut hashes = insert(ledger, by, rows).await?;
    let known: Vec<&str> = rows
        .iter()
        .map(|decided| &*decided.entry.id)
        .filter(|&id| !hashes.contains_key(id))
        .collect();
    if !known.is_empty() {
        let id_hashes = id_hashes(&known);
        let with = with![by.flow.as_str() => TEXT, known => TEXT_ARRAY, id_hashes => BYTEA_ARRAY];
        hashes.extend(hashes_of(&ledger.rows(BODY_HASHES, with).await?)?);
    }
    Ok(hashes)
}

/// Returns the body hashes of the decisions that were not kept before. Where the
/// flow has downstreams, the same statement writes them into the outbox.
async fn insert(ledger: &Postgres, by: &DecidedBy, rows: &[&Decided]) -> Result<Hashes, Error> {
    let bodies = column(rows, body)?;
    let reasons = column(rows, |row| json(&row.decision.reasons))?;
    let oracles = column(rows, |row| json(&row.decision.oracles))?;
    let each = |take: fn(&Decided) -> &str| rows.iter().map(|row| take(row)).collect::<Vec<_>>();
    let maybe =
        |take: fn(&Decided) -> Option<&str>| rows.iter().map(|row| take(row)).collect::<Vec<_>>();
    let scores: Vec<_> = rows.iter().map(|row| row.decision.score).collect();
    let number = |take: fn(&Decided) -> f64| rows.iter().map(|row| take(row)).collect::<Vec<_>>();
    let hashes: Vec<_> = rows.iter().map(|row| row.body_hash()).collect();
    let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash.0[..]).collect();
    let stream_ids: Vec<_> = rows.iter().map(|row| row.stream_id.to_string()).collect();
    let attributes = column(rows, |row| attributes(&row.entry.attributes))?;
    let received: Vec<_> = rows
        .iter()
        .map(|row| timestamp(row.entry.received_at))
        .collect();
    let at: Vec<_> = rows.iter().map(|row| moment(row.at)).collect();
    let ids = each(|row| &row.entry.id);
    let id_hashes = id_hashes(&ids);
    let downstreams: Vec<&str> = by.deliver.iter().map(|to| &*to.name).collect();
    let only_high = by.deliver.iter().map(|to| to.when == DeliverWhen::High);
    let only_high: Vec<bool> = only_high.collect();

    let with = with![
        by.flow.as_str() => TEXT,
        by.flow_digest.to_string() => TEXT,
        by.settings_digest.as_ref().map(Digest::to_string) => TEXT,
        ids => TEXT_ARRAY,
        bodies => TEXT_ARRAY,
        hashes => BYTEA_ARRAY,
        scores => FLOAT8_ARRAY,
        maybe(|row| row.decision.label.map(Label::as_str)) => TEXT_ARRAY,
        maybe(|row| row.decision.label_name.as_deref()) => TEXT_ARRAY,
        reasons => TEXT_ARRAY,
        maybe(|row| row.decision.output.as_deref()) => TEXT_ARRAY,
        oracles => TEXT_ARRAY,
        number(|row| row.decision.threshold) => FLOAT8_ARRAY,
        number(|row| row.decision.inference.as_secs_f64() * 1e6) => FLOAT8_ARRAY,
        stream_ids => TEXT_ARRAY,
        received => TIMESTAMPTZ_ARRAY,
        attributes => TEXT_ARRAY,
        at => TIMESTAMPTZ_ARRAY,
        id_hashes => BYTEA_ARRAY,
        downstreams => TEXT_ARRAY,
        only_high => BOOL_ARRAY,
    ];
    let lock = with![DECIDED_OR_DEAD => INT4, by.flow.as_str() => TEXT];
    let keep = if by.deliver.is_empty() {
        KEEP
    } else {
        KEEP_AND_DELIVER
    };
    hashes_of(&ledger.rows_under((LOCK_SHARED, lock), keep, with).await?)
}

/// Rows of id and body hash.
fn hashes_of(rows: &[Row]) -> Result<Hashes, Error> {
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}

/// One value per row, or the first error.
fn column<'a, T>(
    rows: &[&'a Decided],
    take: impl Fn(&'a Decided) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    rows.iter().map(|row| take(row)).collect()
}

fn body(decided: &Decided) -> Result<&str, Error> {
    let entry = &decided.entry;
    entry
        .body_str()
        .ok_or_else(|| Error::Data(format!("body of {} is not UTF-8", entry.id)))
}

/// NULL where there are none.
pub(super) fn attributes(attributes: &[(String, String)]) -> Result<Option<String>, Error> {
    let some = (!attributes.is_empty()).then_some(attributes);
    some.map(|attributes| json(&attributes)).transpose()
}

fn json(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Data(error.to_string()))
}

pub(super) async fn kept_before(
    ledger: &Postgres,
    flow: &FlowName,
    entries: &[(StreamId, Arc<str>, BodyHash)],
) -> Result<Kept, Error> {
    let ids: Vec<&str> = entries.iter().map(|(_, id, _)| &**id).collect();
    let id_hashes = id_hashes(&ids);
    let with = with![flow.as_str() => TEXT, ids => TEXT_ARRAY, id_hashes => BYTEA_ARRAY];
    let found = ledger.rows(BODY_HASHES, with).await?;
    Ok(proof::compare(entries, &hashes_of(&found)?))
}

pub(super) async fn kept_since(
    ledger: &Postgres,
    flow: &FlowName,
    since: u64,
) -> Result<u64, Error> {
    const COUNT: &str = "SELECT count(*) FROM decisions WHERE flow = $1 AND received_at >= $2";
    let with = with![flow.as_str() => TEXT, timestamp(since) => TIMESTAMPTZ];
    let count: i64 = ledger.one_row(COUNT, with).await?.try_get(0)?;
    Ok(count.unsigned_abs())
}

pub(super) async fn decision(
    ledger: &Postgres,
    flow: &FlowName,
    id: &str,
) -> Result<Option<KeptDecision>, Error> {
    const DECISION: &str = include_str!("queries/decision.sql");
    let with = with![flow.as_str() => TEXT, id => TEXT];
    let rows = ledger.rows(DECISION, with).await?;
    rows.first().map(kept).transpose()
}

pub(super) async fn latest(
    ledger: &Postgres,
    flow: Option<&FlowName>,
    max: u32,
) -> Result<Vec<ListedDecision>, Error> {
    const LATEST: &str = include_str!("queries/latest.sql");
    let with = with![flow.map(FlowName::as_str) => TEXT, i64::from(max) => INT8];
    let rows = ledger.rows(LATEST, with).await?;
    rows.iter().map(listed).collect()
}

pub(super) async fn latest_high(ledger: &Postgres, max: u32) -> Result<Vec<ListedDecision>, Error> {
    const LATEST_HIGH: &str = include_str!("queries/latest_high.sql");
    let rows = ledger
        .rows(LATEST_HIGH, with![i64::from(max) => INT8])
        .await?;
    rows.iter().map(listed).collect()
}

fn kept(row: &Row) -> Result<KeptDecision, Error> {
    let body_hash: &[u8] = row.try_get("body_hash")?;
    Ok(KeptDecision {
        listed: listed(row)?,
        stream_id: row.try_get("stream_id")?,
        body: row.try_get("body")?,
        body_hash: BodyHash(body_hash.try_into().map_err(unreadable)?),
        threshold: row.try_get("threshold")?,
        flow_digest: parse_digest(row.try_get("flow_digest")?)?,
        erased_at: match row.try_get::<_, Option<Timestamp>>("erased_at")? {
            Some(_) => Some(unix_ms(row, "erased_at")?),
            None => None,
        },
    })
}

fn listed(row: &Row) -> Result<ListedDecision, Error> {
    let oracles: Json<Vec<Judged>> = row.try_get("oracles")?;
    let attributes: Option<Json<_>> = row.try_get("attributes")?;
    Ok(ListedDecision {
        flow: FlowName::new(row.try_get::<_, &str>("flow")?),
        id: row.try_get::<_, &str>("id")?.into(),
        received_at: unix_ms(row, "received_at")?,
        attributes: attributes.map_or_else(Attributes::default, |attributes| attributes.0),
        outcome: Outcome {
            score: row.try_get("score")?,
            label: row.try_get::<_, Option<&str>>("label_name")?.map(Arc::from),
            reasons: row.try_get("reasons")?,
            output: row.try_get("output")?,
            oracles: oracles.0,
            decided_at: unix_ms(row, "decided_at")?,
        },
    })
}
