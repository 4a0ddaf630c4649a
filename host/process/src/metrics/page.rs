use std::fmt::Write;

use metrics::Unit;

use super::Metric;
use super::table::TABLE;

const HEAD: &str = "\
# Metrics

`GET /metrics` on the admin address answers in Prometheus' text format, 0.0.4. \
This page is made of the table in `host/process/src/metrics/table.rs`, and a test fails when it is out of date: \
`UPDATE=1 cargo test --test it -- metrics::the_page` makes it anew. \
What `floodgate-archive` says of itself is in [ARCHIVE.md](ARCHIVE.md#metrics).

A label is a flow, an oracle, a downstream or a word of the list below, and never an id. \
Counters and histograms are of the process that is asked, since its start, so those of several are added up. \
Gauges from `floodgate_entries_open` to `floodgate_backbone_memory_limit_bytes` are read from the backbone \
when they are asked for, at most once a second; every process says the same, so take the largest. \
While the backbone is away they are absent. `floodgate_part_up` and `floodgate_backlog_known` are what the process itself sees: take the least.

| metric | kind | unit | labels | |
|---|---|---|---|---|
";

/// `docs/METRICS.md`
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for metric in TABLE {
        let Metric {
            name, kind, help, ..
        } = metric;
        let (kind, unit) = (kind.as_str(), unit(metric));
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let labels = labels.join(", ");
        // Writing to a string does not fail.
        let _written = writeln!(page, "| `{name}` | {kind} | {unit} | {labels} | {help} |");
    }
    page
}

fn unit(metric: &Metric) -> &'static str {
    match metric.unit {
        Unit::Seconds => "seconds",
        Unit::Bytes => "bytes",
        _ => "",
    }
}
