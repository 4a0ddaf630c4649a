//! Approves an age strictly above the setting `min_age` (18), and denies all
//! others: 0.0 is approved, 1.0 denied.

use floodgate_oracle::{Entry, Verdict, oracle, settings};

#[derive(serde::Deserialize)]
struct Request {
    age: f64,
}

fn min_age() -> Result<f64, String> {
    settings::parse("min_age", 18.0)
}

fn judge(request: &Request, _entry: &Entry, min_age: &f64) -> Result<Verdict, String> {
    Ok(if request.age > *min_age {
        Verdict::score(0.0).reason("age-above-limit")
    } else {
        Verdict::score(1.0).reason("age-not-above-limit")
    })
}

oracle!(judge, settings = min_age);

#[cfg(test)]
mod tests {
    use super::*;

    fn score(age: &str) -> f64 {
        let body = format!(r#"{{"age": {age}, "value": 1}}"#);
        judge_entry(&Entry::new("1", body)).unwrap().score
    }

    #[test]
    fn only_an_age_strictly_above_the_limit_is_approved() {
        for (age, expected) in [("18", 1.0), ("18.5", 0.0), ("19", 0.0), ("0", 1.0)] {
            assert_eq!(score(age), expected, "{age}");
        }
    }

    #[test]
    fn the_limit_is_a_setting() {
        settings::scope(&[("min_age", "21")], || {
            assert_eq!((score("21"), score("22")), (1.0, 0.0));
        });
        settings::scope(&[("min_age", "old")], || {
            let error = judge_entry(&Entry::new("1", r#"{"age": 1}"#)).unwrap_err();
            assert!(error.contains("min_age"), "{error}");
        });
    }
}
