use clap::{ArgGroup, Args, Subcommand};
use jiff::Timestamp;

use super::CallOptions;
use super::client::segment;
use super::table::{or_dash, print, short};
use super::time::time_or_age;
use floodgate_admin::types::{Dead, DeadDone, Rehearsed, WhichDead};

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
        call: CallOptions,
    },
    /// Show one with its error and body
    Show {
        /// The flow that it was sent to
        flow: String,
        /// The entry's stream id, or its own id
        which: String,
        #[command(flatten)]
        call: CallOptions,
    },
    /// Append them once more, to be judged by the oracle of now
    #[command(group(some_of_them()))]
    Requeue {
        #[command(flatten)]
        which: Which,
        /// At most so many, the newest [default: all of them, and 1000 with --dry-run]
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
        limit: Option<u32>,
        /// Requeue at most so many per second
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
        rate: u32,
        /// Only say what the oracles of now would make of each
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        call: CallOptions,
    },
    /// Remove them for good
    #[command(group(some_of_them()))]
    Purge {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        call: CallOptions,
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
    /// Only those that died in the oracle of this digest, or its beginning
    #[arg(long)]
    digest: Option<String>,
    /// Only those that died since: a time such as 2026-01-31T12:00:00Z, or an age such as 2h
    #[arg(long, value_parser = time_or_age)]
    since: Option<Timestamp>,
}

/// Nobody empties the list by a slip.
fn some_of_them() -> ArgGroup {
    ArgGroup::new("some of them")
        .args(["flow", "fault", "id", "digest", "since"])
        .multiple(true)
        .required(true)
}

impl From<Which> for WhichDead {
    fn from(which: Which) -> Self {
        Self {
            flow: which.flow,
            fault: which.fault,
            id: which.id,
            digest: which.digest,
            since: which.since,
            rate: None,
            limit: None,
        }
    }
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List { which, limit, call } => list(&which, limit, &call).await,
        Command::Show { flow, which, call } => {
            let path = format!("/dead/{}/{}", segment(&flow), segment(&which));
            let dead: Dead = call.client().get(&path, &[]).await?;
            call.json.say(&dead, || tell(&dead))
        }
        Command::Requeue {
            which,
            limit,
            dry_run: true,
            call,
            ..
        } => {
            let which = WhichDead {
                limit,
                ..which.into()
            };
            rehearse(&which, &call).await
        }
        Command::Requeue {
            which,
            limit,
            rate,
            call,
            ..
        } => {
            let which = WhichDead {
                rate: Some(rate),
                limit,
                ..which.into()
            };
            act("requeue", "requeued", which, &call).await
        }
        Command::Purge { which, call } => act("purge", "purged", which.into(), &call).await,
    }
}

async fn list(which: &Which, limit: u32, call: &CallOptions) -> anyhow::Result<()> {
    let limit = limit.to_string();
    let since = which.since.map(|since| since.to_string());
    let parameters = [
        ("flow", which.flow.as_deref()),
        ("fault", which.fault.as_deref()),
        ("id", which.id.as_deref()),
        ("digest", which.digest.as_deref()),
        ("since", since.as_deref()),
        ("limit", Some(limit.as_str())),
    ];
    let rows: Vec<Dead> = call.client().get("/dead", &parameters).await?;
    let header = [
        "flow",
        "stream id",
        "id",
        "fault",
        "error",
        "attempts",
        "last",
    ];
    print(&rows, call.json, &header, "no dead letters", |row| {
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

async fn rehearse(which: &WhichDead, call: &CallOptions) -> anyhow::Result<()> {
    let rows: Vec<Rehearsed> = call.client().post("/dead/rehearse", which).await?;
    let header = ["flow", "id", "died of", "would pass", "score", "error"];
    print(&rows, call.json, &header, "no dead letters", |row| {
        let passes = if row.fault.is_none() { "yes" } else { "no" };
        let error = match (&row.fault, &row.error) {
            (Some(fault), Some(error)) => format!("{fault}: {}", short(error, 60)),
            _ => "-".to_owned(),
        };
        vec![
            row.flow.clone(),
            short(&row.id, 20),
            row.died_of.clone(),
            passes.to_owned(),
            or_dash(row.score),
            error,
        ]
    })
}

async fn act(what: &str, done: &str, which: WhichDead, call: &CallOptions) -> anyhow::Result<()> {
    let answer: DeadDone = call.client().post(&format!("/dead/{what}"), &which).await?;
    call.json.say(&answer, || {
        let erased = match answer.erased {
            0 => String::new(),
            erased => format!(" ({erased} of them erased before)"),
        };
        format!("{} {done}, {} skipped{erased}", answer.done, answer.skipped)
    })
}

fn tell(dead: &Dead) -> String {
    let by = match (&dead.oracle, &dead.digest) {
        (Some(oracle), Some(digest)) => format!(" in {oracle} {digest:.12}"),
        _ => String::new(),
    };
    format!(
        "{} {}, stream id {} of partition {}\ndied of {}{by}: {}\nattempts {}, deliveries {}; received at {}, first fault at {}, last at {}\nbody: {}",
        dead.flow,
        dead.id,
        dead.stream_id,
        dead.partition,
        dead.fault,
        dead.error,
        dead.attempts,
        dead.deliveries,
        or_dash(dead.received_at),
        or_dash(dead.first_at),
        or_dash(dead.last_at),
        match dead.erased {
            true => "erased",
            false => dead.body.as_deref().unwrap_or_default(),
        },
    )
}
