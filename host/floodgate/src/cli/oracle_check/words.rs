use std::fmt::Write;

use bytesize::ByteSize;
use comfy_table::{ContentArrangement, Table, presets};

use super::{Checked, Cost, Loaded, Said};
use floodgate_oracle_host::Part;

pub(super) fn of(checked: &Checked) -> String {
    let parts = parts(&checked.parts);
    match &checked.loaded {
        Some(loaded) => format!("{parts}{}", of_loaded(loaded)),
        None => parts.trim_end().to_owned(),
    }
}

/// The parts as a table, then what is wrong with those that do not fit: types
/// are too long for columns.
fn parts(parts: &[Part]) -> String {
    let mut table = table(&["", "name", "fits"]);
    for part in parts {
        let fits = if part.misfit.is_none() { "ok" } else { "no" };
        table.add_row([&part.direction.to_string(), &part.name, fits]);
    }
    let mut text = format!("{table}\n\n");
    for part in parts {
        if let Some(misfit) = &part.misfit {
            let _to_a_string = write!(
                text,
                "{} {}\n  expected  {}\n  found     {}\n  remedy    {}\n\n",
                part.direction, part.name, misfit.expected, misfit.found, misfit.remedy
            );
        }
    }
    text
}

fn of_loaded(loaded: &Loaded) -> String {
    let size = ByteSize(loaded.size as u64);
    let what = match loaded.measured_sample {
        true => "the sample",
        false => "a built-in transaction, --sample measures yours",
    };
    let verdicts = match &loaded.verdicts[..] {
        [] => String::new(),
        said => format!("\n\n{}", verdicts(said)),
    };
    format!(
        "\
digest        {}
size          {size}
compile time  {} ms

cost, a fresh instance per batch, medians ({what})
{}{verdicts}",
        loaded.digest,
        loaded.compile_ms,
        costs(&loaded.cost),
    )
}

fn costs(costs: &[Cost]) -> Table {
    let mut table = table(&["batch", "per batch", "per entry"]);
    let micros = |time: f64| format!("{time:.2} us");
    for cost in costs {
        let size = cost.batch.to_string();
        table.add_row(match cost.per_batch_us {
            Some(time) => [size, micros(time), micros(time / cost.batch as f64)],
            None => [size, cost.fault.clone().unwrap_or_default(), String::new()],
        });
    }
    table
}

fn verdicts(said: &[Said]) -> Table {
    let mut table = table(&["id", "score", "reasons", "output or fault"]);
    for said in said {
        let score = said.score.map(|score| format!("{score:.4}"));
        table.add_row([
            said.id.clone(),
            score.unwrap_or_default(),
            said.reasons.join(", "),
            said.output
                .as_ref()
                .or(said.fault.as_ref())
                .cloned()
                .unwrap_or_default(),
        ]);
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
