//! Answers in the formats of AWS's protocols, from JSON.

use serde_json::Value;

/// The content of an element, in Route 53's XML: the name of a list's items is the list's without its "s".
pub(crate) fn xml(value: &Value) -> String {
    let element = |tag: &str, value: &Value| format!("<{tag}>{}</{tag}>", xml(value));
    let content = |(key, value): (&String, &Value)| match value {
        Value::Array(items) => {
            let tag = key.trim_end_matches('s');
            let items: String = items.iter().map(|item| element(tag, item)).collect();
            format!("<{key}>{items}</{key}>")
        }
        other => element(key, other),
    };
    match value {
        Value::Object(fields) => fields.iter().map(content).collect(),
        Value::String(text) => text.replace('&', "&amp;").replace('<', "&lt;"),
        other => other.to_string(),
    }
}

/// Strings, lists and objects in CBOR, each with fewer than 24 bytes or items, or strings with fewer than 256.
///
/// Source: RFC 8949, section 3.
pub(crate) fn cbor(value: &Value) -> Vec<u8> {
    const TEXT: u8 = 3 << 5;
    const LIST: u8 = 4 << 5;
    const OBJECT: u8 = 5 << 5;
    const ONE_BYTE: u8 = 24;
    let length = |length: usize| u8::try_from(length).unwrap_or(u8::MAX);
    let text = |text: &str| [&[TEXT | ONE_BYTE, length(text.len())], text.as_bytes()].concat();
    match value {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| [text(key), cbor(value)].concat());
            [
                vec![OBJECT | length(fields.len())],
                fields.collect::<Vec<_>>().concat(),
            ]
            .concat()
        }
        Value::Array(items) => {
            let all: Vec<u8> = items.iter().flat_map(cbor).collect();
            [vec![LIST | length(items.len())], all].concat()
        }
        other => text(other.as_str().unwrap_or_default()),
    }
}
