//! Reports what a pass did to each migration.

use std::collections::{BTreeMap, BTreeSet};

use aws::metrics;
use migration::dns::{
    HostedZoneId, Percent, RecordName, SetIdentifierTemplate, Sides, Zone, count_weights,
};
use migration::executions::Executions;
use migration::input::Reaction;
use migration::journal::{Journal, JournalEntry, Journals};
use migration::text::shortened;
use serde::{Deserialize, Serialize};

use crate::request::LONGEST_NAME;
use crate::targets::{RollbackTarget, Scope};

/// The most findings that an answer lists; the others are counted.
const MOST_FINDINGS: usize = 20;
/// Characters of a finding; some contain other writers' record values, or messages of Route 53.
const LONGEST_FINDING: usize = 1_000;
/// Characters of the names that a message lists.
pub(crate) const LONGEST_LIST: usize = 1_000;

/// A finding about a name that was at 100 percent and leased: its release may have begun.
const MAYBE_GIVEN_BACK: &str = "ExternalDNS owns the records again: if the annotations already have the weights that the migration reached, \
     ExternalDNS writes these weights again within its interval; set the annotations back to the original weights";

/// Why names were restored that were not requested.
const STOPPED_EXECUTION: &str =
    "the execution was running and was stopped for this rollback, so nothing would watch them";

/// What a pass did to one migration.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationReport {
    pub status: Outcome,
    /// The name of the execution.
    pub execution: String,
    pub execution_arn: String,
    pub hosted_zone_id: HostedZoneId,
    pub zone_name: RecordName,
    /// None if no journal was found, and so for the other optional fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<SetIdentifierTemplate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<SetIdentifierTemplate>,
    /// Why it was rolled back or held.
    pub reason: String,
    /// Whether it was running and was stopped for the rollback.
    pub stopped: bool,
    /// The highest percent of `to` before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent_before: Option<Percent>,
    /// The highest percent of `to` after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// How many names were restored, held or completed.
    pub names: usize,
    /// The restored weights `from/to`, and how many pairs of records have them.
    pub weights: BTreeMap<String, usize>,
    /// What differed from the journals, the first findings.
    pub found: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Outcome {
    /// The original weights are restored.
    RolledBack,
    /// It was stopped or aborted, and keeps its weights and journals.
    Held,
    /// It had completed, and its remaining journals were deleted.
    Completed,
    /// A reminder: it ended some time ago, and its names are still at a step.
    StillHeld,
    /// A reminder: it completed some time ago, and its names are still leased.
    NotReleased,
}

/// Collects the reports of the migrations of one target.
pub(crate) struct Reports<'a, E> {
    executions: &'a E,
    target: &'a RollbackTarget,
    zone: &'a Zone,
    journals: Journals<'a>,
    migrations: Vec<MigrationReport>,
    /// How many of the restored names were not requested.
    unrequested: usize,
}

impl MigrationReport {
    /// Adds a finding about all names once, before those about single names, so that a long list does
    /// not cut it off.
    fn add_common_finding(&mut self, finding: &str) {
        if !self.found.iter().any(|found| found == finding) {
            self.found.insert(0, finding.to_owned());
        }
    }

    /// Adds what a later pass has done to the same migration.
    fn add(&mut self, later: Self) {
        self.from = self.from.take().or(later.from);
        self.to = self.to.take().or(later.to);
        self.stopped |= later.stopped;
        self.percent_before = self.percent_before.max(later.percent_before);
        self.percent = self.percent.max(later.percent);
        self.names = self.names.saturating_add(later.names);
        for (weights, pairs) in later.weights {
            let all = self.weights.entry(weights).or_default();
            *all = all.saturating_add(pairs);
        }
        let found = later.found.into_iter();
        let new: Vec<_> = found.filter(|it| !self.found.contains(it)).collect();
        self.found.extend(new);
        self.found = limit_findings(std::mem::take(&mut self.found));
    }
}

impl<'a, E: Executions> Reports<'a, E> {
    pub(crate) fn new(
        executions: &'a E,
        target: &'a RollbackTarget,
        journals: Journals<'a>,
    ) -> Self {
        Self {
            executions,
            target,
            zone: journals.zone,
            journals,
            migrations: Vec::new(),
            unrequested: 0,
        }
    }

