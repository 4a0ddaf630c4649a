//! Puts oracles on trial, and does what comes of it: for one flow by one of
//! its `[[oracle]]` tables, and for nobody else.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::MissedTickBehavior;
use tracing::{error, info, warn};

use super::component::Oracle;
use super::health::Condition;
use super::notebook::Note;
use super::observation::Observation;
use super::registry::Registry;
use super::seat::Seat;
use super::standing::{Ended, Held, Judge, Standing};
use super::trial::{Conviction, Finding, Manner, try_oracle};
use floodgate_flow::{Digest, Flow, FlowName, OracleUse};
use floodgate_process::metrics::table::ORACLE_TRIALS;

/// How often an oracle that holds a flow is tried again.
const AGAIN: Duration = Duration::from_secs(30);
/// Versions before a broken one that are looked at: each is compiled and tried.
const LOOKED_AT: usize = 5;

/// What came of a suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The oracle judges on: what it failed is about the entry.
    ItStays,
    /// Another version judges, or the flow is held.
    AskAgain,
}

/// Why a flow cannot be worked on.
#[derive(Clone, Debug)]
pub enum Hindrance {
    Missing(Arc<str>),
    Held(Arc<Held>),
}

/// What speaks against a file.
pub(super) struct Against {
    pub flow: Arc<Flow>,
    pub why: Conviction,
    /// False: the ledger may tell of controls that speak for it.
    pub is_settled: bool,
}

impl Registry {
    /// Who judges for a flow by this table.
    pub fn judge_of(&self, flow: &FlowName, usage: &OracleUse) -> Judge {
        let Some(seat) = self.seat_of(&usage.component) else {
            return Judge::Missing;
        };
        match self.standing(flow, usage) {
            Some(standing) => self.judge(&standing, &seat),
            // A batch by a definition that is not in force any more.
            None => seat.current().map_or(Judge::Missing, Judge::Is),
        }
    }

    fn judge(&self, standing: &Standing, seat: &Seat) -> Judge {
        let (judge, ended) = standing.judge(seat.current(), seat.events());
        if let Ended::Hold(held) = ended {
            self.released(
                &standing.flow,
                &held,
                "the component or the choice of it changed",
            );
        }
        judge
    }

    /// Says why the flow cannot be worked on, if it cannot.
    pub fn hindrance(&self, flow: &Flow) -> Option<Hindrance> {
        let mut uses = flow.oracles.iter();
        uses.find_map(|usage| match self.judge_of(&flow.name, usage) {
            Judge::Is(_) => None,
            Judge::Missing | Judge::OnTrial => Some(Hindrance::Missing(usage.component.clone())),
            Judge::Held(held) => Some(Hindrance::Held(held)),
        })
    }

    /// Notes what became of a batch, and says whether the oracle is to be put
    /// on trial.
    pub fn observe(
        &self,
        flow: &FlowName,
        usage: &OracleUse,
        oracle: &Oracle,
        judged: &Observation<'_>,
    ) -> Condition {
        if let Some(seat) = self.seat_of(&usage.component) {
            seat.observe(oracle.digest(), judged);
        }
        match self.standing(flow, usage) {
            Some(standing) => standing.observe(judged),
            None => Condition::Fine,
        }
    }

    /// Settles by a trial whether a suspicious oracle is broken.
    pub async fn put_on_trial(
        &self,
        flow: &FlowName,
        usage: &OracleUse,
        oracle: &Arc<Oracle>,
    ) -> Settled {
        let (Some(standing), Some(seat)) =
            (self.standing(flow, usage), self.seat_of(&usage.component))
        else {
            return Settled::ItStays;
        };
        let _one_at_a_time = standing.trying.lock().await;
        match self.judge(&standing, &seat) {
            Judge::Is(now) if now.digest() == oracle.digest() => {}
            Judge::OnTrial => {}
            _ => return Settled::AskAgain,
        }
        let finding = self.found(&standing, oracle).await;
        self.conclude(&standing, &seat, oracle, finding).await
    }

