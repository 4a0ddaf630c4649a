//! Reading a file without a query: all of its rows, or one.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch, Scalar, StringArray};
use datafusion::arrow::compute::kernels::cmp;
use datafusion::arrow::datatypes::Int64Type;
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowPredicateFn, RowFilter};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::reader::Reader;
use super::{ColdFile, Error, Store};
use crate::columns;
use crate::ledger::{BATCH, Gone, Known, id_hash};

type Builder = ParquetRecordBatchStreamBuilder<Reader>;

/// Bytes of a batch that is read, about: bodies may be long.
const BATCH_BYTES: i64 = 8 << 20;

/// The base columns of all rows, in their order.
///
/// # Errors
/// Where the store is away, or the file is damaged; of what comes later the
/// stream tells.
pub async fn rows(store: &Store, file: &ColdFile) -> Result<SendableRecordBatchStream, Error> {
    Ok(sized_rows(store, file).await?.0)
}

/// As [`rows`], and how many of them may be in memory at a time.
///
/// # Errors
/// As [`rows`].
pub async fn sized_rows(
    store: &Store,
    file: &ColdFile,
) -> Result<(SendableRecordBatchStream, usize), Error> {
    let builder = open(store, file).await?;
    let at_a_time = at_a_time(builder.metadata());
    let base = columns::base();
    let names: Vec<_> = base
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let mask = mask(&builder, file, &names)?;
    let read = builder.with_projection(mask).build();
    let read = read.map_err(|error| damaged(store, file, error))?;
    let (store, file, schema) = (store.clone(), file.clone(), base.clone());
    let read = read.map(move |batch| {
        let batch = batch.map_err(|error| damaged(&store, &file, error));
        let batch = batch.and_then(|batch| in_order(&batch, &file));
        batch.map_err(|error| DataFusionError::External(Box::new(error)))
    });
    let rows: SendableRecordBatchStream = Box::pin(RecordBatchStreamAdapter::new(schema, read));
    Ok((rows, at_a_time))
}

/// By the row group with the longest rows.
fn at_a_time(metadata: &ParquetMetaData) -> usize {
    let groups = metadata.row_groups().iter();
    let rows = groups.map(|group| {
        let bytes = group.total_byte_size() / group.num_rows().max(1);
        BATCH_BYTES / bytes.max(1)
    });
    let rows = rows.min().and_then(|rows| usize::try_from(rows).ok());
    rows.unwrap_or(BATCH).clamp(1, BATCH)
}

/// As `columns::base` has them; a file keeps the order of its own columns.
fn in_order(batch: &RecordBatch, file: &ColdFile) -> Result<RecordBatch, Error> {
    let base = columns::base();
    let columns = base.fields().iter().map(|field| {
        let column = batch.column_by_name(field.name()).cloned();
        column.ok_or_else(|| misses(file, field.name()))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(base, columns)?)
}

/// What is to be removed from the ledger, so many rows at a time.
///
/// # Errors
/// As [`rows`].
pub async fn gone(
    store: &Store,
    file: &ColdFile,
    at_a_time: usize,
) -> Result<BoxStream<'static, Result<Vec<Gone>, Error>>, Error> {
    let names = &["seq", "id", "deliveries"];
    each(store, file, names, at_a_time, gone_of).await
}

fn gone_of(batch: &RecordBatch, file: &ColdFile) -> Result<Vec<Gone>, Error> {
    let column = |name| batch.column_by_name(name).ok_or_else(|| misses(file, name));
    let strange = || misses(file, "seq or id as they should be");
    let deliveries = column("deliveries")?;
    let seqs = column("seq")?.as_primitive_opt::<Int64Type>();
    let ids = column("id")?.as_string_opt::<i32>();
    let (seqs, ids) = (seqs.ok_or_else(strange)?, ids.ok_or_else(strange)?);
    let gone = (0..batch.num_rows()).map(|row| Gone {
        seq: seqs.value(row),
        id: ids.value(row).to_owned(),
        delivered: deliveries.is_valid(row),
    });
    Ok(gone.collect())
}

/// The ids of all rows, as the ledger keeps them.
///
/// # Errors
/// As [`rows`].
pub async fn known(store: &Store, file: &ColdFile) -> Result<Vec<Known>, Error> {
    let mut all = Vec::new();
    let mut read = each(store, file, &["id", "body_hash"], BATCH, known_of).await?;
    while let Some(some) = read.next().await {
        all.extend(some?);
    }
    Ok(all)
}

