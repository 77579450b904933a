//! A plan as lines of text, for people who read it in the console of Step Functions, on a terminal or in a chat.

use super::migration::Migration;
use super::step_table::Plan;
use crate::dns::SetIdentifier;
use crate::text::{counted, duration, table};

/// The most steps that it lists.
const MOST_STEPS: usize = 50;

/// The lines: what moves, the steps, the names, what a rollback takes, and the warnings.
pub(super) fn summary(migration: &Migration, plan: &Plan) -> Vec<String> {
    let mut lines = vec![
        format!(
            "{} of {} from {} to {}",
            counted(plan.names, "name"),
            migration.names.zone(),
            migration.from,
            migration.to
        ),
        overview(plan),
        String::new(),
    ];
    lines.extend(steps(plan));
    lines.push(String::new());
    lines.extend(names(plan));
    lines.push(String::new());
    lines.push(rollback(plan));
    if plan.leased > 0 {
        lines.push(format!(
            "{} leased from ExternalDNS until the release",
            counted(plan.leased, "name")
        ));
    }
    for warning in &plan.warnings {
        lines.push(format!(
            "Warning {}: {}",
            warning.code.as_str(),
            warning.message
        ));
    }
    lines
}

fn overview(plan: &Plan) -> String {
    if plan.steps.is_empty() {
        return "All names have reached the last step: nothing is left to shift".to_owned();
    }
    format!(
        "{} at {} percent now; {}, about {} if every check passes",
        counted(plan.record_sets, "record set"),
        plan.current_percent,
        counted(plan.steps.len(), "step"),
        duration(plan.expected_duration_seconds)
    )
}

fn steps(plan: &Plan) -> Vec<String> {
    let header = ["percent", "weights", "write", "wait", "bake", "approval"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for step in plan.steps.iter().take(MOST_STEPS) {
        let weights: Vec<_> = step
            .weights
            .iter()
            .map(|(weights, count)| format!("{weights} x {count}"))
            .collect();
        rows.push(vec![
            step.percent.to_string(),
            weights.join(", "),
            duration(step.write_seconds.into()),
            duration(step.wait_seconds.into()),
            duration(step.bake_seconds.into()),
            if step.approval { "yes" } else { "no" }.to_owned(),
        ]);
    }
    let mut lines = table(&rows);
    let more = plan.steps.len().saturating_sub(MOST_STEPS);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

fn names(plan: &Plan) -> Vec<String> {
    let listed = &plan.name_table.rows;
    let text = |identifier: &Option<SetIdentifier>| {
        let text = identifier.as_ref().map(ToString::to_string);
        text.unwrap_or_default()
    };
    // The set identifiers of each name, where the input has templates for them.
    let has_from = listed.iter().any(|row| row.from.is_some());
    let has_to = listed.iter().any(|row| row.to.is_some());
    let shown = |cells: [String; 6]| -> Vec<String> {
        let is_shown = |column| match column {
            1 => has_from,
            2 => has_to,
            _ => true,
        };
        let cells = cells.into_iter().enumerate();
        cells
            .filter_map(|(column, cell)| is_shown(column).then_some(cell))
            .collect()
    };
    let header = ["name", "from", "to", "types", "weights", "outcome"];
    let mut rows = vec![shown(header.map(str::to_owned))];
    rows.extend(listed.iter().map(|row| {
        shown([
            row.name.to_string(),
            text(&row.from),
            text(&row.to),
            row.types.clone(),
            row.weights.clone(),
            row.outcome.text(),
        ])
    }));
    let mut lines = table(&rows);
    for (outcome, count) in &plan.name_table.more {
        lines.push(format!("and {count} more: {outcome}"));
    }
    lines
}

fn rollback(plan: &Plan) -> String {
    let writes = match plan.rollback_seconds {
        0 => "in one call".to_owned(),
        seconds => format!("in about {}", duration(seconds.into())),
    };
    format!(
        "A rollback writes all original weights {writes}; resolvers follow within {}",
        duration(plan.ttl_seconds.into())
    )
}
