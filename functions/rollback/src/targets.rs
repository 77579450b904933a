//! Turns a request into targets: which migrations or names, in which zone, and whether to restore or
//! to hold them. Stops running executions before their zone is read, so that what is read stays valid.

use std::collections::BTreeSet;
use std::time::SystemTime;

use migration::Error;
use migration::dns::HostedZoneId;
use migration::error::{ExecutionNotFound, Unavailable};
use migration::executions::{
    EndedStatus, Execution, Executions, HOLDING, NOT_STARTED, ROLLING_BACK, Status, zone_of,
};
use migration::input::{self, Input, NamePattern, Reaction};
use migration::journal::ExecutionIdentity;
use migration::text::shortened;

use crate::memory::Memory;
use crate::request::{
    AlarmRequest, EarlierPasses, EndedExecution, ExecutionRequest, LONGEST_NAME, NamesRequest,
    PassRequest, Request,
};
use crate::services::Services;

/// The error of an execution that this function stopped in order to restore its names.
pub(crate) const STOPPED: &str = "StoppedForRollback";
/// The same, if an alarm invoked this function as its action. The status event of the execution then
/// starts the rollback state machine, which announces the rollback.
pub(crate) const STOPPED_BY_ACTION: &str = "StoppedByAlarmAction";
/// The error of an execution that keeps its weights and journals, whether it failed with this error
/// or was stopped with it.
pub(crate) const HELD: &str = "Held";
/// The error of an execution that failed to roll itself back.
pub(crate) const ROLLBACK_FAILED: &str = "RollbackFailed";

/// Characters of a reason, which becomes part of notifications.
pub(crate) const LONGEST_REASON: usize = 1_000;

/// What to restore or to hold in one zone.
pub(crate) struct RollbackTarget {
    pub(crate) hosted_zone_id: HostedZoneId,
    pub(crate) scope: Scope,
    pub(crate) reaction: Reaction,
    pub(crate) reason: String,
}

/// The journals that a target covers.
pub(crate) enum Scope {
    Migration(Box<MigrationScope>),
    Names {
        patterns: Vec<NamePattern>,
        /// Whether journals count that another key has signed.
        trusts_foreign_journals: bool,
    },
}

#[derive(Default)]
pub(crate) struct MigrationScope {
    pub(crate) name: String,
    /// None if Step Functions no longer knows the execution.
    pub(crate) started_at: Option<SystemTime>,
    /// How often it was redriven.
    pub(crate) redrives: u32,
    /// None also if it can't be parsed: then the plan has refused it.
    pub(crate) input: Option<Input>,
    /// If it requests the rollback itself, the executions that it was about to adopt.
    pub(crate) adopted: BTreeSet<ExecutionIdentity>,
    /// Whether it was running and was stopped for this rollback.
    pub(crate) is_stopped: bool,
    /// The executions of which earlier passes of this rollback have restored names. If Route 53 has lost such a
    /// change, the next pass restores these names again, even if another rollback has succeeded meanwhile.
    pub(crate) restored: BTreeSet<String>,
    /// Whether the sweep has found it. Then only names count whose records are as their journals say: of the others
    /// nothing tells whether their journals are current.
    pub(crate) is_swept: bool,
    /// Whether it is announced even if it has no journal left.
    pub(crate) notify: bool,
    /// If only some of its names were requested, and the others are restored because it was stopped: the
    /// requested ones.
    pub(crate) requested: Option<Vec<NamePattern>>,
}

#[derive(Default)]
pub(crate) struct RollbackTargets {
    pub(crate) targets: Vec<RollbackTarget>,
    /// If there are no targets, why.
    pub(crate) message: String,
    /// Of an alarm: the executions that were running when it fired.
    pub(crate) running: BTreeSet<String>,
    /// Those of them that had ended by themselves before they could be stopped. Their status events decide
    /// whether they are rolled back, unless they hold.
    pub(crate) ended: BTreeSet<String>,
}

impl RollbackTarget {
    pub(crate) fn migration(&self) -> Option<&MigrationScope> {
        match &self.scope {
            Scope::Migration(migration) => Some(migration),
            Scope::Names { .. } => None,
        }
    }

