//! The service integrations of Tasks.

/// What a Task does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Integration {
    pub(crate) call: Call,
    pub(crate) pattern: Pattern,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Call {
    StartExecution,
    SendTaskSuccess,
    SendTaskFailure,
    SendTaskHeartbeat,
    /// Of another service, such as `lambda:invoke`.
    Other(String),
}

/// How a Task waits for its result.
///
/// Source: Step Functions Developer Guide, "Discover service integration patterns in Step Functions".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Pattern {
    RequestResponse,
    /// `.sync:2`: until the execution that it started has ended. Its output is parsed.
    Sync,
    WaitForTaskToken,
}

impl Integration {
    /// Parses the resource of a Task; none if it is not an integration that is known here.
    pub(crate) fn parse(resource: &str) -> Option<Self> {
        let (partition, rest) = resource.strip_prefix("arn:")?.split_once(":states:::")?;
        if partition.is_empty() {
            return None;
        }
        let (name, pattern) = if let Some(name) = rest.strip_suffix(".waitForTaskToken") {
            (name, Pattern::WaitForTaskToken)
        } else if let Some(name) = rest.strip_suffix(".sync:2") {
            (name, Pattern::Sync)
        } else {
            (rest, Pattern::RequestResponse)
        };
        let call = match name {
            "states:startExecution" => Call::StartExecution,
            "aws-sdk:sfn:sendTaskSuccess" => Call::SendTaskSuccess,
            "aws-sdk:sfn:sendTaskFailure" => Call::SendTaskFailure,
            "aws-sdk:sfn:sendTaskHeartbeat" => Call::SendTaskHeartbeat,
            "lambda:invoke" | "events:putEvents" | "sns:publish" => Call::Other(name.to_owned()),
            _ => return None,
        };
        let can_sync = call == Call::StartExecution;
        (pattern != Pattern::Sync || can_sync).then_some(Self { call, pattern })
    }
}
