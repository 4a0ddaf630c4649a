//! `floodgate query`: SQL of a person, over all that a flow ever kept.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::CallOptions;
use super::out::{note, pour};
use super::table::lined;
use floodgate_admin::types::AdHoc;
use floodgate_archive_client::{Answer, Column, Scanned, Skipped};
use floodgate_flow::{ParameterKind, Typed};
use floodgate_process::harmless;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The flow; in the SQL it is the table of the same name
    flow: String,
    /// One SELECT
    sql: String,
    /// The value of a parameter, $name in the SQL: name=value, or with its type
    /// (date, time, integer, number, text, boolean) name:type=value
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, Typed)>,
    /// How long it may take
    #[arg(long, default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Tell how it was answered: the plan, and what was read
    #[arg(long)]
    explain: bool,
    /// Print CSV, with the names of the columns in its first line
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    call: CallOptions,
}

/// # Errors
/// Also where files could not be read: what was printed is not all then.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let asked = AdHoc {
        flow: arguments.flow,
        sql: arguments.sql,
        parameters: arguments.parameters.into_iter().collect::<BTreeMap<_, _>>(),
        timeout_ms: u64::try_from(arguments.timeout.as_millis()).unwrap_or(u64::MAX),
        explain: arguments.explain,
    };
    let answer: Answer = arguments.call.client().post("/query", &asked).await?;
    let json = arguments.call.json;
    match (arguments.csv, arguments.explain) {
        (true, explain) => {
            pour(&csv(&answer)?, harmless::words)?;
            if explain {
                note(harmless::words(&explained(&answer)));
            }
        }
        (false, true) => json.say(&Explained(&answer), || {
            format!("{}\n\n{}", in_a_table(&answer), explained(&answer))
        })?,
        (false, false) => json.say(&Rows(&answer), || in_a_table(&answer))?,
    }
    whole(&answer.skipped)
}

fn whole(skipped: &[Skipped]) -> anyhow::Result<()> {
    if skipped.is_empty() {
        return Ok(());
    }
    let skipped = skipped.iter();
    let files: Vec<String> = skipped
        .map(|Skipped { file, why }| format!("\n  {file}: {why}"))
        .collect();
    bail!(
        "the answer is not whole, what these files have is not in it:{}",
        files.concat()
    )
}

/// `name=value` or `name:type=value`; without a type it is the first that fits.
fn parameter(text: &str) -> Result<(String, Typed), String> {
    let (name, value) = text.split_once('=').ok_or("write name=value")?;
    let (name, kind) = match name.split_once(':') {
        Some((name, kind)) => (name, Some(kind)),
        None => (name, None),
    };
    let name = name.strip_prefix('$').unwrap_or(name);
    if name.is_empty() {
        return Err("write name=value".to_owned());
    }
    let kinds = [
        (
            "integer",
            ParameterKind::Integer {
                min: None,
                max: None,
            },
        ),
        (
            "number",
            ParameterKind::Number {
                min: None,
                max: None,
            },
        ),
        ("boolean", ParameterKind::Boolean),
        ("date", ParameterKind::Date),
        ("time", ParameterKind::Time),
        (
            "text",
            ParameterKind::Text {
                max_length: usize::MAX,
            },
        ),
    ];
    let typed = match kind {
        Some(kind) => {
            let known = kinds.iter().find(|(known, _)| *known == kind);
            let (_, kind) = known.ok_or_else(|| {
                "the types are date, time, integer, number, text and boolean".to_owned()
            })?;
            kind.typed(value)?
        }
        None => {
            let mut fits = kinds.iter().filter_map(|(_, kind)| kind.typed(value).ok());
            fits.next().ok_or("no parameter has a NUL")?
        }
    };
    Ok((name.to_owned(), typed))
}

/// A list with an object for each row.
struct Rows<'a>(&'a Answer);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Answer { columns, rows, .. } = self.0;
        serializer.collect_seq(rows.iter().map(|row| Row { columns, row }))
    }
}

struct Row<'a> {
    columns: &'a [Column],
    row: &'a [Box<RawValue>],
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = self.columns.iter().zip(self.row);
        serializer.collect_map(members.map(|(column, value)| (&column.name, value)))
    }
}

/// And how they were found.
struct Explained<'a>(&'a Answer);

