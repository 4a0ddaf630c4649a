//! A logistic model: how unusual a transaction is as a whole, where no single
//! rule says so.
//!
//! | feature | weight |
//! |---|---|
//! | (always) | -4.0 |
//! | log10(1 + value in ETH) | 0.8 |
//! | log10(1 + gas price in gwei) | 0.6 |
//! | log10(1 + bytes of calldata) | 0.3 |
//! | it gives somebody a right: an approval or a permit | 1.0 |
//!
//! The weights were set by hand, not fitted: logarithms, because ten times as
//! much is one step riskier at any size, and a constant that puts a transfer of
//! 1 ETH at 30 gwei near 5 %.

use crate::rules::Facts;

const ALWAYS: f64 = -4.0;
const VALUE: f64 = 0.8;
const GAS_PRICE: f64 = 0.6;
const CALLDATA: f64 = 0.3;
const GIVES_RIGHT: f64 = 1.0;

/// Within 0.0 ..= 1.0; no feature lowers it.
#[must_use]
pub fn probability(facts: &Facts<'_>) -> f64 {
    let transaction = facts.transaction;
    let evidence = ALWAYS
        + VALUE * transaction.value_eth.max(0.0).ln_1p() / std::f64::consts::LN_10
        + GAS_PRICE * transaction.gas_price_gwei.max(0.0).ln_1p() / std::f64::consts::LN_10
        + CALLDATA * (facts.calldata_bytes() as f64).ln_1p() / std::f64::consts::LN_10
        + if facts.gives_right() {
            GIVES_RIGHT
        } else {
            0.0
        };
    1.0 / (1.0 + (-evidence).exp())
}
