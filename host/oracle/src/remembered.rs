//! What is known of one name: its file, the choice, and the digests that it had.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::complaints::Complaints;
use super::component::Oracle;
use floodgate_flow::Digest;
use floodgate_ledger::Choice;

/// Oracles of one name that stay in memory, so that going back is immediate.
/// The compiled code of a Python oracle takes some 60 MB.
const KEPT: usize = 3;

#[derive(Default)]
pub(super) struct State {
    /// The last content of the file that loaded.
    pub file: Option<Digest>,
    /// Whether the file is still there.
    pub gone: bool,
    /// The last content that did not load: said once, not at every look.
    pub refused: Option<Digest>,
    /// When it is looked at again as if it were new.
    pub again_at: Option<Instant>,
    pub choice: Option<Choice>,
    /// Raised by each choice made here, and the one the ledger has.
    pub choices: u64,
    pub choices_saved: u64,
    /// In memory, the newest last.
    pub kept: Vec<Arc<Oracle>>,
    /// All digests that components of this name ever had; the newest comes first.
    pub history: Vec<Digest>,
    /// Whether the ledger was asked for it.
    pub history_known: bool,
    pub since: Option<Timestamp>,
    pub complaints: Complaints,
}

/// Which digest should be in force: a choice counts more than the file.
pub(super) fn wanted(file: Option<Digest>, choice: Option<&Choice>) -> Option<Digest> {
    match choice {
        Some(Choice::Pinned { digest }) => Some(*digest),
        Some(Choice::RolledBack { to, rejected }) if file.is_none_or(|file| file == *rejected) => {
            Some(*to)
        }
        Some(Choice::RolledBack { .. }) | None => file,
    }
}

impl State {
    pub fn kept(&self, digest: Digest) -> Option<Arc<Oracle>> {
        let kept = self.kept.iter().find(|oracle| oracle.digest() == digest);
        kept.cloned()
    }

    pub fn keep(&mut self, oracle: Arc<Oracle>, current: Option<Digest>) {
        self.kept.retain(|kept| kept.digest() != oracle.digest());
        self.kept.push(oracle);
        if self.kept.len() > KEPT {
            let oldest = self
                .kept
                .iter()
                .position(|kept| Some(kept.digest()) != current)
                .unwrap_or(0);
            self.kept.remove(oldest);
        }
    }

    /// What to write down when `to` comes instead of `from`. It is the file
    /// that is rejected, not what is in force: after going back twice, the
    /// file must not count as a new one.
    pub fn going_back(&self, to: Digest, from: Digest) -> Choice {
        Choice::RolledBack {
            to,
            rejected: self.file.unwrap_or(from),
        }
    }

    pub fn before(&self, digest: Digest) -> Vec<Digest> {
        let from = self.history.iter().position(|known| *known == digest);
        self.history[from.map_or(0, |at| at + 1)..].to_vec()
    }
}
