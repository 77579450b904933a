//! Step Functions: state machines, their executions, and what Tasks of one execution do to another.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use futures_executor::LocalSpawner;
use futures_util::future::{AbortHandle, Either, abortable, select};
use futures_util::task::LocalSpawnExt;
use jsonata_core::value::JValue;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::definition::Machine;
use crate::execution::{Execution, Progress, check_size};
use crate::failure::{Failure, HEARTBEAT_TIMEOUT, RUNTIME, TIMEOUT};
use crate::history::MOST_EVENTS;
use crate::integration::{Call, Integration, Pattern};
use crate::services::Services;
use crate::tokens::{Message, Tokens, Waiting};
use crate::values::{millis, object, to_json};

/// How long after its end an execution can be redriven.
///
/// Source: Step Functions API Reference, `RedriveExecution`.
const REDRIVABLE: Duration = Duration::from_hours(14 * 24);

/// The ARN of an execution.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ExecutionId(Rc<str>);

/// The end of an execution.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    Succeeded(Value),
    Failed(Failure),
    TimedOut,
    /// By `StopExecution`, with its error and cause.
    Aborted(Failure),
}

/// The answer of `DescribeExecution`, with what the history of the execution shows.
#[derive(Clone, Debug)]
pub struct Description {
    pub input: Value,
    /// None while it runs.
    pub end: Option<End>,
    pub started_at: SystemTime,
    pub redrives: u32,
    pub redriven_at: Option<SystemTime>,
    /// The state that it is in, or was in when it ended.
    pub state: Option<String>,
    /// The number of events in its history.
    pub events: usize,
    /// The number of state transitions that Step Functions charges for.
    pub transitions: usize,
}

/// An account's Step Functions.
pub struct StepFunctions {
    services: Rc<dyn Services>,
    spawner: LocalSpawner,
    /// By ARN.
    machines: BTreeMap<String, Rc<Machine>>,
    records: RefCell<BTreeMap<ExecutionId, Record>>,
    tokens: Rc<Tokens>,
    /// The edges that executions have used, by the ARN of the machine.
    covered: RefCell<BTreeMap<String, Vec<bool>>>,
    count: Cell<usize>,
}

struct Record {
    machine: Rc<Machine>,
    input: JValue,
    started_at: SystemTime,
    redrives: u32,
    redriven_at: Option<SystemTime>,
    progress: Rc<Progress>,
    end: Option<(SystemTime, End)>,
    handle: AbortHandle,
    waiting: Vec<oneshot::Sender<()>>,
}

impl ExecutionId {
    /// The id of the execution `name` of a machine.
    pub fn new(machine_arn: &str, name: &str) -> Self {
        let prefix = machine_arn.replace(":stateMachine:", ":execution:");
        Self(format!("{prefix}:{name}").into())
    }

    pub fn arn(&self) -> &str {
        &self.0
    }

    /// The name of the execution.
    pub fn name(&self) -> &str {
        self.0.rsplit(':').next().unwrap_or_default()
    }

    pub fn machine_name(&self) -> &str {
        self.0.rsplit(':').nth(1).unwrap_or_default()
    }

    /// The ARN of its state machine.
    pub fn machine_arn(&self) -> String {
        let machine = self.0.rsplit_once(':').map_or("", |(machine, _)| machine);
        machine.replace(":execution:", ":stateMachine:")
    }
}

impl From<&str> for ExecutionId {
    fn from(arn: &str) -> Self {
        Self(arn.into())
    }
}

impl End {
    /// As `DescribeExecution` and the status event write it.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "SUCCEEDED",
            Self::Failed(_) => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted(_) => "ABORTED",
        }
    }

    /// The error and cause, if it has them.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed(failure) | Self::Aborted(failure) => Some(failure),
            Self::Succeeded(_) | Self::TimedOut => None,
        }
    }
}

impl StepFunctions {
    /// Machines are given with their ARNs.
    pub fn new(
        services: Rc<dyn Services>,
        spawner: LocalSpawner,
        machines: BTreeMap<String, Rc<Machine>>,
    ) -> Rc<Self> {
        let edges = |machine: &Rc<Machine>| vec![false; machine.edges().len()];
        let covered = machines
            .iter()
            .map(|(arn, machine)| (arn.clone(), edges(machine)))
            .collect();
        Rc::new(Self {
            services,
            spawner,
            machines,
            records: RefCell::default(),
            tokens: Rc::default(),
            covered: RefCell::new(covered),
            count: Cell::new(0),
        })
    }

