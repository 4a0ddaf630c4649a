//! The columns of a flow's table: those that every flow has, which are read
//! from the ledger, and those that its file declares, which are taken out of
//! the body. Hot rows and cold files get them by the same code.

mod pick;
mod shred;
mod value;

use std::sync::{Arc, LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::flows::{Column, Kind};

pub use self::shred::{Error, Shredder};

/// Microseconds since 1970, UTC.
pub fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// What every flow has.
pub fn base() -> SchemaRef {
    static BASE: LazyLock<SchemaRef> = LazyLock::new(|| {
        let reasons = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
        Arc::new(Schema::new(vec![
            Field::new("seq", DataType::Int64, false),
            Field::new("id", DataType::Utf8, false),
            Field::new("at", time(), false),
            Field::new("received_at", time(), false),
            Field::new("decided_at", time(), false),
            Field::new("score", DataType::Float64, true),
            Field::new("label", DataType::Utf8, true),
            Field::new("label_name", DataType::Utf8, true),
            Field::new("reasons", reasons, false),
            Field::new("output", DataType::Utf8, true),
            Field::new("oracles", DataType::Utf8, false),
            Field::new("threshold", DataType::Float64, false),
            Field::new("inference_us", DataType::Float64, false),
            Field::new("flow_digest", DataType::Utf8, false),
            Field::new("settings_digest", DataType::Utf8, true),
            Field::new("stream_id", DataType::Utf8, false),
            Field::new("attributes", DataType::Utf8, true),
            Field::new("deliveries", DataType::Utf8, true),
            Field::new("body_hash", DataType::Binary, false),
            Field::new("body", DataType::Utf8, true),
            Field::new("erased_at", time(), true),
        ]))
    });
    BASE.clone()
}

/// The base columns and then the declared ones.
pub fn table(declared: &[Column]) -> SchemaRef {
    let base = base();
    let fields = base.fields().iter().cloned();
    let declared = declared.iter().map(|column| Arc::new(field(column)));
    Arc::new(Schema::new(fields.chain(declared).collect::<Vec<_>>()))
}

fn field(column: &Column) -> Field {
    let kind = match column.kind {
        Kind::Text => DataType::Utf8,
        Kind::Integer => DataType::Int64,
        Kind::Number => DataType::Float64,
        Kind::Boolean => DataType::Boolean,
        Kind::Time => time(),
    };
    Field::new(&column.name, kind, true)
}
