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
    let filter = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let filter = filter.and_then(|directives| EnvFilter::try_new(of_today(&directives)).ok());
    let filter = filter.unwrap_or_else(|| EnvFilter::new(DEFAULT));
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

/// Translates old names in the directives of `RUST_LOG` to the names of today's crates.
/// Each of these crates was a module of the crate `floodgate` before, and people still
/// have the names of the modules in their settings.
fn of_today(directives: &str) -> String {
    let of_today = |directive: &str| {
        let Some(rest) = directive.strip_prefix("floodgate::") else {
            return directive.to_owned();
        };
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        let module = rest.split(|c| !is_name(c)).next().unwrap_or_default();
        let (place, rest) = match module {
            "cli" | "import" | "settings" | "traces" => ("floodgate::", rest),
            "archive" => ("floodgate_archive_client", &rest[module.len()..]),
            "breaker" => ("floodgate_deliver::", rest),
            "oracle" => ("floodgate_oracle_host", &rest[module.len()..]),
            "tasks" | "watch" => ("floodgate_process::", rest),
            _ => ("floodgate_", rest),
        };
        format!("{place}{rest}")
    };
    let directives = directives.split(',').map(|directive| directive.trim());
    directives.map(of_today).collect::<Vec<_>>().join(",")
}

/// Whatever `RUST_LOG` says.
fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let indiscreet = || INDISCREET.iter().any(|library| target.starts_with(library));
    target != traces::TARGET && (*metadata.level() <= Level::INFO || !indiscreet())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_have_in_rust_log_names_the_crates_of_today() {
        for (said, of_now) in [
            (
                "info,floodgate::ingest=debug",
                "info,floodgate_ingest=debug",
            ),
            (
                "floodgate::backbone::redis=trace",
                "floodgate_backbone::redis=trace",
            ),
            ("floodgate::oracle::seat", "floodgate_oracle_host::seat"),
            ("floodgate::archive=debug", "floodgate_archive_client=debug"),
            ("floodgate::tasks=off", "floodgate_process::tasks=off"),
            ("floodgate::cli::host=debug", "floodgate::cli::host=debug"),
            ("floodgate=debug", "floodgate=debug"),
            (
                "floodgate_worker=debug, hyper=warn",
                "floodgate_worker=debug,hyper=warn",
            ),
        ] {
            assert_eq!(of_today(said), of_now, "{said}");
        }
    }
}
