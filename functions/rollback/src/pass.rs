//! One pass: what it may still write, what it has done, and what it leaves to the next one.

use std::collections::{BTreeMap, BTreeSet};

use migration::Error;
use migration::change::{Allowance, Applied};
use migration::dns::{RecordName, SetIdentifier};
use migration::json::from_json;
use migration::route53::{ChangeId, OpenChanges, PROPAGATION_SECONDS, Route53, open_changes};
use migration::text::shortened;
use serde::{Deserialize, Serialize};

use crate::report::{LONGEST_LIST, MigrationReport, limit_findings, merge, names};
use crate::request::EarlierPasses;
use crate::targets::RollbackTarget;

/// The timeout of `shift-weight` in the template, in seconds. A test compares the two.
const SHIFT_WEIGHT_TIMEOUT_SECONDS: u32 = 120;
/// How long a new environment of a function may take to start, in seconds, before the timeout of its first
/// call begins.
///
/// Source: Lambda Developer Guide, "Understanding the Lambda execution environment lifecycle".
pub const COLD_START_SECONDS: u32 = 10;
/// A margin, in seconds: a request that has left when Lambda ends the function is carried out nevertheless,
/// and Step Functions may call a function shortly after it has answered that the execution is stopped.
pub const LATE_WRITER_MARGIN_SECONDS: u32 = 20;

/// For how long a call of `shift-weight` may still write after its execution was stopped, with a margin, in
/// seconds. With less, the last pass could come before a late write, and nothing would restore that name;
/// with more, every rollback would take longer for nothing.
pub const LATE_WRITER_SECONDS: u32 =
    SHIFT_WEIGHT_TIMEOUT_SECONDS + COLD_START_SECONDS + LATE_WRITER_MARGIN_SECONDS;

/// The longest wait between two passes. A TTL is up to 68 years, but the rollback state machine ends
/// after a day, or after 30 passes. The next pass also confirms the changes and restores late writes,
/// and neither depends on the TTL.
const LONGEST_WAIT_SECONDS: u32 = 3_600;

/// What one pass did.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PassReport {
    /// Whether no further pass is needed.
    pub done: bool,
    /// How many names were restored in this pass.
    pub restored: usize,
    /// One sentence per target, for people.
    pub message: String,
    /// The migrations to announce.
    pub migrations: Vec<MigrationReport>,
    /// What could not be restored, and what to do about it.
    pub problems: Vec<String>,
    /// The executions that are rolled back: the requested ones, or those with journals at the requested
    /// names.
    pub executions: BTreeSet<String>,
    /// What is recorded when the rollback has succeeded: that these executions were rolled back.
    pub rollback_records: BTreeSet<String>,
    /// The changes that are not yet in sync.
    pub change_ids: Vec<String>,
    /// How long to wait before the next pass.
    pub wait_seconds: u32,
    /// What the next pass goes on with, if this one has left names to it. Then that pass follows at once,
    /// and none of these migrations is announced yet.
    pub unfinished: Option<Unfinished>,
}

/// Characters of a pass's message, which has one sentence per target.
const LONGEST_MESSAGE: usize = 4_000;
/// Characters of Route 53's reason to refuse a name, while other names are restored.
const LONGEST_REFUSAL: usize = 200;
/// Characters of the refused names, with their reasons, that a pass leaves to the next one. The answer of a
/// function has at most 65,536 bytes.
const MOST_REFUSED: usize = 20_000;

/// What a pass leaves to the next one, if that one follows at once.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Unfinished {
    /// The time from the start of this pass to that of the next one, in seconds.
    pub pause_seconds: u32,
    /// The longest wait that the passes so far need after the last one of them, in seconds.
    wait_seconds: u32,
    /// What is waited in addition because the answer to a change was lost, in seconds.
    #[serde(default)]
    lost_answer_seconds: u32,
    /// The names that Route 53 refuses to change, with its reasons. They are tried again when all others are
    /// restored and the TTL was waited out.
    refused: BTreeMap<RecordName, String>,
    /// The names of batches that Route 53 has refused. They come last.
    suspected: BTreeSet<RecordName>,
    /// Those of `refused` whose load balancer of `from` is gone.
    #[serde(default)]
    from_is_gone: BTreeSet<RecordName>,
    /// The reports so far.
    migrations: Vec<MigrationReport>,
    /// Whether the held migrations of an alarm are still to be looked up.
    held_is_open: bool,
}

