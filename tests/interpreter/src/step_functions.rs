//! Step Functions: state machines, their executions, and what Tasks of one execution do to another.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use futures_executor::LocalSpawner;
use futures_util::future::{AbortHandle, Either, abortable, select};
use futures_util::task::LocalSpawnExt;
use jsonata_core::value::JValue;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::definition::Machine;
use crate::execution::{Execution, Progress};
use crate::failure::{Failure, HEARTBEAT_TIMEOUT, RUNTIME, TIMEOUT};
use crate::integration::{Call, Integration, Pattern};
use crate::services::Services;
use crate::tokens::{Message, Tokens, Waiting};
use crate::values::{object, to_json};

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
    end: Option<End>,
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

    fn machine_arn(&self) -> String {
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
    /// `StepFunctions.StateMachineDoesNotExistException`, or
    /// `StepFunctions.ExecutionAlreadyExistsException`. A second start of a running execution with the
    /// same name and input is no error.
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
        let id = match name {
            Some(name) => ExecutionId::new(machine_arn, name),
            None => ExecutionId::new(machine_arn, &format!("execution-{}", self.count.get())),
        };
        let input = JValue::from(input.clone());
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
    /// input of this state and the variables of then. A Parallel state runs all its branches again;
    /// Step Functions runs those again that did not succeed.
    ///
    /// Source: Step Functions Developer Guide, "Restarting state machine executions with redrive".
    ///
    /// # Errors
    /// `ExecutionNotRedrivable` if it runs, has succeeded, or does not exist.
    pub fn redrive(self: &Rc<Self>, id: &ExecutionId) -> Result<(), Failure> {
        let not_redrivable = || Failure::new("ExecutionNotRedrivable", id.arn());
        let record = {
            let mut records = self.records.borrow_mut();
            let record = records.get(id).ok_or_else(not_redrivable)?;
            if matches!(record.end, None | Some(End::Succeeded(_))) {
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
            record.end = Some(end.clone());
            std::mem::take(&mut record.waiting)
        };
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
        // TaskScheduled, TaskStarted, and TaskSucceeded, TaskFailed or TaskTimedOut.
        let history = &execution.progress.history;
        history.add(3)?;
        if integration.pattern != Pattern::RequestResponse {
            // TaskSubmitted.
            history.add(1)?;
        }
        let work = Box::pin(async move {
            let waiting = token.map(|token| self.tokens.wait(token));
            let sent = self.send(execution, integration, &arguments).await?;
            match (waiting, sent) {
                (Some(waiting), _) => self.answer(waiting, heartbeat).await,
                (None, Sent::Execution(id)) if integration.pattern == Pattern::Sync => {
                    self.wait_for_end(id).await
                }
                (None, Sent::Execution(id)) => {
                    Ok(object([("ExecutionArn", JValue::from(id.arn()))]))
                }
                (None, Sent::Result(result)) => Ok(result),
            }
        });
        let Some(timeout) = timeout else {
            return work.await;
        };
        match select(work, self.services.sleep(timeout)).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => Err(Failure::new(TIMEOUT, "")),
        }
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
                let answer = Message::Answer(Err(Failure::new(text("Error")?, text("Cause")?)));
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

    /// Waits for the end of an execution. Step Functions stops it if the Task is stopped.
    ///
    /// Source: Step Functions Developer Guide, "Run a job (.sync)".
    async fn wait_for_end(self: &Rc<Self>, id: ExecutionId) -> Result<JValue, Failure> {
        let (sender, receiver) = oneshot::channel();
        if let Some(record) = self.records.borrow_mut().get_mut(&id)
            && record.end.is_none()
        {
            record.waiting.push(sender);
        }
        let guard = StopOnDrop(self, &id);
        // An error says that the execution has ended already.
        let _ = receiver.await;
        std::mem::forget(guard);
        let ended = self.describe(&id);
        let end = ended
            .as_ref()
            .and_then(|description| description.end.as_ref());
        match end {
            Some(End::Succeeded(output)) => Ok(object([
                ("ExecutionArn", JValue::from(id.arn())),
                ("Status", JValue::from("SUCCEEDED")),
                ("Output", JValue::from(output.clone())),
            ])),
            Some(end) => {
                let mut described = json!({"ExecutionArn": id.arn(), "Status": end.status()});
                if let (Some(failure), Some(fields)) = (end.failure(), described.as_object_mut()) {
                    fields.insert("Error".to_owned(), json!(failure.error));
                    fields.insert("Cause".to_owned(), json!(failure.cause));
                }
                Err(Failure::new("States.TaskFailed", described.to_string()))
            }
            None => Err(Failure::new(RUNTIME, "the execution does not exist")),
        }
    }
}

enum Sent {
    Execution(ExecutionId),
    Result(JValue),
}

struct StopOnDrop<'a>(&'a StepFunctions, &'a ExecutionId);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        let cause = "the execution that waited for it was stopped";
        self.0
            .stop(self.1, Failure::new("States.TaskStopped", cause));
    }
}

impl Record {
    fn describe(&self) -> Description {
        Description {
            input: to_json(&self.input),
            end: self.end.clone(),
            started_at: self.started_at,
            redrives: self.redrives,
            redriven_at: self.redriven_at,
            state: self.progress.state(),
            events: self.progress.history.events(),
            transitions: self.progress.history.transitions(),
        }
    }
}
