//! `floodgate oracle check`: whether a component fits, what it costs, and
//! what it says of a sample.

mod words;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;

use super::oracle_sample::{self as sample, entry, first_line, setting};
use super::out::JsonOption;
use floodgate_flow::{Digest, Entry, OracleLimits, OracleSettings};
use floodgate_oracle_host::{CompileLimits, Engine, EngineOptions, LoadError, Oracle, Part};

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
    /// Memory that it may use, as `memory` of [[oracle]] has it: 1MiB to 4GiB
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = memory)]
    memory: usize,
    /// Time for a batch, as `timeout` of [[oracle]] has it; 1 ms for each entry is added
    #[arg(long, value_name = "TIME", default_value = "100ms", value_parser = humantime::parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    compile: CompileLimits,
    #[command(flatten)]
    json: JsonOption,
}

impl Arguments {
    pub(super) fn compile_limits(&self) -> CompileLimits {
        self.compile
    }
}

fn memory(text: &str) -> Result<usize, String> {
    let size: bytesize::ByteSize = text.parse()?;
    let size = usize::try_from(size.as_u64()).ok();
    let possible = |size: &usize| (1 << 20..=4 << 30).contains(size);
    size.filter(possible)
        .ok_or_else(|| "write 1MiB to 4GiB".to_owned())
}

/// # Errors
/// Where the component does not fit or does not load, the sample cannot be
/// read, or no entry has a verdict.
pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = &arguments.file;
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let entries = match &arguments.sample {
        Some(path) => sample::read(path)?,
        None => Vec::new(),
    };
    let settings = sample::settings(&arguments.settings);
    let limits = OracleLimits {
        memory: arguments.memory,
        timeout: arguments.timeout,
    };
    let checked = check(&bytes, &entries, &settings, limits)?;
    arguments.json.say(&checked, || words::of(&checked))?;
    match &checked.loaded {
        None => bail!("the component does not fit wit/oracle.wit"),
        Some(loaded) if loaded.judged > 0 => Ok(()),
        Some(loaded) if loaded.measured_sample => {
            bail!("no entry of the sample has a verdict")
        }
        Some(_) => bail!(
            "the built-in transaction has no verdict; --sample tries it on bodies of its own flow"
        ),
    }
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
    /// Of those, the ones that have a verdict; only they are measured.
    judged: usize,
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
    limits: OracleLimits,
) -> anyhow::Result<Checked> {
    // Without a cache, so that the compile time is one.
    let mut options = EngineOptions::default();
    options.max_memory = options.max_memory.max(limits.memory);
    let engine = Engine::new(&options)?;
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
    // One that traps would end every batch it is in, and what it takes to
    // refuse one is not what it takes to judge it.
    let good = |entry: &&Entry| oracle.judge_one(entry, settings, limits).is_ok();
    let good: Vec<&Entry> = measured.iter().filter(good).collect();
    let loaded = Loaded {
        digest: oracle.digest(),
        size: oracle.size(),
        compile_ms: oracle.compile_time().as_millis(),
        measured_sample: !sample.is_empty(),
        judged: good.len(),
        cost: cost(&oracle, &good, settings, limits),
        verdicts: verdicts(&oracle, measured, settings, limits),
    };
    Ok(Checked {
        fits: true,
        parts: oracle.parts().to_vec(),
        loaded: Some(loaded),
    })
}

fn cost(
    oracle: &Oracle,
    entries: &[&Entry],
    settings: &Arc<OracleSettings>,
    limits: OracleLimits,
) -> Vec<Cost> {
    let of_size = |size| {
        let batch: Vec<&Entry> = entries.iter().copied().cycle().take(size).collect();
        let median = match batch[..] {
            [] => Err("no entry has a verdict".to_owned()),
            _ => median(oracle, &batch, settings, limits),
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
    limits: OracleLimits,
) -> Result<Duration, String> {
    let mut times = Vec::new();
    let started = Instant::now();
    while started.elapsed() < MEASURED || times.is_empty() {
        let before = Instant::now();
        let answers = oracle.judge(batch, settings, limits);
        times.push(before.elapsed());
        let answers = answers.map_err(|fault| first_line(&fault.to_string()))?;
        // By itself each of them had a verdict.
        if let Some(Err(refusal)) = answers.into_iter().find(Result::is_err) {
            let refusal = first_line(&refusal.to_string());
            return Err(format!("in a batch: {refusal}"));
        }
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

fn verdicts(
    oracle: &Oracle,
    entries: &[Entry],
    settings: &Arc<OracleSettings>,
    limits: OracleLimits,
) -> Vec<Said> {
    let said = entries.iter().map(|entry| {
        let id = entry.id.to_string();
        match sample::verdict(oracle, entry, settings, limits) {
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
mod tests;
