use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{Admin, Error};
use floodgate_flow::{Admit, Identity};

/// `GET /flows/{name}/sample`: a body to try a flow with, new each time.
#[derive(Debug, Serialize)]
pub struct Sample {
    pub path: String,
    /// The flow wants an API key.
    pub keys: bool,
    /// Of the schema's examples, with an id of its own; `None`: it shows none.
    pub body: Option<Value>,
}

pub(crate) fn sample(admin: &Admin, flow: &str) -> Result<Sample, Error> {
    let admit = &admin.flow(flow)?.admit;
    let example = admit.schema.example().map(|example| fresh(admit, example));
    let body = example.map(|body| if admit.batch { json!([body]) } else { body });
    Ok(Sample {
        path: admit.path.to_string(),
        keys: admit.keys,
        body,
    })
}

/// The example with another id that the schema admits; as it is where none is found.
fn fresh(admit: &Admit, example: &Value) -> Value {
    let Identity::Field(pointer) = &admit.id else {
        return example.clone();
    };
    let digits = uuid::Uuid::new_v4().simple().to_string();
    let ids = match pointer.find(example) {
        Some(Value::String(text)) => vec![
            json!(with_other_digits(text, &digits)),
            json!(format!("{text}-{digits:.8}")),
            json!(digits),
        ],
        Some(Value::Number(_)) => vec![json!(u32::from_str_radix(&digits[..7], 16).unwrap_or(1))],
        _ => Vec::new(),
    };
    let candidates = ids.into_iter().filter_map(|id| {
        let mut body = example.clone();
        let place = pointer.find_mut(&mut body)?;
        (*place != id).then(|| *place = id)?;
        Some(body)
    });
    let admitted = |body: &Value| admit.admit(Bytes::from(body.to_string())).is_ok();
    candidates
        .into_iter()
        .find(admitted)
        .unwrap_or_else(|| example.clone())
}

/// Hexadecimal digits at the end become others, if they are enough for a
/// random id: a hash stays a hash, and a UUID a UUID.
fn with_other_digits(text: &str, digits: &str) -> String {
    const ENOUGH: usize = 8;
    let end = text.bytes().rev().take(digits.len());
    let len = end.take_while(u8::is_ascii_hexdigit).count();
    match len >= ENOUGH {
        true => format!("{}{}", &text[..text.len() - len], &digits[..len]),
        false => text.to_owned(),
    }
}
