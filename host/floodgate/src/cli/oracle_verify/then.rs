use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use bytes::Bytes;

use super::compared::{Compared, OracleRow, SaidByFlow, SaidByOracle, Verified};
use floodgate_admin::types::WholeDecision;
use floodgate_flow::{BodyHash, Decision, Digest, Entry, Flow, Judged, Outcome, Verdict};
use floodgate_oracle_host::{Engine, EngineOptions, Oracle};
use floodgate_worker as worker;

/// More than any flow gives: the deadline is there for the other entries of a
/// worker, and here a slow machine would only be taken for a difference.
const PATIENCE: Duration = Duration::from_secs(30);

/// An entry, and all that it was decided by.
pub(super) struct Then {
    flow: Flow,
    entry: Entry,
    outcome: Outcome,
    threshold: f64,
}

impl Then {
    /// # Errors
    /// Where it is not what was decided, or its flow file is not kept.
    pub fn of(decision: WholeDecision) -> anyhow::Result<Self> {
        if let Some(at) = decision.erased_at {
            bail!("erased at {at}: nothing to judge again");
        }
        let digest = decision.flow_digest;
        let source = decision.definition.ok_or_else(|| {
            anyhow!("the ledger does not have the flow file {digest:.12} that it was decided by")
        })?;
        ensure!(
            decision.definition_masked || Digest::of(source.as_bytes()) == digest,
            "what is kept as the flow file {digest:.12} is another one"
        );
        let flow = Flow::of_source(&decision.flow, &source).map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow!(
                "this version does not understand the flow file {digest:.12}: {}",
                problems.join("; ")
            )
        })?;
        let body = Bytes::from(decision.body);
        ensure!(
            hex::encode(BodyHash::of(&body).0) == decision.body_hash,
            "the body that is kept is not the one that was decided: its hash is another"
        );
        let entry = Entry {
            id: decision.id.into(),
            body,
            received_at: decision.received_at,
            attributes: decision.attributes,
        };
        let then = Self {
            flow,
            entry,
            outcome: decision.outcome,
            threshold: decision.threshold,
        };
        then.must_fit()?;
        Ok(then)
    }

    /// In the order in which they judged.
    pub fn judged(&self) -> &[Judged] {
        &self.outcome.oracles
    }

    /// The oracles on the decision are those of the flow file.
    fn must_fit(&self) -> anyhow::Result<()> {
        if self.judged().is_empty() && !self.flow.oracles.is_empty() {
            bail!("no oracle judged this entry (reason unjudged): there is nothing to make again");
        }
        let judged: Vec<&str> = self.judged().iter().map(|judged| &*judged.name).collect();
        let oracles = self.flow.oracles.iter();
        let named: Vec<&str> = oracles.map(|usage| &*usage.component).collect();
        if judged != named {
            bail!(
                "the decision names the oracles {judged:?}, and the flow file that it was decided by {named:?}"
            );
        }
        Ok(())
    }

    /// Judges the entry alone. Takes as long as a compiler does, and an oracle:
    /// not on a runtime thread.
    ///
    /// # Errors
    /// Where a component does not load.
    pub fn verify(&self, components: &BTreeMap<Digest, Bytes>) -> anyhow::Result<Verified> {
        let bench = self.bench(components)?;
        let (mut rows, mut verdicts) = (Vec::new(), Vec::new());
        let mut failed = false;
        for ((usage, oracle), stored) in self.flow.oracles.iter().zip(&bench).zip(self.judged()) {
            let mut limits = usage.limits;
            limits.timeout = limits.timeout.max(PATIENCE);
            // As in a worker: what one fails, the next is not shown.
            let now = (!failed).then(|| oracle.judge_one(&self.entry, &usage.settings, limits));
            failed |= !matches!(now, Some(Ok(_)));
            rows.push(row(stored, now.as_ref()));
            verdicts.extend(now.and_then(Result::ok));
        }
        let now = (!failed).then(|| self.decide(verdicts));
        let stored = SaidByFlow::of_outcome(&self.outcome, self.threshold);
        let decision = Compared::new(stored, now.map(SaidByFlow::of_decision), None);
        let ms = i64::try_from(self.outcome.decided_at).unwrap_or(i64::MAX);
        Ok(Verified {
            flow: self.flow.name.to_string(),
            id: self.entry.id.to_string(),
            same: decision.same && rows.iter().all(|row: &OracleRow| row.said.same),
            decided_at: jiff::Timestamp::from_millisecond(ms).ok(),
            flow_digest: self.flow.digest,
            oracles: rows,
            decision,
        })
    }

    fn bench(&self, components: &BTreeMap<Digest, Bytes>) -> anyhow::Result<Vec<Oracle>> {
        let mut options = EngineOptions::default();
        let memory = self.flow.oracles.iter().map(|usage| usage.limits.memory);
        options.max_memory = memory.fold(options.max_memory, usize::max);
        let engine = Engine::new(&options)?;
        let load = |judged: &Judged| {
            let (name, digest) = (&judged.name, judged.digest);
            let bytes = components.get(&digest);
            let bytes = bytes.with_context(|| format!("no component {digest}"))?;
            let oracle = Oracle::load(&engine, bytes)
                .with_context(|| format!("oracle {name} {digest:.12} does not load any more"))?;
            Ok(oracle.named(Arc::clone(name)))
        };
        self.judged().iter().map(load).collect()
    }

    fn decide(&self, verdicts: Vec<Verdict>) -> Decision {
        worker::decide(&self.flow.decide, verdicts, Vec::new(), Duration::ZERO)
    }
}

fn row(
    stored: &Judged,
    now: Option<&Result<Verdict, floodgate_oracle_host::Refusal>>,
) -> OracleRow {
    let then = SaidByOracle {
        score: stored.score,
        reasons: stored.reasons.clone(),
    };
    let (now, fault) = match now {
        Some(Ok(verdict)) => (
            Some(SaidByOracle {
                score: verdict.score,
                reasons: verdict.reasons.clone(),
            }),
            None,
        ),
        Some(Err(fault)) => (None, Some(fault.to_string())),
        None => (None, Some("an oracle before it has no verdict".to_owned())),
    };
    OracleRow {
        name: stored.name.to_string(),
        digest: stored.digest,
        said: Compared::new(then, now, fault),
    }
}
