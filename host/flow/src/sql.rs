//! What of SQL can be told without a table: that it is one query, which reads
//! and does nothing else, and which parameters it has. floodgate-archive has
//! the last word.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{Select, Statement, Visit, Visitor};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, Tokenizer};

/// The one that DataFusion reads unless it is told otherwise.
const DIALECT: GenericDialect = GenericDialect {};

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAQuery {
    #[error("not SQL: {0}")]
    NotSql(String),
    #[error("{0} statements where one belongs")]
    Statements(usize),
    #[error("no query: it does something else than read")]
    DoesMore,
    #[error("{0} is no parameter: parameters have names, such as $from")]
    Nameless(String),
}

/// The names of the parameters of a query, without the `$`.
pub(super) fn parameters_of(sql: &str) -> Result<BTreeSet<String>, NotAQuery> {
    let not_sql = |error: String| NotAQuery::NotSql(error.replace('\n', " "));
    let statements =
        Parser::parse_sql(&DIALECT, sql).map_err(|error| not_sql(error.to_string()))?;
    let [statement] = &statements[..] else {
        return Err(NotAQuery::Statements(statements.len()));
    };
    if !matches!(statement, Statement::Query(_)) || statement.visit(&mut Reads).is_break() {
        return Err(NotAQuery::DoesMore);
    }
    let tokens = Tokenizer::new(&DIALECT, sql).tokenize();
    let mut names = BTreeSet::new();
    for token in tokens.map_err(|error| not_sql(error.to_string()))? {
        let Token::Placeholder(text) = token else {
            continue;
        };
        match text
            .strip_prefix('$')
            .filter(|name| is_parameter_name(name))
        {
            Some(name) => names.insert(name.to_owned()),
            None => return Err(NotAQuery::Nameless(text)),
        };
    }
    Ok(names)
}

/// As SQL and a query string both take it without quoting.
pub(super) fn is_parameter_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.len() <= 64
        && text.bytes().all(plain)
}

/// Breaks at what writes: a statement within the query, or an INTO.
struct Reads;

impl Visitor for Reads {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        match statement {
            Statement::Query(_) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        match select.into {
            None => ControlFlow::Continue(()),
            Some(_) => ControlFlow::Break(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_known_by_its_parameters() {
        let sql = "-- $not_this\n\
            WITH days AS (SELECT date_trunc('day', at) AS day, body->>'user_id' AS u FROM events)\n\
            SELECT day, count(DISTINCT u), '$nor_that' FROM days\n\
            WHERE day >= $from AND day < $to + INTERVAL '1 day' AND ($to IS NULL OR u = $user_1)\n\
            GROUP BY day ORDER BY day LIMIT $max;";
        let names = parameters_of(sql).unwrap();
        assert_eq!(
            names.into_iter().collect::<Vec<_>>(),
            ["from", "max", "to", "user_1"]
        );
        assert_eq!(parameters_of("VALUES (1)"), Ok(BTreeSet::new()));
    }

    #[test]
    fn what_does_not_only_read_is_no_query() {
        for sql in [
            "DELETE FROM events",
            "DROP TABLE events",
            "INSERT INTO events SELECT * FROM events",
            "UPDATE events SET id = '1'",
            "CREATE TABLE a AS SELECT 1",
            "COPY events TO '/tmp/events.csv'",
            "COPY (SELECT 1) TO STDOUT",
            "SET a = 1",
            "EXPLAIN SELECT 1",
            "SELECT * INTO a FROM events",
            "SELECT 1 UNION ALL SELECT id INTO a FROM events",
            "WITH gone AS (DELETE FROM events RETURNING id) SELECT * FROM gone",
            "WITH new AS (SELECT 1) INSERT INTO events SELECT * FROM new",
        ] {
            assert_eq!(parameters_of(sql), Err(NotAQuery::DoesMore), "{sql}");
        }
    }

    #[test]
    fn what_is_not_one_statement_is_told() {
        assert_eq!(parameters_of(""), Err(NotAQuery::Statements(0)));
        assert_eq!(
            parameters_of("SELECT 1; DROP TABLE events"),
            Err(NotAQuery::Statements(2))
        );
        for sql in [
            "SELEC 1",
            "SELECT 'a",
            "SELECT 1 +",
            "CREATE EXTERNAL TABLE a STORED AS CSV LOCATION '/etc/passwd'",
        ] {
            assert!(
                matches!(parameters_of(sql), Err(NotAQuery::NotSql(_))),
                "{sql}"
            );
        }
        for (sql, found) in [("SELECT $1", "$1"), ("SELECT ?", "?"), ("SELECT $A", "$A")] {
            let nameless = NotAQuery::Nameless(found.to_owned());
            assert_eq!(parameters_of(sql), Err(nameless), "{sql}");
        }
        let nested = format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(parameters_of(&nested).is_err(), "and the stack stands it");
    }
}
