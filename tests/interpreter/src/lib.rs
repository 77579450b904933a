//! Step Functions in memory: runs the project's state machine definitions on a virtual clock, with the
//! semantics and limits of AWS.
//!
//! A caller parses the definitions ([`Machine::parse`]), implements what the executions need from
//! outside ([`Services`]), and starts executions with [`StepFunctions::start`].
//!
//! | module | content |
//! |---|---|
//! | `definition` | the Amazon States Language, parsed |
//! | `expression`, `environment`, `functions` | JSONata, what it can read, and Step Functions' own functions |
//! | `execution` | one execution, from state to state: Assign, Output, Choice, Retry, Catch, Parallel |
//! | `step_functions`, `integration`, `tokens` | start, stop, redrive, time-outs, task tokens, executions that wait for others |
//! | `history` | the count of events |
//! | `services` | the time, chance, and other services |
//!
//! JSONata is evaluated by the crate `jsonata-core`. Where AWS's documentation is silent, this is
//! chosen: the error of a lost heartbeat is `States.HeartbeatTimeout`; the arguments of a Task are
//! evaluated again for each attempt; an error without a name or a cause has no such field in
//! `$states.errorOutput`; a redriven execution enters its state again.

mod definition;
mod environment;
mod execution;
mod expression;
mod failure;
mod functions;
mod history;
mod integration;
mod services;
mod step_functions;
mod tokens;
mod values;

pub use definition::{DefinitionError, Edge, Machine};
pub use expression::{Expression, Template};
pub use failure::{Failure, LARGEST_PAYLOAD};
pub use history::MOST_EVENTS;
pub use jsonata_core::value::JValue;
pub use services::{Arrival, LocalFuture, Services};
pub use step_functions::{Description, End, ExecutionId, StepFunctions};
