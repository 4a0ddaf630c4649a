//! Sandboxed judges: loading components, judging batches, hot swap.
//!
//! Nothing outside this module knows what an instance is: workers see oracles
//! that judge batches, and a registry that says which one is in force.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod attending;
mod cache;
mod changed_flows;
mod compiler;
mod complaints;
mod component;
mod contract;
mod engine;
mod guest;
mod health;
#[cfg(test)]
mod hostile_tests;
mod judge;
mod loader;
mod notebook;
mod observation;
mod registry;
mod remembered;
mod sampling;
mod seat;
#[cfg(test)]
mod seat_tests;
mod standing;
mod tally;
mod trial;
mod trials;
mod wasi;
mod watch;
mod words;

#[cfg(test)]
mod registry_tests;
#[cfg(test)]
mod tests;

pub use self::changed_flows::FlowNotTried;
pub use self::compiler::{
    ChildArguments, CompileLimits, CompileOptions, run_child, this_is_floodgate,
};
pub use self::component::{LoadError, Oracle};
pub use self::contract::{Direction, Part};
pub use self::engine::{Engine, EngineError, EngineOptions};
pub use self::health::{Condition, Health};
pub use self::judge::{BatchFault, Refusal};
pub use self::observation::Observation;
pub use self::registry::{Registry, RegistryError, RegistryOptions};
pub use self::standing::{Held, Judge};
pub use self::trial::{Controls, Conviction, Finding, Manner, try_oracle};
pub use self::trials::{Hindrance, Settled};