    /// Tries a file before it comes into force.
    ///
    /// # Errors
    /// What speaks against it where it breaks in every flow that uses it.
    pub(super) async fn try_file(&self, seat: &Seat, oracle: &Arc<Oracle>) -> Result<(), Against> {
        let standings = self.standings_of(&seat.name);
        let tried = standings.iter().map(|standing| async {
            // Forgets first what was found before the file came.
            self.judge(standing, seat);
            let _one_at_a_time = standing.trying.lock().await;
            self.found(standing, oracle).await
        });
        let findings = join_all(tried).await;
        let mut against: Option<Against> = None;
        for (standing, finding) in standings.iter().zip(findings) {
            let (why, is_settled) = match finding {
                Finding::Convicted(why) => (why, true),
                Finding::Unheard(why) => (why, false),
                _ => return Ok(()),
            };
            if why.manner != Manner::Breaks {
                return Ok(());
            }
            let against = against.get_or_insert(Against {
                flow: Arc::clone(&standing.flow),
                why,
                is_settled,
            });
            against.is_settled &= is_settled;
        }
        against.map_or(Ok(()), Err)
    }

    /// Tries what is in force wherever that was not done yet.
    pub(super) async fn try_in_force(&self, standings: &[Arc<Standing>]) {
        join_all(standings.iter().map(|standing| async {
            let Some(seat) = self.seat_of(&standing.usage.component) else {
                return;
            };
            let _one_at_a_time = standing.trying.lock().await;
            if !matches!(self.judge(standing, &seat), Judge::Is(_) | Judge::OnTrial) {
                return;
            }
            let Some(current) = seat.current() else {
                return;
            };
            let finding = self.found(standing, &current).await;
            self.conclude(standing, &seat, &current, finding).await;
        }))
        .await;
    }