    /// `StartExecution`. Without a name, one is made up.
    ///
    /// # Errors
    /// `StepFunctions.StateMachineDoesNotExistException`, `StepFunctions.InvalidNameException`,
    /// `StepFunctions.InvalidExecutionInputException`, or
    /// `StepFunctions.ExecutionAlreadyExistsException`. A second start of a running execution with the
    /// same name and input is no error.
    ///
    /// Source: Step Functions API Reference, `StartExecution`.
    pub fn start(
        self: &Rc<Self>,
        machine_arn: &str,
        name: Option<&str>,
        input: &Value,
    ) -> Result<ExecutionId, Failure> {
        let machine = self.machines.get(machine_arn).cloned().ok_or_else(|| {
            Failure::new(
                "StepFunctions.StateMachineDoesNotExistException",
                format!("there is no state machine {machine_arn}"),
            )
        })?;
        self.count.set(self.count.get() + 1);
        let name = name.map_or_else(|| format!("execution-{}", self.count.get()), str::to_owned);
        if !is_execution_name(&name) {
            return Err(Failure::new(
                "StepFunctions.InvalidNameException",
                format!("'{name}' is not a name of an execution"),
            ));
        }
        let id = ExecutionId::new(machine_arn, &name);
        let input = JValue::from(input.clone());
        check_size("the input of an execution", &input).map_err(|failure| Failure {
            error: "StepFunctions.InvalidExecutionInputException".to_owned(),
            ..failure
        })?;
        if let Some(record) = self.records.borrow().get(&id) {
            if record.end.is_none() && record.input == input {
                return Ok(id);
            }
            return Err(Failure::new(
                "StepFunctions.ExecutionAlreadyExistsException",
                format!("the execution {} exists", id.arn()),
            ));
        }
        let record = Record {
            machine,
            input,
            started_at: self.services.now(),
            redrives: 0,
            redriven_at: None,
            progress: Rc::default(),
            end: None,
            handle: AbortHandle::new_pair().0,
            waiting: Vec::new(),
        };
        self.run(&id, record);
        Ok(id)
    }

    /// `RedriveExecution`: continues an unsuccessful execution at the state that it was in, with the
    /// input of this state and the variables of then. Retries count from 0, and the time-out of the
    /// machine starts again. A Parallel state runs those branches again that did not succeed.
    ///
    /// Source: Step Functions Developer Guide, "Restarting state machine executions with redrive".
    ///
    /// # Errors
    /// `ExecutionNotRedrivable` if it runs, has succeeded, ended 14 days ago, has no events left, or
    /// does not exist.
    pub fn redrive(self: &Rc<Self>, id: &ExecutionId) -> Result<(), Failure> {
        let not_redrivable = || Failure::new("ExecutionNotRedrivable", id.arn());
        let record = {
            let mut records = self.records.borrow_mut();
            let record = records.get(id).ok_or_else(not_redrivable)?;
            let ended = match &record.end {
                None | Some((_, End::Succeeded(_))) => return Err(not_redrivable()),
                Some((ended, _)) => *ended,
            };
            let is_late = ended + REDRIVABLE < self.services.now();
            let is_full = record.progress.history.events() >= MOST_EVENTS - 1;
            if is_late || is_full {
                return Err(not_redrivable());
            }
            records.remove(id)
        };
        let mut record = record.ok_or_else(not_redrivable)?;
        record.redrives += 1;
        record.redriven_at = Some(self.services.now());
        record.end = None;
        self.run(id, record);
        Ok(())
    }

