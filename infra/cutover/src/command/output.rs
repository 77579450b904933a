//! What is printed on standard output: text for people, or JSON.

use std::fmt::Write as _;
use std::io::Write as _;

use clap::ValueEnum;
use cutover::printable;
use serde_json::Value;

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs: one JSON value in one line, or with --watch one for each update.
    Json,
}

/// Standard output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { format }
    }

    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Prints the one or the other.
    pub(crate) fn print(self, text: &str, json: &Value) {
        match self.format {
            Format::Text => Self::text(&printable(text)),
            // JSON in which only printable characters are not escaped, so that a terminal shows it as it is.
            Format::Json => Self::text(&escape_controls(&json.to_string())),
        }
    }

    /// Prints text of this program.
    pub(crate) fn text(text: &str) {
        // Ignored: the reader may have seen enough, as `head` does.
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n'));
    }
}

/// `serde_json` escapes control characters up to U+001F; the others are valid in JSON, and terminals carry
/// them out.
fn escape_controls(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_control() {
            // Writing to a String can't fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_has_no_control_characters_and_the_same_value() {
        let value = json!({ "cause": "a\u{1b}[2J\u{9b}b\n" });
        let text = escape_controls(&value.to_string());
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
