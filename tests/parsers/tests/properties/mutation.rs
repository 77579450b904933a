//! Mutated examples. A mutation leaves most of an example valid, so that parsers reach their later
//! checks.

use parsers::PROPERTIES;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A random number that selects an item of any list: its remainder is the item's index.
type Index = usize;

#[derive(Clone, Debug)]
pub(crate) enum Mutation {
    /// Deletes a number of bytes.
    Delete(Index, usize),
    /// Inserts a number of bytes again, a number of times.
    Repeat(Index, usize, usize),
    /// Replaces a byte.
    Change(Index, u8),
    /// Inserts a text.
    Insert(Index, String),
    /// Replaces the rest by the end of another example.
    Splice(Index, Index, Index),
    /// Removes a JSON value.
    Remove(Index),
    /// Replaces a JSON value.
    Replace(Index, Value),
    /// Replaces a JSON value by a copy of another one.
    Copy(Index, Index),
    /// Replaces a JSON value by a list that repeats it.
    Multiply(Index, usize),
    /// Nests a JSON value in lists, to a depth.
    Nest(Index, usize),
    /// Adds a field to a JSON object.
    Add(Index, String, Value),
}

/// Texts that at least one of the parsers treats specially.
const TOKENS: [&str; 30] = [
    "\"",
    "\" \"",
    "\\",
    "\\052",
    "\\056",
    "\\100",
    "*",
    ".",
    "..",
    ",",
    "=",
    "%",
    "%2",
    "%FF",
    "%{record_type}",
    "cutover/",
    "heritage=external-dns",
    "external-dns/owner=",
    "_cutover.",
    "_wildcard.",
    "owner.from.",
    "/",
    "-",
    "+",
    "1e400",
    "NaN",
    "\u{0}",
    "\u{1f680}",
    "\n",
    "0",
];

fn any_token() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(TOKENS.as_slice()).prop_map(str::to_owned),
        1 => "\\PC{0,20}",
    ]
}

fn any_leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![-1_i64, 0, 1, 2, 100, 101, 255, 256, 65_536])
            .prop_map(Value::from),
        (0..20_000).prop_map(|hundredths| json!(f64::from(hundredths) / 100.0)),
        any_token().prop_map(Value::from),
        "[a-z*.\\\\0-9]{0,20}".prop_map(Value::from),
        "(AllAtOnce|Canary|Linear)[0-9]{0,9}Percent(Every)?[0-9]{0,9}Minutes?"
            .prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
    ]
}

fn any_mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 0_usize..40).prop_map(|(at, length)| Mutation::Delete(at, length)),
        (at(), 1_usize..40, 1_usize..200)
            .prop_map(|(at, length, times)| Mutation::Repeat(at, length, times)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Change(at, byte)),
        (at(), any_token()).prop_map(|(at, token)| Mutation::Insert(at, token)),
        (at(), at(), at()).prop_map(|(at, other, from)| Mutation::Splice(at, other, from)),
        at().prop_map(Mutation::Remove),
        (at(), any_leaf()).prop_map(|(at, value)| Mutation::Replace(at, value)),
        (at(), at()).prop_map(|(at, from)| Mutation::Copy(at, from)),
        (at(), 2_usize..50).prop_map(|(at, times)| Mutation::Multiply(at, times)),
        (at(), 1_usize..120).prop_map(|(at, depth)| Mutation::Nest(at, depth)),
        (at(), any_token(), any_leaf()).prop_map(|(at, key, value)| Mutation::Add(at, key, value)),
    ]
}

pub(crate) fn any_mutations() -> impl Strategy<Value = Vec<Mutation>> {
    prop::collection::vec(any_mutation(), 1..4)
}

/// Applies the mutations to an example. Mutations of JSON do nothing if the bytes are not JSON.
pub(crate) fn mutated(example: &[u8], mutations: &[Mutation], others: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = example.to_vec();
    for mutation in mutations {
        let parsed = serde_json::from_slice::<Value>(&bytes).ok();
        match parsed.map(|mut value| (mutate_value(&mut value, mutation), value)) {
            Some((true, value)) => bytes = value.to_string().into_bytes(),
            _ => mutate_bytes(&mut bytes, mutation, others),
        }
    }
    bytes
}

