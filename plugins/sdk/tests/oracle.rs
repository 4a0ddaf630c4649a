//! The macro, as an author uses it, without wasm.

use floodgate_oracle::{Entry, Verdict, oracle};

#[derive(serde::Deserialize)]
struct Payment {
    amount: f64,
}

fn judge(payment: &Payment, entry: &Entry) -> Result<Verdict, String> {
    if payment.amount < 0.0 {
        return Err("a negative amount".to_owned());
    }
    Ok(Verdict::new(0.5).reason(entry.id.clone()).output("seen"))
}

oracle!(judge);

fn entry() -> Entry {
    Entry {
        id: "p-1".into(),
        ..Entry::default()
    }
}

#[test]
fn a_body_that_fits_is_judged() {
    let verdict = judge_json(r#"{"amount": 1, "more": true}"#, &entry()).unwrap();
    assert_eq!(verdict, Verdict::new(0.5).reason("p-1").output("seen"));
}

#[test]
fn a_body_that_does_not_fit_is_an_error_that_says_why() {
    let error = judge_json(r#"{"amount": "1"}"#, &entry()).unwrap_err();
    assert!(
        error.contains("amount") || error.contains("string"),
        "{error}"
    );
}

#[test]
fn what_the_oracle_refuses_is_its_own_words() {
    assert_eq!(
        judge_json(r#"{"amount": -1}"#, &entry()).unwrap_err(),
        "a negative amount"
    );
}
