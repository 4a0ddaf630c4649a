//! Settles whether an oracle is broken: it is asked again about control
//! entries, which no stranger chose for the occasion.

use std::time::Duration;

use jiff::Timestamp;

use super::component::Oracle;
use super::guest::processor_time;
use super::judge::Refusal;
use floodgate_flow::{Entry, FaultKind, Flow, OracleLimits, OracleUse, Verdict};

/// Controls of each kind that a trial asks about: an oracle that loops on all
/// of them is found out after twice as many timeouts.
pub(super) const ASKED: usize = 20;
/// Controls of each kind that have to be reached before an oracle is convicted;
/// all of them, where there are fewer.
const ENOUGH: usize = 3;
/// The processor time of a trial: that of all of its controls at the default
/// `timeout`, twice over.
const USUAL: Duration = Duration::from_secs(10);
/// The processor time of a trial with a long `timeout`. With one of more than a
/// sixth of it nobody is convicted of being too slow: too few are reached.
const LONGEST: Duration = Duration::from_secs(60);

/// The control entries of one oracle in one flow.
#[derive(Clone, Debug, Default)]
pub struct Controls {
    /// Named by a person, in the schema or in the flow's file of controls.
    pub operator: Vec<Entry>,
    /// Judged well during the last day, in the order in which they are asked
    /// about: no part of them from the beginning has too many of one sender.
    pub sampled: Vec<Entry>,
}

impl Controls {
    /// Those that the flow's file and schema name, as if they came just now.
    pub fn of_operator(flow: &Flow) -> Self {
        let now = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default();
        let operator = flow.controls.entries.iter().map(|entry| Entry {
            received_at: now,
            ..entry.clone()
        });
        Self {
            operator: operator.collect(),
            sampled: Vec::new(),
        }
    }
}

/// How an oracle fails a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It traps, runs out of time or memory, or loses count.
    Breaks,
    /// It answers with an error, or with what is no verdict.
    Refuses,
}

/// What came of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Nine of ten controls of each kind fail in the same way.
    Convicted(Conviction),
    /// Half of the controls are judged.
    Cleared,
    /// What lies between: a person has to look, and nothing changes.
    Unclear(Conviction),
    /// It fails what a person named, and the ledger did not tell what was judged
    /// during the last day. Nothing changes before it does.
    Unheard(Conviction),
    /// There are no controls, or none was reached.
    Unknown,
}

/// What speaks against an oracle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conviction {
    pub manner: Manner,
    pub failed: usize,
    /// Controls that it was asked about.
    pub of: usize,
    /// Controls that there was no time for.
    pub unreached: usize,
    /// The first fault.
    pub fault: FaultKind,
    /// Its text, which may quote a control.
    pub error: String,
    /// Whether that control is the operator's own.
    pub of_operator: bool,
}

/// Characters of a guest's text where it is told in passing.
const QUOTED: usize = 300;

impl Conviction {
    /// Says how it fails, without what a guest wrote.
    pub fn how(&self) -> String {
        let Self { failed, of, .. } = self;
        let how = match self.manner {
            Manner::Breaks => format!("{failed} of {of} controls end in a {}", self.fault.as_str()),
            Manner::Refuses => format!("{failed} of {of} controls are refused"),
        };
        match self.unreached {
            0 => how,
            unreached => format!("{how}, and there was no time for {unreached} more"),
        }
    }

    /// Says how it fails; with the beginning of what a guest wrote where that
    /// is about an operator's own control, and not about a stranger's entry.
    pub fn how_and_why(&self) -> String {
        match self.of_operator {
            true => {
                let error: String = self.error.chars().take(QUOTED).collect();
                format!("{}: {}", self.how(), error.escape_debug())
            }
            false => self.how(),
        }
    }
}

impl Finding {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Convicted(_) => "convicted",
            Self::Cleared => "cleared",
            Self::Unclear(_) => "unclear",
            Self::Unheard(_) => "unheard",
            Self::Unknown => "unknown",
        }
    }
}

/// One kind of controls, and how they failed.
struct Kind<'c> {
    entries: Vec<&'c Entry>,
    of_operator: bool,
    reached: usize,
    breaks: usize,
    refuses: usize,
}

