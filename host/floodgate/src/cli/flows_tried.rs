//! Has oracles judge the control entries of flow files, without starting
//! anything.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use floodgate_flow::Flow;
use floodgate_oracle_host::{Controls, Engine, EngineOptions, Finding, Oracle, try_oracle};

/// What an oracle makes of the controls of a flow.
#[derive(Serialize)]
pub(super) struct Tried {
    flow: String,
    oracle: String,
    /// `cleared`, `convicted`, `unclear`, `unknown` where the flow names no
    /// controls, or `not-tried`.
    finding: &'static str,
    /// What speaks against it, or why it was not tried.
    reason: Option<String>,
}

impl Tried {
    pub fn is_well(&self) -> bool {
        self.finding == "cleared"
    }

    pub fn fails(&self) -> bool {
        self.finding == "convicted"
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            flow,
            oracle,
            finding,
            reason,
        } = self;
        let reason = reason.as_deref().unwrap_or_default();
        match *finding {
            "convicted" => write!(f, "{flow}: {oracle} would hold the flow: {reason}"),
            "unclear" => write!(f, "{flow}: {oracle} fails some of the controls: {reason}"),
            "not-tried" => write!(f, "{flow}: {oracle} was not tried: {reason}"),
            finding => write!(f, "{flow}: {oracle} {finding}: {reason}"),
        }
    }
}

/// Tries every oracle of these flows that lies in the directory.
///
/// # Errors
/// Where no component can be run on this machine.
pub(super) fn try_all(flows: &[Flow], oracles: &Path) -> anyhow::Result<Vec<Tried>> {
    let uses = || flows.iter().flat_map(|flow| &flow.oracles);
    let default = EngineOptions::default().max_memory;
    let max_memory = uses().map(|usage| usage.limits.memory);
    let engine = Engine::new(&EngineOptions {
        cache: None,
        max_memory: max_memory.fold(default, usize::max),
        ..EngineOptions::default()
    })?;
    let mut loaded: BTreeMap<Arc<str>, Result<Arc<Oracle>, String>> = BTreeMap::new();
    for usage in uses() {
        let load = || load(&engine, oracles, &usage.component);
        loaded
            .entry(Arc::clone(&usage.component))
            .or_insert_with(load);
    }
    let mut all = Vec::new();
    for flow in flows {
        let controls = Controls::of_operator(flow);
        for usage in &flow.oracles {
            let (finding, reason) = match loaded.get(&usage.component) {
                Some(Ok(oracle)) => told(&try_oracle(oracle, usage, &controls)),
                Some(Err(why)) => ("not-tried", Some(why.clone())),
                None => continue,
            };
            all.push(Tried {
                flow: flow.name.to_string(),
                oracle: usage.component.to_string(),
                finding,
                reason,
            });
        }
    }
    Ok(all)
}

fn load(engine: &Engine, dir: &Path, name: &Arc<str>) -> Result<Arc<Oracle>, String> {
    let path = dir.join(format!("{name}.wasm"));
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let oracle =
        Oracle::load(engine, &bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Arc::new(oracle.named(Arc::clone(name))))
}

fn told(finding: &Finding) -> (&'static str, Option<String>) {
    let reason = match finding {
        Finding::Convicted(why) | Finding::Unclear(why) | Finding::Unheard(why) => {
            Some(why.how_and_why())
        }
        Finding::Unknown => {
            Some("its schema has no examples, and controls names no file".to_owned())
        }
        Finding::Cleared => None,
    };
    (finding.as_str(), reason)
}