    fn run(self: &Rc<Self>, id: &ExecutionId, mut record: Record) {
        let execution = Execution {
            id: id.clone(),
            machine: record.machine.clone(),
            step_functions: self.clone(),
            progress: record.progress.clone(),
            input: record.input.clone(),
            started_at: record.started_at,
            redrives: record.redrives,
            redriven_at: record.redriven_at,
        };
        let (run, handle) = abortable(async move {
            let end = execution.run().await;
            execution.step_functions.end(&execution.id, &end);
        });
        record.handle = handle;
        self.records.borrow_mut().insert(id.clone(), record);
        let spawned = self.spawner.spawn_local(async move {
            // An error says that the execution was stopped, and its end is recorded.
            let _ = run.await;
        });
        if let Err(error) = spawned {
            self.end(id, &End::Failed(Failure::new(RUNTIME, error.to_string())));
        }
    }

    /// `StopExecution`. It does not change an execution that has ended.
    pub fn stop(&self, id: &ExecutionId, failure: Failure) {
        self.interrupt(id, &End::Aborted(failure));
    }

    /// Ends a running execution as if its `TimeoutSeconds` were over.
    pub fn time_out(&self, id: &ExecutionId) {
        self.interrupt(id, &End::TimedOut);
    }

    fn interrupt(&self, id: &ExecutionId, end: &End) {
        if let Some(record) = self.records.borrow().get(id) {
            record.handle.abort();
        }
        self.end(id, end);
    }

    fn end(&self, id: &ExecutionId, end: &End) {
        let waiting = {
            let mut records = self.records.borrow_mut();
            let Some(record) = records.get_mut(id).filter(|record| record.end.is_none()) else {
                return;
            };
            record.progress.history.end();
            record.end = Some((self.services.now(), end.clone()));
            std::mem::take(&mut record.waiting)
        };
        self.tokens.close(id);
        for parent in waiting {
            // Without a receiver, the parent was stopped.
            let _ = parent.send(());
        }
        self.services.on_end(id, end);
    }

    /// `DescribeExecution` and `GetExecutionHistory`.
    pub fn describe(&self, id: &ExecutionId) -> Option<Description> {
        self.records.borrow().get(id).map(Record::describe)
    }

    /// All executions, in the order of their ARNs.
    pub fn executions(&self) -> Vec<(ExecutionId, Description)> {
        let records = self.records.borrow();
        records
            .iter()
            .map(|(id, record)| (id.clone(), record.describe()))
            .collect()
    }

    /// `SendTaskSuccess` by a person.
    ///
    /// # Errors
    /// If no Task waits with this token.
    pub fn send_task_success(&self, token: &str, output: &Value) -> Result<(), Failure> {
        let output = JValue::from(output.clone());
        self.tokens.send(token, Message::Answer(Ok(output)))
    }

    /// `SendTaskFailure` by a person.
    ///
    /// # Errors
    /// If no Task waits with this token.
    pub fn send_task_failure(&self, token: &str, failure: Failure) -> Result<(), Failure> {
        self.tokens.send(token, Message::Answer(Err(failure)))
    }

    /// The edges that were used, by the ARN of the machine, in the order of [`Machine::edges`].
    pub fn covered(&self) -> BTreeMap<String, Vec<bool>> {
        self.covered.borrow().clone()
    }

    pub(crate) fn cover(&self, id: &ExecutionId, edge: usize) {
        let mut covered = self.covered.borrow_mut();
        let edges = covered.get_mut(&id.machine_arn());
        if let Some(edge) = edges.and_then(|edges| edges.get_mut(edge)) {
            *edge = true;
        }
    }

    pub(crate) fn services(&self) -> &Rc<dyn Services> {
        &self.services
    }

    /// A new task token, if an integration waits for one.
    pub(crate) fn token(&self, integration: &Integration) -> Option<String> {
        (integration.pattern == Pattern::WaitForTaskToken).then(|| self.services.uuid())
    }

