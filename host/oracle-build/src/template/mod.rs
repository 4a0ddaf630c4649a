//! A new oracle's crate: a rule, its test, a sample, and the SDK that it is
//! written with, so that it needs nothing of Floodgate's checkout.

use std::fmt;
use std::str::FromStr;

/// As the SDK says where the contract is; in a new crate it is inside.
const WIT_OF_CHECKOUT: &str = "../../wit";
const WIT_OF_CRATE: &str = "wit";

/// `r#type` would do for some of the keywords, but not as the name of a crate.
/// The others are crates that a new one is built or tested with.
const TAKEN: &str = "\
    abstract alloc as async await become box break const continue core \
    crate do dyn else enum extern false final floodgate-oracle fn for gen \
    if impl in let loop macro match mod move mut override priv proc-macro \
    pub ref return self serde static std struct super test trait true try \
    type typeof unsafe unsized use virtual where while yield";

/// The name of an oracle: of its crate, its component and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAName {
    #[error(
        "an oracle's name is lowercase words of letters and digits with one hyphen between them, it starts with a letter and has at most 64 characters, such as \"large-value\""
    )]
    Malformed,
    #[error("Rust or an oracle's dependencies have that name; add a word, such as \"{0}-rule\"")]
    Taken(String),
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(plain);
        let starts_well = text.starts_with(|first: char| first.is_ascii_lowercase());
        if !starts_well || text.len() > 64 || !text.split('-').all(is_word) {
            return Err(NotAName::Malformed);
        }
        if TAKEN.split(' ').any(|taken| taken == text) {
            return Err(NotAName::Taken(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! checkout {
    ($path:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../", $path))
    };
}

/// The SDK's sources, by their place in a new crate.
const SDK: [(&str, &str); 4] = [
    ("sdk/src/lib.rs", checkout!("plugins/sdk/src/lib.rs")),
    ("sdk/src/log.rs", checkout!("plugins/sdk/src/log.rs")),
    ("sdk/src/macros.rs", checkout!("plugins/sdk/src/macros.rs")),
    (
        "sdk/src/settings.rs",
        checkout!("plugins/sdk/src/settings.rs"),
    ),
];

const TEMPLATES: [(&str, &str); 6] = [
    (".gitignore", include_str!("gitignore.in")),
    ("Cargo.toml", include_str!("Cargo.toml.in")),
    ("README.md", include_str!("README.md.in")),
    ("sdk/Cargo.toml", include_str!("sdk.toml.in")),
    ("src/lib.rs", include_str!("lib.rs.in")),
    ("tests/judging.rs", include_str!("judging.rs.in")),
];

const AS_THEY_ARE: [(&str, &str); 3] = [
    // What the SDK was tested with; cargo removes what is not needed.
    ("Cargo.lock", checkout!("plugins/Cargo.lock")),
    ("sample.ndjson", include_str!("sample.ndjson")),
    ("sdk/wit/oracle.wit", checkout!("wit/oracle.wit")),
];

/// The files of a new crate: path and content. `directory` is what its
/// README calls the place where it lies.
pub fn files(name: &Name, directory: &str) -> Vec<(&'static str, String)> {
    let filled = |text: &str| {
        text.replace("{{name}}", &name.0)
            .replace("{{crate}}", &name.0.replace('-', "_"))
            .replace("{{directory}}", directory)
            .replace("{{version}}", env!("CARGO_PKG_VERSION"))
    };
    let templates = TEMPLATES.map(|(path, text)| (path, filled(text)));
    let sdk = SDK.map(|(path, text)| (path, text.replace(WIT_OF_CHECKOUT, WIT_OF_CRATE)));
    let others = AS_THEY_ARE.map(|(path, text)| (path, text.to_owned()));
    templates.into_iter().chain(sdk).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use floodgate_flow::Schema;

    fn made() -> Vec<(&'static str, String)> {
        files(&"large-value".parse().unwrap(), "large-value")
    }

    fn toml(text: &str) -> toml::Table {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_one_of_a_crate_and_of_a_component() {
        for good in ["a", "large-value", "x2", "rule-66"] {
            assert_eq!(good.parse::<Name>().unwrap().to_string(), good);
        }
        let long = "a".repeat(65);
        let bad = [
            "",
            "Large",
            "large_value",
            "-a",
            "a-",
            "a--b",
            "2x",
            "ä",
            "a b",
            "../a",
            "a.wasm",
            &long,
        ];
        for bad in bad {
            assert_eq!(bad.parse::<Name>(), Err(NotAName::Malformed), "{bad:?}");
        }
        let taken = "match".parse::<Name>().unwrap_err();
        assert!(taken.to_string().contains("match-rule"), "{taken}");
    }

    #[test]
    fn no_placeholder_is_left_and_the_contract_is_found_inside() {
        let placeholder = [
            "{{name",
            "{{crate",
            "{{directory",
            "{{version",
            WIT_OF_CHECKOUT,
        ];
        for (path, text) in made() {
            for left in placeholder {
                assert!(!text.contains(left), "{path}: {left}");
            }
        }
        let sdk = made()
            .into_iter()
            .find(|(path, _)| *path == "sdk/src/lib.rs");
        assert!(sdk.unwrap().1.contains(r#"path: "wit""#));
    }

    #[test]
    fn the_whole_sdk_is_there_with_the_dependencies_and_the_profile_of_the_checkout() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
        let sources = plugins.join("sdk/src").read_dir().unwrap().count();
        assert_eq!(sources, SDK.len(), "SDK lists the files of plugins/sdk/src");

        let read = |path: &str| toml(&std::fs::read_to_string(plugins.join(path)).unwrap());
        let (workspace, sdk) = (read("Cargo.toml"), read("sdk/Cargo.toml"));
        let (made, made_sdk) = (toml(TEMPLATES[1].1), toml(TEMPLATES[3].1));
        assert_eq!(made["profile"], workspace["profile"]);
        let mut dependencies = sdk["dependencies"].clone();
        dependencies["serde"] = workspace["workspace"]["dependencies"]["serde"].clone();
        assert_eq!(made_sdk["dependencies"], dependencies);
        assert_eq!(made["dependencies"]["serde"], dependencies["serde"]);
        let version = workspace["workspace"]["package"]["version"].as_str();
        assert_eq!(version, Some(env!("CARGO_PKG_VERSION")));
    }

    #[test]
    fn the_sample_would_be_admitted_as_transactions() {
        let flows = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../flows");
        let schema = std::fs::read(flows.join("transactions.schema.json")).unwrap();
        let schema = Schema::compile(&schema).unwrap();
        for line in AS_THEY_ARE[1].1.lines() {
            let body = serde_json::from_str(line).unwrap();
            assert_eq!(schema.check(&body, line.as_bytes()), Ok(()), "{line}");
        }
    }
}
