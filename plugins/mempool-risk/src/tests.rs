use floodgate_oracle::{Entry, settings};

use super::*;

const FROM: &str = "0x52908400098527886e0f7030069857d2e4169ee7";
const TO: &str = "0x8617e340b3d01fa5f11f306f4090fd50e238070d";
const RECEIVED_AT: u64 = 1_766_700_000_000;

fn plain() -> Transaction {
    Transaction {
        from_address: FROM.into(),
        to_address: TO.into(),
        value_eth: 1.0,
        gas_price_gwei: 30.0,
        input_data: "0x".into(),
        timestamp: 1_766_700_000.0,
    }
}

fn judged(transaction: &Transaction) -> Verdict {
    let entry = Entry {
        received_at: RECEIVED_AT,
        ..Entry::default()
    };
    judge(transaction, &entry).unwrap()
}

fn call(selector: &str, words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{word:0>64}")).collect();
    format!("0x{selector}{}", words.concat())
}

/// Each rule's code with a change of a plain transfer that makes it fire.
fn suspicious() -> Vec<(&'static str, Transaction)> {
    let max = "f".repeat(64);
    let owner = &TO[2..];
    let with = |change: &dyn Fn(&mut Transaction)| {
        let mut transaction = plain();
        change(&mut transaction);
        transaction
    };
    let calling = |input: String| {
        with(&move |t| {
            t.input_data = input.clone();
            t.value_eth = 0.0;
        })
    };
    let zero = format!("0x{}", "0".repeat(40));
    vec![
        ("large-value", with(&|t| t.value_eth = 100.0)),
        ("very-large-value", with(&|t| t.value_eth = 1000.0)),
        ("gas-price-spike", with(&|t| t.gas_price_gwei = 150.0)),
        ("malformed-calldata", calling("0xabc".into())),
        ("short-selector", calling("0xabcd".into())),
        (
            "oversized-calldata",
            calling(format!("0x12345678{}", "00".repeat(8192))),
        ),
        (
            "unlimited-approval",
            calling(call("095ea7b3", &[owner, &max])),
        ),
        (
            "unlimited-approval",
            calling(call("39509351", &[owner, &max])),
        ),
        ("approval-for-all", calling(call("a22cb465", &[owner, "1"]))),
        ("permit", calling(call("d505accf", &[owner]))),
        ("permit", calling(call("8fcbaf0c", &[owner]))),
        (
            "pulls-from-another",
            calling(call("23b872dd", &[owner, owner, "5"])),
        ),
        ("takes-control", calling(call("f2fde38b", &[owner]))),
        ("takes-control", calling(call("3659cfe6", &[owner]))),
        ("batched-calls", calling(call("ac9650d8", &["20"]))),
        (
            "value-with-approval",
            with(&|t| t.input_data = call("095ea7b3", &[owner, "5"])),
        ),
        ("burn-address", with(&|t| t.to_address = zero.clone())),
        (
            "burn-address",
            with(&|t| t.to_address = format!("0x{}dEaD", "0".repeat(36))),
        ),
        (
            "precompile-target",
            with(&|t| t.to_address = format!("0x{}1", "0".repeat(39))),
        ),
        (
            "self-transfer",
            with(&|t| t.to_address = FROM.to_uppercase().replace("0X", "0x")),
        ),
        (
            "look-alike-address",
            with(&|t| t.to_address = format!("{}{}9ee7", &FROM[..6], "1".repeat(32))),
        ),
        (
            "vanity-sender",
            with(&|t| t.from_address = format!("0x{:0>40}", "8527886e0f7030")),
        ),
        ("far-timestamp", with(&|t| t.timestamp += 3601.0)),
        ("far-timestamp", with(&|t| t.timestamp = 1e30)),
    ]
}

#[test]
fn each_rule_fires_alone_and_raises_the_score() {
    for (code, transaction) in suspicious() {
        let verdict = judged(&transaction);
        assert_eq!(verdict.reasons, [code]);
        assert!(
            verdict.score > judged(&plain()).score,
            "{code}: {}",
            verdict.score
        );
        assert!(verdict.score < 1.0, "{code}: {}", verdict.score);
    }
}

#[test]
fn every_rule_is_tried_here() {
    let documented: Vec<&str> = include_str!("lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next())
        .collect();
    assert_eq!(documented.len(), 19);
    for code in documented {
        assert!(
            suspicious().iter().any(|(tried, _)| *tried == code),
            "{code}"
        );
    }
}

#[test]
fn a_plain_transfer_is_low() {
    let verdict = judged(&plain());
    assert!(verdict.reasons.is_empty(), "{:?}", verdict.reasons);
    assert!(verdict.score < 0.2, "{}", verdict.score);
}

#[test]
fn honest_calls_do_not_fire() {
    for input in [
        call("a9059cbb", &[&TO[2..], "5"]),             // transfer
        call("23b872dd", &[&FROM[2..], &TO[2..], "5"]), // transferFrom of one's own
        call("a22cb465", &[&TO[2..], "0"]),             // approval withdrawn
    ] {
        let mut transaction = plain();
        transaction.input_data = input;
        transaction.value_eth = 0.0;
        let reasons = judged(&transaction).reasons;
        assert!(reasons.is_empty(), "{reasons:?}");
    }
}

#[test]
fn a_drainers_approval_in_haste_is_high() {
    let mut transaction = plain();
    transaction.input_data = call("095ea7b3", &[&TO[2..], &"f".repeat(64)]);
    transaction.gas_price_gwei = 180.0;
    let verdict = judged(&transaction);
    assert!(verdict.score > 0.8, "{}", verdict.score);
    assert!(verdict.score <= 1.0);
}

#[test]
fn absurd_numbers_stay_within_the_range() {
    for value in [0.0, 1e308, f64::MAX] {
        let mut transaction = plain();
        transaction.value_eth = value;
        transaction.gas_price_gwei = value;
        transaction.timestamp = -value;
        let score = judged(&transaction).score;
        assert!((0.0..=1.0).contains(&score), "{value}: {score}");
    }
}

#[test]
fn settings_move_the_limits() {
    let mut transaction = plain();
    transaction.gas_price_gwei = 60.0;
    assert!(judged(&transaction).reasons.is_empty());
    settings::with(&[("gas_spike_gwei", "50")], || {
        assert_eq!(judged(&transaction).reasons, ["gas-price-spike"]);
    });
}

#[test]
fn what_the_schema_calls_an_integer_is_read() {
    let body = format!(
        r#"{{"tx_hash":"0x{}","from_address":"{FROM}","to_address":"{TO}","value_eth":0,
            "gas_price_gwei":3e1,"input_data":"0x","timestamp":1766700000.0,"more":1}}"#,
        "a".repeat(64)
    );
    let entry = Entry {
        received_at: RECEIVED_AT,
        ..Entry::default()
    };
    assert!(judge_json(&body, &entry).unwrap().reasons.is_empty());
}
