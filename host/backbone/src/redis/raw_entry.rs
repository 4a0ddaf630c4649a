//! Entries of a stream as the bytes they came in.
//!
//! What XREADGROUP answers are ten values for each entry, and the client makes
//! each of them in 150 ns, with an allocation. Between it and the socket each
//! entry is wrapped into a single string, whose parts are then found where they
//! are.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, ErrorKind, RedisConnectionInfo,
    RedisError,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::io::poll_read_buf;

use super::resp2::{Part, Parts, Scanner, Strange};

/// As much as is asked of the socket at a time.
const READ: usize = 64 << 10;

/// How deep an entry is in an answer of XREADGROUP: within its stream's
/// entries, within the stream, within the answer.
const ENTRY: usize = 3;

/// A connection whose answers have each array as deep as an entry as a string.
pub(super) async fn connect(
    info: &ConnectionInfo,
    config: AsyncConnectionConfig,
) -> Result<MultiplexedConnection, RedisError> {
    let settings = info.redis_settings();
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => {
            let socket = first_to_connect(host, *port).await?;
            socket.set_nodelay(info.tcp_settings().nodelay())?;
            over(socket, settings, config).await
        }
        ConnectionAddr::Unix(path) => {
            over(UnixStream::connect(path).await?, settings, config).await
        }
        _ => Err(RedisError::from((
            ErrorKind::InvalidClientConfig,
            "an address that is neither TCP nor a Unix socket",
        ))),
    }
}

/// Of the addresses of a name some may lead nowhere.
async fn first_to_connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = tokio::net::lookup_host((host, port)).await?;
    let connecting = addresses.map(|address| Box::pin(TcpStream::connect(address)));
    let connecting: Vec<_> = connecting.collect();
    if connecting.is_empty() {
        return Err(io::Error::other(format!("{host} has no address")));
    }
    let (socket, _others) = select_ok(connecting).await?;
    Ok(socket)
}

async fn over<S>(
    socket: S,
    settings: &RedisConnectionInfo,
    config: AsyncConnectionConfig,
) -> Result<MultiplexedConnection, RedisError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let entries = RawEntries::of(socket);
    let connecting = MultiplexedConnection::new_with_config(settings, entries, config);
    let (connection, driver) = connecting.await?;
    // It ends with the last handle to the connection.
    tokio::spawn(driver);
    Ok(connection)
}

/// What comes from a socket: each array that is as deep as an entry as one bulk
/// string of its RESP2 bytes, and all else as it is.
struct RawEntries<S> {
    socket: S,
    arrived: BytesMut,
    /// Values that the arrays still lack in which the next one is.
    within: Vec<u64>,
    scanner: Scanner,
    /// What the client has not taken yet.
    ready: BytesMut,
    /// It speaks something else: the client says what is wrong with it.
    strange: bool,
}

impl<S> RawEntries<S> {
    fn of(socket: S) -> Self {
        Self {
            socket,
            arrived: BytesMut::new(),
            within: Vec::new(),
            scanner: Scanner::default(),
            ready: BytesMut::new(),
            strange: false,
        }
    }

    /// Makes ready what has arrived whole.
    fn wrap(&mut self) {
        while !self.strange {
            match self.next() {
                Ok(true) => {}
                Ok(false) => return,
                Err(Strange) => self.strange = true,
            }
        }
        self.ready.unsplit(self.arrived.split());
    }

    /// False where the next value has not arrived whole.
    fn next(&mut self) -> Result<bool, Strange> {
        if self.within.len() == ENTRY && self.arrived.starts_with(b"*") {
            let Some(end) = self.scanner.end(&self.arrived)? else {
                return Ok(false);
            };
            let entry = self.arrived.split_to(end);
            let length = format!("${end}\r\n");
            for part in [length.as_bytes(), &entry, b"\r\n"] {
                self.ready.extend_from_slice(part);
            }
            self.is_whole();
            return Ok(true);
        }
        let mut parts = Parts::at(&self.arrived, 0);
        let Some(part) = parts.next()? else {
            return Ok(false);
        };
        let length = match part {
            Part::Array(length) => length.unwrap_or(0),
            Part::String(_) | Part::Line => 0,
        };
        let end = parts.at;
        self.ready.extend_from_slice(&self.arrived.split_to(end));
        match length {
            0 => self.is_whole(),
            length => self.within.push(length),
        }
        Ok(true)
    }