    /// Carries out a Task.
    pub(crate) async fn carry_out(
        self: &Rc<Self>,
        execution: &Execution,
        integration: &Integration,
        arguments: JValue,
        token: Option<String>,
        timeout: Option<Duration>,
        heartbeat: Option<Duration>,
    ) -> Result<JValue, Failure> {
        // TaskScheduled and TaskStarted.
        let history = &execution.progress.history;
        history.add(2)?;
        let is_timed_out = Cell::new(false);
        let work = Box::pin(async {
            let waiting = token.map(|token| self.tokens.wait(token, &execution.id));
            let sent = self.send(execution, integration, &arguments).await?;
            if integration.pattern != Pattern::RequestResponse {
                // TaskSubmitted. TaskSubmitFailed takes the place of TaskFailed.
                history.add(1)?;
            }
            match (waiting, sent) {
                (Some(waiting), _) => self.answer(waiting, heartbeat).await,
                (None, Sent::Execution(id)) if integration.pattern == Pattern::Sync => {
                    self.wait_for_end(id, &is_timed_out).await
                }
                (None, Sent::Execution(id)) => Ok(self.started(&id)),
                (None, Sent::Result(result)) => Ok(result),
            }
        });
        let outcome = match timeout {
            None => work.await,
            Some(timeout) => match select(work, self.services.sleep(timeout)).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => {
                    is_timed_out.set(true);
                    Err(Failure::new(TIMEOUT, ""))
                }
            },
        };
        // TaskSucceeded, TaskFailed or TaskTimedOut.
        history.add(1)?;
        let result = outcome?;
        check_size("the result of a Task", &result)?;
        Ok(result)
    }

    /// The answer of `StartExecution`.
    fn started(&self, id: &ExecutionId) -> JValue {
        let started_at = self.describe(id).map(|execution| execution.started_at);
        let started_at = started_at.map(|at| JValue::from(self.services.format(at)));
        let started_at = started_at.map(|at| ("StartDate", at));
        let arn = ("ExecutionArn", JValue::from(id.arn()));
        object([arn].into_iter().chain(started_at))
    }

    async fn send(
        self: &Rc<Self>,
        execution: &Execution,
        integration: &Integration,
        arguments: &JValue,
    ) -> Result<Sent, Failure> {
        let text = |field: &str| {
            let text = arguments.get(field).and_then(JValue::as_str);
            text.ok_or_else(|| Failure::new(RUNTIME, format!("the argument {field} is missing")))
        };
        match &integration.call {
            Call::Other(name) => {
                let result = self
                    .services
                    .call(&execution.id, name, to_json(arguments))
                    .await?;
                Ok(Sent::Result(result.into()))
            }
            Call::StartExecution => {
                let input = arguments.get("Input").map_or(Value::Null, to_json);
                let name = arguments.get("Name").and_then(JValue::as_str);
                let machine = text("StateMachineArn")?;
                let start = || self.start(machine, name, &input).map(Sent::Execution);
                self.reach("StartExecution", start).await
            }
            Call::SendTaskHeartbeat => {
                let token = text("TaskToken")?;
                self.reach("SendTaskHeartbeat", || {
                    self.message(token, Message::Heartbeat)
                })
                .await
            }
            Call::SendTaskSuccess => {
                let token = text("TaskToken")?;
                let output = JValue::from_json_str(text("Output")?).map_err(|error| {
                    Failure::new("Sfn.InvalidOutputException", error.to_string())
                })?;
                let answer = Message::Answer(Ok(output));
                self.reach("SendTaskSuccess", || self.message(token, answer))
                    .await
            }
            Call::SendTaskFailure => {
                let token = text("TaskToken")?;
                let optional = |field: &str| {
                    let text = arguments.get(field).and_then(JValue::as_str);
                    text.unwrap_or_default()
                };
                let failure = Failure::new(optional("Error"), optional("Cause"));
                let answer = Message::Answer(Err(failure));
                self.reach("SendTaskFailure", || self.message(token, answer))
                    .await
            }
        }
    }

    fn message(&self, token: &str, message: Message) -> Result<Sent, Failure> {
        self.tokens.send(token, message)?;
        Ok(Sent::Result(object([])))
    }

    /// Makes a call of this API, which may not arrive or lose its answer.
    async fn reach(
        &self,
        action: &'static str,
        carry_out: impl FnOnce() -> Result<Sent, Failure>,
    ) -> Result<Sent, Failure> {
        let arrival = self.services.reach(action).await;
        if !arrival.is_carried_out {
            arrival.answer?;
            return Err(Failure::new(
                RUNTIME,
                "a call that did not arrive has no failure",
            ));
        }
        let outcome = carry_out()?;
        arrival.answer?;
        Ok(outcome)
    }

    /// Waits for the answer with a token. Each heartbeat starts the time again.
    async fn answer(
        &self,
        mut waiting: Waiting,
        heartbeat: Option<Duration>,
    ) -> Result<JValue, Failure> {
        loop {
            let message = match heartbeat {
                None => waiting.next().await,
                Some(heartbeat) => {
                    let next = Box::pin(waiting.next());
                    match select(next, self.services.sleep(heartbeat)).await {
                        Either::Left((message, _)) => message,
                        Either::Right(_) => return Err(Failure::new(HEARTBEAT_TIMEOUT, "")),
                    }
                }
            };
            match message {
                Some(Message::Heartbeat) => {}
                Some(Message::Answer(answer)) => return answer,
                None => return Err(Failure::new(RUNTIME, "the token is closed")),
            }
        }
    }

    /// Waits for the end of an execution. Step Functions stops it if the execution that waits is
    /// stopped, or if another branch fails, but not after the time-out of the Task.
    ///
    /// Source: Step Functions Developer Guide, "Discover service integration patterns in Step
    /// Functions", "Run a job (.sync)".
    async fn wait_for_end(
        self: &Rc<Self>,
        id: ExecutionId,
        is_timed_out: &Cell<bool>,
    ) -> Result<JValue, Failure> {
        let (sender, receiver) = oneshot::channel();
        if let Some(record) = self.records.borrow_mut().get_mut(&id)
            && record.end.is_none()
        {
            record.waiting.push(sender);
        }
        let guard = StopOnDrop {
            step_functions: self,
            child: &id,
            is_timed_out,
        };
        // An error says that the execution has ended already.
        let _ = receiver.await;
        std::mem::forget(guard);
        let records = self.records.borrow();
        let record = records.get(&id);
        let Some((record, (ended_at, end))) =
            record.and_then(|record| Some((record, record.end.as_ref()?)))
        else {
            return Err(Failure::new(RUNTIME, "the execution does not exist"));
        };
        let mut described = vec![
            ("ExecutionArn", JValue::from(id.arn())),
            ("Name", JValue::from(id.name())),
            ("RedriveCount", JValue::from(i64::from(record.redrives))),
            ("StartDate", JValue::from(millis(record.started_at))),
            ("StateMachineArn", JValue::from(id.machine_arn())),
            ("Status", JValue::from(end.status())),
            ("StopDate", JValue::from(millis(*ended_at))),
        ];
        if let End::Succeeded(output) = end {
            described.push(("Input", record.input.clone()));
            described.push(("Output", JValue::from(output.clone())));
            return Ok(object(described));
        }
        // The cause is a text, and within it the input is one.
        let input = to_json(&record.input).to_string();
        described.push(("Input", JValue::from(input)));
        if let Some(failure) = end.failure() {
            described.push(("Error", JValue::from(failure.error.as_str())));
            described.push(("Cause", JValue::from(failure.cause.as_str())));
        }
        let cause = to_json(&object(described)).to_string();
        Err(Failure::new("States.TaskFailed", cause))
    }
}

enum Sent {
    Execution(ExecutionId),
    Result(JValue),
}

struct StopOnDrop<'a> {
    step_functions: &'a StepFunctions,
    child: &'a ExecutionId,
    is_timed_out: &'a Cell<bool>,
}

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        if !self.is_timed_out.get() {
            let cause = "the execution that waited for it was stopped";
            self.step_functions
                .stop(self.child, Failure::new("", cause));
        }
    }
}

/// Source: Step Functions API Reference, `StartExecution`.
fn is_execution_name(name: &str) -> bool {
    let is_refused = |character: char| {
        character.is_whitespace()
            || character.is_control()
            || r##"<>{}[]?*"#%\^|~`$&,;:/"##.contains(character)
    };
    (1..=80).contains(&name.chars().count()) && !name.contains(is_refused)
}

impl Record {
    fn describe(&self) -> Description {
        Description {
            input: to_json(&self.input),
            end: self.end.as_ref().map(|(_, end)| end.clone()),
            started_at: self.started_at,
            redrives: self.redrives,
            redriven_at: self.redriven_at,
            state: self.progress.state(),
            events: self.progress.history.events(),
            transitions: self.progress.history.transitions(),
        }
    }
}
