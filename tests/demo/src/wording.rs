//! Short texts for names, weights, durations and results.

use local_stack::{
    BLUE, CHECK_SECONDS, ExecutionResult, GREEN, NameWeights, RecordName, Report, Scenario,
};

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

/// `blue 90, green 10 (5 names)`, or the weights of each group of names if they differ.
pub(crate) fn weights(name_weights: &NameWeights) -> String {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for record_name in name_weights.names() {
        let weights = [BLUE, GREEN]
            .map(|cluster| {
                format!(
                    "{} {}",
                    side(cluster),
                    weight(name_weights, record_name, cluster)
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

/// The weight of a side, or `mixed` if its record types have different weights.
pub(crate) fn weight(name_weights: &NameWeights, name: &RecordName, side: &str) -> String {
    let weight = side
        .parse()
        .ok()
        .and_then(|side| name_weights.weight(name, &side));
    weight.map_or_else(|| "mixed".to_owned(), |weight| weight.to_string())
}

/// The causes of all errors, then how the executions ended and whether that is expected.
pub(crate) fn conclusion(scenario: &Scenario, report: &Report) -> String {
    let mut text = String::new();
    let executions: Vec<_> = [
        ("migration", Some(&report.migration)),
        ("rollback", report.rollback.as_ref()),
        ("release", report.release.as_ref()),
    ]
    .into_iter()
    .filter_map(|(what, ended)| Some((what, ended?)))
    .collect();
    for (what, ended) in &executions {
        if let Some(cause) = &ended.cause {
            text = format!("{text}Cause of the {what}'s error: {cause}\n\n");
        }
    }
    if let Some(time) = report.alarm_to_change {
        text = format!(
            "{text}From the alarm's event until Route 53 accepted the original weights: {:.2} s. The next health check \
             would have started up to {CHECK_SECONDS} s later.\n\n",
            time.as_secs_f64()
        );
    }
    for (what, ended) in &executions {
        text = format!("{text}The {what} {}.\n", describe(ended));
    }
    if report.unexpected.is_empty() {
        format!("{text}As expected: {}.", scenario.expected_result)
    } else {
        let unexpected = report.unexpected.join("\n- ");
        format!("{text}Not as expected:\n- {unexpected}")
    }
}

fn describe(ended: &ExecutionResult) -> String {
    let ExecutionResult {
        outcome,
        state,
        error,
        ..
    } = ended;
    match error {
        Some(error) => format!("{outcome} with the error {error} in state {state:?}"),
        None => format!("{outcome} in state {state:?}"),
    }
}
