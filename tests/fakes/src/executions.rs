//! Executions of the migration state machine, and starts of the rollback state machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use migration::Error;
use migration::executions::{EndedStatus, Execution, Executions, Listed, RollbackStarts, Status};
use serde_json::Value;

use crate::limits::StepFunctionsLimits;
use crate::network::Network;

/// Called with the name of an execution that has ended, and its status in Step Functions' spelling.
pub type OnEnd = Box<dyn Fn(&str, &str) + Send + Sync>;
/// Called with the name and the input of a rollback that is started.
pub type OnRollback = Box<dyn Fn(&str, &Value) + Send + Sync>;
/// Returns how old the answer of the next read is.
pub type Lag = Box<dyn FnMut() -> Duration + Send>;

#[derive(Default)]
pub struct FakeExecutions {
    network: Arc<Network>,
    /// The name of the stack, if it is not `cutover`.
    stack: Option<String>,
    on_end: Option<OnEnd>,
    on_rollback: Option<OnRollback>,
    executions: Mutex<BTreeMap<String, FakeExecution>>,
    /// The records that executions were rolled back, with the time of each.
    rollback_records: Mutex<BTreeMap<String, SystemTime>>,
    /// The names of the rollbacks that were started.
    rollbacks: Mutex<BTreeSet<String>>,
    limits: Mutex<Option<StepFunctionsLimits>>,
    lag: Mutex<Option<Lag>>,
}

struct FakeExecution {
    now: Seen,
    /// What it was before each change of its status, and when that change happened. The oldest is first.
    earlier: Vec<(SystemTime, Seen)>,
    state: Option<String>,
    /// The error with which it has failed, although it is still described as running.
    unseen_error: Option<String>,
}

/// What reads of an execution show.
#[derive(Clone)]
struct Seen {
    described: Execution,
    stopped_at: Option<SystemTime>,
}

impl FakeExecution {
    /// Changes its status at this time.
    fn change(&mut self, at: SystemTime) -> &mut Seen {
        self.earlier.push((at, self.now.clone()));
        &mut self.now
    }

    /// What it was at a time; none if it had not started.
    fn at(&self, time: SystemTime) -> Option<&Seen> {
        let earlier = self.earlier.iter().find(|(until, _)| time < *until);
        let seen = earlier.map_or(&self.now, |(_, seen)| seen);
        (seen.described.started_at <= time).then_some(seen)
    }
}

impl FakeExecutions {
    /// Executions with a shared network, and with a callback for every execution that ends.
    pub fn with_network(network: Arc<Network>, on_end: OnEnd) -> Self {
        Self {
            network,
            on_end: Some(on_end),
            ..Self::default()
        }
    }

    /// The same, with a callback for every rollback that is started.
    #[must_use]
    pub fn with_rollbacks(mut self, on_rollback: OnRollback) -> Self {
        self.on_rollback = Some(on_rollback);
        self
    }

    /// Limits the calls of the account from now on.
    pub fn limit(&self) {
        *self.limits.lock().unwrap() = Some(StepFunctionsLimits::new(self.network.now()));
    }

    /// The attempts that were throttled since the calls were limited.
    pub fn throttled(&self) -> u32 {
        let limits = self.limits.lock().unwrap();
        limits.as_ref().map_or(0, |limits| limits.throttled)
    }

    /// Lets `DescribeExecution` and `ListExecutions` answer from now on what was true some time ago. They are
    /// eventually consistent; `GetExecutionHistory`, `StartExecution` and `StopExecution` are not.
    ///
    /// Source: Step Functions API Reference, `DescribeExecution` and `ListExecutions`.
    pub fn lag(&self, lag: Lag) {
        *self.lag.lock().unwrap() = Some(lag);
    }

    /// The time whose state the next read shows.
    fn read_time(&self) -> SystemTime {
        let mut lag = self.lag.lock().unwrap();
        let lag = lag.as_mut().map(|lag| lag()).unwrap_or_default();
        self.network.now() - lag
    }

    /// The executions of another stack, whose ARNs are different.
    pub fn of_stack(stack: &str) -> Self {
        Self {
            stack: Some(stack.to_owned()),
            ..Self::default()
        }
    }

