use clap::Args;

use super::client::Client;
use super::{AdminOption, JsonOption};
use crate::admin::types::{Erase, Erased};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The flow that it was sent to
    flow: String,
    /// The entry's id, as the flow normalises it
    id: String,
    #[command(flatten)]
    json: JsonOption,
    #[command(flatten)]
    admin: AdminOption,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments {
        flow,
        id,
        json,
        admin,
    } = arguments;
    let what = Erase { flow, id };
    let erased: Erased = Client::new(&admin).post("/erase", &what).await?;
    json.say(&erased, || {
        let Erased { flow, id, .. } = &erased;
        format!("erased of {flow} {id}: {}", erased.touched().join(", "))
    })
}
