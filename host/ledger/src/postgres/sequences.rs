use super::Postgres;
use super::call::with;
use crate::Error;
use floodgate_flow::FlowName;

const NEXT: &str = "INSERT INTO sequences (flow, next) VALUES ($1, 1 + $2::bigint)
    ON CONFLICT (flow) DO UPDATE SET next = sequences.next + $2
    RETURNING next - $2";

pub(super) async fn next(ledger: &Postgres, flow: &FlowName, count: u32) -> Result<u64, Error> {
    let with = with![flow.as_str() => TEXT, i64::from(count) => INT8];
    let first: i64 = ledger.one_row(NEXT, with).await?.try_get(0)?;
    Ok(first.unsigned_abs())
}
