//! What parsing allocates is bounded by the length of what is parsed. That stands for the time too:
//! what is copied again for each of its parts is allocated again.

use allocation_counter::{AllocationInfo, measure};
use parsers::PROPERTIES;
use parsers::examples::examples;
use serde_json::json;

/// Bytes of an input: far more than a TXT record can hold or anybody writes by hand.
const LENGTH: usize = 100_000;
/// Bytes that are allocated at one time for each byte of input: messages and answers repeat it a few times.
const AT_ONCE: u64 = 100;
/// Bytes that are allocated one after the other for each byte of input. A number or an empty list is a
/// `Value` of 32 bytes, and a property parses the same several times.
const IN_TOTAL: u64 = 2_000;
/// Bytes for the zone on the fakes, which is copied with every call.
const FOR_THE_ZONE: u64 = 30_000_000;
const FOR_THE_ZONE_AT_ONCE: u64 = 1_000_000;

/// Inputs of about `length` bytes that are as bad as they can be for the parsers of a property.
fn adversarial(property: &str, length: usize) -> Vec<String> {
    let repeated = |piece: &str| piece.repeat(length / piece.len());
    let numbered = |piece: &str| -> String {
        let pieces =
            (0..length / (piece.len() + 4)).map(|number| piece.replace('#', &number.to_string()));
        pieces.collect()
    };
    let filled = |template: &str, piece: &str| template.replacen('@', &repeated(piece), 1);
    let texts = [
        "\"",
        "\\",
        "\\052",
        "a.",
        ".",
        "*",
        "*a",
        "=",
        "\"=\" ",
        "\"a\" ",
        "%",
        "%41",
        "[",
        "{\"a\":",
        "0",
        "9",
        "-",
        "+",
        " ",
        "\u{1f680}",
        "\u{0}",
        "A+",
        ",",
        "a=b,",
        "Percent",
    ];
    let mut inputs: Vec<String> = texts.iter().map(|piece| repeated(piece)).collect();
    match property {
        "journal_text" => inputs.extend([
            numbered("\"key#=value\" "),
            numbered("\"owner.from.A#=x\" "),
            filled("\"cutover=1\" \"execution=@\"", "x"),
            filled("\"cutover=1\" \"owner.from.@=x\"", "owner.from."),
            filled("\"cutover=1\" \"owner.from.@=x\"", "A+"),
            filled("\"cutover=1\" @", "\"x\" "),
        ]),
        "registry_text" => inputs.extend([
            filled("\"heritage=external-dns,@\"", "external-dns/owner=a,"),
            filled("\"heritage=external-dns,external-dns/owner=@\"", "a"),
            filled("\"@,heritage=external-dns\"", "heritage=external-dns"),
            filled("\"heritage=external-dns,external-dns/resource=@\"", "x"),
        ]),
        "record_name" | "name_pattern" => inputs.extend([
            filled("@\na.example.com", "*a"),
            filled("*a*\n@", "a"),
            filled("@.example.com", "!"),
        ]),
        "registry_names" => inputs.extend([
            filled(r#"{"name": "@"}"#, "a."),
            filled(
                r#"{"name": "a.example.com", "txtPrefix": "@"}"#,
                "%{record_type}",
            ),
            filled(r#"{"name": "a.example.com", "txtSuffix": "@"}"#, "a."),
            filled(r#"{"name": "a.example.com", "@": 1}"#, "x"),
        ]),
        "alarm_history" => inputs.extend([
            filled(r#"{"newState": {"stateValue": "@"}}"#, "A"),
            filled(r#"{"newState": {"stateValue": "ALARM", "@": 1}}"#, "A"),
        ]),
        _ => inputs.extend(in_an_example(property, length / 5)),
    }
    inputs
}

/// Examples with one field that is so long. The functions do much for each name, so it is less long than
/// what is only read.
fn in_an_example(property: &str, length: usize) -> Vec<String> {
    let long = json!("x".repeat(length));
    let many = json!(vec!["a.example.com"; length / 16]);
    let patterns = json!(
        (0..length / 10)
            .map(|number| format!("a{number}.*"))
            .collect::<Vec<_>>()
    );
    let steps = json!(
        (1..length / 6)
            .map(|number| json!(number))
            .collect::<Vec<_>>()
    );
    let mut inputs = Vec::new();
    for example in examples(property) {
        let Ok(example) = serde_json::from_slice::<serde_json::Value>(&example) else {
            continue;
        };
        let Some(fields) = example.as_object() else {
            continue;
        };
        for key in fields.keys().map(String::as_str).chain(["unknown"]) {
            for value in [&long, &many, &patterns, &steps] {
                let mut changed = fields.clone();
                changed.insert(key.to_owned(), value.clone());
                inputs.push(json!(changed).to_string());
            }
        }
        let mut changed = fields.clone();
        changed.insert("x".repeat(length), json!(1));
        inputs.push(json!(changed).to_string());
    }
    // The examples resemble each other.
    inputs.truncate(40);
    inputs
}

#[test]
fn what_is_allocated_is_bounded_by_the_input() {
    for (name, property) in PROPERTIES {
        // What is made once is none of the input's.
        property(b"{}");
        for input in adversarial(name, LENGTH) {
            let AllocationInfo {
                bytes_max,
                bytes_total,
                ..
            } = measure(|| property(input.as_bytes()));
            let length = u64::try_from(input.len()).unwrap();
            let shown: String = input.chars().take(60).collect();
            assert!(
                bytes_max <= AT_ONCE * length + FOR_THE_ZONE_AT_ONCE,
                "{name}: {bytes_max} bytes at once for {length}: {shown}…"
            );
            assert!(
                bytes_total <= IN_TOTAL * length + FOR_THE_ZONE,
                "{name}: {bytes_total} bytes in total for {length}: {shown}…"
            );
        }
    }
}
