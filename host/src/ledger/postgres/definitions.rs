use deadpool_postgres::Client;

use crate::flow::FlowName;
use crate::ledger::Error;

const ACCEPT: &str = "INSERT INTO flow_definitions (flow, source) VALUES ($1, $2)
    ON CONFLICT (flow) DO UPDATE SET source = excluded.source, accepted_at = now()
    WHERE flow_definitions.source <> excluded.source";

pub(super) async fn accept(client: &Client, flow: &FlowName, source: &str) -> Result<(), Error> {
    client.execute(ACCEPT, &[&flow.as_str(), &source]).await?;
    Ok(())
}

pub(super) async fn accepted(client: &Client) -> Result<Vec<(String, String)>, Error> {
    let all = "SELECT flow, source FROM flow_definitions ORDER BY flow";
    let rows = client.query(all, &[]).await?;
    rows.iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
}
