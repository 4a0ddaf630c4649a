//! The flows that are proven, their files and their oracles.

use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;
use serde::Serialize;

const UNIFORM_RISK: &[u8] = include_bytes!("../../../plugins/dist/uniform-risk.wasm");
const TASK_ECHO: &[u8] = include_bytes!("../../../plugins/dist/task-echo.wasm");
const AGE_RULE: &[u8] = include_bytes!("../../../plugins/dist/age-rule.wasm");
const MISBEHAVING: &[u8] = include_bytes!("../../floodgate/tests/components/misbehaving.wasm");

/// All that any of the oracles reads; every flow takes the same bodies. The
/// example is what a changed oracle or flow file is tried on.
const SCHEMA: &str = r#"{
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "examples": [{ "id": "example", "do": "", "age": 30, "payload": "text" }],
    "type": "object",
    "required": ["id", "do", "age", "payload"],
    "properties": {
        "id": { "type": "string" },
        "do": { "type": "string" },
        "age": { "type": "integer" },
        "payload": { "type": "string" }
    }
}"#;

const COMPONENTS: [(&str, &[u8]); 4] = [
    ("misbehaving", MISBEHAVING),
    ("uniform-risk", UNIFORM_RISK),
    ("task-echo", TASK_ECHO),
    ("age-rule", AGE_RULE),
];

/// The threshold of all flows.
pub(super) const THRESHOLD: f64 = 0.8;

/// One of the flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProvenFlow {
    /// Keeps every decision, so each entry's fate can be looked up; its oracle
    /// does what an entry tells it to.
    KeepAlways,
    /// Keeps what is above the threshold; its oracle is `uniform-risk`, whose
    /// scores are computed again here.
    KeepHigh,
    /// As the one before, and takes arrays of entries.
    Batch,
    /// Keeps every decision; one of its two oracles answers with the payload,
    /// the other one reads a setting.
    Echo,
    /// Takes what the hostile client floods it with, and nothing of others.
    Flood,
}

impl ProvenFlow {
    pub const ALL: [Self; 5] = [
        Self::KeepAlways,
        Self::KeepHigh,
        Self::Batch,
        Self::Echo,
        Self::Flood,
    ];

    /// Those that the good client posts to, in turns.
    pub const GOOD: [Self; 4] = [Self::KeepAlways, Self::KeepHigh, Self::Batch, Self::Echo];

