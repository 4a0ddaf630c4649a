//! From the flow files as written to the flows as used.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::admit_table::{self, Claim};
use super::file::{File, Found, Section};
use super::{
    Combine, Decide, Digest, Flow, FlowName, Keep, OracleLimits, OracleSettings, OracleUse,
    Problem, Retry, StreamSettings, Unjudged,
};

pub(super) const DURATION: &str = "write a duration such as \"500ms\", \"30s\" or \"10m\"";
pub(super) const SIZE: &str = "write a size such as \"64KiB\" or \"1MiB\"";
const COMPONENT: &str =
    "name a file of the oracle directory without .wasm, such as \"mempool-risk\"";
const MEBIBYTE: u64 = 1 << 20;

impl Flow {
    /// Reads every `*.toml` of a directory, in the order of their names.
    ///
    /// # Errors
    /// All problems of all files; then no flow is to be used.
    pub fn load_dir(dir: impl AsRef<Path>) -> Result<Vec<Self>, Vec<Problem>> {
        let dir = dir.as_ref();
        let problem = |what: String, remedy| vec![Problem::of_file(dir, what, remedy)];
        let paths = flow_files(dir).map_err(|error| {
            let what = format!("read flow directory: {error}");
            problem(what, "name a directory that can be read")
        })?;
        if paths.is_empty() {
            let what = "no flow file (*.toml) in it".to_owned();
            return Err(problem(what, "put one there, or name another directory"));
        }
        let mut loader = Loader::default();
        paths.iter().for_each(|path| loader.load(path));
        if loader.problems.is_empty() {
            Ok(loader.flows)
        } else {
            Err(loader.problems)
        }
    }

    /// A flow as it was accepted once, to work off what is open of it: nothing
    /// is admitted by it, so it comes without its schema.
    ///
    /// # Errors
    /// Where this version does not understand it.
    pub fn of_source(name: &str, source: &str) -> Result<Self, Vec<Problem>> {
        let digest = Digest::of(source.as_bytes());
        let file = File::new(format!("{name}.toml"), source.to_owned());
        let flow = resolve(&file, FlowName::new(name), digest, None, |_, _| {});
        let problems = file.problems();
        match flow {
            Some(flow) if problems.is_empty() => Ok(flow),
            _ => Err(problems),
        }
    }
}

fn flow_files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[derive(Default)]
struct Loader {
    flows: Vec<Flow>,
    problems: Vec<Problem>,
    /// HTTP path -> where it was claimed first.
    claims: HashMap<String, String>,
}

impl Loader {
    fn load(&mut self, path: &Path) {
        let mut problem = |what: String, remedy| {
            self.problems.push(Problem::of_file(path, what, remedy));
        };
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let Some(name) = stem.filter(|stem| is_name(stem)) else {
            let what = "its name is not one of a flow".to_owned();
            return problem(what, "use a to z, 0 to 9, - and _");
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("read flow file: {error}");
                return problem(what, "make it a text file that can be read");
            }
        };
        let digest = Digest::of(text.as_bytes());
        let file = File::new(path.display().to_string(), text);
        let dir = path.parent().unwrap_or(Path::new("."));
        let flow = resolve(
            &file,
            FlowName::new(name),
            digest,
            Some(dir),
            |claim, found| {
                let here = format!("{}:{}", file.name(), found.line());
                if let Some(first) = self.claims.get(&claim) {
                    let what = format!("{claim:?} is the path of another flow ({first})");
                    found.report(what, "give one of them another path");
                } else {
                    self.claims.insert(claim, here);
                }
            },
        );
        let problems = file.problems();
        if problems.is_empty() {
            self.flows.extend(flow);
        }
        self.problems.extend(problems);
    }
}

/// Names end up in Redis keys, file names and metrics.
pub(super) fn is_name(text: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    !text.is_empty() && text.len() <= 64 && text.bytes().all(plain)
}

/// `None` where something that has no default is missing or wrong; other
/// problems stand in `file` only.
fn resolve(
    file: &File,
    name: FlowName,
    digest: Digest,
    dir: Option<&Path>,
    claim: impl Claim,
) -> Option<Flow> {
    let mut root = file.root();
    let admit = admit_table::read(root.section("admit"), dir, claim);
    let oracles = oracles(&mut root);
    let decide = decide(root.section("decide"));
    let keep = keep(root.section("keep"));
    let retry = retry(root.section("retry"));
    let stream = stream(root.section("stream"));
    root.finish();
    Some(Flow {
        source: file.text().into(),
        name,
        digest,
        admit: admit?,
        oracles,
        decide,
        keep,
        retry,
        stream,
    })
}

fn oracles(root: &mut Section) -> Vec<OracleUse> {
    let written = root.optional("oracle").map(Found::sections);
    if written.as_ref().is_none_or(Vec::is_empty) {
        root.missing(
            "oracle",
            "say who judges: [[oracle]] with component = \"...\"",
        );
    }
    written.into_iter().flatten().filter_map(oracle).collect()
}

