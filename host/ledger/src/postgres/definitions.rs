use super::Postgres;
use super::call::with;
use crate::Error;
use floodgate_flow::{Digest, FlowName};

const ACCEPT: &str = "WITH kept AS (
        INSERT INTO definitions (digest, source) VALUES ($3, $2) ON CONFLICT DO NOTHING
    )
    INSERT INTO flow_definitions (flow, source) VALUES ($1, $2)
    ON CONFLICT (flow) DO UPDATE SET source = excluded.source, accepted_at = now()
    WHERE flow_definitions.source <> excluded.source";

pub(super) async fn accept(ledger: &Postgres, flow: &FlowName, source: &str) -> Result<(), Error> {
    let digest = Digest::of(source.as_bytes()).to_string();
    let with = with![flow.as_str() => TEXT, source => TEXT, digest => TEXT];
    ledger.change(ACCEPT, with).await?;
    Ok(())
}

pub(super) async fn definition(ledger: &Postgres, digest: Digest) -> Result<Option<String>, Error> {
    let by_digest = "SELECT source FROM definitions WHERE digest = $1";
    let rows = ledger
        .rows(by_digest, with![digest.to_string() => TEXT])
        .await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}

pub(super) async fn accepted(ledger: &Postgres) -> Result<Vec<(String, String)>, Error> {
    let all = "SELECT flow, source FROM flow_definitions ORDER BY flow";
    let rows = ledger.rows(all, &[]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}
