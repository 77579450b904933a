//! What the interpreter takes from AWS, each rule shown by a small definition and its outcome.
//!
//! | module | content |
//! |---|---|
//! | `account` | the services of a test, on a virtual clock |
//! | `variables`, `choices`, `parallel` | Assign, Output, the order of rules, the scope of variables |
//! | `errors` | failed expressions, Retry, Catch |
//! | `children`, `tokens` | executions that start others, and that wait for an answer |
//! | `ends` | time-outs, StopExecution, redrive |
//! | `limits` | the size of payloads, the number of events |
//! | `refusals`, `functions` | what is no definition, and Step Functions' own functions |

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what a test did not expect shall fail it"
)]

mod account;
mod children;
mod choices;
mod ends;
mod errors;
mod functions;
mod limits;
mod parallel;
mod refusals;
mod tokens;
mod variables;
