//! How an oracle stands in one flow: whether it judges there by its
//! `[[oracle]]` table, gives way to a version before it, or holds the flow up.
//! What is found in one flow says nothing about another. No I/O.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::component::Oracle;
use super::health::{Condition, Health};
use super::observation::Observation;
use super::trial::{Conviction, Finding};
use floodgate_flow::{Digest, Flow, OracleUse};
use floodgate_ledger::{AN_HOUR, Sender};
use floodgate_process::metrics::table::FLOW_HELD;
use floodgate_report::{InFlow, Standing as Shown};

/// How long the finding of a trial counts. The same oracle gives the same
/// answers; only the controls change meanwhile.
const FRESH: Duration = Duration::from_secs(30);

/// One `[[oracle]]` table of one flow.
pub(super) struct Standing {
    pub flow: Arc<Flow>,
    pub usage: OracleUse,
    /// Held during a trial: what two batches suspect at once is tried once.
    pub trying: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What had happened to the component's file and choice so far.
    events: u64,
    health: Health,
    tried: HashMap<Digest, (Instant, Finding)>,
    substitute: Option<Substitute>,
    held: Option<Arc<Held>>,
    sampling: Sampling,
}

/// When a control is kept next of what is judged.
#[derive(Clone, Default)]
struct Sampling {
    /// `None`: at once.
    due: Option<Instant>,
    hour: i64,
    /// Whose controls of that hour are kept.
    senders: Vec<Sender>,
}

impl Sampling {
    fn wants(&mut self, hour: i64) -> Option<Vec<Sender>> {
        if self.due.is_some_and(|due| due > Instant::now()) {
            return None;
        }
        if self.hour != hour {
            self.hour = hour;
            self.senders.clear();
        }
        (self.senders.len() < AN_HOUR).then(|| self.senders.clone())
    }
}

/// A version before the one in force judges here, because that one is broken.
#[derive(Clone)]
struct Substitute {
    broken: Digest,
    oracle: Arc<Oracle>,
    why: Conviction,
    since: Timestamp,
}

/// Why a flow reads nothing and admits nothing.
#[derive(Clone, Debug)]
pub struct Held {
    pub component: Arc<str>,
    pub digest: Digest,
    pub why: Conviction,
    pub since: Timestamp,
}

/// Who judges for a flow.
#[derive(Clone)]
pub enum Judge {
    Is(Arc<Oracle>),
    /// No component of this name is there.
    Missing,
    /// It was convicted just now, and what comes of it is not settled yet.
    OnTrial,
    Held(Arc<Held>),
}

/// What changed when a standing was looked at.
pub(super) enum Ended {
    Nothing,
    /// The hold, by what happened to the component.
    Hold(Arc<Held>),
}

impl Standing {
    pub fn new(flow: &Arc<Flow>, usage: &OracleUse) -> Self {
        Self {
            flow: Arc::clone(flow),
            usage: usage.clone(),
            trying: tokio::sync::Mutex::default(),
            state: Mutex::default(),
        }
    }

    pub fn is_of(&self, usage: &OracleUse) -> bool {
        self.usage.is_like(usage)
    }

