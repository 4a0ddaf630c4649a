//! Who may come in, and how often: looked at before the body is read.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use hyper::http::request::Parts;

use super::admit::Admission;
use super::keys::{Caller, Denied};
use super::{Refusal, Response};
use floodgate_backbone::{Cost, Tokens};
use floodgate_flow::{Rate, RateOf};
use floodgate_http::Peer;
use floodgate_http::origin::Origins;

static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The GET of a page.
pub(super) struct Asked<'a> {
    pub headers: &'a HeaderMap,
    pub request_id: &'a str,
    pub peer: &'a Peer,
}

impl Admission {
    /// Refuses a POST that a page of another origin sent, if CORS does not allow
    /// it.
    pub(super) fn check_origin(&self, head: &Parts, allowed: &Origins) -> Result<(), Refusal> {
        if allowed.refuse(&head.headers, &head.uri) {
            self.meter.refused(&Refusal::ForeignOrigin);
            return Err(Refusal::ForeignOrigin);
        }
        Ok(())
    }

    /// Finds whose API key a request shows, where the flow asks for one.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, Refusal> {
        if !self.flow.admit.keys {
            return Ok(None);
        }
        let key = headers.get("x-api-key").ok_or(Refusal::NoKey)?;
        match self.keys.load().check(key.as_bytes(), &self.flow.name) {
            Ok(caller) => Ok(Some(caller)),
            Err(Denied::Unknown) => Err(Refusal::WrongKey),
            Err(Denied::OfOtherFlows) => Err(Refusal::KeyOfOtherFlows),
        }
    }

    /// Answers the GET of a page of the flow, for whoever may see it: a page of a
    /// flow with keys wants the key and counts in the rate, unless it is `open`.
    /// `answer` is given the owner whose entries alone are to be shown.
    pub(super) async fn shown(
        &self,
        open: bool,
        asked: &Asked<'_>,
        answer: impl AsyncFnOnce(Option<Arc<str>>) -> Result<Response, Refusal>,
    ) -> Result<Response, Refusal> {
        if open || !self.flow.admit.keys {
            return answer(None).await;
        }
        let caller = self
            .caller(asked.headers)
            .inspect_err(|refusal| self.meter.refused(refusal))?;
        let owner = caller.map(|caller| caller.owner);
        let allowance = self.allowance(owner.as_deref(), asked.peer).await?;
        let answer = pin!(answer(owner));
        let refused = |refusal: &Refusal| {
            if matches!(refusal, Refusal::RateLimited { .. }) {
                self.meter.refused(refusal);
            }
        };
        let answer = limited(allowance.as_ref(), asked.request_id, answer, refused);
        let mut response = answer.await?;
        // What one owner is shown is for no other, whoever keeps answers between.
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    /// Takes one token of the owner's bucket, or of the peer's where the flow asks
    /// for no key. `None` where the flow limits nobody.
    pub(super) async fn allowance(
        &self,
        owner: Option<&str>,
        peer: &Peer,
    ) -> Result<Option<Allowance<'_>>, Refusal> {
        let Some(rate) = self.flow.admit.rate else {
            return Ok(None);
        };
        // A debt of entries is none of requests.
        let of = match rate.of {
            RateOf::Requests => "",
            RateOf::Entries => "entries/",
        };
        let bucket = match (owner, peer.network()) {
            // An owner who is not named is called as the key is: buckets stay what
            // they were before there were owners.
            (Some(owner), _) => format!("{of}key/{owner}"),
            (None, Some(network)) => format!("{of}peer/{network}"),
            // A trusted proxy speaks for many.
            (None, None) => return Ok(None),
        };
        let taken = self
            .backbone
            .take_tokens(&self.flow.name, &bucket, rate, Cost::ONE);
        let tokens = taken.await.map_err(|_| Refusal::BackboneAway)?;
        Ok(Some(Allowance {
            admission: self,
            bucket,
            rate,
            tokens: Mutex::new(tokens),
        }))
    }
}

/// What a caller has left of the flow's rate.
pub(super) struct Allowance<'a> {
    admission: &'a Admission,
    bucket: String,
    rate: Rate,
    tokens: Mutex<Tokens>,
}

impl Allowance<'_> {
    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a batch costs besides its request, where the rate counts
    /// entries; more than there is, if nobody else of the same bucket did.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] where another batch ran into debt meanwhile.
    pub async fn charge(&self, entries: usize) -> Result<(), Refusal> {
        let further = u32::try_from(entries.saturating_sub(1)).unwrap_or(u32::MAX);
        if self.rate.of == RateOf::Requests || further == 0 {
            return Ok(());
        }
        let (flow, cost) = (&self.admission.flow.name, Cost::further(further));
        let backbone = &self.admission.backbone;
        let taken = backbone.take_tokens(flow, &self.bucket, self.rate, cost);
        let tokens = taken.await.map_err(|_| Refusal::BackboneAway)?;
        *self.tokens() = tokens;
        self.check()
    }

    fn check(&self) -> Result<(), Refusal> {
        let tokens = *self.tokens();
        match tokens.taken {
            true => Ok(()),
            false => Err(Refusal::RateLimited {
                retry_after: tokens.next_after,
            }),
        }
    }
}

/// Answers a caller who has something left, and says how much; what is refused of
/// somebody with a limit is told to `refused`.
pub(super) async fn limited(
    allowance: Option<&Allowance<'_>>,
    request_id: &str,
    answer: Pin<&mut impl Future<Output = Result<Response, Refusal>>>,
    refused: impl FnOnce(&Refusal),
) -> Result<Response, Refusal> {
    let Some(allowance) = allowance else {
        return answer.await;
    };
    let answer = match allowance.check() {
        Ok(()) => answer.await,
        Err(refusal) => Err(refusal),
    };
    let mut response = answer.unwrap_or_else(|refusal| {
        refused(&refusal);
        refusal.answer(request_id)
    });
    tell_limits(response.headers_mut(), allowance.rate, &allowance.tokens());
    Ok(response)
}

/// draft-ietf-httpapi-ratelimit-headers-10
fn tell_limits(headers: &mut HeaderMap, rate: Rate, tokens: &Tokens) {
    let Rate {
        tokens: most, of, ..
    } = rate;
    let policy = format!("\"{of}\";q={most};w={}", rate.per.as_secs());
    let reset = tokens.full_after.as_millis().div_ceil(1000);
    let state = format!("\"{of}\";r={};t={reset}", tokens.left);
    for (name, value) in [(&RATELIMIT_POLICY, policy), (&RATELIMIT, state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name.clone(), value);
        }
    }
}
