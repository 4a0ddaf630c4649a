//! The rules, in the order in which they give their reasons. The crate's
//! documentation says what each is for.

use crate::address::{is_burnt, is_precompile, is_same, is_vanity, is_zero, look_alike};
use crate::calldata::{Calldata, Function, is_unlimited};
use crate::{Settings, Transaction};

/// Below this, with fees far above it, nobody pays anybody.
const DUST_ETH: f64 = 0.000_01;

pub struct Rule {
    /// Stable: flows, dashboards and people rely on it.
    pub code: &'static str,
    /// The share of what was still innocent that it removes, 0.0 ..= 1.0.
    pub weight: f64,
    pub fires: fn(&Facts<'_>) -> bool,
}

/// What the rules look at.
pub struct Facts<'a> {
    pub transaction: &'a Transaction<'a>,
    pub calldata: Calldata<'a>,
    pub settings: &'a Settings,
    /// Unix seconds.
    pub received_at: f64,
}

#[rustfmt::skip] // one rule, one line, in columns
pub const RULES: &[Rule] = &[
    Rule { code: "large-value",            weight: 0.35, fires: |f| f.transaction.value_eth >= f.settings.large_value_eth },
    Rule { code: "dust-transfer",          weight: 0.15, fires: |f| f.transaction.value_eth < DUST_ETH && f.calldata == Calldata::Empty },
    Rule { code: "gas-price-spike",        weight: 0.35, fires: |f| f.gas_spikes() },
    Rule { code: "gas-price-extreme",      weight: 0.30, fires: |f| f.transaction.gas_price_gwei >= 10.0 * f.settings.gas_spike_gwei },
    Rule { code: "malformed-calldata",     weight: 0.40, fires: |f| f.calldata == Calldata::Malformed },
    Rule { code: "truncated-selector",     weight: 0.30, fires: |f| f.calldata == Calldata::Truncated },
    Rule { code: "misaligned-arguments",   weight: 0.20, fires: |f| !f.calldata.is_aligned() },
    Rule { code: "oversized-calldata",     weight: 0.30, fires: |f| f.calldata_bytes() > f.settings.large_calldata_bytes },
    Rule { code: "contract-creation-code", weight: 0.40, fires: |f| f.calldata == Calldata::Creation },
    Rule { code: "unknown-selector",       weight: 0.10, fires: |f| matches!(f.calldata, Calldata::Call { function: None, .. }) },
    Rule { code: "unlimited-approval",     weight: 0.60, fires: |f| f.calls(Function::Approve) && f.calldata.word(1).is_some_and(is_unlimited) },
    Rule { code: "approval-for-all",       weight: 0.65, fires: |f| f.approves_all() },
    Rule { code: "permit",                 weight: 0.45, fires: |f| f.calls(Function::Permit) },
    Rule { code: "transfer-from-other",    weight: 0.40, fires: |f| f.transfers_from_other() },
    Rule { code: "multicall",              weight: 0.15, fires: |f| f.calls(Function::Multicall) },
    Rule { code: "ownership-transfer",     weight: 0.50, fires: |f| f.calls(Function::OwnershipTransfer) },
    Rule { code: "proxy-upgrade",          weight: 0.50, fires: |f| f.calls(Function::Upgrade) },
    Rule { code: "paid-claim",             weight: 0.60, fires: |f| f.calls(Function::Claim) && f.transaction.value_eth > 0.0 },
    Rule { code: "value-to-token-call",    weight: 0.40, fires: |f| f.calls_token() && f.transaction.value_eth > 0.0 },
    Rule { code: "rushed-approval",        weight: 0.50, fires: |f| f.gives_right() && f.gas_spikes() },
    Rule { code: "zero-address",           weight: 0.40, fires: |f| is_zero(f.from()) || is_zero(f.to()) },
    Rule { code: "burn-address",           weight: 0.30, fires: |f| is_burnt(f.to()) },
    Rule { code: "precompile-address",     weight: 0.20, fires: |f| is_precompile(f.to()) },
    Rule { code: "vanity-address",         weight: 0.25, fires: |f| is_vanity(f.from()) || is_vanity(f.to()) },
    Rule { code: "look-alike-address",     weight: 0.60, fires: |f| look_alike(f.from(), f.to()) },
    Rule { code: "self-transfer",          weight: 0.15, fires: |f| is_same(f.from(), f.to()) },
    Rule { code: "stale-timestamp",        weight: 0.20, fires: |f| f.transaction.timestamp < f.received_at - f.settings.max_age_s },
    Rule { code: "future-timestamp",       weight: 0.30, fires: |f| f.transaction.timestamp > f.received_at + f.settings.max_ahead_s },
];

impl<'a> Facts<'a> {
    /// `received_at`: Unix milliseconds.
    #[must_use]
    pub fn new(transaction: &'a Transaction<'a>, received_at: u64, settings: &'a Settings) -> Self {
        Self {
            transaction,
            calldata: Calldata::read(&transaction.input_data),
            settings,
            received_at: received_at as f64 / 1000.0,
        }
    }

    #[must_use]
    pub fn calldata_bytes(&self) -> usize {
        self.transaction.input_data.len().saturating_sub(2) / 2
    }

    /// It lets somebody else spend the sender's tokens. Taking such a right
    /// back, `setApprovalForAll(.., false)`, does not.
    #[must_use]
    pub fn gives_right(&self) -> bool {
        self.calls(Function::Approve) || self.calls(Function::Permit) || self.approves_all()
    }

    fn from(&self) -> &str {
        &self.transaction.from_address
    }

    fn to(&self) -> &str {
        &self.transaction.to_address
    }

    fn gas_spikes(&self) -> bool {
        self.transaction.gas_price_gwei >= self.settings.gas_spike_gwei
    }

    fn calls(&self, function: Function) -> bool {
        self.calldata.function() == Some(function)
    }

    fn approves_all(&self) -> bool {
        let approved = |word: &str| word.bytes().any(|digit| digit != b'0');
        self.calls(Function::ApproveForAll) && self.calldata.word(1).is_some_and(approved)
    }

    fn transfers_from_other(&self) -> bool {
        let is_other = |owner| !is_same(owner, self.from());
        self.calls(Function::TransferFrom) && self.calldata.address(0).is_some_and(is_other)
    }

    fn calls_token(&self) -> bool {
        use Function::{Approve, ApproveForAll, Permit, Transfer, TransferFrom};
        let token = [Transfer, TransferFrom, Approve, ApproveForAll, Permit];
        self.calldata
            .function()
            .is_some_and(|function| token.contains(&function))
    }
}
