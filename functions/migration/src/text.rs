//! Text of outside origin: bounded in messages, escaped in TXT records.

use std::fmt::Write as _;

/// The beginning of `text` if it is longer than `characters`. Text of outside origin can have any
/// length, and the output of a state is limited to 256 KiB.
///
/// Source: Step Functions Developer Guide, "Service quotas".
pub fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The first `most` of the items, and how many more there are.
pub fn first_of(items: &[String], most: usize) -> String {
    let first: Vec<_> = items.iter().take(most).map(String::as_str).collect();
    match items.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// The maximum length of an execution's name, in characters.
///
/// Source: Step Functions API Reference, `StartExecution`.
pub(crate) const LONGEST_EXECUTION_NAME: usize = 80;
/// The maximum length of a quotation in a message, in characters.
const LONGEST_QUOTE: usize = 300;

/// The beginning of `text` in quotes, for the message that refuses it.
pub fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text, LONGEST_QUOTE))
}

/// Escapes every byte except letters, digits and `-._~/:+@` as `%XX`. The result needs no further
/// escaping in a TXT value, and contains none of the `=` that separate keys from values.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:+@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

pub(crate) fn percent_decode(text: &str) -> Result<String, String> {
    let malformed = || format!("expected percent-encoded text, found {text:?}");
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || {
                let digit = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(digit).ok()
            };
            let (high, low) = (
                digit().ok_or_else(malformed)?,
                digit().ok_or_else(malformed)?,
            );
            high * 16 + low
        } else {
            byte
        });
    }
    String::from_utf8(decoded).map_err(|_| malformed())
}

/// Implements `Deserialize` with `FromStr`, whose error says what was expected.
macro_rules! deserialize_from_str {
    ($($type:ty),+) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}
pub(crate) use deserialize_from_str;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(shortened("grün", 4), "grün");
        assert_eq!(shortened("grüner", 4), "grün…");
        assert_eq!(shortened("", 0), "");
        assert_eq!(quoted("gr\"ün"), "\"gr\\\"ün\"");
        assert_eq!(quoted(&"x".repeat(1_000)).chars().count(), 303);
    }
}
