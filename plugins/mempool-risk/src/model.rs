//! A logistic regression over four features. The weights are set by hand, so
//! that each can be argued about; a trained model would take their place.

use crate::Facts;

const BIAS: f64 = -4.0;
/// Of ln(1 + value in ether): stakes grow by the order of magnitude.
const VALUE: f64 = 0.45;
/// Of ln(1 + gas price in gwei): haste.
const GAS: f64 = 0.35;
/// Of there being a call at all.
const CALL: f64 = 0.6;
/// Of ln(1 + bytes of calldata): room to hide something.
const CALLDATA: f64 = 0.08;

/// The probability that a transaction is risky, before any rule: over 0 and
/// under 1 for every finite input.
pub fn probability(facts: &Facts<'_>) -> f64 {
    let bytes = facts.calldata.bytes() as f64;
    let call = if bytes > 0.0 { CALL } else { 0.0 };
    let z = BIAS
        + VALUE * facts.transaction.value_eth.max(0.0).ln_1p()
        + GAS * facts.transaction.gas_price_gwei.max(0.0).ln_1p()
        + call
        + CALLDATA * bytes.ln_1p();
    1.0 / (1.0 + (-z).exp())
}
