//! Reading decisions: a batch at a time, each by a statement of its own that
//! goes on where the last one ended. So one connection, which sees one state of
//! the file, serves as many streams as there are.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use tokio::sync::mpsc;

use super::{blocking, files};
use crate::cold::ColdFile;
use crate::columns;
use crate::ledger::rows::{Column, Rows, Without};
use crate::ledger::{BATCH, During, Error, Place, Scan, Snapshot, bounds};

/// Batches that are read before somebody asks for them.
const AHEAD: usize = 2;

/// Instructions of SQLite's machine, a millisecond or less, after which it looks
/// whether somebody still waits for the rows.
const LOOK: i32 = 10_000;

/// Rows whose deliveries have ended.
const ENDED: &str = "NOT EXISTS (
    SELECT 1 FROM deliveries AS d WHERE d.flow = decisions.flow AND d.id = decisions.id
    AND d.state IN ('waiting', 'given-up'))";

const DELIVERIES: &str = "(
    SELECT nullif(json_group_array(json_object(
        'downstream', d.downstream, 'state', d.state, 'attempts', d.attempts,
        'ended_at', strftime('%Y-%m-%dT%H:%M:%S', d.ended_at / 1000, 'unixepoch')
            || printf('.%03dZ', d.ended_at % 1000),
        'error', d.error
    ) ORDER BY d.downstream), '[]')
    FROM deliveries AS d WHERE d.flow = decisions.flow AND d.id = decisions.id)";

pub(super) fn days(
    db: &Connection,
    flow: &str,
    before: Date,
    most: usize,
) -> Result<Vec<Date>, Error> {
    let last = format!(
        "SELECT at FROM decisions WHERE flow = ?1 AND at < ?2 AND {ENDED}
         ORDER BY at DESC LIMIT 1"
    );
    let mut last = db.prepare(&last)?;
    let (mut until, _) = bounds(before)?;
    let mut days = Vec::new();
    while days.len() < most
        && let Some(at) = last
            .query_one((flow, until.as_millisecond()), |row| row.get(0))
            .optional()?
    {
        let at =
            Timestamp::from_millisecond(at).map_err(|error| Error::Other(error.to_string()))?;
        let day = Offset::UTC.to_datetime(at).date();
        days.push(day);
        (until, _) = bounds(day)?;
    }
    days.reverse();
    Ok(days)
}

/// Not at one instant: what a row says does not change while a file of its day
/// is written, and the log of the database is not held up.
pub(super) fn day(
    db: Connection,
    flow: &str,
    day: Date,
    after: Option<Place>,
    most: usize,
) -> Result<SendableRecordBatchStream, Error> {
    let (begins, ends) = bounds(day)?;
    let mut select = Select::new(flow, columns::base());
    select.with("at >= ?", begins.as_millisecond());
    select.with("at < ?", ends.as_millisecond());
    select.conditions.push(ENDED.to_owned());
    select.after = after;
    select.left = most;
    Ok(stream(Arc::new(Mutex::new(db)), select))
}

/// The database file at one instant.
pub(super) struct Instant {
    db: Arc<Mutex<Connection>>,
}

impl Instant {
    pub fn new(db: Connection) -> Result<Self, Error> {
        // The first thing that is read is what makes it one.
        let begin = "BEGIN; SELECT count(*) FROM (SELECT 1 FROM cold_files LIMIT 1)";
        db.execute_batch(begin)?;
        Ok(Self {
            db: Arc::new(Mutex::new(db)),
        })
    }
}

#[async_trait]
impl Snapshot for Instant {
    async fn files(&self, flow: &str) -> Result<Vec<ColdFile>, Error> {
        let (db, flow) = (self.db.clone(), flow.to_owned());
        let counting = move || {
            let db = db.lock().unwrap_or_else(PoisonError::into_inner);
            files::counting(&db, &flow)
        };
        blocking(counting).await
    }

    async fn any(&self, flow: &str, during: During) -> Result<bool, Error> {
        let mut select = Select::new(flow, Arc::new(Schema::empty()));
        select.during(during);
        let db = self.db.clone();
        let any = move || {
            let db = db.lock().unwrap_or_else(PoisonError::into_inner);
            let mut statement = db.prepare_cached(&select.sql())?;
            select.parameters.push(Value::from(1));
            Ok(statement.exists(params_from_iter(select.parameters))?)
        };
        blocking(any).await
    }

    async fn hot(&self, scan: Scan) -> Result<SendableRecordBatchStream, Error> {
        let mut select = Select::new(&scan.flow, scan.columns);
        select.during(scan.during);
        if let Some(label) = scan.label {
            select.with("label = ?", label);
        }
        if let Some(id) = scan.id {
            select.with("id = ?", id);
        }
        select.without = Without::new(scan.without);
        select.left = scan.limit.unwrap_or(usize::MAX);
        Ok(stream(self.db.clone(), select))
    }
}

/// What is still to be read.
struct Select {
    schema: SchemaRef,
    conditions: Vec<String>,
    parameters: Vec<Value>,
    without: Without,
    after: Option<Place>,
    left: usize,
}

impl Select {
    fn new(flow: &str, schema: SchemaRef) -> Self {
        Self {
            schema,
            conditions: vec!["flow = ?".to_owned()],
            parameters: vec![Value::from(flow.to_owned())],
            without: Without::new(Vec::new()),
            after: None,
            left: usize::MAX,
        }
    }

    fn with(&mut self, condition: &str, parameter: impl Into<Value>) {
        self.conditions.push(condition.to_owned());
        self.parameters.push(parameter.into());
    }

