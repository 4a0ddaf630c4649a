use super::Postgres;
use super::call::with;
use super::dead::unreadable;
use super::keep::{DECIDED_OR_DEAD, LOCK_SHARED};
use crate::erasure::{ERASED, being_moved};
use crate::{Erased, Error};
use floodgate_flow::{FlowName, sha256_16};

const BEING_MOVED: &str = include_str!("queries/being_moved.sql");
const ERASE: &str = include_str!("queries/erase.sql");

/// Under the lock that the archiver begins a file under and moves its rows
/// under: a body is not read for a file that begins meanwhile, and the decision
/// is either in `decisions` or in `moved`.
pub(super) async fn erase(ledger: &Postgres, flow: &FlowName, id: &str) -> Result<Erased, Error> {
    let (flow, hash) = (flow.as_str(), sha256_16(id.as_bytes()));
    let lock = with![DECIDED_OR_DEAD => INT4, flow => TEXT];
    let mut transaction = ledger.transaction(LOCK_SHARED, lock).await?;
    let moving = transaction
        .rows(BEING_MOVED, with![flow => TEXT, id => TEXT])
        .await?;
    if let Some(row) = moving.first() {
        return Err(being_moved(row.try_get(0)?));
    }
    let with = with![flow => TEXT, id => TEXT, &hash[..] => BYTEA, ERASED => TEXT];
    let rows = transaction.rows(ERASE, with).await?;
    let row = rows
        .first()
        .ok_or_else(|| Error::Other("an erasure gave no row".to_owned()))?;
    let count =
        |column| -> Result<u64, Error> { Ok(row.try_get::<_, i64>(column)?.unsigned_abs()) };
    let erased_at: Option<jiff::Timestamp> = row.try_get("erased_at")?;
    let erased = Erased {
        decision: count("decisions")? > 0,
        dead_letters: count("dead_letters")?,
        deliveries: count("deliveries")?,
        controls: count("controls")?,
        file: row.try_get("file")?,
        erased_at: erased_at
            .map(|at| u64::try_from(at.as_millisecond()).map_err(unreadable))
            .transpose()?,
    };
    transaction.commit().await?;
    Ok(erased)
}
