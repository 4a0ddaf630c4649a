//! The rows of a flow that are still in the ledger. What the filters say about
//! time, label and id becomes part of the ledger's statement.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, AsArray, Date32Array, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use datafusion::catalog::Session;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::{TableProvider, TableType};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures_util::{StreamExt, TryStreamExt};

use super::files::Files;
use super::scanned::Tally;
use super::wanted::{DAY, Known, Wanted};
use crate::cold::ColdFile;
use crate::columns::{self, Shredder};
use crate::flows::Column;
use crate::ledger::{Scan, Snapshot};

const MICROSECONDS_OF_A_DAY: i64 = 86_400_000_000;

pub(super) struct HotTable {
    pub flow: String,
    pub declared: Vec<Column>,
    pub schema: SchemaRef,
    pub snapshot: Arc<dyn Snapshot>,
    pub files: Arc<Files>,
    /// Some of their rows are in the ledger, too, and count there no more.
    pub moving: Vec<ColdFile>,
    pub tally: Arc<Tally>,
}

impl std::fmt::Debug for HotTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HotTable")
            .field("flow", &self.flow)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for HotTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let known = filters.iter().map(|filter| match Wanted::known(filter) {
            Known::Nothing => TableProviderFilterPushDown::Unsupported,
            Known::Part | Known::Days => TableProviderFilterPushDown::Inexact,
        });
        Ok(known.collect())
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let projected = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => self.schema.clone(),
        };
        let wanted = Wanted::of(filters);
        let during = wanted.during();
        if !self.snapshot.any(&self.flow, during).await? {
            return Ok(Arc::new(EmptyExec::new(projected)));
        }
        let mut moving = self.moving.clone();
        moving.retain(|file| wanted.is_in(file));
        let read = self.read(&projected)?;
        let declared = self.declared.iter();
        let declared = declared.filter(|column| projected.column_with_name(&column.name).is_some());
        let rows = HotRows {
            scan: Scan {
                flow: self.flow.clone(),
                columns: read,
                during,
                label: wanted.label,
                without: Vec::new(),
                id: wanted.id,
                limit,
            },
            declared: declared.cloned().collect(),
            schema: projected.clone(),
            snapshot: self.snapshot.clone(),
            files: self.files.clone(),
            moving,
            tally: self.tally.clone(),
        };
        let rows: Arc<dyn PartitionStream> = Arc::new(rows);
        let exec = StreamingTableExec::try_new(projected, vec![rows], None, [], false, limit)?;
        Ok(Arc::new(exec))
    }
}

impl HotTable {
    /// The columns to ask the ledger for.
    fn read(&self, projected: &SchemaRef) -> Result<SchemaRef> {
        let has = |name: &str| projected.column_with_name(name).is_some();
        let any_declared = self.declared.iter().any(|column| has(&column.name));
        let base = columns::base();
        let wanted = |name: &str| {
            has(name) || (name == "at" && has(DAY)) || (name == "body" && any_declared)
        };
        let fields = base.fields().iter().enumerate();
        let mut read = fields
            .filter(|(_, field)| wanted(field.name()))
            .map(|(at, _)| at)
            .peekable();
        // To count rows takes some column.
        let read: Vec<usize> = match read.peek() {
            Some(_) => read.collect(),
            None => vec![0],
        };
        Ok(Arc::new(base.project(&read)?))
    }
}

/// One scan of the ledger.
struct HotRows {
    scan: Scan,
    declared: Vec<Column>,
    schema: SchemaRef,
    /// Also keeps the ledger's transaction open while its rows are read.
    snapshot: Arc<dyn Snapshot>,
    files: Arc<Files>,
    moving: Vec<ColdFile>,
    tally: Arc<Tally>,
}

impl std::fmt::Debug for HotRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HotRows")
            .field("scan", &self.scan)
            .finish_non_exhaustive()
    }
}

impl PartitionStream for HotRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let shape = Shape {
            shredder: Shredder::new(&self.declared),
            declared: self.declared.clone(),
            schema: self.schema.clone(),
            snapshot: self.snapshot.clone(),
            tally: self.tally.clone(),
        };
        let (mut scan, files) = (self.scan.clone(), self.files.clone());
        let (mut moving, tally) = (self.moving.clone(), self.tally.clone());
        let batches = async move {
            // Of what the cold scan left out, the ledger's rows count.
            moving.retain(|file| !tally.has_skipped(file));
            scan.without = files.seqs(&moving).await?;
            let batches = shape.snapshot.hot(scan).await?;
            Ok::<_, DataFusionError>(batches.map(move |batch| shape.shaped(&batch?)))
        };
        let batches = futures_util::stream::once(batches).try_flatten();
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

/// Makes rows of the table out of rows of the ledger.
struct Shape {
    shredder: Shredder,
    declared: Vec<Column>,
    schema: SchemaRef,
    snapshot: Arc<dyn Snapshot>,
    tally: Arc<Tally>,
}

