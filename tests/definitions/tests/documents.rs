//! What documents and examples show is what the project does.

#![expect(
    clippy::unwrap_used,
    reason = "a document that can't be read shall fail the test"
)]

use std::fs;

use definitions::project;
use migration::input;
use serde_json::Value;

/// The documents of users, one after the other.
fn documents() -> String {
    ["README.md", "statemachine/README.md", "infra/README.md"]
        .into_iter()
        .filter_map(|document| fs::read_to_string(project::path(document)).ok())
        .collect()
}

#[test]
fn every_example_can_be_pasted_into_the_console() {
    let mut migrations = 0;
    for file in project::files("statemachine/examples", ".json") {
        let example: Value = serde_json::from_str(&project::text(&file)).unwrap();
        if file.ends_with("/rollback.json") || file.ends_with("/release.json") {
            assert!(example["execution"].is_string());
        } else {
            input::parse(&example).unwrap_or_else(|error| panic!("{file}: {error}"));
            migrations += 1;
        }
    }
    assert!(migrations >= 6);
}

/// Expects the text between two marks in a file to be an input that a migration accepts.
#[track_caller]
fn check_input(file: &str, begin: &str, end: &str) {
    let text = project::text(file);
    let (_, rest) = text.split_once(begin).unwrap();
    let (example, _) = rest.split_once(end).unwrap();
    let example: Value = serde_json::from_str(example).unwrap();
    input::parse(&example).unwrap_or_else(|error| panic!("{file}: {error}"));
}

#[test]
fn inputs_in_examples_of_events_are_accepted() {
    check_input("infra/examples/put-events.sh", "input='", "'\n");
    check_input(
        "infra/examples/argocd-notifications.yaml",
        "message: |",
        "  # ",
    );
}

#[test]
fn inputs_in_documents_are_accepted() {
    let documents = documents();
    let blocks = documents.split("```json\n").skip(1);
    let inputs: Vec<Value> = blocks
        .map(|block| serde_json::from_str(block.split("```").next().unwrap()).unwrap())
        .filter(|block: &Value| block.get("steps").is_some())
        .collect();
    assert!(inputs.len() >= 2);
    for example in inputs {
        input::parse(&example).unwrap();
    }
    let command = documents.split("\"Detail\": \"").nth(1).unwrap();
    let detail = command.split("\"}]'").next().unwrap().replace("\\\"", "\"");
    input::parse(&serde_json::from_str(&detail).unwrap()).unwrap();
}

#[test]
fn every_status_is_sent_published_and_documented() {
    let documents = documents();
    let definition = |name| project::text(&format!("statemachine/{name}.asl.json"));
    let senders = ["migration", "watch", "release", "rollback"].map(definition);
    let notification = definition("notification");
    for status in [
        "Started",
        "StepReached",
        "ApprovalRequested",
        "Completed",
        "RolledBack",
        "Held",
        "NotStarted",
        "RollbackFailed",
        "Released",
        "ReleaseFailed",
    ] {
        assert!(documents.contains(&format!("| `{status}` |")), "{status}");
        let status = format!("'{status}'");
        assert!(notification.contains(&status), "{status}");
        let is_sent = senders.iter().any(|sender| sender.contains(&status));
        // The function rollback writes this status into the event itself.
        assert!(is_sent || status == "'RolledBack'", "{status}");
    }
}
