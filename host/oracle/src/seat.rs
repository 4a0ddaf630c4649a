//! One name and the oracle in force under it: what the file, a person's
//! choice and the oracle's own record come to. No I/O.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use metrics::Counter;
use tokio::sync::Notify;
use tracing::{info, warn};

use super::complaints::Complaints;
use super::component::Oracle;
use super::loader::FetchError;
use super::observation::Observation;
use super::remembered::{State, wanted};
use super::tally::Tally;
use floodgate_flow::Digest;
use floodgate_ledger::Choice;
use floodgate_process::metrics::table::{ORACLE_SWAPS, ORACLE_SWAPS_REFUSED};
use floodgate_process::watch::Stamp;
use floodgate_report::OracleStatus;

pub(super) struct Seat {
    pub(super) name: Arc<str>,
    /// What the last look at the file found; held while looking.
    pub(super) seen: tokio::sync::Mutex<Option<Stamp>>,
    /// Told when what should be in force has to be fetched.
    pub(super) missing: Notify,
    /// Components that are being compiled, or read from the cache.
    loading: AtomicUsize,
    current: ArcSwapOption<Oracle>,
    /// Raised by whatever happens to the file or to the choice.
    events: AtomicU64,
    state: Mutex<State>,
    tally: Tally,
    swaps: Counter,
    refusals: Counter,
}

/// What came of bringing an oracle into force.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seated {
    Unchanged,
    Swapped {
        from: Option<Digest>,
        to: Digest,
    },
    /// This one should be in force and is not in memory.
    Missing(Digest),
}

impl Seat {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            swaps: ORACLE_SWAPS.of([&name]),
            refusals: ORACLE_SWAPS_REFUSED.of([&name]),
            name,
            seen: tokio::sync::Mutex::default(),
            missing: Notify::new(),
            loading: AtomicUsize::new(0),
            current: ArcSwapOption::empty(),
            events: AtomicU64::default(),
            state: Mutex::default(),
            tally: Tally::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn current(&self) -> Option<Arc<Oracle>> {
        self.current.load_full()
    }

    /// Brings into force what should be, if it is in memory.
    pub(super) fn seat(&self) -> Seated {
        let mut state = self.state();
        let from = self.current().map(|oracle| oracle.digest());
        let Some(to) = wanted(state.file, state.choice.as_ref()) else {
            return Seated::Unchanged;
        };
        if from == Some(to) {
            return Seated::Unchanged;
        }
        let Some(next) = state.kept(to) else {
            return Seated::Missing(to);
        };
        self.current.store(Some(next));
        self.tally.begin_again();
        state.since = Some(Timestamp::now());
        if from.is_some() {
            self.swaps.increment(1);
        }
        let before = from.map_or("none".to_owned(), |from| format!("{from:.12}"));
        info!(
            name = &*self.name,
            from = before,
            to = format!("{to:.12}"),
            "oracle swapped"
        );
        Seated::Swapped { from, to }
    }

    /// How much has happened to the file or to the choice: what was found out
    /// about the oracle before the last of it is open again.
    pub(super) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    pub(super) fn happened(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn keep(&self, oracle: Arc<Oracle>) {
        let current = self.current().map(|oracle| oracle.digest());
        self.state().keep(oracle, current);
    }

    pub(super) fn kept(&self, digest: Digest) -> Option<Arc<Oracle>> {
        self.state().kept(digest)
    }

    /// Whether there is nothing to do about a file with this content.
    pub(super) fn file_is(&self, digest: Digest) -> bool {
        let mut state = self.state();
        let was_gone = std::mem::take(&mut state.gone);
        // What was refused and lies there anew is tried again.
        if state.refused == Some(digest) || state.file != Some(digest) {
            return false;
        }
        if state.refused.take().is_some() || was_gone {
            state.complaints = Complaints::default();
        }
        true
    }

    /// The file's content loaded. True: that ended a rollback, which has to
    /// be saved.
    pub(super) fn file_taken(&self, oracle: Arc<Oracle>) -> bool {
        let digest = oracle.digest();
        self.keep(oracle);
        let mut state = self.state();
        state.file = Some(digest);
        state.refused = None;
        state.again_at = None;
        state.complaints = Complaints::default();
        state.history.retain(|known| *known != digest);
        state.history.insert(0, digest);
        if let Some(Choice::Pinned { digest: pinned }) = state.choice
            && pinned != digest
        {
            warn!(
                name = &*self.name,
                dropped = format!("{digest:.12}"),
                pinned = format!("{pinned:.12}"),
                "oracle dropped and not in force: another digest is pinned, until `floodgate oracles unpin`"
            );
        }
        let over =
            matches!(state.choice, Some(Choice::RolledBack { rejected, .. }) if rejected != digest);
        if over {
            state.choice = None;
            state.choices += 1;
        }
        over
    }

    /// The file's content did not load: the oracle in force stays.
    /// `again_in`: when to try the same content again, if ever.
    pub(super) fn file_refused(
        &self,
        digest: Option<Digest>,
        error: String,
        again_in: Option<Duration>,
    ) {
        let mut state = self.state();
        state.again_at = again_in.map(|pause| Instant::now() + pause);
        match digest {
            Some(_) => state.refused = digest,
            // As good as none, until it can be read.
            None => state.gone = true,
        }
        self.refused(&mut state, digest, error);
    }

    /// Whether what was refused is due; it is so once.
    pub(super) fn is_to_be_tried_again(&self) -> bool {
        let mut state = self.state();
        let due = state.again_at.is_some_and(|at| at <= Instant::now());
        due && state.again_at.take().is_some()
    }

    /// Shows that a component is being loaded until what it returns is dropped.
    pub(super) fn is_loading(&self) -> Loading<'_> {
        self.loading.fetch_add(1, Ordering::Relaxed);
        Loading(self)
    }

