//! Everything that a history happens in: the fakes behind one line, the processes of the
//! functions, the executions of the state machines, EventBridge.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use futures_executor::LocalSpawner;
use futures_util::future::{AbortHandle, Either, abortable, select};
use futures_util::task::LocalSpawnExt;
use migration::executions::ROLLING_BACK;
use migration::fake::{FakeExecutions, FakeRoute53, Line, Time};
use migration::plan::Migration;
use migration::record::RecordSet;
use migration::route53::read_names;
use migration::{Error, HostedZoneId};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::clock::{Clock, Latency};
use crate::cloudwatch::FakeCloudWatch;
use crate::machines;
use crate::oracle::{Oracle, lock};

const ALARM_EVENT: &str = include_str!("../../events/cloudwatch-alarm-state-change.json");
const STATUS_EVENT: &str = include_str!("../../events/step-functions-execution-status-change.json");

/// The most that goes from state to state: a quarter of what Step Functions takes.
///
/// Source: Step Functions Developer Guide, "Service quotas".
pub const LARGEST_PAYLOAD: usize = 65_536;

/// The alarm that every history has.
pub const ALARM: &str = "green-5xx";

/// A function, with its timeout in the template.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Function {
    /// `shift-weight`.
    ShiftWeight,
    /// `rollback`.
    Rollback,
    /// `check-alarms`.
    CheckAlarms,
    /// `probe`: its reading of the zone is real, its verdict is the history's.
    Probe,
}

impl Function {
    fn timeout(self) -> Duration {
        Duration::from_secs(match self {
            Self::Probe => 300,
            Self::ShiftWeight | Self::Rollback | Self::CheckAlarms => 120,
        })
    }
}

/// Why a Task failed, as Retry and Catch see it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    /// Its error.
    pub error: String,
    /// Its cause.
    pub cause: String,
}

impl Failure {
    /// A failure that a definition words.
    pub fn new(error: &str, cause: impl Into<String>) -> Self {
        Self {
            error: error.to_owned(),
            cause: cause.into(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.name(), error.to_string())
    }
}

/// How a rollback ended that was not part of a migration.
#[derive(Clone, Debug)]
pub struct RollbackEnd {
    /// What it was asked for.
    pub request: Value,
    /// The executions that it rolled back.
    pub executions: Vec<String>,
    /// What failed, if something did.
    pub failure: Option<Failure>,
}

/// A zone, the executions that move its names, and what they run on.
pub struct World {
    /// Its clock.
    pub clock: Clock,
    /// The line that every call goes over.
    pub line: Arc<Line>,
    /// Route 53.
    pub route53: FakeRoute53,
    /// Step Functions.
    pub executions: FakeExecutions,
    /// CloudWatch.
    pub cloudwatch: FakeCloudWatch,
    /// Who watches over the invariants.
    pub oracle: Arc<Mutex<Oracle>>,
    /// Whether the new side answers as it should.
    pub is_healthy: Cell<bool>,
    /// How rollbacks ended.
    pub rollbacks: RefCell<Vec<RollbackEnd>>,
    /// What people were told of executions: the execution, and the status.
    pub told: RefCell<BTreeSet<(String, String)>>,
    /// The largest payload.
    pub largest_payload: Cell<usize>,
    /// How many changes others made.
    pub outside_writes: Arc<AtomicUsize>,
    /// What happened, with the time of each.
    pub timeline: RefCell<Vec<String>>,
    /// When events arrive that report what has happened: one arrival each.
    pub deliveries: RefCell<Box<dyn FnMut() -> Vec<Duration>>>,
    /// What becomes of an approval that is asked for, and after how long.
    pub approvals: RefCell<Box<dyn FnMut() -> (Duration, Approval)>>,
    /// The executions that were started, and their inputs.
    pub inputs: RefCell<BTreeMap<String, Value>>,
    /// Why executions went to hold.
    pub held: RefCell<BTreeMap<String, String>>,
    in_flight: RefCell<Vec<Caller>>,
    spawner: LocalSpawner,
    running: RefCell<Vec<(String, AbortHandle)>>,
}

/// Who waits for a function's answer, unless it is given up.
type Caller = Rc<Cell<Option<oneshot::Sender<Result<Value, Failure>>>>>;

/// What people say to an approval.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Approval {
    /// `SendTaskSuccess`.
    Given,
    /// `SendTaskFailure`.
    Refused,
    /// Nothing in time.
    None,
}

