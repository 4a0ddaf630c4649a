use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::ids::Id;
use super::partition;
use crate::{AppendLimits, Appended, NewEntry, OwnerHash, Requeue};
use floodgate_embedded::now;
use floodgate_embedded::values::{attributes, millis, signed, to_json};
use floodgate_flow::{BodyHash, Partition, StreamId, sha256_16};

pub(super) fn append(
    db: &Connection,
    partition: &Partition,
    limits: AppendLimits,
    group: &[NewEntry],
) -> rusqlite::Result<Vec<Appended>> {
    let partition = partition::number(db, partition)?;
    let (open, ms) = open_and_next_ms(db, partition)?;
    let room = limits.max_backlog.saturating_sub(open);
    let mut added = 0;
    let mut appended = Vec::with_capacity(group.len());
    for entry in group {
        let key = Id::new(partition, &entry.id);
        appended.push(match key.known(db)? {
            Some(known) if known.body_hash == entry.body_hash => Appended::Replayed {
                stream_id: known.stream_id,
                owner: known.owner,
            },
            Some(_) => Appended::Conflict,
            None if added >= room => Appended::BacklogFull,
            None => {
                added += 1;
                let attributes: Vec<_> = entry.origin.attributes().collect();
                let arrival = Arrival {
                    key,
                    ms,
                    id: &entry.id,
                    body: &entry.body,
                    body_hash: entry.body_hash,
                    owner: entry.origin.owner_hash(),
                    attributes: Some(to_json(&attributes)?),
                };
                Appended::New(arrival.insert(db)?)
            }
        });
    }
    if added > 0 {
        opened(db, partition, ms, added)?;
    }
    Ok(appended)
}

/// As [`append`] with one entry, where it is dead.
pub(super) fn requeue(
    db: &Connection,
    partition: &Partition,
    dead: &Requeue,
) -> rusqlite::Result<bool> {
    let partition = partition::number(db, partition)?;
    let key = Id::new(partition, &dead.id);
    let known = key.known(db)?;
    let owner = match &known {
        Some(known) => known.owner,
        None => dead.owner_hash(),
    };
    if let Some(known) = &known {
        if known.state != "dead" || known.stream_id != dead.stream_id {
            return Ok(false);
        }
        db.prepare_cached("UPDATE partitions SET dead = dead - 1 WHERE number = ?1")?
            .execute([partition])?;
    }
    let (_, ms) = open_and_next_ms(db, partition)?;
    let arrival = Arrival {
        key,
        ms,
        id: &dead.id,
        body: &dead.body,
        body_hash: dead.body_hash,
        owner,
        attributes: attributes(&dead.attributes)?,
    };
    arrival.insert(db)?;
    opened(db, partition, ms, 1)?;
    Ok(true)
}

/// An entry as it becomes a row.
struct Arrival<'a> {
    key: Id,
    ms: i64,
    id: &'a str,
    body: &'a [u8],
    body_hash: BodyHash,
    owner: Option<OwnerHash>,
    attributes: Option<String>,
}

impl Arrival<'_> {
    fn insert(&self, db: &Connection) -> rusqlite::Result<StreamId> {
        let Id { partition, hash } = self.key;
        let log =
            "INSERT INTO log (partition, ms, id, body, attributes) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![partition, self.ms, self.id, self.body, self.attributes];
        let position = db.prepare_cached(log)?.insert(row)?;
        let id =
            "INSERT OR REPLACE INTO ids (partition, hash, body_hash, state, ms, position, owner)
            VALUES (?1, ?2, ?3, 'open', ?4, ?5, ?6)";
        let owner = self.owner.map(|owner| owner.0);
        let row = params![partition, hash, self.body_hash.0, self.ms, position, owner];
        db.prepare_cached(id)?.execute(row)?;
        Ok(StreamId {
            ms: self.ms.unsigned_abs(),
            seq: position.unsigned_abs(),
        })
    }
}

/// How many entries are open, and the time of the next: never before the last.
fn open_and_next_ms(db: &Connection, partition: i64) -> rusqlite::Result<(u64, i64)> {
    db.prepare_cached("SELECT open, last_ms FROM partitions WHERE number = ?1")?
        .query_one([partition], |row| {
            let open: i64 = row.get(0)?;
            Ok((open.max(0).unsigned_abs(), now().max(row.get(1)?)))
        })
}

fn opened(db: &Connection, partition: i64, ms: i64, added: u64) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE partitions SET open = open + ?2, last_ms = ?3 WHERE number = ?1")?
        .execute((partition, signed(added), ms))?;
    Ok(())
}

pub(super) fn claim_key(
    db: &Connection,
    partition: &Partition,
    key: &str,
    body_hash: BodyHash,
    id: &str,
    keep: Duration,
) -> rusqlite::Result<Option<String>> {
    let partition = partition::number(db, partition)?;
    let hash = sha256_16(key.as_bytes());
    let now = now();
    let known: Option<([u8; 16], String)> = db
        .prepare_cached(
            "SELECT body_hash, id FROM idempotency_keys
             WHERE partition = ?1 AND hash = ?2 AND expires > ?3",
        )?
        .query_one(params![partition, hash, now], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    if let Some((first, id)) = known {
        return Ok((first == body_hash.0).then_some(id));
    }
    let expires = now.saturating_add(millis(keep));
    db.prepare_cached("INSERT OR REPLACE INTO idempotency_keys VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![partition, hash, body_hash.0, id, expires])?;
    Ok(Some(id.to_owned()))
}
