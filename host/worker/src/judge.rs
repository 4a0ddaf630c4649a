use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tracing::{Span, warn};

use super::blame::{self, Found};
use super::insist::Stopped;
use super::partition::PartitionWorker;
use super::recheck;
use floodgate_flow::{Entry, EntryFault, Judged, OracleUse, StreamId, Verdict};
use floodgate_oracle_host::{BatchFault, Condition, Judge, Observation, Oracle, Refusal, Settled};

/// An entry as the oracles are shown it.
pub(super) struct Shown {
    pub stream_id: StreamId,
    pub entry: Entry,
    /// It has a fault recorded already: when it fails again, that is no reason
    /// to suspect the oracle once more.
    pub failed_before: bool,
}

/// What the flow's oracles made of one entry.
pub(super) enum Outcome {
    /// A verdict of each oracle, in their order.
    Judged {
        verdicts: Vec<Verdict>,
        oracles: Vec<Judged>,
        inference: Duration,
    },
    Faulty(EntryFault),
    /// It ended too many processes that judged it alone, and is judged no more.
    EndsProcesses,
    /// It was not its turn before the budget ran out: judge it alone, later.
    Unknown,
}

pub(super) type Answer = Found<Result<Verdict, Refusal>, BatchFault>;

/// One oracle's answers, one per entry that it was asked about.
struct Round {
    oracle: Arc<Oracle>,
    answers: Vec<Answer>,
    took: Duration,
    /// Of the time it took, the part of each entry.
    share: Duration,
    /// Calls of the oracle that it took.
    calls: u64,
}

impl PartitionWorker {
    /// Asks all oracles of the flow; entries that one of them fails are not
    /// shown to the next. An oracle that is broken itself is replaced by an
    /// earlier version, or waited for. A `suspect` is the only one of `entries`.
    ///
    /// # Errors
    /// [`Stopped`] when the worker is to stop while it waits for an oracle.
    pub async fn judge(
        &self,
        entries: &Arc<[Shown]>,
        alone: bool,
        suspect: Option<StreamId>,
    ) -> Result<Vec<Outcome>, Stopped> {
        let mut outcomes: Vec<Outcome> = entries
            .iter()
            .map(|_| Outcome::Judged {
                verdicts: Vec::new(),
                oracles: Vec::new(),
                inference: Duration::ZERO,
            })
            .collect();
        for usage in &self.flow.oracles {
            let live: Arc<[usize]> = outcomes
                .iter()
                .enumerate()
                .filter(|(_, outcome)| matches!(outcome, Outcome::Judged { .. }))
                .map(|(at, _)| at)
                .collect();
            if live.is_empty() {
                break;
            }
            let asked = self.ask(usage, entries, live.clone(), alone, suspect);
            let Some(round) = asked.await? else {
                return Ok(entries.iter().map(|_| Outcome::EndsProcesses).collect());
            };
            self.sample(usage, entries, &live, &round).await;
            for (at, answer) in live.iter().zip(round.answers) {
                take_in(
                    &mut outcomes[*at],
                    answer,
                    usage,
                    &round.oracle,
                    round.share,
                );
            }
        }
        Ok(outcomes)
    }

    /// Offers what was judged well at the first time as controls.
    async fn sample(&self, usage: &OracleUse, entries: &[Shown], live: &[usize], round: &Round) {
        let answered = live.iter().zip(&round.answers);
        let judged = answered.filter_map(|(at, answer)| {
            let shown = &entries[*at];
            let is_well = matches!(answer, Found::Result(Ok(_))) && !shown.failed_before;
            is_well.then_some(&shown.entry)
        });
        let registry = &self.worker.registry;
        registry.sample(&self.flow.name, usage, judged).await;
    }

