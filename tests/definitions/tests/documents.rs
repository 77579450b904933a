//! What documents and examples show is what the project does.

#![expect(
    clippy::unwrap_used,
    reason = "a document that can't be read shall fail the test"
)]

use std::fs;

use definitions::project;
use migration::input::{self, WarningCode};
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

/// The input template of a resource in an example, with these values in place of what it refers to.
#[expect(clippy::indexing_slicing, reason = "a missing field is read as null")]
fn input_template(file: &str, resource: &str, values: &[(&str, &str)]) -> Value {
    let template: yaml_serde::Value = yaml_serde::from_str(&project::text(file)).unwrap();
    let properties = &template["Resources"][resource]["Properties"];
    let of_a_pipe = &properties["TargetParameters"]["InputTemplate"];
    let of_a_rule = &properties["Targets"][0]["InputTransformer"]["InputTemplate"];
    let found = [of_a_pipe, of_a_rule].into_iter().find(|it| !it.is_null());
    let yaml_serde::Value::Tagged(tagged) = found.unwrap() else {
        panic!("{file}: expected !Sub");
    };
    let mut text = tagged.value.as_str().unwrap().to_owned();
    let parameters = [
        ("${HostedZoneId}", "Z3Q77PNBQS71R4"),
        ("${From}", "blue"),
        ("${To}", "green"),
        ("${Steps}", "10, 50, 100"),
    ];
    for (name, value) in parameters.iter().chain(values) {
        assert!(text.contains(name), "{file}: {name}");
        text = text.replace(name, value);
    }
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}: {text}"))
}

/// What the author of a message or an event says is in no field of the input.
#[test]
fn examples_fix_the_input_of_the_migration() {
    let file = "infra/examples/argocd-queue.yaml";
    let values = [("<$.messageId>", "75d6")];
    let mut detail = input_template(file, "Pipe", &values);
    let key = detail.as_object_mut().unwrap().remove("request").unwrap();
    assert_eq!(key, "argocd-75d6");
    input::parse(&detail).unwrap();

    let file = "infra/examples/fixed-input.yaml";
    let values = [("<id>", "\"1\""), ("<given>", "{\"request\": \"key\"}")];
    let passed = input_template(file, "Rule", &values);
    assert_eq!(passed["id"], "1");
    assert_eq!(passed["given"]["request"], "key");
    input::parse(&passed["detail"]).unwrap();
}

/// With `--require-hashes`, pip refuses a package without a version or a hash.
#[test]
fn python_packages_are_installed_by_their_hashes() {
    for (requirements, installed_by) in [
        (".ci/cfn-lint.txt", ".ci/run"),
        (".ci/checkov.txt", ".ci/run"),
        (".ci/release.txt", ".github/workflows/release.yaml"),
        (
            "tests/local-stack/requirements.txt",
            "tests/local-stack/src/virtual_environment.rs",
        ),
    ] {
        assert!(project::text(installed_by).contains("--require-hashes"));
        let text = project::text(requirements);
        assert!(!text.contains("://"), "{requirements} names a host");
        let packages = text.replace("\\\n", "");
        let packages: Vec<_> = packages
            .lines()
            .filter(|line| !line.starts_with('#') && !line.is_empty())
            .collect();
        for package in &packages {
            let is_exact = package.contains("==") && package.contains(" --hash=sha256:");
            assert!(is_exact, "{requirements}: {package}");
        }
        // What was asked for is what is installed.
        let asked = project::text(&requirements.replace(".txt", ".in"));
        let asked: Vec<_> = asked
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert!(!asked.is_empty(), "{requirements}");
        for package in asked {
            let line = format!("{package} ");
            assert!(text.contains(&line), "{requirements}: {package}");
        }
    }
}

/// Those of the functions, and those that the definitions add.
#[test]
fn every_code_of_a_warning_is_documented() {
    let readme = project::text("statemachine/README.md");
    let table = readme.split("### Warnings\n").nth(1).unwrap();
    let rows = table.split("\n## ").next().unwrap().lines();
    let documented: Vec<_> = rows
        .filter_map(|row| row.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(documented, WarningCode::ALL);
    let definition = project::text("statemachine/migration.asl.json");
    for code in ["alarm-active", "not-ready", "observer-failed"] {
        assert!(documented.contains(&code) && definition.contains(&format!("'{code}'")));
    }
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
    let mut detail: Value = serde_json::from_str(&detail).unwrap();
    // The key of the request, which is no part of the input.
    detail.as_object_mut().unwrap().remove("request").unwrap();
    input::parse(&detail).unwrap();
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
        "StillHeld",
        "NotReleased",
    ] {
        assert!(documents.contains(&format!("| `{status}` |")), "{status}");
        let status = format!("'{status}'");
        assert!(notification.contains(&status), "{status}");
        let is_sent = senders.iter().any(|sender| sender.contains(&status));
        // The function rollback writes these into the event itself.
        let is_of_function = ["'RolledBack'", "'StillHeld'", "'NotReleased'"].contains(&&*status);
        assert!(is_sent || is_of_function, "{status}");
    }
}
