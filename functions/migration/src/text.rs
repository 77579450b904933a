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

/// A time for people, such as `45 s`, `5 min` or `1 h 30 min`. Of hours, seconds are left out.
pub fn duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3_600, seconds % 3_600 / 60, seconds % 60);
    let parts = match (hours, minutes) {
        (0, 0) => vec![(rest, "s")],
        (0, _) => vec![(minutes, "min"), (rest, "s")],
        _ => vec![(hours, "h"), (minutes, "min")],
    };
    let is_shown = |(index, (number, _)): &(usize, (u64, &str))| *index == 0 || *number > 0;
    let shown: Vec<_> = parts
        .into_iter()
        .enumerate()
        .filter(is_shown)
        .map(|(_, (number, unit))| format!("{number} {unit}"))
        .collect();
    shown.join(" ")
}

/// Rows of cells as lines, each column as wide as its widest cell. The last cell of a row is not padded.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let line = |row: &Vec<String>| {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            // Writing to a String can't fail.
            let _ = write!(line, "{cell:<width$}  ", width = width(column));
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A number of things, such as `1 name` or `2 names`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// What follows the first of several things: ` (and 2 more)`, or nothing.
pub(crate) fn and_more(more: usize) -> String {
    match more {
        0 => String::new(),
        more => format!(" (and {more} more)"),
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

    #[test]
    fn a_time_has_at_most_two_units() {
        let shown = [0, 59, 60, 90, 3_600, 5_400, 5_401, 90_000].map(duration);
        assert_eq!(
            shown,
            [
                "0 s",
                "59 s",
                "1 min",
                "1 min 30 s",
                "1 h",
                "1 h 30 min",
                "1 h 30 min",
                "25 h"
            ]
        );
    }

    #[test]
    fn the_cells_of_a_column_begin_at_the_same_place() {
        let rows =
            [["a", "grün", "x"], ["long", "b", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), ["a     grün  x", "long  b"]);
        assert!(table(&[]).is_empty());
    }
}
