use anyhow::bail;
use clap::Args;
use serde_json::{Map, Value};

use super::CallOptions;
use super::table::lined;

#[derive(Clone, Debug, Args)]
pub(super) struct Arguments {
    /// Ask whether it is ready instead: whether it admits, or where it has no front end, can work
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    call: CallOptions,
}

/// Prints what `GET /healthz` says, or `GET /readyz`.
///
/// # Errors
/// Where a part is away, where it is not ready, or where nobody answers.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { ready, call } = arguments;
    let (path, otherwise) = match ready {
        true => ("/readyz", "it is not ready"),
        false => (
            "/healthz",
            "not all is well; the log of the host names the address that does not answer",
        ),
    };
    let (status, said) = call.client().state::<Map<_, _>>(path).await?;
    call.json.say(&said, || {
        let rows = said.iter().map(|(part, is)| [part.clone(), plain(is)]);
        lined(&["part", "state"], rows).to_string()
    })?;
    if !status.is_success() {
        let reasons = said
            .get("reasons")
            .map(|reasons| format!(": {}", plain(reasons)));
        bail!("{otherwise}{}", reasons.unwrap_or_default());
    }
    Ok(())
}

fn plain(state: &Value) -> String {
    match state {
        Value::String(state) => state.clone(),
        Value::Array(states) => states.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