/// A pass that is being made.
pub(crate) struct Pass {
    pub(crate) report: PassReport,
    pub(crate) allowance: Allowance,
    /// What is waited in addition if the answer to one of its changes was lost, or to one of the pass that it goes on
    /// with.
    lost_answer_seconds: u32,
    /// Whether it goes on with a pass that has left names to it.
    pub(crate) goes_on: bool,
    pub(crate) refused: BTreeMap<RecordName, String>,
    pub(crate) suspected: BTreeSet<RecordName>,
    from_is_gone: BTreeSet<RecordName>,
    /// Whether names are left that the next pass can restore at once.
    pub(crate) is_unfinished: bool,
    pub(crate) held_is_open: bool,
    migrations: Vec<MigrationReport>,
    /// The records of the executions that this rollback has found restored, because another one, or an attempt whose
    /// answer was lost, has done it.
    pub(crate) found_restored: BTreeSet<String>,
    /// The records of the earlier passes' executions; none if Route 53 has lost a change of these passes.
    earlier_records: Option<BTreeSet<String>>,
    /// The changes of the earlier passes that are not known to be in sync.
    earlier_changes: Vec<ChangeId>,
    /// Why Route 53 could not be asked for them.
    unasked: Option<Error>,
    first_error: Option<Error>,
    /// The executions whose rollback has failed.
    failed: BTreeSet<String>,
}

impl Pass {
    /// # Errors
    /// [`Error::InvalidInput`] if what the earlier pass has left can't be parsed.
    pub(crate) fn after(earlier: Option<&mut EarlierPasses>) -> Result<Self, Error> {
        let is_first = earlier.is_none();
        let unfinished = earlier.and_then(|earlier| earlier.unfinished.take());
        let goes_on = unfinished.is_some();
        let unfinished: Option<Unfinished> = unfinished.as_ref().map(from_json).transpose()?;
        let Unfinished {
            pause_seconds: _,
            wait_seconds,
            lost_answer_seconds,
            refused,
            suspected,
            from_is_gone,
            migrations,
            held_is_open,
        } = unfinished.unwrap_or_default();
        Ok(Self {
            report: PassReport {
                wait_seconds: wait_seconds.max(LATE_WRITER_SECONDS),
                ..PassReport::default()
            },
            allowance: Allowance::default(),
            lost_answer_seconds,
            goes_on,
            refused,
            suspected,
            from_is_gone,
            is_unfinished: false,
            held_is_open: is_first || held_is_open,
            migrations,
            found_restored: BTreeSet::new(),
            earlier_records: Some(BTreeSet::new()),
            earlier_changes: Vec::new(),
            unasked: None,
            first_error: None,
            failed: BTreeSet::new(),
        })
    }

    /// Asks whether the changes of the earlier passes are in sync, before the zone is read. Of a change that
    /// Route 53 has lost, nothing but the zone shows whether it was made, and a name that still has its
    /// journal is restored again. So it counts as a change whose answer was lost, and longer ago than
    /// [`PROPAGATION_SECONDS`].
    pub(crate) async fn ask_for_changes(
        &mut self,
        earlier: Option<&mut EarlierPasses>,
        route53: &impl Route53,
    ) {
        let Some(earlier) = earlier else { return };
        self.earlier_records = Some(earlier.rollback_records.clone());
        let change_ids = std::mem::take(&mut earlier.change_ids);
        if self.goes_on {
            // Nothing needs to know it yet, and each change takes a call.
            self.earlier_changes = change_ids;
            return;
        }
        match open_changes(route53, &change_ids).await {
            Ok(OpenChanges { pending, lost }) => {
                if !lost.is_empty() {
                    tracing::warn!(?lost, "Route 53 has lost changes");
                    // The zone may still show such a change and lose it later.
                    self.earlier_records = None;
                }
                self.earlier_changes = pending;
            }
            Err(error) => {
                self.earlier_changes = change_ids;
                self.unasked = Some(error);
            }
        }
    }

