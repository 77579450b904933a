//! A plan as lines of text, for people who read it in the console of Step Functions, on a terminal or in a chat.

use super::migration::Migration;
use super::step_table::Plan;
use crate::text::{duration, table};

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
    for step in &plan.steps {
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
    table(&rows)
}

fn names(plan: &Plan) -> Vec<String> {
    let mut rows = vec![
        ["name", "types", "weights", "outcome"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for row in &plan.name_table.rows {
        rows.push(vec![
            row.name.to_string(),
            row.types.clone(),
            row.weights.clone(),
            row.outcome.text(),
        ]);
    }
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

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
