//! What a JSON value is as text, number, boolean or time. What does not fit is
//! `None`.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// The year 1, in microseconds.
const FIRST: i64 = -62_135_596_800_000_000;

/// A number above is one of milliseconds: as seconds it were in the year 5138.
const MOST_SECONDS: f64 = 1e11;

/// Of a number or a boolean, its JSON.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    match json.as_bytes().first()? {
        b'"' => string(json),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(json)),
    }
}

/// Of a string in its quotes.
fn string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    match inner.contains('\\') {
        // Half of a surrogate pair is no text.
        true => serde_json::from_str(json).ok().map(Cow::Owned),
        false => Some(Cow::Borrowed(inner)),
    }
}

pub(super) fn boolean(json: &str) -> Option<bool> {
    json.parse().ok()
}

/// What is too large for a number is not infinite.
pub(super) fn number(json: &str) -> Option<f64> {
    let number = is_number(json).then(|| json.parse().ok())?;
    number.filter(|number: &f64| number.is_finite())
}

/// Rust's `inf` and `NaN` are none of JSON's.
fn is_number(json: &str) -> bool {
    json.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// 30.0 and 3e1 are integers, too.
pub(super) fn integer(json: &str) -> Option<i64> {
    if !is_number(json) {
        return None;
    }
    json.parse().ok().or_else(|| exact(json))
}

/// Without going through a float, which has fewer digits.
fn exact(json: &str) -> Option<i64> {
    let (digits, exponent) = json.split_once(['e', 'E']).unwrap_or((json, "0"));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let (sign, whole) = match whole.strip_prefix('-') {
        Some(whole) => ("-", whole),
        None => ("", whole),
    };
    let digits = format!("{whole}{part}");
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let cut = i64::try_from(digits.len() - significant.len()).ok()?;
    let behind = i64::try_from(part.len()).ok()?;
    let exponent: i64 = exponent.parse().ok()?;
    let zeros = exponent.checked_add(cut)?.checked_sub(behind)?;
    // An i64 has 19 digits.
    let zeros = usize::try_from(zeros).ok().filter(|zeros| *zeros < 19)?;
    format!("{sign}{significant}{}", "0".repeat(zeros))
        .parse()
        .ok()
}

/// In microseconds: RFC 3339, without a zone in UTC, a date alone; or a number
/// of seconds or milliseconds since 1970. The host takes `[keep] time` so, too.
pub(super) fn time(json: &str) -> Option<i64> {
    let at = match json.starts_with('"') {
        true => time_of_text(&string(json)?)?,
        false => time_of_number(number(json)?),
    };
    (FIRST..=Timestamp::MAX.as_microsecond())
        .contains(&at)
        .then_some(at)
}

fn time_of_text(text: &str) -> Option<i64> {
    let at = text.parse::<Timestamp>().or_else(|_| {
        let without_zone: DateTime = text.parse()?;
        Offset::UTC.to_timestamp(without_zone)
    });
    Some(at.ok()?.as_microsecond())
}

fn time_of_number(number: f64) -> i64 {
    let ms = match number.abs() > MOST_SECONDS {
        true => number,
        false => number * 1000.0,
    };
    // A cast ends at the ends of what it casts to; none of them is a time.
    (ms.round() as i64).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_a_string_says_or_the_json_of_a_scalar() {
        for (json, expected) in [
            (r#""a""#, Some("a")),
            (r#""""#, Some("")),
            (r#""a\n\"\\\u00e9\ud83d\ude00""#, Some("a\n\"\\é😀")),
            ("1.50", Some("1.50")),
            ("-1e3", Some("-1e3")),
            ("true", Some("true")),
            ("null", None),
            ("{}", None),
            ("[1]", None),
            (r#""\ud800""#, None),
        ] {
            assert_eq!(text(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn an_integer_is_exact_or_none() {
        for (json, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0.000", Some(0)),
            ("0e99999", Some(0)),
            ("30.0", Some(30)),
            ("3e1", Some(30)),
            ("3E+1", Some(30)),
            ("-1.5e1", Some(-15)),
            ("1500e-2", Some(15)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775807.0", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("922337203685477580.7e1", Some(i64::MAX)),
            ("1e18", Some(1_000_000_000_000_000_000)),
            ("1e19", None),
            ("1e99999999999999999999", None),
            ("1.5", None),
            ("15e-1", None),
            ("1e-9223372036854775808", None),
            (r#""1""#, None),
            ("true", None),
            ("null", None),
        ] {
            assert_eq!(integer(json), expected, "{json}");
        }
    }

    #[test]
    fn numbers_and_booleans_are_those_of_json() {
        assert_eq!(number("1.5e3"), Some(1500.0));
        assert_eq!(number("9007199254740993"), Some(9_007_199_254_740_992.0));
        for json in ["1e400", "-1e400", "null", "true", r#""1""#, "[]"] {
            assert_eq!(number(json), None, "{json}");
        }
        assert_eq!(
            (boolean("true"), boolean("false")),
            (Some(true), Some(false))
        );
        for json in ["null", "1", r#""true""#] {
            assert_eq!(boolean(json), None, "{json}");
        }
    }

    #[test]
    fn times_are_texts_or_numbers() {
        let second = 1_767_323_045_000_000;
        for (json, expected) in [
            (r#""2026-01-02T03:04:05Z""#, second),
            (r#""2026-01-02T05:04:05.25+02:00""#, second + 250_000),
            (r#""2026-01-02T03:04:05.123456""#, second + 123_456),
            (r#""2026-01-02 03:04:05""#, second),
            (r#""2026-01-02""#, 1_767_312_000_000_000),
            (r#""2026\u002d01-02""#, 1_767_312_000_000_000),
            (r#""0001-01-01""#, FIRST),
            ("1767323045", second),
            ("1767323045.5", second + 500_000),
            ("1767323045678", second + 678_000),
            ("1.767323045e9", second),
            ("0", 0),
            ("-1", -1_000_000),
        ] {
            assert_eq!(time(json), Some(expected), "{json}");
        }
        for json in [
            "null",
            "true",
            r#""""#,
            r#""now""#,
            r#""2026-02-30""#,
            r#""1767323045""#,
            r#""0000-12-31""#,
            "1e300",
            "-1e300",
            "{}",
        ] {
            assert_eq!(time(json), None, "{json}");
        }
    }
}
