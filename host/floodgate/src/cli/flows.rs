use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::flows_tried::{self, Tried};
use super::table::{or_dash, print, short};
use super::{CallOptions, JsonOption};
use floodgate_admin::types::FlowStatus;
use floodgate_flow::{Flow, Problem};

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
    /// Check flow files without starting anything
    ///
    /// Oracles that are there judge the control entries of the flows that use
    /// them: the examples of their schemas, and the lines of `controls`.
    Check {
        /// Directory of the flow files
        directory: PathBuf,
        /// Directory of the oracles (<name>.wasm)
        #[arg(long, env = "FLOODGATE_ORACLES", default_value = "plugins/dist")]
        oracles: PathBuf,
        #[command(flatten)]
        json: JsonOption,
    },
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        None => list(&arguments.call).await,
        Some(Command::Check {
            directory,
            oracles,
            json,
        }) => check(&directory, &oracles, json),
    }
}

async fn list(call: &CallOptions) -> anyhow::Result<()> {
    let rows: Vec<FlowStatus> = call.client().get("/flows", &[]).await?;
    let header = [
        "flow", "state", "paths", "oracles", "open", "pending", "retrying", "oldest", "lost",
    ];
    print(&rows, call.json, &header, "no flows", |row| {
        vec![
            row.name.clone(),
            state(row),
            row.paths.join("\n"),
            row.oracles.join("\n"),
            row.open.to_string(),
            row.pending.to_string(),
            row.retrying.to_string(),
            or_dash(row.oldest_ms.map(|ms| {
                humantime::format_duration(Duration::from_millis(ms / 100 * 100)).to_string()
            })),
            row.lost.to_string(),
        ]
    })
}

/// What `flows check` found.
#[derive(Serialize)]
struct Checked {
    flows: Vec<Sound>,
    problems: Vec<Problem>,
    trials: Vec<Tried>,
}

#[derive(Serialize)]
struct Sound {
    name: String,
    /// With their methods, such as `POST /transactions`.
    paths: Vec<String>,
}

fn check(directory: &Path, oracles: &Path, json: JsonOption) -> anyhow::Result<()> {
    let flows = match Flow::load_dir(directory) {
        Ok(flows) => flows,
        Err(problems) => {
            let error = faulty(&problems);
            json.say_in_json(&Checked {
                flows: Vec::new(),
                problems,
                trials: Vec::new(),
            })?;
            return Err(error);
        }
    };
    let sound = |flow: &Flow| {
        let paths = flow
            .paths()
            .map(|(method, path)| format!("{method} {path}"));
        Sound {
            name: flow.name.to_string(),
            paths: paths.collect(),
        }
    };
    let checked = Checked {
        flows: flows.iter().map(sound).collect(),
        problems: Vec::new(),
        trials: flows_tried::try_all(&flows, oracles)?,
    };
    json.say(&checked, || {
        let flows = checked.flows.iter();
        let flows = flows.map(|flow| format!("{}: ok, {}", flow.name, flow.paths.join(", ")));
        let trials = checked.trials.iter().filter(|tried| !tried.is_well());
        flows
            .chain(trials.map(ToString::to_string))
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    match checked.trials.iter().filter(|tried| tried.fails()).count() {
        0 => Ok(()),
        failing => Err(anyhow!(
            "{failing} oracles fail the controls of their flows"
        )),
    }
}

/// # Errors
/// All problems of all files at once.
pub(super) fn load(directory: &Path) -> anyhow::Result<Vec<Flow>> {
    Flow::load_dir(directory).map_err(|problems| faulty(&problems))
}

fn faulty(problems: &[Problem]) -> anyhow::Error {
    let lines: Vec<String> = problems.iter().map(|p| format!("\n  {p}")).collect();
    anyhow!("the flow files have problems:{}", lines.concat())
}

/// Says the state of a flow, with why it is held and what is stuck of it.
fn state(row: &FlowStatus) -> String {
    let state = match &row.reason {
        Some(reason) => format!("{}: {}", row.state, short(reason, 60)),
        None => row.state.clone(),
    };
    [&[state][..], &row.stuck[..]].concat().join("\n")
}
