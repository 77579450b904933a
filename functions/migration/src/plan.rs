//! From an operator's input and the zone as it is to a migration that can be
//! carried out, and to what people want to know of it beforehand.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::change::{Shift, Writer, batches, shift};
use crate::input::{Alarms, Input, Probe, Reaction, TtlFactor, to_json};
use crate::lint::{NO_RECORDS, Registries, lint};
use crate::name::{HostedZoneId, NamePattern, RecordName, SetIdentifier};
use crate::registry::{ExternalDns, Mode, RegistryText};
use crate::route53::{LARGEST_PAGE, PROPAGATION_SECONDS};
use crate::steps::{Percent, Step};
use crate::weights::{FreeSum, count_weights};
use crate::zone::{PairedName, Zone, lowest_percent};
use crate::zone_names::ZoneNames;

/// The events at which the migration state machine ends by itself, below the 25,000 at which
/// Step Functions would end it without a rollback.
///
/// Source: Step Functions Developer Guide, "Service quotas".
pub const HISTORY_BUDGET: usize = 22_000;
/// Events of one health check and of one step besides its checks, rounded up from
/// histories of the migration state machine.
const EVENTS_OF_A_CHECK: usize = 40;
const EVENTS_OF_A_STEP: usize = 60;
/// Events of asking once whether the new side, or the alarms, are ready.
const EVENTS_OF_A_POLL: usize = 12;
/// The time for which the migration state machine may run (its `TimeoutSeconds`).
const LONGEST_MIGRATION_SECONDS: u64 = 604_800;
/// Characters of a migration in JSON: with all that goes beside it from state to state, below a
/// quarter of the 256 KiB that Step Functions takes.
///
/// Source: Step Functions Developer Guide, "Service quotas".
const LARGEST_MIGRATION: usize = 56_000;

/// A migration with every default filled in: what the state machine hands from state to state.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Migration {
    /// The id of the hosted zone.
    pub hosted_zone_id: HostedZoneId,
    /// The side that serves now.
    pub from: SetIdentifier,
    /// The side that shall serve.
    pub to: SetIdentifier,
    /// The zone, and the names that move, all of them.
    pub names: ZoneNames,
    /// The lowest share of `to` when the migration was planned: the steps up to it are left out,
    /// so the first shift must still find it.
    pub start_percent: Percent,
    /// The executions that have ended and whose journals this migration goes on from.
    pub adopted: BTreeSet<String>,
    /// The steps that are still ahead.
    pub steps: Vec<Step>,
    /// What the weights of a pair alone at its name add up to.
    pub free_sum: FreeSum,
    /// How long an inconclusive bake is prolonged.
    pub max_bake_seconds: u32,
    /// The time between two health checks.
    pub check_seconds: u32,
    /// How many failed health checks within one bake end the migration.
    pub failure_threshold: u32,
    /// How many times the longest TTL is waited out.
    pub ttl_factor: TtlFactor,
    /// For how long the migration waits for `to` to become ready.
    pub ready_timeout_seconds: u32,
    /// For how long an approval is waited for.
    pub approval_timeout_seconds: u32,
    /// How `to` is probed.
    pub probe: Probe,
    /// The alarms to watch.
    pub alarms: Alarms,
    /// What is done about ExternalDNS.
    pub external_dns: ExternalDns,
    /// What happens on failure.
    pub on_failure: Reaction,
    /// What happens when an approval is refused, or not given in time.
    pub on_refusal: Reaction,
    /// What happens on drift.
    pub on_drift: Reaction,
    /// Whether the migration ends with its plan.
    pub dry_run: bool,
}

/// What people want to know before a migration begins.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The share that `to` has now.
    pub current_percent: Percent,
    /// The steps ahead.
    pub steps: Vec<PlannedStep>,
    /// How many names move.
    pub names: usize,
    /// How many record sets get new weights.
    pub record_sets: usize,
    /// The longest TTL among them.
    pub ttl_seconds: u32,
    /// How long the migration takes if every check passes.
    pub expected_duration_seconds: u64,
    /// How many calls of Route 53's API it takes, about.
    pub route53_calls: usize,
    /// How many names are leased from ExternalDNS until they are released.
    pub leased: usize,
    /// The owners that ExternalDNS's registry names, by side and type, and of how many names.
    pub external_dns_owners: Registries,
    /// What to look at before starting.
    pub warnings: Vec<String>,
}

