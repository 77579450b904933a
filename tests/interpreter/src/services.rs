//! What an execution needs from outside: the time, chance, and the services that its Tasks call.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use jsonata_core::value::JValue;
use serde_json::Value;

use crate::failure::Failure;
use crate::step_functions::{End, ExecutionId};

pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// The world of the executions. It is called from one thread.
pub trait Services {
    fn now(&self) -> SystemTime;

    /// A time as `$now()` and the context object write it.
    fn format(&self, time: SystemTime) -> String;

    fn sleep(&self, time: Duration) -> LocalFuture<'static, ()>;

    /// A number from 0 up to 1.
    fn random(&self) -> f64;

    fn uuid(&self) -> String;

    /// Calls a service other than Step Functions, for a Task of `execution`. `integration` is the
    /// resource of the Task without `arn:<partition>:states:::`, such as `lambda:invoke`.
    ///
    /// # Errors
    /// The error of the service, as Retry and Catch see it.
    fn call<'a>(
        &'a self,
        execution: &'a ExecutionId,
        integration: &'a str,
        arguments: Value,
    ) -> LocalFuture<'a, Result<Value, Failure>>;

    /// Makes a call of Step Functions' own API meet the faults of the network. `action` is the name of
    /// the API action, such as `StartExecution`.
    fn reach(&self, action: &'static str) -> LocalFuture<'_, Arrival>;

    /// An execution enters a state, which is not in a branch of a Parallel state, with this input.
    fn on_enter(&self, execution: &ExecutionId, state: &str, input: &JValue);

    /// An execution has ended.
    fn on_end(&self, execution: &ExecutionId, end: &End);

    /// Whether [`record`](Self::record) is to be called.
    fn is_recording(&self) -> bool {
        false
    }

    /// An expression was evaluated, with these variables. Without a result it failed.
    fn record(&self, _expression: &str, _variables: &JValue, _result: Option<&JValue>) {}
}

/// The outcome of a call on the network.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Whether the call arrived, and so is carried out.
    pub is_carried_out: bool,
    /// The answer of the caller: a failure also if only the answer was lost.
    pub answer: Result<(), Failure>,
}

impl Arrival {
    /// A call without faults.
    pub const CLEAN: Self = Self {
        is_carried_out: true,
        answer: Ok(()),
    };
}