    /// The comment of the batches that restore the names of these executions.
    pub(crate) fn comment(&self, executions: &BTreeSet<String>) -> String {
        match &self.scope {
            Scope::Migration(migration) => {
                format!("Cutover: rollback of execution {}", migration.name)
            }
            // Of journals that are trusted because a person says so, the executions are not known.
            Scope::Names { .. } if executions.is_empty() => "Cutover: rollback of names".to_owned(),
            Scope::Names { .. } => {
                let executions: Vec<_> = executions.iter().map(String::as_str).collect();
                format!("Cutover: rollback of names of {}", executions.join(", "))
            }
        }
    }
}

impl MigrationScope {
    /// A migration as Step Functions describes its execution, which has not requested its rollback, and is
    /// announced only if it has a journal left.
    pub(crate) fn described(name: String, execution: &Execution) -> Self {
        Self {
            name,
            started_at: Some(execution.started_at),
            redrives: execution.redrive_count,
            input: input::parse(&execution.input).ok(),
            ..Self::default()
        }
    }

    /// A migration whose execution Step Functions no longer knows.
    fn forgotten(name: String) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// None if Step Functions has forgotten the execution.
    pub(crate) fn identity<R, E: Executions>(
        &self,
        services: Services<'_, R, E>,
    ) -> Option<ExecutionIdentity> {
        let started_at = self.started_at?;
        Some(services.identity(&self.name, started_at))
    }

    /// Whether this is the execution of a journal. When Step Functions has forgotten the execution, only its
    /// name tells.
    pub(crate) fn is<R, E: Executions>(
        &self,
        other: &ExecutionIdentity,
        services: Services<'_, R, E>,
    ) -> bool {
        match self.identity(services) {
            Some(identity) => identity == *other,
            None => other.name() == self.name,
        }
    }

    /// The records that this migration was rolled back, see [`ExecutionIdentity::rollback_record`]: of the
    /// execution as it is now, and as it was before each of its redrives. None if Step Functions has
    /// forgotten the execution: then nothing adopts its journals.
    pub(crate) fn rollback_records<R, E: Executions>(
        &self,
        services: Services<'_, R, E>,
    ) -> Vec<String> {
        let identity = self.identity(services);
        let records = identity.map(|identity| rollback_records(&identity, self.redrives));
        records.unwrap_or_default()
    }
}

/// The records that an execution was rolled back that has been redriven this often.
pub(crate) fn rollback_records(identity: &ExecutionIdentity, redrives: u32) -> Vec<String> {
    (0..=redrives)
        .map(|redrives| identity.rollback_record(redrives))
        .collect()
}

impl RollbackTargets {
    fn none(message: String) -> Self {
        Self {
            message,
            ..Self::default()
        }
    }

    fn one(target: RollbackTarget) -> Self {
        Self {
            targets: vec![target],
            ..Self::default()
        }
    }
}

pub(crate) async fn find_targets(
    pass: &PassRequest,
    executions: &impl Executions,
    memory: &Memory,
) -> Result<RollbackTargets, Error> {
    let is_first_pass = pass.earlier.is_none();
    let mut found = match &pass.request {
        Request::Ignored(message) => RollbackTargets::none(message.clone()),
        Request::Reminder(_) => RollbackTargets::none("no migration to remind of".to_owned()),
        Request::Names(NamesRequest {
            hosted_zone_id,
            patterns,
            trusts_foreign_journals,
            reason,
        }) => RollbackTargets::one(RollbackTarget {
            hosted_zone_id: hosted_zone_id.clone(),
            scope: Scope::Names {
                patterns: patterns.clone(),
                trusts_foreign_journals: *trusts_foreign_journals,
            },
            reaction: Reaction::Rollback,
            reason: reason.clone(),
        }),
        Request::Execution(request) => {
            RollbackTargets::one(execution_target(request, executions).await?)
        }
        Request::Ended(ended) => ended_execution_targets(ended, executions).await?,
        Request::Alarm(alarm) => {
            let earlier = pass.earlier.as_ref().map(|earlier| &earlier.executions);
            alarm_targets(alarm, earlier, executions, memory).await?
        }
    };
    for target in &mut found.targets {
        target.reason = shortened(&target.reason, LONGEST_REASON);
        if let Scope::Migration(migration) = &mut target.scope {
            // The first pass has announced it.
            migration.notify &= is_first_pass;
            if let Some(earlier) = &pass.earlier {
                migration.restored.clone_from(&earlier.rollback_records);
            }
        }
    }
    Ok(found)
}

