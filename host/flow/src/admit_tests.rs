use std::time::Duration;

use super::*;
use crate::Place;

fn admit(batch: bool) -> Admit {
    let schema = br#"{"type": "object", "required": ["n"],
        "properties": {"id": {"type": "string", "minLength": 2}, "n": {"type": "integer"}}}"#;
    let pointer = |text| Pointer::parse(text).unwrap();
    Admit {
        named_in: Vec::new(),
        path: "/x".into(),
        schema: Schema::compile(schema).unwrap(),
        id: Identity::Field(pointer("/id")),
        batch,
        max_body: 1 << 20,
        keys: false,
        rate: None,
        remember: Duration::ZERO,
        remember_memory: None,
        remember_full: RememberFull::Refuse,
        normalise: vec![(pointer("/id"), Normalise::Lower)],
        errors: vec![(pointer("/id"), 400)],
        reply: Reply {
            status: 202,
            body: Template::accepted(Place::BatchReply),
        },
    }
}

fn batch(text: &str) -> Result<Vec<Admitted>, Inadmissible> {
    let admit = admit(true);
    let mut batch = admit.check_batch(&Bytes::copy_from_slice(text.as_bytes()), |item| item)?;
    let mut items = Vec::new();
    loop {
        let next = batch.next(&admit, |item| item)?;
        if next.is_empty() {
            assert_eq!(items.len(), batch.len());
            return Ok(items);
        }
        items.extend(next);
    }
}

/// (index, pointer) of each violation.
fn places(text: &str) -> Vec<(Option<usize>, String)> {
    match batch(text) {
        Err(Inadmissible::Invalid(found)) => found
            .into_iter()
            .map(|violation| (violation.index, violation.pointer))
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_item_of_a_batch_keeps_its_own_bytes() {
    let items = batch(r#" [ {"id":"AB", "n":1 } ,{"id":"cd","n":2}] "#).unwrap();
    let bodies: Vec<_> = items.iter().map(|item| &item.body[..]).collect();
    let expected: [&[u8]; 2] = [br#"{"id":"ab", "n":1 }"#, br#"{"id":"cd","n":2}"#];
    assert_eq!(bodies, expected);
    assert!(batch("[]").unwrap().is_empty());
}

#[test]
fn one_bad_item_refuses_the_batch_and_is_named() {
    let text = r#"[{"id":"ab","n":1}, {"id":"x","n":"y"}, 7, {"n":1}]"#;
    let expected = [(1, "/id"), (1, "/n"), (2, ""), (3, "/id")];
    let expected = expected.map(|(index, pointer)| (Some(index), pointer.to_owned()));
    assert_eq!(places(text), expected);
    let text = r#"[{"id":"ab","n":1}, {"id":"cd","n":1,"n":2}]"#;
    let refusal = batch(text).unwrap_err().to_string();
    assert!(
        refusal.starts_with("item 1 is not JSON we can keep"),
        "{refusal}"
    );
}

#[test]
fn a_batch_of_a_thousand_bad_items_names_twenty() {
    let text = format!("[{}7]", "7,".repeat(1000));
    assert_eq!(places(&text).len(), 20);
}

#[test]
fn the_same_id_twice_in_a_batch_is_one_entry_or_refused() {
    let same = r#"[{"id":"ab","n":1}, {"id":"ab","n":1}]"#;
    assert_eq!(batch(same).unwrap().len(), 2);
    let other = r#"[{"id":"ab","n":1}, {"id":"cd","n":1}, {"id":"AB","n":2}]"#;
    assert_eq!(places(other), [(Some(2), "/id".to_owned())]);
}

#[test]
fn a_batch_of_many_comes_in_slices_and_is_checked_as_one_of_few() {
    let item = |number| format!(r#"{{"id":"ID-{number}","n":{number}}}"#);
    let mut items: Vec<String> = (0..30_000).map(item).collect();
    let text = |items: &[String]| format!("[{}]", items.join(", "));
    let admitted = batch(&text(&items)).unwrap();
    assert_eq!(admitted.len(), 30_000);
    for (number, item) in admitted.iter().enumerate() {
        assert_eq!(item.id.as_deref(), Some(&*format!("id-{number}")));
        assert_eq!(item.body, format!(r#"{{"id":"id-{number}","n":{number}}}"#));
    }
    items[29_000] = r#"{"id":"id-3","n":4}"#.to_owned();
    items[29_001] = r#"{"id":"Id-5","n":5}"#.to_owned();
    assert_eq!(places(&text(&items)), [(Some(29_000), "/id".to_owned())]);
    items[28_000] = "7".to_owned();
    assert_eq!(places(&text(&items)), [(Some(28_000), String::new())]);
    items[29_999] = "{".to_owned();
    assert!(matches!(
        batch(&text(&items)),
        Err(Inadmissible::NotJson(_))
    ));
}

#[test]
fn what_is_no_array_is_no_batch() {
    assert_eq!(places("{}"), [(None, String::new())]);
    assert!(matches!(batch("[{}"), Err(Inadmissible::NotJson(_))));
}

#[test]
fn a_fault_at_a_named_place_has_the_status_that_the_flow_gives_it() {
    let violation = |pointer: &str| Violation {
        index: None,
        pointer: pointer.to_owned(),
        message: String::new(),
    };
    let admit = admit(false);
    assert_eq!(admit.status_of(&[violation("/n")]), 422);
    assert_eq!(admit.status_of(&[violation("/n"), violation("/id")]), 400);
}
