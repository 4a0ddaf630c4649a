use jiff::Timestamp;
use serde::Serialize;

use crate::cli::table::{lined, or_dash, short};
use floodgate_flow::{Decision, Digest, Outcome};

/// A stored decision beside the one that is made of the same today.
#[derive(Serialize)]
pub(super) struct Verified {
    pub flow: String,
    pub id: String,
    /// Every verdict and the decision.
    pub same: bool,
    pub decided_at: Option<Timestamp>,
    /// Of the flow file of then, whose settings were used.
    pub flow_digest: Digest,
    pub oracles: Vec<OracleRow>,
    pub decision: Compared<SaidByFlow>,
}

#[derive(Serialize)]
pub(super) struct OracleRow {
    pub name: String,
    pub digest: Digest,
    #[serde(flatten)]
    pub said: Compared<SaidByOracle>,
}

#[derive(Serialize)]
pub(super) struct Compared<T> {
    pub stored: T,
    pub now: Option<T>,
    /// Why nothing is said now.
    pub fault: Option<String>,
    pub same: bool,
}

#[derive(PartialEq, Serialize)]
pub(super) struct SaidByOracle {
    pub score: f64,
    pub reasons: Vec<String>,
}

#[derive(PartialEq, Serialize)]
pub(super) struct SaidByFlow {
    score: Option<f64>,
    label: Option<String>,
    reasons: Vec<String>,
    output: Option<String>,
    threshold: f64,
}

impl SaidByFlow {
    pub fn of_outcome(outcome: &Outcome, threshold: f64) -> Self {
        Self {
            score: outcome.score,
            label: outcome.label.as_ref().map(ToString::to_string),
            reasons: outcome.reasons.clone(),
            output: outcome.output.clone(),
            threshold,
        }
    }

    pub fn of_decision(decision: Decision) -> Self {
        Self {
            score: decision.score,
            label: decision.label_name.map(|label| label.to_string()),
            reasons: decision.reasons,
            output: decision.output,
            threshold: decision.threshold,
        }
    }
}

/// What is compared, part by part, for a person to read.
pub(super) trait Parts {
    fn score(&self) -> String;
    fn parts(&self) -> Vec<(&'static str, String)>;
}

impl Parts for SaidByOracle {
    fn score(&self) -> String {
        self.score.to_string()
    }

    fn parts(&self) -> Vec<(&'static str, String)> {
        vec![("score", self.score()), ("reasons", joined(&self.reasons))]
    }
}

impl Parts for SaidByFlow {
    fn score(&self) -> String {
        or_dash(self.score)
    }

    fn parts(&self) -> Vec<(&'static str, String)> {
        vec![
            ("score", self.score()),
            ("label", or_dash(self.label.as_ref())),
            ("reasons", joined(&self.reasons)),
            ("output", or_dash(self.output.as_ref())),
            ("threshold", self.threshold.to_string()),
        ]
    }
}

fn joined(reasons: &[String]) -> String {
    or_dash((!reasons.is_empty()).then(|| reasons.join(", ")))
}

impl<T: PartialEq + Parts> Compared<T> {
    pub fn new(stored: T, now: Option<T>, fault: Option<String>) -> Self {
        let same = now.as_ref() == Some(&stored);
        Self {
            stored,
            now,
            fault,
            same,
        }
    }

    fn cells(&self) -> [String; 3] {
        [
            self.stored.score(),
            or_dash(self.now.as_ref().map(Parts::score)),
            if self.same { "yes" } else { "no" }.to_owned(),
        ]
    }

    fn differences(&self, of: &str) -> Vec<String> {
        let Some(now) = &self.now else {
            let why = self.fault.as_deref().unwrap_or("there is none now");
            return vec![format!("{of}: no verdict now: {}", short(why, 200))];
        };
        let both = self.stored.parts().into_iter().zip(now.parts());
        both.filter(|(stored, now)| stored != now)
            .map(|((part, stored), (_, now))| format!("{of}: {part} {stored} is stored, now {now}"))
            .collect()
    }
}

impl Verified {
    pub fn in_words(&self) -> String {
        let header = ["oracle", "digest", "stored score", "score now", "same"];
        let row = |name: &str, digest: Digest, [stored, now, same]: [String; 3]| {
            [name.to_owned(), format!("{digest:.12}"), stored, now, same]
        };
        let oracles = self.oracles.iter();
        let rows = oracles.map(|oracle| row(&oracle.name, oracle.digest, oracle.said.cells()));
        let decision = row("the flow", self.flow_digest, self.decision.cells());
        let table = lined(&header, rows.chain([decision]));
        if !self.same {
            return table.to_string();
        }
        let SaidByFlow { label, reasons, .. } = &self.decision.stored;
        format!(
            "{table}\nthe same as at {}: {}, {}",
            or_dash(self.decided_at),
            or_dash(label.as_ref()),
            joined(reasons),
        )
    }

    /// A line for each part that is not the same.
    pub fn differences(&self) -> Vec<String> {
        let oracles = self.oracles.iter();
        let of_oracles = oracles.filter(|oracle| !oracle.said.same);
        let mut lines: Vec<String> = of_oracles
            .flat_map(|oracle| oracle.said.differences(&oracle.name))
            .collect();
        if !self.decision.same {
            lines.extend(self.decision.differences("the flow"));
        }
        lines
    }
}
