//! Reading decisions: rows go from the wire into Arrow as they come.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::sync::Arc;

use async_stream::try_stream;
use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use deadpool_postgres::{Client, Pool};
use futures_util::{Stream, StreamExt, pin_mut};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Row, RowStream};

use super::lent::Lent;
use super::{error, files};
use crate::cold::ColdFile;
use crate::columns;
use crate::ledger::rows::{Column, Rows, Without};
use crate::ledger::{During, Error, Place, Scan, Snapshot, bounds};

/// Microseconds from 1970 to 2000, where Postgres counts from.
const EPOCH: i64 = 946_684_800_000_000;

/// The year 1: what a ledger has is not older, and Postgres knows little before.
const FIRST: Timestamp = Timestamp::constant(-62_135_596_800, 0);

/// Rows whose deliveries have ended. Two conditions for two partial indexes.
const ENDED: &str = "
    NOT EXISTS (SELECT FROM deliveries AS d WHERE d.flow = decisions.flow
                AND d.id = decisions.id AND d.state = 'waiting')
    AND NOT EXISTS (SELECT FROM deliveries AS d WHERE d.flow = decisions.flow
                AND d.id = decisions.id AND d.state = 'given-up')";

const DELIVERIES: &str = "(
    SELECT json_agg(json_build_object(
        'downstream', d.downstream, 'state', d.state, 'attempts', d.attempts,
        'ended_at', to_char(d.ended_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), 'error', d.error
    ) ORDER BY d.downstream)::text
    FROM deliveries AS d WHERE d.flow = decisions.flow AND d.id = decisions.id)";

type Parameter = Box<dyn ToSql + Sync + Send>;

/// A statement that grows.
struct Select {
    sql: String,
    parameters: Vec<Parameter>,
    /// What the rows begin with.
    schema: SchemaRef,
}

impl Select {
    /// A flow that delivers nothing is not asked for deliveries row by row.
    fn new(flow: &str, schema: &SchemaRef, delivers: bool) -> Self {
        let columns = schema
            .fields()
            .iter()
            .map(|field| match field.name().as_str() {
                "deliveries" if delivers => DELIVERIES,
                "deliveries" => "NULL::text",
                "body" => "CASE WHEN erased_at IS NULL THEN body END",
                name => name,
            });
        let columns: Vec<_> = columns.collect();
        let columns = match columns.is_empty() {
            true => "NULL::text".to_owned(),
            false => columns.join(", "),
        };
        Self {
            sql: format!("SELECT {columns} FROM decisions WHERE flow = $1"),
            parameters: vec![Box::new(flow.to_owned())],
            schema: schema.clone(),
        }
    }

    fn and(&mut self, condition: &str) {
        // Writing to a string cannot fail.
        let _ = write!(self.sql, " AND {condition}");
    }

    /// `condition` ends where the parameter comes.
    fn with(&mut self, condition: &str, parameter: impl ToSql + Sync + Send + 'static) {
        self.parameters.push(Box::new(parameter));
        let _ = write!(self.sql, " AND {condition}${}", self.parameters.len());
    }

    fn during(&mut self, During { from, until }: During) {
        if let Some(from) = from {
            self.with("at >= ", from.max(FIRST));
        }
        if let Some(until) = until {
            self.with("at < ", until.max(FIRST));
        }
    }

    fn limit(&mut self, most: usize) {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.parameters.push(Box::new(most));
        let _ = write!(self.sql, " LIMIT ${}", self.parameters.len());
    }
}

pub(super) async fn days(
    client: &Client,
    flow: &str,
    before: Date,
    most: usize,
) -> Result<Vec<Date>, Error> {
    let delivers = delivers(client, flow).await?;
    let ended = if delivers { ENDED } else { "true" };
    let last = format!(
        "SELECT at FROM decisions WHERE flow = $1 AND at >= $2 AND at < $3 AND {ended}
         ORDER BY at DESC LIMIT 1"
    );
    let last = client.prepare_cached(&last).await?;
    let (mut until, _) = bounds(before)?;
    let mut days = Vec::new();
    while days.len() < most
        && let Some(row) = client.query_opt(&last, &[&flow, &FIRST, &until]).await?
    {
        let at: Timestamp = row.try_get(0)?;
        let day = Offset::UTC.to_datetime(at).date();
        days.push(day);
        (until, _) = bounds(day)?;
    }
    days.reverse();
    Ok(days)
}

async fn delivers(client: &Client, flow: &str) -> Result<bool, Error> {
    let any = "SELECT EXISTS (SELECT FROM deliveries WHERE flow = $1)";
    let any = client.prepare_cached(any).await?;
    Ok(client.query_one(&any, &[&flow]).await?.try_get(0)?)
}

pub(super) async fn day(
    lent: Lent,
    flow: &str,
    day: Date,
    after: Option<Place>,
    most: usize,
) -> Result<SendableRecordBatchStream, Error> {
    let (begins, ends) = bounds(day)?;
    let delivers = delivers(lent.client()?, flow).await?;
    let mut select = Select::new(flow, &columns::base(), delivers);
    select.with("at >= ", begins);
    select.with("at < ", ends);
    if let Some(after) = after {
        let at = Timestamp::from_microsecond(after.at);
        select.with(
            "(at, seq) > (",
            at.map_err(|error| Error::Other(error.to_string()))?,
        );
        select.parameters.push(Box::new(after.seq));
        let _ = write!(select.sql, ", ${})", select.parameters.len());
    }
    if delivers {
        select.and(ENDED);
    }
    let _ = write!(select.sql, " ORDER BY at, seq");
    select.limit(most);
    stream(lent, select, Without::new(Vec::new()), most).await
}

