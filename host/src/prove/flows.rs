//! The flows that are proven, what is sent to them, and what has to become of
//! each entry.

use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use clap::ValueEnum;
use serde::Serialize;

const UNIFORM_RISK: &[u8] = include_bytes!("../../../plugins/dist/uniform-risk.wasm");
const MISBEHAVING: &[u8] = include_bytes!("../../tests/components/misbehaving.wasm");

const SCHEMA: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["id", "do"],
    "properties": { "id": { "type": "string" }, "do": { "type": "string" } }
}"#;

/// The threshold of both flows.
pub(super) const THRESHOLD: f64 = 0.8;

/// One of the two flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProvenFlow {
    /// Keeps every decision, so each entry's fate can be looked up; its oracle
    /// traps on the entries that tell it to.
    KeepAlways,
    /// Keeps what is above the threshold; its oracle is `uniform-risk`, whose
    /// scores are computed again here.
    KeepHigh,
}

/// What has to become of an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// A decision with this score is kept.
    Kept { score: f64 },
    /// It is decided, and neither kept nor dead.
    NotKept,
    /// Its oracle traps on it: a dead letter.
    Dead,
}

/// One entry of the load.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub flow: ProvenFlow,
    /// In the order in which they are made.
    pub number: u64,
    pub id: String,
    /// Whether it tells its oracle to trap.
    pub traps: bool,
}

impl ProvenFlow {
    pub const ALL: [Self; 2] = [Self::KeepAlways, Self::KeepHigh];

    pub fn name(self) -> &'static str {
        match self {
            Self::KeepAlways => "prove-always",
            Self::KeepHigh => "prove-high",
        }
    }

    fn component(self) -> (&'static str, &'static [u8]) {
        match self {
            Self::KeepAlways => ("misbehaving", MISBEHAVING),
            Self::KeepHigh => ("uniform-risk", UNIFORM_RISK),
        }
    }

    fn file(self) -> String {
        let (name, (component, _)) = (self.name(), self.component());
        let keep = match self {
            Self::KeepAlways => "always",
            Self::KeepHigh => "high",
        };
        // A short backoff, so that the dead are dead when the load ends.
        format!(
            "[admit]\n\
             path = \"/{name}\"\n\
             schema = \"prove.schema.json\"\n\
             id = {{ field = \"/id\" }}\n\
             [[oracle]]\n\
             component = \"{component}\"\n\
             [decide]\n\
             threshold = {THRESHOLD}\n\
             [keep]\n\
             when = \"{keep}\"\n\
             [retry]\n\
             attempts = 3\n\
             backoff = {{ first = \"200ms\", factor = 2.0, max = \"1s\" }}\n"
        )
    }
}

impl Entry {
    pub fn body(&self) -> Bytes {
        let order = if self.traps { "trap" } else { "" };
        Bytes::from(serde_json::json!({ "id": self.id, "do": order }).to_string())
    }

    pub fn fate(&self) -> Fate {
        match self.flow {
            ProvenFlow::KeepAlways if self.traps => Fate::Dead,
            // What `misbehaving` says of an entry that orders nothing.
            ProvenFlow::KeepAlways => Fate::Kept { score: 0.5 },
            ProvenFlow::KeepHigh => match uniform_risk(&self.id) {
                score if score > THRESHOLD => Fate::Kept { score },
                _ => Fate::NotKept,
            },
        }
    }
}

/// The score that `uniform-risk` gives an id; the oracle's own tests hold the
/// same known values.
fn uniform_risk(id: &str) -> f64 {
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    let hash = hash ^ (hash >> 33);
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Writes both flow files and their schema.
pub(super) fn write_flows(directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir(directory).context("make the directory of the flows")?;
    std::fs::write(directory.join("prove.schema.json"), SCHEMA)?;
    for flow in ProvenFlow::ALL {
        let path = directory.join(flow.name()).with_extension("toml");
        std::fs::write(path, flow.file()).context("write a flow file")?;
    }
    Ok(())
}

/// Drops the oracles of both flows and returns their digests. They judge alike
/// in every `version`, and each version has digests of its own.
pub(super) fn drop_oracles(directory: &Path, version: u32) -> anyhow::Result<Vec<String>> {
    let drop = |flow: ProvenFlow| {
        let (name, component) = flow.component();
        let component = with_version(component, version);
        let aside = directory.join(format!(".{name}"));
        std::fs::write(&aside, &component).context("write an oracle")?;
        let path = directory.join(name).with_extension("wasm");
        std::fs::rename(aside, path).context("drop an oracle")?;
        Ok(crate::flow::Digest::of(&component).to_string())
    };
    ProvenFlow::ALL.into_iter().map(drop).collect()
}

/// Appends a custom section, which means nothing to whoever runs it.
fn with_version(component: &[u8], version: u32) -> Vec<u8> {
    const CUSTOM: u8 = 0;
    const NAME: &[u8] = b"prove";
    let content = version.to_le_bytes();
    // Both lengths are below 128, where LEB128 is one byte.
    let size = (1 + NAME.len() + content.len()) as u8;
    [component, &[CUSTOM, size, NAME.len() as u8], NAME, &content].concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::flow::{self, Flow, OracleLimits, OracleSettings};
    use crate::oracle::{Engine, EngineOptions, Oracle};

    fn entry(flow: ProvenFlow, number: u64) -> Entry {
        Entry {
            flow,
            number,
            id: format!("test-{number}"),
            traps: false,
        }
    }

    #[test]
    fn the_flow_files_are_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let flows = directory.path().join("flows");
        write_flows(&flows).unwrap();
        let flows = Flow::load_dir(&flows).unwrap();
        let names: Vec<_> = flows.iter().map(|flow| flow.name.as_str()).collect();
        assert_eq!(names, ["prove-always", "prove-high"]);
    }

    #[test]
    fn every_version_of_an_oracle_gives_the_scores_that_are_expected() {
        let engine = Engine::new(&EngineOptions::default()).unwrap();
        for flow in ProvenFlow::ALL {
            for version in [1, 2] {
                let (name, component) = flow.component();
                let component = with_version(component, version);
                let oracle = Oracle::load(&engine, &component).unwrap().named(name);
                for number in 0..200 {
                    let entry = entry(flow, number);
                    let score = judge(&oracle, &entry);
                    let kept = flow == ProvenFlow::KeepAlways || score > THRESHOLD;
                    let fate = if kept {
                        Fate::Kept { score }
                    } else {
                        Fate::NotKept
                    };
                    assert_eq!(entry.fate(), fate);
                }
            }
        }
    }

    fn judge(oracle: &Oracle, entry: &Entry) -> f64 {
        let shown = flow::Entry {
            id: entry.id.as_str().into(),
            body: entry.body(),
            received_at: 0,
            attributes: Arc::default(),
        };
        let settings = Arc::new(OracleSettings {
            values: BTreeMap::new(),
            digest: None,
        });
        let limits = OracleLimits {
            memory: 64 << 20,
            timeout: std::time::Duration::from_secs(5),
        };
        let answers = oracle.judge(&[&shown], &settings, limits).unwrap();
        answers[0].as_ref().unwrap().score
    }
}
