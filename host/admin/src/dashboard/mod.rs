//! The page at the admin address, and what it is told as it happens.

mod files;
mod post;
mod rates;
mod sample;
mod snapshot;

use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use http_body_util::StreamBody;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::rates::Rates;
use self::snapshot::Snapshot;
use super::Admin;

pub(super) use self::files::page;
pub(super) use self::post::{Post, post};
pub(super) use self::sample::sample;

const PERIOD: Duration = Duration::from_secs(1);

/// Without a word for this long, whatever stands between may take the
/// connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Server-sent events; they end when the connection does.
pub(super) type Events =
    StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

/// One snapshot a second for all who look, and none while nobody does.
pub struct Dashboard {
    latest: watch::Sender<Bytes>,
    wanted: Notify,
}

impl Default for Dashboard {
    fn default() -> Self {
        Self {
            latest: watch::Sender::new(Bytes::new()),
            wanted: Notify::new(),
        }
    }
}

impl Dashboard {
    /// `GET /stream`: each event is a whole [`Snapshot`], so that none is missed.
    pub(super) fn stream(&self) -> Response<Events> {
        let latest = self.latest.subscribe();
        self.wanted.notify_one();
        let events = stream::unfold(latest, |mut latest| async move {
            let event = match tokio::time::timeout(KEEP_ALIVE, latest.changed()).await {
                Ok(Ok(())) => latest.borrow_and_update().clone(),
                Ok(Err(_gone)) => return None,
                Err(_) => Bytes::from_static(b": still here\n\n"),
            };
            Some((Ok(Frame::data(event)), latest))
        });
        let events: Pin<Box<dyn Stream<Item = _> + Send>> = Box::pin(events);
        let mut response = Response::new(StreamBody::new(events));
        let events = HeaderValue::from_static("text/event-stream");
        response.headers_mut().insert(CONTENT_TYPE, events);
        response
    }

    /// Looks for all pages together, until `stop`.
    pub(super) async fn produce(&self, admin: &Admin, stop: &CancellationToken) {
        let mut rates = Rates::default();
        loop {
            if self.latest.receiver_count() == 0 {
                rates = Rates::default();
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.wanted.notified() => {}
                }
            }
            let snapshot = Snapshot::take(admin, &mut rates).await;
            self.latest.send_replace(event(&snapshot));
            // Whoever comes new does not wait for the second to be over.
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wanted.notified() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }
}

fn event(snapshot: &Snapshot) -> Bytes {
    // Our own types, without maps of other keys than strings: it cannot fail.
    let json = serde_json::to_string(snapshot).unwrap_or_default();
    format!("event: snapshot\ndata: {json}\n\n").into()
}
