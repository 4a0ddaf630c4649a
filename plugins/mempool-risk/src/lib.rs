//! How risky a pending Ethereum transaction is, by rules and a small model.
//!
//! Every rule that fires adds its code to the reasons, in the order of this
//! table. Rules know nothing of each other; what only matters together is a
//! rule of its own.
//!
//! | code | weight | fires when |
//! |---|---|---|
//! | `large-value` | 0.35 | the value is at least `large_value_eth` |
//! | `dust-transfer` | 0.15 | less than 0.00001 ETH and no calldata: how poisoned addresses get into a history |
//! | `gas-price-spike` | 0.35 | the gas price is at least `gas_spike_gwei` |
//! | `gas-price-extreme` | 0.30 | at least ten times that |
//! | `malformed-calldata` | 0.40 | not 0x and hex digits, or an odd number of them |
//! | `truncated-selector` | 0.30 | one to three bytes of calldata |
//! | `misaligned-arguments` | 0.20 | arguments that are not whole 32-byte words |
//! | `oversized-calldata` | 0.30 | more than `large_calldata_bytes` |
//! | `contract-creation-code` | 0.40 | calldata that begins like the init code of a contract |
//! | `unknown-selector` | 0.10 | a call of no function in [`calldata`]'s table |
//! | `unlimited-approval` | 0.60 | an ERC-20 approval of 2^128 units or more |
//! | `approval-for-all` | 0.65 | every token of an NFT collection approved |
//! | `permit` | 0.45 | an ERC-2612, DAI or Permit2 signature is used |
//! | `transfer-from-other` | 0.40 | a `transferFrom` whose owner is not the sender |
//! | `multicall` | 0.15 | calls bundled out of sight |
//! | `ownership-transfer` | 0.50 | a contract changes hands, or gives its owner up |
//! | `proxy-upgrade` | 0.50 | a contract's code is replaced |
//! | `paid-claim` | 0.60 | ETH sent along with a claim, which costs none: the drainer's trick |
//! | `value-to-token-call` | 0.40 | ETH sent along with a token function that takes none |
//! | `rushed-approval` | 0.50 | an approval or permit at `gas_spike_gwei` or more |
//! | `zero-address` | 0.40 | from or to the zero address |
//! | `burn-address` | 0.30 | to an address that nobody can spend from |
//! | `precompile-address` | 0.20 | to one of the first 256 addresses |
//! | `vanity-address` | 0.25 | from or to an address with eight or more leading zero digits |
//! | `look-alike-address` | 0.60 | from and to differ, and agree in the four first and four last digits |
//! | `self-transfer` | 0.15 | from and to are the same |
//! | `stale-timestamp` | 0.20 | more than `max_age_s` before it was received |
//! | `future-timestamp` | 0.30 | more than `max_ahead_s` after it was received |
//!
//! The score is `1 - (1 - m/2) * product of (1 - weight)` over the rules that
//! fired, where `m` is the [`model`]'s probability: each rule removes its share
//! of what was still innocent. So the score is within 0 ..= 1, one more rule
//! never lowers it, and the model alone cannot reach a threshold above one half.
//!
//! Settings, with their defaults: `large_value_eth` 100, `gas_spike_gwei` 200,
//! `large_calldata_bytes` 16384, `max_age_s` 3600, `max_ahead_s` 300.

pub mod address;
pub mod calldata;
pub mod model;
pub mod rules;
mod settings;
mod transaction;

use floodgate_oracle::{Entry, Verdict, oracle};

use rules::{Facts, RULES};
pub use settings::Settings;
pub use transaction::Transaction;

fn judge(
    transaction: &Transaction<'_>,
    entry: &Entry,
    settings: &Settings,
) -> Result<Verdict, String> {
    let facts = Facts::new(transaction, entry.received_at, settings);
    let mut innocence = 1.0 - model::probability(&facts) / 2.0;
    let mut reasons = Vec::new();
    for rule in RULES {
        if (rule.fires)(&facts) {
            innocence *= 1.0 - rule.weight;
            reasons.push(rule.code.to_owned());
        }
    }
    let mut verdict = Verdict::score(1.0 - innocence);
    verdict.reasons = reasons;
    Ok(verdict)
}

oracle!(judge, settings = Settings::read);
