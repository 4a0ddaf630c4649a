//! A connection whose client may not stop taking what is written to it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use metrics::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;

use crate::Activity;
use crate::heads::Head;

/// Breaks off once a client took nothing for too long, or sends much of a head
/// while others do; notes when bytes came or went.
pub(super) struct Watched {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    activity: Arc<Activity>,
    head: Head,
    /// Counts those that sent too much of a head.
    large_heads: Counter,
}

impl Watched {
    pub fn new(
        stream: TcpStream,
        stalled: Duration,
        activity: Arc<Activity>,
        head: Head,
        large_heads: Counter,
    ) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(stalled));
        Self {
            stream: Box::pin(stream),
            activity,
            head,
            large_heads,
        }
    }

    fn noting<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if matches!(polled, Poll::Ready(Ok(_))) {
            self.activity.has_moved();
        }
        polled
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.head.look();
        let before = buf.filled().len();
        let polled = self.stream.as_mut().poll_read(cx, buf);
        let came = buf.filled().len() - before;
        if let Err(too_many) = self.head.arrived(came) {
            self.large_heads.increment(1);
            return Poll::Ready(Err(too_many.into()));
        }
        self.noting(polled)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream.as_mut().poll_write(cx, buf);
        self.noting(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = self.stream.as_mut().poll_write_vectored(cx, bufs);
        self.noting(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