async fn execution_target(
    request: &ExecutionRequest,
    executions: &impl Executions,
) -> Result<RollbackTarget, Error> {
    let ExecutionRequest {
        name,
        hosted_zone_id,
        is_own_request,
        adopted,
        reason,
    } = request;
    let execution = executions.describe(name).await?;
    let hosted_zone_id = zone_of(name, hosted_zone_id.clone(), execution.as_ref())?;
    let is_running = execution.as_ref().is_some_and(Execution::is_running);
    let is_stopped = is_running
        && !is_own_request
        && stop(name, STOPPED, reason, executions).await? == StopOutcome::Stopped;
    let migration = match &execution {
        Some(execution) => MigrationScope::described(name.clone(), execution),
        None => MigrationScope::forgotten(name.clone()),
    };
    Ok(RollbackTarget {
        hosted_zone_id,
        scope: Scope::Migration(Box::new(MigrationScope {
            adopted: adopted.clone(),
            is_stopped,
            notify: is_stopped || *is_own_request,
            ..migration
        })),
        reaction: Reaction::Rollback,
        reason: reason.clone(),
    })
}

/// An execution that ended without success is rolled back, unless it is to hold or had not written
/// yet.
pub(crate) async fn ended_execution_targets(
    ended: &EndedExecution,
    executions: &impl Executions,
) -> Result<RollbackTargets, Error> {
    let EndedExecution {
        name,
        status,
        stopped_at,
    } = ended;
    let Some(execution) = executions.describe(name).await? else {
        return Err(Error::from(ExecutionNotFound::Ended { name: name.clone() }));
    };
    let is_redriven = execution.redriven_at > *stopped_at;
    let is_swept = status.is_none();
    let ended_as = match execution.status {
        Status::Unsuccessful(ended_as) => ended_as,
        Status::Running if !is_redriven && let Some(status) = status => {
            // `DescribeExecution` is eventually consistent and does not show the end yet. Without the
            // error of the execution it is unknown whether it is to hold.
            return Err(Error::from(Unavailable::StatusLags {
                execution: name.clone(),
                status: status.clone(),
            }));
        }
        Status::Running | Status::Succeeded => {
            return Ok(RollbackTargets::none(format!(
                "the execution {name} was redriven{}",
                status
                    .as_ref()
                    .map(|status| format!(" after its status was {status}"))
                    .unwrap_or_default()
            )));
        }
    };
    let Execution { error, cause, .. } = &execution;
    let error = error.as_deref();
    if error == Some(HELD) {
        return Ok(RollbackTargets::none(format!(
            "the execution {name} ended with the error {HELD}: its weights and journals are kept"
        )));
    }
    let migration = MigrationScope::described(name.clone(), &execution);
    let input = migration
        .input
        .as_ref()
        .filter(|input| !input.dry_run)
        .filter(|_| !cause.as_deref().unwrap_or_default().ends_with(NOT_STARTED));
    let Some(input) = input else {
        return Ok(RollbackTargets::none(format!(
            "the execution {name} ended before its first write"
        )));
    };
    let details: Vec<_> = [error, cause.as_deref()].into_iter().flatten().collect();
    let separator = if details.is_empty() { "" } else { ": " };
    // The migration state machine announces its own failure, and a rollback the executions that it
    // stops. Of a rollback that is started so late nothing was heard.
    let notify = is_swept || (ended_as != EndedStatus::Failed && error != Some(STOPPED));
    let has_begun = [Some(ROLLBACK_FAILED), Some(STOPPED)].contains(&error);
    // An execution that failed has ended in a state of its own choice.
    let state = match ended_as {
        EndedStatus::Failed => None,
        EndedStatus::Aborted | EndedStatus::TimedOut => executions.state(name).await?,
    };
    let reaction = if has_begun || state.as_deref() == Some(ROLLING_BACK) {
        // A rollback of it had begun, whatever `onFailure` is.
        Reaction::Rollback
    } else if state.as_deref() == Some(HOLDING) {
        // It had decided to hold, whatever `onFailure` is: because of another writer's change, for
        // example.
        Reaction::Hold
    } else {
        input.on_failure
    };
    Ok(RollbackTargets::one(RollbackTarget {
        hosted_zone_id: input.hosted_zone_id.clone(),
        reaction,
        reason: format!(
            "the execution ended with status {ended_as}{}{separator}{}",
            if is_swept {
                ", and no rollback of it had succeeded"
            } else {
                ""
            },
            details.join(": ")
        ),
        scope: Scope::Migration(Box::new(MigrationScope {
            is_swept,
            notify,
            ..migration
        })),
    }))
}

