//! Prints the timeline: when the weights changed, and what happened between the changes.

use local_stack::Moment;

use crate::wording;

const WIDTH: usize = 100;
const INDENT: &str = "                     ";

/// Prints a line for each change of the weights and, below it, the states until the next change.
/// What happened from outside is printed between them.
pub(crate) fn print(timeline: &[Moment]) {
    println!(
        "\nTimeline: UTC time, lowest share of green at any name, weights; the states until the next change"
    );
    let groups = timeline.chunk_by(|a, b| {
        a.weights == b.weights && a.execution == b.execution && b.happenings.is_empty()
    });
    let (mut execution, mut last_state) = ("", "");
    for group in groups {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        for what in &first.happenings {
            println!("  >>> {what}");
        }
        if first.execution != execution {
            (execution, last_state) = (&first.execution, "");
            println!("  Execution {execution}");
        }
        // The time of day without the date.
        let time: String = first.time.chars().skip(11).take(8).collect();
        let percent = format!("{} %", first.percent);
        println!(
            "  {time}  {percent:>7}  {}",
            wording::weights(&first.weights)
        );
        // The weights can change within a state, which was counted in the group that entered it.
        let is_entered = first.state != last_state;
        print_wrapped(&states(
            group.get(usize::from(!is_entered)..).unwrap_or_default(),
        ));
        last_state = &last.state;
    }
}

/// The states of `moments` in the order of their first occurrence, with their counts.
fn states(moments: &[Moment]) -> Vec<String> {
    let mut states: Vec<(&str, usize)> = Vec::new();
    for moment in moments
        .iter()
        .filter(|moment| !wording::is_question(&moment.state))
    {
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

fn print_wrapped(words: &[String]) {
    let mut line = String::new();
    for word in words {
        if line.is_empty() {
            line.clone_from(word);
        } else if INDENT.len() + line.len() + word.len() + 3 > WIDTH {
            println!("{INDENT}{line},");
            line.clone_from(word);
        } else {
            line += ", ";
            line += word;
        }
    }
    if !line.is_empty() {
        println!("{INDENT}{line}");
    }
}
