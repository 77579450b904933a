//! The executions of the state machine watch, which have the task tokens of the migrations.

use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::Value;

use super::exit::Failure;
use super::stack::{Machine, Stack};

/// A page of `ListExecutions`. Far more than there are migrations at once.
const MOST_RUNNING: i32 = 100;

/// What watches a migration now.
pub(crate) struct Watch {
    /// `shift`, `propagation`, `ttl`, `bake` or `approval`.
    pub(crate) phase: String,
    /// The percent of `to`.
    pub(crate) percent: Option<f64>,
    /// How long the phase lasts at least; an approval, at most.
    pub(crate) seconds: u64,
    /// The time between two health checks.
    pub(crate) check_seconds: u64,
    pub(crate) token: Token,
}

/// The task token of a migration. Whoever has it can answer, so it is never printed.
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn secret(&self) -> &str {
        &self.0
    }
}

/// The inputs of the watches that are running, newest first.
pub(crate) async fn inputs(stack: &Stack) -> Result<Vec<Value>, Failure> {
    let running = Some(ExecutionStatus::Running);
    let listed = stack
        .executions(Machine::Watch, running, MOST_RUNNING)
        .await?;
    let mut inputs = Vec::new();
    for item in listed {
        let execution = stack.execution(Machine::Watch, item.execution_arn());
        let described = stack.describe(Machine::Watch, &execution).await?;
        let input = serde_json::from_str(described.input().unwrap_or_default());
        inputs.extend(input);
    }
    Ok(inputs)
}

/// The newest of these watches that watches the execution with this ARN.
pub(crate) fn find(inputs: &[Value], execution_arn: &str) -> Option<Watch> {
    let input = inputs.iter().find(|input| {
        let watched = input.get("executionArn").and_then(Value::as_str);
        watched == Some(execution_arn)
    })?;
    let number = |value: Option<&Value>| value.and_then(Value::as_u64).unwrap_or_default();
    Some(Watch {
        phase: input.get("phase")?.as_str()?.to_owned(),
        percent: input.get("percent").and_then(Value::as_f64),
        seconds: number(input.get("seconds")),
        check_seconds: number(input.pointer("/migration/checkSeconds")),
        token: Token(input.get("token")?.as_str()?.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:states:eu-west-1:111122223333:execution:cutover-migration:upgrade";

    #[test]
    fn newest_watch_of_the_execution_has_the_token() {
        let watch = |arn: &str, phase: &str, token: &str| {
            json!({ "executionArn": arn, "execution": "upgrade", "phase": phase, "token": token,
                "percent": 12.5, "seconds": 300, "migration": { "checkSeconds": 60 } })
        };
        let other = ARN.replace("cutover-", "edge-");
        let inputs = [
            watch(&other, "bake", "of another stack"),
            watch(ARN, "approval", "newest"),
            watch(ARN, "bake", "older"),
        ];
        let found = find(&inputs, ARN).unwrap();
        assert_eq!(found.token.secret(), "newest");
        assert_eq!(found.phase, "approval");
        assert_eq!(
            (found.percent, found.seconds, found.check_seconds),
            (Some(12.5), 300, 60)
        );
        assert!(find(&inputs[..1], ARN).is_none());
    }
}
