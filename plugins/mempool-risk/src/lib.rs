//! The risk of a pending Ethereum transaction, by rules and a small model.
//!
//! Every rule that fires is a reason code and has a weight; the model's
//! probability is one more, without a code. They are combined as independent
//! causes (noisy-or), `score = 1 - (1 - model) * product(1 - weight)`: within
//! [0, 1], and one more rule never lowers it. A plain transfer scores about
//! 0.1, an unlimited approval at a spiking gas price above 0.8.
//!
//! | code | fires when | weight |
//! |---|---|---|
//! | `large-value` | value of `large_value_eth` or more | 0.30 |
//! | `very-large-value` | ten times that, in its place | 0.55 |
//! | `gas-price-spike` | gas price of `gas_spike_gwei` or more | 0.35 |
//! | `malformed-calldata` | input that is no hex of whole bytes | 0.40 |
//! | `short-selector` | calldata of one to three bytes | 0.30 |
//! | `oversized-calldata` | calldata of more than 8 KiB | 0.25 |
//! | `unlimited-approval` | `approve` or `increaseAllowance` of 2^255 or more | 0.70 |
//! | `approval-for-all` | `setApprovalForAll(…, true)` | 0.65 |
//! | `permit` | `permit` of EIP-2612 or of DAI | 0.45 |
//! | `pulls-from-another` | `transferFrom` away from somebody who is not the sender | 0.45 |
//! | `takes-control` | `transferOwnership`, `upgradeTo`, `upgradeToAndCall` | 0.50 |
//! | `batched-calls` | `multicall` | 0.15 |
//! | `value-with-approval` | ether sent along with an approval | 0.25 |
//! | `burn-address` | to the zero address or 0x…dead | 0.40 |
//! | `precompile-target` | to a precompiled contract (0x1 to 0x11) | 0.30 |
//! | `self-transfer` | from and to are one | 0.15 |
//! | `look-alike-address` | from and to share their first and last four digits only | 0.60 |
//! | `vanity-sender` | sender with eight or more leading zeros | 0.25 |
//! | `far-timestamp` | more than `clock_skew_s` from the time of receipt | 0.20 |
//!
//! Settings, with their defaults: `large_value_eth` 100, `gas_spike_gwei` 150,
//! `clock_skew_s` 3600.

mod calldata;
mod model;
mod rules;

use floodgate_oracle::{Entry, Verdict, oracle, settings};
use serde::Deserialize;

use crate::calldata::Calldata;

/// The integers of the schema are read as doubles: JSON Schema calls 30.0 and
/// 1e3 integers too, and sets no upper bound.
#[derive(Deserialize)]
struct Transaction {
    from_address: String,
    to_address: String,
    value_eth: f64,
    gas_price_gwei: f64,
    input_data: String,
    timestamp: f64,
}

/// What the rules look at.
struct Facts<'a> {
    transaction: &'a Transaction,
    calldata: Calldata,
    /// Lower case, without 0x.
    from: String,
    /// Lower case, without 0x.
    to: String,
    received_at_s: f64,
    large_value_eth: f64,
    gas_spike_gwei: f64,
    clock_skew_s: f64,
}

impl<'a> Facts<'a> {
    fn new(transaction: &'a Transaction, entry: &Entry) -> Self {
        Self {
            transaction,
            calldata: Calldata::parse(&transaction.input_data),
            from: digits(&transaction.from_address),
            to: digits(&transaction.to_address),
            received_at_s: entry.received_at as f64 / 1000.0,
            large_value_eth: settings::number("large_value_eth").unwrap_or(100.0),
            gas_spike_gwei: settings::number("gas_spike_gwei").unwrap_or(150.0),
            clock_skew_s: settings::number("clock_skew_s").unwrap_or(3600.0),
        }
    }
}

fn digits(address: &str) -> String {
    address.trim_start_matches("0x").to_ascii_lowercase()
}

fn judge(transaction: &Transaction, entry: &Entry) -> Result<Verdict, String> {
    let facts = Facts::new(transaction, entry);
    let mut unlikely = 1.0 - model::probability(&facts);
    let mut verdict = Verdict::default();
    for (code, weight) in rules::fired(&facts) {
        unlikely *= 1.0 - weight;
        verdict = verdict.reason(code);
    }
    verdict.score = 1.0 - unlikely;
    Ok(verdict)
}

oracle!(judge);

#[cfg(test)]
mod tests;
