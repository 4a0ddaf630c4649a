//! The cold files of a flow. Files that have nothing of the time asked for are
//! left out by what the ledger says of them; row groups, pages and rows by what
//! is in the files.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::config::TableParquetOptions;
use datafusion::common::stats::Precision;
use datafusion::common::{DataFusionError, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::object_store::ObjectStoreUrl;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;

use super::error::Error;
use super::files::{Files, Unread, overtaken};
use super::scanned::Tally;
use super::shares::ByDay;
use super::wanted::{Known, Wanted};
use super::{functions, shares, table};
use crate::cold::ColdFile;
use crate::flows::Column;
use crate::ledger::Ledger;

pub(super) struct ColdTable {
    /// As the flow declares them today.
    pub declared: Vec<Column>,
    pub schema: SchemaRef,
    /// Those that count.
    pub counting: Vec<ColdFile>,
    pub ledger: Arc<dyn Ledger>,
    pub files: Arc<Files>,
    pub store: ObjectStoreUrl,
    /// A file that cannot be read is left out, where it still counts; else that
    /// ends the attempt: it may have been replaced since the ledger was asked.
    pub lenient: bool,
    pub tally: Arc<Tally>,
}

impl std::fmt::Debug for ColdTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColdTable")
            .field("files", &self.counting.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for ColdTable {
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
            // All rows of a file are of one day.
            Known::Days => TableProviderFilterPushDown::Exact,
            Known::Part => TableProviderFilterPushDown::Inexact,
            Known::Nothing => TableProviderFilterPushDown::Unsupported,
        });
        Ok(known.collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let projection = projection.unwrap_or(&all);
        let mut scans = Vec::new();
        for (differing, files) in self.readable(&Wanted::of(filters), projection).await? {
            let scan = Scan {
                table: self,
                state,
                projection,
                limit,
            };
            scans.push(match differing.is_empty() {
                true => scan.as_written(files)?,
                false => scan.computed(files, &differing)?,
            });
        }
        match scans.is_empty() {
            true => Ok(Arc::new(EmptyExec::new(Arc::new(
                self.schema.project(projection)?,
            )))),
            false => UnionExec::try_new(scans),
        }
    }
}

/// Positions in the table of declared columns that a file does not have as they
/// are declared today.
type Differing = Vec<usize>;

impl ColdTable {
    async fn readable(
        &self,
        wanted: &Wanted,
        projection: &[usize],
    ) -> Result<BTreeMap<Differing, Vec<ColdFile>>> {
        let mut files = self.counting.clone();
        // A statement may name its table twice.
        files.retain(|file| !self.tally.has_skipped(file));
        files.retain(|file| wanted.is_in(file));
        let mut readable: BTreeMap<Differing, Vec<ColdFile>> = BTreeMap::new();
        for (file, columns) in self.files.look(files).await {
            self.tally.looks_at(&file);
            match columns {
                Ok(columns) => {
                    let differing = self.differing(&columns, projection);
                    readable.entry(differing).or_default().push(file);
                }
                Err(Unread::Away(why)) => {
                    return Err(DataFusionError::External(Box::new(Error::Away(why))));
                }
                Err(Unread::Fault(fault)) => {
                    if self.lenient && self.still_counts(&file).await? {
                        self.files.tell(&file, &fault).await;
                        self.tally.skips(&fault);
                        continue;
                    }
                    let error = std::io::Error::other(format!("{}: {}", fault.file, fault.why));
                    return Err(DataFusionError::IoError(error));
                }
            }
        }
        Ok(readable)
    }

    async fn still_counts(&self, file: &ColdFile) -> Result<bool> {
        let files = std::slice::from_ref(file);
        Ok(!overtaken(&*self.ledger, &file.flow, files).await?)
    }

    fn differing(&self, written: &[Column], projection: &[usize]) -> Differing {
        let first = self.first_declared();
        let declared = self.declared.iter().enumerate();
        let differing = declared.filter(|(_, column)| !written.contains(column));
        let differing = differing.map(|(at, _)| first + at);
        differing.filter(|at| projection.contains(at)).collect()
    }

    /// Behind them stands the day.
    fn first_declared(&self) -> usize {
        self.schema.fields().len() - 1 - self.declared.len()
    }
}

struct Scan<'s> {
    table: &'s ColdTable,
    state: &'s dyn Session,
    projection: &'s [usize],
    limit: Option<usize>,
}

