//! A test that limits the memory that parsing allocates, relative to the input's length. The total
//! also limits the time: an algorithm that copies the rest of the input for each part allocates
//! quadratically.

use allocation_counter::{AllocationInfo, measure};
use parsers::PROPERTIES;
use parsers::examples::examples;
use serde_json::json;

/// Length of an input in bytes: much longer than a TXT record, and than an input written by hand.
const INPUT_BYTES: usize = 100_000;
/// Maximum of bytes allocated at the same time, for each byte of input. Messages and outputs contain
/// the input several times.
const PEAK_BYTES_PER_BYTE: u64 = 100;
/// Maximum of all bytes allocated, for each byte of input. A number or an empty list becomes a `Value`
/// of 32 bytes, and a property parses the input several times.
const TOTAL_BYTES_PER_BYTE: u64 = 2_000;
/// Additional bytes for the fake zone, which each call copies.
const ZONE_TOTAL_BYTES: u64 = 30_000_000;
const ZONE_PEAK_BYTES: u64 = 1_000_000;

/// Inputs of about `length` bytes with many repetitions of a piece that the property's parsers
/// treat specially.
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
            filled(
                "\"cutover=2\" \"execution=0123456789abcdef/@\" \"signature=\"",
                "x",
            ),
            filled(
                "\"cutover=2\" \"owner.from.@=x\" \"signature=\"",
                "owner.from.",
            ),
            filled("\"cutover=2\" \"owner.from.@=x\" \"signature=\"", "A+"),
            filled("\"cutover=2\" @ \"signature=\"", "\"x\" "),
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
        // Shorter, because the functions do much work for each name.
        _ => inputs.extend(examples_with_a_long_field(property, length / 5)),
    }
    inputs
}

/// Examples with one field of about `length` bytes.
fn examples_with_a_long_field(property: &str, length: usize) -> Vec<String> {
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
    // More of these similar inputs would only take time.
    inputs.truncate(40);
    inputs
}

#[test]
fn allocation_is_proportional_to_the_length_of_the_input() {
    for (name, property) in PROPERTIES {
        // The first call initializes statics, which are not measured.
        property(b"{}");
        for input in adversarial(name, INPUT_BYTES) {
            let AllocationInfo {
                bytes_max,
                bytes_total,
                ..
            } = measure(|| property(input.as_bytes()));
            let length = u64::try_from(input.len()).unwrap();
            let shown: String = input.chars().take(60).collect();
            assert!(
                bytes_max <= PEAK_BYTES_PER_BYTE * length + ZONE_PEAK_BYTES,
                "{name}: {bytes_max} bytes at the same time for {length} bytes of input: {shown}…"
            );
            assert!(
                bytes_total <= TOTAL_BYTES_PER_BYTE * length + ZONE_TOTAL_BYTES,
                "{name}: {bytes_total} bytes in total for {length} bytes of input: {shown}…"
            );
        }
    }
}
