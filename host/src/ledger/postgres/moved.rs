use deadpool_postgres::Client;

use crate::flow::{FlowName, sha256_16};
use crate::ledger::Error;

const FILE: &str = "SELECT file FROM moved WHERE flow = $1 AND id_hash = $2";

/// As `moved` knows them.
pub(super) fn id_hashes(ids: &[impl AsRef<str>]) -> Vec<Vec<u8>> {
    let hash = |id: &str| sha256_16(id.as_bytes()).to_vec();
    ids.iter().map(|id| hash(id.as_ref())).collect()
}

pub(super) async fn file(client: &Client, flow: &FlowName, id: &str) -> Result<Option<i64>, Error> {
    let statement = client.prepare_cached(FILE).await?;
    let hash = sha256_16(id.as_bytes());
    let row = client
        .query_opt(&statement, &[&flow.as_str(), &&hash[..]])
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}
