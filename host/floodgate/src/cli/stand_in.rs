use std::net::SocketAddr;

use anyhow::Context;
use clap::Args;

use super::out::print;
use floodgate_prove::stand_in::{Options, StandIn};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Address of the stand-in; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    options: Options,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { listen, options } = arguments;
    let stand_in = StandIn::bind(listen, options)
        .await
        .with_context(|| format!("listen on {listen}; free that address or choose another one"))?;
    print(format_args!(
        "stand-in on http://{}",
        stand_in.local_addr()?
    ))?;
    tokio::select! {
        () = stand_in.run() => {}
        stopped = tokio::signal::ctrl_c() => stopped.context("listen for SIGINT")?,
    }
    Ok(())
}