    /// Adds a sentence about one target.
    pub(crate) fn add_message(&mut self, message: &str) {
        let all = &mut self.report.message;
        if !all.is_empty() {
            all.push_str("; ");
        }
        all.push_str(message);
        *all = shortened(all, LONGEST_MESSAGE);
    }

    pub(crate) fn add_applied(&mut self, applied: Applied) {
        let Applied {
            names: _,
            change_ids,
            lost_an_answer,
        } = applied;
        self.report.change_ids.extend(change_ids);
        if lost_an_answer {
            // Without the id of the change, only waiting can ensure that it is in sync.
            self.lost_answer_seconds = PROPAGATION_SECONDS;
        }
    }

    /// Adds a name that Route 53 refuses to change.
    pub(crate) fn add_refusal(&mut self, name: RecordName, refusal: &Error) {
        self.refused.insert(name, refusal.to_string());
    }

    /// Adds a name that stays as it is, because the load balancer `target` of `from` is gone: at the original
    /// weights its traffic would go to nothing.
    pub(crate) fn add_gone(
        &mut self,
        name: RecordName,
        from: &SetIdentifier,
        target: &str,
        refusal: &Error,
    ) {
        let reason = format!(
            "the load balancer of {from} is gone ({target}), so that the original weights would send its traffic to \
             nothing; change its record to one that exists, then roll back again ({refusal})"
        );
        self.from_is_gone.insert(name.clone());
        self.refused.insert(name, reason);
    }

    /// Adds the error of a target's rollback. A later pass repeats it.
    pub(crate) fn add_error(&mut self, target: &RollbackTarget, error: Error) {
        let zone = &target.hosted_zone_id;
        tracing::error!(%error, %zone, "a rollback target failed");
        let migration = target.migration();
        self.failed.extend(migration.map(|it| it.name.clone()));
        self.first_error.get_or_insert(error);
    }

    /// Adds an error that is not that of a single target.
    pub(crate) fn add_common_error(&mut self, error: Error) {
        self.first_error.get_or_insert(error);
    }

