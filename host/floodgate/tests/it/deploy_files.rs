//! What deploy/ and the runbook speak of is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use floodgate_flow::FaultKind;
use floodgate_process::metrics::table::TABLE;
use serde_json::Value;
use walkdir::WalkDir;

use crate::host::repository;

const ALERTS: &str = "deploy/prometheus/alerts.yml";
const DASHBOARD: &str = "deploy/grafana/dashboards/floodgate.json";
const RUNBOOK: &str = "docs/RUNBOOK.md";

fn read(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// Path and text of everything that an operator takes from the repository.
fn files() -> BTreeMap<String, String> {
    let root = repository();
    let mut files: Vec<_> = WalkDir::new(root.join("deploy"))
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| {
            path.extension()
                .is_some_and(|kind| kind == "yml" || kind == "json")
        })
        .collect();
    files.extend(["docs/RUNBOOK.md", "docs/OPERATING.md"].map(|path| root.join(path)));
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.display().to_string(), text)
        })
        .collect()
}

fn metrics_named_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
        .filter(|word| word.starts_with("floodgate_"))
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Metric {
    name: String,
    kind: String,
    labels: Vec<String>,
}

impl Metric {
    fn new<'l>(name: &str, kind: &str, labels: impl IntoIterator<Item = &'l str>) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            labels: labels.into_iter().map(str::to_owned).collect(),
        }
    }
}

/// Those of the host, and those of floodgate-archive.
static METRICS: LazyLock<Vec<Metric>> = LazyLock::new(|| {
    let of_host = TABLE.iter().map(|metric| {
        let labels = metric.labels.iter().copied();
        Metric::new(metric.name, metric.kind.as_str(), labels)
    });
    of_host.chain(counted_by_the_archive()).collect()
});

/// It is a program of its own, so what it counts is read from its source.
fn counted_by_the_archive() -> BTreeSet<Metric> {
    let sources = WalkDir::new(repository().join("archive/src")).into_iter();
    let sources = sources.map(|entry| entry.unwrap().into_path());
    let mut counted = BTreeSet::new();
    for source in sources.filter(|path| path.extension().is_some_and(|kind| kind == "rs")) {
        let text = std::fs::read_to_string(source).unwrap();
        // However a call is broken into lines.
        let text: String = text.split_whitespace().collect();
        for kind in ["counter", "gauge", "histogram"] {
            for call in text.split(&format!("{kind}!(\"")).skip(1) {
                let (name, rest) = call.split_once('"').unwrap();
                let labels = rest.split(").").next().unwrap();
                let mut labels: Vec<&str> = labels.split("\"=>").collect();
                labels.pop();
                let labels = labels.iter().map(|label| label.rsplit('"').next().unwrap());
                counted.insert(Metric::new(name, kind, labels));
            }
        }
    }
    counted
}

/// The metric that a series is one of: a histogram has several.
fn metric(series: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| {
        series.strip_prefix(&metric.name).is_some_and(|rest| {
            rest.is_empty()
                || metric.kind == "histogram" && ["_bucket", "_sum", "_count"].contains(&rest)
        })
    })
}

#[test]
fn what_the_archive_counts_is_on_its_page() {
    let page = read("docs/ARCHIVE.md");
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `floodgate_archive_"));
    let named: BTreeSet<Metric> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let labels = cells[3].split('`').skip(1).step_by(2);
            Metric::new(cells[1].trim_matches('`'), cells[2], labels)
        })
        .collect();
    assert_eq!(named, counted_by_the_archive());
    assert!(named.len() > 3);
}

#[test]
fn only_metrics_that_exist_are_named() {
    for (path, text) in files() {
        for series in metrics_named_in(&text) {
            assert!(metric(series).is_some(), "{path}: there is no {series}");
        }
    }
    assert!(metrics_named_in(&read(ALERTS)).count() > 20);
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let dashboard = read(DASHBOARD);
    let shown: BTreeSet<_> = metrics_named_in(&dashboard)
        .filter_map(|series| metric(series).map(|metric| &*metric.name))
        .collect();
    for metric in TABLE {
        assert!(shown.contains(metric.name), "{} is not shown", metric.name);
    }
}

