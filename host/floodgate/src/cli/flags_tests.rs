//! Every flag that a message or a page names is one that there is.

use std::collections::BTreeSet;
use std::path::Path;

use walkdir::WalkDir;

/// Flags of other programs, which sources and pages name, too.
const OF_OTHERS: &[(&str, &[&str])] = &[
    (
        "cargo",
        &[
            "--bench",
            "--lib",
            "--manifest-path",
            "--package",
            "--profile",
            "--release",
            "--test",
            "--workspace",
        ],
    ),
    (
        "docker compose",
        &[
            "--all",
            "--force-recreate",
            "--no-deps",
            "--profile",
            "--tail",
        ],
    ),
    (
        "floodgate-archive",
        &[
            "--cold",
            "--memory",
            "--once",
            "--queries",
            "--spill",
            "--spill-most",
            "--token-file",
        ],
    ),
    (
        "our scripts",
        &[
            "--growth",
            "--hostile",
            "--keep",
            "--only",
            "--recent",
            "--servers",
        ],
    ),
    (
        "pg_dump and pg_restore",
        &["--data-only", "--format", "--table"],
    ),
    (
        "redis-cli and redis-check-aof",
        &["--bigkeys", "--fix", "--pattern", "--scan"],
    ),
    ("aws s3 sync", &["--delete"]),
    ("chrt", &["--idle"]),
    ("componentize-js and jco", &["--stub-wasi"]),
];

/// Rooms that start other programs; what they name is theirs.
const STARTERS: &[&str] = &["oracle-build/src", "prove/src/servers"];

fn flags_of(command: &clap::Command, found: &mut BTreeSet<String>) {
    let long = command.get_arguments().filter_map(clap::Arg::get_long);
    found.extend(long.map(|long| format!("--{long}")));
    for subcommand in command.get_subcommands() {
        flags_of(subcommand, found);
    }
}

/// The words of a text that begin with two dashes.
fn named_in(text: &str) -> impl Iterator<Item = &str> {
    let of_flag = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    text.split(move |letter| !of_flag(letter)).filter(|word| {
        let name = word.strip_prefix("--").unwrap_or_default();
        name.starts_with(|first: char| first.is_ascii_lowercase())
    })
}

#[test]
fn every_flag_that_is_named_somewhere_exists() {
    let mut known = BTreeSet::from(["--help".to_owned(), "--version".to_owned()]);
    flags_of(&super::command(), &mut known);
    let others: BTreeSet<&str> = OF_OTHERS
        .iter()
        .flat_map(|(_, flags)| *flags)
        .copied()
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let host = root.join("host");
    let pages = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs",
        "flows",
        "deploy",
    ];
    let places = pages.iter().map(|page| root.join(page));
    let mut strangers = BTreeSet::new();
    let crates = std::fs::read_dir(&host).unwrap();
    let crates: Vec<_> = crates
        .map(|member| member.unwrap().path().join("src"))
        .collect();
    assert!(crates.len() > 10, "{crates:?}");
    for place in places.chain(crates) {
        let files = WalkDir::new(place).into_iter().flatten();
        let files = files.filter(|file| {
            let kinds = ["rs", "md", "toml", "yml"];
            let kind = file.path().extension().and_then(|kind| kind.to_str());
            kind.is_some_and(|kind| kinds.contains(&kind)) && file.path().is_file()
        });
        for file in files {
            let path = file.path();
            let starts_others = STARTERS
                .iter()
                .any(|room| path.starts_with(host.join(room)));
            if starts_others || path.ends_with(file!().rsplit('/').next().unwrap()) {
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            let unknown =
                named_in(&text).filter(|flag| !known.contains(*flag) && !others.contains(flag));
            strangers.extend(unknown.map(|flag| format!("{flag} in {}", path.display())));
        }
    }
    assert!(strangers.is_empty(), "{strangers:#?}");
}