impl World {
    /// A world with these record sets, in which nothing fails and nobody interferes.
    pub fn new(record_sets: Vec<RecordSet>, latency: Latency, spawner: LocalSpawner) -> Rc<Self> {
        let clock = Clock::new(latency);
        let line = Arc::new(Line::new(clock.clone()));
        let oracle = Arc::default();
        let route53 = FakeRoute53::new(crate::ZONE_ID, record_sets)
            .over(line.clone())
            .observed_by(Oracle::observer(&oracle));
        let (ended, mut ends) = mpsc::unbounded_channel();
        let watching: Arc<Mutex<Oracle>> = Arc::clone(&oracle);
        let tell = move |name: &str, status: &str| {
            lock(&watching).running.remove(name);
            // Nobody listens once the history is over.
            let _ = ended.send((name.to_owned(), status.to_owned()));
        };
        let world = Rc::new(Self {
            route53,
            executions: FakeExecutions::over(line.clone(), Box::new(tell)),
            cloudwatch: FakeCloudWatch::new(line.clone(), &[ALARM]),
            clock,
            line,
            oracle,
            is_healthy: Cell::new(true),
            rollbacks: RefCell::default(),
            told: RefCell::default(),
            largest_payload: Cell::default(),
            outside_writes: Arc::default(),
            timeline: RefCell::default(),
            deliveries: RefCell::new(Box::new(|| vec![Duration::from_secs(1)])),
            approvals: RefCell::new(Box::new(|| (Duration::from_mins(1), Approval::Given))),
            inputs: RefCell::default(),
            held: RefCell::default(),
            in_flight: RefCell::default(),
            spawner,
            running: RefCell::default(),
        });
        let weak = Rc::downgrade(&world);
        world.spawn(async move {
            while let Some((name, status)) = ends.recv().await {
                let Some(world) = weak.upgrade() else { return };
                world.on_end(&name, &status);
            }
        });
        world
    }

