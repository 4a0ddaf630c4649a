use std::sync::Arc;

use bytes::Bytes;
use redis::Value;

use crate::backbone::{FaultRecord, Payload, StreamId};
use crate::flow::{Entry, EntryFault, parse_body};

/// Longest id, as in `flow`; what is longer was not admitted by us.
const LONGEST_ID: usize = 256;

/// The fields of a stream entry, whoever wrote it. Bodies are moved, not copied.
pub(super) fn payload(stream_id: StreamId, fields: Value) -> Payload {
    let Value::Array(fields) = fields else {
        return malformed(Vec::new(), "it was trimmed or deleted");
    };
    let (mut id, mut body, mut attributes) = (None, None, Vec::new());
    let mut fields = fields.into_iter();
    while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) =
        (fields.next(), fields.next())
    {
        match &name[..] {
            b"id" => id = Some(value),
            b"body" => body = Some(value),
            // An entry of a group in which only others have it.
            _ if value.is_empty() => {}
            _ => attributes.push((lossy(name), lossy(value))),
        }
    }
    let (Some(id), Some(body)) = (id, body) else {
        let raw = format!("{attributes:?}").into_bytes();
        return malformed(raw, "it has no field id or no field body");
    };
    let id = match String::from_utf8(id) {
        Ok(id) if (1..=LONGEST_ID).contains(&id.len()) && !id.contains('\0') => id,
        _ => return malformed(body, "its id is not text of 1 to 256 bytes"),
    };
    // As strictly as at admission: what is nested too deep for a database, or
    // is no text, must not come as far as one.
    if let Err(error) = parse_body(&body) {
        return malformed(body, &format!("its body is {error}"));
    }
    Payload::Entry(Entry {
        id: Arc::from(id),
        body: Bytes::from(body),
        received_at: stream_id.ms,
        attributes: attributes.into(),
    })
}

fn malformed(raw: Vec<u8>, why: &str) -> Payload {
    Payload::Malformed {
        raw: Bytes::from(raw),
        error: format!("not an entry that Floodgate appended: {why}"),
    }
}

fn lossy(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

pub(super) fn fault_to_json(fault: &EntryFault) -> String {
    // Strings and enums only: it cannot fail, and an empty record still counts.
    serde_json::to_string(fault).unwrap_or_default()
}

/// The inverse of what `record_faults.lua` writes.
pub(super) fn fault_record(record: &str) -> Option<FaultRecord> {
    let (numbers, fault) = record.split_once('\n')?;
    let mut numbers = numbers.split(' ');
    Some(FaultRecord {
        attempts: numbers.next()?.parse().ok()?,
        first_at: numbers.next()?.parse().ok()?,
        last_at: numbers.next()?.parse().ok()?,
        last: serde_json::from_str(fault).ok()?,
    })
}

/// A reply of XREADGROUP for one stream: (stream id, fields) in order.
/// `None` for the entry's fields where it was deleted while pending.
pub(super) fn stream_entries(reply: Value) -> Option<Vec<(StreamId, Value)>> {
    let streams = match reply {
        Value::Nil => return Some(Vec::new()),
        Value::Array(streams) => streams,
        _ => return None,
    };
    let Some(Value::Array(stream)) = streams.into_iter().next() else {
        return Some(Vec::new());
    };
    let Some(Value::Array(entries)) = stream.into_iter().nth(1) else {
        return None;
    };
    entries.into_iter().map(entry).collect()
}

fn entry(entry: Value) -> Option<(StreamId, Value)> {
    let Value::Array(parts) = entry else {
        return None;
    };
    let mut parts = parts.into_iter();
    let Some(Value::BulkString(id)) = parts.next() else {
        return None;
    };
    let id = std::str::from_utf8(&id).ok()?.parse().ok()?;
    Some((id, parts.next()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let bytes = prop_oneof![
            Just(b"id".to_vec()),
            Just(b"body".to_vec()),
            Just(b"{}".to_vec()),
            Just(b"1-1".to_vec()),
            Just(b"\"\xff\"".to_vec()),
            Just([[b'['; 200], [b']'; 200]].concat()),
            proptest::collection::vec(any::<u8>(), 0..300),
        ];
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<i64>().prop_map(Value::Int),
            bytes.prop_map(Value::BulkString),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            proptest::collection::vec(inner, 0..8).prop_map(Value::Array)
        })
    }

    proptest! {
        #[test]
        fn whatever_somebody_wrote_is_an_entry_or_malformed(fields in value()) {
            match payload(StreamId { ms: 1, seq: 1 }, fields) {
                Payload::Entry(entry) => {
                    prop_assert!((1..=LONGEST_ID).contains(&entry.id.len()));
                    prop_assert!(std::str::from_utf8(&entry.body).is_ok());
                }
                Payload::Malformed { error, .. } => prop_assert!(!error.is_empty()),
            }
        }

        #[test]
        fn any_reply_is_read_or_refused(reply in value()) {
            if let Some(entries) = stream_entries(reply) {
                prop_assert!(entries.len() <= 64);
            }
        }

        #[test]
        fn a_fault_record_of_any_text_is_read_or_not(text in "\\PC{0,80}") {
            if let Some(record) = fault_record(&text) {
                prop_assert!(text.contains(&record.attempts.to_string()));
            }
        }
    }
}
