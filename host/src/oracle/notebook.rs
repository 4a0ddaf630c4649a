//! What the ledger is to know of oracles, written in the background: a ledger
//! that is away must neither hold up a swap nor forget it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::seat::Seat;
use crate::flow::Digest;
use crate::ledger::{self, Ledger};

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
}

/// Writes notes down in order, each until it is there or refused for good.
pub(super) async fn write_down(
    mut notes: mpsc::UnboundedReceiver<Note>,
    ledger: Arc<dyn Ledger>,
    shutdown: CancellationToken,
) {
    let writing = async {
        while let Some(note) = notes.recv().await {
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
    }
}

impl Note {
    fn name(&self) -> &str {
        match self {
            Self::Taken { name, .. } => name,
            Self::Chosen { seat } => &seat.name,
        }
    }
}
