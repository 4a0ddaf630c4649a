//! One batch, one fresh instance.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::{Trap, WasmBacktrace};

use super::component::Oracle;
use super::engine::TICK;
use super::guest::{self, OverLimit};
use super::words::{LastWords, cut};
use floodgate_flow::{Entry, FaultKind, OracleLimits, OracleSettings, Verdict};

/// Bytes of an error's text that are kept.
const ERROR: usize = 4 << 10;
const REASONS: usize = 64;
/// Bytes of one reason.
const REASON: usize = 128;
/// Bytes of an output.
const OUTPUT: usize = 64 << 10;

/// Why one entry of a batch has no verdict; the others have theirs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {error}", kind.as_str())]
pub struct Refusal {
    pub kind: FaultKind,
    /// At most 4 KiB.
    pub error: String,
}

/// Why a batch has no verdicts at all. Which entry is guilty only shows when
/// the batch is split.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {error}", kind.as_str())]
pub struct BatchFault {
    pub kind: FaultKind,
    /// At most 4 KiB: what the guest said of it itself, the cause, and the
    /// guest's backtrace, where there are any.
    pub error: String,
}

/// What a deadline is counted by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Clock {
    Wall,
    /// The processor time of the thread that judges.
    Processor,
}

impl Oracle {
    /// Judges one entry in an instance of its own.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    pub fn judge_one(
        &self,
        entry: &Entry,
        settings: &Arc<OracleSettings>,
        limits: OracleLimits,
    ) -> Result<Verdict, Refusal> {
        only(self.judge(&[entry], settings, limits))
    }

    /// Judges one entry in an instance of its own, by the processor time that
    /// it takes and not by the clock: on a busy machine nothing is found to be
    /// slow that is not.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    pub(super) fn judge_on_trial(
        &self,
        entry: &Entry,
        settings: &Arc<OracleSettings>,
        limits: OracleLimits,
    ) -> Result<Verdict, Refusal> {
        only(self.judge_by(Clock::Processor, &[entry], settings, limits))
    }

    /// Judges a batch in a fresh instance: one result per entry, in order.
    /// Blocks for as long as the limits allow, so not on a runtime thread.
    ///
    /// # Errors
    /// Where the instance trapped, ran out of time or memory, or did not
    /// answer for every entry.
    pub fn judge(
        &self,
        batch: &[&Entry],
        settings: &Arc<OracleSettings>,
        limits: OracleLimits,
    ) -> Result<Vec<Result<Verdict, Refusal>>, BatchFault> {
        self.judge_by(Clock::Wall, batch, settings, limits)
    }

    fn judge_by(
        &self,
        clock: Clock,
        batch: &[&Entry],
        settings: &Arc<OracleSettings>,
        limits: OracleLimits,
    ) -> Result<Vec<Result<Verdict, Refusal>>, BatchFault> {
        let bodies: Vec<Option<&str>> = batch.iter().map(|entry| entry.body_str()).collect();
        let attributes: Vec<Vec<(&str, &str)>> =
            batch.iter().map(|entry| entry.shown().collect()).collect();
        let shown: Vec<guest::Entry<'_>> = (batch.iter().zip(&bodies).zip(&attributes))
            .filter_map(|((entry, body), attributes)| {
                Some(guest::Entry {
                    id: &entry.id,
                    body: (*body)?,
                    received_at: entry.received_at,
                    attributes,
                })
            })
            .collect();
        if shown.is_empty() {
            return Ok(batch.iter().map(|_| Err(not_text())).collect());
        }
        let mut answers = self.call(clock, &shown, settings, limits)?.into_iter();
        Ok(bodies
            .iter()
            .map(|body| match body.and_then(|_| answers.next()) {
                Some(answer) => checked(answer),
                None => Err(not_text()),
            })
            .collect())
    }

    fn call(
        &self,
        clock: Clock,
        entries: &[guest::Entry<'_>],
        settings: &Arc<OracleSettings>,
        limits: OracleLimits,
    ) -> Result<Vec<Result<guest::Verdict, String>>, BatchFault> {
        let _slot = self.slots.take();
        let mut store = guest::store(
            self.pre.engine(),
            &self.name,
            settings,
            limits.memory,
            ticks(limits.timeout, entries.len()),
        );
        if clock == Clock::Processor {
            guest::count_processor_time(&mut store, limits.timeout);
        }
        let answers = self
            .pre
            .instantiate(&mut store)
            .and_then(|instance| instance.call_judge(&mut store, entries));
        store.data().close_log();
        let answers = answers.map_err(|error| fault(&error, &store.data().words))?;
        if answers.len() != entries.len() {
            return Err(BatchFault {
                kind: FaultKind::WrongCount,
                error: format!("{} results for {} entries", answers.len(), entries.len()),
            });
        }
        Ok(answers)
    }
}

