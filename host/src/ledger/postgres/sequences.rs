use deadpool_postgres::Client;

use crate::flow::FlowName;
use crate::ledger::Error;

const NEXT: &str = "INSERT INTO sequences (flow, next) VALUES ($1, 1 + $2::bigint)
    ON CONFLICT (flow) DO UPDATE SET next = sequences.next + $2
    RETURNING next - $2";

pub(super) async fn next(client: &Client, flow: &FlowName, count: u32) -> Result<u64, Error> {
    let statement = client.prepare_cached(NEXT).await?;
    let count = i64::from(count);
    let row = client
        .query_one(&statement, &[&flow.as_str(), &count])
        .await?;
    let first: i64 = row.try_get(0)?;
    Ok(first.unsigned_abs())
}
