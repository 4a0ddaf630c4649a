use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::out::JsonOption;
use floodgate_process::harmless;

/// Prints rows as JSON, or as a table; `none` where there are none.
pub(super) fn print<T: Serialize>(
    rows: &[T],
    json: JsonOption,
    header: &[&str],
    none: &str,
    row: impl Fn(&T) -> Vec<String>,
) -> anyhow::Result<()> {
    json.say(rows, || match rows {
        [] => none.to_owned(),
        rows => lined(header, rows.iter().map(row)).to_string(),
    })
}

/// A table as wide as the terminal; in a pipe as wide as what is in it.
pub(super) fn lined<R: IntoIterator<Item = String>>(
    header: &[&str],
    rows: impl IntoIterator<Item = R>,
) -> Table {
    let mut table = Table::new();
    table
        .load_preset(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    for row in rows {
        let cells = row.into_iter();
        table.add_row(cells.map(|cell| harmless::words(&cell).into_owned()));
    }
    table
}

/// The first line of a text, cut to `most` characters.
pub(super) fn short(text: &str, most: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(most) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line.to_owned(),
    }
}

/// Something that may be missing.
pub(super) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
