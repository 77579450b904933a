//! Executions of the migration state machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use migration::Error;
use migration::executions::{EndedStatus, Execution, Executions, Listed, Status};
use serde_json::Value;

use crate::network::Network;

/// Called with the name of an execution that has ended, and its status in Step Functions' spelling.
pub type OnEnd = Box<dyn Fn(&str, &str) + Send + Sync>;

#[derive(Default)]
pub struct FakeExecutions {
    network: Arc<Network>,
    /// The name of the stack, if it is not `cutover`.
    stack: Option<String>,
    on_end: Option<OnEnd>,
    executions: Mutex<BTreeMap<String, FakeExecution>>,
    rollback_records: Mutex<BTreeSet<String>>,
}

struct FakeExecution {
    described: Execution,
    state: Option<String>,
    /// The error with which it has failed, although it is still described as running.
    unseen_error: Option<String>,
    /// When it ended, and as what.
    ended: Option<(SystemTime, EndedStatus)>,
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

    /// The executions of another stack, whose ARNs are different.
    pub fn of_stack(stack: &str) -> Self {
        Self {
            stack: Some(stack.to_owned()),
            ..Self::default()
        }
    }

    pub fn start(&self, name: &str, input: Value) {
        let execution = FakeExecution {
            described: Execution {
                status: Status::Running,
                started_at: self.network.now(),
                redriven_at: None,
                redrive_count: 0,
                error: None,
                cause: None,
                input,
            },
            state: None,
            unseen_error: None,
            ended: None,
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
            execution.described.status = Status::Running;
            execution.described.redriven_at = Some(self.network.now());
            execution.described.redrive_count += 1;
            execution.ended = None;
        }
    }

    /// Whether an execution was redriven at least once.
    pub fn is_redriven(&self, name: &str) -> bool {
        let executions = self.lock();
        let execution = executions.get(name);
        execution.is_some_and(|execution| execution.described.redrive_count > 0)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, FakeExecution>> {
        self.executions.lock().unwrap()
    }

    fn end(&self, name: &str, status: &str, error: Option<&str>, cause: Option<&str>) {
        if let Some(execution) = self.lock().get_mut(name)
            && execution.described.is_running()
        {
            execution.described.status = match status {
                "SUCCEEDED" => Status::Succeeded,
                _ => Status::Unsuccessful,
            };
            execution.described.error = error.map(str::to_owned);
            execution.described.cause = cause.map(str::to_owned);
            let ended_as = match status {
                "FAILED" => Some(EndedStatus::Failed),
                "ABORTED" => Some(EndedStatus::Aborted),
                "TIMED_OUT" => Some(EndedStatus::TimedOut),
                _ => None,
            };
            execution.ended = ended_as.map(|status| (self.network.now(), status));
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
            .is_some_and(|execution| execution.described.is_running())
    }

    /// Whether an execution is running and in this state.
    pub fn is_running_in(&self, name: &str, state: &str) -> bool {
        self.lock().get(name).is_some_and(|execution| {
            execution.described.is_running() && execution.state.as_deref() == Some(state)
        })
    }

    pub fn has_succeeded(&self, name: &str) -> bool {
        self.lock()
            .get(name)
            .is_some_and(|execution| execution.described.status == Status::Succeeded)
    }

    fn listed(&self, is_listed: impl Fn(&FakeExecution) -> bool) -> Vec<Listed> {
        let executions = self.lock();
        let listed = executions.iter().filter(|(_, it)| is_listed(it));
        let listed = listed.map(|(name, execution)| Listed {
            name: name.clone(),
            started_at: execution.described.started_at,
            stopped_at: execution.ended.map(|(at, _)| at),
        });
        listed.collect()
    }

    pub fn started_at(&self, name: &str) -> Option<SystemTime> {
        Some(self.lock().get(name)?.described.started_at)
    }

    /// Changes the input of an execution, which AWS does not permit.
    pub fn set_input(&self, name: &str, input: Value) {
        if let Some(execution) = self.lock().get_mut(name) {
            execution.described.input = input;
        }
    }

    /// The error with which an execution ended.
    pub fn error(&self, name: &str) -> Option<String> {
        self.lock().get(name)?.described.error.clone()
    }
}

impl Executions for FakeExecutions {
    fn arn(&self, name: &str) -> String {
        let stack = self.stack.as_deref().unwrap_or("cutover");
        format!("arn:aws:states:eu-west-3:111122223333:execution:{stack}-migration:{name}")
    }

    async fn describe(&self, name: &str) -> Result<Option<Execution>, Error> {
        let describe = |_| Ok(self.lock().get(name).map(|it| it.described.clone()));
        self.network.call("DescribeExecution", describe).await
    }

    async fn list_running(&self) -> Result<Vec<Listed>, Error> {
        let list = |_| Ok(self.listed(|execution| execution.described.is_running()));
        self.network.call("ListExecutions", list).await
    }

    async fn list_ended(
        &self,
        status: EndedStatus,
        stopped_since: Option<SystemTime>,
    ) -> Result<Vec<Listed>, Error> {
        let list = |_| {
            Ok(self.listed(|execution| {
                execution.ended.is_some_and(|(at, ended_as)| {
                    ended_as == status && stopped_since.is_none_or(|since| at >= since)
                })
            }))
        };
        self.network.call("ListExecutions", list).await
    }

    async fn state(&self, name: &str) -> Result<Option<String>, Error> {
        let state = |_| Ok(self.lock().get(name).and_then(|it| it.state.clone()));
        self.network.call("GetExecutionHistory", state).await
    }

    async fn stop(&self, name: &str, error: &str, cause: &str) -> Result<(), Error> {
        let stop = |_| {
            let unseen_error = self.lock().get(name).and_then(|it| it.unseen_error.clone());
            match unseen_error {
                Some(unseen_error) => self.fail(name, &unseen_error, ""),
                None => self.end(name, "ABORTED", Some(error), Some(cause)),
            }
            Ok(())
        };
        self.network.call("StopExecution", stop).await
    }

    async fn record_rollback(&self, record: &str) -> Result<(), Error> {
        let start = |_| {
            self.rollback_records
                .lock()
                .unwrap()
                .insert(record.to_owned());
            Ok(())
        };
        self.network.call("StartExecution", start).await
    }

    async fn is_rollback_recorded(&self, record: &str) -> Result<bool, Error> {
        let describe = |_| Ok(self.rollback_records.lock().unwrap().contains(record));
        self.network.call("DescribeExecution", describe).await
    }
}
