use super::Postgres;
use super::call::with;
use crate::Error;
use floodgate_flow::{FlowName, sha256_16};

const FILE: &str = "SELECT file FROM moved WHERE flow = $1 AND id_hash = $2";

/// As `moved` knows them.
pub(super) fn id_hashes(ids: &[impl AsRef<str>]) -> Vec<Vec<u8>> {
    let hash = |id: &str| sha256_16(id.as_bytes()).to_vec();
    ids.iter().map(|id| hash(id.as_ref())).collect()
}

pub(super) async fn file(
    ledger: &Postgres,
    flow: &FlowName,
    id: &str,
) -> Result<Option<i64>, Error> {
    let hash = sha256_16(id.as_bytes());
    let rows = ledger
        .rows(FILE, with![flow.as_str() => TEXT, &hash[..] => BYTEA])
        .await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}
