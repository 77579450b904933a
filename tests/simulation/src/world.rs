//! The simulated AWS account of a history: the fakes, which share one sequence of numbered calls, the
//! processes of the functions, the executions of the state machines, and the events of EventBridge.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use fakes::{
    FakeCloudWatch, FakeExecutions, FakeResolver, FakeRoute53, FakeSigningKeys, Fault, Network,
    Time,
};
use fastrand::Rng;
use futures_executor::LocalSpawner;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use futures_util::task::LocalSpawnExt;
use interpreter::{Description, End, ExecutionId, Failure, JValue, StepFunctions};
use migration::Error;
use migration::dns::HostedZoneId;
use migration::dns::{RecordName, RecordSet, SetIdentifier, Sides};
use migration::executions::{Executions, ROLLING_BACK};
use migration::journal::{ExecutionIdentity, SigningKeys};
use migration::plan::{Migration, StackSettings};
use migration::route53::read_names;
use rollback::Queue;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::account::Account;
use crate::alarm_queue::AlarmQueue;
use crate::clock::{Clock, Latency};
use crate::looks::Looks;
use crate::machines::{
    self, MIGRATION, Machines, NOTIFICATION, RELEASE, ROLLBACK, START, WATCH, function_name,
};
use crate::oracle::{Oracle, lock};
use crate::recording::Recorder;
use crate::writers::Writer;
use crate::zones::{alias, is_same};

const ALARM_EVENT: &str = include_str!("../../events/cloudwatch-alarm-state-change.json");
const STATUS_EVENT: &str = include_str!("../../events/step-functions-execution-status-change.json");

/// The limit for the input and output of a function, in bytes: a quarter of the 256 KiB that Step
/// Functions permits for the input or output of a state, as a reserve for what the definitions add.
///
/// Source: Step Functions Developer Guide, "Service quotas".
pub const LARGEST_PAYLOAD: usize = 65_536;

/// How long a rollback takes from its look at an execution to its report, if calls fail, at most.
const REPORTING: Duration = Duration::from_mins(5);

/// The reason of the hold of an execution that could not delete its journals.
pub(crate) const COMPLETION: &str = "completion";

/// The alarm that the migrations watch.
pub const ALARM: &str = "green-5xx";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Function {
    ShiftWeight,
    Rollback,
    CheckAlarms,
    /// Its reads of the zone are simulated. Its verdict is that of [`World::is_healthy`], because
    /// there are no load balancers to connect to.
    Probe,
}

impl Function {
    /// The time after which a call has ended: the timeout of the function in the template, after the longest
    /// start of a new environment.
    fn longest_call(self) -> Duration {
        let timeout = match self {
            Self::Probe => 300,
            Self::ShiftWeight | Self::Rollback | Self::CheckAlarms => 120,
        };
        Duration::from_secs(timeout + u64::from(rollback::COLD_START_SECONDS))
    }
}

/// The end of a rollback that an event or a person started, rather than a migration.
#[derive(Clone, Debug)]
pub struct RollbackEnd {
    pub request: Value,
    /// The names of the executions that it rolled back.
    pub executions: Vec<String>,
    /// None if it succeeded.
    pub failure: Option<Failure>,
}

