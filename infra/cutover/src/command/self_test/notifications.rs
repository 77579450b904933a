//! A queue that is subscribed to the topic of the notifications.

use anyhow::{Context, Result};
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::{Value, json};

/// The longest time that one call waits for a message, in seconds.
///
/// Source: SQS Developer Guide, "Amazon SQS short and long polling".
const LONGEST_POLL_SECONDS: i32 = 20;

pub(crate) struct Queue {
    sqs: aws_sdk_sqs::Client,
    url: String,
}

impl Queue {
    /// Creates a queue with this name, and subscribes it to the topic.
    pub(crate) async fn subscribe(
        sdk_config: &aws_config::SdkConfig,
        topic: &str,
        name: &str,
    ) -> Result<Self> {
        let sqs = aws_sdk_sqs::Client::new(sdk_config);
        // Such as arn:aws:sns:eu-west-1:111122223333:topic.
        let place: Vec<_> = topic.splitn(6, ':').collect();
        let [_, partition, _, region, account, _] = place.as_slice() else {
            anyhow::bail!("expected the ARN of a topic, found {topic:?}");
        };
        let arn = format!("arn:{partition}:sqs:{region}:{account}:{name}");
        let policy = json!({ "Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": "sns.amazonaws.com" },
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": { "ArnEquals": { "aws:SourceArn": topic } },
        }] });
        let created = sqs
            .create_queue()
            .queue_name(name)
            .attributes(QueueAttributeName::Policy, policy.to_string())
            .send()
            .await
            .with_context(|| format!("sqs:CreateQueue of {name}"))?;
        let url = created.queue_url().context("the new queue has no URL")?;
        aws_sdk_sns::Client::new(sdk_config)
            .subscribe()
            .topic_arn(topic)
            .protocol("sqs")
            .endpoint(arn)
            .send()
            .await
            .with_context(|| format!("sns:Subscribe to {topic}"))?;
        Ok(Self {
            sqs,
            url: url.to_owned(),
        })
    }

    /// The next notification about an execution with this status that arrives within the longest poll, if any. Other
    /// notifications are dropped.
    pub(crate) async fn receive(&self, execution: &str, status: &str) -> Result<Option<Value>> {
        let received = self
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .wait_time_seconds(LONGEST_POLL_SECONDS)
            .send()
            .await
            .context("sqs:ReceiveMessage")?;
        let mut found = None;
        for message in received.messages() {
            let notification = notification(message.body().unwrap_or_default());
            let text = |pointer: &str| {
                let text = notification.as_ref()?.pointer(pointer)?;
                text.as_str()
            };
            if text("/metadata/threadId") == Some(execution)
                && text("/metadata/eventType") == Some(status)
            {
                found = notification;
            }
            self.sqs
                .delete_message()
                .queue_url(&self.url)
                .receipt_handle(message.receipt_handle().unwrap_or_default())
                .send()
                .await
                .context("sqs:DeleteMessage")?;
        }
        Ok(found)
    }
}

/// The custom notification in a message that SNS has put into a queue.
fn notification(body: &str) -> Option<Value> {
    let envelope: Value = serde_json::from_str(body).ok()?;
    serde_json::from_str(envelope.get("Message")?.as_str()?).ok()
}