    /// Tries again what holds a flow, and has the ledger forget old controls, forever.
    pub(super) async fn try_again(&self) {
        let mut ticks = tokio::time::interval(AGAIN);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.try_held().await;
            self.forget_controls().await;
        }
    }

    /// Tries again what holds a flow: what was known of earlier versions, or
    /// the controls, may have changed.
    pub(super) async fn try_held(&self) {
        // One that takes its time keeps no other flow held.
        let standings = self.standings();
        join_all(standings.iter().map(|standing| self.try_if_held(standing))).await;
    }

    async fn try_if_held(&self, standing: &Standing) {
        let Some(seat) = self.seat_of(&standing.usage.component) else {
            return;
        };
        let _one_at_a_time = standing.trying.lock().await;
        let Judge::Held(_) = self.judge(standing, &seat) else {
            return;
        };
        let Some(current) = seat.current() else {
            return;
        };
        let finding = self.tried(standing, &current).await;
        if finding != Finding::Cleared {
            self.conclude(standing, &seat, &current, finding).await;
        } else if let Some(held) = standing.release() {
            let why = "a trial: it judges its controls again";
            self.released(&standing.flow, &held, why);
        }
    }

    /// The finding of the last trial, or of a new one.
    async fn found(&self, standing: &Standing, oracle: &Arc<Oracle>) -> Finding {
        match standing.found(oracle.digest()) {
            Some(finding) => finding,
            None => self.tried(standing, oracle).await,
        }
    }

    async fn tried(&self, standing: &Standing, oracle: &Arc<Oracle>) -> Finding {
        let (flow, usage) = (&standing.flow, &standing.usage);
        let finding = self.try_on_controls(flow, usage, oracle).await;
        standing.note(oracle.digest(), &finding);
        let labels = [flow.name.as_str(), &usage.component, finding.as_str()];
        ORACLE_TRIALS.of(labels).increment(1);
        if let Finding::Unclear(why) = &finding {
            warn!(
                flow = %flow.name,
                component = %usage.component,
                digest = format!("{:.12}", oracle.digest()),
                found = why.how_and_why(),
                "oracle fails some of its controls, it judges on: a person should look"
            );
        }
        finding
    }

    /// Has an oracle judge the controls of a flow by one of its tables, on a
    /// thread of its own.
    pub(super) async fn try_on_controls(
        &self,
        flow: &Flow,
        usage: &OracleUse,
        oracle: &Arc<Oracle>,
    ) -> Finding {
        let (controls, is_whole) = self.controls(flow, usage).await;
        let (oracle, usage) = (Arc::clone(oracle), usage.clone());
        let trial = tokio::task::spawn_blocking(move || try_oracle(&oracle, &usage, &controls));
        match trial.await.unwrap_or(Finding::Unknown) {
            Finding::Convicted(why) if !is_whole => Finding::Unheard(why),
            finding => finding,
        }
    }

    async fn conclude(
        &self,
        standing: &Standing,
        seat: &Arc<Seat>,
        oracle: &Arc<Oracle>,
        finding: Finding,
    ) -> Settled {
        let Finding::Convicted(why) = finding else {
            return Settled::ItStays;
        };
        let Some(in_force) = seat.current().map(|current| current.digest()) else {
            return Settled::AskAgain;
        };
        let before = match why.manner {
            Manner::Breaks if !seat.pinned() => self.before(standing, seat, oracle).await,
            _ => None,
        };
        match before {
            Some(before) => self.replace(standing, in_force, oracle.digest(), before, why),
            None => self.hold(standing, in_force, oracle.digest(), why),
        }
        self.changed();
        Settled::AskAgain
    }

    /// The newest version before a broken one that judges the controls.
    async fn before(
        &self,
        standing: &Standing,
        seat: &Arc<Seat>,
        broken: &Oracle,
    ) -> Option<Arc<Oracle>> {
        self.read_history(seat).await.ok();
        let before = seat.before(broken.digest());
        for digest in before.into_iter().take(LOOKED_AT) {
            if let Err(error) = self.loader.fetched(seat, digest).await {
                warn!(name = &*seat.name, digest = format!("{digest:.12}"), %error, "cannot go back to it");
                continue;
            }
            let Some(oracle) = seat.kept(digest) else {
                continue;
            };
            if self.found(standing, &oracle).await == Finding::Cleared {
                return Some(oracle);
            }
        }
        None
    }

    fn replace(
        &self,
        standing: &Standing,
        in_force: Digest,
        broken: Digest,
        before: Arc<Oracle>,
        why: Conviction,
    ) {
        let (flow, component) = (&standing.flow, &standing.usage.component);
        let (to, how) = (before.digest(), why.how_and_why());
        error!(
            flow = %flow.name,
            %component,
            digest = format!("{broken:.12}"),
            to = format!("{to:.12}"),
            found = how,
            "oracle is broken in this flow, an earlier version judges"
        );
        let ended = standing.replace(in_force, before, why);
        self.note(Note::event(
            &self.host,
            "host",
            "swap",
            json!({ "flow": flow.name.as_str(), "oracle": &**component, "from": broken, "to": to }),
            json!({ "why": how }),
        ));
        if let Some(held) = ended {
            self.released(flow, &held, "an earlier version judges");
        }
    }

    fn hold(&self, standing: &Standing, in_force: Digest, broken: Digest, why: Conviction) {
        let (flow, component) = (&standing.flow, &standing.usage.component);
        let how = why.how_and_why();
        if !standing.hold(in_force, why) {
            return;
        }
        error!(
            flow = %flow.name,
            %component,
            digest = format!("{broken:.12}"),
            found = how,
            "flow is held: correct its [[oracle]] table, or drop or pin another component; floodgate flows shows why"
        );
        self.note(Note::event(
            &self.host,
            "host",
            "hold",
            json!({ "flow": flow.name.as_str(), "oracle": &**component, "digest": broken }),
            json!({ "why": how }),
        ));
    }

    pub(super) fn released(&self, flow: &Flow, held: &Held, why: &str) {
        info!(flow = %flow.name, component = %held.component, why, "flow is not held any more");
        self.note(Note::event(
            &self.host,
            "host",
            "release",
            json!({ "flow": flow.name.as_str(), "oracle": &*held.component, "digest": held.digest }),
            json!({ "why": why }),
        ));
        self.changed();
    }
}
