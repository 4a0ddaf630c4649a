//! Takes a request's body off the wire.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use bytesize::ByteSize;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::Refusal;

/// Refuses what does not say it is JSON. Clients that say nothing are many.
pub(super) fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(Refusal::UnsupportedEncoding);
    }
    match headers.get(CONTENT_TYPE) {
        Some(media_type) if !is_json(media_type) => Err(Refusal::UnsupportedMediaType),
        _ => Ok(()),
    }
}

fn is_json(media_type: &HeaderValue) -> bool {
    // What nearly everybody sends.
    if media_type == "application/json" {
        return true;
    }
    let Ok(media_type) = media_type.to_str() else {
        return false;
    };
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    let (kind, suffix) = essence.split_once('/').unwrap_or_default();
    let ends_in_json = || {
        suffix
            .rsplit_once('+')
            .is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"))
    };
    kind.eq_ignore_ascii_case("application")
        && (suffix.eq_ignore_ascii_case("json") || ends_in_json())
}

/// Reads a body of at most `max` bytes within `timeout`. What arrives in one
/// piece is not copied.
pub(super) async fn receive(
    body: Incoming,
    max: usize,
    timeout: Duration,
) -> Result<Bytes, Refusal> {
    // The declared length, or what has arrived so far.
    if body.size_hint().lower() > max as u64 {
        return Err(Refusal::TooLarge(ByteSize::b(max as u64)));
    }
    tokio::time::timeout(timeout, collect(body, max))
        .await
        .unwrap_or(Err(Refusal::BodyTimeout(timeout)))
}

async fn collect(mut body: Incoming, max: usize) -> Result<Bytes, Refusal> {
    let mut whole = Bytes::new();
    let mut pieces = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::BodyBroken)?.into_data() else {
            continue; // trailers
        };
        if whole.len() + pieces.len() + data.len() > max {
            return Err(Refusal::TooLarge(ByteSize::b(max as u64)));
        }
        if whole.is_empty() && pieces.is_empty() {
            whole = data;
            continue;
        }
        if pieces.is_empty() {
            let rest = body.size_hint().lower() as usize;
            pieces.reserve(whole.len() + data.len() + rest);
            pieces.extend_from_slice(&std::mem::take(&mut whole));
        }
        pieces.extend_from_slice(&data);
    }
    if pieces.is_empty() {
        Ok(whole)
    } else {
        Ok(pieces.freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_by_many_names() {
        for (media_type, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/vnd.api+json", true),
            ("application/jsonp", false),
            ("application/x+jsonp", false),
            ("text/json", false),
            ("text/plain", false),
            ("json", false),
            ("", false),
        ] {
            assert_eq!(
                is_json(&HeaderValue::from_static(media_type)),
                json,
                "{media_type}"
            );
        }
    }
}
