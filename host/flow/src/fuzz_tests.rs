//! Whatever comes from outside: never a panic, and what is taken is what came.

use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Flow, Inadmissible, Pointer};

fn shipped() -> Flow {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../flows");
    let flows = Flow::load_dir(&dir).unwrap();
    let mut flows = flows.into_iter();
    flows
        .find(|flow| flow.name.as_str() == "transactions")
        .unwrap()
}

const GOOD: &str = r#"{"tx_hash":"0xABababababababababababababababababababababababababababababababab","from_address":"0x52908400098527886e0f7030069857d2e4169ee7","to_address":"0x8617e340b3d01fa5f11f306f4090fd50e238070d","value_eth":1.5,"gas_price_gwei":30,"input_data":"0x","timestamp":1766700000}"#;

/// Pieces that JSON is made of, in any order, and some that break readers.
fn almost_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\"a\""),
        Just("\"tx_hash\""),
        Just("1e999"),
        Just("-0"),
        Just("1.0"),
        Just("99999999999999999999999"),
        Just("\"\\ud800\""),
        Just("\"\\u0000\""),
        Just("true"),
        Just("null"),
        Just("\u{feff}"),
        Just(" "),
        Just("\"\\u00e9\""),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn with_one_byte_changed() -> impl Strategy<Value = Vec<u8>> {
    (0..GOOD.len(), any::<u8>()).prop_map(|(at, byte)| {
        let mut body = GOOD.as_bytes().to_vec();
        body[at] = byte;
        body
    })
}

/// What stands before and after the one value that is normalised.
fn around_the_id(body: &[u8]) -> (&[u8], &[u8]) {
    let place = Pointer::parse("/tx_hash").unwrap().locate(body).unwrap();
    (&body[..place.start], &body[place.end..])
}

proptest! {
    #[test]
    fn any_body_is_admitted_as_it_came_or_refused(body in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        almost_json().prop_map(String::into_bytes),
        with_one_byte_changed(),
    ]) {
        let flow = shipped();
        let body = Bytes::from(body);
        match flow.admit.admit(body.clone()) {
            Ok(admitted) => {
                let parsed: serde_json::Value = serde_json::from_slice(&admitted.body).unwrap();
                prop_assert_eq!(&parsed, &admitted.value);
                prop_assert_eq!(around_the_id(&admitted.body), around_the_id(&body));
                prop_assert_eq!(parsed["tx_hash"].as_str(), admitted.id.as_deref());
                // The same bytes, and the normalised ones, are the same entry.
                let again = flow.admit.admit(admitted.body.clone()).unwrap();
                prop_assert_eq!(again.id, admitted.id);
                prop_assert_eq!(again.body, admitted.body);
            }
            Err(Inadmissible::NotJson(error) | Inadmissible::ItemNotJson { error, .. }) => {
                prop_assert!(!error.to_string().is_empty());
            }
            Err(Inadmissible::Invalid(violations)) => prop_assert!(!violations.is_empty()),
        }
    }

    #[test]
    fn nesting_of_any_depth_is_refused_or_read(depth in 0_usize..5_000) {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        let nested = format!(r#"{{"deep":{open}null{close},"#);
        let body = GOOD.replacen('{', &nested, 1);
        prop_assert_eq!(shipped().admit.admit(body.into()).is_ok(), depth < 127);
    }

    #[test]
    fn any_text_is_a_flow_file_or_a_list_of_problems(
        from in 0_usize..3_000, length in 0_usize..40, text in "\\PC{0,20}",
    ) {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../flows");
        let dir = tempfile::tempdir().unwrap();
        let schema = "transactions.schema.json";
        std::fs::copy(shipped.join(schema), dir.path().join(schema)).unwrap();
        let whole = std::fs::read_to_string(shipped.join("transactions.toml")).unwrap();
        let from = whole.floor_char_boundary(from.min(whole.len()));
        let to = whole.floor_char_boundary((from + length).min(whole.len()));
        let changed = format!("{}{text}{}", &whole[..from], &whole[to..]);
        std::fs::write(dir.path().join("transactions.toml"), changed).unwrap();
        match Flow::load_dir(dir.path()) {
            Ok(flows) => prop_assert_eq!(flows.len(), 1),
            Err(problems) => prop_assert!(!problems.is_empty()),
        }
    }
}
