//! Removes what a self-test has made. All of it is found by its name, so a later self-test can remove what one that was
//! killed has left.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use aws_sdk_sfn::types::ExecutionStatus;
use aws_sdk_sqs::operation::delete_queue::DeleteQueueError;
use cutover::Execution;
use migration::plan::SELF_TEST_LABEL;
use serde_json::{Value, json};

use super::super::stack::{Machine, Stack};
use super::run::{EXECUTIONS, is_made_by};
use super::scratch::Scratch;

const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The longest time that a migration takes to stop after its rollback was started.
const LONGEST_STOP: Duration = Duration::from_mins(2);
/// A page of `ListExecutions`. Far more than there are migrations at once.
const MOST_RUNNING: i32 = 1_000;
const REASON: &str = "cutover self-test cleans up";

/// What is to be removed.
pub(crate) struct CleanUp<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) scratch: &'a Scratch,
    /// The run that made it; none for all runs.
    pub(crate) run: Option<&'a str>,
    /// The beginning of the names of alarms, or why it is not known.
    pub(crate) alarms: Result<String, String>,
    /// The beginning of the names of queues.
    pub(crate) queues: String,
    /// The topic that the queues are subscribed to, or why it is not known.
    pub(crate) topic: Result<String, String>,
}

impl CleanUp<'_> {
    /// Removes everything, and goes on when a part of it fails.
    pub(crate) async fn run(&self) -> Result<String> {
        // First what still writes records.
        let stopped = Box::pin(self.stop_migrations()).await;
        let (records, alarms, subscriptions, queues) = tokio::join!(
            Box::pin(self.scratch.delete_all(self.run.is_some())),
            Box::pin(self.delete_alarms()),
            Box::pin(self.unsubscribe()),
            Box::pin(self.delete_queues()),
        );
        let mut seen = Vec::new();
        let mut problems = Vec::new();
        for (what, removed) in [
            ("running migrations", stopped),
            ("records", records),
            ("alarms", alarms),
            ("subscriptions", subscriptions),
            ("queues", queues),
        ] {
            match removed {
                Ok(count) => seen.push(format!("{count} {what}")),
                Err(error) => problems.push(format!("{what}: {error:#}")),
            }
        }
        if !problems.is_empty() {
            bail!("failed to remove {}", problems.join("; "));
        }
        Ok(format!("removed {}", seen.join(", ")))
    }

    /// Rolls back the migrations that are running, and waits until they have stopped and their names are restored.
    async fn stop_migrations(&self) -> Result<usize> {
        let running = Some(ExecutionStatus::Running);
        let listed = self
            .stack
            .executions(Machine::Migration, running, MOST_RUNNING)
            .await
            .map_err(|failure| anyhow!("{}", failure.message))?;
        let mut stopped = 0;
        let mut problems = Vec::new();
        for item in listed {
            let stack = self.stack;
            let execution = stack.execution(Machine::Migration, item.execution_arn());
            if !is_made_by(item.name(), EXECUTIONS, self.run) {
                continue;
            }
            match self.stop(&execution).await {
                Ok(true) => stopped += 1,
                Ok(false) => {}
                Err(error) => problems.push(format!("{}: {error:#}", item.name())),
            }
        }
        if !problems.is_empty() {
            bail!("{}", problems.join("; "));
        }
        Ok(stopped)
    }

    /// Stops a migration by a rollback, or if that fails, by aborting it. Returns whether it is one of a self-test.
    async fn stop(&self, execution: &Execution) -> Result<bool> {
        if !moves_scratch_names_only(&execution.input().await?) {
            return Ok(false);
        }
        let input = json!({ "execution": execution.name(), "reason": REASON }).to_string();
        let rollback = self.stack.start(Machine::Rollback, None, input).await;
        let since = Instant::now();
        while rollback.is_ok() && since.elapsed() < LONGEST_STOP {
            if execution.ended().await?.is_some() {
                return Ok(true);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let stop = self.stack.step_functions().stop_execution();
        let stop = stop.execution_arn(execution.arn()).cause(REASON);
        stop.send().await.context("states:StopExecution")?;
        match rollback {
            Ok(_) => bail!("its rollback did not stop it in two minutes, so it was aborted"),
            Err(failure) => bail!("it was aborted, because {}", failure.message),
        }
    }

    async fn delete_alarms(&self) -> Result<usize> {
        let prefix = known(&self.alarms)?;
        let cloudwatch = aws_sdk_cloudwatch::Client::new(self.stack.sdk_config());
        let found = cloudwatch
            .describe_alarms()
            .alarm_name_prefix(prefix)
            .send()
            .await
            .context("cloudwatch:DescribeAlarms")?;
        let alarms = found.metric_alarms().iter();
        let names: Vec<_> = alarms
            .filter_map(|alarm| alarm.alarm_name().map(str::to_owned))
            .filter(|name| is_made_by(name, prefix, self.run))
            .collect();
        if !names.is_empty() {
            cloudwatch
                .delete_alarms()
                .set_alarm_names(Some(names.clone()))
                .send()
                .await
                .context("cloudwatch:DeleteAlarms")?;
        }
        Ok(names.len())
    }

    async fn delete_queues(&self) -> Result<usize> {
        let is_gone = DeleteQueueError::is_queue_does_not_exist;
        let sqs = aws_sdk_sqs::Client::new(self.stack.sdk_config());
        let listed = sqs.list_queues().queue_name_prefix(&self.queues).send();
        let listed = listed.await.context("sqs:ListQueues")?;
        let mut deleted = 0;
        for url in listed.queue_urls() {
            let name = url.rsplit('/').next().unwrap_or_default();
            if !is_made_by(name, &self.queues, self.run) {
                continue;
            }
            match sqs.delete_queue().queue_url(url).send().await {
                Ok(_) => deleted += 1,
                // It was deleted before, and is still listed.
                Err(error) if error.as_service_error().is_some_and(is_gone) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("sqs:DeleteQueue of {url}"));
                }
            }
        }
        Ok(deleted)
    }

    async fn unsubscribe(&self) -> Result<usize> {
        let topic = known(&self.topic)?;
        let sns = aws_sdk_sns::Client::new(self.stack.sdk_config());
        let mut token = None;
        let mut unsubscribed = 0;
        loop {
            let page = sns.list_subscriptions_by_topic().topic_arn(topic);
            let page = page.set_next_token(token).send().await;
            let page = page.with_context(|| format!("sns:ListSubscriptionsByTopic of {topic}"))?;
            for subscription in page.subscriptions() {
                let endpoint = subscription.endpoint().unwrap_or_default();
                let queue = endpoint.rsplit(':').next().unwrap_or_default();
                // In place of an ARN, SNS lists `Deleted` and `PendingConfirmation`.
                let arn = subscription.subscription_arn().unwrap_or_default();
                if arn.starts_with("arn:") && is_made_by(queue, &self.queues, self.run) {
                    let request = sns.unsubscribe().subscription_arn(arn).send().await;
                    request.with_context(|| format!("sns:Unsubscribe of {arn}"))?;
                    unsubscribed += 1;
                }
            }
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(unsubscribed);
            }
        }
    }
}

fn known(text: &Result<String, String>) -> Result<&str> {
    match text {
        Ok(text) => Ok(text),
        Err(problem) => bail!("{problem}"),
    }
}

/// Whether the input of a migration names only names of a self-test.
fn moves_scratch_names_only(input: &Value) -> bool {
    let label = format!(".{SELF_TEST_LABEL}.");
    let is_scratch = |name: &Value| name.as_str().is_some_and(|name| name.contains(&label));
    let names = input.get("names").and_then(Value::as_array);
    names.is_some_and(|names| !names.is_empty() && names.iter().all(is_scratch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_migrations_of_scratch_names_are_stopped() {
        for (input, expected) in [
            (
                json!({ "names": ["a.r1p2._cutover-self-test.example.com"] }),
                true,
            ),
            (
                json!({ "names": ["a.r1p2._cutover-self-test.example.com", "www.example.com"] }),
                false,
            ),
            (json!({ "names": [] }), false),
            (json!({}), false),
        ] {
            assert_eq!(moves_scratch_names_only(&input), expected, "{input}");
        }
    }
}
