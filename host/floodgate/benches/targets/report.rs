//! What was measured, against what is to be reached.

use std::fmt;
use std::path::Path;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

/// What a figure has to be.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// Told, and judged by nobody.
    None,
}

/// One thing, measured once.
#[derive(Clone, Debug)]
pub struct Figure {
    pub name: &'static str,
    pub what: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub target: Target,
}

impl Figure {
    pub fn told(name: &'static str, what: &'static str, value: f64, unit: &'static str) -> Self {
        Self::of(name, what, value, unit, Target::None)
    }

    pub fn of(
        name: &'static str,
        what: &'static str,
        value: f64,
        unit: &'static str,
        target: Target,
    ) -> Self {
        Self {
            name,
            what,
            value,
            unit,
            target,
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, what, unit) = (self.name, self.what, self.unit);
        write!(f, "{name} {what}: {} {unit}", number(self.value))
    }
}

fn number(value: f64) -> String {
    match value {
        value if value >= 1000.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// All rounds of one figure.
struct Row {
    figure: Figure,
    values: Vec<f64>,
}

impl Row {
    fn least(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    fn most(&self) -> f64 {
        self.values
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max)
    }

    fn median(&self) -> f64 {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }

    fn is_reached(&self) -> Option<bool> {
        match self.figure.target {
            Target::AtLeast(target) => Some(self.median() >= target),
            Target::AtMost(target) => Some(self.median() <= target),
            Target::None => None,
        }
    }

    /// By more than the rounds differ.
    fn is_missed(&self) -> bool {
        let spread = self.most() - self.least();
        match self.figure.target {
            Target::AtLeast(target) => self.median() + spread < target,
            Target::AtMost(target) => self.median() - spread > target,
            Target::None => false,
        }
    }
}

pub struct Report {
    rows: Vec<Row>,
    /// Before anything was measured.
    load: String,
}

impl Report {
    pub fn new() -> Self {
        Self {
            rows: Vec::new(),
            load: load_average(),
        }
    }

    pub fn add(&mut self, figure: Figure) {
        let same =
            |row: &&mut Row| (row.figure.name, row.figure.what) == (figure.name, figure.what);
        match self.rows.iter_mut().find(same) {
            Some(row) => row.values.push(figure.value),
            None => self.rows.push(Row {
                values: vec![figure.value],
                figure,
            }),
        }
    }

    pub fn is_missed(&self) -> bool {
        self.rows.iter().any(Row::is_missed)
    }

    pub fn print(&self) {
        let mut table = table(["", "what", "median", "least", "most", "", "target", ""]);
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        rows.sort_by_key(|row| row.figure.name);
        for row in rows {
            let target = match row.figure.target {
                Target::AtLeast(target) => format!("≥ {}", number(target)),
                Target::AtMost(target) => format!("≤ {}", number(target)),
                Target::None => String::new(),
            };
            let verdict = match (row.is_reached(), row.is_missed()) {
                (Some(true), _) => "reached",
                (Some(false), true) => "MISSED",
                (Some(false), false) => "within the spread",
                (None, _) => "",
            };
            table.add_row([
                row.figure.name,
                row.figure.what,
                &number(row.median()),
                &number(row.least()),
                &number(row.most()),
                row.figure.unit,
                &target,
                verdict,
            ]);
        }
        println!("\n{table}");
        println!(
            "{} cores; load average before {}, after {}; kernel.sched_autogroup_enabled {}",
            cores(),
            self.load,
            load_average(),
            autogroup()
        );
    }

    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let rows = self.rows.iter().map(|row| {
            let (kind, target) = match row.figure.target {
                Target::AtLeast(target) => ("at least", Some(target)),
                Target::AtMost(target) => ("at most", Some(target)),
                Target::None => ("none", None),
            };
            json!({
                "name": row.figure.name, "what": row.figure.what, "unit": row.figure.unit,
                "values": row.values, "median": row.median(),
                "target": target, "target_is": kind, "missed": row.is_missed(),
            })
        });
        let report = json!({
            "cores": cores(), "load_average_before": self.load,
            "load_average_after": load_average(), "autogroup": autogroup(), "figures": rows.collect::<Vec<Value>>(),
        });
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
        Ok(())
    }
}

pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_header(header);
    table
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, Into::into)
}

fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Whether the kernel gives each session the same share, whatever its processes'
/// priorities: 1 where it does.
fn autogroup() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled");
    text.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}