/// The migrations that watch an alarm and were running when it fired, or when a person requested their rollback. They
/// include executions that were aborted since, because an earlier attempt of this call may have stopped them and then
/// failed. They exclude executions that started since: each has checked the alarm at its start.
async fn alarm_targets(
    alarm: &AlarmRequest,
    earlier: Option<&BTreeSet<String>>,
    executions: &impl Executions,
    memory: &Memory,
) -> Result<RollbackTargets, Error> {
    let mut targets = Vec::new();
    let mut ended = BTreeSet::new();
    let Candidates { running, others } =
        candidate_executions(alarm, earlier, executions, memory).await?;
    for name in running.difference(&others).cloned() {
        let Some(execution) = executions.describe(&name).await? else {
            continue;
        };
        let migration = MigrationScope::described(name, &execution);
        let watching = migration
            .input
            .as_ref()
            .filter(|input| input.alarms.watch(&alarm.name) && !input.dry_run);
        let Some(input) = watching else { continue };
        // A list may still show it as running. What has completed is rolled back only on request.
        if execution.status == Status::Succeeded {
            continue;
        }
        let error = match input.on_failure {
            _ if alarm.is_alarm_action => STOPPED_BY_ACTION,
            Reaction::Rollback => STOPPED,
            Reaction::Hold => HELD,
        };
        let (is_stopped, reaction) = if execution.is_running() {
            match stop(&migration.name, error, &alarm.reason, executions).await? {
                StopOutcome::Stopped => (true, input.on_failure),
                StopOutcome::RollsBackItself => (false, Reaction::Rollback),
                StopOutcome::HadEnded => {
                    ended.insert(migration.name);
                    continue;
                }
            }
        } else {
            (false, input.on_failure)
        };
        targets.push(RollbackTarget {
            hosted_zone_id: input.hosted_zone_id.clone(),
            reaction,
            reason: alarm.reason.clone(),
            scope: Scope::Migration(Box::new(MigrationScope {
                is_stopped,
                notify: !execution.is_running() || is_stopped,
                ..migration
            })),
        });
    }
    Ok(RollbackTargets {
        targets,
        message: format!(
            "no migration that is running or held watches the alarm {}",
            shortened(&alarm.name, LONGEST_NAME)
        ),
        running,
        ended,
    })
}

struct Candidates {
    /// The executions that were running when the alarm fired.
    running: BTreeSet<String>,
    /// Those of them that are known not to watch it.
    others: BTreeSet<String>,
}

