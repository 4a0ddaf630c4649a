//! What the oracle says of whole transactions, judged natively.

use std::collections::HashSet;

use floodgate_oracle::{Entry, Verdict, settings};
use mempool_risk::judge_entry;
use mempool_risk::rules::RULES;

const NOW: u64 = 1_766_700_000;
const ALICE: &str = "0xa11ce77777777777777777777777777777770001";
const BOB: &str = "0xb0b7777777777777777777777777777777770002";
const ZERO: &str = "0x0000000000000000000000000000000000000000";

/// A transaction that no rule minds, to be spoilt in one respect.
struct Tx {
    from: String,
    to: String,
    value: &'static str,
    gas: &'static str,
    data: String,
    timestamp: i64,
}

impl Tx {
    fn plain() -> Self {
        Self {
            from: ALICE.to_owned(),
            to: BOB.to_owned(),
            value: "1",
            gas: "30",
            data: "0x".to_owned(),
            timestamp: NOW as i64,
        }
    }

    fn calling(data: impl Into<String>) -> Self {
        Self {
            value: "0",
            data: data.into(),
            ..Self::plain()
        }
    }

    fn value(self, value: &'static str) -> Self {
        Self { value, ..self }
    }

    fn gas(self, gas: &'static str) -> Self {
        Self { gas, ..self }
    }

    fn from(self, from: impl Into<String>) -> Self {
        Self {
            from: from.into(),
            ..self
        }
    }

    fn to(self, to: impl Into<String>) -> Self {
        Self {
            to: to.into(),
            ..self
        }
    }

    fn timestamp(self, timestamp: i64) -> Self {
        Self { timestamp, ..self }
    }

    fn judge(&self) -> Result<Verdict, String> {
        let Self {
            from,
            to,
            value,
            gas,
            data,
            timestamp,
        } = self;
        let body = format!(
            r#"{{"tx_hash": "0x1", "from_address": "{from}", "to_address": "{to}", "value_eth": {value},
                "gas_price_gwei": {gas}, "input_data": "{data}", "timestamp": {timestamp}, "chain": {{}}}}"#
        );
        judge_entry(&Entry::new("0x1", body).received_at(NOW * 1000))
    }
}

fn word(digits: &str) -> String {
    format!("{digits:0>64}")
}

fn call(selector: &str, words: &[&str]) -> String {
    let words: String = words.iter().map(|digits| word(digits)).collect();
    format!("0x{selector}{words}")
}

/// The codes that may fire, each with a transaction that makes it fire.
fn spoilt() -> Vec<(Tx, &'static [&'static str])> {
    let max = "f".repeat(64);
    vec![
        (Tx::plain(), &[]),
        (Tx::plain().value("100"), &["large-value"]),
        (Tx::plain().value("99.9"), &[]),
        (Tx::plain().value("0"), &["dust-transfer"]),
        (Tx::plain().gas("200"), &["gas-price-spike"]),
        (Tx::plain().gas("199"), &[]),
        (
            Tx::plain().gas("2e3"),
            &["gas-price-spike", "gas-price-extreme"],
        ),
        (Tx::calling("0xabc"), &["malformed-calldata"]),
        (Tx::calling("transfer"), &["malformed-calldata"]),
        (Tx::calling("0xa9059c"), &["truncated-selector"]),
        (Tx::calling("0xa9059cbb00"), &["misaligned-arguments"]),
        (
            Tx::calling(format!("0x3593564c{}", "00".repeat(32 * 512))),
            &["oversized-calldata"],
        ),
        (
            Tx::calling(format!("0x3593564c{}", "00".repeat(32 * 511))),
            &[],
        ),
        (Tx::calling("0x608060405234"), &["contract-creation-code"]),
        (Tx::calling("0xdeadbeef"), &["unknown-selector"]),
        (
            Tx::calling(call("095ea7b3", &[&BOB[2..], &max])),
            &["unlimited-approval"],
        ),
        (Tx::calling(call("095ea7b3", &[&BOB[2..], "64"])), &[]),
        (
            Tx::calling(call("a22cb465", &[&BOB[2..], "1"])),
            &["approval-for-all"],
        ),
        (Tx::calling(call("a22cb465", &[&BOB[2..], "0"])), &[]),
        (Tx::calling("0xd505accf"), &["permit"]),
        (
            Tx::calling(call("23b872dd", &[&BOB[2..], &ALICE[2..], "1"])),
            &["transfer-from-other"],
        ),
        (
            Tx::calling(call("23b872dd", &[&ALICE[2..], &BOB[2..], "1"])),
            &[],
        ),
        (Tx::calling("0xac9650d8"), &["multicall"]),
        (
            Tx::calling(call("f2fde38b", &[&BOB[2..]])),
            &["ownership-transfer"],
        ),
        (
            Tx::calling(call("3659cfe6", &[&BOB[2..]])),
            &["proxy-upgrade"],
        ),
        (Tx::calling("0x5fba79f5").value("0.5"), &["paid-claim"]),
        (Tx::calling("0x4e71d92d"), &[]),
        (
            Tx::calling(call("a9059cbb", &[&BOB[2..], "1"])).value("0.5"),
            &["value-to-token-call"],
        ),
        (
            Tx::calling(call("095ea7b3", &[&BOB[2..], "64"])).gas("250"),
            &["gas-price-spike", "rushed-approval"],
        ),
        (Tx::plain().to(ZERO), &["zero-address"]),
        (
            Tx::plain().to(format!("0x{}dead", "0".repeat(36))),
            &["burn-address"],
        ),
        (
            Tx::plain().to(format!("0x{}9", "0".repeat(39))),
            &["precompile-address"],
        ),
        (
            Tx::plain().from(format!("0x00000000{}", "7".repeat(32))),
            &["vanity-address"],
        ),
        (
            Tx::plain().to(ALICE.replace("777", "888")),
            &["look-alike-address"],
        ),
        (
            Tx::plain().to(ALICE.to_uppercase().replacen("0X", "0x", 1)),
            &["self-transfer"],
        ),
        (
            Tx::plain().timestamp(NOW as i64 - 3601),
            &["stale-timestamp"],
        ),
        (Tx::plain().timestamp(NOW as i64 - 3600), &[]),
        (
            Tx::plain().timestamp(NOW as i64 + 301),
            &["future-timestamp"],
        ),
        (Tx::plain().timestamp(NOW as i64 + 300), &[]),
    ]
}

