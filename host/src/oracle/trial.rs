//! Settles whether an oracle is broken: it is asked again about control
//! entries, which no stranger chose for the occasion.

use jiff::Timestamp;

use super::component::Oracle;
use super::judge::Refusal;
use crate::flow::{Entry, FaultKind, Flow, OracleUse, Verdict};

/// Controls of each kind that a trial asks about: an oracle that loops on all
/// of them is found out after twice as many timeouts.
const ASKED: usize = 20;

/// The control entries of one oracle in one flow.
#[derive(Clone, Debug, Default)]
pub struct Controls {
    /// Named by a person, in the schema or in the flow's file of controls.
    pub operator: Vec<Entry>,
    /// Judged well during the last day.
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
    /// There are no controls.
    Unknown,
}

/// What speaks against an oracle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conviction {
    pub manner: Manner,
    pub failed: usize,
    /// Controls that it was asked about.
    pub of: usize,
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
        match self.manner {
            Manner::Breaks => format!("{failed} of {of} controls end in a {}", self.fault.as_str()),
            Manner::Refuses => format!("{failed} of {of} controls are refused"),
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
            Self::Unknown => "unknown",
        }
    }
}

/// One kind of controls, and how they failed.
#[derive(Default)]
struct Kind {
    of: usize,
    breaks: usize,
    refuses: usize,
}

impl Kind {
    fn fails(&self, manner: Manner) -> bool {
        let failed = match manner {
            Manner::Breaks => self.breaks,
            Manner::Refuses => self.refuses,
        };
        failed * 10 >= self.of * 9
    }
}

/// Has an oracle judge controls under one `[[oracle]]` table. Blocks for as
/// long as that takes, and counts the processor time of its thread.
pub fn try_oracle(oracle: &Oracle, usage: &OracleUse, controls: &Controls) -> Finding {
    try_on(controls, |entry| {
        oracle.judge_on_trial(entry, &usage.settings, usage.limits)
    })
}

/// Asks `judge` about the controls, of each kind in turn, and stops as soon as
/// half of them are judged.
pub fn try_on(
    controls: &Controls,
    mut judge: impl FnMut(&Entry) -> Result<Verdict, Refusal>,
) -> Finding {
    let operator = &controls.operator[..controls.operator.len().min(ASKED)];
    let sampled = &controls.sampled[..controls.sampled.len().min(ASKED)];
    let all = operator.len() + sampled.len();
    let mut kinds = [operator, sampled].map(|entries| Kind {
        of: entries.len(),
        ..Kind::default()
    });
    let mut judged = 0;
    let mut first: Option<(FaultKind, String, bool)> = None;
    for at in 0..ASKED {
        let both = [(operator, true), (sampled, false)];
        for (kind, (entries, of_operator)) in kinds.iter_mut().zip(both) {
            let Some(entry) = entries.get(at) else {
                continue;
            };
            match judge(entry) {
                Ok(_) => judged += 1,
                Err(Refusal { kind: fault, error }) => {
                    match fault.breaks_oracle() {
                        true => kind.breaks += 1,
                        false => kind.refuses += 1,
                    }
                    first.get_or_insert((fault, error, of_operator));
                }
            }
            if judged * 2 >= all {
                return Finding::Cleared;
            }
        }
    }
    let Some((fault, error, of_operator)) = first else {
        return Finding::Unknown;
    };
    let convicted = |manner| kinds.iter().all(|kind| kind.fails(manner));
    let count = |of: fn(&Kind) -> usize| kinds.iter().map(of).sum::<usize>();
    let (breaks, refuses) = (count(|kind| kind.breaks), count(|kind| kind.refuses));
    let (manner, failed) = match breaks >= refuses {
        true => (Manner::Breaks, breaks),
        false => (Manner::Refuses, refuses),
    };
    let conviction = Conviction {
        manner,
        failed,
        of: all,
        fault,
        error,
        of_operator,
    };
    match convicted(manner) {
        true => Finding::Convicted(conviction),
        false => Finding::Unclear(conviction),
    }
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