/// What has to be there before a migration can be planned, and how long that is waited for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Awaited {
    /// What is missing.
    pub reason: String,
    /// The time until the zone is read again.
    pub check_seconds: u32,
    /// For how long it is read again and again.
    pub timeout_seconds: u32,
}

/// One step, for people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// The share of `to`.
    pub percent: Percent,
    /// The weights `from/to`, and how many pairs of records get them.
    pub weights: BTreeMap<String, usize>,
    /// How long the TTL is waited out.
    pub wait_seconds: u32,
    /// For how long health is checked then.
    pub bake_seconds: u32,
    /// Whether somebody must approve of what comes after it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
}

impl Migration {
    /// The longest time for which resolvers may keep an answer for one of the names.
    pub fn ttl_seconds(&self, zone: &Zone) -> u32 {
        self.names
            .iter()
            .map(|name| zone.ttl_seconds(name))
            .max()
            .unwrap_or_default()
    }

    /// Every name at which something of the migration may stand.
    pub fn places(&self) -> BTreeSet<RecordName> {
        let places = |name| self.external_dns.places(name);
        self.names.iter().flat_map(places).collect()
    }
}

/// The names that an input selects by itself, without patterns; none if it takes the whole zone to tell.
pub fn literal_names(input: &Input) -> Option<Vec<RecordName>> {
    input
        .names
        .as_ref()?
        .iter()
        .map(NamePattern::literal)
        .collect()
}

/// What `input` asks to wait for where a plan has failed for want of records of `to`; none if
/// it does not ask to wait.
pub fn awaited(input: &Input, missing: &str) -> Result<Option<Awaited>, Error> {
    let timeout_seconds = input.records_timeout_seconds.get();
    let check_seconds = input.check_seconds.get();
    if timeout_seconds == 0 || input.dry_run {
        return Ok(None);
    }
    let polls = polls(timeout_seconds, check_seconds);
    if polls * EVENTS_OF_A_POLL > HISTORY_BUDGET {
        return Err(Error::InvalidInput(format!(
            "recordsTimeoutSeconds: reading the zone {polls} times, once every {check_seconds} seconds, would need more \
             than the 25000 events at which Step Functions ends an execution; set a longer checkSeconds"
        )));
    }
    Ok(Some(Awaited {
        reason: missing.to_owned(),
        check_seconds,
        timeout_seconds,
    }))
}

