//! Rows of a ledger on their way into Arrow, without a value of their own in
//! between.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryBuilder, Float64Builder, Int64Builder, ListBuilder, RecordBatch,
    RecordBatchOptions, StringBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::error::DataFusionError;

use super::{BATCH, Error};

/// Bytes of text after which a batch is full: bodies may be long.
const FULL: usize = 8 << 20;

/// A column that is being filled.
pub(super) enum Column {
    Integer(Int64Builder),
    Number(Float64Builder),
    Time(TimestampMicrosecondBuilder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Texts(ListBuilder<StringBuilder>),
}

impl Column {
    fn new(kind: &DataType) -> Self {
        match kind {
            DataType::Int64 => Self::Integer(Int64Builder::new()),
            DataType::Float64 => Self::Number(Float64Builder::new()),
            DataType::Timestamp(..) => {
                let times = TimestampMicrosecondBuilder::new();
                Self::Time(times.with_timezone("UTC"))
            }
            DataType::Binary => Self::Bytes(BinaryBuilder::new()),
            DataType::List(_) => Self::Texts(ListBuilder::new(StringBuilder::new())),
            _ => Self::Text(StringBuilder::new()),
        }
    }

    pub fn null(&mut self) {
        match self {
            Self::Integer(builder) => builder.append_null(),
            Self::Number(builder) => builder.append_null(),
            Self::Time(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Bytes(builder) => builder.append_null(),
            Self::Texts(builder) => builder.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Number(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Bytes(builder) => Arc::new(builder.finish()),
            Self::Texts(builder) => Arc::new(builder.finish()),
        }
    }
}

/// A batch that is being filled.
pub(super) struct Rows {
    schema: SchemaRef,
    pub columns: Vec<Column>,
    count: usize,
    bytes: usize,
}

impl Rows {
    pub fn new(schema: SchemaRef) -> Self {
        let columns = schema.fields().iter();
        Self {
            columns: columns
                .map(|field| Column::new(field.data_type()))
                .collect(),
            schema,
            count: 0,
            bytes: 0,
        }
    }

    /// A row of so many bytes was added to each column.
    pub fn added(&mut self, bytes: usize) {
        self.count += 1;
        self.bytes += bytes;
    }

    pub fn is_full(&self) -> bool {
        self.count >= BATCH || self.bytes >= FULL
    }

    /// A batch, where one is full.
    pub fn take_full(&mut self) -> Result<Option<RecordBatch>, DataFusionError> {
        match self.is_full() {
            true => self.take(),
            false => Ok(None),
        }
    }

    /// What was added since the last one; `None`: nothing.
    pub fn take(&mut self) -> Result<Option<RecordBatch>, DataFusionError> {
        if self.count == 0 {
            return Ok(None);
        }
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        let count = RecordBatchOptions::new().with_row_count(Some(self.count));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &count)?;
        (self.count, self.bytes) = (0, 0);
        Ok(Some(batch))
    }
}

/// Rows that a file has already, which count there.
pub(super) struct Without(Vec<i64>);

impl Without {
    pub fn new(mut seqs: Vec<i64>) -> Self {
        seqs.sort_unstable();
        Self(seqs)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn has(&self, seq: i64) -> bool {
        self.0.binary_search(&seq).is_ok()
    }
}

/// Into the error of a stream, where it can be found again.
impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}