    pub fn start(&self, name: &str, input: Value) {
        let described = Execution {
            status: Status::Running,
            started_at: self.network.now(),
            redriven_at: None,
            redrive_count: 0,
            error: None,
            cause: None,
            input,
        };
        let execution = FakeExecution {
            now: Seen {
                described,
                stopped_at: None,
            },
            earlier: Vec::new(),
            state: None,
            unseen_error: None,
        };
        self.lock().insert(name.to_owned(), execution);
    }

    /// Ends an execution as an operator does who stops it in the console.
    pub fn abort(&self, name: &str) {
        self.end(name, "ABORTED", None, None);
    }

    pub fn time_out(&self, name: &str) {
        self.end(name, "TIMED_OUT", None, None);
    }

    pub fn fail(&self, name: &str, error: &str, cause: &str) {
        self.end(name, "FAILED", Some(error), Some(cause));
    }

    /// Fails an execution, but describes it as running until `StopExecution` is called: Step Functions'
    /// reads are eventually consistent.
    pub fn fail_while_described_as_running(&self, name: &str, error: &str) {
        if let Some(execution) = self.lock().get_mut(name) {
            execution.unseen_error = Some(error.to_owned());
        }
    }

    pub fn enter(&self, name: &str, state: &str) {
        if let Some(execution) = self.lock().get_mut(name) {
            execution.state = Some(state.to_owned());
        }
    }

    pub fn succeed(&self, name: &str) {
        self.end(name, "SUCCEEDED", None, None);
    }

    pub fn redrive(&self, name: &str) {
        if let Some(execution) = self.lock().get_mut(name) {
            let now = self.network.now();
            let Seen {
                described,
                stopped_at,
            } = execution.change(now);
            described.status = Status::Running;
            described.redriven_at = Some(now);
            described.redrive_count += 1;
            *stopped_at = None;
        }
    }

    /// How often an execution was redriven.
    pub fn redrives(&self, name: &str) -> u32 {
        let executions = self.lock();
        let execution = executions.get(name);
        execution.map_or(0, |execution| execution.now.described.redrive_count)
    }

    /// Makes a call, within the limits, as the SDK does.
    async fn call<T>(
        &self,
        action: &'static str,
        carry_out: impl FnOnce() -> T + Send,
    ) -> Result<T, Error> {
        for attempt in 0.. {
            let wait = {
                let mut limits = self.limits.lock().unwrap();
                let now = self.network.now();
                let taken = limits.as_mut().map(|it| it.take(now, action, attempt));
                taken.transpose()?.flatten()
            };
            match wait {
                Some(wait) => self.network.sleep(wait).await,
                None => break,
            }
        }
        self.network.call(action, |_| Ok(carry_out())).await
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, FakeExecution>> {
        self.executions.lock().unwrap()
    }

    fn end(&self, name: &str, status: &str, error: Option<&str>, cause: Option<&str>) {
        if let Some(execution) = self.lock().get_mut(name)
            && execution.now.described.is_running()
        {
            let now = self.network.now();
            let Seen {
                described,
                stopped_at,
            } = execution.change(now);
            described.error = error.map(str::to_owned);
            described.cause = cause.map(str::to_owned);
            let ended_as = match status {
                "FAILED" => Some(EndedStatus::Failed),
                "ABORTED" => Some(EndedStatus::Aborted),
                "TIMED_OUT" => Some(EndedStatus::TimedOut),
                _ => None,
            };
            described.status = ended_as.map_or(Status::Succeeded, Status::Unsuccessful);
            *stopped_at = Some(now);
        } else {
            return;
        }
        if let Some(on_end) = &self.on_end {
            on_end(name, status);
        }
    }

    pub fn is_running(&self, name: &str) -> bool {
        self.lock()
            .get(name)
            .is_some_and(|execution| execution.now.described.is_running())
    }

    /// Whether an execution is running and in this state.
    pub fn is_running_in(&self, name: &str, state: &str) -> bool {
        self.lock().get(name).is_some_and(|execution| {
            execution.now.described.is_running() && execution.state.as_deref() == Some(state)
        })
    }

    pub fn has_succeeded(&self, name: &str) -> bool {
        self.lock()
            .get(name)
            .is_some_and(|execution| execution.now.described.status == Status::Succeeded)
    }

    fn listed(&self, is_listed: impl Fn(&Seen) -> bool) -> Vec<Listed> {
        let time = self.read_time();
        let executions = self.lock();
        let seen = executions
            .iter()
            .filter_map(|(name, it)| Some((name, it.at(time)?)));
        let listed = seen.filter(|(_, seen)| is_listed(seen));
        let listed = listed.map(|(name, seen)| Listed {
            name: name.clone(),
            started_at: seen.described.started_at,
            status: seen.described.status,
            redrive_count: seen.described.redrive_count,
            stopped_at: seen.stopped_at,
        });
        listed.collect()
    }

    /// Removes an execution, as Step Functions does 90 days after its end.
    ///
    /// Source: Step Functions Developer Guide, "Step Functions service quotas", "Execution history retention time".
    pub fn expire(&self, name: &str) {
        self.lock().remove(name);
    }

    pub fn started_at(&self, name: &str) -> Option<SystemTime> {
        Some(self.lock().get(name)?.now.described.started_at)
    }

    /// Changes the input of an execution, which AWS does not permit.
    pub fn set_input(&self, name: &str, input: Value) {
        if let Some(execution) = self.lock().get_mut(name) {
            execution.now.described.input = input;
        }
    }

    /// The error with which an execution ended.
    pub fn error(&self, name: &str) -> Option<String> {
        self.lock().get(name)?.now.described.error.clone()
    }
}

impl Executions for FakeExecutions {
    fn arn(&self, name: &str) -> String {
        let stack = self.stack.as_deref().unwrap_or("cutover");
        format!("arn:aws:states:eu-west-3:111122223333:execution:{stack}-migration:{name}")
    }

