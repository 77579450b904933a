//! The function `rollback`: restores the original weights, from the journals alone.
//!
//! | field of the event | meaning |
//! |---|---|
//! | `execution` | name or ARN of the migration to undo |
//! | `adopted` | beside `execution`: the `executions` whose journals it goes on from, as its plan found them, and its `names` |
//! | `names` | instead of `execution`: the names to restore, whoever moved them; `*` matches any characters |
//! | `hostedZoneId` | the zone; needed with `names`, else taken from the execution's input |
//! | `requestedBy` | the execution that asked for this rollback and waits for it: it is not stopped |
//! | `reason` | why, in words; executions are stopped with it |
//! | `changeIds` | the changes of an earlier pass, to be confirmed |
//! | `only` | the executions that earlier passes have undone: a later pass leaves all others alone |
//!
//! A rollback is made in passes. The first restores; each later one, after the
//! wait that the one before asked for, confirms its changes and restores what a
//! function that was still at work when its execution was stopped has written
//! meanwhile. A pass that finds nothing to do and nothing pending is the last.
//! Every pass is idempotent, and two rollbacks at once do no harm: the batch of
//! the second fails, and it finds the first one's work done.
//!
//! | environment variable | meaning |
//! |---|---|
//! | `MIGRATION_STATE_MACHINE_ARN` | the migration state machine, whose executions are asked for and stopped |
//! | `RUST_LOG` | log level, `info` by default |

use std::collections::{BTreeMap, BTreeSet};

use migration::change::{Restoration, restore};
use migration::executions::{Execution, Executions, execution_name};
use migration::input::{from_json, to_json};
use migration::journal::Journal;
use migration::record::RecordSet;
use migration::route53::{Applied, PROPAGATION_SECONDS, Route53, apply, read_zone, still_pending};
use migration::zone::Zone;
use migration::{Error, HostedZoneId, NamePattern, Percent, RecordName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// For how long a `shift-weight` call may still be writing after its execution was
/// stopped: that function's timeout in the template.
pub const LATE_WRITER_SECONDS: u32 = 120;

/// A TTL that is longer than this is not waited out: the rollback has its own time to be done by.
const LONGEST_WAIT_SECONDS: u32 = 3_600;

/// How many findings an answer lists; the rest is counted.
const LISTED: usize = 20;

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "an object with `execution`, or with `hostedZoneId` and `names`"
)]
struct Request {
    hosted_zone_id: Option<HostedZoneId>,
    execution: Option<String>,
    names: Option<Vec<NamePattern>>,
    #[serde(default)]
    adopted: Adopted,
    requested_by: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    change_ids: Vec<String>,
    only: Option<BTreeSet<String>>,
}

/// What an execution goes on from: the journals of these executions at these names.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Adopted {
    executions: BTreeSet<String>,
    names: BTreeSet<RecordName>,
}

/// What one pass did.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Whether this pass found nothing to restore and nothing pending.
    pub done: bool,
    /// How many names were restored in this pass.
    pub restored: usize,
    /// One sentence for people.
    pub message: String,
    /// The highest percent from which a name was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent_before: Option<Percent>,
    /// The names that were restored, with their weights `from/to`; the first ones.
    pub names: Vec<RestoredName>,
    /// What was found other than the journals said, the first ones.
    pub found: Vec<String>,
    /// What could not be restored, and what to do about it.
    pub problems: Vec<String>,
    /// Executions that were stopped.
    pub stopped: BTreeSet<String>,
    /// Executions whose journals were found, or asked for.
    pub executions: BTreeSet<String>,
    /// The changes that are not yet confirmed.
    pub change_ids: Vec<String>,
    /// How long to wait before the next pass.
    pub wait_seconds: u32,
}

/// A name and the weights that it has again.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestoredName {
    /// The name.
    pub name: RecordName,
    /// The weights `from/to`, by type.
    pub weights: Vec<String>,
}

/// Which journals a rollback is for.
enum Selection {
    Execution(String, Adopted),
    Names(Vec<NamePattern>),
}

/// A journal to be undone.
struct Undo<'a> {
    name: RecordName,
    read: &'a RecordSet,
    journal: Journal,
}

