use std::fmt;
use std::path::{Path, PathBuf};

use hyper::header::HeaderValue;
use subtle::ConstantTimeEq;

/// Characters. A word that somebody thought of has fewer.
const SHORTEST: usize = 16;

/// Whoever has it may ask: `Authorization: Bearer <token>`.
#[derive(Clone)]
pub struct Token(String);

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("read the token file {}: {cause}", .path.display())]
    Unreadable {
        path: PathBuf,
        cause: std::io::Error,
    },
    /// Never quotes it.
    #[error(
        "the token in {} is none: write at least {SHORTEST} ASCII characters without spaces, such \
         as openssl rand -hex 32 prints", .0.display()
    )]
    Unfit(PathBuf),
}

impl Token {
    /// # Errors
    /// Where it cannot be read, or is too easily guessed.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let text = std::fs::read_to_string(path).map_err(|cause| TokenError::Unreadable {
            path: path.to_owned(),
            cause,
        })?;
        let text = text.trim();
        match text.len() >= SHORTEST && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(text.to_owned())),
            false => Err(TokenError::Unfit(path.to_owned())),
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
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
