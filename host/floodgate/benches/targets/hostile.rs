//! What the good client feels of a hostile one.

use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

use super::report::{Figure, Target};

/// Of `floodgate prove`. A failover is felt by everybody, whoever sets it off.
const FAULTS: [&str; 8] = [
    "poison",
    "slow-readers",
    "half-heads",
    "endless-bodies",
    "giant-batch",
    "id-flood",
    "settings-typo",
    "panic-lane",
];

/// Times the p99 of before.
const MOST: f64 = 3.0;

/// How much longer 1 of 100 entries waits, from an attack until all is well.
///
/// # Errors
/// Where the promise is broken otherwise, too.
pub fn measure(seed: usize) -> anyhow::Result<Vec<Figure>> {
    let output = Command::new(env!("CARGO_BIN_EXE_floodgate"))
        .args(["prove", "--calm", "20s", "--for", "120s", "--json"])
        .args(["--seed", &seed.to_string(), "--faults", &FAULTS.join(",")])
        .stderr(Stdio::inherit())
        .output()
        .context("run floodgate prove")?;
    ensure!(
        output.status.success(),
        "floodgate prove: {}",
        output.status
    );
    let report: Value = serde_json::from_slice(&output.stdout)?;
    let calm = report["calm"]["p99_ms"].as_f64().context("a calm p99")?;
    let rows = report["faults"].as_array().context("rows of faults")?;
    let mut figures = vec![Figure::told("hostile", "p99 before", calm, "ms")];
    for fault in FAULTS {
        let row = rows.iter().find(|row| row["fault"] == fault);
        let p99 = row.and_then(|row| row["p99_ms"].as_f64());
        let ratio = p99.context(fault)? / calm;
        let target = Target::AtMost(MOST);
        figures.push(Figure::of(
            "hostile",
            fault,
            ratio,
            "times the p99 before",
            target,
        ));
    }
    Ok(figures)
}
