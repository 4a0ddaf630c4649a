//! What the ledger is to know of oracles, written in the background: a ledger
//! that is away must neither hold up a swap nor forget it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::seat::Seat;
use floodgate_flow::Digest;
use floodgate_ledger::{self as ledger, Change, Event, Ledger};

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

pub(super) enum Note {
    Taken {
        name: Arc<str>,
        digest: Digest,
        bytes: Bytes,
    },
    /// The seat's choice of the moment it is written.
    Chosen { seat: Arc<Seat> },
    /// Something that nobody asked the admin API for, for the audit log.
    Event(Box<Event>),
}

impl Note {
    /// `who` is `file` or `host`.
    pub fn event(host: &Arc<str>, who: &str, action: &str, target: Value, outcome: Value) -> Self {
        let flows: Vec<String> = match (&target["flow"], &target["flows"]) {
            (Value::String(flow), _) => vec![flow.clone()],
            (_, Value::Array(flows)) => (flows.iter())
                .filter_map(|flow| Some(flow.as_str()?.to_owned()))
                .collect(),
            _ => Vec::new(),
        };
        let change = Change {
            who: who.to_owned(),
            person: None,
            peer: host.to_string(),
            action: action.to_owned(),
            target,
            flows,
            request_id: None,
        };
        Self::Event(Box::new(Event {
            change,
            outcome,
            at: u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0),
            times: 1,
        }))
    }
}

/// What happened last to each flow and each oracle, and how often in a row: all
/// processes count alike, so that one row tells of what each of them saw.
#[derive(Default)]
struct Last(HashMap<String, (String, u32)>);

impl Last {
    fn times(&mut self, event: &Event) -> u32 {
        let seen = event.seen();
        let (last, times) = self.0.entry(event.about()).or_default();
        if *last != seen {
            (*last, *times) = (seen, 0);
        }
        *times += 1;
        *times
    }
}

/// Writes notes down in order, each until it is there or refused for good.
pub(super) async fn write_down(
    mut notes: mpsc::UnboundedReceiver<Note>,
    ledger: Arc<dyn Ledger>,
    shutdown: CancellationToken,
) {
    let mut last = Last::default();
    let writing = async {
        while let Some(mut note) = notes.recv().await {
            if let Note::Event(event) = &mut note {
                event.times = last.times(event);
            }
            until_written(&note, &*ledger).await;
        }
    };
    shutdown.run_until_cancelled(writing).await;
}

async fn until_written(note: &Note, ledger: &dyn Ledger) {
    let mut pause = FIRST_PAUSE;
    let mut failed = false;
    while let Err(error) = write(note, ledger).await {
        if let ledger::Error::Data(_) = error {
            error!(oracle = note.name(), %error, "ledger refuses a note about an oracle for good, it is lost");
            return;
        }
        if !failed {
            warn!(oracle = note.name(), %error, "ledger does not take a note about an oracle, trying on");
        }
        failed = true;
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    if failed {
        info!(
            oracle = note.name(),
            "ledger took the note about the oracle"
        );
    }
}

async fn write(note: &Note, ledger: &dyn Ledger) -> Result<(), ledger::Error> {
    match note {
        Note::Taken {
            name,
            digest,
            bytes,
        } => ledger.component_taken(name, *digest, bytes).await,
        Note::Chosen { seat } => {
            let (number, choice) = seat.choice();
            ledger.choose(&seat.name, choice.as_ref()).await?;
            seat.choice_saved(number);
            Ok(())
        }
        Note::Event(event) => ledger.happened(event).await,
    }
}

impl Note {
    fn name(&self) -> &str {
        match self {
            Self::Taken { name, .. } => name,
            Self::Chosen { seat } => &seat.name,
            Self::Event(event) => &event.change.action,
        }
    }
}