    /// Asks one oracle. What breaks it, or a crowd that it refuses, has it put
    /// on trial first: an answer of an oracle that is broken itself does not
    /// count. `None`: the suspect ended too many processes.
    async fn ask(
        &self,
        usage: &OracleUse,
        entries: &Arc<[Shown]>,
        live: Arc<[usize]>,
        alone: bool,
        suspect: Option<StreamId>,
    ) -> Result<Option<Round>, Stopped> {
        let registry = &self.worker.registry;
        let flow = &self.flow.name;
        let mut changes = registry.changes();
        loop {
            changes.mark_unchanged();
            let Judge::Is(oracle) = registry.judge_of(flow, usage) else {
                self.until_changed(&mut changes).await?;
                continue;
            };
            let asked = self.ask_guarded(&oracle, usage, entries, &live, alone, suspect);
            let Some(round) = asked.await? else {
                return Ok(None);
            };
            let observed = observed(&round, entries, &live);
            if registry.observe(flow, usage, &oracle, &observed) == Condition::Fine {
                return Ok(Some(round));
            }
            let trial = registry.put_on_trial(flow, usage, &oracle);
            let settled = self.stop.run_until_cancelled(trial).await;
            if settled.ok_or(Stopped)? == Settled::ItStays {
                return Ok(Some(round));
            }
        }
    }

    async fn until_changed(
        &self,
        changes: &mut tokio::sync::watch::Receiver<u64>,
    ) -> Result<(), Stopped> {
        tokio::select! {
            () = self.stop.cancelled() => return Err(Stopped),
            changed = changes.changed() => changed.map_err(|_| Stopped)?,
        }
        // It may not be judged by that oracle any more.
        if self.is_outdated() {
            return Err(Stopped);
        }
        Ok(())
    }

    /// Asks about a suspect with no other suspect beside it in this process, and
    /// notes it for no longer than the oracle has it in hand. `None`: it ended too
    /// many processes.
    async fn ask_guarded(
        &self,
        oracle: &Arc<Oracle>,
        usage: &OracleUse,
        entries: &Arc<[Shown]>,
        live: &Arc<[usize]>,
        alone: bool,
        suspect: Option<StreamId>,
    ) -> Result<Option<Round>, Stopped> {
        let permit = || self.live.judging.clone().acquire_owned();
        let Some(suspect) = suspect else {
            let permit = permit().await;
            let round = self.ask_once(permit.ok(), oracle, usage, entries, live, alone);
            return Ok(Some(round.await?));
        };
        let turn = self.worker.judging_a_suspect.lock();
        let _turn = self.stop.run_until_cancelled(turn).await.ok_or(Stopped)?;
        let permit = permit().await;
        if self.ends_processes(suspect).await? {
            return Ok(None);
        }
        let round = self.ask_once(permit.ok(), oracle, usage, entries, live, alone);
        let round = round.await?;
        self.was_survived(suspect).await?;
        Ok(Some(round))
    }

