//! `Idempotency-Key`, where the body does not say who it is
//! (draft-ietf-httpapi-idempotency-key-header).

use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::HeaderName;

use super::Refusal;
use super::admit::Admission;
use crate::backbone::{Partition, Remember};
use crate::flow::{BodyHash, MAX_ID};

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How long a key is remembered at least.
const REMEMBER: Duration = Duration::from_secs(24 * 3600);

/// What a client calls its request, told apart from what others call theirs.
pub(super) struct IdempotencyKey(String);

impl IdempotencyKey {
    /// # Errors
    /// Where it is not 1 to 256 visible ASCII characters.
    pub fn of(headers: &HeaderMap, caller: Option<&str>) -> Result<Option<Self>, Refusal> {
        let Some(key) = headers.get(&IDEMPOTENCY_KEY) else {
            return Ok(None);
        };
        let key = key.to_str().map_err(|_| Refusal::BadIdempotencyKey)?;
        // White space does not come through every proxy as it was.
        let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible || !(1..=MAX_ID).contains(&key.len()) {
            return Err(Refusal::BadIdempotencyKey);
        }
        // No name of an API key holds a slash.
        Ok(Some(Self(format!("{}/{key}", caller.unwrap_or_default()))))
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
