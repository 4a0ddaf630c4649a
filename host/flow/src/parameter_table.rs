//! `[query.parameters]` as written, and what becomes of them.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use toml::de::DeValue;

use super::file::{Found, Section};
use super::parameter::{Absent, Given, Parameter, ParameterKind};
use super::sql::is_parameter_name;

const NAME: &str = "use a to z, 0 to 9 and _, beginning with a letter; rows is taken";
const TYPE: &str = "write type = \"date\", \"time\", \"integer\", \"number\", \"text\", \"choice\", \"boolean\" or \"segment\"";
const CHOICES: &str = "write words that are different, such as of = [\"daily\", \"weekly\"]";
const FIELDS: &str = "write fields such as [\"event_type\", \"properties.*\"]";
const NOT_BEFORE: &str = "name another parameter of the same type: date, time, integer or number";

#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Type {
    Date,
    Time,
    Integer,
    Number,
    Text,
    Choice,
    Boolean,
    Segment,
}

/// `None` where anything is wrong.
pub(super) fn read(table: Section) -> Option<Vec<Parameter>> {
    let (mut parameters, mut not_before) = (Vec::new(), Vec::new());
    let mut bound = BTreeSet::new();
    let mut sound = true;
    for (name, found) in table.entries() {
        let place = found.clone();
        match parameter(&name, found) {
            Some((parameter, reference)) => {
                // A segment binds two, which may have the name of another one.
                for taken in parameter.binds() {
                    if !bound.insert(taken.clone()) {
                        place.report(format_args!("${taken} is there twice"), NAME);
                        sound = false;
                    }
                }
                not_before.extend(reference.map(|found| (parameters.len(), found)));
                parameters.push(parameter);
            }
            None => sound = false,
        }
    }
    for (index, found) in not_before {
        let earlier = earlier(&found, index, &parameters);
        sound &= earlier.is_some();
        parameters[index].not_before = earlier;
    }
    sound.then_some(parameters)
}

/// A parameter, and where it says which one it must not be before.
fn parameter<'f>(name: &str, found: Found<'f>) -> Option<(Parameter, Option<Found<'f>>)> {
    let is_name = is_parameter_name(name) && name != "rows";
    if !is_name {
        found.report(format_args!("{name:?} is no name of a parameter"), NAME);
    }
    let mut table = found.section()?;
    let kind: Type = table.required("type", TYPE)?.read(TYPE)?;
    let kind = of_type(kind, &mut table);
    let not_before = table.optional("not_before");
    let absent = absent(&mut table, kind.as_ref());
    table.finish();
    let parameter = Parameter {
        name: name.into(),
        kind: kind?,
        absent: absent?,
        not_before: None,
    };
    is_name.then_some((parameter, not_before))
}

fn of_type(kind: Type, table: &mut Section) -> Option<ParameterKind> {
    Some(match kind {
        Type::Date => ParameterKind::Date,
        Type::Time => ParameterKind::Time,
        Type::Boolean => ParameterKind::Boolean,
        Type::Integer => {
            let (min, max) = bounds(table, "write an integer")?;
            ParameterKind::Integer { min, max }
        }
        Type::Number => {
            let (min, max) = bounds(table, "write a finite number")?;
            ParameterKind::Number { min, max }
        }
        Type::Text => {
            let max_length = match table.optional("max_length") {
                Some(found) => found.number(1..=4096)?,
                None => 256,
            };
            ParameterKind::Text { max_length }
        }
        Type::Choice => ParameterKind::Choice {
            of: words(table, "of", CHOICES)?,
        },
        Type::Segment => ParameterKind::Segment {
            fields: words(table, "fields", FIELDS)?,
        },
    })
}

/// `None` where one is wrong.
fn bounds<T>(table: &mut Section, remedy: &str) -> Option<(Option<T>, Option<T>)>
where
    T: DeserializeOwned + PartialOrd + Display + Copy,
{
    let mut bound = |key| match table.optional(key) {
        // NaN is not even itself.
        Some(found) => match found.read::<T>(remedy)? {
            bound if bound.partial_cmp(&bound).is_some() => Some(Some((bound, found))),
            bound => {
                found.report(format_args!("{bound} is not possible here"), remedy);
                None
            }
        },
        None => Some(None),
    };
    let (min, max) = (bound("min"), bound("max"));
    let (min, max) = (min?, max?);
    if let (Some((min, _)), Some((max, found))) = (&min, &max)
        && min > max
    {
        found.report("it is below min", remedy);
        return None;
    }
    Some((min.map(|(min, _)| min), max.map(|(max, _)| max)))
}

fn words(table: &mut Section, key: &'static str, remedy: &str) -> Option<Vec<Arc<str>>> {
    let found = table.required(key, remedy)?;
    let words = found.check(remedy, |words: &Vec<String>| {
        let distinct: BTreeSet<&String> = words.iter().collect();
        let sound = |word: &String| (1..=128).contains(&word.len());
        !words.is_empty() && distinct.len() == words.len() && words.iter().all(sound)
    })?;
    Some(words.into_iter().map(Into::into).collect())
}

fn absent(table: &mut Section, kind: Option<&ParameterKind>) -> Option<Absent> {
    let (optional, default) = (table.optional("optional"), table.optional("default"));
    let optional = match optional {
        Some(found) => found.read("write true or false")?,
        None => false,
    };
    let Some(found) = default else {
        return Some(match optional {
            true => Absent::Null,
            false => Absent::Refused,
        });
    };
    if optional {
        let what = "what has a default is never absent";
        found.report(what, "remove it, or optional");
        return None;
    }
    given(&found, kind?).map(Absent::Is)
}

/// Written as TOML writes such a value, or as a request does.
fn given(found: &Found, kind: &ParameterKind) -> Option<Given> {
    let text = match found.raw().get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(_) => found.read::<i64>("write an integer")?.to_string(),
        DeValue::Float(_) => found.read::<f64>("write a number")?.to_string(),
        DeValue::Boolean(is) => is.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => String::new(),
    };
    kind.parse(&text)
        .map_err(|remedy| found.report(format_args!("{text:?} is not possible here"), remedy))
        .ok()
}

fn earlier(found: &Found, index: usize, parameters: &[Parameter]) -> Option<Arc<str>> {
    let name: String = found.read(NOT_BEFORE)?;
    let own = &parameters[index];
    let other = parameters.iter().find(|known| *known.name == *name);
    let fits = other.filter(|other| {
        let same = std::mem::discriminant(&own.kind) == std::mem::discriminant(&other.kind);
        let ordered = matches!(
            own.kind,
            ParameterKind::Date
                | ParameterKind::Time
                | ParameterKind::Integer { .. }
                | ParameterKind::Number { .. }
        );
        same && ordered && other.name != own.name
    });
    if fits.is_none() {
        found.report(format_args!("{name:?} is not possible here"), NOT_BEFORE);
    }
    fits.map(|other| Arc::clone(&other.name))
}