    /// Counts the name of a journal in the report of its migration, and returns that report.
    pub(crate) fn add_name(&mut self, journal: &Journal, outcome: Outcome) -> &mut MigrationReport {
        // Adopted journals are reported with the migration that adopted them.
        let (execution, input) = match (self.target.migration(), outcome) {
            (Some(migration), Outcome::RolledBack | Outcome::Held) => {
                (migration.name.as_str(), migration.input.as_ref())
            }
            _ => (journal.execution.name(), None),
        };
        let templates = input.map_or(journal.templates.as_ref(), |input| Sides {
            from: &input.from,
            to: &input.to,
        });
        let report = self.find_or_add(execution, outcome);
        let percent = match outcome {
            Outcome::RolledBack => journal
                .original
                .values()
                .map(|weights| weights.percent())
                .max(),
            Outcome::Held | Outcome::Completed | Outcome::StillHeld | Outcome::NotReleased => {
                Some(journal.percent)
            }
        };
        report.names += 1;
        report.percent_before = report.percent_before.max(Some(journal.percent));
        report.percent = report.percent.max(percent);
        report.from.get_or_insert_with(|| templates.from.clone());
        report.to.get_or_insert_with(|| templates.to.clone());
        report
    }

    /// `is_without_to` says whether its records of `to` were deleted, so that it has no pair of weights.
    pub(crate) fn add_restored_name(
        &mut self,
        entry: &JournalEntry<'_>,
        differences: Vec<String>,
        is_without_to: bool,
    ) {
        let journal = &entry.journal;
        let requested = self.target.migration().and_then(|it| it.requested.as_ref());
        let is_requested = requested.is_none_or(|patterns| {
            let mut patterns = patterns.iter();
            patterns.any(|pattern| pattern.matches(&entry.name))
        });
        self.unrequested += usize::from(!is_requested);
        let report = self.add_name(journal, Outcome::RolledBack);
        report.found.extend(differences);
        if journal.is_leased() && journal.percent == Percent::ALL {
            report.add_common_finding(MAYBE_GIVEN_BACK);
        }
        if !is_without_to {
            count_weights(&mut report.weights, &journal.original);
        }
    }

    fn find_or_add(&mut self, execution: &str, status: Outcome) -> &mut MigrationReport {
        let matches =
            |report: &MigrationReport| report.execution == execution && report.status == status;
        let position = self.migrations.iter().position(matches).unwrap_or_else(|| {
            self.migrations.push(MigrationReport {
                status,
                execution: execution.to_owned(),
                execution_arn: self.executions.arn(execution),
                hosted_zone_id: self.zone.id.clone(),
                zone_name: self.zone.name.clone(),
                from: None,
                to: None,
                reason: self.target.reason.clone(),
                stopped: false,
                percent_before: None,
                percent: None,
                names: 0,
                weights: BTreeMap::new(),
                found: Vec::new(),
            });
            self.migrations.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "a report exists at this position")]
        &mut self.migrations[position]
    }

