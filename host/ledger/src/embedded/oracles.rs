use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::parse_digest;
use crate::Choice;
use floodgate_embedded::now;
use floodgate_flow::Digest;

pub(super) fn component_taken(
    db: &Connection,
    name: &str,
    digest: Digest,
    bytes: &[u8],
) -> rusqlite::Result<()> {
    let digest = digest.to_string();
    db.prepare_cached("INSERT INTO components VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
        .execute(params![digest, bytes, now()])?;
    // A row only where the name stood for something else before.
    let note = "INSERT INTO component_history (name, digest, taken_at) SELECT ?1, ?2, ?3
        WHERE ?2 IS NOT (SELECT digest FROM component_history WHERE name = ?1
                         ORDER BY seq DESC LIMIT 1)";
    db.prepare_cached(note)?
        .execute(params![name, digest, now()])?;
    Ok(())
}

pub(super) fn component(db: &Connection, digest: Digest) -> rusqlite::Result<Option<Bytes>> {
    let bytes: Option<Vec<u8>> = db
        .prepare_cached("SELECT bytes FROM components WHERE digest = ?1")?
        .query_one([digest.to_string()], |row| row.get(0))
        .optional()?;
    Ok(bytes.map(Bytes::from))
}

pub(super) fn component_history(db: &Connection, name: &str) -> rusqlite::Result<Vec<Digest>> {
    let history = "SELECT digest FROM component_history WHERE name = ?1
        GROUP BY digest ORDER BY max(seq) DESC";
    let mut history = db.prepare_cached(history)?;
    let digests = history.query_map([name], |row| parse_digest(row.get_ref(0)?.as_str()?))?;
    digests.collect()
}

pub(super) fn choices(db: &Connection) -> rusqlite::Result<Vec<(String, Choice)>> {
    let choices = "SELECT name, digest, rejected FROM oracle_choices ORDER BY name";
    let mut choices = db.prepare_cached(choices)?;
    let choices = choices.query_map((), |row| {
        let digest = parse_digest(row.get_ref(1)?.as_str()?)?;
        let choice = match row.get::<_, Option<String>>(2)? {
            None => Choice::Pinned { digest },
            Some(rejected) => Choice::RolledBack {
                to: digest,
                rejected: parse_digest(&rejected)?,
            },
        };
        Ok((row.get(0)?, choice))
    })?;
    choices.collect()
}

pub(super) fn choose(db: &Connection, name: &str, choice: Option<&Choice>) -> rusqlite::Result<()> {
    let (kind, digest, rejected) = match choice {
        None => {
            db.execute("DELETE FROM oracle_choices WHERE name = ?1", [name])?;
            return Ok(());
        }
        Some(Choice::Pinned { digest }) => ("pinned", digest, None),
        Some(Choice::RolledBack { to, rejected }) => ("rolled-back", to, Some(rejected)),
    };
    let rejected = rejected.map(Digest::to_string);
    db.prepare_cached("INSERT OR REPLACE INTO oracle_choices VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![name, kind, digest.to_string(), rejected, now()])?;
    Ok(())
}
