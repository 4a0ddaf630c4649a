use super::OneEntry;
use crate::admin::types::{Erase, Erased};

pub(super) async fn run(entry: OneEntry) -> anyhow::Result<()> {
    let OneEntry { flow, id, call } = entry;
    let what = Erase { flow, id };
    let erased: Erased = call.client().post("/erase", &what).await?;
    call.json.say(&erased, || {
        let Erased { flow, id, .. } = &erased;
        format!("erased of {flow} {id}: {}", erased.touched().join(", "))
    })
}