/// A simulated AWS account with one zone.
pub struct World {
    pub clock: Clock,
    /// Numbers the calls of the functions, and injects faults into them.
    pub network: Arc<Network>,
    /// The same for the calls that Step Functions makes for Tasks, except those of functions.
    pub integrations: Network,
    pub step_functions: Rc<StepFunctions>,
    pub route53: Rc<FakeRoute53>,
    pub executions: Rc<FakeExecutions>,
    pub cloudwatch: FakeCloudWatch,
    /// The key with which the functions sign journals.
    pub signing_keys: RefCell<FakeSigningKeys>,
    pub resolver: FakeResolver,
    pub oracle: Arc<Mutex<Oracle>>,
    /// Whether the probes of the new side pass.
    pub is_healthy: Cell<bool>,
    /// The rollbacks that have ended.
    pub rollbacks: RefCell<Vec<RollbackEnd>>,
    /// The status events so far: execution and status.
    pub notifications: RefCell<Vec<(String, String)>>,
    /// The arguments of `Publish` for each message to the topic so far.
    pub published: RefCell<Vec<Value>>,
    /// The outages of functions and integrations.
    outages: RefCell<Vec<Outage>>,
    /// When the executions of `watch` have looked at the health of each migration.
    looks: RefCell<Looks>,
    /// The largest input or output of a function so far, in bytes.
    pub largest_payload: Cell<usize>,
    /// The number of writes of other writers that changed the zone.
    pub outside_writes: Arc<AtomicUsize>,
    /// The zone with the weights of the annotations of ExternalDNS, and of Terraform's configuration.
    annotated: RefCell<Arc<Vec<RecordSet>>>,
    /// What has happened, each line with its time.
    pub timeline: RefCell<Vec<String>>,
    /// Returns the delays of the deliveries of an event: several, because EventBridge may deliver an
    /// event more than once, and none if it is lost.
    pub deliveries: RefCell<Box<dyn FnMut() -> Vec<Duration>>>,
    /// Returns the answer to a request for approval, and its delay.
    pub approvals: RefCell<Box<dyn FnMut() -> (Duration, Approval)>>,
    /// Whether status events start the state machine `notification`. It changes nothing in a zone, so
    /// only some histories run it.
    pub is_notifying: Cell<bool>,
    /// The longest time for which Step Functions' answers may be old.
    longest_lag: Cell<Duration>,
    /// Whether the sweep of the stack runs.
    pub(crate) is_swept: Cell<bool>,
    /// The parameters of the stack.
    pub settings: RefCell<StackSettings>,
    /// The inputs of the executions that were started.
    pub inputs: RefCell<BTreeMap<String, Value>>,
    /// The error because of which an execution holds, or `completion`, by execution.
    pub hold_reasons: RefCell<BTreeMap<String, String>>,
    /// The states that executions have entered, in their order.
    pub entered: RefCell<Vec<(ExecutionId, String)>>,
    /// Gets every expression that is evaluated.
    pub(crate) recorder: RefCell<Option<Rc<Recorder>>>,
    /// Draws the jitter of retries.
    pub(crate) random: RefCell<Rng>,
    /// The executions that a rollback has found, and how often each had been redriven before, by rollback.
    found: RefCell<BTreeMap<ExecutionId, BTreeSet<(String, u32)>>>,
    /// What happens once, when an execution of a state machine enters a state.
    reactions: RefCell<Vec<Reaction>>,
    in_flight: RefCell<Vec<Caller>>,
    pub(crate) alarm_queue: AlarmQueue,
    /// The memories of the idle environments of the function `rollback`.
    memories: RefCell<Vec<Rc<rollback::Memory>>>,
    /// How many alarms have fired.
    alarms: Cell<u64>,
    spawner: LocalSpawner,
}

struct Reaction {
    /// The ARN of the state machine.
    machine: &'static str,
    state: &'static str,
    happens: fn(&Rc<World>),
}

/// A time in which every call of a function or an integration fails.
struct Outage {
    /// The name of the function, such as `check-alarms`, or the API action, such as `PutEvents`.
    target: &'static str,
    /// The error as Retry and Catch see it.
    error: String,
    until: Duration,
}

/// The sender of a function's answer to the state that invoked it. Empty once the answer is sent or
/// the connection is lost.
type Caller = Rc<Cell<Option<oneshot::Sender<Result<Value, Failure>>>>>;

/// The answer of an operator to the token of a watch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Ends a bake early.
    Promote,
    /// Stops here, and keeps weights and journals.
    Hold,
    RollBack,
    Refuse,
}

impl Answer {
    pub const ALL: [Self; 4] = [Self::Promote, Self::Hold, Self::RollBack, Self::Refuse];
}

/// The answer to a request for approval.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Approval {
    /// `SendTaskSuccess`.
    Given,
    /// `SendTaskFailure`.
    Refused,
    /// No answer before the timeout.
    None,
}