    /// Lets something happen beside everything else.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if let Err(error) = self.spawner.spawn_local(task) {
            self.violation(&format!("the history can't go on: {error}"));
        }
    }

    /// Notes what happened.
    pub fn note(&self, what: impl AsRef<str>) {
        let seconds = self.clock.elapsed().as_secs_f64();
        self.timeline
            .borrow_mut()
            .push(format!("{seconds:9.1} s  {}", what.as_ref()));
    }

    /// Notes what must not happen.
    pub fn violation(&self, what: &str) {
        self.note(format!("VIOLATION: {what}"));
        lock(&self.oracle).violations.push(what.to_owned());
    }

    /// Starts a migration.
    pub fn start(self: &Rc<Self>, execution: &str, input: &Value) {
        self.note(format!("{execution} is started: {input}"));
        self.executions.start(execution, input.clone());
        self.inputs
            .borrow_mut()
            .insert(execution.to_owned(), input.clone());
        let is_leasing = input["externalDns"]["mode"] != "ignore";
        lock(&self.oracle).expect_of(execution, is_leasing);
        let (task, handle) = abortable(machines::migrate(
            self.clone(),
            execution.to_owned(),
            input.clone(),
        ));
        self.running
            .borrow_mut()
            .push((execution.to_owned(), handle));
        self.spawn(async move {
            // Stopped, it has been told of already.
            let _ = task.await;
        });
    }

    /// Starts a rollback.
    pub fn roll_back(self: &Rc<Self>, request: Value) {
        let world = self.clone();
        self.spawn(async move {
            world.note(format!("a rollback begins: {}", brief(&request)));
            let (executions, failure) = machines::roll_back(&world, &request).await;
            match &failure {
                None => world.note(format!("a rollback of {executions:?} has ended")),
                Some(failure) => world.note(format!(
                    "a rollback of {executions:?} has failed: {failure:?}"
                )),
            }
            if failure.is_none() {
                lock(&world.oracle)
                    .rolled_back
                    .extend(executions.iter().cloned());
            }
            world.rollbacks.borrow_mut().push(RollbackEnd {
                request,
                executions,
                failure,
            });
        });
    }

    /// The alarm fires, or clears.
    pub fn set_alarm(self: &Rc<Self>, state: &'static str) {
        self.note(format!("the alarm is {state}"));
        self.cloudwatch.set(ALARM, state);
        let event = alarm_event(ALARM, state, self.clock.now());
        if state == "ALARM" {
            self.deliver(&event);
        }
    }

    /// Another writer changes the zone.
    pub fn write(&self, what: &str, edit: impl FnOnce(&mut Vec<RecordSet>)) {
        self.note(what);
        self.route53.edit(edit);
    }

    /// Somebody stops an execution in the console.
    pub fn abort(&self, execution: &str) {
        if self.executions.is_running(execution) {
            self.note(format!("{execution} is aborted"));
            self.executions.abort(execution);
        }
    }

    /// An execution reaches the end of its time.
    pub fn time_out(&self, execution: &str) {
        self.executions.time_out(execution);
    }

    /// The new side stops to answer as it should.
    pub fn become_unhealthy(&self) {
        self.note("the new side is unhealthy from here on");
        self.is_healthy.set(false);
    }

    /// People are told what a rollback has done: to an execution that has ended, or waits for it.
    pub(crate) fn tell(&self, execution: String, status: String) {
        let executions = &self.executions;
        if executions.is_running(&execution) && !executions.is_in(&execution, ROLLING_BACK) {
            self.violation(&format!("{execution} is told to be {status}, and runs"));
        }
        self.told.borrow_mut().insert((execution, status));
    }

    fn on_end(self: &Rc<Self>, name: &str, status: &str) {
        let error = self.executions.error(name).unwrap_or_default();
        self.note(format!("{name} has ended: {status} {error}"));
        self.running.borrow_mut().retain(|(running, handle)| {
            if running == name {
                handle.abort();
            }
            running != name
        });
        if status == "SUCCEEDED" {
            return;
        }
        let mut event = status_event(name, status);
        let now = DateTime::from(self.clock.now()).to_millis();
        set(
            &mut event,
            "/detail/stopDate",
            json!(now.unwrap_or_default()),
        );
        self.deliver(&event);
    }

    fn deliver(self: &Rc<Self>, event: &Value) {
        let arrivals = (self.deliveries.borrow_mut())();
        for arrival in arrivals {
            let (world, event) = (self.clone(), event.clone());
            self.spawn(async move {
                world.clock.sleep(arrival).await;
                world.roll_back(event);
            });
        }
    }

    /// Calls a function as Step Functions does: in a process of its own, which goes on when the
    /// execution that called it has been stopped.
    pub(crate) async fn invoke(
        self: &Rc<Self>,
        function: Function,
        event: Value,
    ) -> Result<Value, Failure> {
        self.weigh(&event);
        let (sender, receiver) = oneshot::channel();
        let caller: Caller = Rc::new(Cell::new(Some(sender)));
        self.in_flight.borrow_mut().push(caller.clone());
        let world = self.clone();
        self.spawn(async move {
            let process = Process {
                work: Box::pin(world.handle(function, &event)),
                line: &world.line,
            };
            let end = Box::pin(world.clock.sleep(function.timeout()));
            let outcome = match select(process, end).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => Err(Failure::new("Sandbox.Timedout", "Task timed out")),
            };
            if let Ok(answer) = &outcome {
                world.weigh(answer);
            }
            // Nobody waits if the execution was stopped, or its call was given up.
            if let Some(sender) = caller.take() {
                let _ = sender.send(outcome);
            }
            let is_another = |other: &Caller| !Rc::ptr_eq(other, &caller);
            world.in_flight.borrow_mut().retain(is_another);
        });
        receiver
            .await
            .unwrap_or_else(|_| Err(Failure::new("Lambda.Unknown", "no answer")))
    }

    /// Step Functions loses the connections to all functions that are at work. It calls them again
    /// while they go on.
    pub fn give_up_calls(&self) {
        self.note("calls of functions are given up");
        for caller in self.in_flight.borrow().iter() {
            if let Some(sender) = caller.take() {
                let failure = Failure::new("Lambda.SdkClientException", "connection reset");
                // Nobody waits if the execution was stopped.
                let _ = sender.send(Err(failure));
            }
        }
    }

    /// The time as JSONata's `$now()` gives it.
    pub(crate) fn rfc3339(&self) -> String {
        rfc3339(self.clock.now())
    }

    fn weigh(&self, payload: &Value) {
        let size = payload.to_string().len();
        self.largest_payload
            .set(self.largest_payload.get().max(size));
        if size >= LARGEST_PAYLOAD {
            self.violation(&format!("a payload of {size} bytes"));
        }
    }

    async fn handle(&self, function: Function, event: &Value) -> Result<Value, Failure> {
        let (route53, executions) = (&self.route53, &self.executions);
        Ok(match function {
            Function::ShiftWeight => shift_weight::handle(event, route53, executions).await?,
            Function::Rollback => rollback::handle(event, route53, executions).await?,
            Function::CheckAlarms => {
                let answer = check_alarms::handle(event, &self.cloudwatch).await?;
                serde_json::to_value(answer).unwrap_or_default()
            }
            Function::Probe => self.probe(event).await?,
        })
    }

    async fn probe(&self, event: &Value) -> Result<Value, Error> {
        let migration: Migration = migration::input::from_json(&event["migration"])?;
        let id: &HostedZoneId = &migration.hosted_zone_id;
        let names = migration.names.iter().cloned().collect();
        let zone = read_names(&self.route53, id, names).await?;
        let has_record = |name| {
            let mut live = zone.at(name).iter().filter_map(RecordSet::weighted);
            live.any(|(side, _)| *side == migration.to)
        };
        let verdict = if self.is_healthy.get() && migration.names.iter().all(has_record) {
            "pass"
        } else {
            "fail"
        };
        Ok(json!({"verdict": verdict, "reason": "as the history has it"}))
    }
}

