//! API keys: who may post to flows that ask for one.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::flow::FlowName;

const LINE: &str =
    "write <name> sha256:<64 hex digits> [<flow>,<flow>…]; floodgate keys new makes one";

/// All keys that are known, by the first bytes of their hashes.
#[derive(Default)]
pub struct KeyRing {
    keys: HashMap<[u8; 8], Vec<Key>>,
}

/// One key. It has 256 random bits, so its hash needs no salt and no slowness.
struct Key {
    name: Arc<str>,
    /// SHA-256.
    hash: [u8; 32],
    /// Empty: all that ask for a key.
    flows: Vec<String>,
}

/// What is wrong with a line of a key file. Never quotes more than the name.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyProblem {
    /// Counted from 1.
    pub line: usize,
    what: String,
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}; {LINE}", self.line, self.what)
    }
}

/// Why a request may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no such key.
    Unknown,
    /// It is for other flows.
    OfOtherFlows,
}

impl KeyRing {
    /// One key in each line, or between semicolons; `#` begins a comment.
    ///
    /// # Errors
    /// All lines that are wrong.
    pub fn parse(text: &str) -> Result<Self, Vec<KeyProblem>> {
        let mut ring = Self::default();
        let mut names = BTreeSet::new();
        let mut problems = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            for entry in line
                .split(';')
                .map(str::trim)
                .filter(|entry| !entry.is_empty())
            {
                let added = key(entry).and_then(|key| match names.insert(Arc::clone(&key.name)) {
                    true => Ok(key),
                    false => Err(format!("{} is there twice", key.name)),
                });
                match added {
                    Ok(key) => ring.keys.entry(index_of(&key.hash)).or_default().push(key),
                    Err(what) => problems.push(KeyProblem {
                        line: index + 1,
                        what,
                    }),
                }
            }
        }
        match problems.is_empty() {
            true => Ok(ring),
            false => Err(problems),
        }
    }

    pub fn len(&self) -> usize {
        self.keys.values().map(Vec::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether any key is good for the flow.
    pub fn has_one_for(&self, flow: &FlowName) -> bool {
        self.keys.values().flatten().any(|key| key.is_for(flow))
    }

    /// The name of the key. Which candidates there are depends on the hash of
    /// what was presented alone; they are compared in constant time.
    pub fn check(&self, presented: &[u8], flow: &FlowName) -> Result<Arc<str>, Denied> {
        let hash: [u8; 32] = Sha256::digest(presented).into();
        let mut candidates = self.keys.get(&index_of(&hash)).into_iter().flatten();
        let key = candidates.find(|key| bool::from(key.hash.ct_eq(&hash)));
        match key.ok_or(Denied::Unknown)? {
            key if key.is_for(flow) => Ok(Arc::clone(&key.name)),
            _ => Err(Denied::OfOtherFlows),
        }
    }
}

impl Key {
    fn is_for(&self, flow: &FlowName) -> bool {
        self.flows.is_empty() || self.flows.iter().any(|name| name == flow.as_str())
    }
}

fn index_of(hash: &[u8; 32]) -> [u8; 8] {
    let mut index = [0; 8];
    index.copy_from_slice(&hash[..8]);
    index
}

fn key(entry: &str) -> Result<Key, String> {
    let mut words = entry.split_whitespace();
    let name = words.next().unwrap_or_default();
    if !is_key_name(name) {
        return Err("a name has 1 to 64 of a to z, 0 to 9, - and _".to_owned());
    }
    let digits = words.next().and_then(|word| word.strip_prefix("sha256:"));
    let mut hash = [0; 32];
    digits
        .and_then(|digits| hex::decode_to_slice(digits, &mut hash).ok())
        .ok_or_else(|| format!("{name} has no hash"))?;
    let flows = words.next().unwrap_or_default();
    if words.next().is_some() {
        return Err(format!("{name} is followed by too much"));
    }
    let flows = flows.split(',').filter(|flow| !flow.is_empty());
    Ok(Key {
        name: name.into(),
        hash,
        flows: flows.map(str::to_owned).collect(),
    })
}

pub fn is_key_name(text: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// A key that nobody has, and the line by which it is known.
pub fn new_key(name: &str, flows: &[String]) -> (String, String) {
    let secret: [u8; 32] = rand::random();
    // The prefix lets scanners for secrets know what they found.
    let key = format!("fgk_{}", hex::encode(secret));
    let mut line = line_of(name, &key);
    if !flows.is_empty() {
        line.push(' ');
        line.push_str(&flows.join(","));
    }
    (key, line)
}

/// Whether it is one that [`new_key`] made.
pub fn is_key(text: &str) -> bool {
    let secret = text.strip_prefix("fgk_");
    secret.is_some_and(|secret| hex::decode(secret).is_ok_and(|secret| secret.len() == 32))
}

/// The line of a key that is for all flows.
pub fn line_of(name: &str, key: &str) -> String {
    let hash = hex::encode(Sha256::digest(key.as_bytes()));
    format!("{name} sha256:{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_key_is_known_by_its_line_and_only_for_its_flows() {
        let (all, line_of_all) = new_key("all", &[]);
        let (some, line_of_some) = new_key("some", &["events".to_owned(), "tasks".to_owned()]);
        let text = format!("# keys\n{line_of_all}\n\n  {line_of_some} # shop\n");
        let ring = KeyRing::parse(&text).unwrap();
        let (events, credit) = (FlowName::new("events"), FlowName::new("credit"));
        assert_eq!(ring.check(all.as_bytes(), &credit).as_deref(), Ok("all"));
        assert_eq!(ring.check(some.as_bytes(), &events).as_deref(), Ok("some"));
        let denied = ring.check(some.as_bytes(), &credit);
        assert_eq!(denied, Err(Denied::OfOtherFlows));
        for unknown in ["", "fgk_", &all[..all.len() - 1], &line_of_all] {
            let denied = ring.check(unknown.as_bytes(), &events);
            assert_eq!(denied, Err(Denied::Unknown), "{unknown}");
        }
        assert!(ring.has_one_for(&credit));
        let both = format!("{line_of_all};{line_of_some}");
        assert_eq!(KeyRing::parse(&both).unwrap().len(), 2);
    }

    #[test]
    fn every_bad_line_is_named_and_none_is_quoted() {
        let (_, line) = new_key("a", &[]);
        let text = format!("{line}\n{line}\nB sha256:00\nc secret\n{line} x y\n");
        let problems = KeyRing::parse(&text).err().unwrap();
        let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [2, 3, 4, 5]);
        let told: String = problems.iter().map(ToString::to_string).collect();
        assert!(
            !told.contains("secret") && !told.contains(&line[10..30]),
            "{told}"
        );
    }
}
