//! Short texts for a terminal.

use std::time::Duration;

/// Text of the cloud without what a terminal would carry out, or show in another order: control characters
/// and the marks that change the direction of text are written as `\u{…}`. Line breaks stay.
///
/// Source: Unicode Standard Annex #9, "Explicit Directional Embeddings", "Overrides" and "Isolates".
pub fn printable(text: &str) -> String {
    let is_direction = |character| matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '\n' && (character.is_control() || is_direction(character)) {
            printable.extend(character.escape_unicode());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// `40 s`, `3 min`.
pub fn short_duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

/// Whether a state only decides. Such states are not shown: the state after them shows the decision.
pub fn is_question(state: &str) -> bool {
    state.ends_with('?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_carry_out_is_escaped() {
        assert_eq!(
            printable("a\u{1b}[2Jb\r\u{9b}c"),
            "a\\u{1b}[2Jb\\u{d}\\u{9b}c"
        );
        assert_eq!(printable("x\u{202e}y\u{2066}z"), "x\\u{202e}y\\u{2066}z");
        assert_eq!(printable("a\n\tä✓"), "a\n\\u{9}ä✓");
    }
}
