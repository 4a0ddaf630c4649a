//! What all HTTP in this process has in common: the client; and of the servers
//! one accept loop with limits and deadlines, peer addresses, problem documents,
//! and one budget of bytes in flight.
//!
//! A stranger chooses how many connections are opened, how fast they are read
//! and how much is sent on them. Everything here is bounded in bytes, time and
//! number, and where a limit is reached, whoever caused it pays.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod accept;
mod activity;
mod answer;
pub mod browser;
mod budget;
pub mod client;
mod date;
mod heads;
pub mod origin;
mod peers;
pub mod problem;
mod proxies;
pub mod request_id;
mod visit;

pub use self::accept::{Limits, Listener};
use self::activity::Activity;
use self::answer::Answer;
pub use self::budget::WINDOWS;
pub use self::budget::{Budget, Exhausted, Grant};
pub use self::peers::{Peer, Peers};
pub use self::proxies::{Ambiguous, Proxies};
pub use self::visit::Visit;
