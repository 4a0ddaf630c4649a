//! `[keep]` as written, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use super::columns::{Column, ColumnKind, Table};
use super::file::{Found, Section};
use super::{Downstream, Keep, OracleUse, Pointer, bounds};

const WHEN: &str = "write \"high\", \"always\" or \"never\"";
const TIME: &str = "write a JSON Pointer such as \"/occurred_at\"";
const FIELD: &str = "write a JSON Pointer such as \"/user_id\"";
const KIND: &str = "write \"text\", \"integer\", \"number\", \"boolean\" or \"time\"";
const NAME: &str = "use a to z, 0 to 9 and _, at most 63 of them and no digit first";

/// What every flow's table has, and `day`, by which its files are laid out.
const BASE: [&str; 22] = [
    "at",
    "attributes",
    "body",
    "body_hash",
    "day",
    "decided_at",
    "deliveries",
    "erased_at",
    "flow_digest",
    "id",
    "inference_us",
    "label",
    "label_name",
    "oracles",
    "output",
    "reasons",
    "received_at",
    "score",
    "seq",
    "settings_digest",
    "stream_id",
    "threshold",
];

pub(super) fn read(
    mut table: Section,
    oracles: &[OracleUse],
    deliver: &[Arc<Downstream>],
) -> (Keep, Table) {
    let keep = when(&mut table, oracles, deliver);
    let hot = hot(&mut table, keep);
    let time = table
        .optional("time")
        .and_then(|found| pointer(&found, TIME));
    let columns = columns(table.section("columns"));
    table.finish();
    (keep, Table { hot, time, columns })
}

/// A flow that delivers keeps every decision, and so does one without
/// oracles, unless it says otherwise: nothing is ever HIGH there.
fn when(table: &mut Section, oracles: &[OracleUse], deliver: &[Arc<Downstream>]) -> Keep {
    let found = table.optional("when");
    let when = found.as_ref().and_then(|found| found.read(WHEN));
    if let (Some(found), Some(when)) = (&found, when) {
        if !deliver.is_empty() && when != Keep::Always {
            found.report(
                "a flow that delivers keeps every decision",
                "write \"always\"",
            );
        } else if oracles.is_empty() && when == Keep::High {
            let what = "without an oracle nothing is ever HIGH";
            found.report(what, "write \"always\", or \"never\"");
        }
    }
    let default = match oracles.is_empty() || !deliver.is_empty() {
        true => Keep::Always,
        false => Keep::High,
    };
    when.unwrap_or(default)
}

fn hot(table: &mut Section, keep: Keep) -> Option<Duration> {
    let found = table.optional("hot")?;
    if keep == Keep::Never {
        let what = "a flow that keeps nothing has nothing to move";
        found.report(what, "remove it, or keep something");
    }
    found.duration(bounds::HOT)
}

fn pointer(found: &Found, remedy: &str) -> Option<Pointer> {
    let pointer = found.parse(remedy, Pointer::parse)?;
    if pointer.is_root() {
        found.report("it points at the whole body", remedy);
        return None;
    }
    Some(pointer)
}

fn columns(table: Section) -> Vec<Column> {
    let columns = table.entries().filter_map(|(name, found)| {
        if BASE.contains(&&*name) {
            let what = format!("every flow has a column {name}");
            found.report(what, "give it another name");
        } else if !is_column(&name) {
            found.report(format_args!("{name:?} is no name of a column"), NAME);
        }
        column(name, found)
    });
    columns.collect()
}

fn column(name: String, found: Found) -> Option<Column> {
    let mut table = found.section()?;
    let field = table
        .required("field", FIELD)
        .and_then(|found| pointer(&found, FIELD));
    let kind = table.optional("type").and_then(|found| found.read(KIND));
    table.finish();
    Some(Column {
        name: name.into(),
        field: field?,
        kind: kind.unwrap_or(ColumnKind::Text),
    })
}

/// One that SQL takes without quotes and in one spelling.
fn is_column(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let first = name.bytes().next();
    name.len() <= 63 && name.bytes().all(plain) && first.is_some_and(|byte| !byte.is_ascii_digit())
}
