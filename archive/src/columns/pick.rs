//! Picking values out of a JSON text without a tree of all that is in it.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// JSON Pointers (RFC 6901) as a tree.
#[derive(Debug, Default)]
pub(super) struct Pointers {
    root: Node,
    count: usize,
}

#[derive(Debug, Default)]
struct Node {
    /// Pointers that end here.
    ends: Vec<usize>,
    /// Those, and all that end below.
    all: Vec<usize>,
    children: Vec<(String, Node)>,
}

impl Pointers {
    /// What is no pointer points at nothing; the host refuses such a flow file.
    pub fn new<'a>(pointers: impl IntoIterator<Item = &'a str>) -> Self {
        let mut tree = Self::default();
        for (number, pointer) in pointers.into_iter().enumerate() {
            tree.count += 1;
            match pointer.strip_prefix('/') {
                Some(tokens) => tree.root.add(number, tokens.split('/')),
                None if pointer.is_empty() => tree.root.add(number, std::iter::empty()),
                None => {}
            }
        }
        tree
    }

    /// The JSON text at each pointer, of the last one where a name is there
    /// twice, as Postgres and JavaScript take it.
    pub fn pick<'a>(&self, json: &'a str, found: &mut Vec<Option<&'a str>>) {
        found.clear();
        found.resize(self.count, None);
        // What is no JSON all the way to its end has nothing in it.
        if self.root.enter(json, found).is_err() {
            found.fill(None);
        }
    }
}

impl Node {
    fn add<'a>(&mut self, number: usize, mut tokens: impl Iterator<Item = &'a str>) {
        self.all.push(number);
        let Some(token) = tokens.next() else {
            self.ends.push(number);
            return;
        };
        let token = token.replace("~1", "/").replace("~0", "~");
        let known = self.children.iter().position(|(name, _)| *name == token);
        let at = known.unwrap_or_else(|| {
            self.children.push((token, Self::default()));
            self.children.len() - 1
        });
        self.children[at].1.add(number, tokens);
    }

    /// Looks into an object or a list.
    fn enter<'a>(
        &self,
        json: &'a str,
        found: &mut Vec<Option<&'a str>>,
    ) -> Result<(), serde_json::Error> {
        for &number in &self.ends {
            found[number] = Some(json.trim_ascii());
        }
        let mut reader = serde_json::Deserializer::from_str(json);
        let below = Below { node: self, found };
        match json.trim_ascii_start().as_bytes().first() {
            Some(b'{') if !self.children.is_empty() => reader.deserialize_map(below)?,
            Some(b'[') if !self.children.is_empty() => reader.deserialize_seq(below)?,
            _ => drop(IgnoredAny::deserialize(&mut reader)?),
        }
        reader.end()
    }

    fn child(&self, name: &[u8]) -> Option<&Self> {
        let mut children = self.children.iter();
        children
            .find(|(known, _)| known.as_bytes() == name)
            .map(|(_, node)| node)
    }
}

/// Reads the value that stands at a node.
struct At<'n, 'f, 'a> {
    node: &'n Node,
    found: &'f mut Vec<Option<&'a str>>,
}

impl<'a> DeserializeSeed<'a> for At<'_, '_, 'a> {
    type Value = ();

    /// Not in one go with what is around it: a number that is too large and a
    /// string that is no text are errors to whoever reads them as such.
    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<(), D::Error> {
        for &number in &self.node.all {
            self.found[number] = None;
        }
        let value = <&RawValue>::deserialize(reader)?.get();
        if !self.node.children.is_empty() {
            let entered = self.node.enter(value, self.found);
            return entered.map_err(D::Error::custom);
        }
        for &number in &self.node.ends {
            self.found[number] = Some(value);
        }
        Ok(())
    }
}

/// Reads what an object or a list at a node has.
struct Below<'n, 'f, 'a> {
    node: &'n Node,
    found: &'f mut Vec<Option<&'a str>>,
}

