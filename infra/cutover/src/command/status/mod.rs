//! `cutover status`: what runs, and what can be done now.

mod migration;
mod text;

use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus};
use aws_smithy_types::DateTime;
use serde_json::{Value, json};

use self::migration::{Following, Migration};
use super::arguments::Status;
use super::exit::{Exit, Failure};
use super::follow::{View, follow};
use super::output::Output;
use super::stack::{Machine, Stack};
use super::watches;

/// The most running migrations that are shown.
const MOST_RUNNING: i32 = 10;
/// How many of the migrations that ended last are shown.
const MOST_ENDED: usize = 5;

pub(crate) async fn run(status: &Status, stack: &Stack, output: Output) -> Result<Exit, Failure> {
    match (&status.execution, status.watch) {
        (Some(execution), true) => watch(stack, execution, output).await,
        (None, true) => {
            let running = only_running(stack).await?;
            watch(stack, &running, output).await
        }
        (Some(execution), false) => {
            let inputs = watches::inputs(stack).await?;
            let migration = Migration::read(stack, execution, &inputs).await?;
            let text = text::block(&migration, now(), &|command| stack.command(command));
            output.print(
                &text,
                &text::json(&migration, &|command| stack.command(command)),
            );
            Ok(Exit::Done)
        }
        (None, false) => all(stack, output).await,
    }
}

async fn watch(stack: &Stack, execution: &str, output: Output) -> Result<Exit, Failure> {
    let view = View {
        output,
        prints_updates: true,
        timeout: None,
    };
    let execution = stack.execution(Machine::Migration, execution);
    follow(stack, Machine::Migration, execution, &view).await
}

/// The ARN of the only migration that is running.
async fn only_running(stack: &Stack) -> Result<String, Failure> {
    let status = Some(ExecutionStatus::Running);
    let running = stack
        .executions(Machine::Migration, status, MOST_RUNNING)
        .await?;
    let names: Vec<_> = running.iter().map(ExecutionListItem::name).collect();
    match running.as_slice() {
        [only] => Ok(only.execution_arn().to_owned()),
        [] => {
            let message = format!("no migration of {} is running", stack.title());
            Err(Failure::new(Exit::NothingToAnswer, message))
        }
        _ => {
            let message = format!(
                "{} migrations of {} are running: give the name of one: {}",
                names.len(),
                stack.title(),
                names.join(", ")
            );
            Err(Failure::new(Exit::NothingToAnswer, message))
        }
    }
}

/// The running migrations, and the last ones that ended.
async fn all(stack: &Stack, output: Output) -> Result<Exit, Failure> {
    let status = Some(ExecutionStatus::Running);
    let running = stack
        .executions(Machine::Migration, status, MOST_RUNNING)
        .await?;
    let inputs = watches::inputs(stack).await?;
    let mut migrations = Vec::new();
    for item in &running {
        migrations.push(Migration::read(stack, item.execution_arn(), &inputs).await?);
    }
    let last = stack.executions(Machine::Migration, None, 100).await?;
    let ended = last
        .iter()
        .filter(|item| *item.status() != ExecutionStatus::Running)
        .take(MOST_ENDED);
    let mut ends = Vec::new();
    for item in ended {
        ends.push(Migration::read_end(stack, item).await?);
    }
    let mut others = Vec::new();
    for machine in [Machine::Rollback, Machine::Release] {
        let status = Some(ExecutionStatus::Running);
        let running = stack.executions(machine, status, MOST_RUNNING).await?;
        others.extend(running.iter().map(|item| Following::running(machine, item)));
    }
    let command = |command: &str| stack.command(command);
    let overview = text::Overview {
        title: &stack.title(),
        running: &migrations,
        others: &others,
        ended: &ends,
    };
    let text = overview.text(now(), &command);
    let objects = |migrations: &[Migration]| {
        let objects = migrations.iter().map(|it| text::json(it, &command));
        Value::Array(objects.collect())
    };
    let others: Vec<_> = others.iter().map(text::json_of_following).collect();
    let json = json!({
        "running": objects(&migrations),
        "rollbacksAndReleases": others,
        "ended": objects(&ends),
    });
    output.print(&text, &json);
    Ok(Exit::Done)
}

fn now() -> DateTime {
    DateTime::from(std::time::SystemTime::now())
}
