//! The body of an answer, by which is seen whether the client takes it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::activity::Untaken;

/// A body that is counted until the client took it, or left.
pub struct Answer<B> {
    body: B,
    untaken: Option<Untaken>,
    /// The end of what was handed on last, where this is counted: over HTTP/2,
    /// hyper takes it only once the client has room behind all before.
    last: Option<Bytes>,
}

impl<B: Body<Data = Bytes>> Answer<B> {
    pub(super) fn new(body: B, untaken: Option<Untaken>) -> Self {
        Self {
            body,
            untaken,
            last: None,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(last) = self.last.take() {
            return Poll::Ready(Some(Ok(Frame::data(last))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match polled {
            Poll::Ready(Some(Ok(frame))) if self.untaken.is_some() => {
                let frame = frame.map_data(|mut data| {
                    if data.len() > 1 {
                        self.last = Some(data.split_off(data.len() - 1));
                    }
                    data
                });
                Poll::Ready(Some(Ok(frame)))
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.last.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let last = self.last.as_ref().map_or(0, |last| last.len() as u64);
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + last);
        }
        hint.set_lower(hint.lower() + last);
        hint
    }
}
