use deadpool_postgres::Client;

use crate::flow::{Digest, FlowName};
use crate::ledger::Error;

const ACCEPT: &str = "WITH kept AS (
        INSERT INTO definitions (digest, source) VALUES ($3, $2) ON CONFLICT DO NOTHING
    )
    INSERT INTO flow_definitions (flow, source) VALUES ($1, $2)
    ON CONFLICT (flow) DO UPDATE SET source = excluded.source, accepted_at = now()
    WHERE flow_definitions.source <> excluded.source";

pub(super) async fn accept(client: &Client, flow: &FlowName, source: &str) -> Result<(), Error> {
    let digest = Digest::of(source.as_bytes()).to_string();
    client
        .execute(ACCEPT, &[&flow.as_str(), &source, &digest])
        .await?;
    Ok(())
}

pub(super) async fn definition(client: &Client, digest: Digest) -> Result<Option<String>, Error> {
    let by_digest = "SELECT source FROM definitions WHERE digest = $1";
    let row = client.query_opt(by_digest, &[&digest.to_string()]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

pub(super) async fn accepted(client: &Client) -> Result<Vec<(String, String)>, Error> {
    let all = "SELECT flow, source FROM flow_definitions ORDER BY flow";
    let rows = client.query(all, &[]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}
