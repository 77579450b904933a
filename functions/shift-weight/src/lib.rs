//! The function `shift-weight`: plans a migration, shifts its weights step by step, completes it, and
//! releases its names to ExternalDNS.
//!
//! An event has an `operation`:
//!
//! | operation | further fields | what it does |
//! |---|---|---|
//! | `plan` | `execution`, optional `redrives`, `input` | checks the input against the zone; writes nothing |
//! | `shift` | `migration`, `step`, optional `remaining`, optional `again` | shifts all names to the step's percent, or the last `remaining` of them; with `again: true` also those that are at the step, because Route 53 has lost a change of it; an error if the execution was redriven since it was planned |
//! | `confirm` | `migration`, `percent`, `changeIds` | checks that the weights are those in the journals, that these have reached the percent, and that the changes are in sync, or finds that Route 53 has lost one of them; writes nothing |
//! | `complete` | `migration` | deletes the journals, unless names are leased |
//! | `planRelease` | `input` | finds the journals of a completed migration; writes nothing |
//! | `giveBack` | `release`, `names` | gives the first `names` names back to ExternalDNS; an error if the weights of one have snapped back |
//! | `reacquireLease` | `release` | leases the names again that were given back |
//! | `endRelease` | `release` | deletes the journals |
//!
//! `execution` is the ARN or the name of the calling execution, and `redrives` how often it was redriven;
//! `migration` is what `plan` returned,
//! and `release` what `planRelease` returned. Every operation is idempotent: if there is nothing left
//! to do, it succeeds without writing. A shift with `again` writes each time, but always the same weights.
//!
//! A call writes no more than Route 53 takes at once, see [`Allowance`]. The answer of every operation that
//! writes has `remaining`, how many names are left to another call, and `pauseSeconds`, how long after this
//! call that one may start. An error after the first batch is not returned: the next call meets it again, or
//! gets on.
//!
//! Each operation reads the zone, decides on the changes without further calls, applies them by
//! compare-and-swap, and answers.
//!
//! | environment variable | meaning |
//! |---|---|
//! | `REQUIRE_PROBE`, `REQUIRE_ALARMS`, `MAX_FIRST_STEP_PERCENT`, `MIN_BAKE_SECONDS` | what the stack demands of every migration, whatever its input says; see [`StackSettings`] |
//! | `ALARM_NAME_PREFIX` | the beginning of the names of alarms whose events start rollbacks; empty for all |
//! | `MIGRATION_STATE_MACHINE_ARN` | the migration state machine, to look up whether a journal's execution is still running |
//! | `ROLLED_BACK_STATE_MACHINE_ARN` | the state machine whose executions record successful rollbacks: the journals of a migration that was rolled back are not adopted |
//! | `JOURNAL_KEY_ARN` | the KMS key from which the key is derived that signs the journals |
//! | `DNS_SERVER` | address and port of the resolver that is asked for name servers; by default those of the system |
//! | `AWS_LAMBDA_FUNCTION_NAME` | set by Lambda; metrics are written only if it is set |
//! | `RUST_LOG` | log level, `info` by default |

mod release;
mod resolver;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use aws::metrics;
use migration::change::{
    Allowance, Applied, Closed, Closing, Moment, Shift, apply, complete, journals_to_delete, shift,
};
use migration::delegation::{Resolver, delegation};
use migration::dns::{Percent, RecordName, Sides, Zone, count_weights};
use migration::error::{Drift, InvalidInput, Redriven, Unavailable};
use migration::executions::{Execution, ExecutionName, Executions, Status, recorded_rollbacks};
use migration::external_dns::{ExternalDns, annotations};
use migration::journal::{
    EndedExecutions, ExecutionIdentity, Journals, PairedName, SigningKey, SigningKeys, Writer,
    lowest_percent, pair,
};
use migration::json::{from_json, to_json};
use migration::plan::{self, Awaited, Migration, Plan, StackSettings, ZoneFacts, awaited};
use migration::route53::{
    OpenChanges, PROPAGATION_SECONDS, Route53, open_changes, read_names, read_zone,
};
use migration::{Error, input};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Operation {
    Plan,
    Shift,
    Confirm,
    Complete,
    PlanRelease,
    GiveBack,
    ReacquireLease,
    EndRelease,
}

