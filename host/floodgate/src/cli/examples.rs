//! What `--help` shows of each command in use. A test parses every line.

use clap::Command;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  not done: it failed, or what was asked for is not so
  2  the command line is wrong

floodgate <COMMAND> --help has examples.";

/// (command, lines), in the order of the commands.
const EXAMPLES: &[(&str, &str)] = &[
    (
        "serve",
        "
floodgate serve --redis-url redis://127.0.0.1 --database-url postgres://127.0.0.1/floodgate
floodgate serve --role worker --oracles plugins/dist",
    ),
    (
        "dev",
        "
floodgate dev
floodgate dev --ephemeral --listen 127.0.0.1:0",
    ),
    (
        "migrate",
        "
floodgate migrate --database-url postgres://127.0.0.1/floodgate",
    ),
    (
        "keys new",
        "
floodgate keys new of-a-bank --file keys
floodgate keys new of-a-bank --flow events --flow tasks --json",
    ),
    (
        "oracle new",
        "
floodgate oracle new large-value
floodgate oracle new large-value --path oracles/large-value",
    ),
    (
        "oracle build",
        "
floodgate oracle build large-value --out plugins/dist",
    ),
    (
        "oracle watch",
        "
floodgate oracle watch large-value
floodgate oracle watch large-value --sample bodies.ndjson --setting large_eth=50",
    ),
    (
        "oracle check",
        "
floodgate oracle check plugins/dist/mempool-risk.wasm
floodgate oracle check large-value.wasm --sample bodies.ndjson --setting large_eth=50 --json",
    ),
    (
        "oracle verify",
        "
floodgate oracle verify transactions 0x5d1c9a2f
floodgate oracle verify tasks 7 --json",
    ),
    (
        "health",
        "
floodgate health
floodgate health --ready
floodgate health --admin http://10.0.0.7:9090 --json",
    ),
    (
        "flows",
        "
floodgate flows
floodgate flows --json",
    ),
    (
        "flows check",
        "
floodgate flows check flows",
    ),
    (
        "oracles",
        "
floodgate oracles
floodgate oracles --json",
    ),
    (
        "oracles rollback",
        "
floodgate oracles rollback mempool-risk",
    ),
    (
        "oracles pin",
        "
floodgate oracles pin mempool-risk 5c941c8a7f92",
    ),
    (
        "oracles unpin",
        "
floodgate oracles unpin mempool-risk",
    ),
    (
        "pending",
        "
floodgate pending
floodgate pending transactions --max 10 --json",
    ),
    (
        "decisions",
        "
floodgate decisions
floodgate decisions transactions --max 5 --json",
    ),
    (
        "query",
        "
floodgate query events 'SELECT count(*) AS events, min(at), max(at) FROM events'
floodgate query transactions 'SELECT id, score FROM transactions WHERE at >= $from' --param from=2026-01-01
floodgate query events 'SELECT count(*) FROM events' --explain
floodgate query events 'SELECT id, at FROM events LIMIT 100' --csv",
    ),
    (
        "why",
        "
floodgate why transactions 0x5d1c9a2f",
    ),
    (
        "dead list",
        "
floodgate dead list --since 2h
floodgate dead list --flow transactions --fault timeout --json",
    ),
    (
        "dead show",
        "
floodgate dead show transactions 0x5d1c9a2f",
    ),
    (
        "dead requeue",
        "
floodgate dead requeue --digest 5c941c8a7f92 --dry-run
floodgate dead requeue --flow transactions --since 2h --rate 100",
    ),
    (
        "dead purge",
        "
floodgate dead purge --flow transactions --id 0x5d1c9a2f",
    ),
    (
        "erase",
        "
floodgate erase transactions 0x5d1c9a2f
floodgate erase events 7d0e2f5c-6a57-4d0b-9a7e-3b1c4f6e8a90 --json",
    ),
    (
        "audit",
        "
floodgate audit --since 2h --flow transactions
floodgate audit --kind swap,rollback,pin,unpin
floodgate audit --max 100 --json",
    ),
    (
        "import",
        "
floodgate import transactions history.ndjson
floodgate import events events.csv --url http://127.0.0.1:8000 --batch 500",
    ),
    (
        "load",
        "
floodgate load
floodgate load --requests 5000 --concurrency 50 --json",
    ),
    (
        "stand-in",
        "
floodgate stand-in --listen 127.0.0.1:8080",
    ),
    (
        "prove",
        "
floodgate prove --for 60s
floodgate prove --for 60s --only hostile
floodgate prove --for 10s --faults kill-worker,cut-redis --seed 7",
    ),
    (
        "completions",
        "
floodgate completions bash
floodgate completions zsh",
    ),
];

pub(super) fn add_to(root: Command) -> Command {
    let root = root.after_help(EXIT_CODES);
    EXAMPLES.iter().fold(root, |root, (path, lines)| {
        add(root, &mut path.split(' '), lines)
    })
}

fn add<'p>(command: Command, path: &mut impl Iterator<Item = &'p str>, lines: &str) -> Command {
    match path.next() {
        Some(name) => command.mut_subcommand(name, |command| add(command, path, lines)),
        None => {
            let examples = format!("Examples:{}", lines.replace('\n', "\n  "));
            // With --help clap shows the long one alone.
            let long = command.get_after_long_help();
            let long = long.map(|long| format!("{long}\n\n{examples}"));
            let command = command.after_help(&examples);
            command.after_long_help(long.unwrap_or(examples))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    /// All that do something themselves, with their paths.
    fn commands<'c>(of: &'c Command, path: &str) -> Vec<(String, &'c Command)> {
        let shown = of.get_subcommands().filter(|inner| !inner.is_hide_set());
        let inner = shown.flat_map(|command| {
            let path = format!("{path} {}", command.get_name());
            commands(command, &path)
        });
        let itself = (!of.is_subcommand_required_set()).then(|| (path.trim().to_owned(), of));
        itself.into_iter().chain(inner).collect()
    }

    #[test]
    fn every_command_has_an_example_and_none_is_stale() {
        let root = add_to(Cli::command());
        for (path, command) in commands(&root, "") {
            for long in [false, true] {
                let mut command = command.clone().term_width(0);
                let help = match long {
                    true => command.render_long_help(),
                    false => command.render_help(),
                };
                let help = help.to_string();
                let examples = help.lines().map(str::trim);
                let examples: Vec<&str> = examples
                    .filter(|line| line.starts_with(&format!("floodgate {path}")))
                    .collect();
                assert!(!examples.is_empty(), "{path}: {help}");
                for example in examples {
                    let words = shlex::split(example).unwrap();
                    let parsed = Cli::try_parse_from(words);
                    assert!(parsed.is_ok(), "{example}: {}", parsed.err().unwrap());
                }
            }
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        add_to(Cli::command()).debug_assert();
    }
}
