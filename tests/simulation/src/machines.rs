//! The migration and rollback state machines as Rust functions, state by state.
//!
//! This is a copy of the definitions, not an interpreter. Tests compare its Tasks ([`TASKS`]) and its
//! waits with the definitions. It leaves out the notifications (`PutEvents`) and the budget of
//! history events.

use std::rc::Rc;
use std::time::Duration;

use definitions::TRANSIENT_ERRORS;
use futures_util::join;
use migration::executions::{HOLDING, NOT_STARTED, ROLLING_BACK};
use serde_json::{Value, json};

use crate::world::{Approval, Failure, Function, World};

/// A Task of a definition that invokes a function.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// `migration` or `rollback`.
    pub machine: &'static str,
    /// The name of the state.
    pub state: &'static str,
    pub function: Function,
    /// The `operation` in the payload, if the function has several.
    pub operation: Option<&'static str>,
    /// The number of retries after a `Conflict`.
    pub conflict_retries: u32,
    /// The number of retries after one of the [`TRANSIENT_ERRORS`].
    pub transient_retries: u32,
}

impl Task {
    const fn new(machine: &'static str, state: &'static str, function: Function) -> Self {
        Self {
            machine,
            state,
            function,
            operation: None,
            conflict_retries: 0,
            transient_retries: 5,
        }
    }

    const fn shift_weight(state: &'static str, operation: &'static str) -> Self {
        Self {
            operation: Some(operation),
            ..Self::new("migration", state, Function::ShiftWeight)
        }
    }

    const fn rollback(state: &'static str) -> Self {
        Self::new("rollback", state, Function::Rollback).with_retries(10, 30)
    }

    const fn with_retries(self, conflict_retries: u32, transient_retries: u32) -> Self {
        Self {
            conflict_retries,
            transient_retries,
            ..self
        }
    }
}

const PLAN: Task = Task::shift_weight("Plan the migration", "plan");
const PROBE: Task = Task::new("migration", "Probe the new side", Function::Probe);
const ALARMS: Task = Task::new(
    "migration",
    "Check alarms before the start",
    Function::CheckAlarms,
);
const SHIFT: Task = Task::shift_weight("Shift weight", "shift").with_retries(3, 5);
const CONFIRM: Task = Task::shift_weight("Confirm the change", "confirm");
const CHECK_ALARMS: Task =
    Task::new("migration", "Check alarms", Function::CheckAlarms).with_retries(0, 3);
const PROBE_AGAIN: Task = Task::new("migration", "Probe again", Function::Probe).with_retries(0, 3);
const CONFIRM_WEIGHTS: Task = Task::shift_weight("Confirm weights", "confirm").with_retries(0, 3);
const COMPLETE: Task = Task::shift_weight("Complete the migration", "complete").with_retries(3, 5);
const ROLL_BACK: Task = Task::rollback("Roll back");
const CONFIRM_ROLLBACK: Task = Task::rollback("Confirm the rollback");

/// All Tasks that invoke a function.
pub const TASKS: [Task; 11] = [
    PLAN,
    PROBE,
    ALARMS,
    SHIFT,
    CONFIRM,
    CHECK_ALARMS,
    PROBE_AGAIN,
    CONFIRM_WEIGHTS,
    COMPLETE,
    ROLL_BACK,
    CONFIRM_ROLLBACK,
];

/// The reason of the hold of an execution that could not delete its journals.
pub(crate) const COMPLETION: &str = "completion";
const SYNC_SECONDS: u64 = 10;
const MAX_SYNC_POLLS: usize = 90;
const MAX_PASSES: usize = 30;

/// The ARN of an execution of the migration state machine.
pub fn arn(execution: &str) -> String {
    format!("arn:aws:states:eu-west-3:111122223333:execution:cutover-migration:{execution}")
}

/// The end of an execution that does not succeed.
enum End {
    Refused(Failure),
    NotStarted(Failure),
    Held(Failure),
    RolledBack(Failure),
    RollbackFailed(Failure),
}

