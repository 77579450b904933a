//! The function `shift-weight`: plans a migration and takes it from step to step.
//!
//! An event names its `operation`:
//!
//! | operation | further fields | what it does |
//! |---|---|---|
//! | `plan` | `execution`, `input` | checks the input against the zone; writes nothing |
//! | `shift` | `execution`, `migration`, `step` | brings all names to the step's percent |
//! | `confirm` | `execution`, `migration`, `changeIds` | asks whether the changes are in sync and the weights as the journals say |
//! | `complete` | `execution`, `migration` | takes the journals away, unless names are leased |
//! | `planRelease` | `input` | finds the journals of a completed migration; writes nothing |
//! | `giveBack` | `release`, `names` | gives so many of the names back to ExternalDNS, the first ones, and looks whether one has snapped back |
//! | `takeAgain` | `release` | leases the names again that were given back |
//! | `endRelease` | `release` | takes the journals away |
//!
//! `execution` is the ARN or the name of the execution that asks; `migration`
//! is what `plan` returned, and `release` what `planRelease` returned. Every operation is idempotent: at its goal it
//! succeeds without a write.
//!
//! | environment variable | meaning |
//! |---|---|
//! | `MIGRATION_STATE_MACHINE_ARN` | the migration state machine, to ask whether a journal's execution is still running |
//! | `RUST_LOG` | log level, `info` by default |

mod release;

use std::collections::{BTreeMap, BTreeSet};

use migration::change::{Closing, Others, Shift, Writer, close, journals_to_close, shift};
use migration::executions::{Executions, Status, execution_name};
use migration::input::{self, from_json, to_json};
use migration::plan::{self, Awaited, Migration, Plan, awaited, literal_names};
use migration::route53::{
    Applied, PROPAGATION_SECONDS, Route53, apply, read_names, read_zone, still_pending,
};
use migration::weights::count_weights;
use migration::zone::{PairedName, Zone, lowest_percent};
use migration::{Error, HostedZoneId, Percent, RecordName, metrics};
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
    TakeAgain,
    EndRelease,
}

/// The field that every event has; the other fields depend on it.
#[derive(Deserialize)]
struct AnyRequest {
    operation: Operation,
}

#[derive(Deserialize)]
struct PlanRequest {
    execution: String,
    input: Value,
}

#[derive(Deserialize)]
struct ShiftRequest {
    execution: String,
    migration: Migration,
    step: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConfirmRequest {
    execution: String,
    migration: Migration,
    change_ids: Vec<String>,
}

#[derive(Deserialize)]
struct CompleteRequest {
    execution: String,
    migration: Migration,
}

/// A migration that can be carried out, and what people want to know of it; or what has to be
/// there first. What there is not is null.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Planned {
    /// To be handed to the other operations.
    pub migration: Option<Migration>,
    /// For people.
    pub plan: Option<Plan>,
    /// What to wait for before planning again.
    pub awaited: Option<Awaited>,
}

/// What a shift did.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shifted {
    /// The lowest share of `to` before.
    pub percent_before: Percent,
    /// The share of `to` after.
    pub percent: Percent,
    /// How many names were changed; the others were at the step already.
    pub changed: usize,
    /// The changes to confirm.
    pub change_ids: Vec<String>,
    /// How long resolvers may still give the old answers once the changes are in sync.
    pub wait_seconds: u32,
    /// The weights `from/to`, and how many pairs of records have them.
    pub weights: BTreeMap<String, usize>,
}

pub use crate::release::{GivenBack, Release, ReleasePlanned, Released, TakenAgain};

/// Whether the zone shows, everywhere, what was written.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Confirmed {
    /// Whether all changes are in sync.
    pub status: Confirmation,
    /// The changes that are not, to be asked about again.
    pub change_ids: Vec<String>,
    /// The weights `from/to`, and how many pairs of records have them.
    pub weights: BTreeMap<String, usize>,
}

/// Whether all changes have reached all of Route 53's servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confirmation {
    /// Not yet.
    Pending,
    /// Yes.
    Confirmed,
}

/// How a migration ended.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Completed {
    /// How many journals were taken away.
    pub journals: usize,
    /// How many names are leased from ExternalDNS. With one that is, all journals stay until the
    /// migration is released, so that a rollback still restores all names and not a part of them.
    pub leased: usize,
    /// The weights `from/to` of these, which their annotations are to say, and how many pairs of
    /// records have them.
    pub leased_weights: BTreeMap<String, usize>,
    /// The weights `from/to`, and how many pairs of records have them.
    pub weights: BTreeMap<String, usize>,
}