/// The field that every event has. The others depend on the operation.
#[derive(Deserialize)]
struct AnyRequest {
    operation: Operation,
}

#[derive(Deserialize)]
struct PlanRequest {
    execution: ExecutionName,
    /// How often it was redriven.
    #[serde(default)]
    redrives: u32,
    input: Value,
}

#[derive(Deserialize)]
struct ShiftRequest {
    migration: Migration,
    step: usize,
    /// What the call before this one has answered, if it has left names. The first call of a step has none.
    remaining: Option<usize>,
    /// Whether to write also the names that are at the step, because Route 53 has lost a change of it.
    #[serde(default)]
    again: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfirmRequest {
    migration: Migration,
    /// The percent of the step that was reached.
    percent: Percent,
    change_ids: Vec<String>,
}

#[derive(Deserialize)]
struct CompleteRequest {
    migration: Migration,
}

/// Either `migration` and `plan`, or `awaited`; the others are null.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Planned {
    /// The input of the other operations.
    pub migration: Option<Migration>,
    /// For people.
    pub plan: Option<Plan>,
    /// The records that are missing; plan again once they exist.
    pub awaited: Option<Awaited>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shifted {
    /// The lowest percent of `to` before.
    pub percent_before: Percent,
    /// The percent of `to` after.
    pub percent: Percent,
    /// How many names this call has changed; the others were at the step already, or remain.
    pub changed: usize,
    /// The changes that have to be confirmed.
    pub change_ids: Vec<String>,
    /// How long resolvers may still return the old answers after the changes are in sync.
    pub wait_seconds: u32,
    /// The weights `from/to` of the names that have reached the step, and how many pairs of records have
    /// them.
    pub weights: BTreeMap<String, usize>,
    /// How many names are left to the next call: the last ones of the migration.
    pub remaining: usize,
    /// The time from the start of this call to that of the next one, in seconds.
    pub pause_seconds: u32,
}

pub use crate::resolver::DnsResolver;
pub use crate::settings::stack_settings;

pub use crate::release::{GivenBack, LeaseReacquired, Release, ReleasePlanned, Released};

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Confirmed {
    pub status: Confirmation,
    /// The changes that are not yet in sync, to be confirmed again.
    pub change_ids: Vec<String>,
    /// The weights `from/to`, and how many pairs of records have them. None if a change is lost.
    pub weights: BTreeMap<String, usize>,
}

/// Whether all changes have reached all of Route 53's servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confirmation {
    Pending,
    Confirmed,
    /// Route 53 has lost one of them. The step is to be shifted again.
    Lost,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Completion {
    /// How many journals this call has deleted.
    pub journals: usize,
    /// How many journals are left to the next call.
    pub remaining: usize,
    /// The time from the start of this call to that of the next one, in seconds.
    pub pause_seconds: u32,
    /// How many names are leased from ExternalDNS. If there is one, all journals are kept until the
    /// migration is released, so that a rollback restores all names and not only some.
    pub leased: usize,
    /// The weights `from/to` of the leased names, and how many pairs of records have them.
    pub leased_weights: BTreeMap<String, usize>,
    /// For people: the weights that the annotations of the leased names' objects have to have before the release. See
    /// [`Annotations::texts`](migration::external_dns::Annotations::texts).
    pub annotations: Vec<String>,
    /// The weights `from/to`, and how many pairs of records have them.
    pub weights: BTreeMap<String, usize>,
}

/// Carries out the operation of `event`. By operation the answer is [`Planned`], [`Shifted`],
/// [`Confirmed`], [`Completion`], [`ReleasePlanned`], [`GivenBack`], [`LeaseReacquired`] or
/// [`Released`].
pub async fn handle(
    event: &Value,
    route53: &impl Route53,
    resolver: &impl Resolver,
    executions: &impl Executions,
    keys: &impl SigningKeys,
    settings: &StackSettings,
) -> Result<Value, Error> {
    match from_json::<AnyRequest>(event)?.operation {
        Operation::Plan => {
            let request = from_json(event)?;
            to_json(&plan_migration(request, route53, resolver, executions, keys, settings).await?)
        }
        Operation::Shift => {
            to_json(&shift_weights(from_json(event)?, route53, executions, keys, settings).await?)
        }
        Operation::Confirm => to_json(&confirm_weights(from_json(event)?, route53, keys).await?),
        Operation::Complete => {
            to_json(&complete_migration(from_json(event)?, route53, executions, keys).await?)
        }
        Operation::PlanRelease => {
            to_json(&release::plan(from_json(event)?, route53, executions, keys).await?)
        }
        Operation::GiveBack => {
            to_json(&release::give_back(from_json(event)?, route53, keys).await?)
        }
        Operation::ReacquireLease => {
            to_json(&release::reacquire_lease(from_json(event)?, route53, keys).await?)
        }
        Operation::EndRelease => to_json(&release::end(from_json(event)?, route53, keys).await?),
    }
}

async fn plan_migration(
    request: PlanRequest,
    route53: &impl Route53,
    resolver: &impl Resolver,
    executions: &impl Executions,
    keys: &impl SigningKeys,
    settings: &StackSettings,
) -> Result<Planned, Error> {
    let PlanRequest {
        execution: name,
        redrives,
        input,
    } = request;
    let input = input::parse(&input)?;
    let facts = async {
        let (delegation, record_limit) = tokio::join!(
            delegation(route53, resolver, &input.hosted_zone_id),
            route53.record_limit(&input.hosted_zone_id),
        );
        Ok(ZoneFacts {
            delegation,
            record_limit,
        })
    };
    let (zone, described, key, facts) = tokio::try_join!(
        read_zone(route53, &input.hosted_zone_id),
        executions.describe(&name),
        keys.signing_key(),
        facts,
    )?;
    let started_at = described
        .ok_or_else(|| unknown_execution(&name))?
        .started_at;
    let execution = key.identity(&name, &executions.arn(&name), started_at);
    let journals = Journals::new(&zone, &key);
    let journaled: Vec<_> = zone.journaled_names().collect();
    let ended = ended_executions(
        &journals, &journaled, &execution, redrives, &key, executions,
    )
    .await?;
    let writer = Writer {
        execution: &execution,
        redrives,
        from: &input.from,
        to: &input.to,
        ended: &ended,
        adopted: &BTreeSet::new(),
        external_dns: &ExternalDns::default(),
        journals,
    };

    match plan::plan(&input, &writer, settings, &facts) {
        Ok((migration, plan)) => Ok(Planned {
            migration: Some(migration),
            plan: Some(plan),
            awaited: None,
        }),
        Err(problem) => match awaited(&input, &problem)? {
            Some(awaited) => Ok(Planned {
                awaited: Some(awaited),
                ..Planned::default()
            }),
            None => Err(problem),
        },
    }
}

async fn shift_weights(
    request: ShiftRequest,
    route53: &impl Route53,
    executions: &impl Executions,
    keys: &impl SigningKeys,
    settings: &StackSettings,
) -> Result<Shifted, Error> {
    let ShiftRequest {
        migration,
        step,
        remaining,
        again,
    } = request;
    let Some(percent) = migration.steps.get(step).map(|step| step.percent) else {
        return Err(Error::from(InvalidInput::NoSuchStep {
            steps: migration.steps.len(),
            found: step,
        }));
    };
    settings.check_migration(&migration)?;
    let execution = migration.execution.name();
    let (zone, (), key) = tokio::try_join!(
        read_names(route53, &migration.hosted_zone_id, migration.record_names()),
        reject_redriven(&migration, executions),
        keys.signing_key(),
    )?;
    let journals = Journals::new(&zone, &key);
    let previous = step
        .checked_sub(1)
        .and_then(|step| migration.steps.get(step))
        .map(|step| step.percent);
    let ended = if previous.is_none() {
        adopted_executions(&journals, &migration, &key, executions).await?
    } else {
        EndedExecutions::default()
    };
    let writer = writer(&migration, &ended, journals);
    let names = paired_names(&journals, &migration)?;

    // The names before these are at the step. Whatever their journals say now, they are not shifted anew.
    let finished = names.len().saturating_sub(remaining.unwrap_or(names.len()));
    if previous.is_none() {
        reject_lower_than_planned(&names, &migration)?;
        reject_fewer_journals_than_planned(&names, &migration)?;
    }
    let mut changes = Vec::new();
    let mut shifts = Vec::with_capacity(names.len());
    let total = migration.weight_total;
    for (number, paired) in names.iter().enumerate() {
        let is_finished = number < finished;
        let moment = moment(is_finished, percent, previous);
        let again = again && !is_finished;
        let (change, weights) = match shift(paired, &writer, percent, moment, total, again)? {
            Some(Shift { change, written }) => (Some(change), written),
            None => (None, paired.weights()),
        };
        shifts.push((paired.name, change.is_some(), weights));
        changes.extend(change);
    }

    let mut allowance = Allowance::default();
    let allowed = allowance.take(&mut changes);
    let Applied {
        names: shifted,
        change_ids,
        lost_an_answer,
    } = apply(
        route53,
        &migration.hosted_zone_id,
        &format!("Cutover: execution {execution} shifts to {percent} percent"),
        allowed,
    )
    .await
    .or_error()?;
    let is_at_step =
        |(name, has_change, _): &(&RecordName, bool, _)| !has_change || shifted.contains(*name);
    let reached = shifts.iter().take_while(|shift| is_at_step(shift)).count();
    let mut weights = BTreeMap::new();
    for (_, _, written) in shifts.iter().take(reached) {
        count_weights(&mut weights, written);
    }
    // An earlier attempt of this call has written the other names that are at the step. Its change ids are
    // unknown, so its changes can't be confirmed, only waited out.
    let ids_are_missing = lost_an_answer || shifted.len() < reached.saturating_sub(finished);
    let propagation_seconds = if ids_are_missing {
        PROPAGATION_SECONDS
    } else {
        0
    };
    let changed_names = shifted.len();
    let remaining = names.len() - reached;

    tracing::info!(%execution, %percent, changed_names, remaining, ids_are_missing, "shifted weights");
    metrics::emit_percent(&zone.name, &migration.from, &migration.to, percent);
    Ok(Shifted {
        percent_before: lowest_percent(&names),
        percent,
        changed: changed_names,
        change_ids,
        wait_seconds: migration
            .ttl_factor
            .times(migration.ttl_seconds(&zone))
            .saturating_add(propagation_seconds),
        weights,
        remaining,
        pause_seconds: allowance.pause_seconds(),
    })
}

async fn confirm_weights(
    request: ConfirmRequest,
    route53: &impl Route53,
    keys: &impl SigningKeys,
) -> Result<Confirmed, Error> {
    let ConfirmRequest {
        migration,
        percent: reached,
        change_ids,
    } = request;
    let open = open_changes(route53, &change_ids).await;
    if is_any_lost(open.as_ref()) {
        return Ok(Confirmed::lost(change_ids));
    }
    let (zone, key) = read_migration(&migration, route53, keys).await?;
    let journals = Journals::new(&zone, &key);
    let weights = match confirmed_weights(&journals, &migration, reached) {
        // The change may have been lost between the two calls.
        Err(drift) if is_any_lost(open_changes(route53, &change_ids).await.as_ref()) => {
            tracing::warn!(%drift, "differs from a change that is lost");
            return Ok(Confirmed::lost(change_ids));
        }
        weights => weights?,
    };
    // Drift is found also if Route 53 does not answer about the changes.
    let change_ids = open?.pending;
    let status = if change_ids.is_empty() {
        Confirmation::Confirmed
    } else {
        Confirmation::Pending
    };
    Ok(Confirmed {
        status,
        change_ids,
        weights,
    })
}

/// The weights of the names, which are those in their journals.
fn confirmed_weights(
    journals: &Journals<'_>,
    migration: &Migration,
    reached: Percent,
) -> Result<BTreeMap<String, usize>, Error> {
    let names = paired_names(journals, migration)?;
    // After the first shift every journal is the execution's own, so nothing is left to adopt.
    let ended = EndedExecutions::default();
    let writer = writer(migration, &ended, *journals);
    let mut weights = BTreeMap::new();
    for paired in &names {
        writer.own(paired, reached)?;
        count_weights(&mut weights, &paired.weights());
    }
    let percent = lowest_percent(&names);
    metrics::emit_percent(&journals.zone.name, &migration.from, &migration.to, percent);
    Ok(weights)
}

fn is_any_lost(open: Result<&OpenChanges, &Error>) -> bool {
    open.is_ok_and(|open| !open.lost.is_empty())
}

impl Confirmed {
    /// Route 53 has lost one of these changes. The zone may be as before it, which looks like drift; the shift
    /// that makes it again reads the zone anew, and judges.
    fn lost(change_ids: Vec<String>) -> Self {
        tracing::warn!(?change_ids, "Route 53 has lost a change");
        Self {
            status: Confirmation::Lost,
            change_ids,
            weights: BTreeMap::new(),
        }
    }
}

async fn complete_migration(
    request: CompleteRequest,
    route53: &impl Route53,
    executions: &impl Executions,
    keys: &impl SigningKeys,
) -> Result<Completion, Error> {
    let CompleteRequest { migration } = request;
    let execution = migration.execution.name();
    let (zone, key) = read_migration(&migration, route53, keys).await?;
    let journals = Journals::new(&zone, &key);
    // Without a step, it completes migrations whose journals were being deleted when they ended.
    let ended = if migration.steps.is_empty() {
        adopted_executions(&journals, &migration, &key, executions).await?
    } else {
        EndedExecutions::default()
    };
    let writer = writer(&migration, &ended, journals);
    let names = paired_names(&journals, &migration)?;

    let mut weights = BTreeMap::new();
    for paired in &names {
        if !paired.reaches(Percent::ALL) {
            return Err(Error::from(Drift::BelowAll {
                name: paired.name.clone(),
                percent: paired.percent(),
                to: paired.identifiers.to.clone(),
            }));
        }
        count_weights(&mut weights, &paired.weights());
    }
    let entries = journals_to_delete(&names, &writer)?;
    let mut leased = 0;
    let mut leased_weights = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.journal.is_leased()) {
        leased += 1;
        count_weights(&mut leased_weights, &entry.journal.written);
    }
    let closing = if leased == 0 {
        complete(&journals, entries)
    } else {
        Closing::default()
    };