    /// On a thread that may be kept busy: an oracle computes for as long as
    /// its deadline lets it.
    async fn ask_once(
        &self,
        permit: Option<OwnedSemaphorePermit>,
        oracle: &Arc<Oracle>,
        usage: &OracleUse,
        entries: &Arc<[Shown]>,
        live: &Arc<[usize]>,
        alone: bool,
    ) -> Result<Round, Stopped> {
        let (settings, limits) = (usage.settings.clone(), usage.limits);
        let (oracle, entries, live) = (oracle.clone(), entries.clone(), live.clone());
        let meter = self.live.meter.of_oracle(&usage.component, oracle.digest());
        let (flow, component) = (self.flow.name.clone(), Arc::clone(&usage.component));
        let apart = usage.alone.unwrap_or_else(|| oracle.imports_random());
        let span = Span::current();
        let judging = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let _of_the_batch = span.enter();
            let batch: Vec<&Entry> = live.iter().map(|at| &entries[*at].entry).collect();
            let started = Instant::now();
            let mut calls = 0;
            let judge = |range: Range<usize>| {
                calls += 1;
                let called = Instant::now();
                let answers = oracle.judge(&batch[range], &settings, limits);
                meter.called(called.elapsed());
                answers
            };
            let answers = match (alone, apart) {
                (true, _) => judge_alone(batch.len(), usize::MAX, judge),
                (false, true) => judge_alone(batch.len(), blame::BUDGET, judge),
                (false, false) => blame::split(batch.len(), blame::BUDGET, judge),
            };
            meter.answered(&answers);
            let took = started.elapsed();
            if !alone
                && !apart
                && let Some(at) = meter.due.of_batch(batch.len())
            {
                let again = oracle.judge_one(batch[at], &settings, limits);
                meter.rechecks.increment(1);
                if recheck::differs(&answers[at], &again) {
                    meter.differences.increment(1);
                    if let Some(times) = meter.told_differences.now() {
                        warn!(
                            flow = %flow,
                            component = %component,
                            digest = format!("{:.12}", oracle.digest()),
                            times,
                            "oracle says of an entry alone what it did not say of it in its batch: set `alone = true` in its [[oracle]]"
                        );
                    }
                }
            }
            let share = took / u32::try_from(batch.len().max(1)).unwrap_or(1);
            Round {
                oracle,
                answers,
                took,
                share,
                calls,
            }
        });
        judging.await.map_err(|error| {
            if error.is_panic() {
                // Not the oracle's, which traps: it is for whoever survives it.
                std::panic::resume_unwind(error.into_panic());
            }
            warn!(%error, "judging ended early, its entries come again");
            Stopped
        })
    }
}

/// Judges each in an instance of its own. Where `budget` of them end their
/// instance, the rest comes again: each may have taken all of its time.
fn judge_alone(
    len: usize,
    mut budget: usize,
    mut judge: impl FnMut(Range<usize>) -> Result<Vec<Result<Verdict, Refusal>>, BatchFault>,
) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(len);
    for at in 0..len {
        if budget == 0 {
            answers.push(Found::Unknown);
            continue;
        }
        let answer = blame::split(1, 1, |_| judge(at..at + 1));
        budget -= usize::from(matches!(answer[..], [Found::Guilty(_)]));
        answers.extend(answer);
    }
    answers
}

fn take_in(
    outcome: &mut Outcome,
    answer: Answer,
    usage: &OracleUse,
    oracle: &Oracle,
    share: Duration,
) {
    let faulty = |kind, error| {
        Outcome::Faulty(EntryFault {
            kind,
            error,
            oracle: Some((usage.component.to_string(), oracle.digest())),
        })
    };
    match (answer, &mut *outcome) {
        (
            Found::Result(Ok(verdict)),
            Outcome::Judged {
                verdicts,
                oracles,
                inference,
            },
        ) => {
            oracles.push(Judged {
                name: usage.component.clone(),
                digest: oracle.digest(),
                score: verdict.score,
                reasons: verdict.reasons.clone(),
            });
            verdicts.push(verdict);
            *inference += share;
        }
        (Found::Result(Err(refusal)), _) => *outcome = faulty(refusal.kind, refusal.error),
        (Found::Guilty(fault), _) => *outcome = faulty(fault.kind, fault.error),
        (Found::Unknown, _) => *outcome = Outcome::Unknown,
        (Found::Result(Ok(_)), _) => {}
    }
}

/// What a round says about the oracle.
fn observed<'r>(round: &'r Round, entries: &[Shown], live: &[usize]) -> Observation<'r> {
    let mut observed = Observation {
        calls: round.calls,
        took: round.took,
        ..Observation::default()
    };
    for (at, answer) in live.iter().zip(&round.answers) {
        let (kind, error) = match answer {
            Found::Result(Ok(_)) => {
                observed.succeeded += 1;
                continue;
            }
            Found::Result(Err(refusal)) => (refusal.kind, &refusal.error),
            Found::Guilty(fault) => (fault.kind, &fault.error),
            Found::Unknown => continue,
        };
        if entries[*at].failed_before {
            continue;
        }
        match kind.breaks_oracle() {
            true => observed.broke += 1,
            false => observed.refused += 1,
        }
        observed.error = Some(error);
    }
    observed
}
