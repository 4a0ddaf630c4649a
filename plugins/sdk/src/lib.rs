//! What a Floodgate oracle is written with: a plain function from a typed
//! transaction to a verdict, and [`oracle!`].
//!
//! ```
//! use floodgate_oracle::{Entry, Verdict, oracle};
//!
//! #[derive(serde::Deserialize)]
//! struct Payment {
//!     amount: f64,
//! }
//!
//! fn judge(payment: &Payment, _entry: &Entry) -> Result<Verdict, String> {
//!     if payment.amount > 10_000.0 {
//!         return Ok(Verdict::score(0.9).reason("large-amount"));
//!     }
//!     Ok(Verdict::score(0.1))
//! }
//!
//! oracle!(judge);
//! # fn main() {
//! # let verdict = judge_entry(&Entry::new("1", r#"{"amount": 20000}"#)).unwrap();
//! # assert_eq!(verdict, Verdict::score(0.9).reason("large-amount"));
//! # }
//! ```
//!
//! The crate is a `cdylib` for the component and an `rlib` for its tests and
//! benchmarks: everything here compiles and runs natively too, where settings
//! come from [`settings::scope`] and log lines go to standard error.
//!
//! The same component, settings and entry always give the same verdict: there
//! is no clock, no randomness, and nothing survives from one batch to the
//! next. What time it is says [`Entry::received_at`].

#[allow(
    unsafe_code,
    clippy::allow_attributes_without_reason,
    reason = "generated: the canonical ABI is raw pointers"
)]
pub mod bindings {
    //! As generated from `wit/oracle.wit`. Only an oracle that wants the raw
    //! export needs to look in here.
    wit_bindgen::generate!({
        path: "../../wit",
        world: "oracle",
        pub_export_macro: true,
        default_bindings_module: "floodgate_oracle::bindings",
        additional_derives: [PartialEq],
    });
}

pub mod log;
mod macros;
pub mod settings;

pub use bindings::{Entry, Verdict};
#[doc(hidden)]
pub use macros::{judge_batch, parse};

impl Entry {
    /// An entry without attributes, received at the Unix epoch: for tests.
    pub fn new(id: impl Into<String>, body: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            body: body.into(),
            received_at: 0,
            attributes: Vec::new(),
        }
    }

    /// Unix milliseconds.
    #[must_use]
    pub fn received_at(mut self, ms: u64) -> Self {
        self.received_at = ms;
        self
    }
}

impl Verdict {
    /// 0.0 ..= 1.0, higher is riskier. It goes out as it is: anything else is
    /// a fault of the entry, which the host reports.
    #[must_use]
    pub fn score(score: f64) -> Self {
        Self {
            score,
            reasons: Vec::new(),
            output: None,
            attributes: Vec::new(),
        }
    }

    /// Adds a stable kebab-case code, such as `gas-price-spike`.
    #[must_use]
    pub fn reason(mut self, code: impl Into<String>) -> Self {
        self.reasons.push(code.into());
        self
    }

    /// An answer, for flows that reply with one.
    #[must_use]
    pub fn output(mut self, output: impl Into<String>) -> Self {
        self.output = Some(output.into());
        self
    }
}
