use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::parameter::{Absent, Given, Parameter};
use super::schema::MAX_VIOLATIONS;
use super::{Digest, Template, Typed};

/// How much of a name that nobody knows is told again.
const MAX_TOLD: usize = 64;

/// `[[query]]`: a path that answers by SQL over all that the flow ever kept.
pub struct Query {
    pub path: Arc<str>,
    pub statements: Statements,
    /// In the order of the flow file.
    pub parameters: Vec<Parameter>,
    pub reply: Template,
    /// How long an answer is good for; `None`: it is made anew each time.
    pub cache: Option<Duration>,
    pub timeout: Duration,
    /// SHA-256 of its SQL, which stands in files of their own.
    pub digest: Digest,
}

/// The SQL of a query.
pub enum Statements {
    One(Statement),
    /// One for each choice of a parameter.
    Each {
        parameter: Arc<str>,
        of: BTreeMap<Arc<str>, Statement>,
    },
}

#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: Arc<str>,
    /// Without the `$`.
    pub parameters: BTreeSet<String>,
}

/// A query as somebody asks it.
#[derive(Debug)]
pub struct Asked {
    pub sql: Arc<str>,
    /// What is bound to the SQL.
    pub bound: BTreeMap<String, Typed>,
    /// What the reply says of the parameters.
    pub shown: BTreeMap<Arc<str>, Value>,
}

/// What is wrong with a parameter of a request. Never quotes its value.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BadParameter {
    pub parameter: String,
    pub message: String,
}

/// A query string, taken apart.
type Written<'q> = Vec<(Cow<'q, str>, Cow<'q, str>)>;

/// `None` is NULL.
pub(super) type GivenByName<'n> = BTreeMap<&'n str, Option<Given>>;

#[derive(Default)]
struct Bad(Vec<BadParameter>);

impl Bad {
    fn report(&mut self, parameter: &str, message: String) {
        self.0.push(BadParameter {
            parameter: parameter.chars().take(MAX_TOLD).collect(),
            message,
        });
    }
}

impl Statements {
    pub(super) fn all(&self) -> impl Iterator<Item = &Statement> {
        let (one, each) = match self {
            Self::One(statement) => (Some(statement), None),
            Self::Each { of, .. } => (None, Some(of.values())),
        };
        one.into_iter().chain(each.into_iter().flatten())
    }

    /// The parameter that chooses among them.
    pub(super) fn chooser(&self) -> Option<&str> {
        match self {
            Self::One(_) => None,
            Self::Each { parameter, .. } => Some(parameter),
        }
    }

    fn chosen(&self, given: &GivenByName) -> Option<&Statement> {
        match self {
            Self::One(statement) => Some(statement),
            Self::Each { parameter, of } => match given.get(&**parameter) {
                Some(Some(Given::Text(choice))) => of.get(&**choice),
                _ => None,
            },
        }
    }
}

impl Query {
    /// Takes the query string of a request apart.
    ///
    /// # Errors
    /// All parameters that are wrong, those of the flow file in its order and
    /// then the unknown ones; at most 20.
    pub fn ask(&self, query: &str) -> Result<Asked, Vec<BadParameter>> {
        let written: Written = form_urlencoded::parse(query.as_bytes()).collect();
        let mut bad = Bad::default();
        let given = self.given(&written, &mut bad);
        self.keep_order(&given, &mut bad);
        self.know_all(&written, &mut bad);
        let Bad(mut bad) = bad;
        bad.truncate(MAX_VIOLATIONS);
        match self.statements.chosen(&given) {
            Some(statement) if bad.is_empty() => Ok(self.asked(statement, &given)),
            _ => Err(bad),
        }
    }

    /// Without those that are wrong.
    fn given(&self, written: &Written, bad: &mut Bad) -> GivenByName<'_> {
        let mut given = BTreeMap::new();
        for parameter in &self.parameters {
            let mut named = written.iter().filter(|(name, _)| *name == *parameter.name);
            let value = match (named.next(), named.next()) {
                (Some(_), Some(_)) => Err("it is there more than once".to_owned()),
                (Some((_, text)), None) => parameter.kind.parse(text).map(Some),
                (None, _) => match &parameter.absent {
                    Absent::Refused => Err("it is missing".to_owned()),
                    Absent::Null => Ok(None),
                    Absent::Is(given) => Ok(Some(given.clone())),
                },
            };
            match value {
                Ok(value) => drop(given.insert(&*parameter.name, value)),
                Err(message) => bad.report(&parameter.name, message),
            }
        }
        given
    }

    fn keep_order(&self, given: &GivenByName, bad: &mut Bad) {
        let value = |name: &str| given.get(name).and_then(Option::as_ref);
        for parameter in &self.parameters {
            if let Some(earlier) = &parameter.not_before
                && let (Some(own), Some(bound)) = (value(&parameter.name), value(earlier))
                && own < bound
            {
                bad.report(&parameter.name, format!("it is before {earlier}"));
            }
        }
    }

    fn know_all(&self, written: &Written, bad: &mut Bad) {
        for (index, (name, _)) in written.iter().enumerate() {
            let known = self.parameters.iter().any(|known| *known.name == **name);
            let told = written[..index].iter().any(|(earlier, _)| earlier == name);
            if !known && !told {
                bad.report(name, self.known());
            }
        }
    }

    fn known(&self) -> String {
        let known: Vec<&str> = self.parameters.iter().map(|known| &*known.name).collect();
        match known.is_empty() {
            true => "there are no parameters here".to_owned(),
            false => format!("it is not known here; known: {}", known.join(", ")),
        }
    }

    pub(super) fn asked(&self, statement: &Statement, given: &GivenByName) -> Asked {
        let (mut bound, mut shown) = (BTreeMap::new(), BTreeMap::new());
        for parameter in &self.parameters {
            let given = given.get(&*parameter.name).and_then(Option::as_ref);
            parameter.bind(given, &mut bound);
            let value = given.map_or(Value::Null, Given::shown);
            shown.insert(Arc::clone(&parameter.name), value);
        }
        bound.retain(|name, _| statement.parameters.contains(name));
        Asked {
            sql: Arc::clone(&statement.sql),
            bound,
            shown,
        }
    }
}
