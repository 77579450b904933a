//! `cutover start`, and what it has in common with `rollback` and `release`.

use cutover::Execution;
use serde_json::json;

use super::arguments::{Start, Wait};
use super::exit::{Exit, Failure};
use super::follow::{View, follow};
use super::input::Input;
use super::output::Output;
use super::stack::{Machine, Stack};

pub(crate) async fn run(start: &Start, stack: &Stack, output: Output) -> Result<Exit, Failure> {
    let input = Input::read(&start.input)?.text;
    let name = start.execution_name.as_deref();
    let execution = stack.start(Machine::Migration, name, input).await?;
    let next = format!("status {} --watch", execution.name());
    let next = format!("`{}` shows it", stack.command(&next));
    started(
        stack,
        Machine::Migration,
        execution,
        &next,
        &start.wait,
        output,
    )
    .await
}

/// Says that an execution was started, or shows it until it ends.
pub(crate) async fn started(
    stack: &Stack,
    machine: Machine,
    execution: Execution,
    next: &str,
    wait: &Wait,
    output: Output,
) -> Result<Exit, Failure> {
    let (name, arn) = (execution.name(), execution.arn());
    let text = format!("started {name} ({arn})");
    if !wait.wait {
        let json = json!({ "execution": name, "executionArn": arn });
        output.print(&format!("{text}\n{next}"), &json);
        return Ok(Exit::Done);
    }
    if !output.is_json() {
        output.print(&text, &json!(null));
    }
    let view = View {
        output,
        prints_updates: false,
        timeout: wait.timeout(),
    };
    follow(stack, machine, execution, &view).await
}