/// The ledger at one instant: what further connections look at, too, since one
/// answers one question after the other.
pub(super) struct Instant {
    pub name: String,
    pub held: Lent,
    pub pool: Pool,
    pub address: String,
}

#[async_trait]
impl Snapshot for Instant {
    async fn files(&self, flow: &str) -> Result<Vec<ColdFile>, Error> {
        files::counting(self.held.client()?, flow).await
    }

    async fn any(&self, flow: &str, during: During) -> Result<bool, Error> {
        let mut select = Select::new(flow, &Arc::new(Schema::empty()), false);
        select.during(during);
        // In the order of the index, so that it is used whatever is believed of the rows.
        let _ = write!(select.sql, " ORDER BY at");
        select.limit(1);
        let client = self.held.client()?;
        let row = client.query_raw(&select.sql, select.parameters).await?;
        pin_mut!(row);
        Ok(row.next().await.transpose()?.is_some())
    }

    async fn hot(&self, scan: Scan) -> Result<SendableRecordBatchStream, Error> {
        let client = self.pool.get().await;
        let client = client.map_err(|error| error::pooled(&self.address, error))?;
        let lent = Lent::at_one_instant(client, Some(&self.name)).await?;
        hot(lent, scan).await
    }
}

async fn hot(lent: Lent, scan: Scan) -> Result<SendableRecordBatchStream, Error> {
    let needs_deliveries = scan.columns.column_with_name("deliveries").is_some();
    let delivers = needs_deliveries && delivers(lent.client()?, &scan.flow).await?;
    let without = Without::new(scan.without);
    let mut select = Select::new(&scan.flow, &scan.columns, delivers);
    select.during(scan.during);
    if let Some(label) = scan.label {
        select.with("label = ", label);
    }
    if let Some(id) = scan.id {
        select.with("id = ", id);
    }
    let most = scan.limit.unwrap_or(usize::MAX);
    if scan.limit.is_some() {
        // At most so many of them are left out.
        select.limit(most.saturating_add(without.len()));
    }
    stream(lent, select, without, most).await
}

/// The connection is given back when the stream has ended or is dropped.
async fn stream(
    mut lent: Lent,
    mut select: Select,
    without: Without,
    most: usize,
) -> Result<SendableRecordBatchStream, Error> {
    let schema = select.schema.clone();
    if !without.is_empty() {
        select.sql = select.sql.replacen("SELECT ", "SELECT seq, ", 1);
    }
    // From now on: whoever waits for the first row may leave, too.
    lent.reading = true;
    // Not a cached one, which in the end is planned for any time and any flow.
    let statement = lent.client()?.prepare(&select.sql).await?;
    let rows = lent
        .client()?
        .query_raw(&statement, select.parameters)
        .await?;
    let batches = batches(lent, rows, select.schema, without, most);
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches)))
}

fn batches(
    mut lent: Lent,
    rows: RowStream,
    schema: SchemaRef,
    without: Without,
    most: usize,
) -> impl Stream<Item = Result<RecordBatch, DataFusionError>> {
    try_stream! {
        pin_mut!(rows);
        let mut filling = Rows::new(schema);
        let mut left = most;
        while left > 0 {
            let Some(row) = rows.next().await else {
                break;
            };
            let row = row.map_err(|error| DataFusionError::from(Error::from(error)))?;
            if !add(&mut filling, &row, &without)? {
                continue;
            }
            left -= 1;
            if let Some(batch) = filling.take_full()? {
                yield batch;
            }
        }
        lent.reading = left == 0;
        drop(lent);
        if let Some(batch) = filling.take()? {
            yield batch;
        }
    }
}

/// Whether the row was one to add. Where some are left out, the number of each
/// comes first.
fn add(filling: &mut Rows, row: &Row, without: &Without) -> Result<bool, Error> {
    let first = usize::from(!without.is_empty());
    if first == 1 && without.has(row.try_get(0)?) {
        return Ok(false);
    }
    let mut bytes = 0;
    for (at, column) in filling.columns.iter_mut().enumerate() {
        bytes += append(column, row, first + at)?;
    }
    filling.added(bytes);
    Ok(true)
}

/// How long it is.
fn append(column: &mut Column, row: &Row, at: usize) -> Result<usize, Error> {
    if let Column::Texts(builder) = column {
        let texts: Vec<Option<&str>> = row.try_get(at)?;
        let bytes = texts.iter().flatten().map(|text| text.len()).sum();
        builder.append_value(texts);
        return Ok(bytes);
    }
    let Some(Raw(value)) = row.try_get(at)? else {
        column.null();
        return Ok(0);
    };
    match column {
        Column::Text(builder) => builder.append_value(text(value)?),
        Column::Bytes(builder) => builder.append_value(value),
        Column::Number(builder) => builder.append_value(f64::from_be_bytes(eight(value)?)),
        Column::Integer(builder) => builder.append_value(i64::from_be_bytes(eight(value)?)),
        // The ends of what Postgres counts to are infinity.
        Column::Time(builder) => {
            builder.append_value(i64::from_be_bytes(eight(value)?).saturating_add(EPOCH));
        }
        Column::Texts(_) => {}
    }
    Ok(value.len())
}

/// A value as it comes over the wire: text and JSON as they are, numbers in
/// eight bytes.
struct Raw<'a>(&'a [u8]);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

fn text(value: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(value).map_err(|error| Error::Other(format!("a text: {error}")))
}

fn eight(value: &[u8]) -> Result<[u8; 8], Error> {
    let eight = value.try_into();
    eight.map_err(|_| Error::Other(format!("a number of {} bytes instead of 8", value.len())))
}
