use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::table::{or_dash, print};
use super::{CallOptions, JsonOption};
use crate::admin::types::FlowStatus;
use crate::flow::{Flow, Problem};

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
    Check {
        /// Directory of the flow files
        directory: PathBuf,
        #[command(flatten)]
        json: JsonOption,
    },
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        None => list(&arguments.call).await,
        Some(Command::Check { directory, json }) => check(&directory, json),
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
            [std::slice::from_ref(&row.state), &row.stuck[..]]
                .concat()
                .join("\n"),
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

/// What `flows check` found; one of both is empty.
#[derive(Serialize)]
struct Checked {
    flows: Vec<Sound>,
    problems: Vec<Problem>,
}

#[derive(Serialize)]
struct Sound {
    name: String,
    /// With their methods, such as `POST /transactions`.
    paths: Vec<String>,
}

fn check(directory: &Path, json: JsonOption) -> anyhow::Result<()> {
    let flows = match Flow::load_dir(directory) {
        Ok(flows) => flows,
        Err(problems) => {
            let error = faulty(&problems);
            let flows = Vec::new();
            json.say_in_json(&Checked { flows, problems })?;
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
    };
    json.say(&checked, || {
        let lines = checked.flows.iter();
        let lines = lines.map(|flow| format!("{}: ok, {}", flow.name, flow.paths.join(", ")));
        lines.collect::<Vec<_>>().join("\n")
    })
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
