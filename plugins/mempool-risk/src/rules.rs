//! What fires, and how much it weighs; the table is in the crate's docs.

use crate::Facts;
use crate::calldata::Calldata;

const APPROVE: &str = "095ea7b3";
const INCREASE_ALLOWANCE: &str = "39509351";
const SET_APPROVAL_FOR_ALL: &str = "a22cb465";
const PERMIT_EIP2612: &str = "d505accf";
const PERMIT_DAI: &str = "8fcbaf0c";
const TRANSFER_FROM: &str = "23b872dd";
const SAFE_TRANSFER_FROM: &str = "42842e0e";
const TRANSFER_OWNERSHIP: &str = "f2fde38b";
const UPGRADE_TO: &str = "3659cfe6";
const UPGRADE_TO_AND_CALL: &str = "4f1ef286";
const MULTICALL: &str = "ac9650d8";
const MULTICALL_WITH_DEADLINE: &str = "5ae401dc";

/// Calldata beyond this is rare in honest traffic.
const OVERSIZED_BYTES: usize = 8 * 1024;

const DEAD: &str = "000000000000000000000000000000000000dead";

struct Rule {
    code: &'static str,
    weight: f64,
    fires: fn(&Facts<'_>) -> bool,
}

const fn rule(code: &'static str, weight: f64, fires: fn(&Facts<'_>) -> bool) -> Rule {
    Rule {
        code,
        weight,
        fires,
    }
}

const RULES: &[Rule] = &[
    rule("large-value", 0.30, |f| {
        large_value(f) && !very_large_value(f)
    }),
    rule("very-large-value", 0.55, very_large_value),
    rule("gas-price-spike", 0.35, |f| {
        f.transaction.gas_price_gwei >= f.gas_spike_gwei
    }),
    rule("malformed-calldata", 0.40, |f| {
        f.calldata == Calldata::Malformed
    }),
    rule("short-selector", 0.30, |f| f.calldata == Calldata::Short),
    rule("oversized-calldata", 0.25, |f| {
        f.calldata.bytes() > OVERSIZED_BYTES
    }),
    rule("unlimited-approval", 0.70, unlimited_approval),
    rule("approval-for-all", 0.65, approval_for_all),
    rule("permit", 0.45, |f| {
        f.calldata.calls(&[PERMIT_EIP2612, PERMIT_DAI])
    }),
    rule("pulls-from-another", 0.45, pulls_from_another),
    rule("takes-control", 0.50, |f| {
        f.calldata
            .calls(&[TRANSFER_OWNERSHIP, UPGRADE_TO, UPGRADE_TO_AND_CALL])
    }),
    rule("batched-calls", 0.15, |f| {
        f.calldata.calls(&[MULTICALL, MULTICALL_WITH_DEADLINE])
    }),
    rule("value-with-approval", 0.25, value_with_approval),
    rule("burn-address", 0.40, |f| {
        f.to == DEAD || leading_zeros(&f.to) == f.to.len()
    }),
    rule("precompile-target", 0.30, precompile_target),
    rule("self-transfer", 0.15, |f| f.from == f.to),
    rule("look-alike-address", 0.60, look_alike),
    rule("vanity-sender", 0.25, |f| leading_zeros(&f.from) >= 8),
    rule("far-timestamp", 0.20, |f| {
        (f.transaction.timestamp - f.received_at_s).abs() > f.clock_skew_s
    }),
];

/// The codes and weights of the rules that fire, in the order of the table.
pub fn fired<'a>(facts: &'a Facts<'_>) -> impl Iterator<Item = (&'static str, f64)> + 'a {
    let rules = RULES.iter().filter(|rule| (rule.fires)(facts));
    rules.map(|rule| (rule.code, rule.weight))
}

fn large_value(f: &Facts<'_>) -> bool {
    f.transaction.value_eth >= f.large_value_eth
}

fn very_large_value(f: &Facts<'_>) -> bool {
    f.transaction.value_eth >= 10.0 * f.large_value_eth
}

/// Wallets ask for 2^256 - 1, drainers also for a little less: the highest
/// bit tells both from any amount that exists.
fn unlimited_approval(f: &Facts<'_>) -> bool {
    f.calldata.calls(&[APPROVE, INCREASE_ALLOWANCE])
        && f.calldata
            .argument(1)
            .is_some_and(|amount| amount.as_bytes()[0] >= b'8')
}

fn approval_for_all(f: &Facts<'_>) -> bool {
    f.calldata.calls(&[SET_APPROVAL_FOR_ALL])
        && f.calldata
            .argument(1)
            .is_some_and(|approved| approved.ends_with('1'))
}

fn pulls_from_another(f: &Facts<'_>) -> bool {
    f.calldata.calls(&[TRANSFER_FROM, SAFE_TRANSFER_FROM])
        && f.calldata.address(0).is_some_and(|owner| owner != f.from)
}

fn value_with_approval(f: &Facts<'_>) -> bool {
    let approves = f
        .calldata
        .calls(&[APPROVE, INCREASE_ALLOWANCE, SET_APPROVAL_FOR_ALL]);
    approves && f.transaction.value_eth > 0.0
}

/// Address poisoning: people compare the first and the last digits.
fn look_alike(f: &Facts<'_>) -> bool {
    let ends = |address: &str| Some((address.get(..4)?.to_owned(), address.get(36..)?.to_owned()));
    f.from != f.to && ends(&f.from).is_some() && ends(&f.from) == ends(&f.to)
}

fn precompile_target(f: &Facts<'_>) -> bool {
    let number = u64::from_str_radix(f.to.trim_start_matches('0'), 16);
    number.is_ok_and(|number| (0x1..=0x11).contains(&number))
}

fn leading_zeros(address: &str) -> usize {
    address.bytes().take_while(|digit| *digit == b'0').count()
}
