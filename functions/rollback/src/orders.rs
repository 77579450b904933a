//! From what is asked for to what is to be done where: which migrations, in which zones, and
//! whether they are to be restored or held. Executions that still run are stopped here, before
//! their zone is read.

use std::collections::BTreeSet;

use migration::executions::{Execution, Executions, Status};
use migration::input::{self, Input, Reaction, from_json};
use migration::{Error, HostedZoneId, NamePattern};
use serde_json::Value;

use crate::request::{Alarm, Call, Ended, OfExecution, OfNames, Request};

/// The error with which an execution is stopped whose names are restored.
pub(crate) const STOPPED: &str = "StoppedForRollback";
/// The same, by an alarm whose action is this function: the end of the execution starts a rollback
/// state machine, which tells people in its stead.
const STOPPED_BY_ACTION: &str = "StoppedByAlarmAction";
/// The error with which an execution ends that leaves its names where they are: the migration
/// state machine's own, and that of one which is stopped here.
const HELD: &str = "Held";

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
    /// Whether it waits for this rollback.
    pub(crate) asks_itself: bool,
    /// Whether it was running and has been stopped for this rollback, which is to be told.
    pub(crate) is_stopped: bool,
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
    match &call.request {
        Request::Nothing(message) => Ok(Orders::none(message.clone())),
        Request::Names(OfNames {
            hosted_zone_id,
            patterns,
            reason,
        }) => Ok(Orders::one(Order {
            hosted_zone_id: hosted_zone_id.clone(),
            whose: Whose::Names(patterns.clone()),
            reaction: Reaction::Rollback,
            reason: reason.clone(),
        })),
        Request::Execution(of) => of_execution(of, executions).await.map(Orders::one),
        Request::Ended(ended) => of_ended(ended, call.earlier.is_none(), executions).await,
        Request::Alarm(alarm) => {
            let earlier = call.earlier.as_ref().map(|earlier| &earlier.executions);
            of_alarm(alarm, earlier, executions).await
        }
    }
}

async fn of_execution(of: &OfExecution, executions: &impl Executions) -> Result<Order, Error> {
    let OfExecution {
        name,
        hosted_zone_id,
        asks_itself,
        reason,
    } = of;
    let execution = executions.describe(name).await?;
    let hosted_zone_id = match (hosted_zone_id, &execution) {
        (Some(id), _) => id.clone(),
        (None, Some(execution)) => zone_of(name, execution)?,
        (None, None) => {
            return Err(Error::ExecutionNotFound(format!(
                "execution: the migration state machine has no execution {name:?}; give the name as the console lists \
                 it, or add `hostedZoneId` if it ended more than 90 days ago"
            )));
        }
    };
    let is_running = execution.as_ref().is_some_and(Execution::is_running);
    let is_stopped = is_running && !asks_itself;
    if is_stopped {
        executions.stop(name, STOPPED, reason).await?;
    }
    Ok(Order {
        hosted_zone_id,
        whose: Whose::Migration(Box::new(OfMigration {
            name: name.clone(),
            input: execution.and_then(|execution| input::parse(&execution.input).ok()),
            asks_itself: *asks_itself,
            is_stopped,
        })),
        reaction: Reaction::Rollback,
        reason: reason.clone(),
    })
}

fn zone_of(name: &str, execution: &Execution) -> Result<HostedZoneId, Error> {
    let id = execution.input.get("hostedZoneId").unwrap_or(&Value::Null);
    from_json(id).map_err(|_| {
        Error::InvalidInput(format!(
            "hostedZoneId: expected the id of the zone, as the input of execution {name} names none"
        ))
    })
}

/// An execution that ended is undone unless it was to hold.
async fn of_ended(
    ended: &Ended,
    is_first: bool,
    executions: &impl Executions,
) -> Result<Orders, Error> {
    let Ended {
        name,
        status,
        stopped_at,
    } = ended;
    let Some(execution) = executions.describe(name).await? else {
        return Err(Error::ExecutionNotFound(format!(
            "executionArn: the migration state machine has no execution {name:?}"
        )));
    };
    // Just after the event it may still be described as running. That it runs again shows in
    // its having been redriven since.
    let is_redriven = execution.redriven_at.is_some() && execution.redriven_at > *stopped_at;
    if is_redriven && execution.status != Status::Unsuccessful {
        return Ok(Orders::none(format!(
            "the execution {name} has been redriven since it was {status}"
        )));
    }
    if execution.error.as_deref() == Some(HELD) {
        return Ok(Orders::none(format!(
            "the execution {name} held on purpose: its weights and journals stay"
        )));
    }
    let Ok(input) = input::parse(&execution.input) else {
        return Ok(Orders::none(format!(
            "the execution {name} was refused for its input, so it has written nothing"
        )));
    };
    let details = [&execution.error, &execution.cause];
    let details: Vec<_> = details.into_iter().flatten().map(String::as_str).collect();
    let separator = if details.is_empty() { "" } else { ": " };
    Ok(Orders::one(Order {
        hosted_zone_id: input.hosted_zone_id.clone(),
        reaction: input.on_failure,
        reason: format!(
            "the execution was {status}{separator}{}",
            details.join(": ")
        ),
        whose: Whose::Migration(Box::new(OfMigration {
            name: name.clone(),
            input: Some(input),
            asks_itself: false,
            is_stopped: is_first && execution.error.as_deref() == Some(STOPPED_BY_ACTION),
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
        let is_held = execution.error.as_deref() == Some(HELD);
        if is_held {
            continue;
        }
        let is_stopped = execution.is_running();
        if is_stopped {
            let error = match input.on_failure {
                _ if alarm.is_action => STOPPED_BY_ACTION,
                Reaction::Rollback => STOPPED,
                Reaction::Hold => HELD,
            };
            executions.stop(&name, error, &alarm.reason).await?;
        }
        orders.push(Order {
            hosted_zone_id: input.hosted_zone_id.clone(),
            reaction: input.on_failure,
            reason: alarm.reason.clone(),
            whose: Whose::Migration(Box::new(OfMigration {
                name,
                input: Some(input),
                asks_itself: false,
                is_stopped,
            })),
        });
    }
    Ok(Orders {
        orders,
        message: format!(
            "no migration that was running watches the alarm {}",
            alarm.name
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
