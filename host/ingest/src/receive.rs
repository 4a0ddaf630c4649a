//! Takes a request's body off the wire.

use std::pin::pin;

use bytes::Bytes;
use bytesize::ByteSize;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::Refusal;
use super::visitor::Visitor;
use floodgate_http::{Grant, Peer};

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

/// What the buffer of a body grows to before it doubles: a small body is copied
/// once, and what is declared and never sent takes little.
const FIRST_SIZES: [usize; 3] = [16 << 10, 256 << 10, 1 << 20];

/// Reads a body of at most `max` bytes, in time. What arrives in one piece is
/// not copied. The grant is what it holds of the budget.
pub(super) async fn receive(
    body: Incoming,
    max: usize,
    from: &Visitor,
) -> Result<(Bytes, Grant), Refusal> {
    let max = max.min(from.budget.largest());
    // The declared length, or what has arrived so far.
    if body.size_hint().lower() > max as u64 {
        return Err(Refusal::TooLarge(ByteSize::b(max as u64)));
    }
    let timeout = from.body_timeout;
    tokio::time::timeout(timeout, collect(body, max, from))
        .await
        .unwrap_or(Err(Refusal::BodyTimeout(timeout)))
}

async fn collect(
    mut body: Incoming,
    max: usize,
    from: &Visitor,
) -> Result<(Bytes, Grant), Refusal> {
    let first = next(&mut body).await?.unwrap_or_default();
    if first.len() > max {
        return Err(Refusal::TooLarge(ByteSize::b(max as u64)));
    }
    if body.is_end_stream() {
        let grant = from.budget.take_whole(&from.peer, first.len()).await?;
        return Ok((first, grant));
    }
    // Most bodies end above, which should not become larger for those that don't.
    Box::pin(collect_in_pieces(first, body, max, from)).await
}

async fn collect_in_pieces(
    first: Bytes,
    mut body: Incoming,
    max: usize,
    from: &Visitor,
) -> Result<(Bytes, Grant), Refusal> {
    let mut arrival = from.budget.arrive(&from.peer);
    let refused = arrival.refused();
    let arriving = async {
        let mut pieces = Vec::new();
        let mut piece = first;
        loop {
            arrival.arrived(piece.len());
            let needed = pieces.len() + piece.len();
            if needed > max {
                return Err(Refusal::TooLarge(ByteSize::b(max as u64)));
            }
            if needed > pieces.capacity() {
                let rest = body.size_hint().exact().map(|rest| rest as usize);
                let capacity = capacity_for(needed, rest.map_or(max, |rest| needed + rest));
                arrival.take(capacity - pieces.capacity()).await?;
                pieces.reserve_exact(capacity - pieces.len());
            }
            pieces.extend_from_slice(&piece);
            match next_in_turn(&mut body, &from.peer).await? {
                Some(data) => piece = data,
                None => return Ok(pieces),
            }
        }
    };
    let pieces = tokio::select! {
        biased;
        () = refused.cancelled() => return Err(Refusal::Overloaded),
        pieces = arriving => pieces?,
    };
    Ok((pieces.into(), arrival.whole()))
}

/// Returns how large a buffer becomes that has to hold `needed` bytes, and
/// never more than `most`.
fn capacity_for(needed: usize, most: usize) -> usize {
    let first = FIRST_SIZES.into_iter().find(|size| *size >= needed);
    first.unwrap_or(2 * needed).min(most).max(needed)
}

/// Reads the next data of a body in turns with the other bodies of its peer. Without
/// turns, hundreds of bodies that arrive at once would be read before the requests of
/// all other peers.
async fn next_in_turn(body: &mut Incoming, peer: &Peer) -> Result<Option<Bytes>, Refusal> {
    let turn = peer.turn().await;
    let mut next = pin!(next(body));
    // Once the body was polled, hyper reads what has arrived before this task runs
    // again. If nothing has arrived, the turn ends, so that a slow client does not keep
    // it.
    let arrived = tokio::select! {
        biased;
        data = &mut next => Some(data),
        () = tokio::task::yield_now() => None,
    };
    drop(turn);
    match arrived {
        Some(data) => data,
        None => next.await,
    }
}

/// Reads the next data of a body. Returns `None` at the end of the body.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Refusal::BodyBroken)?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        } // else trailers
    }
    Ok(None)
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
