use std::sync::Arc;
use std::time::Duration;

use super::{Combine, Decide, Digest, Label};

/// What one oracle says of one entry. The score has been checked: it is
/// finite and within 0.0 ..= 1.0.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    pub score: f64,
    pub reasons: Vec<String>,
    pub output: Option<String>,
}

/// Which oracle said what, as it is kept on the decision.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Judged {
    pub name: Arc<str>,
    pub digest: Digest,
    pub score: f64,
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// What the flow makes of its verdicts. A flow without oracles has neither
/// score nor label.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub score: Option<f64>,
    pub label: Option<Label>,
    /// The label's name in the flow file, such as "HIGH".
    pub label_name: Option<Arc<str>>,
    pub reasons: Vec<String>,
    pub output: Option<String>,
    pub oracles: Vec<Judged>,
    pub threshold: f64,
    /// This entry's share of the time its batch spent in the oracles.
    pub inference: Duration,
}

/// What is remembered of a decision, to answer whoever asks for it by id.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    pub score: Option<f64>,
    /// In the words of the flow file.
    pub label: Option<Arc<str>>,
    pub reasons: Vec<String>,
    pub output: Option<String>,
    pub oracles: Vec<Judged>,
    /// Unix milliseconds.
    pub decided_at: u64,
}

impl Outcome {
    pub fn of(decision: &Decision, decided_at: u64) -> Self {
        Self {
            score: decision.score,
            label: decision.label_name.clone(),
            reasons: decision.reasons.clone(),
            output: decision.output.clone(),
            oracles: decision.oracles.clone(),
            decided_at,
        }
    }
}

impl Decide {
    /// The flow's word for a score.
    pub fn label_of(&self, score: f64) -> &Arc<str> {
        match score > self.threshold {
            true => &self.high,
            false => &self.low,
        }
    }

    /// Of all oracles' verdicts; `None` of no verdict.
    pub fn score(&self, verdicts: &[Verdict]) -> Option<f64> {
        let scores = verdicts.iter().map(|verdict| verdict.score);
        match self.combine {
            Combine::Max => scores.reduce(f64::max),
            Combine::Min => scores.reduce(f64::min),
            Combine::Mean => scores
                .reduce(|sum, score| sum + score)
                .map(|sum| sum / verdicts.len() as f64),
        }
    }
}
