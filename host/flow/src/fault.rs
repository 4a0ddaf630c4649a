use std::str::FromStr;

use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::{Deserialize, Serialize};

use super::Digest;

/// What went wrong with one entry. Only faults of this kind use up attempts;
/// infrastructure that is away, or an oracle that fails everything, does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The oracle trapped on it: a panic, an out-of-bounds access, a full stack.
    Trap,
    /// The oracle ran past its deadline.
    Timeout,
    /// The oracle asked for more memory or tables than it may have.
    Memory,
    /// The oracle returned an error for it.
    Refused,
    /// The oracle's score was not a number within 0.0 ..= 1.0.
    BadScore,
    /// The oracle returned more or fewer results than entries.
    WrongCount,
    /// The ledger refused its data (SQLSTATE class 22 or 23).
    Ledger,
    /// Not an entry of ours: no id, no body, or not JSON.
    Malformed,
    /// The id was decided before with another body.
    Conflict,
    /// It was decided, and a downstream did not take the decision.
    Delivery,
    /// The process that judged it alone was not heard of again, three times.
    Crash,
}

impl FaultKind {
    /// As they are declared.
    pub const ALL: [Self; 11] = [
        Self::Trap,
        Self::Timeout,
        Self::Memory,
        Self::Refused,
        Self::BadScore,
        Self::WrongCount,
        Self::Ledger,
        Self::Malformed,
        Self::Conflict,
        Self::Delivery,
        Self::Crash,
    ];

    /// Whether no oracle could judge the entry, though nothing else is wrong with it.
    pub fn is_unjudged(self) -> bool {
        match self {
            Self::Trap
            | Self::Timeout
            | Self::Memory
            | Self::Refused
            | Self::BadScore
            | Self::WrongCount
            | Self::Crash => true,
            Self::Ledger | Self::Malformed | Self::Conflict | Self::Delivery => false,
        }
    }

    /// Whether a call of an oracle can end in it.
    pub fn is_of_oracle(self) -> bool {
        (self.is_unjudged() && self != Self::Crash) || self == Self::Malformed
    }

    /// Says what went wrong to whoever sent the entry. The error itself is for
    /// operators: it may name our servers and quote what a guest or a library said.
    pub fn for_clients(self) -> &'static str {
        match self {
            Self::Trap => "it could not be judged (trap)",
            Self::Timeout => "it could not be judged (timeout)",
            Self::Memory => "it could not be judged (memory)",
            Self::Refused => "it could not be judged (refused)",
            Self::BadScore => "it could not be judged (bad-score)",
            Self::WrongCount => "it could not be judged (wrong-count)",
            Self::Crash => "it could not be judged (crash)",
            Self::Ledger => "its data cannot be stored (ledger)",
            Self::Malformed => "it is no entry (malformed)",
            Self::Conflict => "its id was decided before with another body (conflict)",
            Self::Delivery => "it could not be delivered (delivery)",
        }
    }

    /// Whether the oracle broke on the entry instead of answering for it. What
    /// an oracle answers, however wrong, is about that entry alone; an oracle
    /// that breaks may be broken itself, which a trial settles.
    pub fn breaks_oracle(self) -> bool {
        match self {
            Self::Trap | Self::Timeout | Self::Memory | Self::WrongCount => true,
            Self::Refused
            | Self::BadScore
            | Self::Ledger
            | Self::Malformed
            | Self::Conflict
            | Self::Delivery
            | Self::Crash => false,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Refused => "refused",
            Self::BadScore => "bad-score",
            Self::WrongCount => "wrong-count",
            Self::Ledger => "ledger",
            Self::Malformed => "malformed",
            Self::Conflict => "conflict",
            Self::Delivery => "delivery",
            Self::Crash => "crash",
        }
    }
}

impl FromStr for FaultKind {
    type Err = ValueError;

    /// The inverse of [`FaultKind::as_str`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::deserialize(StrDeserializer::new(text))
    }
}

/// A failed attempt at one entry, with what a person needs to understand it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryFault {
    pub kind: FaultKind,
    /// The error's text, cut to a few kilobytes; of a trap, with the guest's backtrace.
    pub error: String,
    /// The oracle it happened in, where it happened in one.
    pub oracle: Option<(String, Digest)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_at_its_number_and_by_its_name() {
        for (at, kind) in FaultKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at);
            assert_eq!(kind.as_str().parse::<FaultKind>().unwrap(), kind);
            let told = kind.for_clients();
            assert!(told.ends_with(&format!("({})", kind.as_str())), "{told}");
        }
    }
}