/// Runs an execution of `migration.asl.json`.
pub(crate) async fn migrate(world: Rc<World>, execution: String, input: Value) {
    let machine = Machine {
        world: world.clone(),
        execution: execution.clone(),
    };
    let (error, cause) = match machine.migrate(&input).await {
        Ok(()) => return world.executions.succeed(&execution),
        Err(End::Refused(failure) | End::NotStarted(failure)) => {
            (failure.error, format!("{} {NOT_STARTED}", failure.cause))
        }
        Err(End::Held(failure)) => (
            "Held".to_owned(),
            format!("{}: {}", failure.error, failure.cause),
        ),
        Err(End::RolledBack(failure)) => (failure.error, failure.cause),
        Err(End::RollbackFailed(failure)) => (
            "RollbackFailed".to_owned(),
            format!("{}: {}", failure.error, failure.cause),
        ),
    };
    world.executions.fail(&execution, &error, &cause);
}

struct Machine {
    world: Rc<World>,
    execution: String,
}

impl Machine {
    async fn migrate(&self, input: &Value) -> Result<(), End> {
        let planned = self.plan(input).await?;
        let migration = &planned["migration"];
        let steps = migration["steps"].as_array().cloned().unwrap_or_default();
        if migration["dryRun"] == true {
            return Ok(());
        }
        if !steps.is_empty() {
            if let Err(failure) = self.wait_until_ready(migration).await {
                // The Choice "Anything to undo?"
                return Err(if migration["adopted"] == json!([]) {
                    End::NotStarted(failure)
                } else {
                    self.fail(migration, failure).await
                });
            }
            for (step, wanted) in steps.iter().enumerate() {
                if let Err(failure) = self.step(migration, step, wanted).await {
                    return Err(self.fail(migration, failure).await);
                }
            }
        }
        match self.run(COMPLETE, migration, json!({})).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.error == "Drift" => Err(self.fail(migration, failure).await),
            Err(failure) => Err(self.hold(COMPLETION, failure).await),
        }
    }

    async fn plan(&self, input: &Value) -> Result<Value, End> {
        let mut waited = 0;
        loop {
            let event = json!({"execution": arn(&self.execution), "input": input});
            let planned = self.task(PLAN, event).await.map_err(End::Refused)?;
            if planned["migration"].is_object() {
                return Ok(planned);
            }
            let awaited = |field| planned["awaited"][field].as_u64().unwrap_or_default();
            if waited >= awaited("timeoutSeconds") {
                return Err(End::Refused(Failure::new("NoSuchPair", "")));
            }
            waited += awaited("checkSeconds");
            self.wait(awaited("checkSeconds")).await;
        }
    }

    async fn wait_until_ready(&self, migration: &Value) -> Result<(), Failure> {
        if migration["probe"]["enabled"] == true {
            let event = json!({ "migration": migration });
            self.wait_for_pass(migration, PROBE, &event, None).await?;
        }
        let mut alarms = migration["alarms"].clone();
        if alarms["missingData"] != "fail" {
            alarms["missingData"] = json!("pass");
        }
        let event = json!({ "alarms": alarms });
        self.wait_for_pass(migration, ALARMS, &event, Some("AlarmActive"))
            .await
    }

    /// Repeats a check until its verdict is `pass`, or `readyTimeoutSeconds` are over. A `fail` ends it
    /// at once with `error`, if there is one.
    async fn wait_for_pass(
        &self,
        migration: &Value,
        task: Task,
        event: &Value,
        error: Option<&str>,
    ) -> Result<(), Failure> {
        let pause = seconds(migration, "checkSeconds");
        let mut waited = 0;
        loop {
            match self.task(task, event.clone()).await {
                Ok(answer) if answer["verdict"] == "pass" => return Ok(()),
                Ok(answer) if answer["verdict"] == "fail" && error.is_some() => {
                    return Err(Failure::new(error.unwrap_or_default(), ""));
                }
                Err(failure) if !is_transient(&failure) => return Err(failure),
                _ if waited >= seconds(migration, "readyTimeoutSeconds") => {
                    return Err(Failure::new("NotReady", ""));
                }
                _ => {}
            }
            waited += pause;
            self.wait(pause).await;
        }
    }

    async fn step(&self, migration: &Value, step: usize, wanted: &Value) -> Result<(), Failure> {
        let shifted = self.run(SHIFT, migration, json!({ "step": step })).await?;
        let since = self.world.rfc3339();
        let mut change_ids = shifted["changeIds"].clone();
        for poll in 1.. {
            self.wait(SYNC_SECONDS).await;
            let more = json!({ "changeIds": change_ids });
            let confirmed = self.run(CONFIRM, migration, more).await?;
            if confirmed["status"] == "confirmed" {
                break;
            }
            if poll >= MAX_SYNC_POLLS {
                return Err(Failure::new("Unavailable", ""));
            }
            change_ids = confirmed["changeIds"].clone();
        }
        self.wait(seconds(&shifted, "waitSeconds")).await;
        self.bake(migration, wanted, &since).await
    }

    async fn bake(&self, migration: &Value, wanted: &Value, since: &str) -> Result<(), Failure> {
        let (bake, most) = (
            seconds(wanted, "bakeSeconds"),
            seconds(migration, "maxBakeSeconds"),
        );
        let pause = seconds(migration, "checkSeconds");
        let (mut baked, mut failures, mut approved) = (0, 0, false);
        loop {
            let verdict = self.check_health(migration, since).await?;
            failures += u64::from(verdict == "fail");
            if failures >= seconds(migration, "failureThreshold") {
                return Err(Failure::new("HealthCheckFailed", ""));
            }
            if verdict == "drift" {
                return Err(Failure::new("Drift", ""));
            }
            if verdict == "pass" && baked >= bake {
                if wanted["approval"] != true || approved {
                    return Ok(());
                }
                self.ask_for_approval().await?;
                approved = true;
                continue;
            }
            if baked >= most {
                return Err(Failure::new("HealthCheckFailed", ""));
            }
            let left = bake.saturating_sub(baked);
            let next = if left > 0 { left.min(pause) } else { pause };
            baked += next;
            self.wait(next).await;
        }
    }

    async fn check_health(&self, migration: &Value, since: &str) -> Result<&'static str, Failure> {
        let alarms = json!({"alarms": migration["alarms"], "since": since});
        let probe = async {
            if migration["probe"]["enabled"] == true {
                self.task(PROBE_AGAIN, json!({ "migration": migration }))
                    .await
            } else {
                Ok(json!({"verdict": "pass"}))
            }
        };
        let (alarms, probe, weights) = join!(
            self.task(CHECK_ALARMS, alarms),
            probe,
            self.run(CONFIRM_WEIGHTS, migration, json!({ "changeIds": [] })),
        );
        let weights = weights.map(|_| json!({"verdict": "pass"}));
        let mut worst = "pass";
        for observed in [alarms, probe, weights] {
            let verdict = match observed {
                Ok(answer) if answer["verdict"] == "pass" => "pass",
                Ok(answer) if answer["verdict"] == "fail" => "fail",
                Ok(_) => "inconclusive",
                Err(failure) if failure.error == "Drift" => "drift",
                Err(failure) if is_transient(&failure) => "inconclusive",
                Err(failure) => return Err(failure),
            };
            let rank = |verdict| {
                ["pass", "inconclusive", "drift", "fail"]
                    .iter()
                    .position(|it| *it == verdict)
            };
            if rank(verdict) > rank(worst) {
                worst = verdict;
            }
        }
        Ok(worst)
    }

    async fn ask_for_approval(&self) -> Result<(), Failure> {
        self.enter("Ask for approval");
        let (after, approval) = (self.world.approvals.borrow_mut())();
        self.world.clock.sleep(after).await;
        self.world
            .note(format!("{}: approval {approval:?}", self.execution));
        match approval {
            Approval::Given => Ok(()),
            Approval::Refused => Err(Failure::new("ApprovalRefused", "")),
            Approval::None => Err(Failure::new("ApprovalTimedOut", "")),
        }
    }

    /// The Choice "Hold or roll back?" and what follows it.
    async fn fail(&self, migration: &Value, failure: Failure) -> End {
        let reaction = match failure.error.as_str() {
            "Busy" => "rollback",
            "Drift" => migration["onDrift"].as_str().unwrap_or_default(),
            "ApprovalRefused" | "ApprovalTimedOut" => {
                migration["onRefusal"].as_str().unwrap_or_default()
            }
            _ => migration["onFailure"].as_str().unwrap_or_default(),
        };
        self.world.note(format!(
            "{}: {failure:?}; reaction: {reaction}",
            self.execution
        ));
        if reaction == "hold" {
            return self.hold(&failure.error.clone(), failure).await;
        }
        self.enter(ROLLING_BACK);
        let request = json!({
            "hostedZoneId": migration["hostedZoneId"],
            "execution": arn(&self.execution),
            "requestedBy": arn(&self.execution),
            "adopted": migration["adopted"],
            "reason": format!("{}: {}", failure.error, failure.cause),
        });
        for attempt in 0..=2 {
            self.wait(2 * attempt).await;
            if roll_back(&self.world, &request).await.1.is_none() {
                return End::RolledBack(failure);
            }
        }
        End::RollbackFailed(failure)
    }

    async fn hold(&self, reason: &str, failure: Failure) -> End {
        self.enter(HOLDING);
        let held = (self.execution.clone(), reason.to_owned());
        self.world.hold_reasons.borrow_mut().extend([held]);
        // The notification takes time, in which the execution can still be aborted.
        self.wait(1).await;
        End::Held(failure)
    }

    fn enter(&self, state: &str) {
        self.world.executions.enter(&self.execution, state);
    }

    async fn wait(&self, seconds: u64) {
        self.world.clock.sleep(Duration::from_secs(seconds)).await;
    }

    async fn run(&self, task: Task, migration: &Value, more: Value) -> Result<Value, Failure> {
        let mut event = more;
        event["execution"] = json!(arn(&self.execution));
        event["migration"] = migration.clone();
        self.task(task, event).await
    }

    async fn task(&self, task: Task, mut event: Value) -> Result<Value, Failure> {
        self.enter(task.state);
        if let Some(operation) = task.operation {
            event["operation"] = json!(operation);
        }
        let outcome = run_task(&self.world, task, &event).await;
        if let Err(failure) = &outcome {
            let Failure { error, cause } = failure;
            self.world.note(format!(
                "{}: {}: {error}: {cause}",
                self.execution, task.state
            ));
        }
        outcome
    }
}