/// A process of a function. It dies when the line says so.
struct Process<'a, F> {
    work: Pin<Box<F>>,
    line: &'a Line,
}

impl<F: Future<Output = Result<Value, Failure>>> Future for Process<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.work.as_mut().poll(context);
        if polled.is_pending() && self.line.take_killed() {
            return Poll::Ready(Err(Failure::new(
                "Lambda.Unknown",
                "the process ended without an answer",
            )));
        }
        polled
    }
}

/// EventBridge's event of an alarm that comes to a state.
pub(crate) fn alarm_event(alarm: &str, state: &str, at: SystemTime) -> Value {
    let mut event = documented(ALARM_EVENT);
    set(&mut event, "/detail/alarmName", json!(alarm));
    set(&mut event, "/detail/state/value", json!(state));
    // CloudWatch writes an offset.
    let timestamp = json!(rfc3339(at).replace('Z', "+0000"));
    set(&mut event, "/detail/state/timestamp", timestamp);
    event
}

/// EventBridge's event of an execution that has ended.
pub(crate) fn status_event(execution: &str, status: &str) -> Value {
    let mut event = documented(STATUS_EVENT);
    let arn = machines::arn(execution);
    set(&mut event, "/detail/executionArn", json!(arn));
    set(&mut event, "/detail/name", json!(execution));
    set(&mut event, "/detail/status", json!(status));
    event
}

/// An event as AWS documents it.
pub(crate) fn documented(event: &str) -> Value {
    serde_json::from_str(event).unwrap_or_default()
}

fn rfc3339(time: SystemTime) -> String {
    DateTime::from(time)
        .fmt(Format::DateTime)
        .unwrap_or_default()
}

fn set(event: &mut Value, pointer: &str, value: Value) {
    if let Some(field) = event.pointer_mut(pointer) {
        *field = value;
    }
}

fn brief(request: &Value) -> String {
    let detail = &request["detail"];
    if detail.is_null() {
        return request.to_string();
    }
    format!(
        "{} {}{} {}",
        request["detail-type"], detail["alarmName"], detail["name"], detail["status"]
    )
}
