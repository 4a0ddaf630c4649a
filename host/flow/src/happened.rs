use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::Pointer;

/// The first moment that a ledger takes: that of the year 1, in Unix milliseconds.
const FIRST: i64 = -62_135_596_800_000;

/// A number above is one of milliseconds: as seconds it were in the year 5138.
const MOST_SECONDS: f64 = 1e11;

/// When an entry happened, in Unix milliseconds: what `time` points at in its
/// body, else when it was received.
pub fn happened_at(body: &[u8], time: Option<&Pointer>, received_at: u64) -> i64 {
    let said = time.and_then(|time| {
        let said = body.get(time.locate(body)?)?;
        unix_ms(std::str::from_utf8(said).ok()?)
    });
    said.filter(|ms| (FIRST..=last()).contains(ms))
        .unwrap_or_else(|| i64::try_from(received_at).map_or(last(), |ms| ms.min(last())))
}

fn last() -> i64 {
    Timestamp::MAX.as_millisecond()
}

/// Of a JSON value.
fn unix_ms(json: &str) -> Option<i64> {
    if json.starts_with('"') {
        return of_text(&serde_json::from_str::<String>(json).ok()?);
    }
    let number: f64 = json.parse().ok()?;
    let ms = if number.abs() > MOST_SECONDS {
        number
    } else {
        number * 1000.0
    };
    // A cast ends at the ends of what it casts to; none of them is a time.
    Some(ms.round() as i64)
}

/// RFC 3339; what has no zone is in UTC, and what has no time begins its day.
fn of_text(text: &str) -> Option<i64> {
    let at = text.parse::<Timestamp>().or_else(|_| {
        let without_zone: DateTime = text.parse()?;
        Offset::UTC.to_timestamp(without_zone)
    });
    Some(at.ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVED: u64 = 1_766_700_000_123;

    fn at(time: &str) -> i64 {
        let body = format!(r#"{{"id": "x", "when": {{"at": {time} }} }}"#);
        let pointer = Pointer::parse("/when/at").unwrap();
        happened_at(body.as_bytes(), Some(&pointer), RECEIVED)
    }

    #[test]
    fn a_body_says_when_it_happened_in_any_of_these_ways() {
        for (said, expected) in [
            (r#""2026-01-02T03:04:05Z""#, 1_767_323_045_000),
            (r#""2026-01-02T05:04:05.25+02:00""#, 1_767_323_045_250),
            (r#""2026-01-02t03:04:05z""#, 1_767_323_045_000),
            (r#""2026-01-02T03:04:05""#, 1_767_323_045_000),
            (r#""2026-01-02 03:04:05.678""#, 1_767_323_045_678),
            (r#""2026-01-02""#, 1_767_312_000_000),
            (r#""2026\u002d01-02""#, 1_767_312_000_000),
            (r#""1969-12-31T23:59:59Z""#, -1000),
            (r#""0001-01-01""#, FIRST),
            ("1767323045", 1_767_323_045_000),
            ("1767323045.5", 1_767_323_045_500),
            ("1767323045678", 1_767_323_045_678),
            ("1.767323045678e12", 1_767_323_045_678),
            ("100000000000", 100_000_000_000_000),
            ("100000000001", 100_000_000_001),
            ("0", 0),
            ("-1", -1000),
        ] {
            assert_eq!(at(said), expected, "{said}");
        }
    }

    #[test]
    fn what_is_no_time_happened_when_it_was_received() {
        for said in [
            "null",
            "true",
            "[]",
            "{}",
            r#""""#,
            r#""now""#,
            r#""yesterday""#,
            r#""infinity""#,
            r#""2026-02-30""#,
            r#""2026-01-02T25:00:00Z""#,
            r#""1767323045""#,
            r#""0000-12-31""#,
            r#""-000001-01-01""#,
            "1e300",
            "-1e300",
            "-99999999999",
        ] {
            assert_eq!(at(said), RECEIVED as i64, "{said}");
        }
        let pointer = Pointer::parse("/at").unwrap();
        for body in [&b"{}"[..], b"[1]", b"\xff", b""] {
            assert_eq!(happened_at(body, Some(&pointer), RECEIVED), RECEIVED as i64);
        }
        assert_eq!(happened_at(b"{}", None, 7), 7);
        assert_eq!(happened_at(b"{}", None, u64::MAX), last());
    }
}