/// The answer for a batch of one entry.
fn only(answers: Result<Vec<Result<Verdict, Refusal>>, BatchFault>) -> Result<Verdict, Refusal> {
    let answers = answers.map_err(|BatchFault { kind, error }| Refusal { kind, error })?;
    // `judge` answers for every entry.
    answers.into_iter().next().unwrap_or_else(|| {
        Err(Refusal {
            kind: FaultKind::WrongCount,
            error: "no result".to_owned(),
        })
    })
}

/// The timeout, 1 ms per entry, and one tick because the next may come at once.
fn ticks(timeout: Duration, entries: usize) -> u64 {
    let ticks = timeout.as_millis() / TICK.as_millis() + entries as u128 + 1;
    // The engine adds it to the epoch, which must not wrap.
    u64::try_from(ticks).unwrap_or(u64::MAX).min(u64::MAX >> 1)
}

fn fault(error: &wasmtime::Error, words: &LastWords) -> BatchFault {
    let kind = if error.downcast_ref::<OverLimit>().is_some() {
        FaultKind::Memory
    } else if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        FaultKind::Timeout
    } else {
        FaultKind::Trap
    };
    BatchFault {
        kind,
        error: trap_text(error, words),
    }
}

/// What the guest said last, what went wrong, then where in the guest. Not
/// `{:?}`: under RUST_BACKTRACE that appends the host's own backtrace.
pub(super) fn trap_text(error: &wasmtime::Error, words: &LastWords) -> String {
    let said = words.said();
    // Of a traceback the last line says it; whoever shows one line shows that.
    let line = said.as_ref().and_then(|said| said.lines().next_back());
    let whole = said.as_deref().filter(|said| line != Some(said));
    let whole = whole.map(|said| format!("standard error: {said}"));
    let cause = error.root_cause().to_string();
    let backtrace = error
        .downcast_ref::<WasmBacktrace>()
        .map(WasmBacktrace::to_string);
    let parts = [line.map(str::to_owned), Some(cause), whole, backtrace];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    cut(parts.join("\n"), ERROR)
}

fn not_text() -> Refusal {
    Refusal {
        kind: FaultKind::Malformed,
        error: "the body is not UTF-8".to_owned(),
    }
}

fn checked(answer: Result<guest::Verdict, String>) -> Result<Verdict, Refusal> {
    let verdict = answer.map_err(|error| Refusal {
        kind: FaultKind::Refused,
        error: cut(error, ERROR),
    })?;
    let guest::Verdict {
        score,
        reasons,
        output,
        attributes: _,
    } = verdict;
    // A range contains no NaN.
    if !(0.0..=1.0).contains(&score) {
        return Err(Refusal {
            kind: FaultKind::BadScore,
            error: format!("score {score}, and scores run from 0.0 to 1.0"),
        });
    }
    if let Some(error) = out_of_bounds(&reasons, output.as_deref()) {
        return Err(Refusal {
            kind: FaultKind::Refused,
            error,
        });
    }
    Ok(Verdict {
        score,
        reasons,
        output,
    })
}

/// What is too much, or what no ledger can store.
fn out_of_bounds(reasons: &[String], output: Option<&str>) -> Option<String> {
    if reasons.len() > REASONS {
        return Some(format!("{} reasons, {REASONS} are allowed", reasons.len()));
    }
    if let Some(long) = reasons.iter().map(String::len).find(|len| *len > REASON) {
        return Some(format!("a reason of {long} bytes, {REASON} are allowed"));
    }
    if let Some(long) = output.map(str::len).filter(|len| *len > OUTPUT) {
        return Some(format!("an output of {long} bytes, {OUTPUT} are allowed"));
    }
    let nul = |text: &str| text.contains('\0');
    if reasons.iter().any(|reason| nul(reason)) || output.is_some_and(nul) {
        return Some("a NUL in a reason or in the output".to_owned());
    }
    None
}
