use std::fmt;
use std::path::PathBuf;

use clap::Args;
use hyper::header::HeaderValue;
use subtle::ConstantTimeEq;

use floodgate_flow::masked;

/// What a caller of the admin API shows.
#[derive(Clone, Debug, Args)]
pub struct AdminTokenSettings {
    /// File of the admin API's token, at least 16 characters; FLOODGATE_ADMIN_TOKEN
    /// may have it instead
    #[arg(long, env = "FLOODGATE_ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// The token itself, where no file is named. No flag: everybody on the
    /// machine could read it in the list of processes.
    #[arg(skip = token_of_environment())]
    pub admin_token: Option<String>,
}

fn token_of_environment() -> Option<String> {
    let token = std::env::var_os("FLOODGATE_ADMIN_TOKEN")?;
    Some(token.to_string_lossy().into_owned())
}

/// Characters. A word that somebody thought of has fewer.
const SHORTEST: usize = 16;

/// Whoever has it may call the admin API: `Authorization: Bearer <token>`.
#[derive(Clone)]
pub struct Token(String);

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(
        "read the admin token file (--admin-token-file, FLOODGATE_ADMIN_TOKEN_FILE) {path}: {cause}"
    )]
    Unreadable { path: String, cause: std::io::Error },
    /// Never quotes it.
    #[error(
        "the admin token in {place} is none: write at least {SHORTEST} ASCII characters without \
         spaces, such as openssl rand -hex 32 prints"
    )]
    Unfit { place: String },
}

impl Token {
    /// The one in the file, else the one in the environment, where there is one.
    ///
    /// # Errors
    /// Where one is named and cannot be read, or is too easily guessed.
    pub fn named(settings: &AdminTokenSettings) -> Result<Option<Self>, TokenError> {
        if let Some(path) = &settings.admin_token_file {
            let text = std::fs::read_to_string(path);
            let text = text.map_err(|cause| TokenError::Unreadable {
                path: masked::path(path),
                cause,
            })?;
            return Self::parse(text.trim(), || masked::path(path)).map(Some);
        }
        match settings.admin_token.as_deref().map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => Self::parse(text, || "FLOODGATE_ADMIN_TOKEN".to_owned()).map(Some),
        }
    }

    fn parse(text: &str, place: impl FnOnce() -> String) -> Result<Self, TokenError> {
        match text.len() >= SHORTEST && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.to_owned())),
            false => Err(TokenError::Unfit { place: place() }),
        }
    }

    /// Whether the value of an `Authorization` header is this token. Takes the
    /// same time wherever the two differ; their lengths are no secret.
    pub(super) fn is(&self, authorization: &HeaderValue) -> bool {
        let Some((scheme, token)) = authorization.as_bytes().split_at_checked("Bearer ".len())
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(token.ct_eq(self.0.as_bytes()))
    }

    /// The value of the `Authorization` header of a call.
    pub fn authorization(&self) -> Option<HeaderValue> {
        let value = HeaderValue::try_from(format!("Bearer {}", self.0));
        let mut value = value.ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_environment(token: &str) -> Result<Option<Token>, TokenError> {
        Token::named(&AdminTokenSettings {
            admin_token_file: None,
            admin_token: Some(token.to_owned()),
        })
    }

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = of_environment("0123456789abcdef").unwrap().unwrap();
        let is = |value: &str| token.is(&value.parse().unwrap());
        assert!(is("Bearer 0123456789abcdef"));
        assert!(is("bearer 0123456789abcdef"));
        for other in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcdeg",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!is(other), "{other:?}");
        }
    }

    #[test]
    fn what_is_short_or_does_not_fit_a_header_is_refused_and_not_quoted() {
        for text in ["0123456789abcde", "0123456789 abcdef", "0123456789äbcdef"] {
            let error = of_environment(text).unwrap_err().to_string();
            assert!(error.contains("FLOODGATE_ADMIN_TOKEN"), "{error}");
            assert!(!error.contains(text), "{error}");
        }
        assert!(of_environment("").unwrap().is_none());
    }

    #[test]
    fn a_file_counts_more_than_the_environment_and_may_end_with_a_newline() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "0123456789abcdef\n").unwrap();
        let named = |file: &std::path::Path| {
            Token::named(&AdminTokenSettings {
                admin_token_file: Some(file.to_owned()),
                admin_token: Some("another one that is long".to_owned()),
            })
        };
        let token = named(file.path()).unwrap().unwrap();
        assert_eq!(token.authorization().unwrap(), "Bearer 0123456789abcdef");
        let error = named("/nowhere".as_ref()).unwrap_err().to_string();
        assert!(error.contains("/nowhere"), "{error}");
    }
}