/// Plans the migration that `input` asks for in `zone`, on behalf of the execution `writer`.
pub fn plan(input: &Input, zone: &Zone, writer: &Writer<'_>) -> Result<(Migration, Plan), Error> {
    let mut warnings = Vec::new();
    let names = select_names(input, zone, &mut warnings)?;
    let mut paired_names = Vec::with_capacity(names.len());
    let mut adopted = BTreeSet::new();
    let mut completed = BTreeSet::new();
    for name in &names {
        if name.is_too_long_for_a_journal() {
            return Err(Error::InvalidInput(format!(
                "names: {name} is too long for its journal {}; exclude the name",
                name.journal()
            )));
        }
        if let Some(other) = name.journal().journaled().filter(|other| other != name) {
            return Err(Error::InvalidInput(format!(
                "names: the journal {} of {name} would be taken for that of {other}; exclude the name",
                name.journal()
            )));
        }
        let paired = zone.paired(name, &input.from, &input.to, &input.external_dns)?;
        reject_all_zero(zone, &paired, input)?;
        if let Some(journal) = writer.own_or_adoptable(&paired)? {
            adopted.insert(journal.execution.clone());
            if journal.completed {
                completed.insert(journal.execution.clone());
            }
        }
        paired_names.push(paired);
    }
    let mut steps = input.steps.with_default_bake(input.bake_seconds.get());
    let free_sum = free_sum(&steps, &paired_names)?;
    let last_step = steps.last().copied();
    steps.retain(|step| !paired_names.iter().all(|named| named.reaches(step.percent)));
    if let Some(execution) = completed.first()
        && !(steps.is_empty() && adopted == completed)
    {
        return Err(Error::Busy(format!(
            "the execution {execution} has completed, and not all of its journals have been taken away; that is done \
             by starting the rollback state machine with {{\"execution\": \"{execution}\"}}, which changes no weight"
        )));
    }
    if steps.is_empty() && adopted != completed {
        // Held, or died, at 100 percent: health is still to be shown before the journals go.
        steps.extend(last_step);
    }

    let longest_bake = steps
        .iter()
        .map(|step| step.bake_seconds)
        .max()
        .unwrap_or_default();
    let max_bake_seconds = match input.max_bake_seconds {
        Some(max_bake) if max_bake.get() < longest_bake => {
            return Err(Error::InvalidInput(format!(
                "maxBakeSeconds: expected at least the longest bake time ({longest_bake}), found {}",
                max_bake.get()
            )));
        }
        Some(max_bake) => max_bake.get(),
        None => (2 * longest_bake).max(3_600),
    };
    let migration = Migration {
        hosted_zone_id: zone.id.clone(),
        from: input.from.clone(),
        to: input.to.clone(),
        names: ZoneNames::new(zone.name.clone(), names.clone()),
        start_percent: lowest_percent(&paired_names),
        adopted,
        steps,
        free_sum,
        max_bake_seconds,
        check_seconds: input.check_seconds.get(),
        failure_threshold: input.failure_threshold.get(),
        ttl_factor: input.ttl_factor,
        ready_timeout_seconds: input.ready_timeout_seconds.get(),
        approval_timeout_seconds: input.approval_timeout_seconds.get(),
        probe: input.probe.clone(),
        alarms: input.alarms.clone(),
        external_dns: input.external_dns.clone(),
        on_failure: input.on_failure,
        on_refusal: input.on_refusal,
        on_drift: input.on_drift,
        dry_run: input.dry_run,
    };
    reject_too_large(&migration)?;
    let records_timeout_seconds = input.records_timeout_seconds.get();
    warnings.extend(lint(input, zone, &paired_names));
    let plan = describe(
        &migration,
        records_timeout_seconds,
        zone,
        &paired_names,
        writer,
        warnings,
    )?;
    Ok((migration, plan))
}

/// Refuses more names than go from state to state.
fn reject_too_large(migration: &Migration) -> Result<(), Error> {
    let size = to_json(migration)?.to_string().len();
    if size > LARGEST_MIGRATION {
        return Err(Error::InvalidInput(format!(
            "names: {} names are too many for one migration, which would have {size} characters where Step Functions \
             is handed {LARGEST_MIGRATION} at most; split them into several migrations with `names` or `exclude`",
            migration.names.len()
        )));
    }
    Ok(())
}

fn describe(
    migration: &Migration,
    records_timeout_seconds: u32,
    zone: &Zone,
    paired: &[PairedName<'_>],
    writer: &Writer<'_>,
    mut warnings: Vec<String>,
) -> Result<Plan, Error> {
    let pairs = || paired.iter().flat_map(|named| named.pairs.values());
    let ttl_seconds = migration.ttl_seconds(zone);
    let wait_seconds = migration.ttl_factor.times(ttl_seconds);
    let mut steps = Vec::with_capacity(migration.steps.len());
    let mut batch_count = 0;
    for step in &migration.steps {
        let mut weights = BTreeMap::new();
        let mut changes = Vec::with_capacity(paired.len());
        for named in paired {
            // Every step as if it came first: what matters is whether its weights can be written.
            let shift = shift(named, writer, step.percent, true, migration.free_sum)?;
            let Some(Shift { change, written }) = shift else {
                continue;
            };
            if !change.fits_a_batch() {
                return Err(Error::InvalidInput(format!(
                    "names: the record sets of {} do not fit into one batch of changes; exclude the name",
                    named.name
                )));
            }
            count_weights(&mut weights, &written);
            changes.push(change);
        }
        batch_count += batches(changes).len();
        steps.push(PlannedStep {
            percent: step.percent,
            weights,
            wait_seconds,
            bake_seconds: step.bake_seconds,
            approval: step.approval,
        });
    }
    let (expected_duration_seconds, checks) =
        duration_and_checks(migration, wait_seconds, records_timeout_seconds)?;
    let record_set_count: usize = zone.record_sets.values().map(Vec::len).sum();
    let calls_of_a_read = 1 + migration
        .places()
        .len()
        .min(record_set_count.div_ceil(LARGEST_PAGE));
    // A shift and its confirmation read once each, a health check twice: to confirm and to probe.
    let reads = 1 + 3 * steps.len() + 2 * checks;
    let is_leased = |named: &&PairedName<'_>| {
        let is_owned =
            |text: &RegistryText<'_>| text.record_type.is_some() && text.external_dns().is_some();
        migration.external_dns.mode == Mode::Lease && named.registry.iter().flatten().any(is_owned)
    };
    if !migration.probe.enabled && migration.alarms.are_none() {
        warnings.push(
            "nothing watches this migration: there are no alarms and the probe is switched off, so no failure can \
             be noticed; name alarms in `alarms.names`"
                .to_owned(),
        );
    }
    Ok(Plan {
        current_percent: migration.start_percent,
        steps,
        names: paired.len(),
        record_sets: pairs().count() * 2,
        ttl_seconds,
        expected_duration_seconds,
        route53_calls: reads * calls_of_a_read + 2 * batch_count,
        leased: paired.iter().filter(is_leased).count(),
        external_dns_owners: Registries::of(paired, &migration.from, &migration.to),
        warnings,
    })
}

