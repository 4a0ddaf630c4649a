//! What `/metrics` says, taken apart.

use std::collections::{BTreeMap, BTreeSet};

use floodgate_process::metrics::{Kind, Metric};
use hyper::StatusCode;

use crate::host::DEADLINE;
use crate::support::{eventually, request};

/// The metrics of one answer.
pub struct Told {
    pub kinds: BTreeMap<String, String>,
    pub helps: BTreeMap<String, String>,
    /// By its name with its labels, as it stands there.
    samples: BTreeMap<String, f64>,
}

impl Told {
    pub async fn by(admin: &str) -> Self {
        let (status, headers, text) =
            request("GET", &format!("{admin}/metrics"), &[], String::new()).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers["content-type"], "text/plain; version=0.0.4");
        Self::parsed(std::str::from_utf8(&text).unwrap())
    }

    fn parsed(text: &str) -> Self {
        let two = |rest: &str| {
            let (name, rest) = rest.split_once(' ').unwrap();
            (name.to_owned(), rest.to_owned())
        };
        let comments = |mark| text.lines().filter_map(move |line| line.strip_prefix(mark));
        let samples = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = samples.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        });
        Self {
            kinds: comments("# TYPE ").map(two).collect(),
            helps: comments("# HELP ").map(two).collect(),
            samples: samples.collect(),
        }
    }

    /// Such as `floodgate_entries_open{flow="transactions"}`.
    pub fn value(&self, series: &str) -> Option<f64> {
        self.samples.get(series).copied()
    }

    /// The sum of all series that begin like this; 0 where there is none.
    pub fn sum(&self, beginning: &str) -> f64 {
        let of_these = self.samples.iter();
        let of_these = of_these.filter(|(series, _)| series.starts_with(beginning));
        of_these.map(|(_, value)| value).sum()
    }

    pub fn names(&self) -> BTreeSet<&str> {
        self.kinds.keys().map(String::as_str).collect()
    }

    /// The label names of every sample of a metric, without that of buckets.
    pub fn labels_of(&self, metric: &Metric) -> Vec<Vec<&str>> {
        let of_this = self.samples.keys().filter(|series| {
            let name = series.split('{').next().unwrap();
            let behind = name.strip_prefix(metric.name);
            behind.is_some_and(|behind| match metric.kind {
                Kind::Histogram => ["_bucket", "_sum", "_count"].contains(&behind),
                Kind::Counter | Kind::Gauge => behind.is_empty(),
            })
        });
        of_this.map(|series| labels(series)).collect()
    }
}

fn labels(series: &str) -> Vec<&str> {
    let Some((_, labels)) = series.split_once('{') else {
        return Vec::new();
    };
    let labels = labels.trim_end_matches('}').split(',');
    let names = labels.map(|label| label.split_once('=').unwrap().0);
    names.filter(|name| *name != "le").collect()
}

/// Waits until each series has its value.
pub async fn until_told(admin: &str, expected: &[(&str, f64)]) {
    for (series, value) in expected {
        let what = format!("{series} is {value}");
        eventually(DEADLINE, &what, async || {
            Told::by(admin).await.value(series) == Some(*value)
        })
        .await;
    }
}
