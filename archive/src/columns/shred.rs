use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch,
    StringBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::error::ArrowError;

use super::pick::Pointers;
use super::{table, value};
use crate::flows::{Column, Kind};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no column body of texts")]
    NoBody,
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// Takes declared columns out of bodies.
#[derive(Debug)]
pub struct Shredder {
    columns: Vec<Column>,
    pointers: Pointers,
    table: SchemaRef,
}

impl Shredder {
    pub fn new(columns: &[Column]) -> Self {
        Self {
            columns: columns.to_vec(),
            pointers: Pointers::new(columns.iter().map(|column| &*column.field)),
            table: table(columns),
        }
    }

    /// The base columns and then the declared ones.
    pub fn table(&self) -> &SchemaRef {
        &self.table
    }

    /// Adds the declared columns to the base columns.
    ///
    /// # Errors
    /// Where these are not the base columns.
    pub fn complete(&self, base: &RecordBatch) -> Result<RecordBatch, Error> {
        let body = base.column_by_name("body").ok_or(Error::NoBody)?;
        let mut columns = base.columns().to_vec();
        columns.extend(self.shred(body)?);
        Ok(RecordBatch::try_new(self.table.clone(), columns)?)
    }

    /// The declared columns of these bodies, in the order of the flow file.
    ///
    /// # Errors
    /// Where these are no texts.
    pub fn shred(&self, bodies: &dyn Array) -> Result<Vec<ArrayRef>, Error> {
        match bodies.data_type() {
            DataType::Utf8 => Ok(self.take(bodies.as_string::<i32>().iter())),
            DataType::LargeUtf8 => Ok(self.take(bodies.as_string::<i64>().iter())),
            DataType::Utf8View => Ok(self.take(bodies.as_string_view().iter())),
            _ => Err(Error::NoBody),
        }
    }

    fn take<'a>(&self, bodies: impl ExactSizeIterator<Item = Option<&'a str>>) -> Vec<ArrayRef> {
        let rows = bodies.len();
        let kinds = self.columns.iter().map(|column| column.kind);
        let mut filling: Vec<_> = kinds.map(|kind| Filling::new(kind, rows)).collect();
        let mut found = Vec::with_capacity(filling.len());
        for body in bodies {
            match body {
                Some(body) => self.pointers.pick(body, &mut found),
                None => {
                    found.clear();
                    found.resize(filling.len(), None);
                }
            }
            for (column, json) in filling.iter_mut().zip(&found) {
                column.append(*json);
            }
        }
        filling.iter_mut().map(Filling::finish).collect()
    }
}

enum Filling {
    Text(StringBuilder),
    Integer(Int64Builder),
    Number(Float64Builder),
    Boolean(BooleanBuilder),
    Time(TimestampMicrosecondBuilder),
}

impl Filling {
    fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::with_capacity(rows, rows * 8)),
            Kind::Integer => Self::Integer(Int64Builder::with_capacity(rows)),
            Kind::Number => Self::Number(Float64Builder::with_capacity(rows)),
            Kind::Boolean => Self::Boolean(BooleanBuilder::with_capacity(rows)),
            Kind::Time => {
                let times = TimestampMicrosecondBuilder::with_capacity(rows);
                Self::Time(times.with_timezone("UTC"))
            }
        }
    }

    fn append(&mut self, json: Option<&str>) {
        match self {
            Self::Text(builder) => builder.append_option(json.and_then(value::text)),
            Self::Integer(builder) => builder.append_option(json.and_then(value::integer)),
            Self::Number(builder) => builder.append_option(json.and_then(value::number)),
            Self::Boolean(builder) => builder.append_option(json.and_then(value::boolean)),
            Self::Time(builder) => builder.append_option(json.and_then(value::time)),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Number(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Time(builder) => Arc::new(builder.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{StringArray, StringViewArray};
    use datafusion::arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};

    use super::*;

    fn column(name: &str, field: &str, kind: Kind) -> Column {
        Column {
            name: name.to_owned(),
            field: field.to_owned(),
            kind,
        }
    }

    #[test]
    fn each_declared_column_has_its_type() {
        let shredder = Shredder::new(&[
            column("user", "/user", Kind::Text),
            column("gas", "/tx/gas", Kind::Integer),
            column("value", "/tx/value", Kind::Number),
            column("late", "/late", Kind::Boolean),
            column("at", "/at", Kind::Time),
        ]);
        let bodies = [
            Some(r#"{"user":"u1","tx":{"gas":3e1,"value":0.5},"late":true,"at":"1970-01-01"}"#),
            Some(r#"{"user":7,"tx":{"gas":"30","value":null},"late":"no","at":[]}"#),
            None,
        ];
        let texts = shredder.shred(&StringArray::from(bodies.to_vec())).unwrap();
        let views = shredder
            .shred(&StringViewArray::from(bodies.to_vec()))
            .unwrap();
        assert_eq!(texts, views);
        let users: Vec<_> = texts[0].as_string::<i32>().iter().collect();
        assert_eq!(users, [Some("u1"), Some("7"), None]);
        let gas: Vec<_> = texts[1].as_primitive::<Int64Type>().iter().collect();
        assert_eq!(gas, [Some(30), None, None]);
        let value: Vec<_> = texts[2].as_primitive::<Float64Type>().iter().collect();
        assert_eq!(value, [Some(0.5), None, None]);
        let late: Vec<_> = texts[3].as_boolean().iter().collect();
        assert_eq!(late, [Some(true), None, None]);
        let at = texts[4].as_primitive::<TimestampMicrosecondType>();
        assert_eq!(at.iter().collect::<Vec<_>>(), [Some(0), None, None]);
        let types: Vec<_> = shredder.table().fields().iter().rev().take(5).collect();
        let types: Vec<_> = types.iter().rev().map(|field| field.data_type()).collect();
        assert_eq!(
            types,
            texts
                .iter()
                .map(|column| column.data_type())
                .collect::<Vec<_>>()
        );
    }
}
