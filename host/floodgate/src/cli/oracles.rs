use clap::{Args, Subcommand};

use super::client::segment;
use super::table::{or_dash, print, short};
use super::{CallOptions, JsonOption};
use floodgate_admin::types::{Chosen, Nothing, Pin, WorkerOracle};
use floodgate_report::{OracleStatus, Standing};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    call: CallOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Go back to the digest before, until another file is dropped
    Rollback {
        /// The component's name, as flow files have it
        name: String,
        #[command(flatten)]
        call: CallOptions,
    },
    /// Hold one digest, whatever is dropped
    Pin {
        /// The component's name, as flow files have it
        name: String,
        /// The digest, or its beginning
        digest: String,
        #[command(flatten)]
        call: CallOptions,
    },
    /// Let the oracle directory count again
    Unpin {
        /// The component's name, as flow files have it
        name: String,
        #[command(flatten)]
        call: CallOptions,
    },
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        None => list(&arguments.call).await,
        Some(Command::Rollback { name, call }) => {
            let path = format!("/oracles/{}/rollback", segment(&name));
            said(&call.client().post(&path, &Nothing {}).await?, call.json)
        }
        Some(Command::Pin { name, digest, call }) => {
            let path = format!("/oracles/{}/pin", segment(&name));
            let chosen = call.client().post(&path, &Pin { digest }).await?;
            said(&chosen, call.json)
        }
        Some(Command::Unpin { name, call }) => {
            let path = format!("/oracles/{}/unpin", segment(&name));
            said(&call.client().post(&path, &Nothing {}).await?, call.json)
        }
    }
}

fn said(chosen: &Chosen, json: JsonOption) -> anyhow::Result<()> {
    json.say(chosen, || match &chosen.digest {
        Some(digest) => format!("{} runs {digest} from now on", chosen.name),
        None => format!("{} runs what lies in the oracle directory", chosen.name),
    })
}

async fn list(call: &CallOptions) -> anyhow::Result<()> {
    let rows: Vec<WorkerOracle> = call.client().get("/oracles", &[]).await?;
    let header = [
        "oracle",
        "worker",
        "digest",
        "size",
        "since",
        "calls",
        "entries",
        "faults",
        "state",
        "last error",
    ];
    let none = "no worker runs an oracle; is one started (floodgate dev, or serve --role worker)?";
    print(&rows, call.json, &header, none, |row| {
        let oracle = &row.oracle;
        vec![
            oracle.name.clone(),
            row.worker.clone(),
            or_dash(oracle.digest.map(|digest| format!("{digest:.12}"))),
            bytesize::ByteSize(oracle.size as u64).to_string(),
            or_dash(oracle.since),
            oracle.calls.to_string(),
            oracle.entries.to_string(),
            oracle.faults.to_string(),
            state(oracle),
            oracle
                .last_error
                .as_deref()
                .map_or_else(|| "-".to_owned(), |e| short(e, 60)),
        ]
    })
}

fn state(oracle: &OracleStatus) -> String {
    let of_all = match oracle {
        OracleStatus {
            digest: None,
            loading: true,
            ..
        } => "compiling",
        OracleStatus { digest: None, .. } => "waiting",
        OracleStatus {
            pinned: true,
            digest,
            file_digest: Some(dropped),
            ..
        } if *digest != Some(*dropped) => {
            return format!("pinned, {dropped:.12} was dropped");
        }
        OracleStatus { pinned: true, .. } => "pinned",
        OracleStatus {
            rolled_back: Some(_),
            ..
        } => "rolled back",
        _ => "running",
    };
    let of_flows = oracle.in_flows.iter().filter_map(|stands| {
        let flow = &stands.flow;
        Some(match stands.standing {
            Standing::Judges => return None,
            Standing::Suspected => format!("suspected in {flow}"),
            Standing::PassedOver => format!(
                "passed over in {flow} for {}",
                or_dash(stands.digest.map(|digest| format!("{digest:.12}")))
            ),
            Standing::Held => format!("holds {flow}"),
        })
    });
    let all = std::iter::once(of_all.to_owned()).chain(of_flows);
    all.collect::<Vec<_>>().join("\n")
}