    async fn describe(&self, name: &str) -> Result<Option<Execution>, Error> {
        let describe = || {
            let time = self.read_time();
            let executions = self.lock();
            let seen = executions.get(name).and_then(|it| it.at(time));
            seen.map(|seen| seen.described.clone())
        };
        self.call("DescribeExecution", describe).await
    }

    async fn list_running(&self) -> Result<Vec<Listed>, Error> {
        let list = || self.listed(|seen| seen.described.is_running());
        self.call("ListExecutions", list).await
    }

    async fn list_latest(&self) -> Result<Vec<Listed>, Error> {
        self.call("ListExecutions", || self.listed(|_| true)).await
    }

    async fn list_ended(
        &self,
        status: EndedStatus,
        stopped_since: Option<SystemTime>,
    ) -> Result<Vec<Listed>, Error> {
        let list = || {
            self.listed(|seen| {
                seen.described.status == Status::Unsuccessful(status)
                    && stopped_since.is_none_or(|since| seen.stopped_at >= Some(since))
            })
        };
        self.call("ListExecutions", list).await
    }

    async fn state(&self, name: &str) -> Result<Option<String>, Error> {
        let state = || self.lock().get(name).and_then(|it| it.state.clone());
        self.call("GetExecutionHistory", state).await
    }

    async fn stop(&self, name: &str, error: &str, cause: &str) -> Result<(), Error> {
        let stop = || {
            let unseen_error = self.lock().get(name).and_then(|it| it.unseen_error.clone());
            match unseen_error {
                Some(unseen_error) => self.fail(name, &unseen_error, ""),
                None => self.end(name, "ABORTED", Some(error), Some(cause)),
            }
        };
        self.call("StopExecution", stop).await
    }

    async fn record_rollback(&self, record: &str) -> Result<(), Error> {
        let start = || {
            let mut records = self.rollback_records.lock().unwrap();
            let now = self.network.now();
            records.entry(record.to_owned()).or_insert(now);
        };
        self.call("StartExecution", start).await
    }

    async fn is_rollback_recorded(&self, record: &str) -> Result<bool, Error> {
        let describe = || {
            let time = self.read_time();
            let records = self.rollback_records.lock().unwrap();
            records.get(record).is_some_and(|since| *since <= time)
        };
        self.call("DescribeExecution", describe).await
    }
}

impl RollbackStarts for FakeExecutions {
    async fn start_rollback(&self, name: &str, input: &Value) -> Result<(), Error> {
        let start = || {
            let is_new = self.rollbacks.lock().unwrap().insert(name.to_owned());
            if is_new && let Some(on_rollback) = &self.on_rollback {
                on_rollback(name, input);
            }
        };
        self.call("StartExecution", start).await
    }
}
