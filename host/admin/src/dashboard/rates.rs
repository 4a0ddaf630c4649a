use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::types::FlowStatus;

/// What a rate is taken over: calm enough to be read.
const WINDOW: Duration = Duration::from_secs(5);

/// From the backbone's counters, so that it is the whole deployment's.
#[derive(Default)]
pub(super) struct Rates {
    /// The oldest first; the first one may be older than the window.
    samples: VecDeque<(Instant, HashMap<String, Counters>)>,
}

/// Entries ever.
#[derive(Clone, Copy)]
struct Counters {
    accepted: u64,
    settled: u64,
}

/// Entries per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Rate {
    pub accepted_per_s: f64,
    pub settled_per_s: f64,
}

impl Rates {
    /// Of each flow that was there before, since up to a window ago.
    pub fn of(&mut self, now: Instant, flows: &[FlowStatus]) -> HashMap<String, Rate> {
        let counted = flows.iter().map(|flow| {
            let settled = flow.decided + flow.dead;
            let accepted = flow.open + settled;
            (flow.name.clone(), Counters { accepted, settled })
        });
        let counted: HashMap<String, Counters> = counted.collect();
        while let Some((next, _)) = self.samples.get(1)
            && now.duration_since(*next) >= WINDOW
        {
            self.samples.pop_front();
        }
        let mut rates = HashMap::new();
        if let Some((then, before)) = self.samples.front() {
            let seconds = now.duration_since(*then).as_secs_f64().max(0.001);
            // A requeue takes from the dead, and a new backbone counts from nothing.
            let per_s = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            for (name, now) in &counted {
                let Some(before) = before.get(name) else {
                    continue;
                };
                let rate = Rate {
                    accepted_per_s: per_s(now.accepted, before.accepted),
                    settled_per_s: per_s(now.settled, before.settled),
                };
                rates.insert(name.clone(), rate);
            }
        }
        self.samples.push_back((now, counted));
        rates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(open: u64, decided: u64, dead: u64) -> FlowStatus {
        FlowStatus {
            stuck: Vec::new(),
            name: "transactions".to_owned(),
            reason: None,
            state: "running".to_owned(),
            paths: Vec::new(),
            oracles: Vec::new(),
            open,
            waiting: open,
            pending: 0,
            retrying: 0,
            lost: 0,
            oldest_ms: None,
            decided,
            dead,
        }
    }

    #[test]
    fn a_rate_is_what_the_counters_grew_by_within_the_window() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(rates.of(at(0), &[flow(0, 0, 0)]).is_empty());
        let of = |rates: &mut Rates, seconds, flow| rates.of(at(seconds), &[flow])["transactions"];
        let busy = of(&mut rates, 2, flow(10, 28, 2));
        assert_eq!((busy.accepted_per_s, busy.settled_per_s), (20.0, 15.0));
        for second in 3..=7 {
            of(&mut rates, second, flow(0, 38, 2));
        }
        let quiet = of(&mut rates, 8, flow(0, 38, 2));
        assert_eq!((quiet.accepted_per_s, quiet.settled_per_s), (0.0, 0.0));
    }

    #[test]
    fn counters_that_shrink_are_no_negative_rate() {
        let (mut rates, start) = (Rates::default(), Instant::now());
        rates.of(start, &[flow(0, 5, 5)]);
        let requeued = rates.of(start + Duration::from_secs(1), &[flow(5, 5, 0)]);
        let rate = requeued["transactions"];
        assert_eq!((rate.accepted_per_s, rate.settled_per_s), (0.0, 0.0));
    }
}
