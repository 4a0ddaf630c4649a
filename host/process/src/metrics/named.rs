use std::marker::PhantomData;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Unit, with_recorder};

static METADATA: Metadata<'static> = Metadata::new("floodgate", Level::INFO, None);

/// One row of the table.
#[derive(Debug)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: Unit,
    /// Their names, in the order in which [`Named::of`] takes their values.
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// As Prometheus writes it behind `# TYPE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric of the table with `N` labels, counted by a `H`.
pub struct Named<H, const N: usize> {
    pub(super) metric: Metric,
    handle: PhantomData<fn() -> H>,
}

impl<H: Handle, const N: usize> Named<H, N> {
    pub(super) const fn new(
        name: &'static str,
        labels: &'static [&'static str; N],
        unit: Unit,
        help: &'static str,
    ) -> Self {
        Self {
            metric: Metric {
                name,
                kind: H::KIND,
                unit,
                labels,
                help,
            },
            handle: PhantomData,
        }
    }

    /// The handle of one series, which is there from now on: a counter that
    /// first appears with its first event hides that event from `increase()`.
    pub fn of(&self, values: [&str; N]) -> H {
        let labels = self.metric.labels.iter().zip(values);
        let labels: Vec<Label> = labels
            .map(|(name, value)| Label::new(*name, value.to_owned()))
            .collect();
        H::register(&Key::from_parts(self.metric.name, labels))
    }
}

/// What the crate `metrics` counts with.
pub trait Handle {
    const KIND: Kind;
    fn register(key: &Key) -> Self;
}

impl Handle for Counter {
    const KIND: Kind = Kind::Counter;
    fn register(key: &Key) -> Self {
        with_recorder(|recorder| recorder.register_counter(key, &METADATA))
    }
}

impl Handle for Gauge {
    const KIND: Kind = Kind::Gauge;
    fn register(key: &Key) -> Self {
        with_recorder(|recorder| recorder.register_gauge(key, &METADATA))
    }
}

impl Handle for Histogram {
    const KIND: Kind = Kind::Histogram;
    fn register(key: &Key) -> Self {
        with_recorder(|recorder| recorder.register_histogram(key, &METADATA))
    }
}