/// Does what `event` asks for, and answers with [`Planned`], [`Shifted`],
/// [`Confirmed`], [`Completed`], [`ReleasePlanned`], [`GivenBack`], [`TakenAgain`] or [`Released`]
/// by its operation.
pub async fn handle(
    event: &Value,
    route53: &impl Route53,
    executions: &impl Executions,
) -> Result<Value, Error> {
    match from_json::<AnyRequest>(event)?.operation {
        Operation::Plan => to_json(&plan_migration(from_json(event)?, route53, executions).await?),
        Operation::Shift => to_json(&shift_weights(from_json(event)?, route53, executions).await?),
        Operation::Confirm => to_json(&confirm_weights(from_json(event)?, route53).await?),
        Operation::Complete => {
            to_json(&complete_migration(from_json(event)?, route53, executions).await?)
        }
        Operation::PlanRelease => {
            to_json(&release::plan(from_json(event)?, route53, executions).await?)
        }
        Operation::GiveBack => to_json(&release::give_back(from_json(event)?, route53).await?),
        Operation::TakeAgain => to_json(&release::take_again(from_json(event)?, route53).await?),
        Operation::EndRelease => to_json(&release::end(from_json(event)?, route53).await?),
    }
}

async fn plan_migration(
    request: PlanRequest,
    route53: &impl Route53,
    executions: &impl Executions,
) -> Result<Planned, Error> {
    let input = input::parse(&request.input)?;
    let zone = match literal_names(&input) {
        Some(names) => {
            let places = |name| input.external_dns.places(name);
            let places = names.iter().flat_map(places).collect();
            read_names(route53, &input.hosted_zone_id, places).await?
        }
        None => read_zone(route53, &input.hosted_zone_id).await?,
    };
    let execution = execution_name(&request.execution);
    let journaled: Vec<_> = zone.journaled_names().collect();
    let others = other_executions(&zone, &journaled, execution, executions).await?;
    let writer = Writer {
        execution,
        from: &input.from,
        to: &input.to,
        others: &others,
        external_dns: &input.external_dns,
    };
    match plan::plan(&input, &zone, &writer) {
        Ok((migration, plan)) => Ok(Planned {
            migration: Some(migration),
            plan: Some(plan),
            awaited: None,
        }),
        Err(Error::NoSuchPair(missing)) => match awaited(&input, &missing)? {
            Some(awaited) => Ok(Planned {
                awaited: Some(awaited),
                ..Planned::default()
            }),
            None => Err(Error::NoSuchPair(missing)),
        },
        Err(error) => Err(error),
    }
}

async fn shift_weights(
    request: ShiftRequest,
    route53: &impl Route53,
    executions: &impl Executions,
) -> Result<Shifted, Error> {
    let ShiftRequest {
        execution,
        migration,
        step,
    } = request;
    let Some(percent) = migration.steps.get(step).map(|step| step.percent) else {
        return Err(Error::InvalidInput(format!(
            "step: expected the index of one of {} steps, found {step}",
            migration.steps.len()
        )));
    };
    let execution = execution_name(&execution);
    let zone = read_names(route53, &migration.hosted_zone_id, migration.places()).await?;
    let others = other_executions(&zone, &migration.names, execution, executions).await?;
    let writer = writer(&migration, execution, &others);
    let names = paired_names(&zone, &migration)?;
    if step == 0 {
        reject_lower_than_planned(&names, &migration)?;
    }
    let mut changes = Vec::new();
    let mut weights = BTreeMap::new();
    for named in &names {
        match shift(named, &writer, percent, step == 0, migration.free_sum)? {
            Some(Shift { change, written }) => {
                changes.push(change);
                count_weights(&mut weights, &written);
            }
            None => count_weights(&mut weights, &named.weights()),
        }
    }
    let written = changes.len();
    let Applied {
        change_ids,
        lost_an_answer,
    } = apply(route53, &migration.hosted_zone_id, changes).await?;
    // Names that are at the step already were written by an earlier attempt, whose change ids are
    // lost with its answer.
    let ids_are_missing = lost_an_answer || written < names.len();
    let propagation = if ids_are_missing {
        PROPAGATION_SECONDS
    } else {
        0
    };
    tracing::info!(execution, %percent, written, ids_are_missing, "shifted weights");
    metrics::percent(&zone.name, &migration.from, &migration.to, percent);
    Ok(Shifted {
        percent_before: lowest_percent(&names),
        percent,
        changed: written,
        change_ids,
        wait_seconds: migration
            .ttl_factor
            .times(migration.ttl_seconds(&zone))
            .saturating_add(propagation),
        weights,
    })
}