    /// If names are requested, adds how many other names of the same executions are not restored. These
    /// executions had ended before, or are rolling themselves back.
    pub(crate) fn add_remaining_names(&mut self, entries: &[JournalEntry<'_>]) {
        if self.target.migration().is_some() {
            return;
        }
        let requested: BTreeSet<_> = entries.iter().map(|entry| &entry.name).collect();
        for report in &mut self.migrations {
            let execution = &report.execution;
            let has_journal_at = |name: &RecordName| {
                let entry = self.journals.at(name);
                matches!(entry, Ok(Some(entry)) if entry.journal.execution.name() == *execution)
            };
            let remaining = self
                .zone
                .journaled_names()
                .filter(|name| !requested.contains(name) && has_journal_at(name))
                .count();
            if remaining > 0 {
                report.found.push(format!(
                    "not requested and so not restored: {remaining} more {} of the execution {execution}; \
                     to restore all of its names, roll back with {{\"execution\": \"{execution}\"}}",
                    names(remaining)
                ));
            }
        }
    }

    /// All reports. They include a migration without a journal that was stopped or is to be announced.
    pub(crate) fn finish(mut self) -> Vec<MigrationReport> {
        if let Some(migration) = self.target.migration() {
            let outcome = match self.target.reaction {
                Reaction::Rollback => Outcome::RolledBack,
                Reaction::Hold => Outcome::Held,
            };
            let is_reported = |report: &MigrationReport| report.execution == migration.name;
            if migration.notify && !self.migrations.iter().any(is_reported) {
                self.find_or_add(&migration.name, outcome);
            }
            for report in &mut self.migrations {
                report.stopped = migration.is_stopped && report.execution == migration.name;
                if self.unrequested > 0 && report.status == Outcome::RolledBack {
                    report.add_common_finding(&format!(
                        "restored although not requested: {} {}; {STOPPED_EXECUTION}",
                        self.unrequested,
                        names(self.unrequested)
                    ));
                }
            }
        }
        for report in &mut self.migrations {
            report.found = limit_findings(std::mem::take(&mut report.found));
        }
        self.migrations
    }
}

/// The reports of a pass, and those of the passes that it goes on with, as if they were one.
pub(crate) fn merge(
    earlier: Vec<MigrationReport>,
    reports: Vec<MigrationReport>,
) -> Vec<MigrationReport> {
    let mut merged = earlier;
    for report in reports {
        let same = |other: &&mut MigrationReport| {
            (&other.execution, other.status, &other.hosted_zone_id)
                == (&report.execution, report.status, &report.hosted_zone_id)
        };
        match merged.iter_mut().find(same) {
            Some(earlier) => earlier.add(report),
            None => merged.push(report),
        }
    }
    merged
}

pub(crate) fn emit_metrics(reports: &[MigrationReport]) {
    for report in reports {
        if let (Some(from), Some(to), Some(percent)) = (&report.from, &report.to, report.percent) {
            metrics::emit_percent(&report.zone_name, from, to, percent);
        }
    }
}

/// One sentence about a target. `has_journals` says whether the zone has journals that it covers.
pub(crate) fn summary<E: Executions>(
    target: &RollbackTarget,
    zone: &Zone,
    reports: &Reports<'_, E>,
    has_journals: bool,
) -> String {
    let subject = match &target.scope {
        Scope::Migration(migration) => {
            format!("execution {}", shortened(&migration.name, LONGEST_NAME))
        }
        Scope::Names { patterns, .. } => {
            let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
            shortened(&patterns.join(", "), LONGEST_LIST)
        }
    };
    let count = |outcome: Outcome| -> usize {
        let counted = reports.migrations.iter();
        let counted = counted.filter(|report| report.status == outcome);
        counted.map(|report| report.names).sum()
    };
    let [restored, held, completed] =
        [Outcome::RolledBack, Outcome::Held, Outcome::Completed].map(count);
    if restored > 0 {
        let mut message = format!(
            "restored the original weights of {restored} {} ({subject})",
            names(restored)
        );
        if reports.unrequested > 0 {
            let unrequested = format!(
                ", {} of them not requested: {STOPPED_EXECUTION}",
                reports.unrequested
            );
            message.push_str(&unrequested);
        }
        message
    } else if held > 0 {
        format!(
            "held the migration: kept the weights and journals of {held} {} ({subject})",
            names(held)
        )
    } else if completed > 0 {
        format!(
            "deleted the remaining journals of a completed migration ({subject}); no weight was changed"
        )
    } else if has_journals {
        format!("restored no name ({subject})")
    } else {
        format!(
            "nothing to roll back: the zone {} has no journal of {subject}",
            zone.name
        )
    }
}

pub(crate) fn names(count: usize) -> &'static str {
    if count == 1 { "name" } else { "names" }
}

pub(crate) fn limit_findings(mut findings: Vec<String>) -> Vec<String> {
    if findings.len() > MOST_FINDINGS {
        let more = findings.len() - MOST_FINDINGS;
        findings.truncate(MOST_FINDINGS);
        findings.push(format!("and {more} more"));
    }
    for finding in &mut findings {
        *finding = shortened(finding, LONGEST_FINDING);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_findings_the_first_and_the_number_of_the_others_are_kept() {
        for (count, last) in [
            (MOST_FINDINGS, "x"),
            (MOST_FINDINGS + 1, "and 1 more"),
            (MOST_FINDINGS + 5, "and 5 more"),
        ] {
            let limited = limit_findings(vec!["x".to_owned(); count]);
            assert_eq!(limited.len(), count.min(MOST_FINDINGS + 1));
            assert_eq!(limited.last().map(String::as_str), Some(last));
        }
    }
}
