//! `Idempotency-Key`, where the body does not say who it is
//! (draft-ietf-httpapi-idempotency-key-header).

use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::HeaderName;

use super::Refusal;
use super::admit::Admission;
use floodgate_backbone::Remember;
use floodgate_flow::{BodyHash, MAX_ID, Partition};

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How long a key is remembered at least.
const REMEMBER: Duration = Duration::from_secs(24 * 3600);

/// Characters that a key needs where no API key tells clients apart: as many as
/// 128 random bits have in base64. Whoever guesses a key is told the id of the
/// request that it came with first.
pub(super) const UNGUESSABLE: usize = 22;

/// What a client calls its request, told apart from what others call theirs.
#[derive(Debug)]
pub(super) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads the key of a request. It belongs to the `owner`, where the flow asks
    /// for an API key, and never to the peer, whose address may be another one
    /// when the request is repeated. Where it stands for an id that Floodgate
    /// `generates`, and there is no owner, it has to be long.
    ///
    /// # Errors
    /// Where it is not 1 to 256 visible ASCII characters, or is too short.
    pub fn of(
        headers: &HeaderMap,
        owner: Option<&str>,
        generates: bool,
    ) -> Result<Option<Self>, Refusal> {
        let Some(key) = headers.get(&IDEMPOTENCY_KEY) else {
            return Ok(None);
        };
        let key = key.to_str().map_err(|_| Refusal::BadIdempotencyKey)?;
        // White space does not come through every proxy as it was.
        let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || !(1..=MAX_ID).contains(&key.len()) {
            return Err(Refusal::BadIdempotencyKey);
        }
        if generates && owner.is_none() && key.len() < UNGUESSABLE {
            return Err(Refusal::GuessableIdempotencyKey);
        }
        // No owner's name holds a slash.
        Ok(Some(Self(format!("{}/{key}", owner.unwrap_or_default()))))
    }

    /// The id that the key stands for: `proposed`, or that of the first time,
    /// whose entry may or may not have been appended then.
    pub async fn claim(
        &self,
        admission: &Admission,
        body_hash: BodyHash,
        proposed: Arc<str>,
    ) -> Result<Arc<str>, Refusal> {
        let flow = &admission.flow;
        let partition = Partition {
            flow: flow.name.clone(),
            index: flow.stream.partition_of(&self.0),
        };
        let mut remember = Remember::of(flow);
        remember.known_for = remember.known_for.max(REMEMBER);
        let claimed = admission
            .backbone
            .claim_key(&partition, &self.0, body_hash, &proposed, remember);
        match claimed.await {
            Ok(Some(id)) => Ok(id.into()),
            Ok(None) => Err(Refusal::Conflict),
            Err(_) => Err(Refusal::BackboneAway),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn read(key: &str, owner: Option<&str>, generates: bool) -> Result<String, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(&IDEMPOTENCY_KEY, HeaderValue::from_str(key).unwrap());
        let read = IdempotencyKey::of(&headers, owner, generates);
        read.map(|key| key.unwrap().0)
            .map_err(|refusal| refusal.code())
    }

    #[test]
    fn a_key_that_can_be_guessed_is_taken_only_of_an_owner() {
        let (short, long) = ("k".repeat(21), "k".repeat(22));
        assert_eq!(read(&short, None, true), Err("guessable-idempotency-key"));
        assert_eq!(read(&long, None, true), Ok(format!("/{long}")));
        assert_eq!(read("k", Some("shop"), true), Ok("shop/k".to_owned()));
        let unused = read("k", None, false);
        assert_eq!(unused, Ok("/k".to_owned()), "the body has the id");
        for bad in ["", "a b", &"k".repeat(257)] {
            assert_eq!(read(bad, Some("shop"), true), Err("bad-idempotency-key"));
        }
    }
}
