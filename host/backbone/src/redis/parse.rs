use std::sync::Arc;

use bytes::Bytes;
use redis::Value;

use super::raw_entry::RawEntry;
use crate::{FaultRecord, Payload};
use floodgate_flow::{Entry, EntryFault, StreamId, check_body};

/// Longest id, as in `flow`; what is longer was not admitted by us.
const LONGEST_ID: usize = 256;

/// Names and values of a stream entry, in turn. `None`: it was deleted while it
/// was pending.
pub(super) type Fields = Option<Vec<Bytes>>;

/// From what the client made of them.
pub(super) fn fields(value: Value) -> Fields {
    let Value::Array(fields) = value else {
        return None;
    };
    let text = |field| match field {
        Value::BulkString(text) => Some(Bytes::from(text)),
        _ => None,
    };
    Some(fields.into_iter().map_while(text).collect())
}

/// The fields of a stream entry, whoever wrote it. Bodies are not copied.
pub(super) fn payload(stream_id: StreamId, fields: Fields) -> Payload {
    let Some(fields) = fields else {
        return malformed(Bytes::new(), "it was trimmed or deleted");
    };
    let (mut id, mut body, mut attributes) = (None, None, Vec::new());
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match &name[..] {
            b"id" => id = Some(value),
            b"body" => body = Some(value),
            // An entry of a group in which only others have it.
            _ if value.is_empty() => {}
            _ => attributes.push((lossy(&name), lossy(&value))),
        }
    }
    let (Some(id), Some(body)) = (id, body) else {
        let raw = format!("{attributes:?}").into();
        return malformed(raw, "it has no field id or no field body");
    };
    let Some(id) = self::id(&id) else {
        return malformed(body, "its id is not text of 1 to 256 bytes");
    };
    // As strictly as at admission: what is nested too deep for a database, or
    // is no text, must not come as far as one.
    if let Err(error) = check_body(&body) {
        return malformed(body, &format!("its body is {error}"));
    }
    Payload::Entry(Entry {
        id: Arc::from(id),
        body,
        received_at: stream_id.ms,
        attributes: attributes.into(),
    })
}

/// An id that an entry may have.
pub(super) fn id(bytes: &[u8]) -> Option<&str> {
    let id = std::str::from_utf8(bytes).ok()?;
    ((1..=LONGEST_ID).contains(&id.len()) && !id.contains('\0')).then_some(id)
}

fn malformed(raw: Bytes, why: &str) -> Payload {
    Payload::Malformed {
        raw,
        error: format!("not an entry that Floodgate appended: {why}"),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
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

/// An answer of XREADGROUP for one stream, as [`super::raw_entry`] hands it on.
/// `None`: it is something else.
pub(super) fn stream_entries(answer: Value) -> Option<Vec<(StreamId, Fields)>> {
    let streams = match answer {
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

fn entry(entry: Value) -> Option<(StreamId, Fields)> {
    let Value::BulkString(entry) = entry else {
        return None;
    };
    let mut entry = RawEntry::of(entry.into());
    let _parts = entry.array()??;
    let id = entry.string()?;
    let id = std::str::from_utf8(&id).ok()?.parse().ok()?;
    let fields = match entry.array()? {
        None => None,
        Some(count) => Some((0..count).map(|_| entry.string()).collect::<Option<_>>()?),
    };
    Some((id, fields))
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
        fn whatever_somebody_wrote_is_an_entry_or_malformed(written in value()) {
            match payload(StreamId { ms: 1, seq: 1 }, fields(written)) {
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
        fn an_entry_that_is_cut_or_damaged_is_refused(at in 0..ENTRY.len(), damage in any::<u8>()) {
            let cut = ENTRY.as_bytes()[..at].to_vec();
            prop_assert_eq!(entry(Value::BulkString(cut)), None);
            let mut damaged = ENTRY.as_bytes().to_vec();
            damaged[at] = damage;
            let _read = entry(Value::BulkString(damaged));
        }

        #[test]
        fn a_fault_record_of_any_text_is_read_or_not(text in "\\PC{0,80}") {
            if let Some(record) = fault_record(&text) {
                prop_assert!(text.contains(&record.attempts.to_string()));
            }
        }
    }

    const ENTRY: &str =
        "*2\r\n$3\r\n7-1\r\n*4\r\n$2\r\nid\r\n$1\r\na\r\n$4\r\nbody\r\n$2\r\n{}\r\n";

    /// It was deleted while it was pending.
    const GAP: &str = "*2\r\n$3\r\n7-2\r\n*-1\r\n";

    #[test]
    fn a_read_has_entries_and_gaps_in_their_order() {
        let raw = |entry: &str| Value::BulkString(entry.as_bytes().to_vec());
        let stream = vec![raw("stream"), Value::Array(vec![raw(ENTRY), raw(GAP)])];
        let read = stream_entries(Value::Array(vec![Value::Array(stream)]));
        let text = |text: &'static str| Bytes::from_static(text.as_bytes());
        let whole = ["id", "a", "body", "{}"].map(text).to_vec();
        let (first, second) = (StreamId { ms: 7, seq: 1 }, StreamId { ms: 7, seq: 2 });
        assert_eq!(read, Some(vec![(first, Some(whole)), (second, None)]));
        assert_eq!(stream_entries(Value::Nil), Some(Vec::new()));
    }
}
