//! Masks what may be secret in URLs, wherever one is shown: in logs, errors,
//! answers of the admin API and tables. A name and a token in a URL are as good
//! as a password, and so is the value of a parameter.

use std::path::Path;

const MASK: &str = "***";

/// Returns a URL as it may be shown: without user, password, values of its query
/// and fragment. What is no absolute URL is masked as a whole.
pub fn url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return MASK.to_owned();
    };
    let (rest, fragment) = cut(rest, '#');
    let (rest, query) = cut(rest, '?');
    let mut shown = format!("{scheme}://{}", without_user(scheme, rest));
    if let Some(query) = query {
        let parameters = query.split('&').map(parameter);
        shown.push('?');
        shown.push_str(&parameters.collect::<Vec<_>>().join("&"));
    }
    if fragment.is_some() {
        shown.push('#');
        shown.push_str(MASK);
    }
    shown
}

/// Returns a text with every URL in it masked, for errors of libraries and those
/// that were stored before.
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let is_of_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let begins = rest[..at].trim_end_matches(is_of_scheme).len();
        if begins == at {
            shown.push_str(&rest[..at + "://".len()]);
            rest = &rest[at + "://".len()..];
            continue;
        }
        let ends_url = |c: char| c.is_whitespace() || "\"'`<>()".contains(c);
        let ends = rest[at..].find(ends_url).map_or(rest.len(), |end| at + end);
        // Words go on behind a URL: "http://host/path: no answer".
        let ends = begins
            + rest[begins..ends]
                .trim_end_matches([':', ',', ';', '.'])
                .len();
        shown.push_str(&rest[..begins]);
        shown.push_str(&url(&rest[begins..ends]));
        rest = &rest[ends..];
    }
    shown + rest
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}

/// Masks what stands before the host. A password that should have been encoded
/// may hold a slash: then everything up to the last `@` belongs to it.
fn without_user(scheme: &str, rest: &str) -> String {
    let authority = &rest[..rest.find('/').unwrap_or(rest.len())];
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let of_http = matches!(scheme, "http" | "https");
    let is_host = host.ends_with(']')
        || host
            .rsplit_once(':')
            .map_or(!host.is_empty(), |(name, port)| {
                let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
                is_port && (!name.contains(':') || name.ends_with(']'))
            });
    match rest.rsplit_once('@') {
        Some((_, behind)) if user.is_some() || !of_http || !is_host => {
            format!("{MASK}@{behind}")
        }
        _ if is_host => rest.to_owned(),
        _ => MASK.to_owned(),
    }
}

/// What has no name is a value. A placeholder for the entry's id is no secret.
fn parameter(text: &str) -> String {
    match text.split_once('=') {
        Some((_, "{id}")) => text.to_owned(),
        Some((name, _)) => format!("{name}={MASK}"),
        None => MASK.to_owned(),
    }
}

/// Returns the path that a setting names, in the form in which it may be shown. Some
/// people write a secret where the path of the secret's file belongs. Therefore a text
/// that does not look like a path is masked.
pub fn path(path: &Path) -> String {
    let text = path.to_string_lossy();
    let begins_as_one = ["/", "./", "../"]
        .iter()
        .any(|begin| text.starts_with(begin));
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if begins_as_one || path.exists() || parent.is_some_and(Path::is_dir) {
        return text.into_owned();
    }
    "*** (not shown: it may be the secret itself, and the path of a file belongs there)".to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_may_be_secret_is_masked() {
        for (whole, shown) in [
            ("http://host:8080/a/b", "http://host:8080/a/b"),
            ("http://host", "http://host"),
            ("http://[::1]:8080/a", "http://[::1]:8080/a"),
            ("https://host/users/@me", "https://host/users/@me"),
            ("https://u:p@host:1/a", "https://***@host:1/a"),
            ("https://token@host", "https://***@host"),
            (
                "http://h/a?token=t&x={id}&y",
                "http://h/a?token=***&x={id}&***",
            ),
            ("http://h/a?t=1#frag", "http://h/a?t=***#***"),
            ("redis://:pass@host:6379/1", "redis://***@host:6379/1"),
            ("redis://:pa/ss@host/1", "redis://***@host/1"),
            ("http://u:pa/ss@host/1", "http://***@host/1"),
            (
                "postgres://u:p@ss@host/db?password=x",
                "postgres://***@host/db?password=***",
            ),
            ("postgres://host:secret/db", "postgres://***"),
            ("secret", "***"),
            ("", "***"),
        ] {
            assert_eq!(url(whole), shown, "{whole}");
        }
    }

    #[test]
    fn urls_within_a_text_are_masked_and_nothing_else() {
        for (whole, shown) in [
            ("no URL: at all", "no URL: at all"),
            (
                "downstream: POST http://u@h/x?token=t: no answer (see https://h/?a=b)",
                "downstream: POST http://***@h/x?token=***: no answer (see https://h/?a=***)",
            ),
            (
                "at \"redis://:p@h\", twice redis://:p@h",
                "at \"redis://***@h\", twice redis://***@h",
            ),
            ("://", "://"),
        ] {
            assert_eq!(text(whole), shown, "{whole}");
        }
    }

    proptest! {
        #[test]
        fn no_secret_is_left(
            scheme in "https?|redis|postgres",
            secret in "SECRET[a-z/:@]{0,4}SECRET",
            port in "(:[0-9]{1,5})?",
        ) {
            for whole in [
                format!("{scheme}://user:{secret}@host{port}/path"),
                format!("{scheme}://host{port}/path?token={secret}"),
                format!("{scheme}://host{port}?{secret}"),
                format!("{scheme}://host{port}/#{secret}"),
            ] {
                prop_assert!(!url(&whole).contains("SECRET"), "{} -> {}", whole, url(&whole));
                let told = text(&format!("read {whole}: no answer"));
                prop_assert!(!told.contains("SECRET"), "{} -> {}", whole, told);
            }
        }
    }

    #[test]
    fn a_secret_in_the_place_of_its_file_is_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for shown in [file.path(), "/nowhere/keys".as_ref(), "./keys".as_ref()] {
            assert_eq!(path(shown), shown.to_string_lossy());
        }
        for secret in ["hunter2", "c2VjcmV0/c2VjcmV0", "0123456789abcdef"] {
            assert!(!path(secret.as_ref()).contains(secret));
        }
    }
}