async fn confirm_weights(
    request: ConfirmRequest,
    route53: &impl Route53,
) -> Result<Confirmed, Error> {
    let ConfirmRequest {
        execution,
        migration,
        change_ids,
    } = request;
    let others = Others::default();
    let writer = writer(&migration, execution_name(&execution), &others);
    let zone = read_names(route53, &migration.hosted_zone_id, migration.places()).await?;
    let names = paired_names(&zone, &migration)?;
    let mut weights = BTreeMap::new();
    for named in &names {
        writer.own(named)?;
        count_weights(&mut weights, &named.weights());
    }
    let percent = lowest_percent(&names);
    metrics::percent(&zone.name, &migration.from, &migration.to, percent);
    let change_ids = still_pending(route53, change_ids).await?;
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

async fn complete_migration(
    request: CompleteRequest,
    route53: &impl Route53,
    executions: &impl Executions,
) -> Result<Completed, Error> {
    let CompleteRequest {
        execution,
        migration,
    } = request;
    let execution = execution_name(&execution);
    let zone = read_names(route53, &migration.hosted_zone_id, migration.places()).await?;
    let others = other_executions(&zone, &migration.names, execution, executions).await?;
    let writer = writer(&migration, execution, &others);
    let names = paired_names(&zone, &migration)?;
    let mut weights = BTreeMap::new();
    for named in &names {
        if !named.reaches(Percent::ALL) {
            return Err(Error::Drift(format!(
                "{} has {} percent on {} although the migration went to 100; another writer (ExternalDNS, \
                 Terraform, a person) changed it",
                named.name,
                named.percent(),
                migration.to
            )));
        }
        count_weights(&mut weights, &named.weights());
    }
    let journaled = journals_to_close(&names, &writer)?;
    let mut leased = 0;
    let mut leased_weights = BTreeMap::new();
    for (_, _, journal) in journaled
        .iter()
        .filter(|(_, _, journal)| journal.is_leased())
    {
        leased += 1;
        count_weights(&mut leased_weights, &journal.written);
    }
    let closing = if leased == 0 {
        close(&zone, journaled)
    } else {
        Closing::default()
    };
    let journals = take_journals_away(closing, &migration.hosted_zone_id, route53).await?;
    tracing::info!(execution, journals, leased, "completed the migration");
    Ok(Completed {
        journals,
        leased,
        leased_weights,
        weights,
    })
}

async fn take_journals_away(
    Closing { mark, removals }: Closing,
    hosted_zone_id: &HostedZoneId,
    route53: &impl Route53,
) -> Result<usize, Error> {
    let journals = removals.len();
    for changes in [mark.into_iter().collect(), removals] {
        apply(route53, hosted_zone_id, changes).await?;
    }
    Ok(journals)
}

/// The steps below the share that the plan found were left out; if a name has less by now, the
/// first shift would skip them.
fn reject_lower_than_planned(names: &[PairedName<'_>], migration: &Migration) -> Result<(), Error> {
    let start = migration.start_percent;
    match names.iter().find(|paired| !paired.reaches(start)) {
        None => Ok(()),
        Some(lower) => Err(Error::Drift(format!(
            "another writer changed {}: it has {} percent on {}, and had at least {start} when the migration was \
             planned; start a new execution, which plans anew",
            lower.name,
            lower.percent(),
            migration.to
        ))),
    }
}

fn writer<'a>(migration: &'a Migration, execution: &'a str, others: &'a Others) -> Writer<'a> {
    Writer {
        execution,
        from: &migration.from,
        to: &migration.to,
        others,
        external_dns: &migration.external_dns,
    }
}

fn paired_names<'a>(
    zone: &'a Zone,
    migration: &'a Migration,
) -> Result<Vec<PairedName<'a>>, Error> {
    migration
        .names
        .iter()
        .map(|name| {
            zone.paired(
                name,
                &migration.from,
                &migration.to,
                &migration.external_dns,
            )
        })
        .collect()
}

/// What has become of the executions that are found in other journals at `names`.
async fn other_executions(
    zone: &Zone,
    names: &[RecordName],
    own: &str,
    executions: &impl Executions,
) -> Result<Others, Error> {
    let mut found = BTreeSet::new();
    for name in names {
        // One that can't be read is told of where its name is selected.
        if let Ok(Some((_, journal))) = zone.journal(name)
            && journal.execution != own
        {
            found.insert(journal.execution);
        }
    }
    let mut others = Others::default();
    for other in found {
        // One that is not known may be another stack's, and running.
        match executions
            .describe(&other)
            .await?
            .map(|execution| execution.status)
        {
            Some(Status::Unsuccessful) => others.unsuccessful.insert(other),
            Some(Status::Succeeded) => others.unreleased.insert(other),
            Some(Status::Running) | None => false,
        };
    }
    Ok(others)
}
