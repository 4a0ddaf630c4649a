use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use jiff::Timestamp;

use crate::flows::{self, Flows};
use crate::moving::{Mover, Report};
use crate::settings::PlaceSettings;

#[derive(Args, Debug)]
pub(super) struct Run {
    #[command(flatten)]
    places: PlaceSettings,
    /// One pass, and then the end: the host has the schedule
    #[arg(long, required = true)]
    once: bool,
    /// Print JSON, and nothing else on standard output
    #[arg(long)]
    json: bool,
    #[cfg(debug_assertions)]
    #[command(flatten)]
    trial: Trial,
}

/// What a test of the whole program needs, and no shipped program has.
#[cfg(debug_assertions)]
#[derive(Args, Debug)]
struct Trial {
    /// Be killed after so many steps
    #[arg(long, hide = true)]
    abort_after: Option<usize>,
    /// Rows of a file
    #[arg(long, hide = true)]
    rows: Option<usize>,
    /// Rows that are removed in one transaction
    #[arg(long, hide = true)]
    removed: Option<usize>,
    /// Files that are made one
    #[arg(long, hide = true)]
    several: Option<usize>,
}

#[cfg(debug_assertions)]
impl Trial {
    fn change(&self, mover: &mut Mover) {
        use crate::moving::Hook;
        use std::sync::atomic::{AtomicUsize, Ordering};

        let limits = &mut mover.limits;
        limits.rows = self.rows.unwrap_or(limits.rows);
        limits.removed = self.removed.unwrap_or(limits.removed);
        limits.known = self.removed.unwrap_or(limits.known);
        limits.several = self.several.unwrap_or(limits.several);
        if let Some(last) = self.abort_after {
            let done = AtomicUsize::new(0);
            mover.hook = Hook::new(move |step| {
                if done.fetch_add(1, Ordering::SeqCst) + 1 == last {
                    eprintln!("aborted after {step:?}");
                    std::process::abort();
                }
            });
        }
    }
}

impl Run {
    /// Fails where there were problems, too.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let Flows { flows, broken } = flows::load(&self.places.flows)?;
        #[cfg_attr(not(debug_assertions), expect(unused_mut, reason = "tests change it"))]
        let mut mover = Mover::new(self.places.ledger()?, self.places.store()?);
        #[cfg(debug_assertions)]
        self.trial.change(&mut mover);
        let mut report = mover.run(&flows, Timestamp::now()).await?;
        report.left_out(&broken);
        let text = match self.json {
            true => serde_json::to_string_pretty(&report)?,
            false => in_words(&report),
        };
        print(&text)?;
        Ok(match report.problems.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

fn in_words(report: &Report) -> String {
    let mut rows = vec![["flow", "day", "file", "rows", "MiB", "seconds", ""].map(str::to_owned)];
    for moved in &report.moved {
        let numbers = [moved.file.to_string(), moved.rows.to_string()];
        let [file, count] = numbers;
        let (size, seconds) = (mebibytes(moved.bytes), format!("{:.1}", moved.seconds));
        let what = "moved".to_owned();
        rows.push([
            moved.flow.clone(),
            moved.day.to_string(),
            file,
            count,
            size,
            seconds,
            what,
        ]);
    }
    for merged in &report.merged {
        let (file, count) = (merged.file.to_string(), merged.rows.to_string());
        let (size, seconds) = (mebibytes(merged.bytes), format!("{:.1}", merged.seconds));
        let what = format!("in place of {} files", merged.of.len());
        rows.push([
            merged.flow.clone(),
            merged.day.to_string(),
            file,
            count,
            size,
            seconds,
            what,
        ]);
    }
    let mut text = match rows.len() {
        1 if report.problems.is_empty() => "nothing was to be moved\n".to_owned(),
        1 => String::new(),
        _ => table(&rows),
    };
    for problem in &report.problems {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "problem: {problem}");
    }
    text.trim_end().to_owned()
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// Names to the left, numbers to the right.
fn table(rows: &[[String; 7]]) -> String {
    let mut text = String::new();
    let width = |at: usize| rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let width = widths[at];
            let _ = match at {
                0 | 1 | 6 => write!(line, "{cell:width$}  "),
                _ => write!(line, "{cell:>width$}  "),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Whoever reads it may have enough before the end.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("write to standard output")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moving::Moved;

    #[test]
    fn a_report_is_a_table_and_then_the_problems() {
        let mut report = Report::default();
        assert_eq!(in_words(&report), "nothing was to be moved");
        report.problems.push("tasks: the disk is full".to_owned());
        assert_eq!(in_words(&report), "problem: tasks: the disk is full");
        report.moved.push(Moved {
            flow: "events".to_owned(),
            day: jiff::civil::date(2026, 1, 2),
            file: 7,
            rows: 1_000_000,
            bytes: 3 << 19,
            seconds: 9.96,
        });
        assert_eq!(
            in_words(&report),
            "flow    day         file     rows  MiB  seconds\n\
             events  2026-01-02     7  1000000  1.5     10.0  moved\n\
             problem: tasks: the disk is full"
        );
    }
}