    /// A value is, and so may be the arrays in which it was the last.
    fn is_whole(&mut self) {
        while let Some(lacking) = self.within.last_mut() {
            *lacking -= 1;
            if *lacking > 0 {
                return;
            }
            self.within.pop();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RawEntries<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.ready.is_empty() {
            this.arrived.reserve(READ);
            let socket = Pin::new(&mut this.socket);
            if ready!(poll_read_buf(socket, context, &mut this.arrived))? == 0 {
                return Poll::Ready(Ok(()));
            }
            this.wrap();
        }
        let taken = this.ready.len().min(buffer.remaining());
        buffer.put_slice(&this.ready[..taken]);
        this.ready.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RawEntries<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

/// Takes an entry apart. `None` of anything: it is not what was expected.
pub(super) struct RawEntry {
    bytes: Bytes,
    at: usize,
}

impl RawEntry {
    pub fn of(bytes: Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    /// How many values follow; `Some(None)` where it is null.
    pub fn array(&mut self) -> Option<Option<u64>> {
        let mut parts = Parts::at(&self.bytes, self.at);
        let length = match parts.next() {
            Ok(Some(Part::Array(length))) => length,
            Ok(Some(Part::String(None))) => None,
            _ => return None,
        };
        self.at = parts.at;
        Some(length)
    }

    /// In the entry's own memory.
    pub fn string(&mut self) -> Option<Bytes> {
        let mut parts = Parts::at(&self.bytes, self.at);
        let Ok(Some(Part::String(Some(string)))) = parts.next() else {
            return None;
        };
        let string = self.bytes.slice_ref(string);
        self.at = parts.at;
        Some(string)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt;
    use tokio_util::io::StreamReader;

    use super::*;

    fn value() -> impl Strategy<Value = Vec<u8>> {
        let text = proptest::collection::vec(any::<u8>(), 0..40);
        let leaf = prop_oneof![
            Just(b"+OK\r\n".to_vec()),
            Just(b"-ERR it is not so\r\n".to_vec()),
            Just(b"$-1\r\n".to_vec()),
            Just(b"*-1\r\n".to_vec()),
            any::<i64>().prop_map(|number| format!(":{number}\r\n").into_bytes()),
            text.prop_map(|text| string(&text)),
        ];
        leaf.prop_recursive(3, 32, 6, |inner| {
            proptest::collection::vec(inner, 0..6).prop_map(|values| array(&values))
        })
    }

    fn string(text: &[u8]) -> Vec<u8> {
        [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
    }

    fn array(values: &[Vec<u8>]) -> Vec<u8> {
        let head = format!("*{}\r\n", values.len()).into_bytes();
        [head, values.concat()].concat()
    }

    /// An answer with these as its entries.
    fn answer(entries: &[Vec<u8>]) -> Vec<u8> {
        array(&[array(&[string(b"stream"), array(entries)])])
    }

    fn read(arriving: &[u8], at_a_time: usize) -> Vec<u8> {
        let chunks = arriving.chunks(at_a_time).map(Ok::<_, io::Error>);
        let socket = StreamReader::new(futures_util::stream::iter(chunks));
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let mut read = Vec::new();
        let reading = async { RawEntries::of(socket).read_to_end(&mut read).await };
        runtime.unwrap().block_on(reading).unwrap();
        read
    }

    proptest! {
        #[test]
        fn an_entry_comes_as_a_string_and_the_rest_as_it_is(
            answers in proptest::collection::vec(proptest::collection::vec(value(), 0..5), 0..4),
            between in "[+:-][0-9]{1,9}\r\n",
            at_a_time in 1..60_usize,
        ) {
            let wrapped = |entry: &Vec<u8>| match entry.starts_with(b"*") {
                true => string(entry),
                false => entry.clone(),
            };
            let (mut arriving, mut expected) = (Vec::new(), Vec::new());
            for entries in answers {
                arriving.extend([&*answer(&entries), between.as_bytes()].concat());
                let entries: Vec<Vec<u8>> = entries.iter().map(wrapped).collect();
                expected.extend([&*answer(&entries), between.as_bytes()].concat());
            }
            prop_assert_eq!(read(&arriving, at_a_time), expected);
        }

        #[test]
        fn whatever_is_not_resp2_is_handed_on_as_it_is(
            first in "[%~#,_a-z][ -~]{0,20}\r\n",
            then in value(),
            at_a_time in 1..20_usize,
        ) {
            let arriving = [first.as_bytes(), &answer(&[then])].concat();
            prop_assert_eq!(read(&arriving, at_a_time), arriving);
        }

        #[test]
        fn an_entry_of_any_bytes_is_taken_apart_or_refused(
            bytes in "[*$:+][-0-9]{0,20}(\r\n)?[a*$]{0,9}",
        ) {
            let mut entry = RawEntry::of(bytes.into_bytes().into());
            let _length = entry.array();
            let _string = entry.string();
        }
    }

    #[test]
    fn more_values_than_can_be_counted_are_no_entry() {
        let arriving = b"*1\r\n*1\r\n*1\r\n*2\r\n*18446744073709551615\r\n";
        assert_eq!(read(arriving, 7), arriving);
    }
}
