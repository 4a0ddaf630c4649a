//! Lines of a file as JSON bodies, one at a time.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Map, Number, Value};

use floodgate_flow::Schema;

/// A longer line is no entry of anybody.
const LONGEST_LINE: u64 = 64 << 20;

/// One line, or one record of a CSV file.
pub(super) struct Record {
    /// Counted from 1.
    pub line: u64,
    /// As it stands in the file.
    pub text: String,
    /// The body, or why it makes none.
    pub json: Result<Vec<u8>, String>,
}

pub(super) enum Records<'s> {
    Ndjson {
        file: BufReader<File>,
        line: u64,
        position: u64,
    },
    Csv {
        reader: Box<csv::Reader<File>>,
        columns: Vec<Column<'s>>,
    },
}

/// What becomes of one column of a CSV file.
pub(super) struct Column<'s> {
    /// The member of the body.
    member: String,
    kind: Kind<'s>,
}

enum Kind<'s> {
    /// The column's name ends in `_json`.
    Json,
    /// By the types that the schema names.
    Typed(Vec<&'s str>),
}

impl<'s> Records<'s> {
    /// # Errors
    /// Where the file cannot be read, or is neither CSV nor NDJSON by its name.
    pub fn open(path: &Path, schema: &'s Schema) -> anyhow::Result<Self> {
        let open = || File::open(path).with_context(|| format!("open {}", path.display()));
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("ndjson" | "jsonl") => Ok(Self::Ndjson {
                file: BufReader::with_capacity(1 << 16, open()?),
                line: 0,
                position: 0,
            }),
            Some("csv") => {
                let mut reader = csv::ReaderBuilder::new()
                    .buffer_capacity(1 << 16)
                    .from_reader(open()?);
                let header = reader
                    .headers()
                    .with_context(|| format!("read the header of {}", path.display()))?;
                let columns = header.iter().map(|name| Column::of(name, schema)).collect();
                let reader = Box::new(reader);
                Ok(Self::Csv { reader, columns })
            }
            _ => bail!(
                "{}: name it .csv, or .ndjson for one JSON object in each line",
                path.display()
            ),
        }
    }

    /// Bytes of the file that were read.
    pub fn position(&self) -> u64 {
        match self {
            Self::Ndjson { position, .. } => *position,
            Self::Csv { reader, .. } => reader.position().byte(),
        }
    }

    /// # Errors
    /// Where the file cannot be read any further.
    pub fn next(&mut self) -> anyhow::Result<Option<Record>> {
        match self {
            Self::Ndjson {
                file,
                line,
                position,
            } => loop {
                let Some(text) = read_line(file)? else {
                    return Ok(None);
                };
                *line += 1;
                *position += text.len() as u64;
                let bare = text.trim_ascii();
                if !bare.is_empty() {
                    return Ok(Some(Record {
                        line: *line,
                        text: String::from_utf8_lossy(bare).into_owned(),
                        json: Ok(bare.to_vec()),
                    }));
                }
            },
            Self::Csv { reader, columns } => csv_record(reader, columns),
        }
    }
}

fn read_line(file: &mut BufReader<File>) -> anyhow::Result<Option<Vec<u8>>> {
    use std::io::Read;

    let mut text = Vec::new();
    let read = file
        .by_ref()
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut text);
    match read.context("read the file")? {
        0 => Ok(None),
        _ => Ok(Some(text)),
    }
}

fn csv_record(
    reader: &mut csv::Reader<File>,
    columns: &[Column],
) -> anyhow::Result<Option<Record>> {
    let mut record = csv::ByteRecord::new();
    let line = reader.position().line();
    match reader.read_byte_record(&mut record) {
        Ok(false) => return Ok(None),
        Ok(true) => {}
        Err(error) => {
            let csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } = error.kind()
            else {
                return Err(error).context("read the file");
            };
            let reason = format!("it has {len} fields and the header {expected_len}");
            return Ok(Some(Record {
                line,
                text: as_text(&record),
                json: Err(reason),
            }));
        }
    }
    Ok(Some(Record {
        line: record.position().map_or(line, csv::Position::line),
        json: body(columns, &record),
        text: as_text(&record),
    }))
}

/// As near as can be to how it stands in the file.
fn as_text(record: &csv::ByteRecord) -> String {
    let fields: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
    fields.join(",")
}

