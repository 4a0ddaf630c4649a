//! A flow's table: its cold files and its hot rows, one after the other. The
//! optimizer takes filters and projections into both.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::Result;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::{TableProvider, ViewTable, provider_as_source};
use datafusion::logical_expr::LogicalPlanBuilder;

use super::wanted::DAY;
use crate::columns;
use crate::flows::Column;

/// How a column of a file is read: strings stay where they were decoded.
fn as_read(kind: DataType) -> DataType {
    match kind {
        DataType::Utf8 => DataType::Utf8View,
        kind => kind,
    }
}

/// What a declared column is read as.
pub(super) fn declared(column: &Column) -> DataType {
    let table = columns::table(std::slice::from_ref(column));
    let last = table.fields().last().map(|field| field.data_type().clone());
    as_read(last.unwrap_or(DataType::Utf8))
}

/// The columns of the files, as they are read.
pub(super) fn in_files(declared: &[Column]) -> SchemaRef {
    let table = columns::table(declared);
    let read = |field: &Arc<Field>| {
        let kind = as_read(field.data_type().clone());
        Field::new(field.name(), kind, field.is_nullable())
    };
    Arc::new(Schema::new(
        table.fields().iter().map(read).collect::<Vec<_>>(),
    ))
}

pub(super) fn day() -> Field {
    Field::new(DAY, DataType::Date32, false)
}

/// What a statement sees.
pub(super) fn schema(declared: &[Column]) -> SchemaRef {
    let files = in_files(declared);
    let fields = files.fields().iter().cloned();
    Arc::new(Schema::new(
        fields.chain([Arc::new(day())]).collect::<Vec<_>>(),
    ))
}

/// The two together.
pub(super) fn of(cold: Arc<dyn TableProvider>, hot: Arc<dyn TableProvider>) -> Result<ViewTable> {
    let cold = LogicalPlanBuilder::scan("cold", provider_as_source(cold), None)?;
    let hot = LogicalPlanBuilder::scan("hot", provider_as_source(hot), None)?;
    let both = cold.union(hot.build()?)?.build()?;
    Ok(ViewTable::new(both, None))
}

/// Has the columns and no rows, to look at a statement with.
pub(super) fn empty(declared: &[Column]) -> Arc<dyn TableProvider> {
    Arc::new(EmptyTable::new(schema(declared)))
}