    let comment = format!("Cutover: execution {execution} completes");
    let mut allowance = Allowance::default();
    let closed = closing.apply(route53, &migration.hosted_zone_id, &comment, &mut allowance);
    let Closed { deleted, remaining } = closed.await?;

    tracing::info!(%execution, deleted, remaining, leased, "deleted the journals of the migration");
    Ok(Completion {
        journals: deleted,
        remaining,
        pause_seconds: allowance.pause_seconds(),
        leased,
        leased_weights,
        annotations: annotation_texts(&journals, &migration, &names),
        weights,
    })
}

/// The weights of the annotations of the names that are leased from ExternalDNS, for people.
fn annotation_texts(
    journals: &Journals<'_>,
    migration: &Migration,
    names: &[PairedName<'_>],
) -> Vec<String> {
    let leased = names.iter().filter(|paired| paired.is_leased());
    let found = annotations(
        journals.zone,
        leased.map(|paired| (paired.name, &paired.identifiers)),
        migration.external_dns.names(),
    );
    let sides = Sides {
        from: &migration.from,
        to: &migration.to,
    };
    found.texts(migration.execution.name(), sides)
}

/// When a name is shifted to `percent`. `previous` is the percent of the step before.
fn moment(is_finished: bool, percent: Percent, previous: Option<Percent>) -> Moment {
    match previous {
        _ if is_finished => Moment::LaterStep { reached: percent },
        Some(reached) => Moment::LaterStep { reached },
        None => Moment::FirstStep,
    }
}

/// Refuses an execution that was redriven after its plan. It continues with the variables of then, and its
/// plan, its probe and its check of the alarms may be days old; its status event has rolled it back in most
/// cases.
///
/// `DescribeExecution` is eventually consistent, so it may not show a redrive of the last seconds.
///
/// Source: Step Functions Developer Guide, "Restarting state machine executions with redrive".
async fn reject_redriven(migration: &Migration, executions: &impl Executions) -> Result<(), Error> {
    let name = migration.execution.name();
    let Some(Execution { redrive_count, .. }) = executions.describe(name).await? else {
        return Err(unknown_execution(name));
    };
    if redrive_count > migration.redrives {
        return Err(Error::from(Redriven {
            execution: name.to_owned(),
            planned: migration.redrives,
            found: redrive_count,
        }));
    }
    Ok(())
}

/// Step Functions does not know the calling execution. Its answers are eventually consistent.
fn unknown_execution(name: &str) -> Error {
    Error::from(Unavailable::Unusable {
        action: "states:DescribeExecution".to_owned(),
        problem: format!("it does not know the execution {name}, which is running"),
    })
}

/// The plan has left out the steps below the percent that it found. If a name has a lower percent by
/// now, the first shift would skip steps of that name.
fn reject_lower_than_planned(names: &[PairedName<'_>], migration: &Migration) -> Result<(), Error> {
    let start = migration.start_percent;
    match names.iter().find(|paired| !paired.reaches(start)) {
        None => Ok(()),
        Some(lower) => Err(Error::from(Drift::BelowPlan {
            name: lower.name.clone(),
            percent: lower.percent(),
            to: lower.identifiers.to.clone(),
            planned: start,
        })),
    }
}

/// A name whose journal is gone has the weights of the execution that was to be adopted, and nothing else
/// tells its original weights.
fn reject_fewer_journals_than_planned(
    names: &[PairedName<'_>],
    migration: &Migration,
) -> Result<(), Error> {
    let is_gone = |paired: &&PairedName<'_>| paired.journal == Ok(None);
    let found = names.len() - names.iter().filter(is_gone).count();
    if found >= migration.adopted_journals {
        return Ok(());
    }
    Err(Error::from(Drift::AdoptedJournalsGone {
        execution: migration.execution.name().to_owned(),
        adopted: migration
            .adopted
            .iter()
            .map(|it| it.name().to_owned())
            .collect(),
        planned: migration.adopted_journals,
        found,
    }))
}

fn writer<'a>(
    migration: &'a Migration,
    ended: &'a EndedExecutions,
    journals: Journals<'a>,
) -> Writer<'a> {
    Writer {
        execution: &migration.execution,
        redrives: migration.redrives,
        from: &migration.from,
        to: &migration.to,
        ended,
        adopted: &migration.adopted,
        external_dns: &migration.external_dns,
        journals,
    }
}

async fn read_migration(
    migration: &Migration,
    route53: &impl Route53,
    keys: &impl SigningKeys,
) -> Result<(Zone, SigningKey), Error> {
    tokio::try_join!(
        read_names(route53, &migration.hosted_zone_id, migration.record_names()),
        keys.signing_key(),
    )
}

fn paired_names<'a>(
    journals: &Journals<'a>,
    migration: &'a Migration,
) -> Result<Vec<PairedName<'a>>, Error> {
    let names = migration.names.iter().zip(migration.identifiers()?);
    let registry_names = migration.external_dns.names();
    names
        .map(|(name, Sides { from, to })| pair(journals, name, &from, &to, registry_names))
        .collect()
}