impl Scan<'_> {
    fn as_written(&self, files: Vec<ColdFile>) -> Result<Arc<dyn ExecutionPlan>> {
        self.columns(files, self.projection.to_vec())
    }

    /// Declared columns that a file has not, or otherwise, are taken out of the
    /// body again.
    fn computed(
        &self,
        files: Vec<ColdFile>,
        differing: &[usize],
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let body = self.table.schema.index_of("body")?;
        let mut read: Vec<usize> = self.projection.to_vec();
        read.retain(|at| !differing.contains(at));
        if !read.contains(&body) {
            read.push(body);
        }
        let input = self.columns(files, read)?;
        let schema = input.schema();
        let body: Arc<dyn PhysicalExpr> =
            Arc::new(PhysicalColumn::new_with_schema("body", &schema)?);
        let first = self.table.first_declared();
        let mut columns: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::new();
        for at in self.projection {
            let name = self.table.schema.field(*at).name();
            let declared = at
                .checked_sub(first)
                .and_then(|at| self.table.declared.get(at));
            let column: Arc<dyn PhysicalExpr> = match declared {
                Some(column) if differing.contains(at) => {
                    let function = functions::declared(column);
                    let options = Arc::new(self.state.config_options().clone());
                    let body = vec![body.clone()];
                    Arc::new(ScalarFunctionExpr::try_new(
                        function, body, &schema, options,
                    )?)
                }
                _ => Arc::new(PhysicalColumn::new_with_schema(name, &schema)?),
            };
            columns.push((column, name.clone()));
        }
        Ok(Arc::new(ProjectionExec::try_new(columns, input)?))
    }

    fn columns(&self, files: Vec<ColdFile>, columns: Vec<usize>) -> Result<Arc<dyn ExecutionPlan>> {
        let in_files = table::in_files(&self.table.declared);
        let schema = TableSchema::builder(in_files.clone())
            .with_table_partition_cols(vec![Arc::new(table::day())])
            .build();
        let runtime = self.state.runtime_env();
        let store = runtime.object_store(&self.table.store)?;
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let source = ParquetSource::new(schema)
            .with_table_parquet_options(TableParquetOptions {
                global: self.state.config_options().execution.parquet.clone(),
                ..TableParquetOptions::default()
            })
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(
                store, footers,
            )));
        let (groups, by_day) = self.shared(&files, &in_files)?;
        let mut config = FileScanConfigBuilder::new(self.table.store.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(self.statistics(&files))
            .with_limit(self.limit)
            .with_projection_indices(Some(columns))?;
        if let Some(ByDay {
            order,
            partitioning,
        }) = by_day
        {
            config = config
                .with_output_partitioning(Some(partitioning))
                .with_output_ordering(vec![order]);
        }
        Ok(DataSourceExec::from_data_source(config.build()))
    }

    /// For each core what it reads.
    fn shared(
        &self,
        files: &[ColdFile],
        in_files: &Schema,
    ) -> Result<(Vec<FileGroup>, Option<ByDay>)> {
        let cores = self.state.config().target_partitions();
        let group = |files: &[ColdFile]| {
            let parts = files.iter().map(|file| part(file, in_files));
            Ok(FileGroup::new(parts.collect::<Result<_>>()?))
        };
        match shares::by_day(files, cores) {
            Some(shares) => {
                let groups = shares.iter().map(|share| group(share));
                let groups = groups.collect::<Result<Vec<_>>>()?;
                let day = in_files.fields().len();
                let by_day = ByDay::of(&groups, day)?;
                Ok((groups, Some(by_day)))
            }
            None => Ok((group(files)?.split_files(cores), None)),
        }
    }

    fn statistics(&self, files: &[ColdFile]) -> Statistics {
        let sealed = || files.iter().filter_map(|file| file.sealed.as_ref());
        let rows = sealed().map(|sealed| sealed.rows as usize).sum();
        let bytes = sealed().map(|sealed| sealed.bytes as usize).sum();
        let mut statistics = Statistics::new_unknown(&self.table.schema);
        statistics.num_rows = Precision::Exact(rows);
        statistics.total_byte_size = Precision::Inexact(bytes);
        statistics
    }
}

fn part(file: &ColdFile, in_files: &Schema) -> Result<PartitionedFile> {
    let unfinished = || DataFusionError::Internal(format!("{} was never finished", file.path));
    let sealed = file.sealed.as_ref().ok_or_else(unfinished)?;
    let mut statistics = Statistics::new_unknown(in_files);
    statistics.num_rows = Precision::Exact(sealed.rows as usize);
    statistics.total_byte_size = Precision::Inexact(sealed.bytes as usize);
    let time = |time: jiff::Timestamp| {
        let time =
            ScalarValue::TimestampMicrosecond(Some(time.as_microsecond()), Some("UTC".into()));
        Precision::Inexact(time)
    };
    let is_time = |field: &Arc<Field>| field.name() == "at";
    if let Some(at) = in_files.fields().iter().position(is_time) {
        let at = &mut statistics.column_statistics[at];
        at.min_value = time(sealed.first_at);
        at.max_value = time(sealed.last_at);
        at.null_count = Precision::Exact(0);
    }
    let day = file.day.since(jiff::civil::date(1970, 1, 1));
    let day = day
        .map_err(|error| DataFusionError::External(Box::new(error)))?
        .get_days();
    let part = PartitionedFile::new(file.path.as_str(), sealed.bytes)
        .with_partition_values(vec![ScalarValue::Date32(Some(day))]);
    Ok(part.with_statistics(Arc::new(statistics)))
}
