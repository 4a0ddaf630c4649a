use proptest::prelude::*;
use serde_json::json;

use super::*;

/// An entry with an id and a body, of which nothing else is known.
struct Known<'a> {
    id: &'a str,
    body: &'a Value,
}

impl Values for Known<'_> {
    fn value(&self, name: Name) -> Filled<'_> {
        match name {
            Name::Id => Filled::Text(self.id),
            Name::ReceivedAt => Filled::Time(1_766_700_000_007),
            Name::Count => Filled::Integer(3),
            Name::Score => Filled::Number(0.5),
            _ => Filled::Null,
        }
    }

    fn body(&self) -> Option<&Value> {
        Some(self.body)
    }
}

fn compile(toml: &str, place: Place) -> Result<Template, Vec<TemplateError>> {
    let value = DeValue::parse(toml).unwrap();
    Template::compile(&value, place)
        .map_err(|errors| errors.into_iter().map(|(_, error)| error).collect())
}

fn render(toml: &str, id: &str, body: &Value) -> String {
    let mut out = Vec::new();
    let template = compile(toml, Place::Reply).unwrap();
    template.render(&Known { id, body }, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_reply_keeps_the_order_of_the_flow_file() {
    let template = r#"{ z = "accepted", a = "{id}", m = [1, 2.5, true, 0xff], t = { x = "" } }"#;
    assert_eq!(
        render(template, "7", &json!({})),
        r#"{"z":"accepted","a":"7","m":[1,2.5,true,255],"t":{"x":""}}"#
    );
}

#[test]
fn a_string_that_is_one_placeholder_takes_the_values_own_type() {
    let body = json!({"n": 1.5, "o": {"k": [null]}, "s": "q\"", "z": null});
    let template = r#"{ n = "{/n}", o = "{/o}", s = "{/s}", z = "{/z}", none = "{/none}" }"#;
    assert_eq!(
        render(template, "i", &body),
        r#"{"n":1.5,"o":{"k":[null]},"s":"q\"","z":null,"none":null}"#
    );
}

#[test]
fn placeholders_among_text_are_characters() {
    let body = json!({"n": 1, "o": {"k": "v"}});
    let template = r#""{{{id}}}: {/n} {/o} [{/none}]""#;
    let text: String = serde_json::from_str(&render(template, "a\"\\\n", &body)).unwrap();
    assert_eq!(text, "{a\"\\\n}: 1 {\"k\":\"v\"} []");
}

#[test]
fn times_numbers_and_what_is_not_known_have_types_of_their_own() {
    let template = r#"{ at = "{received_at}", n = "{count}", s = "{score}", e = "{error}", t = "{count} at {score}{error}" }"#;
    assert_eq!(
        render(template, "i", &json!({})),
        r#"{"at":"2025-12-25T22:00:00.007Z","n":3,"s":0.5,"e":null,"t":"3 at 0.5"}"#
    );
}

#[test]
fn every_mistake_of_a_template_is_named() {
    let toml = r#"{ a = "{ip}", b = "{id", c = "{/~9}", d = nan, e = "}" }"#;
    let errors: Vec<_> = compile(toml, Place::Reply)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        errors,
        [
            "{ip} is not a placeholder here",
            "a { or } stands alone",
            "\"/~9\" has a ~ that is not ~0 or ~1",
            "such a number has no JSON form",
            "a { or } stands alone",
        ]
    );
}

#[test]
fn a_template_speaks_of_what_there_is_at_its_place() {
    for (text, places) in [
        ("{id}", &[Place::Reply, Place::Track { body: false }][..]),
        ("{count}", &[Place::Reply, Place::BatchReply]),
        ("{/k}", &[Place::Reply, Place::Track { body: true }]),
        ("{uptime}", &[Place::Health]),
    ] {
        for place in [
            Place::Reply,
            Place::BatchReply,
            Place::Track { body: false },
            Place::Health,
        ] {
            let compiled = compile(&format!("{text:?}"), place).is_ok();
            assert_eq!(compiled, places.contains(&place), "{text} at {place:?}");
        }
    }
    let error = &compile(r#""{/k}""#, Place::Track { body: false }).unwrap_err()[0];
    assert!(error.remedy().contains("keep.when"), "{}", error.remedy());
}

proptest! {
    #[test]
    fn a_rendered_reply_is_always_json(
        texts in prop::collection::vec(r#"(\PC|\{id\}|\{/k\}|\{/k/0\}|\{\{|\}\}|"|\\){0,8}"#, 0..4),
        id in any::<String>(),
        text in any::<String>(),
        nested in any::<bool>(),
    ) {
        let body = if nested { json!({"k": [text]}) } else { json!({"k": text}) };
        let template: toml::Table = texts.iter().enumerate()
            .map(|(index, text)| (index.to_string(), toml::Value::String(text.clone())))
            .collect();
        let toml = format!("body = {}", toml::Value::Table(template));
        let table = toml::de::DeTable::parse(&toml).unwrap();
        if let Ok(template) = Template::compile(&table.get_ref()["body"], Place::Reply) {
            let mut out = Vec::new();
            template.render(&Known { id: &id, body: &body }, &mut out);
            let reply: Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(reply.as_object().map(serde_json::Map::len), Some(texts.len()));
        }
    }
}