impl Serialize for Explained<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(answer) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rows", &Rows(answer))?;
        map.serialize_entry("skipped", &answer.skipped)?;
        map.serialize_entry("scanned", &answer.scanned)?;
        map.serialize_entry("elapsed_ms", &answer.elapsed_ms)?;
        map.serialize_entry("plan", &answer.plan)?;
        map.end()
    }
}

/// As a person reads it; `None` of null.
fn plain(value: &RawValue) -> Option<String> {
    match serde_json::from_str(value.get()) {
        Ok(Value::Null) => None,
        Ok(Value::String(text)) => Some(text),
        // As it was written: a number keeps its digits.
        _ => Some(value.get().to_owned()),
    }
}

fn in_a_table(answer: &Answer) -> String {
    let names: Vec<&str> = answer.columns.iter().map(|column| &*column.name).collect();
    let cells = answer.rows.iter().map(|row| {
        let cells = row.iter().map(|value| plain(value));
        cells.map(|cell| cell.unwrap_or_else(|| "-".to_owned()))
    });
    match answer.rows.is_empty() {
        true => "no rows".to_owned(),
        false => lined(&names, cells).to_string(),
    }
}

/// NULL is an empty field.
fn csv(answer: &Answer) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(answer.columns.iter().map(|column| &column.name))?;
    for row in &answer.rows {
        writer.write_record(row.iter().map(|value| plain(value).unwrap_or_default()))?;
    }
    let bytes = writer.into_inner().context("write CSV")?;
    let text = String::from_utf8(bytes).context("write CSV")?;
    Ok(text.trim_end_matches('\n').to_owned())
}

fn explained(answer: &Answer) -> String {
    let Scanned {
        files,
        bytes,
        cold_rows,
        hot_rows,
    } = answer.scanned;
    let plan = answer.plan.as_deref().unwrap_or("no plan").trim_end();
    format!(
        "{plan}\n\nread {hot_rows} rows of the ledger, and {cold_rows} rows of {files} files, {}, in {:.0} ms",
        bytesize::ByteSize::b(bytes),
        answer.elapsed_ms
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> Answer {
        serde_json::from_value(json!({
            "columns": [{"name": "day", "type": "date"}, {"name": "n", "type": "integer"}],
            "rows": [["2026-01-01", 7], ["a,\"b\"", null]],
            "scanned": {"files": 2, "bytes": 2048, "cold_rows": 3, "hot_rows": 4},
            "elapsed_ms": 12, "plan": "Scan\n",
        }))
        .unwrap()
    }

    #[test]
    fn rows_are_told_in_each_way() {
        let answer = answer();
        let rows = serde_json::to_string(&Rows(&answer)).unwrap();
        assert_eq!(
            rows,
            r#"[{"day":"2026-01-01","n":7},{"day":"a,\"b\"","n":null}]"#
        );
        assert_eq!(
            csv(&answer).unwrap(),
            "day,n\n2026-01-01,7\n\"a,\"\"b\"\"\","
        );
        let explained = explained(&answer);
        assert!(explained.starts_with("Scan\n\nread 4 rows of the ledger, and 3 rows of 2 files"));
        let table = in_a_table(&answer);
        assert!(
            table.contains("day") && table.contains("2026-01-01"),
            "{table}"
        );
    }

    #[test]
    fn a_parameter_has_the_first_type_that_fits_or_the_one_it_is_given() {
        for (text, kind, value) in [
            ("n=7", "integer", json!(7)),
            ("n=7.5", "number", json!(7.5)),
            ("n=true", "boolean", json!(true)),
            ("$from=2026-01-01", "date", json!("2026-01-01")),
            (
                "at=2026-01-01T00:00:00Z",
                "time",
                json!("2026-01-01T00:00:00Z"),
            ),
            ("u=a=b", "text", json!("a=b")),
            ("u:text=7", "text", json!("7")),
            ("u=", "text", json!("")),
        ] {
            let (_, typed) = parameter(text).unwrap();
            let told = serde_json::to_value(typed).unwrap();
            assert_eq!(told, json!({"type": kind, "value": value}), "{text}");
        }
        for wrong in ["n", "=7", "n:date=2026-02-30", "n:days=7"] {
            assert!(parameter(wrong).is_err(), "{wrong}");
        }
    }
}
