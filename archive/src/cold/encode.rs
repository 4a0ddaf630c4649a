use std::mem;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use datafusion::arrow::error::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::{Digest, Error};
use crate::columns::Shredder;
use crate::flows::Column;
use crate::ledger::Place;

/// Rows of a row group: what is read at a time, and kept in memory to write it.
const GROUP: usize = 128 << 10;

/// Bytes of a row group of long bodies, as they are in memory when they are read
/// again: however little is left of them in the file.
const GROUP_BYTES: usize = 128 << 20;

/// Level 3 takes half as long again and saves a few in a hundred.
const LEVEL: i32 = 1;

/// Of the base columns: what is different in each row gains nothing from a
/// dictionary, and what is not asked for by its value needs no statistics.
const UNIQUE: [&str; 9] = [
    "seq",
    "id",
    "at",
    "received_at",
    "decided_at",
    "inference_us",
    "stream_id",
    "body_hash",
    "body",
];
const UNSORTED: [&str; 6] = [
    "output",
    "oracles",
    "attributes",
    "deliveries",
    "body_hash",
    "body",
];
const COUNTED: [&str; 4] = ["seq", "at", "received_at", "decided_at"];

/// Under which a file says which declared columns it was written with.
pub(crate) const COLUMNS: &str = "floodgate.columns";

/// Rows in, the bytes of a file out.
pub(super) struct Encoder {
    writer: ArrowWriter<Vec<u8>>,
    shredder: Arc<Shredder>,
    /// Of the row group that is being written.
    bytes: usize,
    pub digest: Digest,
    /// In microseconds.
    pub first_at: Option<i64>,
    pub last: Option<Place>,
}

impl Encoder {
    pub fn new(columns: &[Column], shredder: Arc<Shredder>) -> Result<Self, Error> {
        let properties = properties(columns)?;
        let table = shredder.table().clone();
        let writer = ArrowWriter::try_new(Vec::new(), table, Some(properties)).map_err(wrong)?;
        Ok(Self {
            writer,
            shredder,
            bytes: 0,
            digest: Digest::default(),
            first_at: None,
            last: None,
        })
    }

    /// What is to be written so far, which may be nothing.
    pub fn add(&mut self, base: &RecordBatch) -> Result<Vec<u8>, Error> {
        if base.num_rows() == 0 {
            return Ok(Vec::new());
        }
        self.digest.add(base)?;
        self.note_places(base)?;
        let batch = self.shredder.complete(base)?;
        self.writer.write(&batch).map_err(wrong)?;
        let bytes = bytes(&batch)?;
        // By itself the writer ends a row group that has rows enough.
        self.bytes = match self.writer.in_progress_rows() {
            begun if begun < batch.num_rows() => bytes * begun / batch.num_rows(),
            _ => self.bytes + bytes,
        };
        if self.bytes >= GROUP_BYTES {
            self.writer.flush().map_err(wrong)?;
            self.bytes = 0;
        }
        Ok(mem::take(self.writer.inner_mut()))
    }

    fn note_places(&mut self, base: &RecordBatch) -> Result<(), Error> {
        let strange = || Error::Other("rows without time and number".to_owned());
        let times = base.column_by_name("at").ok_or_else(strange)?;
        let times = times.as_primitive_opt::<TimestampMicrosecondType>();
        let seqs = base.column_by_name("seq").ok_or_else(strange)?;
        let seqs = seqs.as_primitive_opt::<Int64Type>();
        let (times, seqs) = (times.ok_or_else(strange)?, seqs.ok_or_else(strange)?);
        self.first_at.get_or_insert(times.value(0));
        let last = base.num_rows() - 1;
        self.last = Some(Place {
            at: times.value(last),
            seq: seqs.value(last),
        });
        Ok(())
    }

    pub fn finish(&mut self) -> Result<Vec<u8>, Error> {
        self.writer.finish().map_err(wrong)?;
        Ok(mem::take(self.writer.inner_mut()))
    }
}

fn bytes(batch: &RecordBatch) -> Result<usize, ArrowError> {
    let columns = batch.columns().iter();
    let bytes = columns.map(|column| column.to_data().get_slice_memory_size());
    bytes.sum()
}

fn wrong(error: ParquetError) -> Error {
    Error::Other(format!("encode rows: {error}"))
}

fn properties(columns: &[Column]) -> Result<WriterProperties, Error> {
    let json = serde_json::to_string(columns).map_err(|error| Error::Other(error.to_string()))?;
    let level = ZstdLevel::try_new(LEVEL).map_err(wrong)?;
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP))
        .set_statistics_truncate_length(Some(64))
        .set_column_index_truncate_length(Some(64))
        .set_key_value_metadata(Some(vec![KeyValue::new(COLUMNS.to_owned(), json)]))
        .set_sorting_columns(Some(vec![ascending(2), ascending(0)]))
        .set_column_bloom_filter_fpp(column("id"), 0.01)
        .set_column_bloom_filter_max_ndv(column("id"), GROUP as u64);
    for name in UNIQUE {
        properties = properties.set_column_dictionary_enabled(column(name), false);
    }
    for name in UNSORTED {
        properties =
            properties.set_column_statistics_enabled(column(name), EnabledStatistics::None);
    }
    Ok(deltas(properties).build())
}

/// What counts up, or nearly does.
fn deltas(mut properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
    for name in COUNTED {
        properties = properties.set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    properties.set_column_encoding(column("stream_id"), Encoding::DELTA_BYTE_ARRAY)
}

/// By the place among `crate::columns::base`: those before are of one leaf each.
fn ascending(place: i32) -> SortingColumn {
    SortingColumn {
        column_idx: place,
        descending: false,
        nulls_first: false,
    }
}

fn column(name: &str) -> ColumnPath {
    ColumnPath::from(name)
}
