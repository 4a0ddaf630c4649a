//! Bounds of the numbers of a flow file: what lies outside is a slip of the
//! pen, and somewhere behind it a server refuses it forever.

use std::fmt::{self, Debug, Display};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::file::{Found, Section};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The durations that a key may have.
#[derive(Clone, Copy)]
pub(super) struct Durations {
    least: Duration,
    most: Duration,
}

impl Durations {
    const fn new(least: Duration, most_seconds: u64) -> Self {
        let most = Duration::from_secs(most_seconds);
        Self { least, most }
    }
}

const NONE: Duration = Duration::ZERO;
const MILLISECOND: Duration = Duration::from_millis(1);

/// How long something that is over stays known or stored.
pub(super) const KEPT: Durations = Durations::new(NONE, 366 * DAY);
/// How long a decision stays in the ledger.
pub(super) const HOT: Durations = Durations::new(NONE, 36_500 * DAY);
/// A pause between two attempts.
pub(super) const PAUSE: Durations = Durations::new(NONE, 30 * DAY);
/// How long somebody waits for an answer of another service or of an oracle.
pub(super) const TIMEOUT: Durations = Durations::new(MILLISECOND, HOUR);
pub(super) const CACHE: Durations = Durations::new(Duration::from_secs(1), DAY);
pub(super) const QUERY_TIMEOUT: Durations = Durations::new(MILLISECOND, 5 * MINUTE);

/// Bytes of Redis.
pub(super) const MEMORY: RangeInclusive<u64> = (1 << 20)..=(1 << 40);
/// Entries that may be open.
pub(super) const BACKLOG: RangeInclusive<u64> = 1..=1_000_000_000_000;
/// By which a pause grows from one attempt to the next.
pub(super) const FACTOR: RangeInclusive<f64> = 1.0..=1000.0;

impl Display for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" to \"{}\"", short(self.least), short(self.most))
    }
}

/// As a person writes it: `366days`, where humantime has years and a remainder.
fn short(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{}ms", duration.as_millis()),
        seconds if seconds.is_multiple_of(DAY) => format!("{}days", seconds / DAY),
        seconds if seconds.is_multiple_of(HOUR) => format!("{}h", seconds / HOUR),
        seconds if seconds.is_multiple_of(MINUTE) => format!("{}min", seconds / MINUTE),
        seconds => format!("{seconds}s"),
    }
}

fn in_bytes(size: u64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units
        .iter()
        .find(|(bits, _)| size.trailing_zeros() >= *bits);
    let (bits, unit) = whole.copied().unwrap_or((0, "B"));
    format!("{}{unit}", size >> bits)
}

impl Found<'_> {
    /// Returns the duration, where it is one and within `bounds`.
    pub fn duration(&self, bounds: Durations) -> Option<Duration> {
        let remedy = format!("write a duration such as \"30s\", from {bounds}");
        let duration = self.parse(&remedy, humantime::parse_duration)?;
        if !(bounds.least..=bounds.most).contains(&duration) {
            let written = humantime::format_duration(duration);
            self.report(format_args!("{written} is not possible here"), remedy);
            return None;
        }
        Some(duration)
    }

    /// Returns the number, where it is one and within `bounds`.
    pub fn number<T>(&self, bounds: RangeInclusive<T>) -> Option<T>
    where
        T: DeserializeOwned + Debug + PartialOrd,
    {
        let remedy = format!("write {:?} to {:?}", bounds.start(), bounds.end());
        self.check(&remedy, |number| bounds.contains(number))
    }

    /// Returns the size in bytes, where it is one and within `bounds`.
    pub fn size(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let (least, most) = (in_bytes(*bounds.start()), in_bytes(*bounds.end()));
        let remedy = format!("write {least} to {most}");
        let size = self.parse(&remedy, str::parse::<bytesize::ByteSize>)?;
        if !bounds.contains(&size.as_u64()) {
            self.report(format_args!("{size} is not possible here"), remedy);
            return None;
        }
        Some(size.as_u64())
    }
}

impl Section<'_> {
    /// Takes a duration out of the table, where it has one within `bounds`.
    pub fn duration(&mut self, key: &'static str, bounds: Durations) -> Option<Duration> {
        self.optional(key)?.duration(bounds)
    }
}
