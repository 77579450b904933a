//! `cutover`: plans, starts, follows, answers, rolls back and releases migrations, and tests a deployed stack.
//!
//! It only starts, reads and answers executions of Step Functions, and reads the zone, as the console does. What
//! a migration does and refuses is decided by the state machines. Only the self-test makes anything itself: scratch
//! records, an alarm and a queue, which it removes.

mod command;

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    command::main().await
}