impl<'a> Visitor<'a> for Below<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(node) = map.next_key_seed(Child(self.node))? {
            let Some(node) = node else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            map.next_value_seed(At {
                node,
                found: self.found,
            })?;
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut seq: S) -> Result<(), S::Error> {
        for index in 0_usize.. {
            let more = match self.node.child(index.to_string().as_bytes()) {
                Some(node) => {
                    let found = &mut *self.found;
                    seq.next_element_seed(At { node, found })?.is_some()
                }
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// Which child a name is. As bytes: half of a surrogate pair is no text, and no
/// reason to give up the rest.
struct Child<'n>(&'n Node);

impl<'n, 'a> DeserializeSeed<'a> for Child<'n> {
    type Value = Option<&'n Node>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_bytes(self)
    }
}

impl<'n> Visitor<'_> for Child<'n> {
    type Value = Option<&'n Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.child(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.child(name.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_picked(json: &str, expected: &[(&str, Option<&str>)]) {
        let pointers = Pointers::new(expected.iter().map(|(pointer, _)| *pointer));
        let mut found = Vec::new();
        pointers.pick(json, &mut found);
        let picked: Vec<_> = expected
            .iter()
            .map(|(pointer, _)| *pointer)
            .zip(found)
            .collect();
        assert_eq!(picked, expected, "{json}");
    }

    #[test]
    fn values_are_found_wherever_a_pointer_says() {
        let json = r#" { "a": {"b/c": 1, "d~e": [true, {"f": "x"}], "": null}, "g": 2.50 } "#;
        assert_picked(
            json,
            &[
                ("/a/b~1c", Some("1")),
                ("/a/d~0e/0", Some("true")),
                ("/a/d~0e/1/f", Some(r#""x""#)),
                ("/a/d~0e/2", None),
                ("/a/d~0e/01", None),
                ("/a/", Some("null")),
                ("/g", Some("2.50")),
                ("/g/h", None),
                ("/h", None),
                ("g", None),
            ],
        );
        assert_picked("[[7]]", &[("/0/0", Some("7")), ("", Some("[[7]]"))]);
        assert_picked("7", &[("", Some("7")), ("/0", None)]);
    }

    #[test]
    fn one_pointer_may_be_the_beginning_of_another() {
        let json = r#"{"a": {"b": [1, 2]}}"#;
        assert_picked(
            json,
            &[
                ("/a", Some(r#"{"b": [1, 2]}"#)),
                ("/a/b/1", Some("2")),
                ("/a", Some(r#"{"b": [1, 2]}"#)),
            ],
        );
    }

    #[test]
    fn of_a_name_that_is_there_twice_the_last_one_counts() {
        assert_picked(r#"{"a": 1, "a": 2}"#, &[("/a", Some("2"))]);
        let json = r#"{"a": {"b": 1}, "a": {"c": 2}}"#;
        assert_picked(json, &[("/a/b", None), ("/a/c", Some("2"))]);
        assert_picked(r#"{"a": {"b": 1}, "a": 3}"#, &[("/a/b", None)]);
    }

    #[test]
    fn a_value_that_nothing_takes_spoils_no_other() {
        for strange in ["1e400", r#""\ud800""#, "-0.0e-999"] {
            let json = format!(r#"{{"a": {strange}, "b": 1}}"#);
            assert_picked(
                &json,
                &[("/a/x", None), ("/a", Some(strange)), ("/b", Some("1"))],
            );
        }
    }

    #[test]
    fn names_may_be_escaped_and_strings_be_no_text() {
        assert_picked(r#"{"\u0061\n": 1}"#, &[("/a\n", Some("1"))]);
        let json = r#"{"\ud800": "\udc00", "b": "\ud800", "c": 1}"#;
        assert_picked(json, &[("/b", Some(r#""\ud800""#)), ("/c", Some("1"))]);
    }

    #[test]
    fn what_is_no_json_has_nothing() {
        for json in ["", "{", r#"{"a": 1"#, r#"{"a": 1} x"#, r#"{"a": 1, }"#] {
            assert_picked(json, &[("/a", None)]);
        }
    }

    #[test]
    fn what_is_nested_deep_is_passed_over() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let json = format!(r#"{{"deep": {deep}, "a": 1}}"#);
        assert_picked(&json, &[("/a", Some("1")), ("/deep", Some(&deep))]);
    }
}
