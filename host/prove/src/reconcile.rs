//! Holds what the client saw against what is stored. It knows no server, so
//! that tests can show it everything that may go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use serde::Serialize;

use super::entry::Fate;
use super::flows::ProvenFlow;

/// How many ids of each kind of mistake are shown.
const SHOWN: usize = 10;

/// What the client knows of one id.
#[derive(Clone, Debug)]
pub struct Sent {
    pub answer: Answer,
    pub body: Bytes,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Accepted,
    /// A refusal that sending again does not change.
    Rejected(u16),
    /// Refused or not answered until the end, though it was sent again.
    None,
    /// Of the hostile client: it may be there or not, nobody waited for it.
    Unawaited,
}

/// A row of `decisions`.
#[derive(Clone, Debug)]
pub struct DecisionRow {
    pub id: String,
    pub body: String,
    pub score: Option<f64>,
    /// Digests of the oracles that judged it.
    pub digests: Vec<String>,
}

/// A row of `dead_letters`.
#[derive(Clone, Debug)]
pub struct DeadRow {
    pub id: String,
    pub fault: String,
}

/// One flow, as it was left.
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub sent: BTreeMap<String, Sent>,
    pub decisions: Vec<DecisionRow>,
    pub dead: Vec<DeadRow>,
    /// Digests of the oracles that were dropped.
    pub digests: BTreeSet<String>,
    /// Entries appended to the backbone, ever.
    pub appended: u64,
    /// Appended and neither settled nor dead.
    pub open: u64,
}

/// What may be wrong, from the worst on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mistake {
    /// Accepted, to be kept or to die, and neither decided nor dead.
    Lost,
    /// More than one decision, or more than one dead letter.
    Doubled,
    DecidedAndDead,
    /// Accepted, and the backbone counts fewer entries: of those that are not
    /// kept nothing else would tell.
    NotAppended,
    /// Appended more often than there are ids that may have been.
    AppendedTwice,
    /// Still in the backbone.
    Open,
    /// Stored, and the client never sent it.
    Unknown,
    /// Kept, and below the threshold.
    KeptWrongly,
    /// Another body, score or oracle than the entry's; or a dead letter of
    /// fault `conflict`, though no id was sent with two bodies.
    Differs,
    /// Dead without a reason to die.
    DeadWrongly,
    /// Decided, though its oracle traps on it.
    DecidedWrongly,
    /// Refused for good, though there was nothing wrong with it.
    Rejected,
    /// Not answered until the end.
    Unanswered,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Doubled => "stored twice",
            Self::DecidedAndDead => "decided and dead",
            Self::NotAppended => "accepted and not appended",
            Self::AppendedTwice => "appended twice",
            Self::Open => "still open",
            Self::Unknown => "never sent",
            Self::KeptWrongly => "kept below the threshold",
            Self::Differs => "other body, score or oracle",
            Self::DeadWrongly => "dead without a reason",
            Self::DecidedWrongly => "decided instead of dead",
            Self::Rejected => "refused for good",
            Self::Unanswered => "never answered",
        })
    }
}

/// What became of a flow's entries.
#[derive(Debug, Serialize)]
pub struct Reconciliation {
    pub flow: ProvenFlow,
    pub sent: usize,
    pub accepted: usize,
    pub decided: usize,
    pub dead: usize,
    /// Accepted, below the threshold, and rightly in neither set.
    pub not_kept: usize,
    pub mistakes: BTreeMap<Mistake, Cases>,
}

/// How often, and some of the ids.
#[derive(Debug, Default, Serialize)]
pub struct Cases {
    pub count: u64,
    pub examples: Vec<String>,
}

impl Reconciliation {
    pub fn is_right(&self) -> bool {
        self.mistakes.is_empty()
    }

    fn found(&mut self, mistake: Mistake, example: impl Into<String>) {
        let cases = self.mistakes.entry(mistake).or_default();
        cases.count += 1;
        if cases.examples.len() < SHOWN {
            cases.examples.push(example.into());
        }
    }