/// How long the migration takes if every check passes, and how many health checks it makes.
fn duration_and_checks(
    migration: &Migration,
    wait_seconds: u32,
    records_timeout_seconds: u32,
) -> Result<(u64, usize), Error> {
    let bakes = || migration.steps.iter().map(|step| step.bake_seconds);
    let checks: usize = bakes()
        .map(|bake| {
            1 + usize::try_from(bake.div_ceil(migration.check_seconds)).unwrap_or(usize::MAX)
        })
        .sum();
    let polls = 2 * polls(migration.ready_timeout_seconds, migration.check_seconds);
    let events = checks * EVENTS_OF_A_CHECK
        + migration.steps.len() * EVENTS_OF_A_STEP
        + polls * EVENTS_OF_A_POLL;
    if events > HISTORY_BUDGET {
        return Err(Error::InvalidInput(format!(
            "checkSeconds: {checks} health checks, one every {} seconds, and the wait for readiness would need about \
             {events} events, and Step Functions ends an execution at 25000; check less often, or bake for a shorter time",
            migration.check_seconds
        )));
    }
    let seconds = bakes()
        .map(|bake| u64::from(PROPAGATION_SECONDS) + u64::from(wait_seconds) + u64::from(bake))
        .sum();
    let approvals = migration.steps.iter().filter(|step| step.approval);
    let longest = seconds
        + u64::from(records_timeout_seconds)
        // For the probe, and for the alarms.
        + 2 * u64::from(migration.ready_timeout_seconds)
        + approvals
            .map(|_| u64::from(migration.approval_timeout_seconds))
            .sum::<u64>();
    if longest > LONGEST_MIGRATION_SECONDS {
        return Err(Error::InvalidInput(format!(
            "steps: the migration could take {longest} seconds, and its state machine ends it after \
             {LONGEST_MIGRATION_SECONDS}; shorten the bake times, or approvalTimeoutSeconds"
        )));
    }
    Ok((seconds, checks))
}

/// How often something is asked about in `seconds`.
fn polls(seconds: u32, check_seconds: u32) -> usize {
    usize::try_from(seconds.div_ceil(check_seconds)).unwrap_or(usize::MAX)
}

