//! Arrow batches as JSON: an array for each row, written as it arrives, so that
//! an answer takes no more memory than its text.

use std::fmt::Write;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UnionArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Float64Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
    UInt64Type,
};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion_functions_json::{JsonUnionEncoder, JsonUnionValue};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::value::RawValue;

use super::error::{Error, Failure};

/// More than a person reads or a page shows.
const MOST_ROWS: usize = 100_000;

/// An answer is held as a whole, here and by whoever asked.
const MOST_BYTES: usize = 64 << 20;

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
}

pub(super) fn columns(schema: &Schema) -> Vec<Column> {
    let columns = schema.fields().iter().map(|field| Column {
        name: field.name().clone(),
        kind: kind(field.data_type()),
    });
    columns.collect()
}

fn kind(kind: &DataType) -> &'static str {
    match kind {
        DataType::Boolean => "boolean",
        kind if kind.is_integer() => "integer",
        kind if kind.is_numeric() => "number",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Timestamp(..) => "time",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "bytes",
        DataType::FixedSizeBinary(_) => "bytes",
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => "list",
        DataType::Struct(_) => "object",
        DataType::Union(..) => "json",
        DataType::Dictionary(_, values) => self::kind(values),
        _ => "text",
    }
}

/// Takes batches and gives the JSON of all rows.
pub(super) struct Rows {
    json: String,
    /// Taken of what all queries share, for as long as rows are added.
    room: MemoryReservation,
    count: usize,
}

impl Rows {
    pub fn new(pool: &Arc<dyn MemoryPool>) -> Self {
        Self {
            json: "[".to_owned(),
            room: MemoryConsumer::new("answer").register(pool),
            count: 0,
        }
    }

    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        self.count += batch.num_rows();
        if self.count > MOST_ROWS {
            return Err(Error::TooMuch("100,000 rows").into());
        }
        let columns = batch.columns().iter().map(Values::of);
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            self.json
                .push_str(if self.json.len() > 1 { ",[" } else { "[" });
            for (at, column) in columns.iter().enumerate() {
                if at > 0 {
                    self.json.push(',');
                }
                column.write(row, &mut self.json)?;
            }
            self.json.push(']');
            if self.json.len() > MOST_BYTES {
                return Err(Error::TooMuch("64 MiB").into());
            }
            // More than its text while it grows.
            if self.json.capacity() > self.room.size() {
                self.room.try_resize(self.json.capacity())?;
            }
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<Box<RawValue>, Failure> {
        self.json.push(']');
        RawValue::from_string(self.json)
            .map_err(|error| Error::Internal(format!("answer is no JSON: {error}")).into())
    }
}

/// A column, in one of the few shapes that are written.
enum Values {
    Boolean(ArrayRef),
    Integer(ArrayRef),
    Unsigned(ArrayRef),
    Number(ArrayRef),
    Text(ArrayRef),
    Date(ArrayRef),
    Time(ArrayRef),
    Bytes(ArrayRef),
    /// Where each row's values start and end.
    List(Vec<Option<(usize, usize)>>, Box<Values>),
    Object(ArrayRef, Vec<(String, Values)>),
    Json(Box<JsonUnionEncoder>),
    /// As text.
    Other(ArrayRef),
}

