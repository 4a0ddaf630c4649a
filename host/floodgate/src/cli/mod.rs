//! The command line: one file per subcommand.

mod audit;
mod client;
mod completions;
mod dead;
mod decisions;
mod dev;
mod erase;
mod examples;
#[cfg(test)]
mod flags_tests;
mod flows;
mod flows_tried;
mod health;
mod host;
mod import;
mod keys;
mod load;
mod migrate;
mod oracle;
mod oracle_check;
mod oracle_new;
mod oracle_sample;
mod oracle_taken;
mod oracle_verify;
mod oracle_watch;
mod oracles;
mod out;
mod pending;
mod prove;
mod query;
mod secrecy;
mod serve;
mod stand_in;
mod table;
mod time;
mod why;

use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::client::{Client, segment};
use self::out::{JsonOption, note};
use floodgate_admin::Person;
use floodgate_oracle_host::CompileLimits;
use floodgate_process::harmless;

/// A WebAssembly-plugin host with a Redis Streams backbone.
///
/// JSON transactions come in over HTTP, wait in a Redis Stream, are judged by
/// sandboxed oracles and decided once; what matters is kept in Postgres.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the front end, workers, or both
    ///
    /// Logs go to standard error; RUST_LOG says how much of them. With
    /// OTEL_EXPORTER_OTLP_ENDPOINT, traces go to an OpenTelemetry collector.
    Serve(Box<crate::settings::ServeSettings>),
    /// Run all of it in one process on a database file, without Redis and Postgres
    ///
    /// Logs go to standard error; RUST_LOG says how much of them. With
    /// OTEL_EXPORTER_OTLP_ENDPOINT, traces go to an OpenTelemetry collector.
    Dev(Box<crate::settings::DevSettings>),
    /// Bring the ledger's tables up to date
    Migrate(migrate::Arguments),
    /// Make API keys
    #[command(subcommand)]
    Keys(keys::Command),
    /// Start, build, watch and check oracles; make a kept decision again
    #[command(subcommand)]
    Oracle(oracle::Command),
    /// Ask whether Redis and Postgres answer, or whether it is ready
    Health(health::Arguments),
    /// List the flows and what is open of each; check flow files
    Flows(flows::Arguments),
    /// List what the workers run; roll back, pin, unpin
    Oracles(oracles::Arguments),
    /// List entries that were delivered and are not settled
    Pending(pending::Arguments),
    /// List the decisions that were kept last, newest first
    Decisions(decisions::Arguments),
    /// Ask all that a flow ever kept with SQL; floodgate-archive answers
    Query(query::Arguments),
    /// Tell what became of an entry, and what it waits for
    Why(OneEntry),
    /// List, show, requeue or purge dead letters
    #[command(subcommand)]
    Dead(dead::Command),
    /// Remove the body of an entry from wherever it is kept
    ///
    /// That it was decided, and the hash of its body, stay. It cannot be undone.
    Erase(OneEntry),
    /// List who changed what and why: persons, files and the host; newest first
    Audit(audit::Arguments),
    /// Post the lines of a file to a flow; running it again adds nothing
    Import(import::Arguments),
    /// Post transactions, measure, and watch the queue drain
    Load(load::Arguments),
    /// Be a slow and unreliable downstream, to try deliveries with
    StandIn(stand_in::Arguments),
    /// Break everything around a Floodgate of its own, and account for every entry
    Prove(prove::Arguments),
    /// Print what a shell needs to complete these commands
    Completions(completions::Arguments),
    /// Compile an oracle for another floodgate that started this one
    #[command(hide = true)]
    CompileComponent(floodgate_oracle_host::ChildArguments),
}

impl Command {
    fn compile_limits(&self) -> CompileLimits {
        match self {
            Self::Serve(settings) => settings.host.compile,
            Self::Dev(settings) => settings.host.compile,
            Self::Oracle(command) => command.compile_limits(),
            _ => CompileLimits::default(),
        }
    }
}

