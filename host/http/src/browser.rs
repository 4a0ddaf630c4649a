//! What answers tell a browser. Pages of ours show what strangers wrote.

use hyper::HeaderMap;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};

/// What a page may load, run and send, and where it may be shown.
#[derive(Clone, Copy)]
pub struct Policy(&'static str);

/// Nothing of elsewhere, nothing inline, and in no frame.
pub const OWN_FILES: Policy = Policy(
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

/// Its scripts, styles and calls are of this origin, and nothing else is loaded
/// but the icons that it draws itself.
pub const SWAGGER_UI: Policy = Policy(
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// Where the answer itself does not say otherwise.
pub fn harden(headers: &mut HeaderMap, Policy(policy): Policy) {
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, policy),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_may_bring_a_policy_of_its_own() {
        let mut headers = HeaderMap::new();
        headers.insert("content-security-policy", HeaderValue::from_static("own"));
        harden(&mut headers, OWN_FILES);
        assert_eq!(headers["content-security-policy"], "own");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
}