/// Makes one pass of the rollback that `event` asks for; the answer is an [`Answer`].
pub async fn handle(
    event: &Value,
    route53: &impl Route53,
    executions: &impl Executions,
) -> Result<Value, Error> {
    let request: Request = from_json(event)?;
    let (hosted_zone_id, selection) = resolve(&request, executions).await?;
    let zone = read_zone(route53, &hosted_zone_id).await?;
    let mut problems = Vec::new();
    let mut undos = select(&zone, &selection, &mut problems);
    if let Some(only) = &request.only {
        undos.retain(|undo| only.contains(&undo.journal.execution));
    }
    let mut concerned: BTreeSet<_> = undos
        .iter()
        .map(|undo| undo.journal.execution.clone())
        .collect();
    if let Selection::Execution(execution, _) = &selection {
        concerned.insert(execution.clone());
    }

    let stopped = stop_running(&request, &concerned, executions).await?;

    let mut changes = Vec::new();
    let mut found = names_that_stay(&zone, &undos);
    let mut names = Vec::new();
    for Undo {
        name,
        read,
        journal,
    } in &undos
    {
        match restore(&zone, name, read, journal) {
            Ok(restoration) => {
                let Restoration {
                    change,
                    found: differences,
                } = restoration;
                found.extend(differences);
                changes.push(change);
                let weights = journal.original.iter();
                names.push(RestoredName {
                    name: name.clone(),
                    weights: weights
                        .map(|(kind, weights)| format!("{kind} {weights}"))
                        .collect(),
                });
            }
            Err(problem) => problems.push(problem.to_string()),
        }
    }
    let restored = changes.len();
    let longest_ttl = names
        .iter()
        .map(|restored| zone.ttl_seconds(&restored.name))
        .max();
    let Applied {
        change_ids,
        lost_an_answer,
    } = apply(route53, &hosted_zone_id, changes).await?;
    tracing::info!(
        restored,
        ?stopped,
        ?found,
        ?problems,
        "restored the original weights"
    );
    let mut pending = still_pending(route53, request.change_ids).await?;
    pending.extend(change_ids);
    let propagation = if lost_an_answer {
        PROPAGATION_SECONDS
    } else {
        0
    };
    let ttl_seconds = longest_ttl.unwrap_or_default() + propagation;
    to_json(&Answer {
        done: restored == 0 && pending.is_empty(),
        restored,
        message: message(&selection, &zone, restored),
        percent_before: undos.iter().map(|undo| undo.journal.percent).max(),
        names: names.into_iter().take(LISTED).collect(),
        found: first_ones(found),
        problems: first_ones(problems),
        stopped,
        executions: concerned,
        change_ids: pending,
        wait_seconds: ttl_seconds.clamp(LATE_WRITER_SECONDS, LONGEST_WAIT_SECONDS),
    })
}

async fn resolve(
    request: &Request,
    executions: &impl Executions,
) -> Result<(HostedZoneId, Selection), Error> {
    match (&request.execution, &request.names, &request.hosted_zone_id) {
        (Some(execution), None, hosted_zone_id) => {
            let name = execution_name(execution);
            let hosted_zone_id = match hosted_zone_id {
                Some(id) => id.clone(),
                None => zone_of(name, executions.describe(name).await?)?,
            };
            let selection = Selection::Execution(name.to_owned(), request.adopted.clone());
            Ok((hosted_zone_id, selection))
        }
        (None, Some(names), Some(id)) => Ok((id.clone(), Selection::Names(names.clone()))),
        (None, Some(_), None) => Err(Error::InvalidInput(
            "hostedZoneId: expected the id of the zone beside `names`, found none".into(),
        )),
        (Some(_), Some(_), _) => Err(Error::InvalidInput(
            "input: expected either `execution` or `names`, found both".into(),
        )),
        (None, None, _) => Err(Error::InvalidInput(
            "input: expected `execution`, or `hostedZoneId` and `names`, found neither".into(),
        )),
    }
}