    fn during(&mut self, During { from, until }: During) {
        if let Some(from) = from {
            self.with("at >= ?", from.as_millisecond());
        }
        if let Some(until) = until {
            // Times are whole milliseconds: before a part of one is its beginning, too.
            let whole = until.as_nanosecond().rem_euclid(1_000_000) == 0;
            let until = until.as_millisecond();
            self.with(if whole { "at < ?" } else { "at <= ?" }, until);
        }
    }

    fn sql(&self) -> String {
        let columns = self
            .schema
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                "deliveries" => DELIVERIES,
                "body" => "CASE WHEN erased_at IS NULL THEN body END",
                name => name,
            });
        let columns: String = columns.map(|column| format!(", {column}")).collect();
        let after = self.after.map_or("", |_| " AND (at, seq) > (?, ?)");
        format!(
            "SELECT seq, at{columns} FROM decisions WHERE {}{after} ORDER BY at, seq LIMIT ?",
            self.conditions.join(" AND ")
        )
    }

    /// As [`Self::next`], until nobody waits for it.
    fn next_for(
        &mut self,
        batches: &Arc<Batches>,
        db: &mut Connection,
    ) -> Result<Option<RecordBatch>, DataFusionError> {
        let failed = |error: rusqlite::Error| DataFusionError::from(Error::from(error));
        // The connection may outlive the stream, which ends with its last sender.
        let batches = Arc::downgrade(batches);
        let left = move || batches.upgrade().is_none_or(|batches| batches.is_closed());
        db.progress_handler(LOOK, Some(left)).map_err(failed)?;
        let next = self.next(db);
        let nobody = None::<fn() -> bool>;
        db.progress_handler(0, nobody).map_err(failed)?;
        next
    }

    /// `None` where there is no more.
    fn next(&mut self, db: &Connection) -> Result<Option<RecordBatch>, DataFusionError> {
        let read = |error: rusqlite::Error| DataFusionError::from(Error::from(error));
        let mut filling = Rows::new(self.schema.clone());
        while self.left > 0 {
            let mut parameters = self.parameters.clone();
            if let Some(Place { at, seq }) = self.after {
                parameters.extend([Value::from(at.div_euclid(1000)), Value::from(seq)]);
            }
            parameters.push(Value::from(BATCH as i64));
            let mut statement = db.prepare_cached(&self.sql()).map_err(read)?;
            let mut rows = statement
                .query(params_from_iter(parameters))
                .map_err(read)?;
            let mut more = false;
            while self.left > 0
                && !filling.is_full()
                && let Some(row) = rows.next().map_err(read)?
            {
                more = true;
                self.add(&mut filling, row)?;
            }
            // One that was left out altogether says nothing of the next.
            if !more || filling.is_full() {
                break;
            }
        }
        filling.take()
    }

    fn add(&mut self, filling: &mut Rows, row: &Row<'_>) -> Result<(), Error> {
        let (seq, at): (i64, i64) = (row.get(0)?, row.get(1)?);
        let at = at.saturating_mul(1000);
        self.after = Some(Place { at, seq });
        if self.without.has(seq) {
            return Ok(());
        }
        let mut bytes = 0;
        for (at, column) in filling.columns.iter_mut().enumerate() {
            bytes += append(column, row.get_ref(2 + at)?)?;
        }
        filling.added(bytes);
        self.left -= 1;
        Ok(())
    }
}

type Batches = mpsc::Sender<Result<RecordBatch, DataFusionError>>;

/// Ends with its receiver; the database is not held while nobody takes what is
/// read.
fn stream(db: Arc<Mutex<Connection>>, mut select: Select) -> SendableRecordBatchStream {
    let schema = select.schema.clone();
    let (batches, taken) = mpsc::channel(AHEAD);
    let batches = Arc::new(batches);
    tokio::task::spawn_blocking(move || {
        loop {
            let next = {
                let mut db = db.lock().unwrap_or_else(PoisonError::into_inner);
                select.next_for(&batches, &mut db).transpose()
            };
            let Some(batch) = next else { break };
            let failed = batch.is_err();
            if batches.blocking_send(batch).is_err() || failed {
                break;
            }
        }
    });
    let taken = futures_util::stream::unfold(taken, |mut taken| async {
        taken.recv().await.map(|batch| (batch, taken))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, taken))
}

/// How long it is.
fn append(column: &mut Column, value: ValueRef<'_>) -> Result<usize, Error> {
    let text = |value: &'_ [u8]| String::from_utf8_lossy(value).into_owned();
    let mut bytes = 0;
    match (column, value) {
        (column, ValueRef::Null) => column.null(),
        (Column::Integer(builder), ValueRef::Integer(value)) => builder.append_value(value),
        (Column::Time(builder), ValueRef::Integer(ms)) => {
            builder.append_value(ms.saturating_mul(1000));
        }
        (Column::Number(builder), ValueRef::Real(value)) => builder.append_value(value),
        (Column::Number(builder), ValueRef::Integer(value)) => builder.append_value(value as f64),
        (Column::Bytes(builder), ValueRef::Blob(value)) => {
            bytes = value.len();
            builder.append_value(value);
        }
        (Column::Text(builder), ValueRef::Text(value)) => {
            bytes = value.len();
            let text = std::str::from_utf8(value);
            builder.append_value(text.map_err(|error| Error::Other(error.to_string()))?);
        }
        (Column::Texts(builder), ValueRef::Text(value)) => {
            bytes = value.len();
            let texts: Vec<Cow<'_, str>> = serde_json::from_slice(value)
                .map_err(|error| Error::Other(format!("{} is no list: {error}", text(value))))?;
            builder.append_value(texts.iter().map(Some));
        }
        (_, value) => {
            let kind = value.data_type();
            return Err(Error::Other(format!(
                "a column of decisions has a value of type {kind}"
            )));
        }
    }
    Ok(bytes)
}
