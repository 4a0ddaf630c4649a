use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How much a client may send: a token bucket that holds `tokens` and fills up
/// within `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Above 0.
    pub tokens: u32,
    pub per: Duration,
    pub of: RateOf,
}

/// What costs a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateOf {
    Requests,
    /// Every request costs one, and each further entry of a batch another one. A
    /// batch may cost more than there is, and even more than the bucket holds: it
    /// is taken, and the next one waits until the debt is paid.
    Entries,
}

impl RateOf {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Entries => "entries",
        }
    }
}

impl fmt::Display for RateOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a number above 0, a slash, and s, min or h, as in 1000/s or 10000 entries/s")]
pub struct NotARate;

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let (amount, unit) = text.split_once('/').ok_or(NotARate)?;
        let amount = amount.trim();
        let (number, of) = match amount.split_once(char::is_whitespace) {
            None => (amount, RateOf::Requests),
            Some((number, word)) => match word.trim() {
                "requests" => (number, RateOf::Requests),
                "entries" => (number, RateOf::Entries),
                _ => return Err(NotARate),
            },
        };
        let tokens: u32 = number.replace('_', "").parse().map_err(|_| NotARate)?;
        let seconds = match unit.trim() {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => return Err(NotARate),
        };
        if tokens == 0 {
            return Err(NotARate);
        }
        let per = Duration::from_secs(seconds);
        Ok(Self { tokens, per, of })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_of_requests_or_entries_per_time() {
        let rate = |tokens, of, seconds| {
            let per = Duration::from_secs(seconds);
            Ok(Rate { tokens, per, of })
        };
        for (text, requests, seconds) in [
            ("1000/s", 1000, 1),
            ("60/min", 60, 60),
            ("1_000 / h", 1000, 3600),
            ("5 requests/s", 5, 1),
        ] {
            assert_eq!(text.parse(), rate(requests, RateOf::Requests, seconds));
        }
        for text in ["10000 entries/s", "10_000  entries / s"] {
            assert_eq!(text.parse(), rate(10_000, RateOf::Entries, 1));
        }
        for text in [
            "0/s",
            "-1/s",
            "1.5/s",
            "10",
            "10/day",
            "/s",
            "none/s",
            "entries/s",
            "10entries/s",
            "10 bytes/s",
            "0 entries/s",
        ] {
            assert_eq!(text.parse::<Rate>(), Err(NotARate), "{text}");
        }
    }
}
