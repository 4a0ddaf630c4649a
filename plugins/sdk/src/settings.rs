//! The table `[oracle.settings]` of the flow file. Natively it is empty,
//! except within [`scope`].

use std::fmt::Display;
use std::str::FromStr;

/// The setting as written; `None` where the flow file does not have it.
#[must_use]
pub fn get(key: &str) -> Option<String> {
    host::get(key)
}

/// The setting as a `T`, or `default` where the flow file does not have it.
///
/// # Errors
/// Names the key, its value, and what is wrong with it.
pub fn parse<T>(key: &str, default: T) -> Result<T, String>
where
    T: FromStr,
    T::Err: Display,
{
    match get(key) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|error| format!("setting {key} = {text:?}: {error}")),
    }
}

#[cfg(not(target_arch = "wasm32"))]
pub use host::scope;

#[cfg(target_arch = "wasm32")]
mod host {
    pub use crate::bindings::floodgate::oracle::settings::get;
}

#[cfg(not(target_arch = "wasm32"))]
mod host {
    use std::cell::RefCell;
    use std::collections::HashMap;

    thread_local! {
        static VALUES: RefCell<HashMap<String, String>> = RefCell::default();
    }

    pub fn get(key: &str) -> Option<String> {
        VALUES.with_borrow(|values| values.get(key).cloned())
    }

    /// Runs `f` with these settings, on this thread only.
    pub fn scope<R>(values: &[(&str, &str)], f: impl FnOnce() -> R) -> R {
        let values = values
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let outer = VALUES.replace(values);
        let result = f();
        VALUES.set(outer);
        result
    }
}
