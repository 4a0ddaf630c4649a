//! Approves a value strictly below the setting `max_value` (100000), and
//! denies all others: 0.0 is approved, 1.0 denied.

use floodgate_oracle::{Entry, Verdict, oracle, settings};

#[derive(serde::Deserialize)]
struct Request {
    value: f64,
}

fn max_value() -> Result<f64, String> {
    settings::parse("max_value", 100_000.0)
}

fn judge(request: &Request, _entry: &Entry, max_value: &f64) -> Result<Verdict, String> {
    Ok(if request.value < *max_value {
        Verdict::score(0.0).reason("value-below-limit")
    } else {
        Verdict::score(1.0).reason("value-not-below-limit")
    })
}

oracle!(judge, settings = max_value);

#[cfg(test)]
mod tests {
    use super::*;

    fn score(value: &str) -> f64 {
        let body = format!(r#"{{"age": 20, "value": {value}}}"#);
        judge_entry(&Entry::new("1", body)).unwrap().score
    }

    #[test]
    fn only_a_value_strictly_below_the_limit_is_approved() {
        for (value, expected) in [("100000", 1.0), ("99999.99", 0.0), ("0", 0.0), ("1e9", 1.0)] {
            assert_eq!(score(value), expected, "{value}");
        }
    }

    #[test]
    fn the_limit_is_a_setting() {
        settings::scope(&[("max_value", "10")], || {
            assert_eq!((score("10"), score("9")), (1.0, 0.0));
        });
        settings::scope(&[("max_value", "much")], || {
            let error = judge_entry(&Entry::new("1", r#"{"value": 1}"#)).unwrap_err();
            assert!(error.contains("max_value"), "{error}");
        });
    }
}
