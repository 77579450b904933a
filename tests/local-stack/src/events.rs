//! Events that AWS sends and the emulator does not: its alarms send no events, and its `PutEvents`
//! refuses events of AWS's own sources, as AWS does.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::SystemTime;

use anyhow::{Context, Result};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Value, json};

use crate::execution::{Execution, POLL_INTERVAL};
use crate::http;
use crate::stack::Stack;

const ACCOUNT: &str = "000000000000";
const ALARM_EVENT: &str = include_str!("../../events/cloudwatch-alarm-state-change.json");
const ALARM_ACTION: &str = include_str!("../../events/cloudwatch-alarm-action.json");
const STATUS_EVENT: &str = include_str!("../../events/step-functions-execution-status-change.json");
const CLUSTER_EVENT: &str = include_str!("../../events/eks-create-cluster.json");

/// The event `CloudWatch Alarm State Change` of an alarm that fires now.
pub fn alarm_event(alarm: &str, reason: &str) -> Result<Value> {
    let mut event: Value = serde_json::from_str(ALARM_EVENT)?;
    let nanos = DateTime::from(SystemTime::now()).as_nanos();
    set(&mut event, "/id", json!(format!("{nanos:032x}")))?;
    set(&mut event, "/detail/alarmName", json!(alarm))?;
    set(&mut event, "/detail/state/reason", json!(reason))?;
    let arn = format!(
        "arn:aws:cloudwatch:{}:{ACCOUNT}:alarm:{alarm}",
        http::REGION
    );
    set(&mut event, "/resources/0", json!(arn))?;
    set(&mut event, "/detail/state/timestamp", json!(now()?))?;
    let seconds = DateTime::from_secs(DateTime::from(SystemTime::now()).secs());
    set(&mut event, "/time", json!(seconds.fmt(Format::DateTime)?))?;
    Ok(event)
}

/// The payload with which CloudWatch invokes a function as the action of an alarm that fires now.
fn alarm_action(alarm: &str, reason: &str) -> Result<Value> {
    let mut event: Value = serde_json::from_str(ALARM_ACTION)?;
    set(&mut event, "/alarmData/alarmName", json!(alarm))?;
    set(&mut event, "/alarmData/state/reason", json!(reason))?;
    set(&mut event, "/alarmData/state/timestamp", json!(now()?))?;
    Ok(event)
}

/// The current time in milliseconds, with the offset `+0000` as CloudWatch writes it.
fn now() -> Result<String> {
    let millis = DateTime::from(SystemTime::now()).to_millis()?;
    let time = DateTime::from_millis(millis).fmt(Format::DateTime)?;
    Ok(time.replace('Z', "+0000"))
}

/// The event `Step Functions Execution Status Change` of an execution that ended now with `status`.
pub async fn status_event(
    execution: &Execution,
    state_machine_arn: &str,
    status: &str,
) -> Result<Value> {
    let mut event: Value = serde_json::from_str(STATUS_EVENT)?;
    let input = execution.input().await?.to_string();
    let now = DateTime::from(SystemTime::now()).to_millis()?;
    for (pointer, value) in [
        ("/resources/0", json!(execution.arn())),
        ("/detail/executionArn", json!(execution.arn())),
        ("/detail/name", json!(execution.name())),
        ("/detail/stateMachineArn", json!(state_machine_arn)),
        ("/detail/status", json!(status)),
        ("/detail/stopDate", json!(now)),
        ("/detail/input", json!(input)),
    ] {
        set(&mut event, pointer, value)?;
    }
    Ok(event)
}

/// The `CloudTrail` event of a call of EKS's `CreateCluster`.
pub fn cluster_created_event(cluster: &str) -> Result<Value> {
    let mut event: Value = serde_json::from_str(CLUSTER_EVENT)?;
    for pointer in [
        "/detail/requestParameters/name",
        "/detail/responseElements/cluster/name",
    ] {
        set(&mut event, pointer, json!(cluster))?;
    }
    Ok(event)
}

