use jiff::Timestamp;
use tracing::warn;

use floodgate_flow::Digest;
use floodgate_report::RefusedSwap;

/// What went wrong with an oracle of one name, until all is well again.
#[derive(Default)]
pub(super) struct Complaints {
    /// Of what should have come into force, why it did not.
    pub refusal: Option<RefusedSwap>,
    pub last_error: Option<String>,
    /// What was warned of last: many looks find the same.
    warned: Option<String>,
}

impl Complaints {
    /// Something should come into force and cannot; whether that is news.
    pub fn refuse(&mut self, name: &str, digest: Option<Digest>, error: String) -> bool {
        let new = self.warn(name, error.clone());
        if new {
            let at = Timestamp::now();
            self.refusal = Some(RefusedSwap { digest, error, at });
        }
        new
    }

    /// Says it once, however often it happens in a row; whether it did.
    pub fn warn(&mut self, name: &str, error: String) -> bool {
        let new = self.warned.as_ref() != Some(&error);
        if new {
            warn!(name, error, "oracle not taken");
            self.warned = Some(error.clone());
            self.last_error = Some(error);
        }
        new
    }
}