#[test]
fn what_is_grouped_by_is_a_label_of_each_metric_in_the_expression() {
    let alerts = read(ALERTS);
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let mut expressions: Vec<&str> = alerts.split("- alert:").collect();
    expressions.extend(targets(&dashboard).map(|target| target["expr"].as_str().unwrap()));
    let mut looked_at = 0;
    for expression in expressions {
        let grouped = expression.split("by (").skip(1);
        let labels: BTreeSet<&str> = grouped
            .flat_map(|rest| rest.split(')').next().unwrap().split(','))
            .map(str::trim)
            // Of a histogram, and what the scrape adds.
            .filter(|label| !["le", "instance"].contains(label))
            .collect();
        for metric in metrics_named_in(expression).filter_map(metric) {
            looked_at += labels.len();
            for label in &labels {
                let name = &metric.name;
                assert!(
                    metric.labels.iter().any(|known| known == label),
                    "{name} has no {label}: {expression}"
                );
            }
        }
    }
    assert!(looked_at > 20, "{looked_at}");
}

#[test]
fn the_dashboard_asks_the_source_that_is_chosen() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
    }
    assert!(targets(&dashboard).count() > 30);
    for target in targets(&dashboard) {
        assert_eq!(target["datasource"]["uid"], "${datasource}", "{target}");
    }
}

fn targets(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = dashboard["panels"].as_array().unwrap();
    panels
        .iter()
        .filter_map(|panel| panel["targets"].as_array())
        .flatten()
}

/// What follows `key` on the lines that begin with it.
fn values<'t>(text: &'t str, key: &str) -> Vec<&'t str> {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix(key))
        .map(str::trim)
        .collect()
}

#[test]
fn each_alert_says_how_bad_it_is_in_words_and_where_to_read_on() {
    let alerts = read(ALERTS);
    let (_, rules) = alerts.split_once("- alert:").unwrap();
    for rule in rules.split("- alert:") {
        let name = rule.lines().next().unwrap().trim();
        for key in ["expr:", "for:", "labels: { severity:"] {
            assert_eq!(values(rule, key).len(), 1, "{name} has one {key}");
        }
        for key in ["summary:", "description:"] {
            assert!(values(rule, key)[0].len() > 10, "{name} has a {key}");
        }
        let place = format!("{RUNBOOK}#{}", name.to_lowercase());
        assert_eq!(values(rule, "runbook_url:"), [place]);
    }
}

#[test]
fn each_alert_has_its_heading_in_the_runbook_and_its_test_and_each_heading_its_alert() {
    let alerts = read(ALERTS);
    let names = values(&alerts, "- alert:");
    assert!(names.len() > 10);
    let runbook = read(RUNBOOK);
    assert_eq!(values(&runbook, "### "), names, "in this order");
    let tests = read("deploy/prometheus/alerts_test.yml");
    for name in names {
        let firing = format!("labels: ALERTS{{alertname=\"{name}\"");
        assert!(tests.contains(&firing), "{name} fires in no test");
    }
}

#[test]
fn the_runbook_says_of_each_fault_whose_it_is() {
    let runbook = read(RUNBOOK);
    let (_, about) = runbook.split_once("### FloodgateDeadLetters").unwrap();
    let (about, _) = about.split_once("###").unwrap();
    let rows = about.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').nth(1).unwrap());
    let named: BTreeSet<&str> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert_eq!(named, FaultKind::ALL.map(FaultKind::as_str).into());
}

#[test]
fn links_within_the_docs_of_operators_lead_somewhere() {
    for page in [RUNBOOK, "docs/OPERATING.md"] {
        let text = read(page);
        assert!(text.contains("]("), "{page} has links");
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next()) {
            let (file, anchor) = link.unwrap().split_once('#').unwrap_or((link.unwrap(), ""));
            let target = if file.is_empty() {
                text.clone()
            } else {
                read(&format!("docs/{file}"))
            };
            let heading = |line: &str| line.trim_start_matches('#').trim().to_lowercase();
            let mut headings = target.lines().filter(|line| line.starts_with('#'));
            assert!(
                anchor.is_empty() || headings.any(|line| heading(line).replace(' ', "-") == anchor),
                "{page}: {file}#{anchor}"
            );
        }
    }
}