#[test]
fn each_rule_fires_on_its_own_transaction_and_no_other_rule_does() {
    for (tx, expected) in spoilt() {
        let Verdict { reasons, score, .. } = tx.judge().unwrap();
        assert_eq!(
            reasons, expected,
            "{} {} {} {}",
            tx.value, tx.gas, tx.to, tx.data
        );
        assert!((0.0..=1.0).contains(&score), "{score}");
    }
}

#[test]
fn every_rule_has_a_transaction_here_and_a_line_in_the_documentation() {
    let fired: HashSet<&str> = spoilt()
        .iter()
        .flat_map(|(_, codes)| *codes)
        .copied()
        .collect();
    let documentation = include_str!("../src/lib.rs");
    for rule in RULES {
        assert!(fired.contains(rule.code), "{}", rule.code);
        let line = format!("| `{}` | {:.2} |", rule.code, rule.weight);
        assert!(documentation.contains(&line), "{line}");
    }
    assert_eq!(fired.len(), RULES.len());
}

#[test]
fn a_plain_transfer_is_low_and_a_rushed_unlimited_approval_is_high() {
    let plain = Tx::plain().judge().unwrap();
    assert!(plain.score < 0.1, "{plain:?}");

    let drain = Tx::calling(call("095ea7b3", &[&BOB[2..], &"f".repeat(64)])).gas("250");
    let drain = drain.judge().unwrap();
    assert!(drain.score > 0.8, "{drain:?}");
    assert_eq!(
        drain.reasons,
        ["gas-price-spike", "unlimited-approval", "rushed-approval"]
    );
}

#[test]
fn no_single_rule_makes_a_small_transaction_high() {
    for (tx, codes) in spoilt() {
        let verdict = tx.judge().unwrap();
        assert!(codes.len() > 1 || verdict.score <= 0.8, "{verdict:?}");
    }
}

#[test]
fn more_of_anything_never_lowers_the_score() {
    let mut last = 0.0;
    for (value, gas) in [
        ("1", "30"),
        ("50", "30"),
        ("100", "30"),
        ("100", "200"),
        ("1e9", "1e30"),
    ] {
        let score = Tx {
            value,
            gas,
            ..Tx::plain()
        }
        .judge()
        .unwrap()
        .score;
        assert!(
            score > last && score <= 1.0,
            "{value} {gas}: {score} after {last}"
        );
        last = score;
    }
    let worse = Tx::plain()
        .value("1e9")
        .gas("1e30")
        .to(ZERO)
        .judge()
        .unwrap();
    assert!(worse.score > last);
}

#[test]
fn whatever_the_schema_admits_is_judged() {
    let entry = |number: &str, data: &str| {
        Entry::new(
            "0x1",
            format!(
                r#"{{"from_address": "{ALICE}", "to_address": "{BOB}", "value_eth": {number},
                "gas_price_gwei": {number}, "input_data": "{data}", "timestamp": {number}}}"#
            ),
        )
    };
    let huge = "9".repeat(300);
    for number in [
        "30.0",
        "1e3",
        "18446744073709551616",
        "1.7e308",
        huge.as_str(),
    ] {
        let verdict = judge_entry(&entry(number, "\\u0030x")).unwrap();
        assert!(
            (0.0..=1.0).contains(&verdict.score),
            "{number}: {verdict:?}"
        );
    }
    let verdict = judge_entry(&entry("1", "é\\ud83d\\ude00")).unwrap();
    assert!(
        verdict.reasons.contains(&"malformed-calldata".to_owned()),
        "{verdict:?}"
    );
}

#[test]
fn settings_move_the_limits() {
    let tx = Tx::plain().value("5").gas("40");
    assert_eq!(tx.judge().unwrap().reasons, Vec::<String>::new());
    let verdict = settings::scope(
        &[("large_value_eth", "5"), ("gas_spike_gwei", "40")],
        || tx.judge(),
    );
    assert_eq!(verdict.unwrap().reasons, ["large-value", "gas-price-spike"]);
}
