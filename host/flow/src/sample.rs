//! A query as somebody could ask it, for whoever looks at its SQL before
//! anybody does.

use jiff::Timestamp;
use jiff::civil::date;

use super::query::{Asked, GivenByName};
use super::{Absent, Given, Parameter, ParameterKind, Query};

impl Query {
    /// With each of its statements.
    pub fn samples(&self) -> impl Iterator<Item = Asked> {
        let given = self.parameters.iter();
        let given = given.map(|parameter| (&*parameter.name, parameter.sample()));
        let given: GivenByName = given.collect();
        let statements = self.statements.all();
        statements.map(move |statement| self.asked(statement, &given))
    }
}

impl Parameter {
    /// Not NULL, where it can be helped: LIMIT takes none.
    fn sample(&self) -> Option<Given> {
        if let Absent::Is(given) = &self.absent {
            return Some(given.clone());
        }
        Some(match &self.kind {
            ParameterKind::Date => Given::Date(date(2026, 1, 31)),
            ParameterKind::Time => Given::Time(Timestamp::UNIX_EPOCH),
            ParameterKind::Integer { min, max } => Given::Integer(min.or(*max).unwrap_or(1)),
            ParameterKind::Number { min, max } => Given::Number(min.or(*max).unwrap_or(1.0)),
            ParameterKind::Text { .. } => Given::Text("a".to_owned()),
            ParameterKind::Choice { of } => Given::Text(of.first()?.to_string()),
            ParameterKind::Boolean => Given::Boolean(true),
            ParameterKind::Segment { fields } => Given::Segment {
                field: fields.first()?.replace('*', "a"),
                value: "a".to_owned(),
            },
        })
    }
}
