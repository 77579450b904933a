//! The text of the timeline: when the weights changed, and what happened between the changes.

use std::fmt::Write as _;

use cutover::is_question;
use local_stack::Moment;

use crate::wording;

const WIDTH: usize = 100;
const INDENT: &str = "                     ";

/// A line for each change of the weights and, below it, the states until the next change. Between
/// them, what happened from outside.
pub(crate) fn text(timeline: &[Moment]) -> String {
    let mut text = "\nTimeline: UTC time, lowest share of green at any name, weights; the states until the next \
                    change\n"
        .to_owned();
    let groups = timeline.chunk_by(|a, b| {
        a.weights == b.weights && a.execution == b.execution && b.happenings.is_empty()
    });
    let (mut execution, mut last_state) = ("", "");
    for group in groups {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        for what in &first.happenings {
            // Writing to a String can't fail.
            let _ = writeln!(text, "  >>> {what}");
        }
        if first.execution != execution {
            (execution, last_state) = (&first.execution, "");
            let _ = writeln!(text, "  Execution {execution}");
        }
        // The time of day without the date.
        let time: String = first.time.chars().skip(11).take(8).collect();
        let percent = format!("{} %", first.percent);
        let _ = writeln!(
            text,
            "  {time}  {percent:>7}  {}",
            wording::weights(&first.weights)
        );
        // The weights can change within a state, which was counted in the group that entered it.
        let is_entered = first.state != last_state;
        let states = states(group.get(usize::from(!is_entered)..).unwrap_or_default());
        add_wrapped(&mut text, &states);
        last_state = &last.state;
    }
    text
}

/// The states of `moments` in the order of their first occurrence, with their counts.
fn states(moments: &[Moment]) -> Vec<String> {
    let mut states: Vec<(&str, usize)> = Vec::new();
    for moment in moments.iter().filter(|moment| !is_question(&moment.state)) {
        match states.iter_mut().find(|(state, _)| *state == moment.state) {
            Some((_, count)) => *count += 1,
            None => states.push((&moment.state, 1)),
        }
    }
    states
        .into_iter()
        .map(|(state, count)| match count {
            1 => state.to_owned(),
            _ => format!("{state} ×{count}"),
        })
        .collect()
}

fn add_wrapped(text: &mut String, words: &[String]) {
    let mut line = String::new();
    for word in words {
        if line.is_empty() {
            line.clone_from(word);
        } else if INDENT.len() + line.len() + word.len() + 3 > WIDTH {
            let _ = writeln!(text, "{INDENT}{line},");
            line.clone_from(word);
        } else {
            line += ", ";
            line += word;
        }
    }
    if !line.is_empty() {
        let _ = writeln!(text, "{INDENT}{line}");
    }
}
