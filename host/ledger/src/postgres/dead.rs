use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::Json;

use super::call::with;
use super::keep::{DECIDED_OR_DEAD, attributes};
use super::moved::id_hashes;
use super::{Postgres, timestamp};
use crate::{Buried, DeadFilter, DeadLetter, Error, Stored, storable};
use floodgate_flow::{Attributes, BodyHash, Digest, EntryFault, FlowName};

const BURY: &str = include_str!("queries/bury.sql");
const DEAD: &str = include_str!("queries/dead.sql");
/// Without plans that read a whole table, as where decisions are kept.
const LOCK: &str =
    "SELECT pg_advisory_xact_lock($1, hash), set_config('enable_seqscan', 'off', true)
FROM (
    SELECT DISTINCT hashtext(flow) AS hash FROM unnest($2::text[]) AS flow ORDER BY hash
) AS flows";
const BODY: &str = "SELECT body FROM dead_letters
    WHERE flow = $1 AND partition = $2 AND stream_id = $3 AND generation = $4";
const REMOVE: &str = "DELETE FROM dead_letters AS dead
    USING unnest($1::text[], $2::int4[], $3::text[], $4::int8[])
        AS seen (flow, partition, stream_id, generation)
    WHERE dead.flow = seen.flow AND dead.partition = seen.partition
      AND dead.stream_id = seen.stream_id AND dead.generation = seen.generation
    RETURNING dead.generation";

/// Binds the key of a buried letter: `$1` to `$4`.
macro_rules! with_key {
    ($buried:expr) => {
        $crate::postgres::call::with![
            $buried.letter.flow.as_str() => TEXT,
            i32::from($buried.letter.partition) => INT4,
            $buried.letter.stream_id.to_string() => TEXT,
            $buried.generation => INT8,
        ]
    };
}
pub(super) use with_key;

pub(super) async fn bury(ledger: &Postgres, letters: &[DeadLetter]) -> Result<Stored, Error> {
    let each = |take: fn(&DeadLetter) -> &str| {
        letters
            .iter()
            .map(|letter| storable(take(letter)))
            .collect::<Vec<_>>()
    };
    let number = |take: fn(&DeadLetter) -> i64| letters.iter().map(take).collect::<Vec<_>>();
    let time = |take: fn(&DeadLetter) -> u64| {
        letters
            .iter()
            .map(|letter| timestamp(take(letter)))
            .collect::<Vec<_>>()
    };
    let flows = each(|letter| letter.flow.as_str());
    let partitions: Vec<_> = letters.iter().map(|l| i32::from(l.partition)).collect();
    let stream_ids: Vec<_> = letters.iter().map(|l| l.stream_id.to_string()).collect();
    let bodies: Vec<&[u8]> = letters.iter().map(|letter| &letter.body[..]).collect();
    let hashes: Vec<_> = letters.iter().map(|l| BodyHash::of(&l.body).0).collect();
    let hashes: Vec<&[u8]> = hashes.iter().map(|hash| &hash[..]).collect();
    let oracles: Vec<_> = letters
        .iter()
        .map(|letter| letter.fault.oracle.as_ref())
        .map(|oracle| oracle.map(|(name, _)| storable(name)))
        .collect();
    let digests: Vec<_> = letters
        .iter()
        .map(|letter| letter.fault.oracle.as_ref())
        .map(|oracle| oracle.map(|(_, digest)| digest.to_string()))
        .collect();

    let attributes: Vec<_> = letters
        .iter()
        .map(|letter| attributes(&letter.attributes))
        .collect::<Result<_, _>>()?;

    let ids = each(|letter| &letter.id);
    let id_hashes = id_hashes(&ids);

    let lock = with![DECIDED_OR_DEAD => INT4, flows => TEXT_ARRAY];
    let with = with![
        flows => TEXT_ARRAY,
        partitions => INT4_ARRAY,
        stream_ids => TEXT_ARRAY,
        ids => TEXT_ARRAY,
        bodies => BYTEA_ARRAY,
        hashes => BYTEA_ARRAY,
        each(|letter| letter.fault.kind.as_str()) => TEXT_ARRAY,
        each(|letter| &letter.fault.error) => TEXT_ARRAY,
        oracles => TEXT_ARRAY,
        digests => TEXT_ARRAY,
        number(|letter| letter.attempts.into()) => INT8_ARRAY,
        number(|letter| letter.deliveries.into()) => INT8_ARRAY,
        time(|letter| letter.received_at) => TIMESTAMPTZ_ARRAY,
        time(|letter| letter.first_at) => TIMESTAMPTZ_ARRAY,
        time(|letter| letter.last_at) => TIMESTAMPTZ_ARRAY,
        attributes => TEXT_ARRAY,
        id_hashes => BYTEA_ARRAY,
    ];
    ledger.rows_under((LOCK, lock), BURY, with).await?;

    let buried = letters.iter().map(|l| (l.stream_id, l.id.clone()));
    Ok(Stored::new(buried.collect()))
}

