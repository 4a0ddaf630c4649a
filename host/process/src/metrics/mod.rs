//! What is counted and measured, for Prometheus.
//!
//! [`table`] names everything there is. Whoever counts asks it once for a
//! handle and holds that for as long as its labels stay the same: no lookup is
//! made for an entry. Without a recorder, as in a test, handles count nothing.

mod named;
mod page;
mod recorder;
pub mod table;

pub use self::named::{Kind, Metric, Named};
pub use self::page::page;
pub use self::recorder::{Recorder, snapshot};