impl Values {
    fn of(array: &ArrayRef) -> Result<Self, DataFusionError> {
        let to = |kind: DataType| cast(array, &kind);
        let kind = array.data_type();
        Ok(match kind {
            DataType::Boolean => Self::Boolean(array.clone()),
            DataType::UInt64 => Self::Unsigned(array.clone()),
            kind if kind.is_integer() => Self::Integer(to(DataType::Int64)?),
            kind if kind.is_numeric() => Self::Number(to(DataType::Float64)?),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Self::Text(to(DataType::Utf8View)?)
            }
            DataType::Date32 | DataType::Date64 => Self::Date(to(DataType::Date32)?),
            DataType::Timestamp(_, zone) => Self::Time(to(DataType::Timestamp(
                TimeUnit::Microsecond,
                zone.clone(),
            ))?),
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => Self::Bytes(to(DataType::BinaryView)?),
            DataType::Dictionary(_, values) => Self::of(&to((**values).clone())?)?,
            DataType::List(_) => {
                let lists = array.as_list::<i32>();
                let values = Self::of(lists.values())?;
                let spans = (0..lists.len()).map(|row| {
                    let offsets = lists.value_offsets();
                    lists
                        .is_valid(row)
                        .then(|| (offsets[row] as usize, offsets[row + 1] as usize))
                });
                Self::List(spans.collect(), Box::new(values))
            }
            DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                Self::of(&to(DataType::List(item.clone()))?)?
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns().iter();
                let members = fields.iter().zip(columns).map(|(field, column)| {
                    Ok::<_, DataFusionError>((field.name().clone(), Self::of(column)?))
                });
                Self::Object(array.clone(), members.collect::<Result<_, _>>()?)
            }
            DataType::Union(..) => {
                let union = array.as_any().downcast_ref::<UnionArray>();
                match union.cloned().and_then(JsonUnionEncoder::from_union) {
                    Some(json) => Self::Json(Box::new(json)),
                    None => Self::Other(array.clone()),
                }
            }
            _ => Self::Other(array.clone()),
        })
    }

    fn write(&self, row: usize, json: &mut String) -> Result<(), DataFusionError> {
        if self.is_null(row) {
            json.push_str("null");
            return Ok(());
        }
        match self {
            Self::Boolean(array) => put(json, array.as_boolean().value(row)),
            Self::Integer(array) => put(json, array.as_primitive::<Int64Type>().value(row)),
            Self::Unsigned(array) => put(json, array.as_primitive::<UInt64Type>().value(row)),
            Self::Number(array) => number(json, array.as_primitive::<Float64Type>().value(row)),
            Self::Text(array) => text(json, array.as_string_view().value(row)),
            Self::Date(array) => match date(array.as_primitive::<Date32Type>().value(row)) {
                Some(date) => text(json, &date.to_string()),
                None => json.push_str("null"),
            },
            Self::Time(array) => {
                let time = array.as_primitive::<TimestampMicrosecondType>().value(row);
                match Timestamp::from_microsecond(time) {
                    Ok(time) => text(json, &time.to_string()),
                    Err(_) => json.push_str("null"),
                }
            }
            Self::Bytes(array) => {
                json.push('"');
                for byte in array.as_binary_view().value(row) {
                    // To a String nothing fails.
                    let _ = write!(json, "{byte:02x}");
                }
                json.push('"');
            }
            Self::List(spans, values) => {
                let (start, end) = spans.get(row).copied().flatten().unwrap_or((0, 0));
                json.push('[');
                for at in start..end {
                    if at > start {
                        json.push(',');
                    }
                    values.write(at, json)?;
                }
                json.push(']');
            }
            Self::Object(_, members) => {
                json.push('{');
                for (at, (name, values)) in members.iter().enumerate() {
                    if at > 0 {
                        json.push(',');
                    }
                    text(json, name);
                    json.push(':');
                    values.write(row, json)?;
                }
                json.push('}');
            }
            Self::Json(values) => match values.get_value(row) {
                JsonUnionValue::JsonNull => json.push_str("null"),
                JsonUnionValue::Bool(value) => put(json, value),
                JsonUnionValue::Int(value) => put(json, value),
                JsonUnionValue::Float(value) => number(json, value),
                JsonUnionValue::Str(value) => text(json, value),
                JsonUnionValue::Array(value) | JsonUnionValue::Object(value) => raw(json, value),
            },
            Self::Other(array) => {
                let options = FormatOptions::default();
                let formatter = ArrayFormatter::try_new(array, &options)?;
                text(json, &formatter.value(row).to_string());
            }
        }
        Ok(())
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Boolean(array)
            | Self::Integer(array)
            | Self::Unsigned(array)
            | Self::Number(array)
            | Self::Text(array)
            | Self::Date(array)
            | Self::Time(array)
            | Self::Bytes(array)
            | Self::Object(array, _)
            | Self::Other(array) => array.is_null(row) || *array.data_type() == DataType::Null,
            Self::List(spans, _) => spans.get(row).is_none_or(Option::is_none),
            Self::Json(_) => false,
        }
    }
}

fn put(json: &mut String, value: impl std::fmt::Display) {
    let _ = write!(json, "{value}");
}

/// JSON has no word for what is no number.
fn number(json: &mut String, value: f64) {
    match serde_json::Number::from_f64(value) {
        Some(number) => put(json, number),
        None => json.push_str("null"),
    }
}

fn text(json: &mut String, value: &str) {
    match serde_json::to_string(value) {
        Ok(quoted) => json.push_str(&quoted),
        Err(_) => json.push_str("null"),
    }
}

/// What a body has inside may be no JSON: then it is text.
fn raw(json: &mut String, value: &str) {
    match serde_json::from_str::<&RawValue>(value) {
        Ok(value) => json.push_str(value.get()),
        Err(_) => text(json, value),
    }
}

fn date(days: i32) -> Option<Date> {
    let span = jiff::Span::new().try_days(days).ok()?;
    jiff::civil::date(1970, 1, 1).checked_add(span).ok()
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{
        Date32Array, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray,
    };
    use datafusion::execution::memory_pool::GreedyMemoryPool;

    use super::*;

    fn rows(memory: usize) -> Rows {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(memory));
        Rows::new(&pool)
    }

    fn json(columns: Vec<ArrayRef>) -> String {
        let named = columns
            .into_iter()
            .enumerate()
            .map(|(at, column)| (at.to_string(), column));
        let batch = RecordBatch::try_from_iter_with_nullable(named.map(|(n, c)| (n, c, true)));
        let mut rows = rows(1 << 20);
        rows.add(&batch.unwrap()).unwrap();
        rows.finish().unwrap().get().to_owned()
    }

    #[test]
    fn every_kind_of_value_has_its_json() {
        let times = TimestampMicrosecondArray::from(vec![Some(0), None]).with_timezone("UTC");
        let list =
            ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(i64::MAX), None])),
            Arc::new(Float64Array::from(vec![0.5, f64::NAN])),
            Arc::new(StringArray::from(vec!["a\"\n", ""])),
            Arc::new(Date32Array::from(vec![20_454, -1])),
            Arc::new(times),
            Arc::new(list),
        ];
        let expected = concat!(
            r#"[[9223372036854775807,0.5,"a\"\n","2026-01-01","1970-01-01T00:00:00Z",[1,null]],"#,
            r#"[null,null,"","1969-12-31",null,null]]"#
        );
        assert_eq!(json(columns), expected);
    }

    #[test]
    fn an_answer_has_an_end() {
        let column: ArrayRef = Arc::new(Int64Array::from_value(1, 60_000));
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let mut all = rows(1 << 20);
        all.add(&batch).unwrap();
        assert!(matches!(
            all.add(&batch),
            Err(Failure::Final(Error::TooMuch(_)))
        ));
        let added = rows(1 << 10).add(&batch);
        assert!(matches!(added, Err(Failure::Final(Error::Memory(_)))));
    }
}
