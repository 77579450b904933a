//! How an execution ended, and what a person can do then. Pure.

use cutover::ExecutionResult;

use super::exit::Exit;
use super::stack::Machine;

/// The exit code for an execution that ended so.
pub(crate) fn exit(machine: Machine, ended: &ExecutionResult) -> Exit {
    let has_succeeded = ended.outcome == "SUCCEEDED";
    match machine {
        _ if has_succeeded => Exit::Done,
        Machine::Migration | Machine::Watch => exit_of_migration(ended),
        Machine::Rollback => Exit::RollbackFailed,
        Machine::Release if ended.state == "Refused" => Exit::NotStarted,
        Machine::Release => Exit::NotReleased,
    }
}

fn exit_of_migration(ended: &ExecutionResult) -> Exit {
    match (ended.outcome.as_str(), ended.state.as_str()) {
        ("FAILED", "Refused" | "Not started") => Exit::NotStarted,
        ("FAILED", "Rolled back") => Exit::RolledBack,
        ("FAILED", "Rollback failed") => Exit::RollbackFailed,
        ("FAILED", "Held") => Exit::Held,
        // An alarm's event stops a migration with `"onFailure": "hold"` with this error.
        ("ABORTED", _) if ended.error.as_deref() == Some("Held") => Exit::Held,
        _ => Exit::Stopped,
    }
}

/// How an execution ended, in a sentence and its cause.
pub(crate) fn sentence(name: &str, ended: &ExecutionResult) -> String {
    let ExecutionResult { outcome, state, .. } = ended;
    let mut text = match outcome.as_str() {
        "SUCCEEDED" | "FAILED" => format!("{name} ended as {state}"),
        "ABORTED" => format!("{name} was aborted in the state {state}"),
        _ => format!("{name} ended as {outcome} in the state {state}"),
    };
    if let Some(error) = &ended.error {
        text = format!("{text}: {error}");
    }
    if let Some(cause) = &ended.cause {
        text = format!("{text}\n{cause}");
    }
    let message = ended
        .output
        .get("message")
        .and_then(|message| message.as_str());
    if let Some(message) = message {
        text = format!("{text}\n{message}");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn ended(outcome: &str, state: &str, error: Option<&str>) -> ExecutionResult {
        ExecutionResult {
            outcome: outcome.to_owned(),
            state: state.to_owned(),
            error: error.map(str::to_owned),
            cause: None,
            output: Value::Null,
            states: Vec::new(),
        }
    }

    #[test]
    fn every_end_of_a_migration_has_its_exit_code() {
        for (outcome, state, error, expected) in [
            ("SUCCEEDED", "Planned", None, Exit::Done),
            ("SUCCEEDED", "Completed", None, Exit::Done),
            ("FAILED", "Refused", Some("InvalidInput"), Exit::NotStarted),
            ("FAILED", "Not started", Some("NotReady"), Exit::NotStarted),
            ("FAILED", "Rolled back", Some("Drift"), Exit::RolledBack),
            ("FAILED", "Held", Some("Held"), Exit::Held),
            (
                "FAILED",
                "Rollback failed",
                Some("RollbackFailed"),
                Exit::RollbackFailed,
            ),
            ("FAILED", "Bake", Some("States.Runtime"), Exit::Stopped),
            ("ABORTED", "Bake", Some("StoppedForRollback"), Exit::Stopped),
            ("ABORTED", "Bake", Some("Held"), Exit::Held),
            ("TIMED_OUT", "Bake", None, Exit::Stopped),
        ] {
            let ended = ended(outcome, state, error);
            assert_eq!(exit(Machine::Migration, &ended), expected, "{ended:?}");
        }
    }

    #[test]
    fn ends_of_rollbacks_and_releases_have_their_exit_codes() {
        for (machine, outcome, state, expected) in [
            (
                Machine::Rollback,
                "SUCCEEDED",
                "Nothing to roll back",
                Exit::Done,
            ),
            (
                Machine::Rollback,
                "FAILED",
                "Rollback failed",
                Exit::RollbackFailed,
            ),
            (
                Machine::Rollback,
                "ABORTED",
                "Wait out the TTL",
                Exit::RollbackFailed,
            ),
            (Machine::Release, "SUCCEEDED", "Released", Exit::Done),
            (Machine::Release, "FAILED", "Refused", Exit::NotStarted),
            (
                Machine::Release,
                "FAILED",
                "Not released",
                Exit::NotReleased,
            ),
        ] {
            assert_eq!(exit(machine, &ended(outcome, state, None)), expected);
        }
    }
}
