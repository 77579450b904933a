//! `cutover approve`, `refuse`, `promote` and `hold`: answers a migration in the place of what watches it.

use aws_sdk_sfn::error::ProvideErrorMetadata as _;
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::json;

use super::arguments;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::stack::{Machine, Stack};
use super::watches::{self, Watch};

/// What an operator answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    Approve,
    Refuse,
    Promote,
    Hold,
}

impl Answer {
    fn is_of_an_approval(self) -> bool {
        matches!(self, Self::Approve | Self::Refuse)
    }

    /// What follows, for people.
    fn effect(self) -> &'static str {
        match self {
            Self::Approve | Self::Promote => "goes on after one more passing health check",
            Self::Refuse => "rolls back, or holds if its onRefusal is hold",
            Self::Hold => {
                "holds: weights and journals stay as they are, and only its alarms still watch it"
            }
        }
    }

    fn done(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Refuse => "refused",
            Self::Promote => "promoted",
            Self::Hold => "held",
        }
    }
}

pub(crate) async fn run(
    answer: Answer,
    given: &arguments::Answer,
    stack: &Stack,
    output: Output,
) -> Result<Exit, Failure> {
    let execution = stack.execution(Machine::Migration, &given.execution);
    let name = execution.name();
    let described = stack.describe(Machine::Migration, &execution).await?;
    if *described.status() != ExecutionStatus::Running {
        let message = format!(
            "{name} is not running: it ended as {}. `{}` shows how, and what can be done",
            described.status().as_str(),
            stack.command(&format!("status {name}"))
        );
        return Err(Failure::new(Exit::NothingToAnswer, message));
    }
    let inputs = watches::inputs(stack).await?;
    let Some(watch) = watches::find(&inputs, execution.arn()) else {
        let message = format!(
            "{name} waits for no answer now: it has not shifted yet, or is about to change its state. Repeat the \
             command in some seconds, or stop it with `{}`",
            stack.command(&format!("rollback --execution {name}"))
        );
        return Err(Failure::new(Exit::NothingToAnswer, message));
    };
    if answer.is_of_an_approval() && watch.phase != "approval" {
        let message = format!(
            "{name} waits for no approval now: it is in the phase {} at {} percent. To end this step early and \
             approve it, run `{}`",
            watch.phase,
            percent(&watch),
            stack.command(&format!("promote {name}"))
        );
        return Err(Failure::new(Exit::NothingToAnswer, message));
    }
    send(answer, given.by.as_deref(), &watch, stack, name).await?;
    let text = format!(
        "{} {name} at {} percent; it {}",
        answer.done(),
        percent(&watch),
        answer.effect()
    );
    let json = json!({
        "execution": name,
        "executionArn": execution.arn(),
        "answer": answer.done(),
        "phase": watch.phase,
        "percent": watch.percent,
    });
    output.print(&text, &json);
    Ok(Exit::Done)
}

fn percent(watch: &Watch) -> String {
    watch
        .percent
        .map_or_else(|| "?".to_owned(), |percent| percent.to_string())
}

/// Sends the answer with the task token of the migration.
async fn send(
    answer: Answer,
    by: Option<&str>,
    watch: &Watch,
    stack: &Stack,
    name: &str,
) -> Result<(), Failure> {
    let client = stack.step_functions();
    let token = watch.token.secret();
    let (code, mut failure) = match answer {
        Answer::Approve | Answer::Promote => {
            let said = by.map_or_else(|| json!({}), |by| json!({ "by": by }));
            let answer = client.send_task_success().task_token(token);
            let Err(error) = answer.output(said.to_string()).send().await else {
                return Ok(());
            };
            let code = error.code().map(str::to_owned);
            let permission = "states:SendTaskSuccess";
            (code, stack.failure(permission, Machine::Migration, error))
        }
        Answer::Refuse | Answer::Hold => {
            let error = match answer {
                Answer::Hold => "Hold",
                _ => "Refused",
            };
            let answer = client.send_task_failure().task_token(token).error(error);
            let Err(error) = answer.set_cause(by.map(str::to_owned)).send().await else {
                return Ok(());
            };
            let code = error.code().map(str::to_owned);
            let permission = "states:SendTaskFailure";
            (code, stack.failure(permission, Machine::Migration, error))
        }
    };
    if matches!(code.as_deref(), Some("TaskDoesNotExist" | "TaskTimedOut")) {
        let status = stack.command(&format!("status {name}"));
        let message = format!(
            "the answer came late: {name} has just gone on to another state. Look at `{status}`, then repeat the \
             command"
        );
        return Err(Failure::new(Exit::NothingToAnswer, message));
    }
    failure.message = failure.message.replace(token, "(task token)");
    Err(failure)
}
