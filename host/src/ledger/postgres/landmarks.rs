use deadpool_postgres::Client;

use crate::backbone::{Landmark, Partition};
use crate::ledger::Error;

const NOTE_LANDMARK: &str = include_str!("queries/note_landmark.sql");

pub(super) async fn note(
    client: &Client,
    partition: &Partition,
    landmark: &Landmark,
) -> Result<Option<Landmark>, Error> {
    let index = i32::from(partition.index);
    let open = i64::try_from(landmark.open).unwrap_or(i64::MAX);
    let flow = partition.flow.as_str();
    let row = client
        .query_one(NOTE_LANDMARK, &[&flow, &index, &landmark.born, &open])
        .await?;
    let (born, open): (Option<String>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(born.map(|born| Landmark {
        born,
        open: open.and_then(|open| u64::try_from(open).ok()).unwrap_or(0),
    }))
}