fn body(columns: &[Column], record: &csv::ByteRecord) -> Result<Vec<u8>, String> {
    let mut body = Map::new();
    for (column, cell) in columns.iter().zip(record) {
        let name = &column.member;
        let text = std::str::from_utf8(cell).map_err(|_| format!("{name} is not UTF-8"))?;
        if let Some(value) = column.value(text)? {
            body.insert(name.clone(), value);
        }
    }
    serde_json::to_vec(&body).map_err(|error| error.to_string())
}

impl<'s> Column<'s> {
    fn of(name: &str, schema: &'s Schema) -> Self {
        let name = name.trim();
        match name
            .strip_suffix("_json")
            .filter(|_| schema.types_of(name).is_empty())
        {
            Some(member) => Self {
                member: member.to_owned(),
                kind: Kind::Json,
            },
            None => Self {
                member: name.to_owned(),
                kind: Kind::Typed(schema.types_of(name)),
            },
        }
    }

    /// `None` of an empty cell, unless the member may be an empty string.
    fn value(&self, text: &str) -> Result<Option<Value>, String> {
        let name = &self.member;
        let types = match &self.kind {
            Kind::Json if text.trim().is_empty() => return Ok(None),
            Kind::Json => {
                let value = serde_json::from_str(text);
                return value
                    .map(Some)
                    .map_err(|error| format!("{name}_json: {error}"));
            }
            Kind::Typed(types) => types,
        };
        if text.is_empty() {
            return Ok(None);
        }
        let is = |kind: &str| types.contains(&kind);
        let number = || text.trim().parse::<Number>().ok().map(Value::Number);
        let typed = match text.trim() {
            _ if is("number") || is("integer") => number(),
            "true" if is("boolean") => Some(Value::Bool(true)),
            "false" if is("boolean") => Some(Value::Bool(false)),
            _ => None,
        };
        // What does not fit its type is left for the schema to refuse.
        Ok(Some(
            typed.unwrap_or_else(|| Value::String(text.to_owned())),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(name: &str, text: &str) -> Vec<Record> {
        let schema = br#"{"properties": {"n": {"type": "integer"}, "s": {"type": "string"}, "b": {"type": "boolean"}}}"#;
        let schema = Schema::compile(schema).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        let mut records = Records::open(&path, &schema).unwrap();
        let mut all = Vec::new();
        while let Some(record) = records.next().unwrap() {
            all.push(record);
        }
        assert_eq!(records.position(), text.len() as u64);
        all
    }

    fn json(record: &Record) -> String {
        match &record.json {
            Ok(json) => String::from_utf8(json.clone()).unwrap(),
            Err(reason) => format!("bad: {reason}"),
        }
    }

    #[test]
    fn columns_are_typed_by_the_schema() {
        let csv = "n,s,b,more,p_json\n7,7,true,7,\"{\"\"a\"\":[1]}\"\nx,,no,,\n1,\"a,\nb\",false,,{\n1,2\n";
        let records = all("x.csv", csv);
        let bodies: Vec<_> = records.iter().map(json).collect();
        assert_eq!(
            bodies[0],
            r#"{"b":true,"more":"7","n":7,"p":{"a":[1]},"s":"7"}"#
        );
        assert_eq!(bodies[1], r#"{"b":"no","n":"x"}"#);
        assert!(bodies[2].starts_with("bad: p_json: EOF"), "{}", bodies[2]);
        assert_eq!(bodies[3], "bad: it has 2 fields and the header 5");
        let lines: Vec<_> = records.iter().map(|record| record.line).collect();
        assert_eq!(lines, [2, 3, 4, 6]);
    }

    #[test]
    fn lines_are_taken_as_they_are_and_empty_ones_left_out() {
        let records = all("x.ndjson", "{\"a\":1}\n\n  [2] \r\n{");
        let bodies: Vec<_> = records.iter().map(json).collect();
        assert_eq!(bodies, [r#"{"a":1}"#, "[2]", "{"]);
        let lines: Vec<_> = records.iter().map(|record| record.line).collect();
        assert_eq!(lines, [1, 3, 4]);
    }

    #[test]
    fn another_kind_of_file_is_told_what_it_should_be() {
        let schema = Schema::compile(b"true").unwrap();
        let error = Records::open(Path::new("x.txt"), &schema).err().unwrap();
        assert!(error.to_string().contains(".ndjson"), "{error}");
    }
}
