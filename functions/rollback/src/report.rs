//! What there is to tell of each migration that a pass of a rollback is for.

use std::collections::{BTreeMap, BTreeSet};

use migration::executions::Executions;
use migration::input::Reaction;
use migration::journal::Journal;
use migration::zone::Zone;
use migration::{HostedZoneId, Percent, RecordName, SetIdentifier, metrics, shortened};
use serde::Serialize;

use crate::journals::Undo;
use crate::orders::{Order, Whose};
use crate::request::LONGEST_WORD;

/// How many findings an answer lists; the rest is counted.
const LISTED: usize = 20;
/// Characters of a finding: some repeat what others wrote into the zone, or Route 53's own words.
const LONGEST_LINE: usize = 1_000;
/// Characters of the names that a message lists.
const LONGEST_LIST: usize = 1_000;

/// What came of one migration.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What came of it.
    pub status: Outcome,
    /// The name of its execution.
    pub execution: String,
    /// That execution's ARN.
    pub execution_arn: String,
    /// The zone's id.
    pub hosted_zone_id: HostedZoneId,
    /// The zone's name.
    pub zone_name: RecordName,
    /// The side that served when it began; none where no journal was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<SetIdentifier>,
    /// The side that was to serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<SetIdentifier>,
    /// Why.
    pub reason: String,
    /// Whether it was running and was stopped.
    pub stopped: bool,
    /// The highest percent of `to` that was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent_before: Option<Percent>,
    /// The highest percent of `to` that it has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// How many names were restored, held or completed.
    pub names: usize,
    /// The weights `from/to` that were restored, and how many pairs of records have them again.
    pub weights: BTreeMap<String, usize>,
    /// What was found other than the journals said, the first ones.
    pub found: Vec<String>,
}

/// What came of a migration.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// The original weights are restored.
    RolledBack,
    /// It is stopped, or was aborted, and is to hold: weights and journals stay.
    Held,
    /// It had completed, and its last journals have been taken away.
    Completed,
}

/// What there is to tell of each migration that an order is for.
pub(crate) struct Reports<'a, E> {
    executions: &'a E,
    order: &'a Order,
    zone: &'a Zone,
    pub(crate) written: Vec<Report>,
}

impl Report {
    /// Adds a finding that holds for all of its names.
    pub(crate) fn warn(&mut self, finding: &str) {
        if !self.found.iter().any(|found| found == finding) {
            self.found.insert(0, finding.to_owned());
        }
    }
}

impl<'a, E: Executions> Reports<'a, E> {
    pub(crate) fn new(executions: &'a E, order: &'a Order, zone: &'a Zone) -> Self {
        Self {
            executions,
            order,
            zone,
            written: Vec::new(),
        }
    }

    /// The report that `journal` belongs to, with its name counted.
    pub(crate) fn of(&mut self, journal: &Journal, outcome: Outcome) -> &mut Report {
        // What a migration went on from is told of as its own.
        let execution = match (self.order.migration(), outcome) {
            (Some(of), Outcome::RolledBack | Outcome::Held) => &of.name,
            _ => &journal.execution,
        };
        let report = self.find(execution, outcome);
        let percent = match outcome {
            Outcome::RolledBack => journal
                .original
                .values()
                .map(|weights| weights.percent())
                .max(),
            Outcome::Held | Outcome::Completed => Some(journal.percent),
        };
        report.names += 1;
        report.percent_before = report.percent_before.max(Some(journal.percent));
        report.percent = report.percent.max(percent);
        report.from.get_or_insert_with(|| journal.from.clone());
        report.to.get_or_insert_with(|| journal.to.clone());
        report
    }

