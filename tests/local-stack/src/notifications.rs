//! The notifications that migrations send, and the answers to their approval requests.

use anyhow::{Context, Result};
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::{Value, json};

use crate::execution::Execution;
use crate::http;
use crate::stack::Stack;

/// The queue that is subscribed to the topic.
const QUEUE: &str = "notifications";
const ACCOUNT: &str = "000000000000";

/// A message of the topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    /// The subject of the e-mail.
    pub subject: String,
    /// A custom notification of Amazon Q Developer in chat applications.
    pub message: Value,
}

impl Notification {
    fn parse(body: &str) -> Result<Self> {
        let envelope: Value = serde_json::from_str(body)?;
        let text = |key: &str| {
            envelope
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        Ok(Self {
            subject: text("Subject").to_owned(),
            message: serde_json::from_str(text("Message"))
                .context("the message is not a custom notification in JSON")?,
        })
    }

    /// The status in the event from which the notification was made.
    pub fn status(&self) -> &str {
        self.text("/metadata/eventType")
    }

    pub fn description(&self) -> &str {
        self.text("/content/description")
    }

    pub fn next_steps(&self) -> Vec<&str> {
        let steps = self.message.pointer("/content/nextSteps");
        let steps = steps.and_then(Value::as_array).into_iter().flatten();
        steps.filter_map(Value::as_str).collect()
    }

    fn text(&self, pointer: &str) -> &str {
        let text = self.message.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default()
    }
}

impl Stack {
    pub(crate) async fn subscribe(&self) -> Result<()> {
        let topic = self.output("NotificationsTopicArn")?;
        let queue = format!("arn:aws:sqs:{}:{ACCOUNT}:{QUEUE}", http::REGION);
        let statement = json!({
            "Effect": "Allow",
            "Principal": { "Service": "sns.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": queue,
            "Condition": { "ArnEquals": { "aws:SourceArn": topic } },
        });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        let request = json!({ "QueueName": QUEUE, "Attributes": { "Policy": policy } });
        self.queue("CreateQueue", request).await?;
        let form = [
            ("Action", "Subscribe"),
            ("Version", "2010-03-31"),
            ("TopicArn", topic),
            ("Protocol", "sqs"),
            ("Endpoint", queue.as_str()),
        ];
        http::query(self.endpoint(), "sns", &form).await?;
        Ok(())
    }

    /// Receives the notifications that were sent since the last call.
    pub async fn notifications(&self) -> Result<Vec<Notification>> {
        let url = format!("http://{}/{ACCOUNT}/{QUEUE}", self.endpoint());
        let mut notifications = Vec::new();
        loop {
            let request =
                json!({ "QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0 });
            let answer = self.queue("ReceiveMessage", request).await?;
            let messages = answer.get("Messages").and_then(Value::as_array);
            let Some(messages) = messages.filter(|messages| !messages.is_empty()) else {
                return Ok(notifications);
            };
            for message in messages {
                let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default();
                notifications.push(Notification::parse(text("Body"))?);
                let request = json!({ "QueueUrl": url, "ReceiptHandle": text("ReceiptHandle") });
                let _ = self.queue("DeleteMessage", request).await?;
            }
        }
    }

    async fn queue(&self, action: &str, request: Value) -> Result<Value> {
        let target = format!("AmazonSQS.{action}");
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", target.as_str()),
        ];
        let body = request.to_string();
        let answer = http::call(self.endpoint(), "sqs", "POST", "/", &headers, body).await?;
        Ok(serde_json::from_str(&answer).unwrap_or_default())
    }

    /// The task token with which an operator answers in place of the execution that watches
    /// `migration`, found as the runbook does. `None` if nothing watches it.
    pub async fn task_token(&self, migration: &Execution) -> Result<Option<String>> {
        let listed = self
            .step_functions
            .list_executions()
            .state_machine_arn(self.watch_state_machine_arn()?)
            .status_filter(ExecutionStatus::Running)
            .send()
            .await?;
        // The list is newest first.
        for item in listed.executions {
            let client = self.step_functions.clone();
            let input = Execution::from_arn(client, item.execution_arn)
                .input()
                .await?;
            let text = |key: &str| input.get(key).and_then(Value::as_str);
            if text("execution") == Some(migration.name()) {
                return Ok(text("token").map(str::to_owned));
            }
        }
        Ok(None)
    }

    /// Answers a migration as the AWS CLI does with `command`: one of the commands in the notification
    /// of an approval or in the runbook.
    pub async fn run_command(&self, command: &str) -> Result<()> {
        let option = |name: &str| {
            let rest = command.split_once(&format!("--{name} "))?.1;
            match rest.strip_prefix('\'') {
                Some(quoted) => quoted.split('\'').next(),
                None => rest.split([' ', '`']).next(),
            }
        };
        let token =
            option("task-token").with_context(|| format!("no --task-token in {command}"))?;
        if command.contains(" send-task-success ") {
            self.step_functions
                .send_task_success()
                .task_token(token)
                .output(option("task-output").context("no --task-output")?)
                .send()
                .await?;
        } else {
            self.step_functions
                .send_task_failure()
                .task_token(token)
                .error(option("error").context("no --error")?)
                .cause(option("cause").context("no --cause")?)
                .send()
                .await?;
        }
        Ok(())
    }

    /// The status events that migrations, rollbacks and releases have put on the bus, oldest first.
    /// They are the inputs of the notification state machine's executions.
    pub async fn status_changes(&self) -> Result<Vec<Value>> {
        let migration = self.migration_state_machine_arn()?;
        let arn = migration.replace("-migration", "-notification");
        let listed = self
            .step_functions
            .list_executions()
            .state_machine_arn(arn)
            .send()
            .await?;
        let mut changes = Vec::new();
        for item in listed.executions {
            let described = self
                .step_functions
                .describe_execution()
                .execution_arn(item.execution_arn)
                .send()
                .await?;
            let event: Value = serde_json::from_str(described.input().unwrap_or_default())?;
            changes.push((item.start_date.to_millis()?, event));
        }
        changes.sort_by_key(|(time, _)| *time);
        Ok(changes.into_iter().map(|(_, event)| event).collect())
    }
}
