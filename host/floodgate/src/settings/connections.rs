//! How much of its clients a front end takes at a time, and what it has for them.

use std::fs;
use std::net::IpAddr;

use bytesize::ByteSize;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use ipnet::IpNet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

/// Connections at a time, where enough files may be open.
const CONNECTIONS: usize = 10_000;

/// Descriptors for everything else: the admin address (256), Redis (32),
/// Postgres (16), and what is read and watched.
const KEPT_BACK: usize = 512;

/// What is in flight at a time at least and at most, where it follows the
/// machine's memory.
const IN_FLIGHT: [u64; 2] = [64 << 20, 256 << 20];

/// What of its clients a front end takes at a time.
#[derive(Clone, Debug, Default, Args)]
pub struct ConnectionSettings {
    /// Connections to the front end at a time [default: as ulimit -n allows, at most 10000]
    #[arg(long, env = "FLOODGATE_MAX_CONNECTIONS", value_parser = at_least_one())]
    pub max_connections: Option<usize>,

    /// Of these, those of one peer: an IPv4 address, or an IPv6 network of 64 bits
    /// [default: a quarter of them]
    #[arg(long, env = "FLOODGATE_MAX_CONNECTIONS_PER_PEER", value_parser = at_least_one())]
    pub max_connections_per_peer: Option<usize>,

    /// Bytes of requests in flight at a time, such as 256MiB, of which one peer holds
    /// at most a quarter [default: an eighth of the memory, 64MiB to 256MiB]
    #[arg(long, env = "FLOODGATE_MAX_IN_FLIGHT")]
    pub max_in_flight: Option<ByteSize>,

    /// Network of a proxy, such as 10.0.0.0/8, that is believed when it says for whom it
    /// speaks: by Forwarded, X-Forwarded-For or the PROXY protocol v2; may be given
    /// several times
    #[arg(
        long = "trusted-proxy",
        env = "FLOODGATE_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_parser = network
    )]
    pub trusted_proxies: Vec<IpNet>,
}

/// A network, or an address.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text
        .parse()
        .map(|address: IpAddr| IpNet::from(address.to_canonical()));
    let network = address.or_else(|_| text.parse());
    network.map_err(|_| "write a network such as 10.0.0.0/8, or an address".to_owned())
}

fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub connections: usize,
    pub of_one_peer: usize,
    /// Bytes.
    pub in_flight: usize,
}

impl ConnectionSettings {
    /// Chooses how much is taken at a time, raises the limit of open files to
    /// it where that is allowed, and says what was chosen. `others`: connections
    /// to other servers besides those that every host has.
    pub fn choose(&self, others: usize) -> Chosen {
        let wanted = self.max_connections.unwrap_or(CONNECTIONS);
        let kept_back = KEPT_BACK + others;
        let files = raise_open_files(wanted.saturating_add(kept_back));
        let connections = fitting(wanted, kept_back, files);
        if connections < wanted && self.max_connections.is_some() {
            warn!(
                wanted,
                connections, files, "fewer connections than --max-connections: raise ulimit -n"
            );
        }
        let of_one_peer = self
            .max_connections_per_peer
            .unwrap_or(connections.div_ceil(4));
        let in_flight = match self.max_in_flight {
            Some(ByteSize(bytes)) => bytes,
            None => (memory() / 8).clamp(IN_FLIGHT[0], IN_FLIGHT[1]),
        };
        info!(
            connections,
            of_one_peer,
            open_files = files,
            in_flight = %ByteSize(in_flight),
            "limits of the front end"
        );
        Chosen {
            connections,
            of_one_peer,
            in_flight: usize::try_from(in_flight).unwrap_or(usize::MAX),
        }
    }
}

/// Returns how many connections there may be where so many files may be open.
fn fitting(wanted: usize, kept_back: usize, files: usize) -> usize {
    // Below that everything is short of descriptors, whatever is kept back.
    let left = files.saturating_sub(kept_back).max(files / 4).max(1);
    wanted.min(left)
}

/// Raises the soft limit of open files, no higher than is needed: children get
/// it too. Returns how many may be open.
fn raise_open_files(needed: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let Some(now) = limit.current else {
        return usize::MAX;
    };
    let needed = limit.maximum.unwrap_or(u64::MAX).min(needed as u64);
    if needed <= now {
        return now as usize;
    }
    let raised = Rlimit {
        current: Some(needed),
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => needed as usize,
        Err(error) => {
            warn!(%error, files = now, "limit of open files not raised");
            now as usize
        }
    }
}

/// Returns the bytes of memory that this machine has, or this container may use.
fn memory() -> u64 {
    let machine = rustix::system::sysinfo();
    let machine = u64::from(machine.mem_unit).saturating_mul(machine.totalram as u64);
    let of_container = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limits = of_container.into_iter().filter_map(|file| {
        // `max` where there is none.
        fs::read_to_string(file).ok()?.trim().parse().ok()
    });
    limits.fold(machine, u64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_kept_back_for_everything_else() {
        assert_eq!(fitting(10_000, 600, 1 << 20), 10_000);
        assert_eq!(fitting(10_000, 600, 1024), 424);
        assert_eq!(fitting(100, 600, 1024), 100);
        assert_eq!(fitting(10_000, 600, 256), 64);
        assert_eq!(fitting(10_000, 600, 0), 1);
    }

    #[test]
    fn a_peer_has_a_quarter_where_nothing_else_is_said() {
        let chosen = ConnectionSettings {
            max_connections: Some(10),
            max_in_flight: Some(ByteSize::mib(100)),
            ..ConnectionSettings::default()
        };
        let expected = Chosen {
            connections: 10,
            of_one_peer: 3,
            in_flight: 100 << 20,
        };
        assert_eq!(chosen.choose(0), expected);
    }

    #[test]
    fn what_follows_the_memory_is_within_bounds() {
        let chosen = ConnectionSettings::default().choose(0);
        assert!(
            (64 << 20..=256 << 20).contains(&chosen.in_flight),
            "{chosen:?}"
        );
    }
}