    pub(super) fn file_gone(&self) {
        let mut state = self.state();
        if std::mem::replace(&mut state.gone, true) {
            return;
        }
        state.complaints.refusal = None;
        let error = match self.current() {
            Some(_) => "its file is gone from the directory, it stays in force",
            None => "no such file in the directory",
        };
        state.complaints.warn(&self.name, error.to_owned());
    }

    /// A digest of the past cannot be had: the oracle in force stays.
    pub(super) fn fetch_failed(&self, error: &FetchError) {
        let mut state = self.state();
        match error {
            FetchError::Ledger(_) => _ = state.complaints.warn(&self.name, error.to_string()),
            FetchError::NotStored { .. } | FetchError::Load { .. } => {
                self.refused(&mut state, None, error.to_string());
            }
        }
    }

    fn refused(&self, state: &mut State, digest: Option<Digest>, error: String) {
        if state.complaints.refuse(&self.name, digest, error) {
            self.refusals.increment(1);
        }
    }

    /// A token for [`Seat::choice_read`], taken before the ledger is asked.
    /// `None` while the ledger does not yet have a choice that was made here.
    pub(super) fn choice_token(&self) -> Option<u64> {
        let state = self.state();
        (state.choices == state.choices_saved).then_some(state.choices)
    }

    /// Takes over what the ledger says, unless a choice was made here
    /// meanwhile. True: it is another choice than before.
    pub(super) fn choice_read(&self, token: u64, choice: Option<Choice>) -> bool {
        let mut state = self.state();
        let is_news = state.choices == token && state.choice != choice;
        if is_news {
            info!(name = &*self.name, ?choice, "choice changed");
            state.choice = choice;
            self.happened();
        }
        is_news
    }

    pub(super) fn choice(&self) -> (u64, Option<Choice>) {
        let state = self.state();
        (state.choices, state.choice.clone())
    }

    pub(super) fn choice_saved(&self, number: u64) {
        let mut state = self.state();
        state.choices_saved = state.choices_saved.max(number);
    }

    /// Digests that the ledger knows beyond those seen by this process.
    pub(super) fn history_read(&self, older: &[Digest]) {
        let mut state = self.state();
        state.history_known = true;
        for digest in older {
            if !state.history.contains(digest) {
                state.history.push(*digest);
            }
        }
    }

    pub(super) fn history_is_known(&self) -> bool {
        self.state().history_known
    }

    /// Digests before this one, the newest first.
    pub(super) fn before(&self, digest: Digest) -> Vec<Digest> {
        self.state().before(digest)
    }

    pub(super) fn pinned(&self) -> bool {
        matches!(self.state().choice, Some(Choice::Pinned { .. }))
    }

    /// A trial spoke against a file that was taken before: it is looked at
    /// again, since what it is tried on changed.
    pub(super) async fn look_again(&self) {
        *self.seen.lock().await = None;
        self.state().refused = None;
    }

    /// Keeps for a person what a guest said at a trial.
    pub(super) fn failed_a_trial(&self, error: String) {
        self.state().complaints.last_error = Some(error);
    }

    /// Whether the last content of the file was refused.
    pub(super) fn refuses_file(&self) -> bool {
        self.state().refused.is_some()
    }

    /// Whether a choice, and not the file, says what is in force.
    pub(super) fn is_chosen(&self) -> bool {
        self.state().choice.is_some()
    }

    /// Counts what became of a batch, if the oracle in force judged it.
    pub(super) fn observe(&self, digest: Digest, judged: &Observation<'_>) {
        let mut state = self.state();
        if self
            .current()
            .is_none_or(|current| current.digest() != digest)
        {
            return;
        }
        self.tally.add(judged);
        if let Some(error) = judged.error {
            state.complaints.last_error = Some(error.to_owned());
        }
    }

    pub(super) fn status(&self) -> OracleStatus {
        let state = self.state();
        let current = self.current();
        let digest = current.as_ref().map(|oracle| oracle.digest());
        OracleStatus {
            name: self.name.to_string(),
            digest,
            size: current.as_ref().map_or(0, |oracle| oracle.size()),
            since: state.since,
            calls: self.tally.calls.load(Ordering::Relaxed),
            entries: self.tally.entries.load(Ordering::Relaxed),
            faults: self.tally.faults.load(Ordering::Relaxed),
            judging_us: self.tally.judging_us.load(Ordering::Relaxed),
            last_error: state.complaints.last_error.clone(),
            loading: self.loading.load(Ordering::Relaxed) > 0,
            pinned: matches!(state.choice, Some(Choice::Pinned { .. })),
            rolled_back: match state.choice {
                Some(Choice::RolledBack { rejected, .. }) => Some(rejected),
                _ => None,
            },
            file_digest: state
                .file
                .filter(|_| !state.gone && state.refused.is_none()),
            compile_ms: current.map_or(0, |oracle| {
                u64::try_from(oracle.compile_time().as_millis()).unwrap_or(u64::MAX)
            }),
            rollback: digest.and_then(|digest| {
                let to = *state.before(digest).first()?;
                Some(state.going_back(to, digest))
            }),
            refused: state.complaints.refusal.clone(),
            in_flows: Vec::new(),
        }
    }
}

pub(super) struct Loading<'a>(&'a Seat);

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        self.0.loading.fetch_sub(1, Ordering::Relaxed);
    }
}
