//! `floodgate oracle check`: whether a component fits, what it costs, and
//! what it says of a sample.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytesize::ByteSize;
use comfy_table::{ContentArrangement, Table, presets};

use super::oracle_sample::{self as sample, LIMITS, entry, first_line};
use crate::flow::{Entry, OracleSettings};
use crate::oracle::{Engine, EngineOptions, LoadError, Oracle, Part};

const BATCH_SIZES: [usize; 4] = [1, 16, 64, 256];
/// How long each batch size is measured.
const MEASURED: Duration = Duration::from_millis(200);

/// What is judged where no sample is given.
const TRANSACTION: &str = r#"{"tx_hash":"0x5d1c9a2f7e6b4038a1c5d2e9f8b7a6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9","from_address":"0x00a3f5c1d2e4b6a8c0d2e4f6a8b0c2d4e6f8a0b2","to_address":"0x7a250d5630b4cf539739df2c5dacb4c659f2488d","value_eth":12.5,"gas_price_gwei":30,"input_data":"0xa9059cbb000000000000000000000000a3f5c1d2e4b6a8c0d2e4f6a8b0c2d4e6f8a0b2c40000000000000000000000000000000000000000000000000de0b6b3a7640000","timestamp":1766700000}"#;

/// Prints what is to know of a component to standard output. Sample lines are
/// bodies; `settings` is what the guest reads through `settings.get`.
///
/// # Errors
/// Where the component does not fit or does not load, or the sample cannot be read.
pub fn run(
    path: &Path,
    sample: Option<&Path>,
    settings: &[(String, String)],
) -> anyhow::Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let entries = match sample {
        Some(path) => sample::read(path)?,
        None => Vec::new(),
    };
    let settings = sample::settings(settings);
    check(&mut io::stdout().lock(), &bytes, &entries, &settings)
}

fn check(
    out: &mut impl Write,
    bytes: &[u8],
    sample: &[Entry],
    settings: &Arc<OracleSettings>,
) -> anyhow::Result<()> {
    // Without a cache, so that the compile time is one.
    let engine = Engine::new(&EngineOptions::default())?;
    let oracle = match Oracle::load(&engine, bytes) {
        Ok(oracle) => oracle.named("check"),
        Err(LoadError::DoesNotFit(parts)) => {
            write_parts(out, &parts)?;
            bail!("the component does not fit wit/oracle.wit");
        }
        Err(error) => return Err(error).context("the component is not usable"),
    };
    write_parts(out, oracle.parts())?;
    writeln!(out, "digest        {}", oracle.digest())?;
    writeln!(out, "size          {}", ByteSize(oracle.size() as u64))?;
    writeln!(
        out,
        "compile time  {} ms\n",
        oracle.compile_time().as_millis()
    )?;

    let built_in = [entry("built-in".to_owned(), TRANSACTION)];
    let (measured, what) = match sample {
        [] => (
            &built_in[..],
            "a built-in transaction, --sample measures yours",
        ),
        sample => (sample, "the sample"),
    };
    writeln!(out, "cost, a fresh instance per batch, medians ({what})")?;
    writeln!(out, "{}", cost_table(&oracle, measured, settings))?;
    if !sample.is_empty() {
        writeln!(out, "\n{}", verdict_table(&oracle, sample, settings))?;
    }
    Ok(())
}

/// The parts as a table, then what is wrong with those that do not fit: types
/// are too long for columns.
fn write_parts(out: &mut impl Write, parts: &[Part]) -> io::Result<()> {
    let mut table = table(&["", "name", "fits"]);
    for part in parts {
        let fits = if part.misfit.is_none() { "ok" } else { "no" };
        table.add_row([&part.direction.to_string(), &part.name, fits]);
    }
    writeln!(out, "{table}\n")?;
    for part in parts {
        if let Some(misfit) = &part.misfit {
            writeln!(out, "{} {}", part.direction, part.name)?;
            writeln!(out, "  expected  {}", misfit.expected)?;
            writeln!(out, "  found     {}", misfit.found)?;
            writeln!(out, "  remedy    {}\n", misfit.remedy)?;
        }
    }
    Ok(())
}

fn cost_table(oracle: &Oracle, entries: &[Entry], settings: &Arc<OracleSettings>) -> Table {
    let mut table = table(&["batch", "per batch", "per entry"]);
    // One that traps would end every batch it is in.
    let alone = |entry: &&Entry| oracle.judge(&[entry], settings, LIMITS).is_ok();
    let entries: Vec<&Entry> = entries.iter().filter(alone).collect();
    for size in BATCH_SIZES {
        let batch: Vec<&Entry> = entries.iter().copied().cycle().take(size).collect();
        let row = match median(oracle, &batch, settings) {
            Ok(_) if batch.is_empty() => [
                size.to_string(),
                "no entry is judged".to_owned(),
                String::new(),
            ],
            Ok(time) => [
                size.to_string(),
                micros(time),
                micros(time / u32::try_from(size).unwrap_or(1)),
            ],
            Err(fault) => [size.to_string(), fault, String::new()],
        };
        table.add_row(row);
    }
    table
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

fn micros(time: Duration) -> String {
    format!("{:.2} us", time.as_secs_f64() * 1e6)
}

fn verdict_table(oracle: &Oracle, entries: &[Entry], settings: &Arc<OracleSettings>) -> Table {
    let mut table = table(&["id", "score", "reasons", "output or fault"]);
    for entry in entries {
        let row = match sample::verdict(oracle, entry, settings) {
            Ok(verdict) => [
                format!("{:.4}", verdict.score),
                verdict.reasons.join(", "),
                verdict.output.unwrap_or_default(),
            ],
            Err(fault) => [String::new(), String::new(), fault],
        };
        table.add_row([vec![entry.id.to_string()], row.to_vec()].concat());
    }
    table
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::guests;

    fn report(bytes: &[u8], sample: &str) -> (anyhow::Result<()>, String) {
        let mut out = Vec::new();
        let entries = sample::parse(sample).unwrap();
        let result = check(&mut out, bytes, &entries, &Arc::default());
        (result, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_component_that_fits_is_described_and_judges_the_sample() {
        let sample = "{\"tx_hash\": \"abc\"}\n\n{\"id\": 7}\n{}\n{\"id\": \"trap\"}\n";
        let (result, text) = report(&guests::misbehaving(), sample);
        result.unwrap();
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
    fn a_component_that_does_not_fit_is_an_error_after_the_table_of_its_parts() {
        let (result, text) = report(&guests::with_sockets(), "");
        assert!(result.unwrap_err().to_string().contains("does not fit"));
        assert!(
            text.contains("found     wasi:sockets/tcp-create-socket@0.2.3"),
            "{text}"
        );
    }
}
