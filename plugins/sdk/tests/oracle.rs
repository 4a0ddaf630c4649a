//! An oracle written the way the README says, judged natively.

use floodgate_oracle::{Entry, Verdict, oracle, settings};

#[derive(serde::Deserialize)]
struct Payment<'a> {
    amount: f64,
    #[serde(borrow)]
    currency: &'a str,
}

struct Limits {
    large: f64,
}

impl Limits {
    fn read() -> Result<Self, String> {
        Ok(Self {
            large: settings::parse("large", 100.0)?,
        })
    }
}

fn judge(payment: &Payment<'_>, entry: &Entry, limits: &Limits) -> Result<Verdict, String> {
    if payment.currency != "usd" {
        return Err(format!("{}: no rule for {}", entry.id, payment.currency));
    }
    let verdict = Verdict::score(payment.amount / limits.large).output("seen");
    Ok(if payment.amount > limits.large {
        verdict.reason("large-amount")
    } else {
        verdict
    })
}

oracle!(judge, settings = Limits::read);

fn payment(id: &str, amount: f64, currency: &str) -> Entry {
    Entry::new(
        id,
        format!(r#"{{"amount": {amount}, "currency": "{currency}"}}"#),
    )
}

#[test]
fn an_error_speaks_of_its_own_entry_only() {
    let batch = [
        payment("a", 50.0, "usd"),
        payment("b", 50.0, "eur"),
        Entry::new("c", r#"{"amount": "much"}"#),
        payment("d", 25.0, "usd"),
    ];
    let results = judge_batch(&batch);

    assert_eq!(results[0], Ok(Verdict::score(0.5).output("seen")));
    assert_eq!(results[1], Err("b: no rule for eur".to_owned()));
    let error = results[2].as_ref().unwrap_err();
    assert!(error.starts_with("body: invalid type: string"), "{error}");
    assert_eq!(results[3], Ok(Verdict::score(0.25).output("seen")));
}

#[test]
fn a_score_out_of_range_goes_out_as_it_is() {
    let verdict = judge_entry(&payment("a", 700.0, "usd")).unwrap();
    assert_eq!(
        verdict,
        Verdict::score(7.0).reason("large-amount").output("seen")
    );
}

#[test]
fn settings_are_read_in_place_of_the_defaults() {
    let verdict = settings::scope(&[("large", "200")], || {
        judge_entry(&payment("a", 50.0, "usd"))
    });
    assert_eq!(verdict.unwrap().score, 0.25);
    assert_eq!(judge_entry(&payment("a", 50.0, "usd")).unwrap().score, 0.5);
}

#[test]
fn an_unusable_setting_is_an_error_of_every_entry_and_names_it() {
    let batch = [payment("a", 1.0, "usd"), payment("b", 1.0, "usd")];
    let results = settings::scope(&[("large", "plenty")], || judge_batch(&batch));
    assert_eq!(results.len(), 2);
    for result in results {
        let error = result.unwrap_err();
        assert!(
            error.starts_with(r#"setting large = "plenty": "#),
            "{error}"
        );
    }
}
