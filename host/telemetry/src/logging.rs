//! Logs: human on a terminal, JSON otherwise; both to standard error.

use std::io::IsTerminal;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use super::traces;
use floodgate_process::harmless::LogWriter;

const DEFAULT: &str = "info,refinery_core=warn";

/// Libraries that write what they are handed into their debug logs: the
/// parameters of a statement are bodies.
const INDISCREET: [&str; 1] = ["tokio_postgres"];

pub(super) fn layer<S>() -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let filter = filter.and(filter_fn(may_be_logged));
    let is_terminal = std::io::stderr().is_terminal();
    let writer = move || LogWriter::new(std::io::stderr(), is_terminal);
    let log = fmt::layer().with_writer(writer);
    if is_terminal {
        log.with_filter(filter).boxed()
    } else {
        // The list has the current span as its last.
        let log = log.json().flatten_event(true).with_current_span(false);
        log.with_filter(filter).boxed()
    }
}

/// Whatever `RUST_LOG` says.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let indiscreet = || INDISCREET.iter().any(|library| target.starts_with(library));
    target != traces::TARGET && (*metadata.level() <= Level::INFO || !indiscreet())
}
