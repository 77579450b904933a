//! Which ways between the states of the definitions the histories have used.

use std::collections::BTreeMap;
use std::fmt;

use interpreter::Edge;

use crate::history::Report;
use crate::machines;

/// A way between two states of a state machine.
#[derive(Clone, Debug)]
pub struct Way {
    /// The name of the state machine.
    pub machine: String,
    pub edge: Edge,
    pub is_covered: bool,
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, edge, .. } = self;
        let to = edge.to.as_deref().unwrap_or("the end");
        write!(formatter, "{machine}: {} ({}) to {to}", edge.from, edge.way)
    }
}

/// The ways that no history uses, as a [`Way`] is displayed, and the reason of each.
pub const NOT_COVERED: [(&str, &str); 2] = [
    (
        "cutover-migration: Do the new side's records exist? (rule 3) to Announce that it was refused",
        "the plan refuses an input with which this wait could have as many events",
    ),
    (
        "cutover-rollback: All restored? (rule 5) to Note the failure",
        "Route 53 propagates every change, and other writers stop before the thirtieth pass",
    ),
];

/// The ways that the histories neither use nor may leave out, and those of [`NOT_COVERED`] that they use.
pub fn problems(report: &Report) -> Vec<String> {
    let ways = ways(report);
    let shown: BTreeMap<String, bool> = ways
        .iter()
        .map(|way| (way.to_string(), way.is_covered))
        .collect();
    let reasons = BTreeMap::from(NOT_COVERED);
    let forgotten = shown
        .iter()
        .filter(|(way, is_covered)| !**is_covered && !reasons.contains_key(way.as_str()))
        .map(|(way, _)| format!("not covered, without a reason in NOT_COVERED: {way}"));
    let covered = reasons
        .keys()
        .filter(|way| shown.get(**way) != Some(&false))
        .map(|way| format!("in NOT_COVERED, but covered or not in the definitions: {way}"));
    forgotten.chain(covered).collect()
}

/// All ways of all state machines.
pub fn ways(report: &Report) -> Vec<Way> {
    let mut ways = Vec::new();
    for (arn, machine) in machines::all() {
        let covered = report.covered.get(&arn);
        for (number, edge) in machine.edges().iter().enumerate() {
            let is_covered = covered.and_then(|covered| covered.get(number));
            ways.push(Way {
                machine: arn.rsplit(':').next().unwrap_or_default().to_owned(),
                edge: edge.clone(),
                is_covered: is_covered == Some(&true),
            });
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_no_history_uses_is_a_problem_unless_it_has_a_reason() {
        let none = Report::default();
        assert_eq!(problems(&none).len(), ways(&none).len() - NOT_COVERED.len());
        let covered = machines::all()
            .into_iter()
            .map(|(arn, machine)| (arn, vec![true; machine.edges().len()]))
            .collect();
        let all = Report {
            covered,
            ..Report::default()
        };
        assert_eq!(problems(&all).len(), NOT_COVERED.len());
    }
}
