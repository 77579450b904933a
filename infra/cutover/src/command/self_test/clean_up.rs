//! Removes what a self-test has made. All of it is found by its name, so a later self-test can remove what one that was
//! killed has left.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::json;

use super::super::exit::Failure;
use super::super::stack::{Machine, Stack};
use super::scratch::Scratch;

const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The longest time that a migration takes to stop after its rollback was started.
const LONGEST_STOP: Duration = Duration::from_mins(2);
/// A page of `ListExecutions`. Far more than there are migrations at once.
const MOST_RUNNING: i32 = 1_000;

/// What is to be removed.
pub(crate) struct CleanUp<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) scratch: &'a Scratch,
    /// The beginning of the names of executions.
    pub(crate) executions: String,
    /// The beginning of the names of alarms.
    pub(crate) alarms: String,
    /// The beginning of the names of queues.
    pub(crate) queues: String,
    /// The topic that the queues are subscribed to, if it could be found.
    pub(crate) topic: Option<String>,
    pub(crate) only_this_run: bool,
}

impl CleanUp<'_> {
    /// Removes everything, and goes on when a part of it fails.
    pub(crate) async fn run(&self) -> Result<String> {
        // First what still writes records.
        let stopped = self.stop_migrations().await;
        let (records, alarms, queues) = tokio::join!(
            self.scratch.delete_all(self.only_this_run),
            self.delete_alarms(),
            self.delete_queues()
        );
        let mut seen = Vec::new();
        let mut problems = Vec::new();
        for (what, removed) in [
            ("running migrations", stopped),
            ("records", records),
            ("alarms", alarms),
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
        let message = |failure: Failure| anyhow::Error::msg(failure.message);
        let running = Some(ExecutionStatus::Running);
        let listed = self
            .stack
            .executions(Machine::Migration, running, MOST_RUNNING)
            .await
            .map_err(message)?;
        let mut stopped = Vec::new();
        for item in listed {
            if !item.name().starts_with(&self.executions) {
                continue;
            }
            let input =
                json!({ "execution": item.name(), "reason": "cutover self-test cleans up" });
            self.stack
                .start(Machine::Rollback, None, input.to_string())
                .await
                .map_err(message)?;
            stopped.push(
                self.stack
                    .execution(Machine::Migration, item.execution_arn()),
            );
        }
        let since = Instant::now();
        for execution in &stopped {
            while execution.ended().await?.is_none() {
                if since.elapsed() > LONGEST_STOP {
                    bail!("{} is still running", execution.name());
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        }
        Ok(stopped.len())
    }

    async fn delete_alarms(&self) -> Result<usize> {
        let cloudwatch = aws_sdk_cloudwatch::Client::new(self.stack.sdk_config());
        let found = cloudwatch
            .describe_alarms()
            .alarm_name_prefix(&self.alarms)
            .send()
            .await
            .context("cloudwatch:DescribeAlarms")?;
        let alarms = found.metric_alarms().iter();
        let names: Vec<_> = alarms
            .filter_map(|alarm| alarm.alarm_name().map(str::to_owned))
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
        self.unsubscribe().await?;
        let sqs = aws_sdk_sqs::Client::new(self.stack.sdk_config());
        let listed = sqs.list_queues().queue_name_prefix(&self.queues).send();
        let listed = listed.await.context("sqs:ListQueues")?;
        let urls = listed.queue_urls();
        for url in urls {
            let deleted = sqs.delete_queue().queue_url(url).send().await;
            deleted.with_context(|| format!("sqs:DeleteQueue of {url}"))?;
        }
        Ok(urls.len())
    }

    async fn unsubscribe(&self) -> Result<()> {
        let Some(topic) = &self.topic else {
            return Ok(());
        };
        let sns = aws_sdk_sns::Client::new(self.stack.sdk_config());
        let mut token = None;
        loop {
            let page = sns.list_subscriptions_by_topic().topic_arn(topic);
            let page = page.set_next_token(token).send().await;
            let page = page.with_context(|| format!("sns:ListSubscriptionsByTopic of {topic}"))?;
            for subscription in page.subscriptions() {
                let endpoint = subscription.endpoint().unwrap_or_default();
                let queue = endpoint.rsplit(':').next().unwrap_or_default();
                let Some(arn) = subscription.subscription_arn() else {
                    continue;
                };
                if queue.starts_with(&self.queues) {
                    let unsubscribed = sns.unsubscribe().subscription_arn(arn).send().await;
                    unsubscribed.with_context(|| format!("sns:Unsubscribe of {arn}"))?;
                }
            }
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                return Ok(());
            }
        }
    }
}