impl World {
    /// An account without faults and other writers.
    pub fn new(
        record_sets: Vec<RecordSet>,
        latency: Latency,
        spawner: LocalSpawner,
        machines: Machines,
    ) -> Rc<Self> {
        let looks = RefCell::new(Looks::new(latency.longest()));
        let clock = Clock::new(latency);
        let network = Arc::new(Network::new(clock.clone()));
        let oracle = Arc::default();
        let annotated = RefCell::new(Arc::new(record_sets.clone()));
        let route53 = FakeRoute53::new(crate::ZONE_ID, record_sets)
            .with_network(network.clone())
            .with_observer(Oracle::observer(&oracle));
        let (ended, mut ends) = mpsc::unbounded_channel();
        let watching: Arc<Mutex<Oracle>> = Arc::clone(&oracle);
        let on_end = move |name: &str, status: &str| {
            lock(&watching).running.remove(name);
            // The receiver is gone once the history is over.
            let _ = ended.send((name.to_owned(), status.to_owned()));
        };
        let (started, mut starts) = mpsc::unbounded_channel();
        let on_rollback = move |name: &str, event: &Value| {
            let _ = started.send((name.to_owned(), event.clone()));
        };
        let world = Rc::new_cyclic(|world| Self {
            step_functions: StepFunctions::new(
                Rc::new(Account::new(clock.clone(), world.clone())),
                spawner.clone(),
                machines,
            ),
            integrations: Network::new(clock.clone()),
            random: RefCell::new(Rng::with_seed(0)),
            found: RefCell::default(),
            route53: Rc::new(route53),
            executions: Rc::new(
                FakeExecutions::with_network(network.clone(), Box::new(on_end))
                    .with_rollbacks(Box::new(on_rollback)),
            ),
            cloudwatch: FakeCloudWatch::new(network.clone(), &[ALARM]),
            signing_keys: RefCell::default(),
            resolver: FakeResolver::default(),
            clock,
            network,
            oracle,
            is_healthy: Cell::new(true),
            rollbacks: RefCell::default(),
            notifications: RefCell::default(),
            published: RefCell::default(),
            outages: RefCell::default(),
            looks,
            largest_payload: Cell::default(),
            outside_writes: Arc::default(),
            annotated,
            timeline: RefCell::default(),
            deliveries: RefCell::new(Box::new(|| vec![Duration::from_secs(1)])),
            approvals: RefCell::new(Box::new(|| (Duration::from_mins(1), Approval::Given))),
            is_notifying: Cell::new(true),
            is_swept: Cell::default(),
            longest_lag: Cell::default(),
            settings: RefCell::default(),
            inputs: RefCell::default(),
            hold_reasons: RefCell::default(),
            entered: RefCell::default(),
            recorder: RefCell::default(),
            reactions: RefCell::default(),
            in_flight: RefCell::default(),
            alarm_queue: AlarmQueue::default(),
            memories: RefCell::default(),
            alarms: Cell::default(),
            spawner,
        });
        let weak = Rc::downgrade(&world);
        world.spawn(async move {
            while let Some((name, status)) = ends.recv().await {
                let Some(world) = weak.upgrade() else { return };
                world.on_described_end(&name, &status);
            }
        });
        let weak = Rc::downgrade(&world);
        world.spawn(async move {
            while let Some((name, event)) = starts.recv().await {
                let Some(world) = weak.upgrade() else { return };
                world.note(format!("a rollback starts: {}", brief(&event)));
                world.start_execution(ROLLBACK, Some(&name), &event);
            }
        });
        world
    }