async fn candidate_executions(
    alarm: &AlarmRequest,
    earlier: Option<&BTreeSet<String>>,
    executions: &impl Executions,
    memory: &Memory,
) -> Result<Candidates, Error> {
    if let Some(earlier) = earlier {
        return Ok(Candidates {
            running: earlier.clone(),
            others: BTreeSet::new(),
        });
    }
    let mut listed = executions.list_running().await?;
    if let Some(fired_at) = alarm.fired_at {
        let aborted = executions.list_ended(EndedStatus::Aborted, Some(fired_at));
        listed.extend(aborted.await?);
        listed.retain(|listed| listed.started_at <= fired_at);
    }
    let others = listed
        .iter()
        .filter(|it| memory.watches(it, &alarm.name, false) == Some(false))
        .map(|it| it.name.clone());
    Ok(Candidates {
        others: others.collect(),
        running: listed.into_iter().map(|listed| listed.name).collect(),
    })
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum StopOutcome {
    Stopped,
    /// Not stopped: it waits for its own rollback, and stopping it would stop that as well.
    RollsBackItself,
    /// It had ended, although `DescribeExecution` said that it was running.
    HadEnded,
}

/// The migrations that are stopped for a rollback of some of their names: of those with journals at the names
/// (`found`), the running ones, which this function stops, and those that an earlier pass or attempt has
/// stopped. All of their names are rolled back, because nothing watches the others any more.
pub(crate) async fn stopped_migrations<R, E: Executions>(
    target: &RollbackTarget,
    requested: &[NamePattern],
    found: &BTreeSet<ExecutionIdentity>,
    earlier: Option<&EarlierPasses>,
    services: Services<'_, R, E>,
) -> Result<Vec<RollbackTarget>, Error> {
    let executions = services.executions;
    let mut names: BTreeSet<_> = found.iter().map(ExecutionIdentity::name).collect();
    let of_earlier = earlier.iter().flat_map(|it| &it.executions);
    names.extend(of_earlier.map(String::as_str));
    let mut stopped = Vec::new();
    for name in names {
        let Some(execution) = executions.describe(name).await? else {
            continue;
        };
        let migration = MigrationScope::described(name.to_owned(), &execution);
        // An execution of another stack, or an earlier one, may have had the same name.
        let has_journal = found
            .iter()
            .any(|identity| migration.is(identity, services));
        if !has_journal && !earlier.is_some_and(|it| it.executions.contains(name)) {
            continue;
        }
        let is_stopped = execution.is_running()
            && stop(name, STOPPED, &target.reason, executions).await? == StopOutcome::Stopped;
        if !is_stopped && execution.error.as_deref() != Some(STOPPED) {
            continue;
        }
        if !is_stopped {
            // An earlier pass or attempt has stopped it. If its rollback has succeeded since, a journal that is there
            // was put back by somebody, and counts for the requested names only.
            let records = migration.rollback_records(services);
            let restored = earlier.map(|it| &it.rollback_records);
            let last = records
                .last()
                .filter(|record| !restored.is_some_and(|restored| restored.contains(*record)));
            if let Some(record) = last
                && executions.is_rollback_recorded(record).await?
            {
                continue;
            }
        }
        stopped.push(RollbackTarget {
            hosted_zone_id: target.hosted_zone_id.clone(),
            reaction: Reaction::Rollback,
            reason: target.reason.clone(),
            scope: Scope::Migration(Box::new(MigrationScope {
                is_stopped,
                restored: earlier
                    .map(|it| it.rollback_records.clone())
                    .unwrap_or_default(),
                notify: is_stopped,
                requested: Some(requested.to_vec()),
                ..migration
            })),
        });
    }
    Ok(stopped)
}

/// Stops an execution before its names are restored, so that it writes no more.
async fn stop(
    name: &str,
    error: &str,
    cause: &str,
    executions: &impl Executions,
) -> Result<StopOutcome, Error> {
    if executions.state(name).await?.as_deref() == Some(ROLLING_BACK) {
        return Ok(StopOutcome::RollsBackItself);
    }
    executions.stop(name, error, cause).await?;
    // Stopping an execution that has ended is no error, and an earlier `DescribeExecution` may not have
    // shown the end yet.
    let had_ended = executions.describe(name).await?.is_some_and(|execution| {
        !execution.is_running() && execution.error.as_deref() != Some(error)
    });
    Ok(if had_ended {
        StopOutcome::HadEnded
    } else {
        StopOutcome::Stopped
    })
}
