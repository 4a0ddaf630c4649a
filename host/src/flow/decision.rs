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

impl Decide {
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
