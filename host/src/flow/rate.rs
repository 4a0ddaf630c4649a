use std::str::FromStr;
use std::time::Duration;

/// How many requests a client may make: a token bucket that holds `requests`
/// and fills up within `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub requests: u32,
    pub per: Duration,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a number above 0, a slash, and s, min or h")]
pub struct NotARate;

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let (requests, unit) = text.split_once('/').ok_or(NotARate)?;
        let requests: u32 = requests
            .trim()
            .replace('_', "")
            .parse()
            .map_err(|_| NotARate)?;
        let seconds = match unit.trim() {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => return Err(NotARate),
        };
        if requests == 0 {
            return Err(NotARate);
        }
        let per = Duration::from_secs(seconds);
        Ok(Self { requests, per })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_of_requests_per_time() {
        let rate = |requests, seconds| {
            let per = Duration::from_secs(seconds);
            Ok(Rate { requests, per })
        };
        assert_eq!("1000/s".parse(), rate(1000, 1));
        assert_eq!("60/min".parse(), rate(60, 60));
        assert_eq!("1_000 / h".parse(), rate(1000, 3600));
        for text in ["0/s", "-1/s", "1.5/s", "10", "10/day", "/s", "none/s"] {
            assert_eq!(text.parse::<Rate>(), Err(NotARate), "{text}");
        }
    }
}
