//! Which schema the tables lie in: one of their own, or, in a database of an
//! older Floodgate, wherever it made them.

use tokio_postgres::{GenericClient, Transaction};

use super::call::with;
use crate::Error;

/// The schema of a new installation has them; else the search path of the
/// session, which is where an older Floodgate made them. Tables of the services
/// that Floodgate replaces lie where an older one could not finish: what it left
/// there is none of its own.
const FIND: &str = "
    SELECT nspname::text
    FROM pg_namespace
    WHERE (nspname = $1 OR nspname = ANY (current_schemas(false)))
      AND EXISTS (
        SELECT FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
        WHERE relnamespace = pg_namespace.oid AND relname = 'decisions'
          AND relkind = 'r' AND attname = 'flow_digest')
      AND NOT EXISTS (
        SELECT FROM pg_class
        WHERE relnamespace = pg_namespace.oid AND relkind IN ('r', 'p', 'f', 'm')
          AND relname IN ('transactions', 'events', 'tasks'))
    ORDER BY nspname <> $1, array_position(current_schemas(false), nspname)
    LIMIT 1";

/// Where Floodgate's tables are; `None`: nowhere yet.
pub(super) async fn find(
    client: &impl GenericClient,
    wanted: &str,
) -> Result<Option<String>, Error> {
    let rows = client.query_typed(FIND, with![wanted => NAME]).await?;
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?)
}

/// Makes the schema, where it is not there.
///
/// # Errors
/// Where somebody else's tables in it have the names of views, or the role may
/// not make one: both name the remedy.
pub(super) async fn make(transaction: &Transaction<'_>, schema: &str) -> Result<String, Error> {
    let taken =
        "SELECT relname::text FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid
        WHERE nspname = $1 AND relname IN ('transactions', 'events', 'tasks', 'decisions') LIMIT 1";
    let taken = transaction
        .query_typed(taken, with![schema => NAME])
        .await?;
    if let Some(row) = taken.first() {
        let name: &str = row.try_get(0)?;
        return Err(Error::Other(format!(
            "schema {schema} has a {name} of somebody else: name another schema with --database-schema"
        )));
    }
    let there = "SELECT FROM pg_namespace WHERE nspname = $1";
    let there = transaction
        .query_typed(there, with![schema => NAME])
        .await?;
    if there.is_empty() {
        let make = format!("CREATE SCHEMA \"{schema}\"");
        let made = transaction.batch_execute(&make).await;
        made.map_err(|refused| {
            Error::Other(format!(
                "schema {schema} was not made ({refused}): have an administrator run \
                 CREATE SCHEMA {schema} AUTHORIZATION this role"
            ))
        })?;
    }
    Ok(schema.to_owned())
}

/// For the rest of the transaction.
pub(super) async fn search_only(transaction: &Transaction<'_>, schema: &str) -> Result<(), Error> {
    let search = format!("SET LOCAL search_path = \"{schema}\", pg_temp");
    Ok(transaction.batch_execute(&search).await?)
}

/// # Errors
/// While another Floodgate is connected to the database.
pub(super) async fn nobody_is_at_work(transaction: &Transaction<'_>) -> Result<(), Error> {
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
          AND application_name IN ('floodgate', 'floodgate-archive')";
    let others = transaction.query_typed(others, &[]).await?;
    let others: i64 = others.first().map_or(Ok(0), |row| row.try_get(0))?;
    match others {
        0 => Ok(()),
        others => Err(Error::Other(format!(
            "{others} connections of a running Floodgate: stop every host and the archive, and move the schema then"
        ))),
    }
}

/// Moves what has one of these names.
pub(super) async fn move_to(
    transaction: &Transaction<'_>,
    from: &str,
    to: &str,
    names: &[String],
) -> Result<(), Error> {
    // The sequence of a column, an index and a trigger move with their table.
    let all = "
        SELECT format('ALTER %s %s SET SCHEMA %I',
                 CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END,
                 pg_class.oid::regclass, $2::text)
        FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid
        WHERE nspname = $1 AND relname = ANY ($3::text[]) AND relkind IN ('r', 'v')
        UNION ALL
        SELECT format('ALTER FUNCTION %s SET SCHEMA %I', pg_proc.oid::regprocedure, $2::text)
        FROM pg_proc JOIN pg_namespace ON pronamespace = pg_namespace.oid
        WHERE nspname = $1 AND proname = ANY ($3::text[])";
    let with = with![from => NAME, to => TEXT, names => TEXT_ARRAY];
    for row in transaction.query_typed(all, with).await? {
        transaction.batch_execute(row.try_get(0)?).await?;
    }
    Ok(())
}

/// The names of the tables, views and functions that a migration makes.
pub(super) fn made_by(migration: &str) -> Vec<String> {
    let made = migration.lines().filter_map(|line| {
        let rest = line.trim_start().strip_prefix("CREATE ")?;
        let rest = rest.strip_prefix("OR REPLACE ").unwrap_or(rest);
        let kinds = ["TABLE ", "VIEW ", "FUNCTION "];
        let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
        let rest = rest.strip_prefix("IF NOT EXISTS ").unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        Some(rest[..end.unwrap_or(rest.len())].to_owned())
    });
    let history = "refinery_schema_history".to_owned();
    made.chain([history]).collect()
}

#[cfg(test)]
mod tests {
    use super::made_by;

    #[test]
    fn what_a_migration_makes_is_read_from_its_text() {
        let text = "-- CREATE TABLE none\nCREATE TABLE a (\nCREATE VIEW b AS\n  CREATE OR REPLACE FUNCTION c(d text)";
        assert_eq!(made_by(text), ["a", "b", "c", "refinery_schema_history"]);
    }
}