/// Runs an execution of `rollback.asl.json`. Returns the executions that it rolled back, and its
/// failure if it failed.
pub(crate) async fn roll_back(
    world: &Rc<World>,
    request: &Value,
) -> (Vec<String>, Option<Failure>) {
    let mut executions: Vec<String> = Vec::new();
    let mut event = request.clone();
    let mut task = ROLL_BACK;
    for _ in 0..=MAX_PASSES {
        let answer = match run_task(world, task, &event).await {
            Ok(answer) => answer,
            Err(failure) => return (executions, Some(failure)),
        };
        let found = answer["executions"].as_array().into_iter().flatten();
        executions.extend(found.filter_map(Value::as_str).map(str::to_owned));
        executions.sort();
        executions.dedup();
        if answer["restored"] != 0 {
            world.note(answer["message"].as_str().unwrap_or_default());
        }
        for report in answer["migrations"].as_array().into_iter().flatten() {
            let text = |field| report[field].as_str().unwrap_or_default().to_owned();
            world.notify(text("execution"), text("status"));
        }
        if answer["done"] == true {
            let problems = &answer["problems"];
            let failure = Failure::new("NotRestored", problems.to_string());
            return (executions, (*problems != json!([])).then_some(failure));
        }
        world
            .clock
            .sleep(Duration::from_secs(seconds(&answer, "waitSeconds")))
            .await;
        event = json!({"request": request, "earlier": {
            "changeIds": answer["changeIds"],
            "executions": executions,
        }});
        task = CONFIRM_ROLLBACK;
    }
    (
        executions,
        Some(Failure::new("Unavailable", "after 30 passes")),
    )
}