pub(super) async fn dead(ledger: &Postgres, filter: &DeadFilter) -> Result<Vec<Buried>, Error> {
    let with = with![
        filter.flow => TEXT,
        filter.fault => TEXT,
        filter.id => TEXT,
        filter.digest => TEXT,
        filter.since.map(timestamp) => TIMESTAMPTZ,
        filter.id_or_stream_id => TEXT,
        filter.before => INT8,
        i64::from(filter.limit) => INT8,
    ];
    let rows = ledger.rows(DEAD, with).await?;
    rows.iter().map(buried).collect()
}

pub(super) async fn body(ledger: &Postgres, buried: &Buried) -> Result<Option<Bytes>, Error> {
    let rows = ledger.rows(BODY, with_key!(buried)).await?;
    match rows.first() {
        Some(row) => Ok(Some(Bytes::from(row.try_get::<_, Vec<u8>>(0)?))),
        None => Ok(None),
    }
}

fn buried(row: &Row) -> Result<Buried, Error> {
    let stream_id: &str = row.try_get("stream_id")?;
    let oracle = match (row.try_get("oracle")?, row.try_get("digest")?) {
        (Some(name), Some(digest)) => Some((name, parse_digest(digest)?)),
        _ => None,
    };
    let fault = EntryFault {
        kind: row
            .try_get::<_, &str>("fault")?
            .parse()
            .map_err(unreadable)?,
        error: row.try_get("error")?,
        oracle,
    };
    let letter = DeadLetter {
        flow: FlowName::new(row.try_get::<_, &str>("flow")?),
        partition: row
            .try_get::<_, i32>("partition")?
            .try_into()
            .map_err(unreadable)?,
        stream_id: stream_id.parse().map_err(unreadable)?,
        id: Arc::from(row.try_get::<_, &str>("id")?),
        body: Bytes::new(),
        attributes: row
            .try_get::<_, Option<Json<_>>>("attributes")?
            .map_or_else(Attributes::default, |attributes| attributes.0),
        fault,
        attempts: count(row, "attempts")?,
        deliveries: count(row, "deliveries")?,
        received_at: unix_ms(row, "received_at")?,
        first_at: unix_ms(row, "first_at")?,
        last_at: unix_ms(row, "last_at")?,
    };
    Ok(Buried {
        letter,
        generation: row.try_get("generation")?,
        erased: row.try_get("erased")?,
    })
}

fn count(row: &Row, column: &str) -> Result<u32, Error> {
    let value: i64 = row.try_get(column)?;
    value.try_into().map_err(unreadable)
}

pub(super) fn unix_ms(row: &Row, column: &str) -> Result<u64, Error> {
    let value: Timestamp = row.try_get(column)?;
    value.as_millisecond().try_into().map_err(unreadable)
}

pub(super) fn parse_digest(text: &str) -> Result<Digest, Error> {
    text.parse().map_err(unreadable)
}

/// Somebody else wrote the row.
pub(super) fn unreadable(error: impl std::fmt::Display) -> Error {
    Error::Other(format!("a row cannot be read: {error}"))
}

pub(super) async fn remove(ledger: &Postgres, letters: &[Buried]) -> Result<Vec<i64>, Error> {
    let all = letters.iter().map(|buried| &buried.letter);
    let flows: Vec<_> = all.clone().map(|letter| letter.flow.as_str()).collect();
    let partitions: Vec<_> = all.clone().map(|l| i32::from(l.partition)).collect();
    let stream_ids: Vec<_> = all.map(|letter| letter.stream_id.to_string()).collect();
    let generations: Vec<_> = letters.iter().map(|buried| buried.generation).collect();
    let with = with![
        flows => TEXT_ARRAY,
        partitions => INT4_ARRAY,
        stream_ids => TEXT_ARRAY,
        generations => INT8_ARRAY,
    ];
    let removed = ledger.rows(REMOVE, with).await?;
    removed.iter().map(|row| Ok(row.try_get(0)?)).collect()
}
