//! `[oracle.settings]` of the flow file.

use std::str::FromStr;

/// The setting as it is written; `None` where the flow file has none.
pub fn get(key: &str) -> Option<String> {
    host::get(key)
}

/// A setting that is a number; `None` where it is missing or is none.
pub fn number(key: &str) -> Option<f64> {
    parsed(key).filter(|number: &f64| number.is_finite())
}

/// A setting read as any type that can be.
pub fn parsed<T: FromStr>(key: &str) -> Option<T> {
    get(key)?.parse().ok()
}

#[cfg(target_family = "wasm")]
mod host {
    pub fn get(key: &str) -> Option<String> {
        crate::wit::floodgate::oracle::settings::get(key)
    }
}

#[cfg(not(target_family = "wasm"))]
mod host {
    use std::cell::RefCell;
    use std::collections::HashMap;

    thread_local! {
        static SETTINGS: RefCell<HashMap<String, String>> = RefCell::default();
    }

    pub fn get(key: &str) -> Option<String> {
        SETTINGS.with_borrow(|settings| settings.get(key).cloned())
    }

    pub fn replace(settings: HashMap<String, String>) -> HashMap<String, String> {
        SETTINGS.replace(settings)
    }
}

/// Runs `f` with these settings on this thread; for tests.
#[cfg(not(target_family = "wasm"))]
pub fn with<R>(settings: &[(&str, &str)], f: impl FnOnce() -> R) -> R {
    let owned = settings
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let before = host::replace(owned.collect());
    let result = f();
    host::replace(before);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_there_only_while_it_is_set() {
        with(&[("limit", "12.5"), ("word", "x"), ("nan", "NaN")], || {
            assert_eq!(number("limit"), Some(12.5));
            assert_eq!(number("word"), None);
            assert_eq!(number("nan"), None);
            assert_eq!(get("other"), None);
        });
        assert_eq!(get("limit"), None);
    }
}
