//! `cutover plan`: a dry run.

use serde_json::Value;

use super::arguments::Plan;
use super::exit::{Exit, Failure};
use super::follow::result;
use super::input::Input;
use super::outcome;
use super::output::Output;
use super::stack::{Machine, Stack};

pub(crate) async fn run(plan: &Plan, stack: &Stack, output: Output) -> Result<Exit, Failure> {
    let input = Input::read(&plan.input)?.of_dry_run()?;
    let execution = stack.start(Machine::Migration, None, input).await?;
    let ended = stack.wait(&execution).await?;
    let exit = outcome::exit(Machine::Migration, &ended);
    if exit == Exit::Done {
        output.print(&summary(&ended.output), &ended.output);
    } else {
        let json = result(execution.name(), execution.arn(), &ended);
        output.print(&outcome::sentence("the plan", &ended), &json);
    }
    Ok(exit)
}

/// The plan as lines of text.
pub(crate) fn summary(plan: &Value) -> String {
    let lines = plan.get("summary").and_then(Value::as_array);
    let lines = lines.into_iter().flatten().filter_map(Value::as_str);
    lines.collect::<Vec<_>>().join("\n")
}
