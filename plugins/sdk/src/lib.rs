//! Write a Floodgate oracle as a plain function.
//!
//! ```
//! use floodgate_oracle::{Entry, Verdict, oracle, settings};
//!
//! #[derive(serde::Deserialize)]
//! struct Transaction {
//!     value_eth: f64,
//! }
//!
//! fn judge(transaction: &Transaction, _entry: &Entry) -> Result<Verdict, String> {
//!     let large = settings::number("large_value_eth").unwrap_or(100.0);
//!     if transaction.value_eth > large {
//!         return Ok(Verdict::new(0.9).reason("large-value"));
//!     }
//!     Ok(Verdict::new(0.1))
//! }
//!
//! oracle!(judge);
//! ```
//!
//! That is all: the macro exports the contract of `wit/oracle.wit`, parses
//! each body once and hands it over typed. A body that does not fit the type,
//! or an `Err`, is a fault of that entry alone; so is a panic, though it costs
//! the whole batch a second look.
//!
//! The same entry must always give the same verdict: there is no clock (time
//! is [`Entry::received_at`]), no randomness, and statics start afresh with
//! every batch.
//!
//! Without wasm, in unit tests and benchmarks, the macro's `judge_json` runs
//! the very same way of an entry; settings come from [`settings::with`].

pub mod log;
pub mod settings;

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod wit;

use serde::de::DeserializeOwned;

/// What is known of an entry besides its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The flow's identity of it, such as the transaction's hash.
    pub id: String,
    /// Unix milliseconds; the only time an oracle gets to see.
    pub received_at: u64,
    /// Whatever else is known; names may be added, none is promised.
    pub attributes: Vec<(String, String)>,
}

/// What an oracle says of one entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// 0.0 ..= 1.0, higher is riskier. Anything else is a fault of the entry:
    /// the host does not guess what was meant.
    pub score: f64,
    /// Stable codes, such as "gas-price-spike".
    pub reasons: Vec<String>,
    /// An answer, for flows that reply with one.
    pub output: Option<String>,
}

impl Verdict {
    pub fn new(score: f64) -> Self {
        Self {
            score,
            ..Self::default()
        }
    }

    #[must_use]
    pub fn reason(mut self, code: impl Into<String>) -> Self {
        self.reasons.push(code.into());
        self
    }

    #[must_use]
    pub fn output(mut self, answer: impl Into<String>) -> Self {
        self.output = Some(answer.into());
        self
    }
}

/// Parses a body and judges it.
///
/// # Errors
/// A body that is not a `T`, or what `judge` says.
pub fn judge_body<T: DeserializeOwned>(
    body: &str,
    entry: &Entry,
    judge: impl Fn(&T, &Entry) -> Result<Verdict, String>,
) -> Result<Verdict, String> {
    let value =
        serde_json::from_str(body).map_err(|error| format!("body not understood: {error}"))?;
    judge(&value, entry)
}

/// Makes a function an oracle: `fn(&T, &Entry) -> Result<Verdict, String>`
/// with any `T` that serde can read.
#[macro_export]
macro_rules! oracle {
    ($judge:path) => {
        /// Judges one body, on any target.
        ///
        /// # Errors
        /// A body that does not fit, or what the oracle says.
        pub fn judge_json(
            body: &str,
            entry: &$crate::Entry,
        ) -> Result<$crate::Verdict, ::std::string::String> {
            $crate::judge_body(body, entry, $judge)
        }

        #[cfg(target_family = "wasm")]
        const _: () = {
            struct Oracle;

            impl $crate::wit::Guest for Oracle {
                fn judge(
                    batch: ::std::vec::Vec<$crate::wit::Entry>,
                ) -> ::std::vec::Vec<Result<$crate::wit::Verdict, ::std::string::String>> {
                    $crate::wit::judge_batch(batch, judge_json)
                }
            }

    $crate::wit::export!(Oracle with_types_in $crate::wit);
        };
    };
}
