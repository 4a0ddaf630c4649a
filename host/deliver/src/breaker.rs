//! A circuit breaker: leaves a server alone that does not answer, and lets one
//! call through after a while to see whether it is back.
//!
//! The breaker judges something that many share, and the calls may carry what
//! one stranger chose. So failures count by the key that they were made for,
//! and it takes several keys to open the breaker; and the half-open breaker
//! lets exactly one call through. The kept crates of this kind count calls.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use floodgate_process::boot_time::BootTime;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Failures in a row, each of another key or of no key, that open it.
    pub failures: usize,
    /// How long it is open at first; twice as long after each failed probe.
    pub first_pause: Duration,
    pub longest_pause: Duration,
}

/// Tells whether calls may be made, and is told what became of them.
pub struct Breaker {
    policy: Policy,
    state: Mutex<State>,
    told: Box<dyn Fn(Turn) + Send + Sync>,
}

/// What changed for those who watch a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Opened,
    Closed,
}

/// Which calls may be made now.
pub enum Permit {
    All,
    /// Exactly one call, to see.
    One(Probe),
    None,
}

/// Whose failure it was.
#[derive(Clone, Copy, Debug)]
pub enum Failure<'k> {
    /// The key may be to blame: counts once for each key.
    Of(&'k str),
    /// Nothing that the call carried can be to blame, such as a refused connection.
    OfServer,
}

enum State {
    Closed {
        keys: HashSet<Box<str>>,
        of_server: usize,
    },
    Open {
        until: BootTime,
        pause: Duration,
        /// The number of the probe that is under way.
        probe: Option<u64>,
        probes: u64,
    },
}

impl State {
    fn closed() -> Self {
        Self::Closed {
            keys: HashSet::new(),
            of_server: 0,
        }
    }

    fn open(pause: Duration, probes: u64) -> Self {
        Self::Open {
            until: BootTime::now().plus(pause),
            pause,
            probe: None,
            probes,
        }
    }
}