/// Before the plan: the status of the executions that have journals at `names`.
async fn ended_executions(
    journals: &Journals<'_>,
    names: &[RecordName],
    own: &ExecutionIdentity,
    redrives: u32,
    key: &SigningKey,
    executions: &impl Executions,
) -> Result<EndedExecutions, Error> {
    let mut ended = EndedExecutions::default();
    for (other, records) in journaled_executions(journals, names) {
        let is_unsuccessful = if other == *own {
            redrives > 0
        } else {
            // An unknown execution may belong to another stack, and be running.
            let status = status(&other, key, executions).await?;
            if status == Some(Status::Succeeded) {
                ended.unreleased.insert(other.clone());
            }
            status.is_some_and(Status::is_unsuccessful)
        };
        if is_unsuccessful {
            add_unsuccessful(&mut ended, other, records, executions).await?;
        }
    }
    Ok(ended)
}

/// While the migration runs: of the executions that its plan adopts, those that have journals and have
/// still ended. One that was redriven since is running again.
async fn adopted_executions(
    journals: &Journals<'_>,
    migration: &Migration,
    key: &SigningKey,
    executions: &impl Executions,
) -> Result<EndedExecutions, Error> {
    let mut adopted = journaled_executions(journals, &migration.names);
    adopted.retain(|other, _| migration.adopted.contains(other));
    let mut ended = EndedExecutions::default();
    for (other, records) in adopted {
        let is_unsuccessful = other == migration.execution
            || status(&other, key, executions)
                .await?
                .is_some_and(Status::is_unsuccessful);
        if is_unsuccessful {
            add_unsuccessful(&mut ended, other, records, executions).await?;
        }
    }
    Ok(ended)
}

