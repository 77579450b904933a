//! A picture of a terminal that shows some text, for the README.

use std::fmt::Write as _;

/// Longer lines are wrapped.
const COLUMNS: usize = 100;
/// Pixels, for a monospaced font of 14 pixels; fonts differ by a few percent, and the margin has room for that.
const COLUMN: usize = 9;
const LINE: usize = 20;
const MARGIN: usize = 20;
const TITLE_BAR: usize = 36;

/// An SVG of a dark terminal window, which is readable on light and dark pages alike: the command,
/// then its output. Indented lines, which are details, are dimmer.
pub(crate) fn terminal(command: &str, output: &str) -> String {
    let prompt = format!("$ {command}");
    let lines: Vec<String> = std::iter::once(prompt.as_str())
        .chain(output.trim_end().lines())
        .flat_map(wrapped)
        .collect();
    let width = COLUMNS * COLUMN + 2 * MARGIN;
    let height = TITLE_BAR + lines.len() * LINE + MARGIN;
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" height="{height}">
<title>{title}</title>
<style>
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #e6edf3; }}
.prompt {{ fill: #7ee787; }}
.detail {{ fill: #8b949e; }}
.event {{ fill: #e3b341; }}
</style>
<rect x="0.5" y="0.5" width="{inner_width}" height="{inner_height}" rx="8" fill="#0d1117" stroke="#484f58"/>
<circle cx="20" cy="18" r="6" fill="#ff5f57"/>
<circle cx="40" cy="18" r="6" fill="#febc2e"/>
<circle cx="60" cy="18" r="6" fill="#28c840"/>
"##,
        title = escaped(command),
        inner_width = width - 1,
        inner_height = height - 1,
    );
    for (number, line) in lines.iter().enumerate() {
        // Writing to a String can't fail.
        let _ = writeln!(
            svg,
            r#"<text xml:space="preserve" class="{}" x="{MARGIN}" y="{}">{}</text>"#,
            class(number, line),
            TITLE_BAR + (number + 1) * LINE - 4,
            escaped(line)
        );
    }
    svg += "</svg>\n";
    svg
}

fn class(number: usize, line: &str) -> &'static str {
    let text = line.trim_start();
    match line.len() - text.len() {
        _ if number == 0 => "prompt",
        _ if text.starts_with(">>>") => "event",
        0..10 => "output",
        _ => "detail",
    }
}

/// The line in pieces of at most [`COLUMNS`] characters, with its indentation before each.
fn wrapped(line: &str) -> Vec<String> {
    let (indent, text) = line.split_at(line.len() - line.trim_start().len());
    let mut lines = vec![indent.to_owned()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(last) if last.len() == indent.len() => last.push_str(word),
            Some(last) if last.chars().count() + 1 + word.chars().count() <= COLUMNS => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_wrapped_with_its_indentation() {
        let line = format!("  {} {} c", "a".repeat(60), "b".repeat(36));
        let first = format!("  {} {}", "a".repeat(60), "b".repeat(36));
        assert_eq!(wrapped(&line), [first, "  c".to_owned()]);
        assert_eq!(wrapped("  10 %   blue"), ["  10 %   blue"]);
        assert_eq!(wrapped(""), [""]);
    }

    #[test]
    fn text_is_escaped() {
        let svg = terminal("cargo demo", "  >>> a < b & c");
        assert!(
            svg.contains(">  &gt;&gt;&gt; a &lt; b &amp; c</text>"),
            "{svg}"
        );
    }
}
