//! Asks Postgres: every statement has no name, and runs in a transaction that
//! brings its own settings.
//!
//! Behind PgBouncer in transaction mode each transaction may be on another
//! connection of the server, which knows neither a statement that was prepared
//! before nor a setting of the session. So nothing here relies on either.

use std::time::Duration;

use deadpool_postgres::Client;
use futures_util::future::{OptionFuture, join, join4};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::{ANSWER, Postgres};
use crate::Error;

/// A value, and the type that the server is told.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The SQL of a statement, and its parameters.
pub(super) type Statement<'a> = (&'a str, &'a [Parameter<'a>]);

/// The parameters of a statement, each with its type: `with![id => TEXT]`.
macro_rules! with {
    ($($value:expr => $of:ident),* $(,)?) => {
        &[$((
            &$value as &(dyn tokio_postgres::types::ToSql + Sync),
            tokio_postgres::types::Type::$of,
        )),*]
    };
}
pub(super) use with;

/// What every transaction begins with. `synchronous_commit` is the promise that
/// what is settled was stored; a database may have it off. A host that was
/// stopped in a transaction must not hold its locks for ever.
///
/// Only `schema` is searched: a table of somebody else's with the name of one of
/// Floodgate's is never taken for it.
pub(super) fn begin_in(schema: &str) -> String {
    format!(
        "BEGIN; SELECT \
         set_config('search_path', '\"{schema}\", pg_temp', true), \
         set_config('synchronous_commit', 'on', true), \
         set_config('statement_timeout', '10s', true), \
         set_config('idle_in_transaction_session_timeout', '30s', true)"
    )
}

impl Postgres {
    /// Returns the rows of one statement, in a transaction of its own.
    pub(super) async fn rows(&self, sql: &str, with: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
        let begin = self.begin().await?;
        let client = self.client().await?;
        let statement = client.query_typed(sql, with);
        let call = timeout(ANSWER, at_once(&client, &begin, None, statement)).await;
        self.answered(client, call)
    }

    /// Returns the one row that the statement gives in any case.
    pub(super) async fn one_row(&self, sql: &str, with: &[Parameter<'_>]) -> Result<Row, Error> {
        let row = self.rows(sql, with).await?.into_iter().next();
        row.ok_or_else(|| Error::Other("a statement gave no row".to_owned()))
    }

    /// Changes rows by one statement, in a transaction of its own; returns how many.
    pub(super) async fn change(&self, sql: &str, with: &[Parameter<'_>]) -> Result<u64, Error> {
        let begin = self.begin().await?;
        let client = self.client().await?;
        let statement = client.execute_typed(sql, with);
        let call = timeout(ANSWER, at_once(&client, &begin, None, statement)).await;
        self.answered(client, call)
    }

    /// Does the same as [`Self::rows`] after taking a lock. Each of the two
    /// statements sees what was committed before it begins.
    pub(super) async fn rows_under(
        &self,
        lock: Statement<'_>,
        sql: &str,
        with: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Error> {
        let begin = self.begin().await?;
        let client = self.client().await?;
        let statement = client.query_typed(sql, with);
        let call = timeout(ANSWER, at_once(&client, &begin, Some(lock), statement)).await;
        self.answered(client, call)
    }

    /// Begins a transaction of several statements. Its first one, mostly a lock,
    /// is sent along with the beginning.
    pub(super) async fn transaction(
        &self,
        first: &str,
        with: &[Parameter<'_>],
    ) -> Result<Transaction<'_>, Error> {
        let begin = self.begin().await?;
        let mut transaction = Transaction {
            ledger: self,
            client: Some(self.client().await?),
            deadline: Instant::now() + ANSWER,
            silent: false,
        };
        let client = transaction.client()?;
        let both = join(
            client.batch_execute(&begin),
            client.execute_typed(first, with),
        );
        let both = timeout_at(transaction.deadline, both).await;
        let (begun, first) = transaction.heard(both)?;
        begun?;
        first?;
        Ok(transaction)
    }
}

/// Sends a whole transaction without waiting for an answer in between, and
/// returns what its statement gave. After an error `COMMIT` rolls back.
async fn at_once<T>(
    client: &Client,
    begin: &str,
    lock: Option<Statement<'_>>,
    statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Error> {
    let lock = lock.map(|(sql, with)| client.execute_typed(sql, with));
    let (begun, locked, answer, ended) = join4(
        client.batch_execute(begin),
        OptionFuture::from(lock),
        statement,
        client.batch_execute("COMMIT"),
    )
    .await;
    begun?;
    locked.transpose()?;
    let answer = answer?;
    ended?;
    Ok(answer)
}

/// A transaction of several statements. Dropped before [`Self::commit`], as
/// when its caller is cancelled, it is rolled back.
pub(super) struct Transaction<'l> {
    ledger: &'l Postgres,
    /// `None` once it is committed.
    client: Option<Client>,
    deadline: Instant,
    /// The server did not answer in time: nobody should wait for it again.
    silent: bool,
}

impl Transaction<'_> {
    pub async fn rows(&mut self, sql: &str, with: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
        let call = self.client()?.query_typed(sql, with);
        let call = timeout_at(self.deadline, call).await;
        Ok(self.heard(call)??)
    }

    pub async fn change(&mut self, sql: &str, with: &[Parameter<'_>]) -> Result<u64, Error> {
        let call = self.client()?.execute_typed(sql, with);
        let call = timeout_at(self.deadline, call).await;
        Ok(self.heard(call)??)
    }

    pub async fn commit(mut self) -> Result<(), Error> {
        let call = self.client()?.batch_execute("COMMIT");
        let call = timeout_at(self.deadline, call).await;
        self.heard(call)??;
        // Back to the pool.
        drop(self.client.take());
        Ok(())
    }

    fn client(&self) -> Result<&Client, Error> {
        let client = self.client.as_ref();
        client.ok_or_else(|| Error::Other("the transaction has ended".to_owned()))
    }

    fn heard<T>(&mut self, answer: Result<T, tokio::time::error::Elapsed>) -> Result<T, Error> {
        answer.map_err(|_| {
            self.silent = true;
            self.ledger.silent(ANSWER)
        })
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) if !self.silent => drop(runtime.spawn(roll_back(client))),
            _ => drop(Client::take(client)),
        }
    }
}

/// Gives the connection back once it is free of the transaction.
async fn roll_back(client: Client) {
    const LIMIT: Duration = ANSWER;
    let rolled_back = timeout(LIMIT, client.batch_execute("ROLLBACK")).await;
    if !matches!(rolled_back, Ok(Ok(()))) {
        drop(Client::take(client));
    }
}