    /// Runs a task concurrently.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        if let Err(error) = self.spawner.spawn_local(task) {
            self.violation(&format!("the history can't continue: {error}"));
        }
    }

    /// Adds a line to the timeline.
    pub fn note(&self, what: impl AsRef<str>) {
        let seconds = self.clock.elapsed().as_secs_f64();
        self.timeline
            .borrow_mut()
            .push(format!("{seconds:9.1} s  {}", what.as_ref()));
    }

    /// Records a broken invariant.
    pub fn violation(&self, what: &str) {
        self.note(format!("VIOLATION: {what}"));
        lock(&self.oracle).violations.push(what.to_owned());
    }

    /// Starts a migration.
    pub fn start(self: &Rc<Self>, execution: &str, input: &Value) {
        self.note(format!("{execution} starts: {input}"));
        self.register(execution, input);
        self.start_execution(MIGRATION, Some(execution), input);
    }

    /// Makes the functions and the oracle see a migration as running, without running its states.
    pub fn register(&self, execution: &str, input: &Value) {
        self.executions.start(execution, input.clone());
        self.inputs
            .borrow_mut()
            .insert(execution.to_owned(), input.clone());
        let is_leasing = input["externalDns"]["mode"] != "ignore";
        lock(&self.oracle).start(execution, is_leasing);
    }

    /// The identity of an execution in journals.
    ///
    /// # Panics
    /// If no execution has this name.
    pub fn identity(&self, execution: &str) -> ExecutionIdentity {
        let key = self.signing_keys.borrow().signing_key().now_or_never();
        let started_at = self.executions.started_at(execution);
        let identity = || {
            let arn = self.executions.arn(execution);
            Some(key?.ok()?.identity(execution, &arn, started_at?))
        };
        identity().unwrap_or_else(|| panic!("no execution {execution} was started"))
    }

    fn start_execution(&self, machine: &str, name: Option<&str>, input: &Value) {
        if let Err(failure) = self.step_functions.start(machine, name, input) {
            self.violation(&format!("an execution can't start: {failure}"));
        }
    }

    /// Delivers an event that requests a migration.
    pub fn request(&self, event: &Value) {
        self.note(format!("a request is delivered: {}", event["id"]));
        self.start_execution(START, None, event);
    }

    /// Starts a rollback.
    pub fn roll_back(&self, request: &Value) {
        self.note(format!("a rollback starts: {}", brief(request)));
        self.start_execution(ROLLBACK, None, request);
    }

    /// Starts a release.
    pub fn release(&self, request: &Value) {
        self.note(format!("a release starts: {}", brief(request)));
        self.start_execution(RELEASE, None, request);
    }

    /// Sets the state of the alarm. `ALARM` also sends its event.
    pub fn set_alarm(self: &Rc<Self>, state: &'static str) {
        self.note(format!("the alarm changes to {state}"));
        self.cloudwatch.set(ALARM, state);
        if state == "ALARM" {
            self.fire(ALARM);
        }
    }

    /// Sends the event of an alarm that fires now. EventBridge may deliver it more than once.
    pub(crate) fn fire(self: &Rc<Self>, alarm: &str) {
        self.alarms.set(self.alarms.get() + 1);
        let mut event = alarm_event(alarm, "ALARM", self.clock.now());
        event["id"] = json!(format!(
            "00000000-0000-4000-8000-{:012x}",
            self.alarms.get()
        ));
        self.deliver(move |world| world.send_alarm(&event));
    }

    /// Changes the zone as another writer.
    pub fn write(&self, what: &str, edit: impl FnOnce(&mut Vec<RecordSet>)) {
        self.note(what);
        self.route53.edit(edit);
    }

    /// Stops an execution, as a person does in the console.
    pub fn abort(&self, execution: &str) {
        if self.executions.is_running(execution) {
            self.note(format!("{execution} is aborted"));
            self.executions.abort(execution);
        }
    }

    /// Redrives an execution, as a person does in the console.
    pub fn redrive(&self, execution: &str) {
        let id = ExecutionId::new(MIGRATION, execution);
        if self.executions.is_running(execution) || self.executions.has_succeeded(execution) {
            return;
        }
        self.note(format!("{execution} is redriven"));
        self.executions.redrive(execution);
        lock(&self.oracle).running.insert(execution.to_owned());
        if let Err(failure) = self.step_functions.redrive(&id) {
            self.violation(&format!("{execution} can't be redriven: {failure}"));
        }
    }

    /// The token in the input of the watch that was started last for a migration, found as the runbook
    /// says. The one before may still run: it notices only at its next look that it was answered.
    pub fn token(&self, execution: &str) -> Option<String> {
        let mut watches = self.watches(execution);
        watches.retain(|(_, watch)| watch.end.is_none());
        let (_, last) = watches
            .into_iter()
            .max_by_key(|(_, watch)| watch.started_at)?;
        last.input["token"].as_str().map(str::to_owned)
    }

    /// Answers the token of the watch of a migration, if one runs.
    pub fn answer(&self, execution: &str, answer: Answer) {
        let Some(token) = self.token(execution) else {
            return;
        };
        self.note(format!("an operator answers {execution}: {answer:?}"));
        let failure = |error| Failure::new(error, "by an operator");
        // An error says that the migration has an answer already.
        let _ = match answer {
            Answer::Promote => self.step_functions.send_task_success(&token, &json!({})),
            Answer::Hold => self
                .step_functions
                .send_task_failure(&token, failure("Hold")),
            Answer::RollBack => self
                .step_functions
                .send_task_failure(&token, failure("RollBack")),
            Answer::Refuse => self
                .step_functions
                .send_task_failure(&token, failure("Refused")),
        };
    }

    /// Stops the watch of a migration, as a person does in the console.
    pub fn stop_watch(&self, execution: &str) {
        let executions = self.step_functions.executions();
        let watch = executions.iter().find(|(id, described)| {
            is_of(id, WATCH) && described.end.is_none() && described.input["execution"] == execution
        });
        if let Some((id, _)) = watch {
            self.note(format!("{} is stopped", id.name()));
            self.step_functions
                .stop(id, Failure::new("Stopped", "by a person"));
        }
    }

    /// Sets the annotations of ExternalDNS to the weights in the zone.
    pub fn update_annotations(&self) {
        self.note("the annotations get the weights in the zone");
        let live = self.route53.record_sets();
        let mut annotated = self.annotated.borrow().to_vec();
        for record_set in &mut annotated {
            let same = live.iter().find(|live| is_same(live, record_set));
            if let Some((_, weight)) = same.and_then(RecordSet::weighted)
                && record_set.weighted().is_some()
            {
                *record_set = record_set.with_weight(weight);
            }
        }
        *self.annotated.borrow_mut() = Arc::new(annotated);
    }

    /// Lets Step Functions answer from now on what was true up to this time ago.
    pub fn let_reads_lag(&self, longest: Duration, mut random: Rng) {
        self.longest_lag.set(longest);
        let lag = move || longest.mul_f64(random.f64());
        self.executions.lag(Box::new(lag));
    }

    /// Loses a change, if the call with this number asks for one.
    pub fn lose_change(&self, number: usize, is_stranded: bool) {
        lock(&self.oracle).may_write_again = true;
        let lost = Fault::LostChange { is_stranded };
        self.network.inject_fault(number, lost);
    }

    /// Loses the change for which is asked next but this number. Numbers count from 0.
    pub fn lose_change_asked_for(&self, number: usize, is_stranded: bool) {
        lock(&self.oracle).may_write_again = true;
        let lost = Fault::LostChange { is_stranded };
        self.network.inject_fault_into("GetChange", number, lost);
    }

    /// Deletes the load balancer of a side.
    pub fn remove_load_balancer(&self, side: &str) {
        self.note(format!("the load balancer of {side} is gone"));
        // The zone can't be as before any more.
        self.outside_writes.fetch_add(1, Ordering::Relaxed);
        let dns_name = alias(side)["DNSName"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        self.route53.remove_load_balancer(&dns_name);
        lock(&self.oracle).gone_targets.insert(dns_name);
    }

    /// Another writer changes the zone.
    pub fn write_as(&self, writer: Writer, name: &RecordName, weight: u8) {
        let annotated = self.annotated.borrow().clone();
        let edit = writer.edit(name.clone(), weight, annotated, self.outside_writes.clone());
        self.write(&format!("another writer: {writer:?} at {name}"), edit);
    }

    /// Makes every call of a function (such as `check-alarms`) or of an integration (such as
    /// `PutEvents`) fail with this error for a time.
    pub fn fail_calls(&self, target: &'static str, error: &str, time: Duration) {
        self.note(format!("{target} fails with {error}"));
        self.outages.borrow_mut().push(Outage {
            target,
            error: error.to_owned(),
            until: self.clock.elapsed().saturating_add(time),
        });
    }

    /// Ends all outages.
    pub fn end_outages(&self) {
        self.outages.borrow_mut().clear();
    }

    /// Lets something happen once, when an execution of this state machine next enters a state, before
    /// the state does anything.
    pub fn on_next(&self, machine: &'static str, state: &'static str, happens: fn(&Rc<Self>)) {
        self.reactions.borrow_mut().push(Reaction {
            machine,
            state,
            happens,
        });
    }

    fn react(self: &Rc<Self>, id: &ExecutionId, state: &str) {
        let matching: Vec<Reaction> = self
            .reactions
            .borrow_mut()
            .extract_if(.., |it| is_of(id, it.machine) && it.state == state)
            .collect();
        for reaction in matching {
            (reaction.happens)(self);
        }
    }

    /// The failure of a call during an outage.
    pub(crate) fn outage(&self, target: &str) -> Option<Failure> {
        let now = self.clock.elapsed();
        let outages = self.outages.borrow();
        let mut current = outages
            .iter()
            .filter(|outage| outage.target == target && now < outage.until);
        let failure = current
            .next()
            .map(|outage| Failure::new(&outage.error, "an outage of the history"));
        if failure.is_some() {
            self.disturb_looks();
        }
        failure
    }

    /// A call of Step Functions has failed, which may make the next look late.
    pub(crate) fn disturb_looks(&self) {
        self.looks.borrow_mut().disturb();
    }

    /// The executions of `watch` for a migration, with their descriptions.
    pub fn watches(&self, execution: &str) -> Vec<(ExecutionId, Description)> {
        let mut executions = self.step_functions.executions();
        executions.retain(|(id, described)| {
            is_of(id, WATCH) && described.input["execution"] == execution
        });
        executions
    }

    /// Ends an execution by its `TimeoutSeconds`.
    pub fn time_out(&self, execution: &str) {
        self.executions.time_out(execution);
    }

    /// Makes all later probes of the new side fail.
    pub fn become_unhealthy(&self) {
        self.note("the new side becomes unhealthy");
        self.is_healthy.set(false);
    }

    /// A status event of a migration arrives: it starts a notification, and a person answers a request
    /// for approval.
    pub(crate) fn on_status(self: &Rc<Self>, detail: &Value) {
        let text = |field: &str| detail[field].as_str().unwrap_or_default().to_owned();
        let (execution, status) = (text("execution"), text("status"));
        self.note(format!("status {status} of {execution}"));
        if detail["rollbackExecutionArn"].is_string() && status != "RollbackFailed" {
            self.check_report(&execution, &status);
        }
        self.notifications
            .borrow_mut()
            .push((execution.clone(), status.clone()));
        if status == "ApprovalRequested" {
            self.answer_approval(execution, text("taskToken"));
        }
        if !self.is_notifying.get() {
            return;
        }
        let event = json!({
            "version": "0", "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
            "detail-type": "Cutover Migration Status Change", "source": "cutover",
            "time": rfc3339(self.clock.now()), "detail": detail,
        });
        let world = self.clone();
        self.spawn(async move {
            world.clock.sleep(Duration::from_secs(1)).await;
            world.start_execution(NOTIFICATION, None, &event);
        });
    }

    /// A migration that is reported by a rollback must have ended, or wait for that rollback, or have
    /// given up waiting because the answer to the start of the rollback was lost. It may run again if
    /// it was redriven after the rollback stopped it. A rollback of names stops no execution that Step Functions
    /// does not show yet; its next shift finds that its journals are gone.
    fn check_report(&self, execution: &str, status: &str) {
        let executions = &self.executions;
        let shifts_nothing_more = [ROLLING_BACK, "Announce that the rollback failed"]
            .into_iter()
            .any(|state| executions.is_running_in(execution, state));
        let started_at = executions.started_at(execution);
        let shown_at = started_at.map(|at| at + self.longest_lag.get() + REPORTING);
        if executions.is_running(execution)
            && !shifts_nothing_more
            && executions.redrives(execution) == 0
            && shown_at.is_none_or(|at| at < self.network.now())
        {
            self.violation(&format!(
                "{execution} is reported as {status} while it runs"
            ));
        }
    }

    fn answer_approval(self: &Rc<Self>, execution: String, token: String) {
        let (after, approval) = (self.approvals.borrow_mut())();
        let world = self.clone();
        self.spawn(async move {
            world.clock.sleep(after).await;
            world.note(format!("{execution}: approval {approval:?}"));
            // An error says that nothing waits for this answer any more.
            let _ = match approval {
                Approval::Given => world
                    .step_functions
                    .send_task_success(&token, &json!({"by": "Ann: all is well"})),
                Approval::Refused => {
                    let refused = Failure::new("Refused", "by an operator");
                    world.step_functions.send_task_failure(&token, refused)
                }
                Approval::None => Ok(()),
            };
        });
    }

    /// An execution enters a state.
    pub(crate) fn on_enter(self: &Rc<Self>, id: &ExecutionId, state: &str, input: &JValue) {
        let name = id.name();
        self.note(format!("{}: {name}: {state}", id.machine_name()));
        let mut entered = self.entered.borrow_mut();
        entered.push((id.clone(), state.to_owned()));
        drop(entered);
        self.react(id, state);
        let now = self.clock.elapsed();
        if is_of(id, WATCH) {
            self.looks.borrow_mut().on_watch(id, state, input, now);
        }
        if !is_of(id, MIGRATION) {
            return;
        }
        let is_known = self.inputs.borrow().contains_key(name);
        if !is_known {
            // A request has started it.
            let described = self.step_functions.describe(id);
            self.register(name, &described.map(|it| it.input).unwrap_or_default());
        }
        let unwatched = self.looks.borrow_mut().on_migration(name, state, now);
        self.check_looks(unwatched);
        self.executions.enter(name, state);
        let reason = match state {
            "Note the failure" => input.get("Error").and_then(JValue::as_str),
            "Note that the completion failed" => Some(COMPLETION),
            _ => None,
        };
        if let Some(reason) = reason {
            let mut reasons = self.hold_reasons.borrow_mut();
            reasons.insert(name.to_owned(), reason.to_owned());
        }
    }

    /// An execution has ended by itself or was stopped.
    pub(crate) fn on_end(self: &Rc<Self>, id: &ExecutionId, end: &End) {
        let status = end.status();
        let failure = end.failure();
        let why = failure.map(ToString::to_string).unwrap_or_default();
        self.note(format!(
            "{}: {}: {status} {why}",
            id.machine_name(),
            id.name()
        ));
        let now = self.clock.elapsed();
        if is_of(id, WATCH) && !matches!(end, End::Succeeded(_)) {
            self.looks.borrow_mut().on_lost_watch(id, now);
        }
        if is_of(id, MIGRATION) {
            let unwatched = self.looks.borrow_mut().on_end(id.name(), now);
            self.check_looks(unwatched);
            match end {
                End::Succeeded(_) => self.executions.succeed(id.name()),
                End::Failed(failure) => {
                    self.executions
                        .fail(id.name(), &failure.error, &failure.cause);
                }
                End::TimedOut => self.executions.time_out(id.name()),
                End::Aborted(_) => {}
            }
        } else if is_of(id, ROLLBACK) {
            self.on_rollback_end(id, end);
        } else if is_of(id, RELEASE) && !matches!(end, End::Succeeded(_) | End::Failed(_)) {
            self.on_interrupted_release(id, status);
        }
    }

    fn check_looks(&self, unwatched: Result<(), String>) {
        if let Err(unwatched) = unwatched {
            self.violation(&unwatched);
        }
    }

    fn on_rollback_end(&self, id: &ExecutionId, end: &End) {
        let request = self.step_functions.describe(id).map(|it| it.input);
        let request = request.unwrap_or_default();
        let found = self.found.borrow_mut().remove(id).unwrap_or_default();
        if let End::Succeeded(_) = end {
            lock(&self.oracle).rolled_back.extend(found.iter().cloned());
        }
        if request["requestedBy"].is_null() {
            let failure = match end {
                End::Succeeded(_) => None,
                _ => end
                    .failure()
                    .cloned()
                    .or_else(|| Some(Failure::new(end.status(), ""))),
            };
            self.rollbacks.borrow_mut().push(RollbackEnd {
                request,
                executions: found.into_iter().map(|(name, _)| name).collect(),
                failure,
            });
        }
    }

    /// The rule for interrupted releases starts another release.
    fn on_interrupted_release(self: &Rc<Self>, id: &ExecutionId, status: &str) {
        let input = self.step_functions.describe(id).map(|it| it.input);
        let mut event = status_event(id.name(), status);
        set(&mut event, "/detail/executionArn", json!(id.arn()));
        let input = input.unwrap_or_default().to_string();
        set(&mut event, "/detail/input", json!(input));
        let world = self.clone();
        self.spawn(async move {
            world.clock.sleep(Duration::from_secs(1)).await;
            world.release(&event);
        });
    }

    /// A migration is described as ended: what of it still runs is stopped, and its status event may
    /// start a rollback.
    fn on_described_end(self: &Rc<Self>, name: &str, status: &str) {
        let error = self.executions.error(name).unwrap_or_default();
        let stopped = Failure::new(&error, "");
        let id = ExecutionId::new(MIGRATION, name);
        if status == "TIMED_OUT" {
            self.step_functions.time_out(&id);
        } else {
            self.step_functions.stop(&id, stopped);
        }
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
        event["detail"]["error"] = json!(error);
        self.deliver(move |world| world.roll_back(&event));
    }

    /// Delivers an event as often as EventBridge does.
    fn deliver(self: &Rc<Self>, arrive: impl Fn(&Rc<Self>) + Clone + 'static) {
        let delays = (self.deliveries.borrow_mut())();
        for delay in delays {
            let (world, arrive) = (self.clone(), arrive.clone());
            self.spawn(async move {
                world.clock.sleep(delay).await;
                arrive(&world);
            });
        }
    }

    /// Invokes a function for a Task of an execution.
    ///
    /// # Errors
    /// The error of the function, with a cause as Lambda writes it.
    pub(crate) async fn invoke_for(
        self: &Rc<Self>,
        id: &ExecutionId,
        arguments: &Value,
    ) -> Result<Value, Failure> {
        let name = arguments["FunctionName"].as_str().and_then(function_name);
        let function = match name {
            Some("probe") => Function::Probe,
            Some("shift-weight") => Function::ShiftWeight,
            Some("check-alarms") => Function::CheckAlarms,
            Some("rollback") => Function::Rollback,
            other => {
                let problem = format!("there is no function {other:?}");
                return Err(Failure::new("Lambda.ResourceNotFoundException", problem));
            }
        };
        if is_of(id, WATCH) {
            let now = self.clock.elapsed();
            let unwatched = self.looks.borrow_mut().on_observer(id, now);
            self.check_looks(unwatched);
        }
        let executions = self.inputs.borrow().keys().cloned().collect::<Vec<_>>();
        let redrives: BTreeMap<_, _> = executions
            .into_iter()
            .map(|name| (name.clone(), self.executions.redrives(&name)))
            .collect();
        let answer = match name.and_then(|name| self.outage(name)) {
            Some(failure) => Err(failure),
            None => self.invoke(function, arguments["Payload"].clone()).await,
        };
        if let Err(failure) = &answer {
            self.note(format!("{}: {failure}", id.name()));
        }
        let answer = answer?;
        if function == Function::Rollback {
            let executions = answer["executions"].as_array().into_iter().flatten();
            let executions = executions.filter_map(Value::as_str).map(|name| {
                let redrives = redrives.get(name).copied();
                (name.to_owned(), redrives.unwrap_or_default())
            });
            let mut found = self.found.borrow_mut();
            found.entry(id.clone()).or_default().extend(executions);
        }
        Ok(json!({"StatusCode": 200, "Payload": answer}))
    }

    /// Invokes a function as Step Functions does: in a process of its own, which continues even if the
    /// execution is stopped.
    pub(crate) async fn invoke(
        self: &Rc<Self>,
        function: Function,
        event: Value,
    ) -> Result<Value, Failure> {
        self.check_size(&event);
        let (sender, receiver) = oneshot::channel();
        let caller: Caller = Rc::new(Cell::new(Some(sender)));
        self.in_flight.borrow_mut().push(caller.clone());
        let world = self.clone();
        self.spawn(async move {
            let process = Process {
                work: Box::pin(world.handle(function, &event)),
                network: &world.network,
                error: "Lambda.Unknown",
            };
            let end = Box::pin(world.clock.sleep(function.longest_call()));
            let outcome = match select(process, end).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => Err(Failure::new("Sandbox.Timedout", "Task timed out")),
            };
            if let Ok(answer) = &outcome {
                world.check_size(answer);
            }
            // Without a receiver, the execution was stopped.
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

    /// Breaks the connections of Step Functions to all running functions. It invokes them again, while
    /// the first invocations continue.
    pub fn lose_invocations(&self) {
        self.note("the connections to the running functions are lost");
        for caller in self.in_flight.borrow().iter() {
            if let Some(sender) = caller.take() {
                let failure = Failure::new("Lambda.SdkClientException", "connection reset");
                // Without a receiver, the execution was stopped.
                let _ = sender.send(Err(failure));
            }
        }
    }

    fn check_size(&self, payload: &Value) {
        let size = payload.to_string().len();
        self.largest_payload
            .set(self.largest_payload.get().max(size));
        if size >= LARGEST_PAYLOAD {
            self.violation(&format!("a payload has {size} bytes"));
        }
    }

    async fn handle(&self, function: Function, event: &Value) -> Result<Value, Failure> {
        let (route53, executions) = (&*self.route53, &*self.executions);
        let keys = self.signing_keys.borrow().clone();
        let answer = match function {
            Function::ShiftWeight => {
                let settings = self.settings.borrow().clone();
                let resolver = &self.resolver;
                shift_weight::handle(event, route53, resolver, executions, &keys, &settings).await
            }
            Function::Rollback => {
                let idle = self.memories.borrow_mut().pop();
                // A process that dies takes its memory with it.
                let memory = idle.unwrap_or_default();
                let queue = Queue {
                    executions,
                    rollbacks: executions,
                    clock: &self.clock,
                    memory: &memory,
                };
                let answer = if rollback::has_messages(event) {
                    rollback::handle_messages(event, queue).await
                } else if rollback::is_sweep(event) {
                    let sweep =
                        rollback::sweep(event, route53, executions, executions, &keys, &memory);
                    sweep.await
                } else {
                    rollback::handle(event, route53, executions, &keys, &memory).await
                };
                self.memories.borrow_mut().push(memory);
                answer
            }
            Function::CheckAlarms => {
                let answer = check_alarms::handle(event, &self.cloudwatch).await;
                answer.map(|answer| serde_json::to_value(answer).unwrap_or_default())
            }
            Function::Probe => self.probe(event).await,
        };
        answer.map_err(|error| {
            // Step Functions takes the error from errorType, and the whole answer as the cause.
            let cause = json!({"errorType": error.name(), "errorMessage": error.to_string()});
            Failure::new(error.name(), cause.to_string())
        })
    }

    async fn probe(&self, event: &Value) -> Result<Value, Error> {
        let migration: Migration = migration::json::from_json(&event["migration"])?;
        let id: &HostedZoneId = &migration.hosted_zone_id;
        let names = migration.names.iter().cloned().collect();
        let zone = read_names(&*self.route53, id, names).await?;
        let has_record = |(name, sides): (&RecordName, Sides<SetIdentifier>)| {
            let mut live = zone.at(name).iter().filter_map(RecordSet::weighted);
            live.any(|(side, _)| *side == sides.to)
        };
        let mut names = migration.names.iter().zip(migration.identifiers()?);
        let verdict = if self.is_healthy.get() && names.all(has_record) {
            "pass"
        } else {
            "fail"
        };
        Ok(json!({"verdict": verdict, "reason": "set by the history"}))
    }
}

/// The process of a function. It dies at a call with a fault that kills it.
pub(crate) struct Process<'a, F> {
    pub(crate) work: Pin<Box<F>>,
    pub(crate) network: &'a Network,
    /// The error of its death.
    pub(crate) error: &'a str,
}

impl<T, F: Future<Output = Result<T, Failure>>> Future for Process<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.work.as_mut().poll(context);
        if polled.is_pending() && self.network.take_killed() {
            return Poll::Ready(Err(Failure::new(
                self.error,
                "the process ended without an answer",
            )));
        }
        polled
    }
}

/// EventBridge's event of a change of an alarm's state.
pub(crate) fn alarm_event(alarm: &str, state: &str, at: SystemTime) -> Value {
    let mut event = documented(ALARM_EVENT);
    set(&mut event, "/detail/alarmName", json!(alarm));
    set(&mut event, "/detail/state/value", json!(state));
    // CloudWatch writes the UTC offset without a colon.
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

/// Parses an event of AWS's documentation.
pub(crate) fn documented(event: &str) -> Value {
    serde_json::from_str(event).unwrap_or_default()
}

pub(crate) fn rfc3339(time: SystemTime) -> String {
    DateTime::from(time)
        .fmt(Format::DateTime)
        .unwrap_or_default()
}

fn set(event: &mut Value, pointer: &str, value: Value) {
    if let Some(field) = event.pointer_mut(pointer) {
        *field = value;
    }
}

fn is_of(id: &ExecutionId, machine_arn: &str) -> bool {
    machine_arn.rsplit(':').next() == Some(id.machine_name())
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
