//! How long entries take from received to settled, as it happens.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use floodgate_flow::{FlowName, StreamId};
use floodgate_report::LatencyCounts;

/// Turns that count, of a second each: enough entries for a p99 that does not
/// jump about, and few enough to see a change.
const TURNS: usize = 10;

/// A week, in milliseconds: what took longer counts as this.
const LONGEST: u64 = 7 * 24 * 3600 * 1000;

/// Of all flows that a worker works on.
#[derive(Default)]
pub struct Latencies(Mutex<BTreeMap<FlowName, Arc<FlowLatency>>>);

/// Milliseconds to settle, the latest turn first.
pub(super) struct FlowLatency(Mutex<VecDeque<Histogram<u32>>>);

impl Latencies {
    pub(super) fn of(&self, flow: &FlowName) -> Arc<FlowLatency> {
        let mut flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(FlowLatency(Mutex::new(turn().into_iter().collect())));
        flows.entry(flow.clone()).or_insert_with(new).clone()
    }

    /// What was settled within the last turns. To be called once a second: it
    /// begins another turn.
    pub fn take_turn(&self) -> LatencyCounts {
        let flows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = flows.iter().map(|(flow, latency)| {
            let counts = latency.take_turn();
            (flow.to_string(), counts)
        });
        counts.filter(|(_, counts)| !counts.is_empty()).collect()
    }
}

impl FlowLatency {
    fn turns(&self) -> MutexGuard<'_, VecDeque<Histogram<u32>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds, and how many entries took as long to settle.
    pub fn record(&self, took: impl Iterator<Item = (u64, usize)>) {
        let mut turns = self.turns();
        let mut turn = turns.front_mut();
        for (ms, entries) in took {
            if let Some(turn) = &mut turn {
                turn.saturating_record_n(ms, u32::try_from(entries).unwrap_or(u32::MAX));
            }
        }
    }

    fn take_turn(&self) -> Vec<(u64, u64)> {
        let mut turns = self.turns();
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for value in turns.iter().flat_map(Histogram::iter_recorded) {
            *counts.entry(value.value_iterated_to()).or_default() +=
                value.count_since_last_iteration();
        }
        turns.truncate(TURNS - 1);
        turns.extend(turn());
        turns.rotate_right(1);
        counts.into_iter().collect()
    }
}

/// Milliseconds from received to `now`, and how many entries took as long: they
/// are in their order, and many were received at the same time.
pub(super) fn took(
    entries: &[(StreamId, Arc<str>)],
    now: u64,
) -> impl Iterator<Item = (u64, usize)> {
    let together = entries.chunk_by(|(one, _), (next, _)| one.ms == next.ms);
    // The clocks of backbone and worker may differ.
    together.map(move |together| (now.saturating_sub(together[0].0.ms), together.len()))
}

/// Two digits are as much as a person reads. `None` never comes: these bounds
/// are allowed.
fn turn() -> Option<Histogram<u32>> {
    Histogram::new_with_bounds(1, LONGEST, 2).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_counts_by_when_it_was_received() {
        let received = |ms, seq| (StreamId { ms, seq }, Arc::from("id"));
        let entries = [
            received(7, 0),
            received(7, 1),
            received(9, 0),
            received(12, 0),
        ];
        let took: Vec<_> = took(&entries, 10).collect();
        assert_eq!(took, [(3, 2), (1, 1), (0, 1)]);
    }

    #[test]
    fn what_was_settled_counts_for_ten_turns_and_is_forgotten() {
        let latencies = Latencies::default();
        let flow = FlowName::new("transactions");
        let latency = latencies.of(&flow);
        latency.record([(5_000, 2), (0, 1)].into_iter());
        for _ in 0..TURNS {
            let counts = latencies.take_turn();
            let [(none, 1), (five, 2)] = counts["transactions"][..] else {
                panic!("{counts:?}");
            };
            assert!(none == 0 && (5_000..5_100).contains(&five), "{counts:?}");
        }
        assert!(latencies.take_turn().is_empty());
    }
}