    /// The answer. `message` is its message if there was no target.
    ///
    /// # Errors
    /// The first error, if nothing was restored.
    pub(crate) fn finish(
        mut self,
        message: String,
        earlier: Option<&EarlierPasses>,
    ) -> Result<PassReport, Error> {
        if let Some(error) = self.first_error {
            let may_pass = matches!(error, Error::Throttled(_) | Error::Unavailable(_));
            if self.report.restored > 0 {
                // With an error, the answer would not say what was restored. The next pass meets the error again,
                // or gets on.
                self.report.executions.append(&mut self.failed);
                self.is_unfinished = true;
            } else if may_pass || self.migrations.is_empty() {
                return Err(error);
            } else {
                // Nobody has seen the reports yet of the pass that it goes on with. The next pass meets the error again.
                self.report.executions.append(&mut self.failed);
                self.report.problems.push(error.to_string());
            }
        }
        let mut report = self.report;
        if report.message.is_empty() {
            report.message = message;
        }
        if self.is_unfinished {
            for reason in self.refused.values_mut() {
                *reason = shortened(reason, LONGEST_REFUSAL);
            }
        }
        let refused: usize = self
            .refused
            .iter()
            .map(|(name, reason)| name.as_str().len() + reason.len())
            .chain(self.suspected.iter().map(|name| name.as_str().len()))
            .sum();
        if self.is_unfinished && refused > MOST_REFUSED {
            self.is_unfinished = false;
            report.problems.push(format!(
                "not all names were tried, because Route 53 refuses {} others; roll back again when it accepts them",
                self.refused.len() + self.suspected.len()
            ));
        }
        if !self.is_unfinished {
            let (gone, others): (Vec<_>, Vec<_>) = self
                .refused
                .iter()
                .partition(|(name, _)| self.from_is_gone.contains(*name));
            let problem = |(name, reason)| format!("{name} is not restored: {reason}");
            // Nothing but a person can help these names.
            report.problems = gone
                .iter()
                .copied()
                .map(problem)
                .chain(std::mem::take(&mut report.problems))
                .chain(others.into_iter().map(problem))
                .collect();
            if !gone.is_empty() {
                let listed: Vec<_> = gone.iter().map(|(name, _)| name.as_str()).collect();
                report.message = format!(
                    "the load balancer of the old side is gone for {} {}, which stay as they are: {}; {}",
                    gone.len(),
                    names(gone.len()),
                    shortened(&listed.join(", "), LONGEST_LIST),
                    report.message
                );
                report.message = shortened(&report.message, LONGEST_MESSAGE);
            }
        }
        // Also if it goes on with the first pass.
        let is_first = earlier.is_none() || self.goes_on;
        match self.unasked {
            Some(error) if report.restored == 0 && !self.is_unfinished => return Err(error),
            Some(error) => tracing::warn!(%error, "the next pass asks for these changes again"),
            None => {}
        }
        report.change_ids.append(&mut self.earlier_changes);
        if let Some(earlier_records) = &mut self.earlier_records {
            report.rollback_records.append(earlier_records);
            // A first pass can't tell whether the changes that restored them are in sync. A later one comes after the
            // wait for late writers, which is longer.
            if !is_first {
                report.rollback_records.append(&mut self.found_restored);
            }
        }
        // Only a later pass can find a late write.
        let may_be_written_late = is_first && !report.executions.is_empty();
        report.done = report.restored == 0
            && report.change_ids.is_empty()
            && !may_be_written_late
            && !self.is_unfinished;
        let wait_seconds = report.wait_seconds;
        report.wait_seconds = wait_seconds
            .saturating_add(self.lost_answer_seconds)
            .min(LONGEST_WAIT_SECONDS);
        report.problems = limit_findings(report.problems);
        let migrations = merge(self.migrations, std::mem::take(&mut report.migrations));
        if self.is_unfinished {
            report.unfinished = Some(Unfinished {
                pause_seconds: self.allowance.pause_seconds().max(1),
                wait_seconds,
                lost_answer_seconds: self.lost_answer_seconds,
                refused: self.refused,
                suspected: self.suspected,
                from_is_gone: self.from_is_gone,
                migrations,
                held_is_open: self.held_is_open,
            });
        } else {
            report.migrations = migrations;
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many names of 17 characters.
    fn names(count: usize) -> impl Iterator<Item = RecordName> {
        (0..count).map(|number| format!("svc-{number:03}.example.x").parse().unwrap())
    }

    /// Each name has 17 characters, and its reason 183.
    #[test]
    fn a_pass_leaves_as_many_refused_names_to_the_next_one_as_its_answer_can_hold() {
        for (refused, suspected, is_unfinished) in [
            (MOST_REFUSED / 200, 0, true),
            (MOST_REFUSED / 200, 1, false),
            (MOST_REFUSED / 200 + 1, 0, false),
        ] {
            let mut pass = Pass::after(None).unwrap();
            pass.is_unfinished = true;
            pass.refused = names(refused).map(|name| (name, "x".repeat(183))).collect();
            pass.suspected = names(suspected).collect();
            let report = pass.finish(String::new(), None).unwrap();
            assert_eq!(report.unfinished.is_some(), is_unfinished);
            let problem = format!(
                "not all names were tried, because Route 53 refuses {} others; roll back again when it accepts them",
                refused + suspected
            );
            assert_eq!(report.problems.contains(&problem), !is_unfinished);
        }
    }

    #[test]
    fn a_long_reason_to_refuse_a_name_is_shortened_for_the_next_pass() {
        let mut pass = Pass::after(None).unwrap();
        pass.is_unfinished = true;
        pass.refused = names(MOST_REFUSED / 300)
            .map(|name| (name, "x".repeat(1_000)))
            .collect();
        let report = pass.finish(String::new(), None).unwrap();
        let unfinished = report.unfinished.unwrap();
        let mut reasons = unfinished.refused.values();
        let expected = shortened(&"x".repeat(1_000), LONGEST_REFUSAL);
        assert!(expected.len() < 300);
        assert_eq!(reasons.len(), MOST_REFUSED / 300);
        assert!(reasons.all(|reason| *reason == expected));
    }
}
