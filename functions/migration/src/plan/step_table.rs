//! The plan as an operator reads it before the migration starts.

use std::collections::BTreeMap;

use serde::Serialize;

use super::budget::{duration_and_checks, further_calls};
use super::external_dns_warnings::OwnerCounts;
use super::identifiers::IdentifiersInZone;
use super::migration::Migration;
use super::name_table::NameTable;
use super::problems::Problems;
use super::rollback_time::slow_writes_warning;
use super::warning::Warning;
use super::weight_remedy::with_remedy;
use crate::change::{Moment, NameChange, Shift, batches, calls_for, shift};
use crate::dns::{Percent, count_weights};
use crate::error::InvalidInput;
use crate::external_dns::{Mode, RegistryText};
use crate::input::{FailOnWarnings, Input, WarningCode};
use crate::journal::{PairedName, Writer};
use crate::route53::LARGEST_PAGE;

/// What a migration will do, for an operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The plan as lines of text.
    pub summary: Vec<String>,
    /// The lowest share of `to` among the names now.
    pub current_percent: Percent,
    pub steps: Vec<PlannedStep>,
    /// The number of names that move.
    pub names: usize,
    /// Which names move, and which stay.
    pub name_table: NameTable,
    /// The number of A, AAAA and CNAME record sets that move.
    pub record_sets: usize,
    /// The longest TTL among them, in seconds.
    pub ttl_seconds: u32,
    /// The duration if every check passes, in seconds.
    pub expected_duration_seconds: u64,
    /// How long a rollback of all names takes at Route 53's limits, in seconds; 0 if one call restores them.
    pub rollback_seconds: u32,
    /// An estimate of the number of calls of Route 53's API.
    pub route53_calls: usize,
    /// The number of names that are leased from ExternalDNS until their release.
    pub leased: usize,
    /// The number of names by side, record type and owner in ExternalDNS's registry.
    pub external_dns_owners: OwnerCounts,
    /// Problems to look at before the start.
    pub warnings: Vec<Warning>,
    /// The warnings with which the migration does not start.
    pub fail_on_warnings: FailOnWarnings,
}

/// One step, for an operator.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    pub percent: Percent,
    /// The number of pairs by their weights, which are written `from/to`.
    pub weights: BTreeMap<String, usize>,
    /// How long the weights are written at Route 53's limits, in seconds, in which names stand at different
    /// percents; 0 if one call writes them.
    pub write_seconds: u32,
    /// How long the TTL is waited out, in seconds.
    pub wait_seconds: u32,
    /// How long health is checked after that, in seconds.
    pub bake_seconds: u32,
    /// Whether the migration waits for an approval after this step.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
}

/// Describes the plan without its summary, with these `warnings` and more. Adds a problem for each name whose weights or registry TXT
/// records can't be written, and for what exceeds the limits of an execution.
pub(super) fn describe(
    migration: &Migration,
    input: &Input,
    identifiers: &IdentifiersInZone<'_>,
    paired_names: &[PairedName<'_>],
    writer: &Writer<'_>,
    mut warnings: Vec<Warning>,
    problems: &mut Problems,
) -> Plan {
    let zone = writer.journals.zone;
    let pairs = || paired_names.iter().flat_map(|paired| paired.pairs.values());
    let ttl_seconds = migration.ttl_seconds(zone);
    let wait_seconds = migration.ttl_factor.times(ttl_seconds);
    let mut steps = Vec::with_capacity(migration.steps.len());
    let mut batch_count = 0;
    let mut calls_of_steps = Vec::with_capacity(migration.steps.len());
    let mut rollback_seconds = 0;
    for step in &migration.steps {
        let mut weights = BTreeMap::new();
        let mut changes = Vec::with_capacity(paired_names.len());
        for paired in paired_names {
            // To find out whether its weights can be written.
            let moment = Moment::Plan;
            let shift = shift(
                paired,
                writer,
                step.percent,
                moment,
                migration.weight_total,
                false,
            );
            let shift = shift.map_err(|error| with_remedy(error, zone, paired, &migration.steps));
            let shift = problems.take_of(paired.name, shift).flatten();
            let Some(Shift { change, written }) = shift else {
                continue;
            };
            if !change.fits_a_batch() {
                let name = paired.name.clone();
                problems.add_of(paired.name, InvalidInput::NameTooLargeForBatch { name });
            }
            count_weights(&mut weights, &written);
            changes.push(change);
        }
        // The first step creates the journals, and later ones delete and create them.
        let more = usize::from(!steps.is_empty());
        let sizes = || changes.iter().map(NameChange::changes);
        let calls = calls_for(sizes().map(|size| size + more));
        calls_of_steps.push(calls);
        // A rollback makes the changes of the first step the other way round.
        rollback_seconds = rollback_seconds.max(calls_for(sizes()).seconds);
        batch_count += batches(changes).len();
        steps.push(PlannedStep {
            percent: step.percent,
            weights,
            write_seconds: calls.seconds,
            wait_seconds,
            bake_seconds: step.bake_seconds,
            approval: step.approval,
        });
    }
    let duration_and_checks = duration_and_checks(
        migration,
        wait_seconds,
        input.records_timeout_seconds.get(),
        &calls_of_steps,
    );
    let (expected_duration_seconds, checks) =
        problems.take(duration_and_checks).unwrap_or_default();
    let record_set_count: usize = zone.record_sets.values().map(Vec::len).sum();
    let pages = record_set_count.div_ceil(LARGEST_PAGE);
    let calls_of_a_read = 1 + migration.record_names().len().min(pages);
    // Besides that of the plan, two in reserve for the probe before the start and the completion. Per step: to
    // shift. Per health check: to confirm the weights, and to probe.
    let reads = 2 + steps.len() + further_calls(&calls_of_steps) + 2 * checks;
    let is_leased = |paired: &&PairedName<'_>| {
        let is_owned =
            |text: &RegistryText<'_>| text.record_type.is_some() && text.external_dns().is_some();
        migration.external_dns.mode == Mode::Lease && paired.registry.iter().flatten().any(is_owned)
    };
    warnings.extend(nothing_observed_warning(migration));
    let lone: usize = paired_names.iter().map(|paired| paired.lone.len()).sum();
    let write_seconds = calls_of_steps.iter().map(|calls| calls.seconds).max();
    warnings.extend(slow_writes_warning(
        write_seconds.unwrap_or_default(),
        rollback_seconds,
    ));
    Plan {
        summary: Vec::new(),
        current_percent: migration.start_percent,
        steps,
        names: paired_names.len(),
        name_table: NameTable::of(input, identifiers, zone, paired_names),
        record_sets: pairs().count() * 2 + lone,
        ttl_seconds,
        expected_duration_seconds,
        rollback_seconds,
        route53_calls: pages + reads * calls_of_a_read + 2 * batch_count,
        leased: paired_names.iter().filter(is_leased).count(),
        external_dns_owners: OwnerCounts::of(paired_names, &migration.from, &migration.to),
        warnings,
        fail_on_warnings: input.fail_on_warnings.clone(),
    }
}

fn nothing_observed_warning(migration: &Migration) -> Option<Warning> {
    let is_observed = migration.probe.enabled || !migration.alarms.are_none();
    let message = "no failure can be noticed, because the migration has no alarms and its probe is disabled; add alarms to \
                   `alarms.names`";
    (!is_observed).then(|| Warning::new(WarningCode::NothingObserved, message))
}