impl Shape {
    fn shaped(&self, read: &RecordBatch) -> Result<RecordBatch> {
        self.tally
            .hot_rows
            .fetch_add(read.num_rows() as u64, Ordering::Relaxed);
        let declared = match self.declared.is_empty() {
            true => Vec::new(),
            false => self
                .shredder
                .shred(column(read, "body")?)
                .map_err(|error| DataFusionError::External(Box::new(error)))?,
        };
        let mut shaped: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            let name = field.name().as_str();
            let declared = self
                .declared
                .iter()
                .zip(&declared)
                .find(|(column, _)| column.name == name);
            shaped.push(match declared {
                Some((_, values)) => cast(values, field.data_type())?,
                None if name == DAY => days(column(read, "at")?),
                None => cast(column(read, name)?, field.data_type())?,
            });
        }
        let rows = RecordBatchOptions::new().with_row_count(Some(read.num_rows()));
        Ok(RecordBatch::try_new_with_options(
            self.schema.clone(),
            shaped,
            &rows,
        )?)
    }
}

fn days(at: &ArrayRef) -> ArrayRef {
    let at = at.as_primitive::<TimestampMicrosecondType>();
    let day = |at: i64| i32::try_from(at.div_euclid(MICROSECONDS_OF_A_DAY)).unwrap_or(i32::MAX);
    let days: Date32Array = at.unary(day);
    Arc::new(days)
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> Result<&'b ArrayRef> {
    let missing = || DataFusionError::Internal(format!("the ledger gave no column {name}"));
    batch.column_by_name(name).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use datafusion::execution::SendableRecordBatchStream;
    use datafusion::execution::runtime_env::RuntimeEnv;
    use datafusion::physical_plan::EmptyRecordBatchStream;
    use datafusion::prelude::SessionContext;
    use jiff::Timestamp;

    use super::super::files::Fault;
    use super::super::table;
    use super::*;
    use crate::cold::{Sealed, State, Store};
    use crate::ledger::{self, During};

    /// Gives no rows, and keeps what it was asked.
    #[derive(Default)]
    struct Asked(Mutex<Vec<Scan>>);

    #[async_trait]
    impl Snapshot for Asked {
        async fn files(&self, _: &str) -> Result<Vec<ColdFile>, ledger::Error> {
            Ok(Vec::new())
        }

        async fn any(&self, _: &str, _: During) -> Result<bool, ledger::Error> {
            Ok(true)
        }

        async fn hot(&self, scan: Scan) -> Result<SendableRecordBatchStream, ledger::Error> {
            let schema = scan.columns.clone();
            self.0.lock().unwrap().push(scan);
            Ok(Box::pin(EmptyRecordBatchStream::new(schema)))
        }
    }

    #[tokio::test]
    async fn whether_a_moving_file_counts_is_decided_while_the_plan_is_made() {
        let cold = tempfile::tempdir().unwrap();
        let store = Store::open(cold.path().to_str().unwrap(), []).unwrap();
        let footers = RuntimeEnv::default()
            .cache_manager
            .get_file_metadata_cache();
        let files = Arc::new(Files::new(store, footers));
        let file = ColdFile {
            number: 1,
            flow: "events".to_owned(),
            day: jiff::civil::date(2026, 1, 1),
            path: "events/day=2026-01-01/1.parquet".to_owned(),
            state: State::Moving,
            replaces: false,
            sealed: Some(Sealed {
                rows: 1,
                bytes: 100,
                first_at: Timestamp::UNIX_EPOCH,
                last_at: Timestamp::UNIX_EPOCH,
            }),
        };
        let fault = Fault {
            flow: file.flow.clone(),
            file: file.path.clone(),
            why: "is gone".to_owned(),
        };
        // Others left it out before; this plan may or may not.
        files.tell(&file, &fault).await;
        for left_out in [true, false] {
            let asked = Arc::new(Asked::default());
            let tally = Arc::new(Tally::default());
            let hot = HotTable {
                flow: "events".to_owned(),
                declared: Vec::new(),
                schema: table::schema(&[]),
                snapshot: asked.clone(),
                files: files.clone(),
                moving: vec![file.clone()],
                tally: tally.clone(),
            };
            let context = SessionContext::new();
            let plan = hot.scan(&context.state(), None, &[], None).await.unwrap();
            if left_out {
                tally.skips(&fault);
            }
            let rows = plan.execute(0, context.task_ctx()).unwrap();
            let rows = rows.try_collect::<Vec<_>>().await;
            assert_eq!(rows.is_ok(), left_out, "{rows:?}");
            let asked = asked.0.lock().unwrap();
            assert_eq!(asked.len(), usize::from(left_out));
            assert!(asked.iter().all(|scan| scan.without.is_empty()));
        }
    }
}
