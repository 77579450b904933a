//! From what is asked for to what is to be done where: which migrations, in which zones, and
//! whether they are to be restored or held. Executions that still run are stopped here, before
//! their zone is read.

use std::collections::BTreeSet;

use migration::executions::{
    Execution, Executions, HOLDING, NOT_STARTED, ROLLING_BACK, Status, zone_of,
};
use migration::input::{self, Input, Reaction};
use migration::{Error, HostedZoneId, NamePattern, quoted, shortened};

use crate::request::{Alarm, Call, Ended, LONGEST_WORD, OfExecution, OfNames, Request};

/// The error with which an execution is stopped whose names are restored.
const STOPPED: &str = "StoppedForRollback";
/// The same, by an alarm whose action is this function: the end of the execution starts a rollback
/// state machine, which tells people in its stead.
const STOPPED_BY_ACTION: &str = "StoppedByAlarmAction";
/// The error with which an execution ends that leaves its names where they are: the migration
/// state machine's own, and that of one which is stopped here.
const HELD: &str = "Held";
/// The error of an execution whose own rollback failed.
const ROLLBACK_FAILED: &str = "RollbackFailed";

/// Characters of a reason: it is told to people.
const LONGEST_REASON: usize = 1_000;

/// What is to be done in one zone.
pub(crate) struct Order {
    pub(crate) hosted_zone_id: HostedZoneId,
    pub(crate) whose: Whose,
    pub(crate) reaction: Reaction,
    pub(crate) reason: String,
}

/// Whose journals an order is for.
pub(crate) enum Whose {
    Migration(Box<OfMigration>),
    Names(Vec<NamePattern>),
}

pub(crate) struct OfMigration {
    pub(crate) name: String,
    /// None where Step Functions does not know the execution any more.
    pub(crate) input: Option<Input>,
    /// The executions that its plan lets it go on from, where it has not begun to.
    pub(crate) adopted: BTreeSet<String>,
    /// Whether it was running and has been stopped for this rollback.
    pub(crate) is_stopped: bool,
    /// Whether people are told of it even if no journal of it is left.
    pub(crate) is_told: bool,
}

/// The orders that a call amounts to; without any, why.
pub(crate) struct Orders {
    pub(crate) orders: Vec<Order>,
    pub(crate) message: String,
}

impl Order {
    /// The migration that the order is for; none where it is for names.
    pub(crate) fn migration(&self) -> Option<&OfMigration> {
        match &self.whose {
            Whose::Migration(of) => Some(of),
            Whose::Names(_) => None,
        }
    }
}

impl Orders {
    fn none(message: String) -> Self {
        Self {
            orders: Vec::new(),
            message,
        }
    }

    fn one(order: Order) -> Self {
        Self {
            orders: vec![order],
            message: String::new(),
        }
    }
}

pub(crate) async fn orders(call: &Call, executions: &impl Executions) -> Result<Orders, Error> {
    let is_first = call.earlier.is_none();
    let mut orders = match &call.request {
        Request::Nothing(message) => Orders::none(message.clone()),
        Request::Names(OfNames {
            hosted_zone_id,
            patterns,
            reason,
        }) => Orders::one(Order {
            hosted_zone_id: hosted_zone_id.clone(),
            whose: Whose::Names(patterns.clone()),
            reaction: Reaction::Rollback,
            reason: reason.clone(),
        }),
        Request::Execution(of) => Orders::one(of_execution(of, executions).await?),
        Request::Ended(ended) => of_ended(ended, executions).await?,
        Request::Alarm(alarm) => {
            let earlier = call.earlier.as_ref().map(|earlier| &earlier.executions);
            of_alarm(alarm, earlier, executions).await?
        }
    };
    for order in &mut orders.orders {
        order.reason = shortened(&order.reason, LONGEST_REASON);
        if let Whose::Migration(of) = &mut order.whose {
            of.is_told &= is_first;
        }
    }
    Ok(orders)
}

async fn of_execution(of: &OfExecution, executions: &impl Executions) -> Result<Order, Error> {
    let OfExecution {
        name,
        hosted_zone_id,
        asks_itself,
        adopted,
        reason,
    } = of;
    let execution = executions.describe(name).await?;
    let hosted_zone_id = zone_of(name, hosted_zone_id.clone(), execution.as_ref())?;
    let is_running = execution.as_ref().is_some_and(Execution::is_running);
    let is_stopped = is_running
        && !asks_itself
        && stop(name, STOPPED, reason, executions).await? == Stop::Stopped;
    Ok(Order {
        hosted_zone_id,
        whose: Whose::Migration(Box::new(OfMigration {
            name: name.clone(),
            input: execution.and_then(|execution| input::parse(&execution.input).ok()),
            adopted: adopted.clone(),
            is_stopped,
            is_told: is_stopped || *asks_itself,
        })),
        reaction: Reaction::Rollback,
        reason: reason.clone(),
    })
}