fn oracle(mut table: Section) -> Option<OracleUse> {
    let component = table
        .required("component", COMPONENT)
        .and_then(|found| found.check(COMPONENT, |name: &String| is_name(name)));
    let settings = oracle_settings(table.section("settings"));
    let memory = table.optional("memory").and_then(|found| {
        let size = found.parse(SIZE, str::parse::<bytesize::ByteSize>)?;
        let sound = (MEBIBYTE..=4096 * MEBIBYTE).contains(&size.as_u64());
        if !sound {
            found.report(
                format_args!("{size} is not possible here"),
                "write 1MiB to 4GiB",
            );
        }
        sound.then(|| usize::try_from(size.as_u64()).ok()).flatten()
    });
    let timeout = table.optional("timeout").and_then(|found| {
        let timeout = found.parse(DURATION, humantime::parse_duration)?;
        if timeout.is_zero() {
            found.report("an oracle needs some time", DURATION);
        }
        Some(timeout)
    });
    table.finish();
    Some(OracleUse {
        component: component?.into(),
        settings: Arc::new(settings),
        limits: OracleLimits {
            memory: memory.unwrap_or(64 << 20),
            timeout: timeout.unwrap_or(std::time::Duration::from_millis(100)),
        },
    })
}

fn oracle_settings(table: Section) -> OracleSettings {
    /// What a setting may be; a guest reads all of them as text.
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Setting {
        Text(String),
        Integer(i64),
        Number(f64),
        Switch(bool),
    }
    let values: std::collections::BTreeMap<_, _> = table
        .entries()
        .filter_map(|(key, found)| {
            let value = match found.raw().get_ref().type_str() {
                "array" | "table" | "datetime" => {
                    found.report("not a setting", "write a string, a number, true or false");
                    return None;
                }
                _ => match found.read("write a string, a number, true or false")? {
                    Setting::Text(text) => text,
                    Setting::Integer(number) => number.to_string(),
                    Setting::Number(number) => number.to_string(),
                    Setting::Switch(on) => on.to_string(),
                },
            };
            Some((key, value))
        })
        .collect();
    let digest = serde_json::to_vec(&values)
        .ok()
        .filter(|_| !values.is_empty())
        .map(|json| Digest::of(&json));
    OracleSettings { values, digest }
}

fn decide(mut table: Section) -> Decide {
    let combine = table
        .optional("combine")
        .and_then(|found| found.read("write \"max\", \"min\" or \"mean\""));
    let threshold = table.optional("threshold").and_then(|found| {
        found.check("scores run from 0.0 to 1.0", |threshold| {
            (0.0..=1.0).contains(threshold)
        })
    });
    let mut labels = table.section("labels");
    let mut label = |key: &'static str, default: &str| -> Arc<str> {
        let remedy = "write a word that is not empty";
        labels
            .optional(key)
            .and_then(|found| found.check(remedy, |text: &String| !text.is_empty()))
            .map_or_else(|| default.into(), Into::into)
    };
    let (high, low) = (label("high", "HIGH"), label("low", "LOW"));
    labels.finish();
    let unjudged = table
        .optional("unjudged")
        .and_then(|found| found.read("write \"dead-letter\" or \"high\""));
    table.finish();
    Decide {
        combine: combine.unwrap_or(Combine::Max),
        threshold: threshold.unwrap_or(0.8),
        high,
        low,
        unjudged: unjudged.unwrap_or(Unjudged::DeadLetter),
    }
}

fn keep(mut table: Section) -> Keep {
    let when = table
        .optional("when")
        .and_then(|found| found.read("write \"high\", \"always\" or \"never\""));
    table.finish();
    when.unwrap_or(Keep::High)
}

fn retry(mut table: Section) -> Retry {
    let attempts = table
        .optional("attempts")
        .and_then(|found| found.check("write 1 to 1000", |attempts| (1..=1000).contains(attempts)));
    let mut backoff = table.section("backoff");
    let first = duration(&mut backoff, "first");
    let factor = backoff.optional("factor").and_then(|found| {
        found.check("write 1.0 or more", |factor: &f64| {
            factor.is_finite() && *factor >= 1.0
        })
    });
    let max = duration(&mut backoff, "max");
    backoff.finish();
    table.finish();
    Retry {
        attempts: attempts.unwrap_or(5),
        first: first.unwrap_or(std::time::Duration::from_secs(1)),
        factor: factor.unwrap_or(2.0),
        max: max.unwrap_or(std::time::Duration::from_secs(300)),
    }
}

fn stream(mut table: Section) -> StreamSettings {
    let partitions = table.optional("partitions").and_then(|found| {
        found.check("write 1 to 256", |partitions| {
            (1..=256).contains(partitions)
        })
    });
    let max_backlog = table
        .optional("max_backlog")
        .and_then(|found| found.check("write a number of entries above 0", |max| *max > 0));
    let retain = duration(&mut table, "retain");
    table.finish();
    StreamSettings {
        partitions: partitions.unwrap_or(1),
        max_backlog: max_backlog.unwrap_or(1_000_000),
        retain: retain.unwrap_or_default(),
    }
}

pub(super) fn duration(table: &mut Section, key: &'static str) -> Option<std::time::Duration> {
    table
        .optional(key)
        .and_then(|found| found.parse(DURATION, humantime::parse_duration))
}
