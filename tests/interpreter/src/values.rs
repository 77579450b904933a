//! JSON values.

use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use jsonata_core::value::JValue;
use serde_json::Value;

pub(crate) fn object<'a>(fields: impl IntoIterator<Item = (&'a str, JValue)>) -> JValue {
    let fields = fields.into_iter();
    JValue::object(
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// Milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// As JSON, with whole numbers as integers.
pub(crate) fn to_json(value: &JValue) -> Value {
    // Only a function has no JSON form, and no value of an execution is one.
    serde_json::to_value(value).unwrap_or_default()
}

/// The length of a value as JSON, in bytes.
pub(crate) fn size(value: &JValue) -> usize {
    // A small value is by far the most frequent one, and needs no walk.
    if let JValue::Null | JValue::Bool(_) | JValue::Number(_) = value {
        return 0;
    }
    let mut counter = Counter(0);
    // Counting can't fail, and a value without a JSON form was refused before.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