/// An execution that ended is undone unless it was to hold, or had not begun.
async fn of_ended(ended: &Ended, executions: &impl Executions) -> Result<Orders, Error> {
    let Ended {
        name,
        status,
        stopped_at,
    } = ended;
    let Some(execution) = executions.describe(name).await? else {
        return Err(Error::ExecutionNotFound(format!(
            "executionArn: the migration state machine has no execution {}",
            quoted(name)
        )));
    };
    let is_redriven = execution.redriven_at.is_some() && execution.redriven_at > *stopped_at;
    match execution.status {
        Status::Unsuccessful => {}
        Status::Running if !is_redriven => {
            // What is described lags behind; only what has ended tells whether it is to hold.
            return Err(Error::Unavailable(format!(
                "states:DescribeExecution still says that the execution {name} is running, although it is {status}"
            )));
        }
        Status::Running | Status::Succeeded => {
            return Ok(Orders::none(format!(
                "the execution {name} has been redriven since it was {status}"
            )));
        }
    }
    let Execution { error, cause, .. } = &execution;
    let error = error.as_deref();
    if error == Some(HELD) {
        return Ok(Orders::none(format!(
            "the execution {name} held on purpose: its weights and journals stay"
        )));
    }
    let input = input::parse(&execution.input)
        .ok()
        .filter(|input| !input.dry_run)
        .filter(|_| !cause.as_deref().unwrap_or_default().ends_with(NOT_STARTED));
    let Some(input) = input else {
        return Ok(Orders::none(format!(
            "the execution {name} ended before its first write"
        )));
    };
    let details: Vec<_> = [error, cause.as_deref()].into_iter().flatten().collect();
    let separator = if details.is_empty() { "" } else { ": " };
    // What fails by itself tells of it by itself, and so does a rollback that stopped it.
    let is_told = status != "FAILED" && error != Some(STOPPED);
    let reaction = if error == Some(ROLLBACK_FAILED) {
        // It was to be rolled back, whatever is to happen on failure.
        Reaction::Rollback
    } else if status != "FAILED" && executions.state(name).await?.as_deref() == Some(HOLDING) {
        // So was it to hold: for another writer's change, say.
        Reaction::Hold
    } else {
        input.on_failure
    };
    Ok(Orders::one(Order {
        hosted_zone_id: input.hosted_zone_id.clone(),
        reaction,
        reason: format!(
            "the execution was {status}{separator}{}",
            details.join(": ")
        ),
        whose: Whose::Migration(Box::new(OfMigration {
            name: name.clone(),
            input: Some(input),
            adopted: BTreeSet::new(),
            is_stopped: false,
            is_told,
        })),
    }))
}

/// The migrations that watch an alarm and were running when it fired. Among them are those that
/// were aborted since: an earlier attempt of this very call may have stopped them and then failed.
/// One that began later found the alarm quiet, so a late event is nothing to it.
async fn of_alarm(
    alarm: &Alarm,
    earlier: Option<&BTreeSet<String>>,
    executions: &impl Executions,
) -> Result<Orders, Error> {
    let mut orders = Vec::new();
    for name in candidates(alarm, earlier, executions).await? {
        let Some(execution) = executions.describe(&name).await? else {
            continue;
        };
        // An input that can't be parsed was refused by the plan.
        let Ok(input) = input::parse(&execution.input) else {
            continue;
        };
        if !input.alarms.watch(&alarm.name) || input.dry_run {
            continue;
        }
        let error = match input.on_failure {
            _ if alarm.is_action => STOPPED_BY_ACTION,
            Reaction::Rollback => STOPPED,
            Reaction::Hold => HELD,
        };
        let (is_stopped, reaction) = if execution.is_running() {
            match stop(&name, error, &alarm.reason, executions).await? {
                Stop::Stopped => (true, input.on_failure),
                Stop::RollsBackItself => (false, Reaction::Rollback),
                // Its own end says what becomes of it.
                Stop::HadEnded => continue,
            }
        } else {
            (false, input.on_failure)
        };
        orders.push(Order {
            hosted_zone_id: input.hosted_zone_id.clone(),
            reaction,
            reason: alarm.reason.clone(),
            whose: Whose::Migration(Box::new(OfMigration {
                name,
                input: Some(input),
                adopted: BTreeSet::new(),
                is_stopped,
                is_told: !execution.is_running() || is_stopped,
            })),
        });
    }
    Ok(Orders {
        orders,
        message: format!(
            "no migration that was running watches the alarm {}",
            shortened(&alarm.name, LONGEST_WORD)
        ),
    })
}

async fn candidates(
    alarm: &Alarm,
    earlier: Option<&BTreeSet<String>>,
    executions: &impl Executions,
) -> Result<Vec<String>, Error> {
    if let Some(earlier) = earlier {
        return Ok(earlier.iter().cloned().collect());
    }
    let listed = executions.list(alarm.fired_at).await?;
    let ran_already = |started_at| alarm.fired_at.is_none_or(|fired_at| started_at <= fired_at);
    let mut names: Vec<_> = listed
        .into_iter()
        .filter(|listed| ran_already(listed.started_at))
        .map(|listed| listed.name)
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// What became of the wish to stop an execution.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    Stopped,
    /// It waits for a rollback of its own, which would be stopped with it.
    RollsBackItself,
    /// It had ended, although it was described as running.
    HadEnded,
}

/// Stops an execution whose names are about to be restored, so that it writes no more.
pub(crate) async fn stop_for_rollback(
    name: &str,
    reason: &str,
    executions: &impl Executions,
) -> Result<bool, Error> {
    Ok(stop(name, STOPPED, reason, executions).await? == Stop::Stopped)
}

async fn stop(
    name: &str,
    error: &str,
    cause: &str,
    executions: &impl Executions,
) -> Result<Stop, Error> {
    if executions.state(name).await?.as_deref() == Some(ROLLING_BACK) {
        return Ok(Stop::RollsBackItself);
    }
    executions.stop(name, error, cause).await?;
    // To stop what has ended is no error, and what was described may have lagged behind.
    let had_ended = executions.describe(name).await?.is_some_and(|execution| {
        !execution.is_running() && execution.error.as_deref() != Some(error)
    });
    Ok(if had_ended {
        Stop::HadEnded
    } else {
        Stop::Stopped
    })
}