/// `records` are the rollback records of the execution's journals. It may have been rolled back, and then
/// redriven and have written others.
async fn add_unsuccessful(
    ended: &mut EndedExecutions,
    execution: ExecutionIdentity,
    records: BTreeSet<String>,
    executions: &impl Executions,
) -> Result<(), Error> {
    let rolled_back = recorded_rollbacks(records, executions).await?;
    ended.rolled_back.extend(rolled_back);
    ended.unsuccessful.insert(execution);
    Ok(())
}

/// The status of an execution; none if Step Functions does not know it, or only another one with its name.
async fn status(
    execution: &ExecutionIdentity,
    key: &SigningKey,
    executions: &impl Executions,
) -> Result<Option<Status>, Error> {
    let name = execution.name();
    let described = executions.describe(name).await?.filter(|described| {
        key.identity(name, &executions.arn(name), described.started_at) == *execution
    });
    Ok(described.map(|described| described.status))
}

/// The executions of the trusted journals at `names`, and the rollback records of these journals. An untrusted
/// journal is reported with its name.
fn journaled_executions(
    journals: &Journals<'_>,
    names: &[RecordName],
) -> BTreeMap<ExecutionIdentity, BTreeSet<String>> {
    let mut executions: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for entry in names.iter().filter_map(|name| journals.at(name).ok()?) {
        let record = entry.journal.rollback_record();
        let records = executions.entry(entry.journal.execution).or_default();
        records.insert(record);
    }
    executions
}
