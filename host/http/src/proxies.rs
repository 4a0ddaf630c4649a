//! Proxies that are believed when they say for whom they speak: by `Forwarded`
//! (RFC 7239), by `X-Forwarded-For`, or by the PROXY protocol, version 2.
//! Nobody else is, because everybody can send a header.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};
use ipnet::IpNet;
use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What a header of the PROXY protocol begins with, and how long its beginning
/// is, which tells its length.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const BEGINNING: usize = 16;

/// The longest header that is read; addresses take 52 bytes of it.
const LONGEST: usize = 4096;

/// How often what may become such a header is looked at until it is whole.
const LOOK: Duration = Duration::from_millis(10);

/// The networks of proxies that are trusted.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    networks: Arc<[IpNet]>,
}

/// Two headers name different clients, and nothing tells which of them the
/// proxy wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous;

impl Proxies {
    pub fn new(networks: &[IpNet]) -> Self {
        Self {
            networks: networks.into(),
        }
    }

    /// Whether this address is one of theirs.
    pub fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Returns the client for which a trusted proxy sends a request: the last
    /// address that is no trusted proxy's. `None` where none is named: then the
    /// proxy asks for itself.
    ///
    /// # Errors
    /// Where one header names another client than the other. A proxy writes one
    /// of them, and lets the other through as the client sent it.
    pub fn client(&self, headers: &HeaderMap) -> Result<Option<IpAddr>, Ambiguous> {
        let values = |name| headers.get_all(name).iter().rev();
        let text = |value: &hyper::header::HeaderValue| value.to_str().map(str::to_owned).ok();
        let forwarded = values(&FORWARDED).map(text).flat_map(|value| {
            let hops = rfc7239::parse(value.as_deref().unwrap_or("?")).rev();
            let address =
                |hop: Result<rfc7239::Forwarded<'_>, _>| hop.ok()?.forwarded_for?.ip().copied();
            hops.map(address).collect::<Vec<_>>()
        });
        let x_forwarded_for = values(&X_FORWARDED_FOR).map(text).flat_map(|value| {
            let hops = value.as_deref().unwrap_or("?").rsplit(',');
            hops.map(address).collect::<Vec<_>>()
        });
        let has = |name| headers.contains_key(name);
        match (has(&FORWARDED), has(&X_FORWARDED_FOR)) {
            (true, false) => Ok(self.last_untrusted(forwarded)),
            (false, true) => Ok(self.last_untrusted(x_forwarded_for)),
            (false, false) => Ok(None),
            (true, true) => {
                let client = self.last_untrusted(forwarded);
                let same = client == self.last_untrusted(x_forwarded_for);
                same.then_some(client).ok_or(Ambiguous)
            }
        }
    }

    /// `hops`: from the last to the first; `None` where it is no address.
    fn last_untrusted(&self, mut hops: impl Iterator<Item = Option<IpAddr>>) -> Option<IpAddr> {
        let client = hops.find(|hop| hop.is_none_or(|address| !self.trust(address)));
        client.flatten().map(|address| address.to_canonical())
    }
}

/// An address as proxies write it, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(with_port)
}

/// Reads the header of the PROXY protocol with which a connection begins, and
/// returns the client that it names; `None` where there is no header, or the
/// proxy connects for itself.
///
/// # Errors
/// Where what begins like one is none, or the connection breaks off.
pub(super) async fn source(stream: &mut TcpStream) -> io::Result<Option<IpAddr>> {
    let mut beginning = [0; BEGINNING];
    loop {
        let there = stream.peek(&mut beginning).await?;
        let of_signature = &beginning[..there.min(SIGNATURE.len())];
        if there == 0 || !SIGNATURE.starts_with(of_signature) {
            return Ok(None);
        }
        if there == BEGINNING {
            break;
        }
        // Peeking does not wait for more than there was.
        tokio::time::sleep(LOOK).await;
    }
    let [.., high, low] = beginning;
    let length = BEGINNING + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut header = vec![0; length];
    stream.read_exact(&mut header).await?;
    let config = ParseConfig {
        include_tlvs: false,
        allow_v1: false,
        allow_v2: true,
    };
    let (header, _) =
        ProxyHeader::parse(&header, config).map_err(|_| io::ErrorKind::InvalidData)?;
    let proxied = header.proxied_address();
    Ok(proxied.map(|addresses| addresses.source.ip().to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(headers: &[(&'static str, &str)]) -> Result<Option<String>, Ambiguous> {
        let proxies = ["10.0.0.0/8", "2001:db8:1::/48"].map(|network| network.parse().unwrap());
        let headers = headers.iter().map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, value.parse().unwrap())
        });
        let client = Proxies::new(&proxies).client(&headers.collect())?;
        Ok(client.map(|address| address.to_string()))
    }

    #[test]
    fn the_client_is_the_last_that_is_no_trusted_proxy() {
        for (name, value, expected) in [
            ("x-forwarded-for", "192.0.2.1", Some("192.0.2.1")),
            ("x-forwarded-for", "1.1.1.1, 192.0.2.1", Some("192.0.2.1")),
            (
                "x-forwarded-for",
                "192.0.2.1, 10.1.1.1,10.2.2.2",
                Some("192.0.2.1"),
            ),
            ("x-forwarded-for", "192.0.2.1:4711", Some("192.0.2.1")),
            ("x-forwarded-for", "[2001:db8::7]:4711", Some("2001:db8::7")),
            (
                "x-forwarded-for",
                "2001:db8::7, 2001:db8:1::1",
                Some("2001:db8::7"),
            ),
            ("x-forwarded-for", "192.0.2.1, unknown, 10.1.1.1", None),
            ("x-forwarded-for", "10.1.1.1", None),
            ("x-forwarded-for", "", None),
            ("forwarded", "for=192.0.2.1;proto=https", Some("192.0.2.1")),
            (
                "forwarded",
                "For=1.1.1.1, for=\"[2001:db8::7]:47\"",
                Some("2001:db8::7"),
            ),
            (
                "forwarded",
                "for=192.0.2.1, for=10.1.1.1",
                Some("192.0.2.1"),
            ),
            ("forwarded", "for=192.0.2.1, for=_hidden", None),
            ("forwarded", "for=\"x, for=192.0.2.1", Some("192.0.2.1")),
            ("forwarded", "nonsense", None),
        ] {
            let found = client(&[(name, value)]);
            assert_eq!(found, Ok(expected.map(str::to_owned)), "{name}: {value}");
        }
        assert_eq!(client(&[]), Ok(None));
    }

    #[test]
    fn a_client_cannot_choose_its_address_by_the_header_that_the_proxy_does_not_write() {
        let written = ("x-forwarded-for", "192.0.2.1");
        let chosen = ("forwarded", "for=198.51.100.1");
        assert_eq!(client(&[written, chosen]), Err(Ambiguous));
        let same = ("forwarded", "for=1.1.1.1, for=192.0.2.1");
        assert_eq!(client(&[written, same]), Ok(Some("192.0.2.1".to_owned())));
    }
}