fn free_sum(steps: &[Step], paired: &[PairedName<'_>]) -> Result<FreeSum, Error> {
    let percents: Vec<_> = steps.iter().map(|step| step.percent).collect();
    let needs_one = paired
        .iter()
        .flat_map(|named| named.pairs.values())
        .any(|pair| !pair.has_neighbours);
    match FreeSum::for_percents(&percents) {
        Err(problem) if needs_one => Err(Error::InvalidInput(format!("steps: {problem}"))),
        sum => Ok(sum.unwrap_or_default()),
    }
}

fn reject_all_zero(zone: &Zone, named: &PairedName<'_>, input: &Input) -> Result<(), Error> {
    for (record_type, pair) in &named.pairs {
        if !pair.weights.are_zero() {
            continue;
        }
        let name = named.name;
        let others_serve = zone.at(name).iter().any(|record_set| {
            record_set.record_type == *record_type
                && record_set.weighted().is_some_and(|(_, weight)| weight > 0)
        });
        let meaning = if others_serve {
            "so that only further set identifiers serve and there is no traffic to move"
        } else {
            "which Route 53 takes for \"all records equally\""
        };
        return Err(Error::AllZeroWeights(format!(
            "{name} {record_type} has weight 0 on both {} and {}, {meaning}; \
             give the side that shall serve now its weight first, or exclude the name",
            input.from, input.to
        )));
    }
    Ok(())
}

fn select_names(
    input: &Input,
    zone: &Zone,
    warnings: &mut Vec<String>,
) -> Result<Vec<RecordName>, Error> {
    let of_from = zone.names_of(&input.from);
    let of_to = zone.names_of(&input.to);
    let of_both: BTreeSet<_> = of_from.intersection(&of_to).copied().collect();
    let is_excluded = |name: &RecordName| input.exclude.iter().any(|pattern| pattern.matches(name));

    let mut selected: BTreeSet<RecordName> = BTreeSet::new();
    for (index, pattern) in input.names.iter().flatten().enumerate() {
        if let Some(name) = pattern.literal() {
            if !name.is_in(&zone.name) {
                return Err(Error::InvalidInput(format!(
                    "names[{index}]: {name} is not in the zone {} ({})",
                    zone.name, zone.id
                )));
            }
            selected.insert(name);
            continue;
        }
        let mut matching = of_both
            .iter()
            .filter(|name| pattern.matches(name))
            .peekable();
        if matching.peek().is_none() {
            return Err(Error::NoSuchPair(format!(
                "names[{index}]: {pattern} matches no name of the zone {} that has weighted records of both {} and {}; {}",
                zone.name,
                input.from,
                input.to,
                known_sides(zone)
            )));
        }
        selected.extend(matching.map(|name| (*name).clone()));
    }
    if input.names.is_none() {
        selected.extend(of_both.iter().map(|name| (*name).clone()));
    }
    selected.retain(|name| !is_excluded(name));
    if selected.is_empty() {
        return Err(Error::NoSuchPair(format!(
            "the zone {} has no name with weighted records of both {} and {}{}; {}{}",
            zone.name,
            input.from,
            input.to,
            if input.exclude.is_empty() {
                ""
            } else {
                " that is not excluded"
            },
            known_sides(zone),
            if of_to.is_empty() && !of_from.is_empty() {
                format!("; {NO_RECORDS}")
            } else {
                String::new()
            }
        )));
    }
    let staying: Vec<_> = of_from
        .difference(&of_to)
        .filter(|name| input.selects(name))
        .map(|name| name.as_str())
        .collect();
    if let [first, ..] = staying.as_slice() {
        if input.records_timeout_seconds.get() > 0 {
            return Err(Error::NoSuchPair(format!(
                "{} of the names with records of {} have none of {} yet, such as {first}; create them, exclude the \
                 names, or leave recordsTimeoutSeconds out to move the other names without them",
                staying.len(),
                input.from,
                input.to
            )));
        }
        warnings.push(format!(
            "{} of the names with records of {} have none of {} and stay where they are, such as {first}; {}",
            staying.len(),
            input.from,
            input.to,
            NO_RECORDS
        ));
    }
    for (index, pattern) in input.exclude.iter().enumerate() {
        if !of_from.union(&of_to).any(|name| pattern.matches(name)) {
            warnings.push(format!("exclude[{index}]: {pattern} matches no name"));
        }
    }
    Ok(selected.into_iter().collect())
}

/// The set identifiers of the zone, for whoever misspelt one.
fn known_sides(zone: &Zone) -> String {
    let identifiers: BTreeSet<_> = zone
        .record_sets
        .values()
        .flatten()
        .filter(|record_set| record_set.record_type.moves())
        .filter_map(|record_set| {
            record_set
                .weighted()
                .map(|(identifier, _)| identifier.as_str())
        })
        .collect();
    if identifiers.is_empty() {
        return "the zone has no weighted records".to_owned();
    }
    let identifiers: Vec<_> = identifiers.into_iter().take(10).collect();
    format!("its weighted records are of {}", identifiers.join(", "))
}
