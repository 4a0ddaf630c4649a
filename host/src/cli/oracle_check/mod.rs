//! `floodgate oracle check`: whether a component fits, what it costs, and
//! what it says of a sample.

mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;

use super::oracle_sample::{self as sample, LIMITS, entry, first_line, setting};
use super::out::JsonOption;
use crate::flow::{Digest, Entry, OracleSettings};
use crate::oracle::{Engine, EngineOptions, LoadError, Oracle, Part};

const BATCH_SIZES: [usize; 4] = [1, 16, 64, 256];
/// How long each batch size is measured.
const MEASURED: Duration = Duration::from_millis(200);

/// What is judged where no sample is given.
const TRANSACTION: &str = r#"{"tx_hash":"0x5d1c9a2f7e6b4038a1c5d2e9f8b7a6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9","from_address":"0x00a3f5c1d2e4b6a8c0d2e4f6a8b0c2d4e6f8a0b2","to_address":"0x7a250d5630b4cf539739df2c5dacb4c659f2488d","value_eth":12.5,"gas_price_gwei":30,"input_data":"0xa9059cbb000000000000000000000000a3f5c1d2e4b6a8c0d2e4f6a8b0c2d4e6f8a0b2c40000000000000000000000000000000000000000000000000de0b6b3a7640000","timestamp":1766700000}"#;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The component, a .wasm file
    file: PathBuf,
    /// Entries to judge, one JSON body per line
    #[arg(long)]
    sample: Option<PathBuf>,
    /// A setting of [oracle.settings]; may be given several times
    #[arg(long = "setting", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
    #[command(flatten)]
    json: JsonOption,
}

/// # Errors
/// Where the component does not fit or does not load, or the sample cannot be read.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = &arguments.file;
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let entries = match &arguments.sample {
        Some(path) => sample::read(path)?,
        None => Vec::new(),
    };
    let settings = sample::settings(&arguments.settings);
    let checked = check(&bytes, &entries, &settings)?;
    arguments.json.say(&checked, || words::of(&checked))?;
    if !checked.fits {
        bail!("the component does not fit wit/oracle.wit");
    }
    Ok(())
}

/// What is to know of a component.
#[derive(Serialize)]
struct Checked {
    fits: bool,
    /// Its imports and exports.
    parts: Vec<Part>,
    /// Of one that fits.
    #[serde(flatten)]
    loaded: Option<Loaded>,
}

#[derive(Serialize)]
struct Loaded {
    digest: Digest,
    /// Bytes.
    size: usize,
    compile_ms: u128,
    /// Whether the entries that were measured are those of the sample.
    measured_sample: bool,
    cost: Vec<Cost>,
    /// Of the sample.
    verdicts: Vec<Said>,
}

/// A fresh instance per batch; the median.
#[derive(Serialize)]
struct Cost {
    batch: usize,
    per_batch_us: Option<f64>,
    /// Why there is no time.
    fault: Option<String>,
}

/// What it says of one entry: a verdict or a fault.
#[derive(Serialize)]
struct Said {
    id: String,
    score: Option<f64>,
    reasons: Vec<String>,
    output: Option<String>,
    fault: Option<String>,
}

fn check(
    bytes: &[u8],
    sample: &[Entry],
    settings: &Arc<OracleSettings>,
) -> anyhow::Result<Checked> {
    // Without a cache, so that the compile time is one.
    let engine = Engine::new(&EngineOptions::default())?;
    let oracle = match Oracle::load(&engine, bytes) {
        Ok(oracle) => oracle.named("check"),
        Err(LoadError::DoesNotFit(parts)) => {
            return Ok(Checked {
                fits: false,
                parts,
                loaded: None,
            });
        }
        Err(error) => return Err(error).context("the component is not usable"),
    };
    let built_in = [entry("built-in".to_owned(), TRANSACTION)];
    let measured = match sample {
        [] => &built_in[..],
        sample => sample,
    };
    let loaded = Loaded {
        digest: oracle.digest(),
        size: oracle.size(),
        compile_ms: oracle.compile_time().as_millis(),
        measured_sample: !sample.is_empty(),
        cost: cost(&oracle, measured, settings),
        verdicts: verdicts(&oracle, sample, settings),
    };
    Ok(Checked {
        fits: true,
        parts: oracle.parts().to_vec(),
        loaded: Some(loaded),
    })
}

fn cost(oracle: &Oracle, entries: &[Entry], settings: &Arc<OracleSettings>) -> Vec<Cost> {
    // One that traps would end every batch it is in.
    let alone = |entry: &&Entry| oracle.judge(&[entry], settings, LIMITS).is_ok();
    let entries: Vec<&Entry> = entries.iter().filter(alone).collect();
    let of_size = |size| {
        let batch: Vec<&Entry> = entries.iter().copied().cycle().take(size).collect();
        let median = match batch[..] {
            [] => Err("no entry is judged".to_owned()),
            _ => median(oracle, &batch, settings),
        };
        Cost {
            batch: size,
            per_batch_us: median.as_ref().ok().map(|time| time.as_secs_f64() * 1e6),
            fault: median.err(),
        }
    };
    BATCH_SIZES.map(of_size).into()
}

fn median(
    oracle: &Oracle,
    batch: &[&Entry],
    settings: &Arc<OracleSettings>,
) -> Result<Duration, String> {
    let mut times = Vec::new();
    let started = Instant::now();
    while started.elapsed() < MEASURED || times.is_empty() {
        let before = Instant::now();
        oracle
            .judge(batch, settings, LIMITS)
            .map_err(|fault| first_line(&fault.to_string()))?;
        times.push(before.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn verdicts(oracle: &Oracle, entries: &[Entry], settings: &Arc<OracleSettings>) -> Vec<Said> {
    let said = entries.iter().map(|entry| {
        let id = entry.id.to_string();
        match sample::verdict(oracle, entry, settings) {
            Ok(verdict) => Said {
                id,
                score: Some(verdict.score),
                reasons: verdict.reasons,
                output: verdict.output,
                fault: None,
            },
            Err(fault) => Said {
                id,
                score: None,
                reasons: Vec::new(),
                output: None,
                fault: Some(fault),
            },
        }
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::guests;

    fn report(bytes: &[u8], sample: &str) -> (bool, String) {
        let entries = sample::parse(sample).unwrap();
        let checked = check(bytes, &entries, &Arc::default()).unwrap();
        (checked.fits, words::of(&checked))
    }

    #[test]
    fn a_component_that_fits_is_described_and_judges_the_sample() {
        let sample = "{\"tx_hash\": \"abc\"}\n\n{\"id\": 7}\n{}\n{\"id\": \"trap\"}\n";
        let (fits, text) = report(&guests::misbehaving(), sample);
        assert!(fits);
        assert!(text.contains("floodgate:oracle/settings@0.1.0"), "{text}");
        assert!(text.contains("\n abc   0.5000"), "{text}");
        assert!(
            text.contains("score 7"),
            "the id is that of the body: {text}"
        );
        assert!(
            text.contains("\n 4 "),
            "without an id it is the line: {text}"
        );
        assert_eq!(
            text.matches("unreachable").count(),
            1,
            "a trap is its entry's alone: {text}"
        );
    }

    #[test]
    fn of_a_component_that_does_not_fit_each_part_is_told_with_what_is_wrong() {
        let (fits, text) = report(&guests::with_sockets(), "");
        assert!(!fits);
        assert!(
            text.contains("found     wasi:sockets/tcp-create-socket@0.2.3"),
            "{text}"
        );
    }
}
