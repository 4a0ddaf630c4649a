//! API keys: who may use flows that ask for one, and to whom entries belong.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use floodgate_flow::FlowName;

const LINE: &str = "write <name> sha256:<64 hex digits> [owner=<owner>] [<flow>,<flow>…]; floodgate keys new makes one";

const NAME: &str = "a name has 1 to 64 of a to z, 0 to 9, - and _";

/// All keys that are known, by the first bytes of their hashes.
#[derive(Default)]
pub struct KeyRing {
    keys: HashMap<[u8; 8], Vec<Key>>,
}

/// One key. It has 256 random bits, so its hash needs no salt and no slowness.
struct Key {
    caller: Caller,
    /// SHA-256.
    hash: [u8; 32],
    /// Empty: all that ask for a key.
    flows: Vec<String>,
}

/// Who shows a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The name of the key.
    pub key: Arc<str>,
    /// To whom entries, rates and Idempotency-Keys of this key belong: what the
    /// key's line says, else the key's name. Keys of one owner take each
    /// other's place.
    pub owner: Arc<str>,
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
                let added = key(entry).and_then(|key| {
                    let name = &key.caller.key;
                    match names.insert(Arc::clone(name)) {
                        true => Ok(key),
                        false => Err(format!("{name} is there twice")),
                    }
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

    /// Finds who presents a key. Which candidates there are depends on the hash
    /// of what was presented alone; they are compared in constant time.
    pub fn check(&self, presented: &[u8], flow: &FlowName) -> Result<Caller, Denied> {
        let hash: [u8; 32] = Sha256::digest(presented).into();
        let mut candidates = self.keys.get(&index_of(&hash)).into_iter().flatten();
        let key = candidates.find(|key| bool::from(key.hash.ct_eq(&hash)));
        match key.ok_or(Denied::Unknown)? {
            key if key.is_for(flow) => Ok(key.caller.clone()),
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
        return Err(NAME.to_owned());
    }
    let digits = words.next().and_then(|word| word.strip_prefix("sha256:"));
    let mut hash = [0; 32];
    digits
        .and_then(|digits| hex::decode_to_slice(digits, &mut hash).ok())
        // What has none may be no line at all, but a key or a password.
        .ok_or_else(|| "its second word is no hash".to_owned())?;
    let (mut owner, mut flows) = (None, None);
    for word in words {
        let known = match word.strip_prefix("owner=") {
            Some(word) if !is_key_name(word) => {
                return Err(format!("the owner of {name} is no name: {NAME}"));
            }
            Some(word) => owner.replace(word),
            None => flows.replace(word),
        };
        if known.is_some() {
            return Err(format!("{name} is followed by too much"));
        }
    }
    let key: Arc<str> = name.into();
    let flows = flows.unwrap_or_default().split(',');
    Ok(Key {
        caller: Caller {
            owner: owner.map_or_else(|| Arc::clone(&key), Arc::from),
            key,
        },
        hash,
        flows: flows
            .filter(|flow| !flow.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

/// Whether it is a name of a key, or of an owner.
pub fn is_key_name(text: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(plain)
}

/// A key that nobody has, and the line by which it is known.
pub fn new_key(name: &str, owner: Option<&str>, flows: &[String]) -> (String, String) {
    let secret: [u8; 32] = rand::random();
    // The prefix lets scanners for secrets know what they found.
    let key = format!("fgk_{}", hex::encode(secret));
    let mut line = line_of(name, &key);
    if let Some(owner) = owner {
        line.push_str(" owner=");
        line.push_str(owner);
    }
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

    fn name_of(caller: Result<Caller, Denied>) -> Result<String, Denied> {
        caller.map(|caller| caller.key.to_string())
    }

    #[test]
    fn a_new_key_is_known_by_its_line_and_only_for_its_flows() {
        let (all, line_of_all) = new_key("all", None, &[]);
        let flows = ["events".to_owned(), "tasks".to_owned()];
        let (some, line_of_some) = new_key("some", None, &flows);
        let text = format!("# keys\n{line_of_all}\n\n  {line_of_some} # shop\n");
        let ring = KeyRing::parse(&text).unwrap();
        let (events, credit) = (FlowName::new("events"), FlowName::new("credit"));
        let known = name_of(ring.check(all.as_bytes(), &credit));
        assert_eq!(known.as_deref(), Ok("all"));
        let known = name_of(ring.check(some.as_bytes(), &events));
        assert_eq!(known.as_deref(), Ok("some"));
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
    fn a_line_names_an_owner_before_its_flows_or_behind_them() {
        let flows = ["events".to_owned()];
        let (old, line_of_old) = new_key("shop", None, &flows);
        let (new, line_of_new) = new_key("shop-2", Some("shop"), &flows);
        let words: Vec<_> = line_of_new.split(' ').collect();
        let turned = [words[0], words[1], words[3], words[2]].join(" ");
        for line_of_new in [line_of_new.clone(), turned] {
            let ring = KeyRing::parse(&format!("{line_of_old}\n{line_of_new}")).unwrap();
            let events = FlowName::new("events");
            let caller = |key: &str| ring.check(key.as_bytes(), &events).unwrap();
            assert_eq!((&*caller(&old).key, &*caller(&old).owner), ("shop", "shop"));
            assert_eq!(
                (&*caller(&new).key, &*caller(&new).owner),
                ("shop-2", "shop")
            );
            let denied = ring.check(new.as_bytes(), &FlowName::new("credit"));
            assert_eq!(denied, Err(Denied::OfOtherFlows));
        }
        for more in [
            "owner=",
            "owner=A",
            "owner=a owner=b",
            "a b",
            "a,b owner=c d",
        ] {
            let (_, line) = new_key("shop", None, &[]);
            let problems = KeyRing::parse(&format!("{line} {more}"));
            assert_eq!(
                problems.err().map(|problems| problems.len()),
                Some(1),
                "{more}"
            );
        }
    }

    #[test]
    fn every_bad_line_is_named_and_none_is_quoted() {
        let (_, line) = new_key("a", None, &[]);
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