fn set(event: &mut Value, pointer: &str, value: Value) -> Result<()> {
    let field = event.pointer_mut(pointer);
    *field.with_context(|| format!("the sample event has no {pointer}"))? = value;
    Ok(())
}

impl Stack {
    /// Delivers an event as EventBridge does: to the targets of every rule that matches it. Returns the
    /// executions that it started. Those of a target that is a queue are started by the function that handles
    /// its messages, after a look at who watches the alarm.
    pub async fn deliver(&self, event: &Value) -> Result<Vec<Execution>> {
        let mut started = Vec::new();
        for target in self.targets(event).await? {
            let arn = text(&target, "Arn").context("a rule's target has no ARN")?;
            if let Some(parameters) = target.get("SqsParameters") {
                let queue = arn.rsplit(':').next().unwrap_or_default();
                self.send_to_queue(queue, parameters, event).await?;
                let name = format!("alarm-{}", text(event, "id").unwrap_or_default());
                let rollbacks = self.rollbacks().await?.into_iter();
                started.extend(rollbacks.filter(|rollback| rollback.name() == name));
                continue;
            }
            let role = text(&target, "RoleArn").context("a rule's target has no role")?;
            self.make_role_assumable(role).await?;
            let client = self.step_functions_with_role(role).await?;
            let name = format!("event-{}", started.len());
            let name = format!("{name}-{}", DateTime::from(SystemTime::now()).as_nanos());
            let input = input(&target, event)?;
            let execution = Execution::start(client, arn, &name, &input).await?;
            // The role may only start executions, so read the execution as root.
            let client = self.step_functions.clone();
            started.push(Execution::from_arn(client, execution.arn().to_owned()));
        }
        Ok(started)
    }

