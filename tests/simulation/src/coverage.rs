//! Which ways between the states of the definitions the histories have used.

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
