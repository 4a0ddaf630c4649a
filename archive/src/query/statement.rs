//! What may be asked: one query, which reads. The flow's table is the only one
//! that there is.

use std::ops::ControlFlow;

use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{self, Expr, Value, visit_expressions_mut};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::Tokenizer;

use super::error::{Error, Failure, Wrong};
use super::extent;
use super::parameters::{Parameters, missing};

/// The longest statement; the ones that ship have a tenth of it.
const LONGEST: usize = 64 * 1024;

/// Reads the statement and puts the values into the places of its placeholders.
pub(super) fn read(sql: &str, parameters: &Parameters) -> Result<Statement, Error> {
    if sql.len() > LONGEST {
        return Err(Error::Statement(format!("longer than {LONGEST} bytes")));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location();
    let tokens = tokens.map_err(|error| Error::Statement(error.to_string()))?;
    extent::check(&tokens)?;
    let parsed = DFParserBuilder::new(tokens)
        .with_dialect(&GenericDialect {})
        .build()
        .and_then(|mut parser| parser.parse_statements());
    let parsed = parsed.map_err(|error| Error::Statement(error.find_root().strip_backtrace()))?;
    let only_queries = || Error::Statement("exactly one query, SELECT or WITH, is answered".into());
    let mut parsed = parsed.into_iter();
    let (Some(Statement::Statement(mut statement)), None) = (parsed.next(), parsed.next()) else {
        return Err(only_queries());
    };
    if !matches!(*statement, ast::Statement::Query(_)) {
        return Err(only_queries());
    }
    bind(&mut statement, parameters)?;
    Ok(Statement::Statement(statement))
}

fn bind(statement: &mut ast::Statement, parameters: &Parameters) -> Result<(), Error> {
    let mut wrong: Vec<Wrong> = Vec::new();
    let _: ControlFlow<()> = visit_expressions_mut(statement, |expr: &mut Expr| {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(name) = &value.value
        {
            let name = name.trim_start_matches('$').to_owned();
            match parameters.get(&name).map(|parameter| parameter.literal()) {
                Some(Ok(literal)) => *expr = literal,
                Some(Err(message)) => wrong.push(Wrong {
                    parameter: name,
                    message: message.to_owned(),
                }),
                None => wrong.push(missing(&name)),
            }
        }
        ControlFlow::Continue(())
    });
    wrong.dedup();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(Error::Parameters(wrong)),
    }
}

/// Finds what the statement speaks of.
pub(super) async fn plan(
    state: &SessionState,
    statement: Statement,
) -> Result<LogicalPlan, Failure> {
    let plan = state.statement_to_plan(statement).await?;
    let reads = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    reads.verify_plan(&plan)?;
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(json: &str) -> Parameters {
        serde_json::from_str(json).unwrap()
    }

    fn bound(sql: &str, json: &str) -> String {
        read(sql, &parameters(json)).unwrap().to_string()
    }

    #[test]
    fn a_value_is_only_ever_a_value() {
        let json = r#"{"x": {"type": "text", "value": "'; DROP TABLE events; --"}}"#;
        let bound = bound("SELECT * FROM events WHERE id = $x", json);
        let expected = "SELECT * FROM events WHERE id = CAST('''; DROP TABLE events; --' AS TEXT)";
        assert_eq!(bound, expected);
    }

    #[test]
    fn nothing_but_one_query_is_read() {
        for sql in [
            "",
            "SELECT 1; SELECT 2",
            "DELETE FROM events",
            "INSERT INTO events SELECT 1",
            "UPDATE events SET id = 1",
            "CREATE TABLE t AS SELECT 1",
            "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
            "COPY events TO '/tmp/x.csv'",
            "COPY (SELECT 1) TO '/tmp/x.csv'",
            "DROP TABLE events",
            "SET datafusion.execution.batch_size = 1",
            "SHOW TABLES",
            "EXPLAIN SELECT 1",
            "PREPARE p AS SELECT 1",
            "BEGIN",
        ] {
            let read = read(sql, &Parameters::new());
            assert!(matches!(read, Err(Error::Statement(_))), "{sql}: {read:?}");
        }
        assert!(read("SELECT 1;", &Parameters::new()).is_ok());
    }

    #[test]
    fn every_parameter_that_is_wrong_is_named() {
        let parameters = parameters(
            r#"{"a": {"type": "date", "value": "2026-02-30"},
                "b": {"type": "integer", "value": "1"},
                "c": {"type": "date", "value": "20260228"}}"#,
        );
        let read = read("SELECT $a, $b, $c, $d", &parameters);
        let Err(Error::Parameters(wrong)) = read else {
            panic!("{read:?}");
        };
        let named: Vec<&str> = wrong.iter().map(|wrong| wrong.parameter.as_str()).collect();
        assert_eq!(named, ["a", "b", "c", "d"]);
    }

    #[test]
    fn nothing_is_typed_too() {
        let json =
            r#"{"x": {"type": "date", "value": null}, "n": {"type": "integer", "value": 3}}"#;
        assert_eq!(
            bound("SELECT $x IS NULL LIMIT $n", json),
            "SELECT CAST(NULL AS DATE) IS NULL LIMIT 3"
        );
    }
}