impl Breaker {
    /// `told` is called outside of the breaker's lock, after each turn.
    pub fn new(policy: Policy, told: impl Fn(Turn) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            policy,
            state: Mutex::new(State::closed()),
            told: Box::new(told),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after every assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_closed(&self) -> bool {
        matches!(*self.lock(), State::Closed { .. })
    }

    /// Says which calls may be made now. Whoever gets a probe makes its call
    /// while it holds it; a probe that is dropped without an outcome makes room
    /// for another.
    pub fn permit(self: &Arc<Self>) -> Permit {
        match &mut *self.lock() {
            State::Closed { .. } => Permit::All,
            State::Open { until, probe, .. } if probe.is_some() || *until > BootTime::now() => {
                Permit::None
            }
            State::Open { probe, probes, .. } => {
                *probes += 1;
                *probe = Some(*probes);
                Permit::One(Probe {
                    breaker: Arc::clone(self),
                    number: *probes,
                })
            }
        }
    }

    /// Notes a call that was answered. It closes the breaker whenever the call
    /// was begun: whoever answers is there.
    pub fn succeeded(&self) {
        let before = std::mem::replace(&mut *self.lock(), State::closed());
        if let State::Open { .. } = before {
            (self.told)(Turn::Closed);
        }
    }

    /// Notes a call that was not answered. While the breaker is open this says
    /// nothing new: such calls were begun before it opened.
    pub fn failed(&self, failure: Failure<'_>) {
        let opened = {
            let mut state = self.lock();
            let opened = self.counts(&mut state, failure);
            if opened {
                *state = State::open(self.policy.first_pause, 0);
            }
            opened
        };
        if opened {
            (self.told)(Turn::Opened);
        }
    }

    /// Whether this failure is one too many.
    fn counts(&self, state: &mut State, failure: Failure<'_>) -> bool {
        let State::Closed { keys, of_server } = state else {
            return false;
        };
        match failure {
            Failure::Of(key) => _ = keys.insert(key.into()),
            Failure::OfServer => *of_server += 1,
        }
        keys.len() + *of_server >= self.policy.failures
    }
}

/// The one call that a half-open breaker lets through.
pub struct Probe {
    breaker: Arc<Breaker>,
    number: u64,
}

impl Probe {
    /// Notes that the server is still away: it is left alone for twice as long.
    pub fn failed(self) {
        let mut state = self.breaker.lock();
        if let State::Open {
            pause,
            probe,
            probes,
            ..
        } = &*state
            && *probe == Some(self.number)
        {
            let pause = (*pause * 2).min(self.breaker.policy.longest_pause);
            *state = State::open(pause, *probes);
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        if let State::Open { probe, .. } = &mut *self.breaker.lock() {
            probe.take_if(|under_way| *under_way == self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Half-open as soon as it is open.
    const AT_ONCE: Policy = Policy {
        failures: 3,
        first_pause: Duration::ZERO,
        longest_pause: Duration::ZERO,
    };
    const FOR_LONG: Policy = Policy {
        first_pause: Duration::from_secs(3600),
        longest_pause: Duration::from_secs(3600),
        ..AT_ONCE
    };

    fn breaker(policy: Policy) -> Arc<Breaker> {
        Breaker::new(policy, |_| {})
    }

    fn opened(policy: Policy) -> Arc<Breaker> {
        let breaker = breaker(policy);
        (0..3).for_each(|_| breaker.failed(Failure::OfServer));
        assert!(!breaker.is_closed());
        breaker
    }

    fn probe(breaker: &Arc<Breaker>) -> Option<Probe> {
        match breaker.permit() {
            Permit::One(probe) => Some(probe),
            Permit::All | Permit::None => None,
        }
    }

    #[test]
    fn one_key_never_opens_it_and_several_do() {
        let breaker = breaker(FOR_LONG);
        (0..100).for_each(|_| breaker.failed(Failure::Of("poison")));
        breaker.failed(Failure::Of("another"));
        assert!(matches!(breaker.permit(), Permit::All));
        breaker.failed(Failure::Of("a third"));
        assert!(matches!(breaker.permit(), Permit::None));
    }

    #[test]
    fn an_answer_forgets_the_failures_before_it() {
        let breaker = breaker(FOR_LONG);
        breaker.failed(Failure::Of("a"));
        breaker.failed(Failure::Of("b"));
        breaker.succeeded();
        breaker.failed(Failure::Of("c"));
        breaker.failed(Failure::OfServer);
        assert!(breaker.is_closed());
    }

    #[test]
    fn the_half_open_breaker_lets_exactly_one_call_through() {
        let breaker = opened(AT_ONCE);
        let first = probe(&breaker).unwrap();
        assert!((0..16).all(|_| matches!(breaker.permit(), Permit::None)));
        // It found out nothing.
        drop(first);
        let second = probe(&breaker).unwrap();
        second.failed();
        let third = probe(&breaker).unwrap();
        assert!(matches!(breaker.permit(), Permit::None));
        breaker.succeeded();
        assert!(matches!(breaker.permit(), Permit::All));
        // One of an earlier time changes nothing.
        third.failed();
        assert!(matches!(breaker.permit(), Permit::All));
    }

    #[test]
    fn calls_that_were_under_way_when_it_opened_do_not_prolong_the_pause() {
        let breaker = breaker(Policy {
            longest_pause: Duration::from_secs(3600),
            first_pause: Duration::from_millis(1),
            ..AT_ONCE
        });
        (0..3).for_each(|_| breaker.failed(Failure::OfServer));
        (0..40).for_each(|_| breaker.failed(Failure::OfServer));
        let State::Open { pause, .. } = &*breaker.lock() else {
            panic!("it is open");
        };
        assert_eq!(*pause, Duration::from_millis(1));
    }

    #[test]
    fn a_failed_probe_doubles_the_pause_up_to_the_longest() {
        let millis = Duration::from_millis;
        let breaker = opened(Policy {
            first_pause: millis(1),
            longest_pause: millis(5),
            ..AT_ONCE
        });
        let pauses: Vec<Duration> = (0..4)
            .map(|_| {
                let State::Open { until, pause, .. } = &mut *breaker.lock() else {
                    panic!("it is open");
                };
                *until = BootTime::START;
                *pause
            })
            .inspect(|_| probe(&breaker).unwrap().failed())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 5].map(millis));
    }

    #[test]
    fn each_turn_is_told_once() {
        let (opened, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let count = (opened.clone(), closed.clone());
        let breaker = Breaker::new(AT_ONCE, move |turn| {
            let count = match turn {
                Turn::Opened => &count.0,
                Turn::Closed => &count.1,
            };
            count.fetch_add(1, Ordering::Relaxed);
        });
        breaker.succeeded();
        (0..9).for_each(|_| breaker.failed(Failure::OfServer));
        drop(probe(&breaker));
        breaker.succeeded();
        breaker.succeeded();
        let told = [opened, closed].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(told, [1, 1]);
    }
}