    fn counted(&mut self, mistake: Mistake, count: u64) {
        if count > 0 {
            self.mistakes.entry(mistake).or_default().count += count;
        }
    }
}

/// What is stored of one id.
#[derive(Default)]
struct Stored<'b> {
    decisions: Vec<&'b DecisionRow>,
    dead: Vec<&'b DeadRow>,
}

/// Looks at every id from both sides. Nothing is wrong only where each id
/// that was accepted is exactly what it has to be, and nothing else is there.
pub fn reconcile(flow: ProvenFlow, books: &Books) -> Reconciliation {
    let accepted = |sent: &&Sent| sent.answer == Answer::Accepted;
    let mut result = Reconciliation {
        flow,
        sent: books.sent.len(),
        accepted: books.sent.values().filter(accepted).count(),
        decided: books.decisions.len(),
        dead: books.dead.len(),
        not_kept: 0,
        mistakes: BTreeMap::new(),
    };
    let mut stored: BTreeMap<&str, Stored> = BTreeMap::new();
    for row in &books.decisions {
        stored.entry(&row.id).or_default().decisions.push(row);
    }
    for row in &books.dead {
        stored.entry(&row.id).or_default().dead.push(row);
    }
    for (id, sent) in &books.sent {
        let stored = stored.remove(id.as_str()).unwrap_or_default();
        look_at(&mut result, books, id, sent, &stored);
    }
    for id in stored.into_keys() {
        result.found(Mistake::Unknown, id);
    }
    // Without an answer an entry may have been appended all the same.
    let rejected = |sent: &&Sent| matches!(sent.answer, Answer::Rejected(_));
    let most = books.sent.len() - books.sent.values().filter(rejected).count();
    let twice = books.appended.saturating_sub(most as u64);
    result.counted(Mistake::AppendedTwice, twice);
    let missing = (result.accepted as u64).saturating_sub(books.appended);
    result.counted(Mistake::NotAppended, missing);
    result.counted(Mistake::Open, books.open);
    result
}

fn look_at(result: &mut Reconciliation, books: &Books, id: &str, sent: &Sent, stored: &Stored) {
    match sent.answer {
        Answer::Accepted | Answer::Unawaited => {}
        Answer::Rejected(status) => {
            result.found(Mistake::Rejected, format!("{id}: HTTP {status}"));
        }
        Answer::None => result.found(Mistake::Unanswered, id),
    }
    if stored.decisions.len() > 1 || stored.dead.len() > 1 {
        result.found(Mistake::Doubled, id);
    }
    if !stored.decisions.is_empty() && !stored.dead.is_empty() {
        result.found(Mistake::DecidedAndDead, id);
    }
    if stored.decisions.is_empty() && stored.dead.is_empty() {
        match sent.fate {
            Fate::NotKept => result.not_kept += usize::from(sent.answer == Answer::Accepted),
            _ if sent.answer == Answer::Accepted => result.found(Mistake::Lost, id),
            _ => {}
        }
    }
    for row in &stored.decisions {
        match sent.fate {
            Fate::Kept { score } => {
                let by_ours = row.digests.iter().all(|d| books.digests.contains(d));
                let judged = by_ours && !row.digests.is_empty();
                if row.score != Some(score) || row.body.as_bytes() != sent.body || !judged {
                    result.found(Mistake::Differs, id);
                }
            }
            Fate::NotKept => result.found(Mistake::KeptWrongly, id),
            Fate::Dead(_) => result.found(Mistake::DecidedWrongly, id),
        }
    }
    for row in &stored.dead {
        match (sent.fate, row.fault.as_str()) {
            (_, "conflict") => result.found(Mistake::Differs, id),
            (Fate::Dead(faults), fault) if faults.iter().any(|f| f.as_str() == fault) => {}
            (_, fault) => result.found(Mistake::DeadWrongly, format!("{id}: {fault}")),
        }
    }
}

#[cfg(test)]
#[path = "reconcile_tests.rs"]
mod tests;