    /// Delivers the event of each alarm that fires, as long as it is polled.
    ///
    /// # Errors
    /// The first error of the emulator. It never ends in another way.
    pub async fn deliver_events_of_alarms(&self) -> Result<Infallible> {
        let mut delivered = BTreeSet::new();
        loop {
            for alarm in self.firing_alarms().await? {
                if delivered.insert(alarm.clone()) {
                    self.deliver_alarm_event(&alarm).await?;
                }
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Stops a rule from matching events, as the console does.
    pub async fn disable_rule(&self, name: &str) -> Result<()> {
        self.events("DisableRule", json!({ "Name": name })).await?;
        Ok(())
    }

    /// Whether a rule matches an event.
    pub async fn is_matched(&self, event: &Value) -> Result<bool> {
        Ok(!self.targets(event).await?.is_empty())
    }

    /// The targets of the rules that match an event.
    async fn targets(&self, event: &Value) -> Result<Vec<Value>> {
        let rules = self.events("ListRules", json!({})).await?;
        let mut all = Vec::new();
        for rule in items(&rules, "Rules") {
            let Some(pattern) = text(rule, "EventPattern") else {
                continue;
            };
            let request = json!({ "EventPattern": pattern, "Event": event.to_string() });
            let response = self.events("TestEventPattern", request).await?;
            if response.get("Result") != Some(&Value::Bool(true)) {
                continue;
            }
            let request = json!({ "Rule": text(rule, "Name") });
            let targets = self.events("ListTargetsByRule", request).await?;
            all.extend(items(&targets, "Targets").cloned());
        }
        Ok(all)
    }

    /// Sends an event to a queue, and waits until Lambda has taken it and the function has handled it.
    async fn send_to_queue(&self, queue: &str, parameters: &Value, event: &Value) -> Result<()> {
        let url = self
            .sqs("GetQueueUrl", json!({ "QueueName": queue }))
            .await?;
        let url = url.get("QueueUrl").context("a queue has no URL")?;
        let message = json!({
            "QueueUrl": url,
            "MessageBody": event.to_string(),
            "MessageGroupId": parameters.get("MessageGroupId"),
        });
        self.sqs("SendMessage", message).await?;
        let request = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
        loop {
            let queue = self.sqs("GetQueueAttributes", request.clone()).await?;
            let attributes = queue
                .get("Attributes")
                .context("a queue has no attributes")?;
            let is_empty = [
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
            ]
            .iter()
            .all(|attribute| text(attributes, attribute) == Some("0"));
            if is_empty {
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Invokes the function `rollback` as an alarm invokes its action: asynchronously.
    pub async fn invoke_alarm_action(&self, alarm: &str, reason: &str) -> Result<()> {
        let headers = [("x-amz-invocation-type", "Event")];
        let path = "/2015-03-31/functions/cutover-rollback/invocations";
        let body = alarm_action(alarm, reason)?.to_string();
        http::call(self.endpoint(), "lambda", "POST", path, &headers, body).await?;
        Ok(())
    }

    /// Puts a custom event on the default bus, as `aws events put-events` does.
    pub async fn put_event(&self, source: &str, detail_type: &str, detail: &Value) -> Result<()> {
        let entry =
            json!({ "Source": source, "DetailType": detail_type, "Detail": detail.to_string() });
        let answer = self
            .events("PutEvents", json!({ "Entries": [entry] }))
            .await?;
        let failed = answer.get("FailedEntryCount").and_then(Value::as_u64);
        anyhow::ensure!(failed == Some(0), "EventBridge refused the event: {answer}");
        Ok(())
    }

    /// Changes the trust policy of a role that only EventBridge may assume, so that this process can
    /// assume it and start the targets in place of EventBridge.
    async fn make_role_assumable(&self, role: &str) -> Result<()> {
        let statement = json!({
            "Effect": "Allow",
            "Principal": { "AWS": "*" },
            "Action": "sts:AssumeRole",
        });
        let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
        let form = [
            ("Action", "UpdateAssumeRolePolicy"),
            ("Version", "2010-05-08"),
            ("RoleName", role.rsplit('/').next().unwrap_or_default()),
            ("PolicyDocument", &policy),
        ];
        http::query(self.endpoint(), "iam", &form).await?;
        Ok(())
    }

    async fn events(&self, action: &str, request: Value) -> Result<Value> {
        let target = format!("AWSEvents.{action}");
        self.json("events", "1.1", &target, &request).await
    }

    async fn sqs(&self, action: &str, request: Value) -> Result<Value> {
        let target = format!("AmazonSQS.{action}");
        self.json("sqs", "1.0", &target, &request).await
    }

    /// Calls an API that uses AWS's JSON protocol in this version.
    async fn json(
        &self,
        service: &str,
        version: &str,
        target: &str,
        request: &Value,
    ) -> Result<Value> {
        let content_type = format!("application/x-amz-json-{version}");
        let headers = [
            ("content-type", content_type.as_str()),
            ("x-amz-target", target),
        ];
        let body = request.to_string();
        let answer = http::call(self.endpoint(), service, "POST", "/", &headers, body).await?;
        Ok(serde_json::from_str(&answer)?)
    }
}

/// The input that EventBridge passes to a target for an event.
fn input(target: &Value, event: &Value) -> Result<Value> {
    if let Some(constant) = text(target, "Input") {
        return Ok(serde_json::from_str(constant)?);
    }
    if let Some(transformer) = target.get("InputTransformer") {
        let template = text(transformer, "InputTemplate").context("there is no InputTemplate")?;
        let mut input = template.to_owned();
        let paths = transformer.get("InputPathsMap").and_then(Value::as_object);
        for (name, path) in paths.into_iter().flatten() {
            let value = at_path(event, path.as_str().unwrap_or_default())?;
            input = input.replace(&format!("<{name}>"), &value.to_string());
        }
        return Ok(serde_json::from_str(&input)?);
    }
    match text(target, "InputPath") {
        None => Ok(event.clone()),
        Some(path) => at_path(event, path),
    }
}

/// The part of an event at a path such as `$.detail`.
fn at_path(event: &Value, path: &str) -> Result<Value> {
    let pointer = path.replacen('$', "", 1).replace('.', "/");
    let part = event.pointer(&pointer).cloned();
    part.with_context(|| format!("the event has no {path}"))
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}
