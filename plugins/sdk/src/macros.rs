use serde::Deserialize;

use crate::{Entry, Verdict};

/// Makes a judging function the export of the component.
///
/// * `oracle!(judge)` with
///   `fn judge(tx: &T, entry: &Entry) -> Result<Verdict, String>`
/// * `oracle!(judge, settings = read)` with
///   `fn judge(tx: &T, entry: &Entry, settings: &S) -> Result<Verdict, String>` and
///   `fn read() -> Result<S, String>`, which is called once per batch
///
/// `T` is anything that serde can read from the entry's body, borrowed or
/// owned. A body that is no `T` is an error of that entry alone, and so is an
/// `Err` of `judge`. An `Err` of `read` is an error of every entry.
///
/// It also defines `judge_batch(&[Entry])` and `judge_entry(&Entry)`: the very
/// same logic on any target, for tests and benchmarks.
#[macro_export]
macro_rules! oracle {
    ($judge:path) => {
        $crate::oracle!(@define (|| Ok(())), (|entry, ()| {
            $judge(&$crate::parse(&entry.body)?, entry)
        }));
    };
    ($judge:path, settings = $read:path) => {
        $crate::oracle!(@define ($read), (|entry, settings| {
            $judge(&$crate::parse(&entry.body)?, entry, settings)
        }));
    };
    (@define ($read:expr), ($judge:expr)) => {
        /// Judges a batch as the component does, JSON and settings included;
        /// one result per entry, in order.
        pub fn judge_batch(
            batch: &[$crate::Entry],
        ) -> ::std::vec::Vec<::core::result::Result<$crate::Verdict, ::std::string::String>> {
            $crate::judge_batch(batch, $read, $judge)
        }

        /// Judges one entry, as a batch of its own.
        ///
        /// # Errors
        /// What the component says of the entry: a body of another shape,
        /// unusable settings, or what the oracle refuses.
        pub fn judge_entry(
            entry: &$crate::Entry,
        ) -> ::core::result::Result<$crate::Verdict, ::std::string::String> {
            $crate::judge_batch(::core::slice::from_ref(entry), $read, $judge).remove(0)
        }

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "generated: the canonical ABI is raw pointers")]
        const _: () = {
            struct Component;

            impl $crate::bindings::Guest for Component {
                fn judge(
                    batch: ::std::vec::Vec<$crate::Entry>,
                ) -> ::std::vec::Vec<
                    ::core::result::Result<$crate::Verdict, ::std::string::String>,
                > {
                    $crate::log::panics();
                    judge_batch(&batch)
                }
            }

            $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}

/// For [`oracle!`].
///
/// # Errors
/// Says where in the body, and what was expected there.
#[doc(hidden)]
pub fn parse<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, String> {
    serde_json::from_str(body).map_err(|error| format!("body: {error}"))
}

/// For [`oracle!`].
#[doc(hidden)]
pub fn judge_batch<S>(
    batch: &[Entry],
    read: impl FnOnce() -> Result<S, String>,
    judge: impl Fn(&Entry, &S) -> Result<Verdict, String>,
) -> Vec<Result<Verdict, String>> {
    match read() {
        Ok(settings) => batch.iter().map(|entry| judge(entry, &settings)).collect(),
        Err(error) => vec![Err(error); batch.len()],
    }
}
