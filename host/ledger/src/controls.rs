//! Keeps a sample of the entries that were judged well during the last day.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Error;
use floodgate_flow::{Entry, FlowName, owner_of};

const QUARTER: i64 = 15 * 60;
const HOUR: i64 = 4 * QUARTER;

/// Controls of one flow and oracle that are kept of an hour.
pub const AN_HOUR: usize = 4;
/// Bytes of the largest entry that is kept as a control.
pub const LARGEST: usize = 64 << 10;
/// Hours that a control is read for, with the one that it was kept in.
const HOURS: i64 = 24;

/// Who sent an entry, as far as it counts for how many of the controls are theirs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sender {
    /// The owner of its API key.
    Owner(Arc<str>),
    /// It came without a key, in this quarter of an hour since 1970. Nothing
    /// that a stranger does not choose tells strangers apart, so whatever comes
    /// in one quarter of an hour counts as of one of them: a burst fills no more
    /// than a quarter of the hour's places.
    Quarter(i64),
}

impl Sender {
    /// Returns who sent an entry that is judged at `now`.
    pub fn of(entry: &Entry, now: Timestamp) -> Self {
        match owner_of(&entry.attributes) {
            Some(owner) => Self::Owner(owner.into()),
            None => Self::Quarter(quarter(now)),
        }
    }

    /// Whether an entry that is judged at `now` is of this sender.
    pub fn sent(&self, entry: &Entry, now: Timestamp) -> bool {
        match (self, owner_of(&entry.attributes)) {
            (Self::Owner(known), Some(owner)) => **known == *owner,
            (Self::Quarter(known), None) => *known == quarter(now),
            _ => false,
        }
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Owner(owner) => format!("owner:{owner}"),
            Self::Quarter(quarter) => format!("quarter:{quarter}"),
        }
    }

    /// Reads what [`Self::text`] wrote; what somebody else wrote is an owner.
    pub(super) fn from_text(text: &str) -> Self {
        let quarter = text.strip_prefix("quarter:");
        match quarter.and_then(|quarter| quarter.parse().ok()) {
            Some(quarter) => Self::Quarter(quarter),
            None => Self::Owner(text.strip_prefix("owner:").unwrap_or(text).into()),
        }
    }
}

/// An entry that an oracle judged well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    pub sender: Sender,
    /// With those attributes alone that oracles are shown.
    pub entry: Entry,
}

impl Control {
    /// Makes a control of an entry that is judged at `now`; `None` where it is too
    /// large to be kept.
    pub fn of(entry: &Entry, now: Timestamp) -> Option<Self> {
        let shown: Vec<(String, String)> = entry
            .shown()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let of_attributes: usize = shown
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        let size = entry.id.len() + entry.body.len() + of_attributes;
        (size <= LARGEST).then(|| Self {
            sender: Sender::of(entry, now),
            entry: Entry {
                attributes: shown.into(),
                ..entry.clone()
            },
        })
    }
}

/// Entries that were judged well during the last day. With them the host tells
/// a broken oracle from a bad entry.
#[async_trait]
pub trait SampledControls: Send + Sync {
    /// Keeps a control of an oracle in a flow, unless [`AN_HOUR`] of this hour are
    /// kept already, or one of the same sender, or the entry was erased.
    async fn keep_control(
        &self,
        flow: &FlowName,
        oracle: &str,
        control: &Control,
    ) -> Result<(), Error>;

    /// Returns those of the last day of an oracle in a flow, newest first: 4 times
    /// 24 at most, each of [`LARGEST`] bytes at most.
    async fn controls(&self, flow: &FlowName, oracle: &str) -> Result<Vec<Control>, Error>;

    /// Removes what is older than a day, of whatever flow; returns how many.
    async fn forget_controls(&self) -> Result<u64, Error>;
}

fn quarter(at: Timestamp) -> i64 {
    at.as_second().div_euclid(QUARTER)
}

/// Returns the hour of a time, counted since 1970.
pub fn hour(at: Timestamp) -> i64 {
    at.as_second().div_euclid(HOUR)
}

/// Returns the first and the last hour that controls are read of: a clock that
/// was set back leaves some of hours to come.
pub(super) fn hours_read() -> (i64, i64) {
    let now = hour(Timestamp::now());
    (now - HOURS + 1, now + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attributes: &[(&str, &str)], body: usize) -> Entry {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Entry {
            id: "a".into(),
            body: vec![b'1'; body].into(),
            received_at: 0,
            attributes: attributes.iter().map(owned).collect(),
        }
    }

    #[test]
    fn keys_of_one_owner_are_one_sender_and_so_is_a_quarter_of_an_hour_without_keys() {
        let now = Timestamp::from_second(2 * QUARTER + 1).unwrap();
        let of = |attributes: &[(&str, &str)]| Sender::of(&entry(attributes, 1), now);
        assert_eq!(
            of(&[("key", "a"), ("owner", "shop")]),
            of(&[("key", "b"), ("owner", "shop")])
        );
        assert_eq!(of(&[("key", "shop")]), Sender::Owner("shop".into()));
        assert_eq!(of(&[]), Sender::Quarter(2));
        for sender in [
            of(&[]),
            of(&[("key", "quarter:7")]),
            of(&[("key", "owner:a")]),
        ] {
            assert_eq!(Sender::from_text(&sender.text()), sender);
        }
    }

    #[test]
    fn what_is_too_large_is_no_control_and_what_only_traces_is_left_out() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(Control::of(&entry(&[], LARGEST), now), None);
        let attributes = [("key", "shop"), ("request-id", "r")];
        let control = Control::of(&entry(&attributes, 1), now).unwrap();
        assert_eq!(control.entry, entry(&[("key", "shop")], 1));
    }
}