impl<'c> Kind<'c> {
    fn new(entries: Vec<&'c Entry>, of_operator: bool) -> Self {
        Self {
            entries,
            of_operator,
            reached: 0,
            breaks: 0,
            refuses: 0,
        }
    }

    /// Whether nine of ten fail in this manner. A kind without any fails in any.
    fn fails(&self, manner: Manner) -> bool {
        let failed = match manner {
            Manner::Breaks => self.breaks,
            Manner::Refuses => self.refuses,
        };
        self.reached >= self.entries.len().min(ENOUGH) && failed * 10 >= self.reached * 9
    }
}

/// Has an oracle judge controls under one `[[oracle]]` table. Blocks for as
/// long as that takes, and counts the processor time of its thread: of that it
/// takes no more than a minute, whatever the table's `timeout` is.
pub fn try_oracle(oracle: &Oracle, usage: &OracleUse, controls: &Controls) -> Finding {
    let OracleLimits { memory, timeout } = usage.limits;
    let most = (timeout * (2 * ENOUGH) as u32).clamp(USUAL, LONGEST);
    let began = processor_time();
    try_on(controls, |entry| {
        let left = most.saturating_sub(processor_time() - began);
        if left.is_zero() {
            return None;
        }
        let limits = OracleLimits {
            memory,
            timeout: timeout.min(left),
        };
        match oracle.judge_on_trial(entry, &usage.settings, limits) {
            // It was cut short by the trial and not by its own deadline.
            Err(refusal) if refusal.kind == FaultKind::Timeout && left < timeout => None,
            judged => Some(judged),
        }
    })
}

/// Asks `judge` about the controls, of each kind in turn, and stops as soon as
/// half of them are judged. What it says `None` of was not reached, and counts
/// neither way.
fn try_on(
    controls: &Controls,
    mut judge: impl FnMut(&Entry) -> Option<Result<Verdict, Refusal>>,
) -> Finding {
    let sampled = controls.sampled.iter().take(ASKED).collect();
    let mut kinds = [
        Kind::new(spread(&controls.operator), true),
        Kind::new(sampled, false),
    ];
    let all: usize = kinds.iter().map(|kind| kind.entries.len()).sum();
    let mut judged = 0;
    let mut first: Option<(FaultKind, String, bool)> = None;
    for at in 0..ASKED {
        for kind in &mut kinds {
            let Some(answer) = kind.entries.get(at).and_then(|entry| judge(entry)) else {
                continue;
            };
            kind.reached += 1;
            match answer {
                Ok(_) => judged += 1,
                Err(Refusal { kind: fault, error }) => {
                    match fault.breaks_oracle() {
                        true => kind.breaks += 1,
                        false => kind.refuses += 1,
                    }
                    first.get_or_insert((fault, error, kind.of_operator));
                }
            }
            if judged * 2 >= all {
                return Finding::Cleared;
            }
        }
    }
    let count = |of: fn(&Kind<'_>) -> usize| kinds.iter().map(of).sum::<usize>();
    let reached = count(|kind| kind.reached);
    let Some((fault, error, of_operator)) = first.filter(|_| judged * 2 < reached) else {
        return match reached {
            0 => Finding::Unknown,
            _ => Finding::Cleared,
        };
    };
    let (breaks, refuses) = (count(|kind| kind.breaks), count(|kind| kind.refuses));
    let (manner, failed) = match breaks >= refuses {
        true => (Manner::Breaks, breaks),
        false => (Manner::Refuses, refuses),
    };
    let conviction = Conviction {
        manner,
        failed,
        of: reached,
        unreached: all - reached,
        fault,
        error,
        of_operator,
    };
    match kinds.iter().all(|kind| kind.fails(manner)) {
        true => Finding::Convicted(conviction),
        false => Finding::Unclear(conviction),
    }
}

/// As many as are asked about, from everywhere in the list.
fn spread(entries: &[Entry]) -> Vec<&Entry> {
    let asked = entries.len().min(ASKED);
    let at = |turn| turn * entries.len() / asked;
    (0..asked)
        .filter_map(|turn| entries.get(at(turn)))
        .collect()
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
