//! A flow file as written. Keys are taken out of it one by one, every mistake
//! becomes a [`Problem`] with its line, and reading goes on, so that a person
//! sees all of them at once.

use std::cell::RefCell;
use std::fmt::{Debug, Display};
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::Problem;

/// How alike two keys must be for one to be a typo of the other.
const TYPO: f64 = 0.75;

/// The text of a flow file and what was found wrong with it.
pub(super) struct File {
    name: String,
    text: String,
    problems: RefCell<Vec<Problem>>,
}

impl File {
    pub fn new(name: String, text: String) -> Self {
        Self {
            name,
            text,
            problems: RefCell::default(),
        }
    }

    /// The top level of the file; what is no TOML is a problem and left out.
    pub fn root(&self) -> Section<'_> {
        let (root, errors) = DeTable::parse_recoverable(&self.text);
        for error in errors {
            let what = error.message().trim().replace('\n', ", ");
            self.report(
                "",
                error.span(),
                format!("not TOML: {what}"),
                "correct the line",
            );
        }
        Section::new(self, String::new(), root)
    }

    pub fn line(&self, span: &Range<usize>) -> usize {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    fn report(
        &self,
        key: &str,
        span: Option<Range<usize>>,
        what: impl Display,
        remedy: impl Display,
    ) {
        self.problems.borrow_mut().push(Problem {
            file: self.name.clone(),
            line: span.map(|span| self.line(&span)),
            key: key.to_owned(),
            what: what.to_string(),
            remedy: remedy.to_string(),
        });
    }
}

/// One table of the file. Every key that is asked for is thereby known; what
/// is left at [`Section::finish`] is a typo, or a key that does nothing yet.
pub(super) struct Section<'f> {
    file: &'f File,
    path: String,
    span: Range<usize>,
    table: DeTable<'f>,
    known: Vec<&'static str>,
}

impl<'f> Section<'f> {
    fn new(file: &'f File, path: String, table: Spanned<DeTable<'f>>) -> Self {
        Self {
            file,
            path,
            span: table.span(),
            table: table.into_inner(),
            known: Vec::new(),
        }
    }

    pub fn optional(&mut self, key: &'static str) -> Option<Found<'f>> {
        self.known.push(key);
        let value = self.table.remove(key)?;
        Some(Found {
            file: self.file,
            key: self.key(key),
            value,
        })
    }

    pub fn required(&mut self, key: &'static str, remedy: &str) -> Option<Found<'f>> {
        let found = self.optional(key);
        if found.is_none() {
            self.missing(key, remedy);
        }
        found
    }

    pub fn report(&self, span: Range<usize>, what: impl Display, remedy: impl Display) {
        self.file.report(&self.path, Some(span), what, remedy);
    }

    pub fn missing(&self, key: &str, remedy: &str) {
        let line = (!self.span.is_empty()).then(|| self.span.clone());
        self.file.report(&self.key(key), line, "missing", remedy);
    }

    /// A table within this one; empty where the file has none.
    pub fn section(&mut self, key: &'static str) -> Section<'f> {
        self.optional(key)
            .and_then(Found::section)
            .unwrap_or_else(|| {
                let empty = Spanned::new(self.span.clone(), DeTable::new());
                Section::new(self.file, self.key(key), empty)
            })
    }

    /// Every key with its value, for tables whose keys are data.
    pub fn entries(mut self) -> impl Iterator<Item = (String, Found<'f>)> {
        std::mem::take(&mut self.table)
            .into_iter()
            .map(move |(key, value)| {
                let key = key.into_inner().into_owned();
                let found = Found {
                    file: self.file,
                    key: self.key(&key),
                    value,
                };
                (key, found)
            })
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        for key in self.table.keys() {
            let remedy = match self.nearest(key.get_ref()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("remove it; known here: {}", self.known.join(", ")),
            };
            let what = "no key of a flow file";
            let path = self.key(key.get_ref());
            self.file.report(&path, Some(key.span()), what, remedy);
        }
    }

    fn nearest(&self, key: &str) -> Option<&'static str> {
        let alike = |known: &&'static str| strsim::jaro_winkler(known, key);
        let best = self
            .known
            .iter()
            .copied()
            .max_by(|a, b| alike(a).total_cmp(&alike(b)))?;
        (alike(&best) >= TYPO).then_some(best)
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

/// A value of the file and where it stands.
#[derive(Clone)]
pub(super) struct Found<'f> {
    file: &'f File,
    key: String,
    value: Spanned<DeValue<'f>>,
}

impl<'f> Found<'f> {
    pub fn report(&self, what: impl Display, remedy: impl Display) {
        self.report_at(self.value.span(), what, remedy);
    }

    pub fn report_at(&self, span: Range<usize>, what: impl Display, remedy: impl Display) {
        self.file.report(&self.key, Some(span), what, remedy);
    }

    pub fn raw(&self) -> &Spanned<DeValue<'f>> {
        &self.value
    }

    pub fn line(&self) -> usize {
        self.file.line(&self.value.span())
    }

    /// The value, where it has the right type.
    pub fn read<T: DeserializeOwned>(&self, remedy: &str) -> Option<T> {
        let value = ValueDeserializer::from(self.value.clone());
        T::deserialize(value)
            .map_err(|error: toml::de::Error| self.report(error.message(), remedy))
            .ok()
    }

    /// As [`Self::read`], of what may be secret: no problem quotes it.
    pub fn read_secret<T: DeserializeOwned>(&self, remedy: &str) -> Option<T> {
        let value = ValueDeserializer::from(self.value.clone());
        let read = T::deserialize(value).ok();
        if read.is_none() {
            self.report("it is of another type", remedy);
        }
        read
    }

    /// The value, where it has the right type and is one that `sound` accepts.
    pub fn check<T>(&self, remedy: &str, sound: impl FnOnce(&T) -> bool) -> Option<T>
    where
        T: DeserializeOwned + Debug,
    {
        let value = self.read::<T>(remedy)?;
        if !sound(&value) {
            self.report(format_args!("{value:?} is not possible here"), remedy);
            return None;
        }
        Some(value)
    }

    /// What `parse` makes of a string.
    pub fn parse<T, E: Display>(
        &self,
        remedy: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.read::<String>(remedy)?;
        parse(&text)
            .map_err(|error| self.report(format_args!("{text:?}: {error}"), remedy))
            .ok()
    }

    pub fn section(self) -> Option<Section<'f>> {
        let span = self.value.span();
        match self.value.into_inner() {
            DeValue::Table(table) => {
                Some(Section::new(self.file, self.key, Spanned::new(span, table)))
            }
            other => {
                let what = format!("{} where a table belongs", other.type_str());
                let remedy = format!("write it as [{}]", self.key);
                self.file.report(&self.key, Some(span), what, remedy);
                None
            }
        }
    }

    /// The tables of `[[key]]`, counted from 1.
    pub fn sections(self) -> Vec<Section<'f>> {
        let span = self.value.span();
        match self.value.into_inner() {
            DeValue::Array(items) => items
                .into_iter()
                .enumerate()
                .filter_map(|(index, value)| {
                    let key = format!("{}[{}]", self.key, index + 1);
                    let file = self.file;
                    Found { file, key, value }.section()
                })
                .collect(),
            _ => {
                let remedy = format!("write it as [[{}]]", self.key);
                let what = "one value where a list of tables belongs";
                self.file.report(&self.key, Some(span), what, remedy);
                Vec::new()
            }
        }
    }
}