fn mutate_bytes(bytes: &mut Vec<u8>, mutation: &Mutation, others: &[Vec<u8>]) {
    let place = |at: &Index, bytes: &[u8]| at % (bytes.len() + 1);
    match mutation {
        Mutation::Delete(at, length) => {
            let start = place(at, bytes);
            bytes.drain(start..(start + length).min(bytes.len()));
        }
        Mutation::Repeat(at, length, times) => {
            let start = place(at, bytes);
            let piece = bytes[start..(start + length).min(bytes.len())].repeat(*times);
            bytes.splice(start..start, piece);
        }
        Mutation::Change(at, byte) => {
            let start = place(at, bytes);
            if let Some(changed) = bytes.get_mut(start) {
                *changed = *byte;
            }
        }
        Mutation::Insert(at, token) => {
            let start = place(at, bytes);
            bytes.splice(start..start, token.bytes());
        }
        Mutation::Splice(at, other, from) => {
            let other = &others[other % others.len()];
            bytes.truncate(place(at, bytes));
            bytes.extend_from_slice(&other[place(from, other)..]);
        }
        _ => {}
    }
}

/// Applies a mutation of JSON; `false` if it is a mutation of bytes.
fn mutate_value(value: &mut Value, mutation: &Mutation) -> bool {
    match mutation {
        Mutation::Remove(at) => {
            let path = chosen(value, *at);
            let (parent, key) = path.rsplit_once('/').unwrap_or_default();
            match value.pointer_mut(parent) {
                Some(Value::Object(fields)) => {
                    drop(fields.remove(&key.replace("~1", "/").replace("~0", "~")));
                }
                Some(Value::Array(items)) if !key.is_empty() => {
                    drop(items.remove(key.parse().unwrap()));
                }
                _ => {}
            }
        }
        Mutation::Replace(at, new) => *at_chosen(value, *at) = new.clone(),
        Mutation::Copy(at, from) => {
            let copy = at_chosen(value, *from).clone();
            *at_chosen(value, *at) = copy;
        }
        Mutation::Multiply(at, times) => {
            let place = at_chosen(value, *at);
            *place = Value::Array(vec![place.clone(); *times]);
        }
        Mutation::Nest(at, depth) => {
            let place = at_chosen(value, *at);
            *place = (0..*depth).fold(place.take(), |nested, _| json!([nested]));
        }
        Mutation::Add(at, key, new) => {
            if let Value::Object(fields) = at_chosen(value, *at) {
                fields.insert(key.clone(), new.clone());
            }
        }
        _ => return false,
    }
    true
}

fn at_chosen(value: &mut Value, at: Index) -> &mut Value {
    let path = chosen(value, at);
    value.pointer_mut(&path).unwrap()
}

/// The JSON pointer to the value that `at` selects.
fn chosen(value: &Value, at: Index) -> String {
    let mut paths = Vec::new();
    add_paths(value, String::new(), &mut paths);
    paths.swap_remove(at % paths.len())
}

fn add_paths(value: &Value, path: String, paths: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                add_paths(value, format!("{path}/{key}"), paths);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                add_paths(value, format!("{path}/{index}"), paths);
            }
        }
        _ => {}
    }
    paths.push(path);
}

#[test]
fn json_mutation_gives_json() {
    let value = json!({"a/b": [1, {"c": 2}]});
    let mutate = |mutation| {
        let mut value = value.clone();
        assert!(mutate_value(&mut value, &mutation));
        value.to_string()
    };
    let paths = {
        let mut paths = Vec::new();
        add_paths(&value, String::new(), &mut paths);
        paths
    };
    assert_eq!(paths, ["/a~1b/0", "/a~1b/1/c", "/a~1b/1", "/a~1b", ""]);
    assert_eq!(chosen(&value, 0), "/a~1b/0");
    assert_eq!(mutate(Mutation::Remove(0)), r#"{"a/b":[{"c":2}]}"#);
    assert_eq!(mutate(Mutation::Nest(0, 2)), r#"{"a/b":[[[1]],{"c":2}]}"#);
    assert_eq!(
        mutate(Mutation::Multiply(0, 2)),
        r#"{"a/b":[[1,1],{"c":2}]}"#
    );
    assert_eq!(PROPERTIES.len(), 12);
}