fn zone_of(name: &str, execution: Option<Execution>) -> Result<HostedZoneId, Error> {
    let Some(execution) = execution else {
        return Err(Error::ExecutionNotFound(format!(
            "execution: the migration state machine has no execution {name:?}; give the name as the console lists it, \
             or add `hostedZoneId` if it ended more than 90 days ago"
        )));
    };
    let id = execution.input.get("hostedZoneId").unwrap_or(&Value::Null);
    from_json(id).map_err(|_| {
        Error::InvalidInput(format!(
            "hostedZoneId: expected the id of the zone, as the input of execution {name} names none"
        ))
    })
}

/// The journals that the rollback is for. One that can't be read is a problem
/// unless other names were asked for: whose it is can't be told.
fn select<'a>(zone: &'a Zone, selection: &Selection, problems: &mut Vec<String>) -> Vec<Undo<'a>> {
    let mut undos = Vec::new();
    for name in zone.journaled_names() {
        match zone.journal(&name) {
            Ok(Some((read, journal))) => {
                let is_selected = match selection {
                    Selection::Execution(execution, adopted) => {
                        journal.execution == *execution
                            || adopted.executions.contains(&journal.execution)
                                && adopted.names.contains(&name)
                    }
                    Selection::Names(patterns) => matches_any(patterns, &name),
                };
                if is_selected {
                    undos.push(Undo {
                        name,
                        read,
                        journal,
                    });
                }
            }
            Ok(None) => {}
            Err(problem) => match selection {
                Selection::Names(patterns) if !matches_any(patterns, &name) => {}
                _ => problems.push(format!("{name} is not restored: {problem}")),
            },
        }
    }
    undos
}

fn matches_any(patterns: &[NamePattern], name: &RecordName) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

/// Says how many names of the same executions were not asked for and stay where they are.
fn names_that_stay(zone: &Zone, undos: &[Undo<'_>]) -> Vec<String> {
    let undone: BTreeSet<_> = undos.iter().map(|undo| &undo.name).collect();
    let concerned: BTreeSet<_> = undos.iter().map(|undo| &undo.journal.execution).collect();
    let mut staying: BTreeMap<String, usize> = BTreeMap::new();
    for name in zone.journaled_names().filter(|name| !undone.contains(name)) {
        if let Ok(Some((_, journal))) = zone.journal(&name)
            && concerned.contains(&journal.execution)
        {
            *staying.entry(journal.execution).or_default() += 1;
        }
    }
    let words = |(execution, names)| {
        format!(
            "{names} further names of the execution {execution} were not asked for and stay where they are; \
             to restore them too, roll back with {{\"execution\": \"{execution}\"}}"
        )
    };
    staying.into_iter().map(words).collect()
}

/// Stops the executions whose work is about to be undone, but for the one that
/// waits for this rollback.
async fn stop_running(
    request: &Request,
    concerned: &BTreeSet<String>,
    executions: &impl Executions,
) -> Result<BTreeSet<String>, Error> {
    let requested_by = request.requested_by.as_deref().map(execution_name);
    let reason = request
        .reason
        .as_deref()
        .unwrap_or("its migration is being rolled back");
    let mut stopped = BTreeSet::new();
    for name in concerned {
        if requested_by == Some(name.as_str()) {
            continue;
        }
        if executions
            .describe(name)
            .await?
            .is_some_and(|execution| execution.is_running)
        {
            executions.stop(name, reason).await?;
            stopped.insert(name.clone());
        }
    }
    Ok(stopped)
}

fn message(selection: &Selection, zone: &Zone, restored: usize) -> String {
    let of_what = match selection {
        Selection::Execution(execution, _) => format!("execution {execution}"),
        Selection::Names(patterns) => {
            let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
            patterns.join(", ")
        }
    };
    match restored {
        0 => format!(
            "nothing to roll back: the zone {} has no journal of {of_what}",
            zone.name
        ),
        1 => format!("restored the original weights of 1 name ({of_what})"),
        count => format!("restored the original weights of {count} names ({of_what})"),
    }
}

fn first_ones(mut lines: Vec<String>) -> Vec<String> {
    if lines.len() > LISTED {
        let more = lines.len() - LISTED;
        lines.truncate(LISTED);
        lines.push(format!("and {more} more"));
    }
    lines
}
