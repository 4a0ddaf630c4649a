use bytes::Bytes;
use deadpool_postgres::Client;

use super::dead::parse_digest;
use crate::flow::Digest;
use crate::ledger::{Choice, Error};

const NOTE_COMPONENT: &str = include_str!("queries/note_component.sql");
const COMPONENT_HISTORY: &str = include_str!("queries/component_history.sql");
const CHOOSE: &str = include_str!("queries/choose.sql");
/// Hosts see a dropped file at the same time: one after the other, so that it
/// is noted once.
const LOCK: &str = "SELECT pg_advisory_xact_lock($1, hashtext($2))";
const COMPONENT_TAKEN: i32 = 0x636f_6d70;

pub(super) async fn component_taken(
    client: &mut Client,
    name: &str,
    digest: Digest,
    bytes: &[u8],
) -> Result<(), Error> {
    let digest = digest.to_string();
    let transaction = client.transaction().await?;
    transaction
        .execute(LOCK, &[&COMPONENT_TAKEN, &name])
        .await?;
    // Asked first: a component has megabytes, and every worker takes each.
    let known = transaction
        .query_opt("SELECT FROM components WHERE digest = $1", &[&digest])
        .await?;
    if known.is_none() {
        transaction
            .execute(
                "INSERT INTO components (digest, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                &[&digest, &bytes],
            )
            .await?;
    }
    transaction
        .execute(NOTE_COMPONENT, &[&name, &digest])
        .await?;
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn component(client: &Client, digest: Digest) -> Result<Option<Bytes>, Error> {
    let row = client
        .query_opt(
            "SELECT bytes FROM components WHERE digest = $1",
            &[&digest.to_string()],
        )
        .await?;
    match row {
        Some(row) => Ok(Some(Bytes::from(row.try_get::<_, Vec<u8>>(0)?))),
        None => Ok(None),
    }
}

pub(super) async fn component_history(client: &Client, name: &str) -> Result<Vec<Digest>, Error> {
    let rows = client.query(COMPONENT_HISTORY, &[&name]).await?;
    rows.iter()
        .map(|row| parse_digest(row.try_get(0)?))
        .collect()
}

pub(super) async fn choices(client: &Client) -> Result<Vec<(String, Choice)>, Error> {
    let rows = client
        .query(
            "SELECT name, digest, rejected FROM oracle_choices ORDER BY name",
            &[],
        )
        .await?;
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
    client: &Client,
    name: &str,
    choice: Option<&Choice>,
) -> Result<(), Error> {
    let (kind, digest, rejected) = match choice {
        None => {
            client
                .execute("DELETE FROM oracle_choices WHERE name = $1", &[&name])
                .await?;
            return Ok(());
        }
        Some(Choice::Pinned { digest }) => ("pinned", digest, None),
        Some(Choice::RolledBack { to, rejected }) => ("rolled-back", to, Some(rejected)),
    };
    let rejected = rejected.map(Digest::to_string);
    client
        .execute(CHOOSE, &[&name, &kind, &digest.to_string(), &rejected])
        .await?;
    Ok(())
}