fn known_of(batch: &RecordBatch, file: &ColdFile) -> Result<Vec<Known>, Error> {
    let column = |name| batch.column_by_name(name).ok_or_else(|| misses(file, name));
    let strange = || misses(file, "id or body_hash as they should be");
    let ids = column("id")?.as_string_opt::<i32>();
    let hashes = column("body_hash")?.as_binary_opt::<i32>();
    let (ids, hashes) = (ids.ok_or_else(strange)?, hashes.ok_or_else(strange)?);
    let known = (0..batch.num_rows()).map(|row| {
        Ok(Known {
            id_hash: id_hash(ids.value(row)),
            body_hash: hashes.value(row).try_into().map_err(|_| strange())?,
        })
    });
    known.collect()
}

/// Some columns of all rows, as something else.
async fn each<T: Send + 'static>(
    store: &Store,
    file: &ColdFile,
    names: &[&str],
    at_a_time: usize,
    take: impl Fn(&RecordBatch, &ColdFile) -> Result<T, Error> + Send + 'static,
) -> Result<BoxStream<'static, Result<T, Error>>, Error> {
    let builder = open(store, file).await?.with_batch_size(at_a_time);
    let mask = mask(&builder, file, names)?;
    let read = builder.with_projection(mask).build();
    let read = read.map_err(|error| damaged(store, file, error))?;
    let (store, file) = (store.clone(), file.clone());
    let taken = read.map(move |batch| {
        let batch = batch.map_err(|error| damaged(&store, &file, error))?;
        take(&batch, &file)
    });
    Ok(taken.boxed())
}

/// All columns of the one row that has this id.
///
/// # Errors
/// As [`rows`].
pub async fn find(store: &Store, file: &ColdFile, id: &str) -> Result<Option<RecordBatch>, Error> {
    let mut builder = open(store, file).await?;
    let (place, _) = builder
        .schema()
        .column_with_name("id")
        .ok_or_else(|| misses(file, "id"))?;
    let mut groups = Vec::new();
    for group in 0..builder.metadata().num_row_groups() {
        let filter = builder
            .get_row_group_column_bloom_filter(group, place)
            .await;
        let filter = filter.map_err(|error| damaged(store, file, error))?;
        if filter.is_none_or(|filter| filter.check(id)) {
            groups.push(group);
        }
    }
    let mask = mask(&builder, file, &["id"])?;
    let wanted = Arc::new(Scalar::new(StringArray::from(vec![id])));
    let has_id = ArrowPredicateFn::new(mask, move |batch| cmp::eq(batch.column(0), &*wanted));
    let read = builder
        .with_row_groups(groups)
        .with_row_filter(RowFilter::new(vec![Box::new(has_id)]))
        .with_limit(1)
        .build();
    let read = read.map_err(|error| damaged(store, file, error))?;
    let found: Result<Vec<_>, _> = read.try_collect().await;
    let found = found.map_err(|error| damaged(store, file, error))?;
    Ok(found.into_iter().find(|batch| batch.num_rows() > 0))
}

/// Reads so many rows at a time as there is room for.
pub(super) async fn open(store: &Store, file: &ColdFile) -> Result<Builder, Error> {
    let path = store.location(file)?;
    let found = store.objects().head(&path).await;
    let bytes = match found {
        Ok(found) => found.size,
        Err(object_store::Error::NotFound { .. }) => return Err(damage(file, "it is not there")),
        Err(error) => return Err(store.failed(&error)),
    };
    if let Some(sealed) = &file.sealed
        && sealed.bytes != bytes
    {
        let what = format!("it has {bytes} bytes instead of {}", sealed.bytes);
        return Err(damage(file, &what));
    }
    let reader = Reader::new(store.objects().clone(), path, bytes);
    let builder = Builder::new(reader).await;
    let builder = builder.map_err(|error| damaged(store, file, error))?;
    let at_a_time = at_a_time(builder.metadata());
    Ok(builder.with_batch_size(at_a_time))
}

fn mask(builder: &Builder, file: &ColdFile, names: &[&str]) -> Result<ProjectionMask, Error> {
    let roots = names.iter().map(|name| {
        let found = builder.schema().column_with_name(name);
        found
            .map(|(place, _)| place)
            .ok_or_else(|| misses(file, name))
    });
    let roots = roots.collect::<Result<Vec<_>, _>>()?;
    Ok(ProjectionMask::roots(builder.parquet_schema(), roots))
}

/// The store's errors come through the reader of Parquet.
pub(super) fn damaged(store: &Store, file: &ColdFile, error: ParquetError) -> Error {
    match error {
        ParquetError::External(cause) if cause.is::<object_store::Error>() => store.failed(&cause),
        error => damage(file, &error.to_string()),
    }
}

pub(super) fn damage(file: &ColdFile, what: &str) -> Error {
    Error::Damaged {
        path: file.path.clone(),
        what: what.to_owned(),
    }
}

fn misses(file: &ColdFile, name: &str) -> Error {
    damage(file, &format!("it has no column {name}"))
}
