//! Removing the body of an entry from cold files.

use std::time::Duration;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, RecordBatch, Scalar, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use datafusion::arrow::compute::kernels::{cmp, zip::zip};
use datafusion::arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures_util::StreamExt;
use jiff::Timestamp;
use tracing::info;

use super::{Error, Mover, Report, Step};
use crate::cold::{self, ColdFile, State};
use crate::flows::Column;

/// What of an entry goes.
const SAID: [&str; 3] = ["body", "output", "attributes"];

impl Mover {
    /// Writes the file that has the entry anew, without what the entry said:
    /// the fact that it was, and the hash, stay. The paths of what was written
    /// anew: none where the entry was erased before, or never moved. Waits for
    /// a pass, but not longer than `patience`.
    ///
    /// # Errors
    /// Where the entry may still be in a file.
    pub async fn erase(
        &self,
        flow: &str,
        columns: &[Column],
        id: &str,
        patience: Duration,
    ) -> Result<Vec<String>, Error> {
        let _owned = self.ledger.own(patience).await?.ok_or(Error::Busy)?;
        self.hook.after(Step::Owned);
        let mut report = Report::default();
        self.take_up(Some(flow), &mut report).await?;
        if !report.problems.is_empty() {
            return Err(Error::Left(report.problems.join("; ")));
        }
        let Some(number) = self.ledger.moved(flow, id).await? else {
            return Ok(Vec::new());
        };
        let files = self.ledger.files(Some(flow)).await?;
        let found = files.into_iter().find(|file| file.number == number);
        let missing = || Error::Left(format!("there is no file {number}, which has {flow} {id}"));
        let file = found
            .filter(|file| file.state == State::Cold)
            .ok_or_else(missing)?;
        let row = cold::find(&self.store, &file, id)
            .await?
            .ok_or_else(missing)?;
        let erased = row.column_by_name("erased_at");
        if erased.is_some_and(|erased| erased.is_valid(0)) {
            return Ok(Vec::new());
        }
        let anew = self.write_anew(&file, columns, id).await?;
        Ok(vec![anew.path])
    }

    /// The old file goes at once, whoever is reading it.
    async fn write_anew(
        &self,
        old: &ColdFile,
        columns: &[Column],
        id: &str,
    ) -> Result<ColdFile, Error> {
        let new = self.begin(&old.flow, old.day, columns).await?;
        let written = async {
            let rows = cold::rows(&self.store, old).await?;
            let rows = without(rows, id.to_owned(), Timestamp::now());
            self.write(&new, columns, rows, &[old.number]).await
        };
        let sealed = match written.await {
            Ok(Some((sealed, _))) => sealed,
            Ok(None) => {
                let error = Error::Left(format!("{} has no rows", old.path));
                self.give_up(&new, &error).await;
                return Err(error);
            }
            Err(error) => {
                self.give_up(&new, &error).await;
                return Err(error);
            }
        };
        self.finish(&sealed).await?;
        let replaced = ColdFile {
            state: State::Replaced,
            ..old.clone()
        };
        self.remove(&replaced).await?;
        info!(
            flow = old.flow,
            old = old.path,
            new = sealed.path,
            "erased an entry"
        );
        Ok(sealed)
    }
}

fn without(
    rows: SendableRecordBatchStream,
    id: String,
    at: Timestamp,
) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let id = Scalar::new(StringArray::from(vec![id]));
    let blank = move |batch: Result<_, DataFusionError>| Ok(blank(batch?, &id, at)?);
    let rows = rows.map(blank);
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

/// The batch without what the entry said.
fn blank(
    batch: RecordBatch,
    id: &Scalar<StringArray>,
    at: Timestamp,
) -> Result<RecordBatch, ArrowError> {
    let missing = || ArrowError::SchemaError("rows without a column id".to_owned());
    let ids = batch.column_by_name("id").ok_or_else(missing)?;
    let found = cmp::eq(ids, id)?;
    if found.true_count() == 0 {
        return Ok(batch);
    }
    let schema = batch.schema();
    let columns = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| match field.name().as_str() {
            "erased_at" => {
                let at = TimestampMicrosecondArray::from(vec![at.as_microsecond()]);
                replace(&found, Scalar::new(at.with_timezone("UTC")), column)
            }
            name if SAID.contains(&name) => {
                let nothing = new_null_array(column.data_type(), 1);
                replace(&found, Scalar::new(nothing), column)
            }
            _ => Ok(column.clone()),
        });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema.clone(), columns)
}

fn replace<T: Array>(
    found: &BooleanArray,
    value: Scalar<T>,
    column: &ArrayRef,
) -> Result<ArrayRef, ArrowError> {
    zip(found, &value, column)
}
