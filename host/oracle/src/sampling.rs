//! Keeps a sample of what was judged well as control entries, and takes from it
//! those that a trial asks about.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use tracing::debug;

use super::registry::Registry;
use super::trial::{ASKED, Controls};
use floodgate_flow::{Entry, Flow, FlowName, OracleUse, owner_of};
use floodgate_ledger::{Control, Sender, hour};

/// How long a trial, or a batch whose sample is kept, waits for the ledger.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest pause between two samples of a process: four an hour are kept.
/// How long one is, is drawn: nobody can tell when the next is.
const PAUSE: Duration = Duration::from_secs(10 * 60);

impl Registry {
    /// Returns those controls that a person named and those that were judged
    /// during the last day; and whether the ledger told the latter.
    pub(super) async fn controls(&self, flow: &Flow, usage: &OracleUse) -> (Controls, bool) {
        let mut controls = Controls::of_operator(flow);
        let sampled = self.ledger.controls(&flow.name, &usage.component);
        match tokio::time::timeout(PATIENCE, sampled).await {
            Ok(Ok(sampled)) => {
                controls.sampled = fair(sampled);
                (controls, true)
            }
            _ => (controls, false),
        }
    }

    /// Keeps one of the entries that an oracle judged well as a control, when it
    /// is time for one. The entries are open still: what is erased afterwards is
    /// erased there, too.
    pub async fn sample<'e>(
        &self,
        flow: &FlowName,
        usage: &OracleUse,
        judged: impl Iterator<Item = &'e Entry>,
    ) {
        let now = Timestamp::now();
        let Some(standing) = self.standing(flow, usage) else {
            return;
        };
        let Some(known) = standing.wants_control(hour(now)) else {
            return;
        };
        let Some(control) = drawn(&known, judged, now) else {
            return;
        };
        let component = &usage.component;
        let keeping = self.ledger.keep_control(flow, component, &control);
        let kept = tokio::time::timeout(PATIENCE, keeping).await;
        let pause = PAUSE.mul_f64(rand::random::<f64>());
        if let Ok(Ok(())) = kept {
            standing.offered(Some(control.sender), pause);
        } else {
            debug!(%flow, %component, "control not kept, the ledger is away");
            standing.offered(None, pause);
        }
    }

    /// Has the ledger forget what is older than a day.
    pub(super) async fn forget_controls(&self) {
        if let Err(error) = self.ledger.forget_controls().await {
            debug!(%error, "controls of yesterday not forgotten, trying again");
        }
    }
}

/// Draws one of the senders that are not known yet, and then one of its entries:
/// whoever sends most is drawn no more often.
fn drawn<'e>(
    known: &[Sender],
    judged: impl Iterator<Item = &'e Entry>,
    now: Timestamp,
) -> Option<Control> {
    let mut owners: BTreeMap<Option<&str>, Vec<&Entry>> = BTreeMap::new();
    for entry in judged {
        if !known.iter().any(|sender| sender.sent(entry, now)) {
            let owner = owner_of(&entry.attributes);
            owners.entry(owner).or_default().push(entry);
        }
    }
    let entries = owners.values().nth(below(owners.len())?)?;
    Control::of(entries[below(entries.len())?], now)
}

/// Draws a number below another one.
fn below(many: usize) -> Option<usize> {
    (rand::random::<u64>() as usize).checked_rem(many)
}

/// Orders controls so that no sender has more than a quarter of them, nor of any
/// part from the beginning; what is beyond that is left out. Where fewer than
/// four owners of keys are known, none has more than another. What came without a
/// key counts only when it came in four quarters of an hour: one burst is nothing
/// to judge an oracle by.
fn fair(controls: Vec<Control>) -> Vec<Entry> {
    let mut senders: BTreeMap<Sender, Vec<Entry>> = BTreeMap::new();
    for Control { sender, entry } in controls {
        senders.entry(sender).or_default().push(entry);
    }
    let all_own_keys = senders
        .keys()
        .all(|sender| matches!(sender, Sender::Owner(_)));
    let parts = match all_own_keys {
        true => senders.len().min(4),
        false => 4,
    };
    let senders: Vec<Vec<Entry>> = senders.into_values().collect();
    let up_to = |most: usize| senders.iter().map(move |of_one| of_one.len().min(most));
    let most = (1..=ASKED).take_while(|most| up_to(*most).sum::<usize>() >= parts * most);
    let most = most.last().unwrap_or(0);
    // More senders than are asked about: some of the whole day.
    let asked = senders.len().min(ASKED);
    let turns = (0..most).flat_map(|round| (0..asked).map(move |turn| (round, turn)));
    let fair = turns.filter_map(|(round, turn)| {
        let sender = senders.get(turn * senders.len() / asked)?;
        sender.get(round).cloned()
    });
    fair.take(ASKED).collect()
}

#[cfg(test)]
#[path = "sampling_tests.rs"]
mod tests;