    pub fn name(self) -> &'static str {
        match self {
            Self::KeepAlways => "prove-always",
            Self::KeepHigh => "prove-high",
            Self::Batch => "prove-batch",
            Self::Echo => "prove-echo",
            Self::Flood => "prove-flood",
        }
    }

    /// Whether its body is an array.
    pub fn is_batch(self) -> bool {
        matches!(self, Self::Batch | Self::Flood)
    }

    /// Whether each of its good entries has a decision in the end.
    pub fn keeps_always(self) -> bool {
        matches!(self, Self::KeepAlways | Self::Echo)
    }

    fn components(self) -> &'static [&'static str] {
        match self {
            Self::KeepAlways => &["misbehaving"],
            Self::KeepHigh => &["uniform-risk", "age-rule"],
            Self::Batch | Self::Flood => &["uniform-risk"],
            Self::Echo => &["task-echo", "age-rule"],
        }
    }

    /// Its file. `min_age` is a setting of `age-rule`, as somebody wrote it.
    pub fn file(self, min_age: &str) -> String {
        let name = self.name();
        let batch = match self.is_batch() {
            true => "batch = true\nmax_body = \"16MiB\"\n",
            false => "",
        };
        let oracle = |component: &&str| match *component {
            "age-rule" => format!(
                "[[oracle]]\ncomponent = \"age-rule\"\nsettings = {{ min_age = {min_age} }}\n"
            ),
            component => format!("[[oracle]]\ncomponent = \"{component}\"\n"),
        };
        let oracles: String = self.components().iter().map(oracle).collect();
        let keep = match self {
            Self::KeepAlways | Self::Echo => "always",
            Self::KeepHigh | Self::Batch => "high",
            Self::Flood => "never",
        };
        // When a fault limits the memory of Redis, the default leaves each flow little
        // memory for ids. The ids of good clients and of giant batches would not fit.
        let remember = match self {
            Self::Flood => "",
            _ => "remember_memory = \"256MiB\"\n",
        };
        // A short backoff, so that the dead are dead when the load ends.
        format!(
            "[admit]\n\
             path = \"/{name}\"\n\
             schema = \"prove.schema.json\"\n\
             id = {{ field = \"/id\" }}\n\
             {batch}\
             {remember}\
             {oracles}\
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

/// The setting of `age-rule` as it is right, and as it is when somebody
/// mistypes it.
pub(super) const MIN_AGE: &str = "18";
pub(super) const MISTYPED_MIN_AGE: &str = "\"18 years\"";

/// Writes all flow files and their schema.
pub(super) fn write_flows(directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir(directory).context("make the directory of the flows")?;
    std::fs::write(directory.join("prove.schema.json"), SCHEMA)?;
    for flow in ProvenFlow::ALL {
        write_flow(directory, flow, MIN_AGE)?;
    }
    Ok(())
}

/// Writes the file of a flow, whole at once.
pub(super) fn write_flow(directory: &Path, flow: ProvenFlow, min_age: &str) -> anyhow::Result<()> {
    let aside = directory.join(format!(".{}", flow.name()));
    std::fs::write(&aside, flow.file(min_age)).context("write a flow file")?;
    let path = directory.join(flow.name()).with_extension("toml");
    std::fs::rename(aside, path).context("put a flow file in its place")
}

/// Drops the oracles of all flows and returns their digests. They judge alike
/// in every `version`, and each version has digests of its own.
pub(super) fn drop_oracles(directory: &Path, version: u32) -> anyhow::Result<Vec<String>> {
    let drop = |(name, component): (&str, &[u8])| {
        let component = with_version(component, version);
        let aside = directory.join(format!(".{name}"));
        std::fs::write(&aside, &component).context("write an oracle")?;
        let path = directory.join(name).with_extension("wasm");
        std::fs::rename(aside, path).context("drop an oracle")?;
        Ok(floodgate_flow::Digest::of(&component).to_string())
    };
    COMPONENTS.into_iter().map(drop).collect()
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

    use super::super::entry::{Entry, Fate, Order};
    use super::*;
    use floodgate_flow::{self as flow, Flow, OracleLimits, OracleSettings};
    use floodgate_oracle_host::{Engine, EngineOptions, Oracle};

    fn entry(flow: ProvenFlow, number: u64) -> Entry {
        Entry {
            flow,
            number,
            id: format!("test-{number}"),
            order: Order::Nothing,
        }
    }

    #[test]
    fn the_flow_files_are_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let flows = directory.path().join("flows");
        write_flows(&flows).unwrap();
        let flows = Flow::load_dir(&flows).unwrap();
        let names: Vec<_> = flows.iter().map(|flow| flow.name.as_str()).collect();
        let mut expected = ProvenFlow::ALL.map(ProvenFlow::name);
        expected.sort_unstable();
        assert_eq!(names, expected);
    }

    #[test]
    fn every_version_of_an_oracle_gives_the_scores_that_are_expected() {
        let engine = Engine::new(&EngineOptions::default()).unwrap();
        for version in [1, 2] {
            let oracles = COMPONENTS.map(|(name, component)| {
                let component = with_version(component, version);
                let oracle = Oracle::load(&engine, &component).unwrap();
                (name, oracle.named(name))
            });
            for flow in ProvenFlow::ALL {
                let of_flow: Vec<_> = oracles
                    .iter()
                    .filter(|(name, _)| flow.components().contains(name))
                    .collect();
                assert_eq!(of_flow.len(), flow.components().len());
                for number in 0..200 {
                    let entry = entry(flow, number);
                    let scores = of_flow.iter().map(|(_, oracle)| judge(oracle, &entry));
                    let score = scores.fold(0.0, f64::max);
                    let kept = flow.keeps_always() || score > THRESHOLD;
                    let fate = if kept && flow != ProvenFlow::Flood {
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