async fn run_task(world: &Rc<World>, task: Task, event: &Value) -> Result<Value, Failure> {
    let (mut conflict_retries, mut transient_retries) = (0, 0);
    loop {
        let failure = match world.invoke(task.function, event.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let (retries, max_retries) = match failure.error.as_str() {
            "Conflict" => (&mut conflict_retries, task.conflict_retries),
            _ if is_transient(&failure) => (&mut transient_retries, task.transient_retries),
            _ => return Err(failure),
        };
        if *retries >= max_retries {
            return Err(failure);
        }
        *retries += 1;
        world
            .clock
            .sleep(Duration::from_secs(2 * u64::from(*retries)))
            .await;
    }
}

fn is_transient(failure: &Failure) -> bool {
    TRANSIENT_ERRORS.contains(&failure.error.as_str())
}

fn seconds(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const MIGRATION: &str = include_str!("../../../statemachine/migration.asl.json");
    const ROLLBACK: &str = include_str!("../../../statemachine/rollback.asl.json");

    /// Function, operation, retries after a `Conflict`, and retries after a transient error.
    type TaskDefinition = (String, Value, u64, u64);

    /// The Tasks of a definition that invoke a function, by state name.
    fn task_definitions(definition: &str) -> BTreeMap<String, TaskDefinition> {
        let mut tasks = BTreeMap::new();
        collect_tasks(&serde_json::from_str(definition).unwrap(), &mut tasks);
        tasks
    }

    fn collect_tasks(machine: &Value, tasks: &mut BTreeMap<String, TaskDefinition>) {
        for (name, state) in machine["States"].as_object().unwrap() {
            for branch in state["Branches"].as_array().into_iter().flatten() {
                collect_tasks(branch, tasks);
            }
            let Some(function) = state["Arguments"]["FunctionName"].as_str() else {
                continue;
            };
            let retries_after = |error: &str| {
                let retriers = state["Retry"].as_array().into_iter().flatten();
                let mut matching = retriers.filter(|retry| {
                    let errors = retry["ErrorEquals"].as_array().unwrap();
                    errors.iter().any(|it| it == error)
                });
                matching
                    .next()
                    .map_or(0, |retry| retry["MaxAttempts"].as_u64().unwrap())
            };
            let transient_retries: Vec<_> =
                TRANSIENT_ERRORS.into_iter().map(retries_after).collect();
            let is_equal = |retries: &u64| *retries == transient_retries[0];
            assert!(transient_retries.iter().all(is_equal), "{name}");
            let operation = state["Arguments"]["Payload"]["operation"].clone();
            let task = (
                function.to_owned(),
                operation,
                retries_after("Conflict"),
                transient_retries[0],
            );
            tasks.insert(name.clone(), task);
        }
    }

    #[test]
    fn tasks_match_the_definitions() {
        for (machine, definition) in [("migration", MIGRATION), ("rollback", ROLLBACK)] {
            let simulated: BTreeMap<_, _> = TASKS
                .into_iter()
                .filter(|task| task.machine == machine)
                .map(|task| {
                    let function = format!("${{{:?}FunctionArn}}", task.function);
                    let simulated = (
                        function,
                        json!(task.operation),
                        task.conflict_retries.into(),
                        task.transient_retries.into(),
                    );
                    (task.state.to_owned(), simulated)
                })
                .collect();
            assert_eq!(simulated, task_definitions(definition));
        }
    }

    #[test]
    fn waits_match_the_definitions() {
        let migration: Value = serde_json::from_str(MIGRATION).unwrap();
        assert_eq!(
            migration["States"]["Wait for Route 53"]["Seconds"],
            SYNC_SECONDS
        );
        assert!(MIGRATION.contains(&format!("$syncPolls >= {MAX_SYNC_POLLS}")));
        assert!(ROLLBACK.contains(&format!("$passes >= {MAX_PASSES}")));
        for state in [ROLLING_BACK, HOLDING] {
            assert!(migration["States"][state].is_object());
        }
    }
}
