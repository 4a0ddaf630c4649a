use clap::Args;

use super::AdminOption;
use super::client::Client;

#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// Ask whether it is ready instead: whether it admits, or where it has no front end, can work
    #[arg(long)]
    ready: bool,

    #[command(flatten)]
    admin: AdminOption,
}

/// Prints what `GET /healthz` says, or `GET /readyz`.
///
/// # Errors
/// Where a part is away, where it is not ready, or where nobody answers.
pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = match arguments.ready {
        true => "/readyz",
        false => "/healthz",
    };
    let said: serde_json::Value = Client::new(&arguments.admin).get(path, &[]).await?;
    println!("{said}");
    Ok(())
}