    /// Sets the gauge that tells whether it holds the flow up.
    pub fn measure(&self) {
        let labels = [self.flow.name.as_str(), &self.usage.component];
        let held = self.state().held.is_some();
        FLOW_HELD.of(labels).set(f64::from(u8::from(held)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who judges, where `current` is in force and `events` happened to it.
    /// Whatever was found before the last event is forgotten.
    pub fn judge(&self, current: Option<Arc<Oracle>>, events: u64) -> (Judge, Ended) {
        let mut state = self.state();
        let digest = current.as_ref().map(|oracle| oracle.digest());
        let mut ended = Ended::Nothing;
        let is_other = |held: &Arc<Held>| Some(held.digest) != digest;
        if (state.events != events || state.held.as_ref().is_some_and(is_other))
            && let Some(held) = state.held.take()
        {
            ended = Ended::Hold(held);
        }
        if state.events != events {
            *state = State {
                events,
                sampling: std::mem::take(&mut state.sampling),
                ..State::default()
            };
        }
        let Some(current) = current else {
            return (Judge::Missing, ended);
        };
        let judge = if let Some(held) = &state.held {
            Judge::Held(Arc::clone(held))
        } else if let Some(substitute) = state.substitute_of(current.digest()) {
            Judge::Is(Arc::clone(&substitute.oracle))
        } else if state.is_convicted(current.digest()) {
            Judge::OnTrial
        } else {
            Judge::Is(current)
        };
        (judge, ended)
    }

    pub fn observe(&self, judged: &Observation<'_>) -> Condition {
        let Observation {
            succeeded,
            broke,
            refused,
            ..
        } = *judged;
        self.state().health.observe(succeeded, broke, refused)
    }

    /// Returns the senders whose controls of an hour are kept already, as far as
    /// this process knows; `None` while it is not time for another one.
    pub fn wants_control(&self, hour: i64) -> Option<Vec<Sender>> {
        self.state().sampling.wants(hour)
    }

    /// Notes that a control was offered; with the sender where the ledger took it
    /// or has one already.
    pub fn offered(&self, sender: Option<Sender>, next: Duration) {
        let mut state = self.state();
        state.sampling.due = Some(Instant::now() + next);
        state.sampling.senders.extend(sender);
    }

    /// The finding of the last trial of a digest, while it counts.
    pub fn found(&self, digest: Digest) -> Option<Finding> {
        let state = self.state();
        let (at, finding) = state.tried.get(&digest)?;
        (at.elapsed() < FRESH).then(|| finding.clone())
    }

    /// What was refused before counts no more: it was settled.
    pub fn note(&self, digest: Digest, finding: &Finding) {
        let mut state = self.state();
        state.health = Health::default();
        if matches!(finding, Finding::Unheard(_)) {
            return;
        }
        let noted = (Instant::now(), finding.clone());
        state.tried.insert(digest, noted);
    }

    /// Lets `oracle` judge instead of the broken one in force. Returns the
    /// hold that this ends.
    pub fn replace(
        &self,
        broken: Digest,
        oracle: Arc<Oracle>,
        why: Conviction,
    ) -> Option<Arc<Held>> {
        let mut state = self.state();
        state.health = Health::default();
        state.substitute = Some(Substitute {
            broken,
            oracle,
            why,
            since: Timestamp::now(),
        });
        state.held.take()
    }

    /// Holds the flow. False: it was held already.
    pub fn hold(&self, digest: Digest, why: Conviction) -> bool {
        let mut state = self.state();
        let since = match &state.held {
            Some(held) => held.since,
            None => Timestamp::now(),
        };
        let held = Held {
            component: Arc::clone(&self.usage.component),
            digest,
            why,
            since,
        };
        state.held.replace(Arc::new(held)).is_none()
    }

    /// Ends the hold, if there is one.
    pub fn release(&self) -> Option<Arc<Held>> {
        self.state().held.take()
    }

    /// What a person is shown, where `current` is in force.
    pub fn shown(&self, current: Option<Digest>) -> InFlow {
        let state = self.state();
        let substitute = current.and_then(|current| state.substitute_of(current));
        let (standing, digest, why, since) = match (&state.held, substitute) {
            (Some(held), _) => (
                Shown::Held,
                Some(held.digest),
                Some(&held.why),
                Some(held.since),
            ),
            (None, Some(by)) => (
                Shown::PassedOver,
                Some(by.oracle.digest()),
                Some(&by.why),
                Some(by.since),
            ),
            (None, None) => {
                let tried = current.and_then(|current| state.tried.get(&current));
                match tried {
                    Some((_, Finding::Unclear(why))) => {
                        (Shown::Suspected, current, Some(why), None)
                    }
                    _ => (Shown::Judges, current, None, None),
                }
            }
        };
        InFlow {
            flow: self.flow.name.to_string(),
            standing,
            digest,
            reason: why.map(|why| format!("{}: {}", why.how(), why.error)),
            since,
        }
    }
}

impl State {
    fn substitute_of(&self, digest: Digest) -> Option<&Substitute> {
        let substitute = self.substitute.as_ref();
        substitute.filter(|substitute| substitute.broken == digest)
    }

    fn is_convicted(&self, digest: Digest) -> bool {
        matches!(self.tried.get(&digest), Some((_, Finding::Convicted(_))))
    }
}