    fn find(&mut self, execution: &str, status: Outcome) -> &mut Report {
        let is_it = |report: &Report| report.execution == execution && report.status == status;
        let position = self.written.iter().position(is_it).unwrap_or_else(|| {
            self.written.push(Report {
                status,
                execution: execution.to_owned(),
                execution_arn: self.executions.arn(execution),
                hosted_zone_id: self.zone.id.clone(),
                zone_name: self.zone.name.clone(),
                from: None,
                to: None,
                reason: self.order.reason.clone(),
                stopped: false,
                percent_before: None,
                percent: None,
                names: 0,
                weights: BTreeMap::new(),
                found: Vec::new(),
            });
            self.written.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "the position of one that is there")]
        &mut self.written[position]
    }

    /// Where names are asked for, says how many others of the same executions stay.
    pub(crate) fn tell_what_stays(&mut self, undos: &[Undo<'_>]) {
        if self.order.migration().is_some() {
            return;
        }
        let undone: BTreeSet<_> = undos.iter().map(|undo| &undo.name).collect();
        for report in &mut self.written {
            let execution = &report.execution;
            let is_theirs = |name: &RecordName| {
                let journal = self.zone.journal(name);
                matches!(journal, Ok(Some((_, journal))) if journal.execution == *execution)
            };
            let staying = self
                .zone
                .journaled_names()
                .filter(|name| !undone.contains(name) && is_theirs(name))
                .count();
            if staying > 0 {
                report.found.push(format!(
                    "{staying} further {} of the execution {execution} not asked for stay where they are; \
                     to restore them too, roll back with {{\"execution\": \"{execution}\"}}",
                    names(staying)
                ));
            }
        }
    }

    /// All reports: also of a migration that is to be told of, and of what was stopped, although
    /// no journal of it is left.
    pub(crate) fn finish(mut self, stopped: &BTreeSet<String>) -> Vec<Report> {
        let told = self.order.migration().filter(|of| of.is_told);
        let told: BTreeSet<_> = told.map(|of| &of.name).into_iter().chain(stopped).collect();
        for name in told {
            let outcome = match self.order.reaction {
                Reaction::Rollback => Outcome::RolledBack,
                Reaction::Hold => Outcome::Held,
            };
            if !self.written.iter().any(|report| report.execution == *name) {
                self.find(name, outcome);
            }
        }
        for report in &mut self.written {
            report.stopped = stopped.contains(&report.execution);
            report.found = first_ones(std::mem::take(&mut report.found));
        }
        self.written
    }
}

pub(crate) fn tell_metrics(reports: &[Report]) {
    for report in reports {
        if let (Some(from), Some(to), Some(percent)) = (&report.from, &report.to, report.percent) {
            metrics::percent(&report.zone_name, from, to, percent);
        }
    }
}

pub(crate) fn message(order: &Order, zone: &Zone, reports: &[Report]) -> String {
    let of_what = match &order.whose {
        Whose::Migration(of) => format!("execution {}", shortened(&of.name, LONGEST_WORD)),
        Whose::Names(patterns) => {
            let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
            shortened(&patterns.join(", "), LONGEST_LIST)
        }
    };
    let count = |outcome: Outcome| -> usize {
        let told = reports.iter().filter(|report| report.status == outcome);
        told.map(|report| report.names).sum()
    };
    let [restored, held, completed] =
        [Outcome::RolledBack, Outcome::Held, Outcome::Completed].map(count);
    if restored > 0 {
        format!(
            "restored the original weights of {restored} {} ({of_what})",
            names(restored)
        )
    } else if held > 0 {
        format!(
            "{held} {} held at the step, as onFailure asks ({of_what})",
            names(held)
        )
    } else if completed > 0 {
        format!(
            "the last journals of what has completed are taken away ({of_what}); no weight was changed"
        )
    } else {
        format!(
            "nothing to roll back: the zone {} has no journal of {of_what}",
            zone.name
        )
    }
}

fn names(count: usize) -> &'static str {
    if count == 1 { "name" } else { "names" }
}

pub(crate) fn first_ones(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > LISTED {
        let more = lines.len() - LISTED;
        lines.truncate(LISTED);
        lines.push(format!("and {more} more"));
    }
    for line in &mut lines {
        *line = shortened(line, LONGEST_LINE);
    }
    lines
}
