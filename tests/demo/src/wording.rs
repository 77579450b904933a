//! Names, weights, times and endings in few words.

use std::time::Duration;

use local_stack::{BLUE, CHECK_SECONDS, Ended, GREEN, RecordName, Report, Scenario, Traffic};

const ZONE: &str = ".eks-blueprint.example.com";
const CLUSTERS: &str = "eks-blueprint-";

/// `burnham`, `*.apps`.
pub(crate) fn name(name: &RecordName) -> String {
    name.host("*").trim_end_matches(ZONE).to_owned()
}

/// `blue`.
pub(crate) fn side(side: &str) -> &str {
    side.trim_start_matches(CLUSTERS)
}

/// `blue 90, green 10 (all names)`, or which names have which weights.
pub(crate) fn weights(traffic: &Traffic) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for record_name in traffic.names() {
        let weights = [BLUE, GREEN]
            .map(|cluster| {
                format!(
                    "{} {}",
                    side(cluster),
                    weight(traffic, record_name, cluster)
                )
            })
            .join(", ");
        match groups.iter_mut().find(|(known, _)| *known == weights) {
            Some((_, names)) => names.push(name(record_name)),
            None => groups.push((weights, vec![name(record_name)])),
        }
    }
    match groups.as_slice() {
        [(weights, names)] => format!("{weights} ({} names)", names.len()),
        groups => groups
            .iter()
            .map(|(weights, names)| format!("{weights} ({})", names.join(", ")))
            .collect::<Vec<_>>()
            .join("; "),
    }
}

/// The weight of a side, for people.
pub(crate) fn weight(traffic: &Traffic, name: &RecordName, side: &str) -> String {
    let weight = side
        .parse()
        .ok()
        .and_then(|side| traffic.weight(name, &side));
    weight.map_or_else(|| "mixed".to_owned(), |weight| weight.to_string())
}

/// `40 s`, `3 min`.
pub(crate) fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..90 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

/// Whether a state only decides; people read on to what comes of it.
pub(crate) fn is_question(state: &str) -> bool {
    state.ends_with('?')
}

/// What is said about the errors, then one sentence how it ended.
pub(crate) fn conclusion(scenario: &Scenario, report: &Report) -> String {
    let mut text = String::new();
    let (rollback, release) = (report.rollback.as_ref(), report.release.as_ref());
    let ends = [Some(&report.migration), rollback, release];
    for cause in ends.into_iter().flatten() {
        if let Some(cause) = &cause.cause {
            text = format!("{text}Cause: {cause}\n\n");
        }
    }
    if let Some(time) = report.alarm_to_change {
        text = format!(
            "{text}From the alarm's event to the accepted change: {:.2} s; the next health check would have come \
             after up to {CHECK_SECONDS} s.\n\n",
            time.as_secs_f64()
        );
    }
    let mut ending = how(&report.migration);
    for (what, ended) in [("rollback", rollback), ("release", release)] {
        if let Some(ended) = ended {
            ending = format!("{ending}, and the {what} {}", how(ended));
        }
    }
    if report.unexpected.is_empty() {
        format!(
            "{text}The migration {ending}, as it should: {}.",
            scenario.lesson
        )
    } else {
        let unexpected = report.unexpected.join("\n- ");
        format!("{text}The migration {ending}, which is not as it should be:\n- {unexpected}")
    }
}

fn how(ended: &Ended) -> String {
    let Ended {
        outcome,
        state,
        error,
        ..
    } = ended;
    match error {
        Some(error) => format!("{outcome} with {error} in {state:?}"),
        None => format!("{outcome} in {state:?}"),
    }
}
