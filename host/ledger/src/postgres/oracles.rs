use bytes::Bytes;

use super::Postgres;
use super::call::with;
use super::dead::parse_digest;
use crate::{Choice, Error};
use floodgate_flow::Digest;

const NOTE_COMPONENT: &str = include_str!("queries/note_component.sql");
const COMPONENT_HISTORY: &str = include_str!("queries/component_history.sql");
const CHOOSE: &str = include_str!("queries/choose.sql");
/// Hosts see a dropped file at the same time: one after the other, so that it
/// is noted once.
const LOCK: &str = "SELECT pg_advisory_xact_lock($1, hashtext($2))";
const COMPONENT_TAKEN: i32 = 0x636f_6d70;

pub(super) async fn component_taken(
    ledger: &Postgres,
    name: &str,
    digest: Digest,
    bytes: &[u8],
) -> Result<(), Error> {
    let digest = digest.to_string();
    let mut transaction = ledger
        .transaction(LOCK, with![COMPONENT_TAKEN => INT4, name => TEXT])
        .await?;
    // Asked first: a component has megabytes, and every worker takes each.
    let known = transaction
        .rows(
            "SELECT FROM components WHERE digest = $1",
            with![digest => TEXT],
        )
        .await?;
    if known.is_empty() {
        transaction
            .change(
                "INSERT INTO components (digest, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                with![digest => TEXT, bytes => BYTEA],
            )
            .await?;
    }
    transaction
        .change(NOTE_COMPONENT, with![name => TEXT, digest => TEXT])
        .await?;
    transaction.commit().await
}

pub(super) async fn component(ledger: &Postgres, digest: Digest) -> Result<Option<Bytes>, Error> {
    let rows = ledger
        .rows(
            "SELECT bytes FROM components WHERE digest = $1",
            with![digest.to_string() => TEXT],
        )
        .await?;
    match rows.first() {
        Some(row) => Ok(Some(Bytes::from(row.try_get::<_, Vec<u8>>(0)?))),
        None => Ok(None),
    }
}

pub(super) async fn component_history(ledger: &Postgres, name: &str) -> Result<Vec<Digest>, Error> {
    let rows = ledger.rows(COMPONENT_HISTORY, with![name => TEXT]).await?;
    rows.iter()
        .map(|row| parse_digest(row.try_get(0)?))
        .collect()
}

pub(super) async fn choices(ledger: &Postgres) -> Result<Vec<(String, Choice)>, Error> {
    let all = "SELECT name, digest, rejected FROM oracle_choices ORDER BY name";
    let rows = ledger.rows(all, &[]).await?;
    rows.iter()
        .map(|row| {
            let digest = parse_digest(row.try_get(1)?)?;
            let choice = match row.try_get::<_, Option<&str>>(2)? {
                None => Choice::Pinned { digest },
                Some(rejected) => Choice::RolledBack {
                    to: digest,
                    rejected: parse_digest(rejected)?,
                },
            };
            Ok((row.try_get(0)?, choice))
        })
        .collect()
}

pub(super) async fn choose(
    ledger: &Postgres,
    name: &str,
    choice: Option<&Choice>,
) -> Result<(), Error> {
    let (kind, digest, rejected) = match choice {
        None => {
            let forget = "DELETE FROM oracle_choices WHERE name = $1";
            ledger.change(forget, with![name => TEXT]).await?;
            return Ok(());
        }
        Some(Choice::Pinned { digest }) => ("pinned", digest, None),
        Some(Choice::RolledBack { to, rejected }) => ("rolled-back", to, Some(rejected)),
    };
    let with = with![
        name => TEXT,
        kind => TEXT,
        digest.to_string() => TEXT,
        rejected.map(Digest::to_string) => TEXT,
    ];
    ledger.change(CHOOSE, with).await?;
    Ok(())
}