/// Where a command finds the running Floodgate.
#[derive(Clone, Debug, Args)]
struct AdminOption {
    /// Address of the admin API
    #[arg(long, env = "FLOODGATE_ADMIN", default_value = "http://127.0.0.1:9090")]
    admin: String,
    #[command(flatten)]
    token: crate::settings::AdminTokenSettings,
    /// What you are called, for the audit log; nobody proves it [default: the user's name]
    #[arg(long = "as", env = "FLOODGATE_AS", value_name = "NAME")]
    person: Option<Person>,
}

/// How a command asks the running Floodgate, and prints what it is answered.
#[derive(Clone, Debug, Args)]
struct CallOptions {
    #[command(flatten)]
    json: JsonOption,
    #[command(flatten)]
    admin: AdminOption,
}

impl CallOptions {
    fn client(&self) -> Client {
        Client::new(&self.admin)
    }
}

/// What a command takes that asks for one entry.
#[derive(Debug, Args)]
struct OneEntry {
    /// The flow that it was sent to
    flow: String,
    /// The entry's id
    id: String,
    #[command(flatten)]
    call: CallOptions,
}

impl OneEntry {
    /// Of what the admin API tells of it under `of`.
    fn path(&self, of: &str) -> String {
        format!("/{of}/{}/{}", segment(&self.flow), segment(&self.id))
    }
}

/// Takes memory from the kernel in small pages only. When the first byte is written
/// to a huge page, the kernel zeroes 2 MiB. If hostile clients begin a few hundred
/// bodies and do not end them, all other clients would wait for that. `prove` runs the
/// good client and the hostile client in one process, so the same holds for `prove`.
fn without_huge_pages() {
    // An old kernel refuses, and everything works all the same.
    rustix::thread::disable_transparent_huge_pages(true).ok();
}

/// Parses the command line and does what it says. Exit codes: 0 done,
/// 1 not done, 2 the command line is wrong.
pub fn main() -> ExitCode {
    let cli = parse();
    if let Command::CompileComponent(arguments) = &cli.command {
        return floodgate_oracle_host::run_child(arguments);
    }
    if matches!(
        cli.command,
        Command::Serve(_) | Command::Dev(_) | Command::Prove(_)
    ) {
        without_huge_pages();
    }
    floodgate_oracle_host::this_is_floodgate(cli.command.compile_limits());
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            note(format_args!("error: start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(run(cli.command));
    // A judging thread may be busy until its deadline; it holds nothing.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(harmless::words(&format!("error: {error:#}")));
            ExitCode::FAILURE
        }
    }
}

/// Ends the process where there is nothing to do, or it is not understood.
fn parse() -> Cli {
    let matches = command().try_get_matches();
    let matches = matches.unwrap_or_else(|error| secrecy::unquoted(error, command()).exit());
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// With an example of each command.
fn command() -> clap::Command {
    secrecy::hide_values(examples::add_to(Cli::command()))
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(settings) => serve::run(*settings).await,
        Command::Dev(settings) => dev::run(*settings).await,
        Command::Migrate(arguments) => migrate::run(arguments).await,
        Command::Keys(command) => keys::run(&command),
        Command::Health(arguments) => health::run(arguments).await,
        Command::Oracle(command) => oracle::run(command).await,
        Command::Flows(arguments) => flows::run(arguments).await,
        Command::Oracles(arguments) => oracles::run(arguments).await,
        Command::Pending(arguments) => pending::run(arguments).await,
        Command::Decisions(arguments) => decisions::run(arguments).await,
        Command::Query(arguments) => query::run(arguments).await,
        Command::Why(entry) => why::run(entry).await,
        Command::Dead(command) => dead::run(command).await,
        Command::Erase(arguments) => erase::run(arguments).await,
        Command::Audit(arguments) => audit::run(arguments).await,
        Command::Import(arguments) => import::run(arguments).await,
        Command::Load(arguments) => load::run(arguments).await,
        Command::StandIn(arguments) => stand_in::run(arguments).await,
        Command::Prove(arguments) => prove::run(arguments).await,
        Command::Completions(arguments) => completions::run(&arguments),
        // It needs no runtime: main() has run it.
        Command::CompileComponent(_) => Ok(()),
    }
}
