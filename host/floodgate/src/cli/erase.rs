use super::OneEntry;
use floodgate_admin::types::{Erase, Erased};

pub(super) async fn run(entry: OneEntry) -> anyhow::Result<()> {
    let OneEntry { flow, id, call } = entry;
    let what = Erase { flow, id };
    let erased: Erased = call.client().post("/erase", &what).await?;
    call.json.say(&erased, || {
        let Erased { flow, id, left, .. } = &erased;
        let left = left.as_ref().map(|left| format!("\nleft: {left}"));
        let touched = erased.touched().join(", ");
        format!(
            "erased of {flow} {id}: {touched}{}",
            left.unwrap_or_default()
        )
    })
}
