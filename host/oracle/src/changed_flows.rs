//! Tries flow files that change before they come into force, and writes down
//! what became of them.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use serde_json::json;

use super::notebook::Note;
use super::registry::Registry;
use super::trial::{Finding, Manner};
use floodgate_flow::{Digest, Flow, FlowName};
use floodgate_report::FlowTried;

/// Why a changed flow does not come into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowNotTried {
    /// An oracle fails its controls under it: file, key and value.
    Fails(String),
    /// The ledger does not tell the controls of the last day.
    TryAgain,
}

impl Registry {
    /// Notes that a changed flow did not come into force.
    pub fn not_taken(&self, flow: &Flow, error: &str) {
        let why = (flow.digest, error.to_owned());
        self.refused().insert(flow.name.clone(), why);
    }

    fn refused(&self) -> MutexGuard<'_, BTreeMap<FlowName, (Digest, String)>> {
        // The map is whole after any single insert.
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the definitions that this worker has tried, for front ends that
    /// have no oracles to try them with: what it works by, and of each flow the
    /// last one that it did not take.
    pub fn flows_tried(&self) -> Vec<FlowTried> {
        let mut all = BTreeMap::new();
        for (flow, (digest, error)) in self.refused().iter() {
            all.insert((flow.clone(), *digest), Some(error.clone()));
        }
        for standing in self.standings() {
            let flow = &standing.flow;
            all.insert((flow.name.clone(), flow.digest), None);
        }
        let tried = |((flow, digest), error): ((FlowName, Digest), _)| FlowTried {
            flow: flow.to_string(),
            digest,
            error,
        };
        all.into_iter().map(tried).collect()
    }

    /// Tries a changed flow before it comes into force, wherever it uses an
    /// oracle in another way than `before`.
    ///
    /// # Errors
    /// Fails where an oracle breaks under the new definition, or refuses control
    /// entries that it judges under `before`. The text names the keys and values
    /// that are new.
    pub async fn try_flow(&self, flow: &Flow, before: Option<&Flow>) -> Result<(), FlowNotTried> {
        for usage in flow.new_uses(before) {
            let seat = self.seat_of(&usage.component);
            let Some(oracle) = seat.and_then(|seat| seat.current()) else {
                continue;
            };
            let why = match self.try_on_controls(flow, usage, &oracle).await {
                Finding::Convicted(why) => why,
                Finding::Unheard(_) => return Err(FlowNotTried::TryAgain),
                _ => continue,
            };
            let mut known = before.into_iter().flat_map(|before| &before.oracles);
            let known = known.find(|known| known.component == usage.component);
            if why.manner == Manner::Refuses {
                let Some(known) = known else { continue };
                if self.try_on_controls(flow, known, &oracle).await != Finding::Cleared {
                    continue;
                }
            }
            return Err(FlowNotTried::Fails(format!(
                "{}.toml: [[oracle]] {}: {}; with {}",
                flow.name,
                usage.component,
                why.how_and_why(),
                usage.differs_from(known)
            )));
        }
        Ok(())
    }

    /// Writes down that a flow file came into force.
    pub fn flow_changed(&self, flow: &Flow, before: Option<&Flow>) {
        let from = before.map(|before| before.digest);
        let target = json!({ "flow": flow.name.as_str(), "from": from, "to": flow.digest });
        let outcome = json!({ "why": "the flow file, or a file that it names, changed" });
        self.note(Note::event(&self.host, "file", "flow", target, outcome));
    }

    /// Writes down that a flow file was removed.
    pub fn flow_removed(&self, flow: &Flow) {
        let target = json!({ "flow": flow.name.as_str(), "from": flow.digest, "to": null });
        let outcome = json!({ "why": "the flow file was removed" });
        self.note(Note::event(&self.host, "file", "flow", target, outcome));
    }

    /// Writes down that a flow file did not come into force.
    pub fn flow_refused(&self, flow: &FlowName, error: &str) {
        let target = json!({ "flow": flow.as_str() });
        let outcome = json!({ "error": format!("not taken: {error}") });
        self.note(Note::event(&self.host, "file", "flow", target, outcome));
    }
}
