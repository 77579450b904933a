//! What the live view shows of a scenario.

use std::time::SystemTime;

use cutover::{Live, Row};
use local_stack::{BLUE, GREEN, Moment, Seen};

use crate::wording;

/// Shows an update.
pub(crate) fn show(live: &mut Live, seen: &Seen) {
    match seen {
        Seen::Plan(plan) => live.plan(plan),
        Seen::Moment(moment) => live.moment(&view(moment), SystemTime::now()),
        Seen::Verdict(verdict) => {
            live.verdict(&verdict.observer, &verdict.verdict, &verdict.reason);
        }
        Seen::Happening(what) => live.line(&format!(">>> {what}")),
        Seen::Ended(ended) => live.ended(ended),
    }
}

fn view(moment: &Moment) -> cutover::Moment {
    let weights = &moment.weights;
    let names = weights.names();
    cutover::Moment {
        execution: moment.execution.clone(),
        state: moment.state.clone(),
        percent: Some(moment.percent),
        weights: wording::weights(weights),
        rows: names
            .map(|name| {
                let side = |side| {
                    let weight = wording::weight(weights, name, side);
                    (wording::side(side).to_owned(), weight)
                };
                Row {
                    label: wording::name(name),
                    from: side(BLUE),
                    to: side(GREEN),
                }
            })
            .collect(),
    }
}
