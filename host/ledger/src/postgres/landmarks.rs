use super::Postgres;
use super::call::with;
use crate::Error;
use floodgate_flow::{Landmark, Partition};

const NOTE_LANDMARK: &str = include_str!("queries/note_landmark.sql");

pub(super) async fn note(
    ledger: &Postgres,
    partition: &Partition,
    landmark: &Landmark,
) -> Result<Option<Landmark>, Error> {
    let open = i64::try_from(landmark.open).unwrap_or(i64::MAX);
    let with = with![
        partition.flow.as_str() => TEXT,
        i32::from(partition.index) => INT4,
        landmark.born => TEXT,
        open => INT8,
    ];
    let row = ledger.one_row(NOTE_LANDMARK, with).await?;
    let (born, open): (Option<String>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(born.map(|born| Landmark {
        born,
        open: open.and_then(|open| u64::try_from(open).ok()).unwrap_or(0),
    }))
}
