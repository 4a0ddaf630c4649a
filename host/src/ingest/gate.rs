//! Who may come in, and how often: looked at before the body is read.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use super::admit::Admission;
use super::keys::Denied;
use super::{Refusal, Response};
use crate::backbone::Tokens;
use crate::flow::Rate;

static RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl Admission {
    /// The name of the caller's API key, where the flow asks for one.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Option<Arc<str>>, Refusal> {
        if !self.flow.admit.keys {
            return Ok(None);
        }
        let key = headers.get("x-api-key").ok_or(Refusal::NoKey)?;
        match self.keys.load().check(key.as_bytes(), &self.flow.name) {
            Ok(name) => Ok(Some(name)),
            Err(Denied::Unknown) => Err(Refusal::WrongKey),
            Err(Denied::OfOtherFlows) => Err(Refusal::KeyOfOtherFlows),
        }
    }

    /// Answers a caller who has a request left, and says how many are; what is
    /// refused of somebody with a limit is told to `refused`.
    pub(super) async fn limited(
        &self,
        caller: Option<&str>,
        peer: IpAddr,
        request_id: &str,
        answer: Pin<&mut impl Future<Output = Result<Response, Refusal>>>,
        refused: impl FnOnce(&Refusal),
    ) -> Result<Response, Refusal> {
        let Some((rate, tokens)) = self.token(caller, peer).await? else {
            return answer.await;
        };
        let answer = match tokens.taken {
            true => answer.await,
            false => Err(Refusal::RateLimited {
                retry_after: tokens.next_after,
            }),
        };
        let mut response = answer.unwrap_or_else(|refusal| {
            refused(&refusal);
            refusal.answer(request_id)
        });
        tell_limits(response.headers_mut(), rate, &tokens);
        Ok(response)
    }

    /// Takes one token of the caller's bucket, or of the peer's where the flow
    /// asks for no key. `None` where the flow limits nobody.
    async fn token(
        &self,
        caller: Option<&str>,
        peer: IpAddr,
    ) -> Result<Option<(Rate, Tokens)>, Refusal> {
        let Some(rate) = self.flow.admit.rate else {
            return Ok(None);
        };
        let bucket = match caller {
            Some(name) => format!("key/{name}"),
            None => format!("peer/{}", network_of(peer)),
        };
        let taken = self.backbone.take_token(&self.flow.name, &bucket, rate);
        let tokens = taken.await.map_err(|_| Refusal::BackboneAway)?;
        Ok(Some((rate, tokens)))
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn network_of(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let mut segments = address.segments();
            segments[4..].fill(0);
            IpAddr::from(segments)
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// draft-ietf-httpapi-ratelimit-headers-10
fn tell_limits(headers: &mut HeaderMap, rate: Rate, tokens: &Tokens) {
    let policy = format!("\"requests\";q={};w={}", rate.requests, rate.per.as_secs());
    let reset = tokens.full_after.as_millis().div_ceil(1000);
    let state = format!("\"requests\";r={};t={reset}", tokens.left);
    for (name, value) in [(&RATELIMIT_POLICY, policy), (&RATELIMIT, state)] {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name.clone(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_is_its_network() {
        for (peer, network) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            let peer: IpAddr = peer.parse().unwrap();
            assert_eq!(network_of(peer).to_string(), network);
        }
    }
}
