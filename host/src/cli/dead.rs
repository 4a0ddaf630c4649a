use clap::{Args, Subcommand};

use super::client::{Client, segment};
use super::table::{or_dash, print, short};
use super::{AdminOption, JsonOption};
use crate::admin::types::{Dead, DeadDone, WhichDead};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List dead letters, newest first
    List {
        #[command(flatten)]
        which: Which,
        /// At most so many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        #[command(flatten)]
        json: JsonOption,
        #[command(flatten)]
        admin: AdminOption,
    },
    /// Show one with its error and body
    Show {
        flow: String,
        /// The entry's stream id, or its own id
        which: String,
        #[command(flatten)]
        admin: AdminOption,
    },
    /// Append them once more, to be judged by the oracle of now
    Requeue {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        admin: AdminOption,
    },
    /// Remove them for good
    Purge {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        admin: AdminOption,
    },
}

#[derive(Debug, Args)]
pub(super) struct Which {
    /// Only those of this flow
    #[arg(long)]
    flow: Option<String>,
    /// Only those that died of this fault, such as trap or timeout
    #[arg(long)]
    fault: Option<String>,
    /// Only the entry with this id
    #[arg(long)]
    id: Option<String>,
}

impl From<Which> for WhichDead {
    fn from(which: Which) -> Self {
        Self {
            flow: which.flow,
            fault: which.fault,
            id: which.id,
        }
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List {
            which,
            limit,
            json,
            admin,
        } => list(&which, limit, json, &admin).await,
        Command::Show { flow, which, admin } => {
            let path = format!("/dead/{}/{}", segment(&flow), segment(&which));
            let dead: Dead = Client::new(&admin).get(&path, &[]).await?;
            println!("{}", serde_json::to_string_pretty(&dead)?);
            Ok(())
        }
        Command::Requeue { which, admin } => act("requeue", "requeued", which, &admin).await,
        Command::Purge { which, admin } => act("purge", "purged", which, &admin).await,
    }
}

async fn list(
    which: &Which,
    limit: u32,
    json: JsonOption,
    admin: &AdminOption,
) -> anyhow::Result<()> {
    let limit = limit.to_string();
    let parameters = [
        ("flow", which.flow.as_deref()),
        ("fault", which.fault.as_deref()),
        ("id", which.id.as_deref()),
        ("limit", Some(limit.as_str())),
    ];
    let rows: Vec<Dead> = Client::new(admin).get("/dead", &parameters).await?;
    let header = [
        "flow",
        "stream id",
        "id",
        "fault",
        "error",
        "attempts",
        "last",
    ];
    print(&rows, json, &header, "no dead letters", |row| {
        vec![
            row.flow.clone(),
            row.stream_id.clone(),
            short(&row.id, 20),
            row.fault.clone(),
            short(&row.error, 60),
            row.attempts.to_string(),
            or_dash(row.last_at),
        ]
    })
}

async fn act(what: &str, done: &str, which: Which, admin: &AdminOption) -> anyhow::Result<()> {
    let answer: DeadDone = Client::new(admin)
        .post(&format!("/dead/{what}"), &WhichDead::from(which))
        .await?;
    println!("{} {done}, {} skipped", answer.done, answer.skipped);
    Ok(())
}
