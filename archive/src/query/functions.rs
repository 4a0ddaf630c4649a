//! What statements may call besides what DataFusion and
//! `datafusion-functions-json` bring: `json_text(body, 'a.b')`, and the declared
//! columns of files that were written before they were declared so.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringViewBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::utils::take_function_args;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use jiter::{Jiter, Peek};

use crate::columns::Shredder;
use crate::flows::Column;

/// `json_text(json, path)`: what is at `a.b.0`, as text. A string is without its
/// quotes, anything else as it is written; NULL where there is nothing, or null.
/// A key with a dot in it is reached by `json_as_text(json, 'a', 'b.c')`.
pub(super) fn json_text() -> ScalarUDF {
    ScalarUDF::from(JsonText {
        signature: Signature::string(2, Volatility::Immutable),
    })
}

/// A declared column, taken out of the body.
pub(super) fn declared(column: &Column) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Declared {
        column: column.clone(),
        signature: Signature::string(1, Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonText {
    signature: Signature,
}

impl ScalarUDFImpl for JsonText {
    fn name(&self) -> &str {
        "json_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [json, path] = take_function_args(self.name(), &args.args)?;
        let json = cast(&json.to_array(args.number_rows)?, &DataType::Utf8View)?;
        let json = json.as_string_view();
        let mut found = StringViewBuilder::with_capacity(json.len());
        let mut find = |json: Option<&str>, path: Option<&str>| {
            let text = json.zip(path).and_then(|(json, path)| at(json, path));
            found.append_option(text);
        };
        match path {
            ColumnarValue::Scalar(path) => {
                let path = path.try_as_str().flatten();
                json.iter().for_each(|json| find(json, path));
            }
            ColumnarValue::Array(paths) => {
                let paths = cast(paths, &DataType::Utf8View)?;
                let paths = paths.as_string_view();
                json.iter()
                    .zip(paths.iter())
                    .for_each(|(json, path)| find(json, path));
            }
        }
        Ok(ColumnarValue::Array(Arc::new(found.finish())))
    }
}

fn at(json: &str, path: &str) -> Option<String> {
    let mut jiter = Jiter::new(json.as_bytes());
    let mut peek = jiter.peek().ok()?;
    for step in path.split('.') {
        peek = match peek {
            Peek::Object => {
                jiter = member(jiter, step)?;
                jiter.peek().ok()?
            }
            Peek::Array => {
                let mut item = jiter.known_array().ok()??;
                for _ in 0..step.parse::<usize>().ok()? {
                    jiter.known_skip(item).ok()?;
                    item = jiter.array_step().ok()??;
                }
                item
            }
            _ => return None,
        };
    }
    let start = jiter.current_index();
    match peek {
        Peek::Null => None,
        Peek::String => jiter.known_str().ok().map(str::to_owned),
        other => {
            jiter.known_skip(other).ok()?;
            let json = jiter.slice_to_current(start);
            std::str::from_utf8(json).ok().map(str::to_owned)
        }
    }
}

/// Stands at the value of a member, of the last one where a name is there twice,
/// as in [`crate::columns`].
fn member<'j>(mut jiter: Jiter<'j>, name: &str) -> Option<Jiter<'j>> {
    let mut found = None;
    let mut is_it = jiter.known_object().ok()?.map(|key| key == name);
    while let Some(is) = is_it {
        let value = jiter.peek().ok()?;
        if is {
            found = Some(jiter.clone());
        }
        jiter.known_skip(value).ok()?;
        is_it = jiter.next_key().ok()?.map(|key| key == name);
    }
    found
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Declared {
    column: Column,
    signature: Signature,
}

impl ScalarUDFImpl for Declared {
    fn name(&self) -> &str {
        "declared"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(super::table::declared(&self.column))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [bodies] = take_function_args(self.name(), &args.args)?;
        let bodies = bodies.to_array(args.number_rows)?;
        let shredder = Shredder::new(std::slice::from_ref(&self.column));
        let values = shredder.shred(&bodies);
        let values = values.map_err(|error| DataFusionError::External(Box::new(error)))?;
        match values.first() {
            Some(values) => Ok(ColumnarValue::Array(cast(values, args.return_type())?)),
            None => Ok(ColumnarValue::Scalar(ScalarValue::try_from(
                args.return_type(),
            )?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn a_path_leads_to_text() {
        let json = r#"{"s": "a\"b", "n": 1.50, "o": {"k": "v", "z": null}, "l": [1, {"x": true}]}"#;
        for (path, found) in [
            ("s", Some("a\"b")),
            ("n", Some("1.50")),
            ("o.k", Some("v")),
            ("o", Some(r#"{"k": "v", "z": null}"#)),
            ("o.z", None),
            ("o.none", None),
            ("l.1.x", Some("true")),
            ("l.2", None),
            ("l.x", None),
            ("s.k", None),
            ("", None),
        ] {
            assert_eq!(at(json, path).as_deref(), found, "{path}");
        }
        assert_eq!(at("{", "a"), None);
        assert_eq!(at(r#"{"a": 1"#, "a"), None);
        assert_eq!(at("", "a"), None);
        assert_eq!(at("null", "a"), None);
    }

    #[test]
    fn of_a_name_that_is_there_twice_the_last_one_counts() {
        assert_eq!(at(r#"{"a": 1, "b": 0, "a": "2"}"#, "a").unwrap(), "2");
        let json = r#"{"a": {"b": 1}, "a": {"c": 2}}"#;
        assert_eq!(at(json, "a.b"), None);
        assert_eq!(at(json, "a.c").unwrap(), "2");
        assert_eq!(
            at(r#"{"a": [{"b": 1, "b": [3]}]}"#, "a.0.b.0").unwrap(),
            "3"
        );
        assert_eq!(at(r#"{"a": {"b": 1}, "a": 3}"#, "a.b"), None);
        assert_eq!(at(r#"{"a": 1, "a": null}"#, "a"), None);
    }
}
