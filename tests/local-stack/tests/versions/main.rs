//! Every change of a function publishes a version of it, and no update deletes one, because executions may
//! still run on it.
//!
//! SAM names the version by a hash of the function. Another logical id is another resource for
//! CloudFormation, which publishes the new version and, by its deletion policy, keeps the old one.

#![expect(
    clippy::unwrap_used,
    reason = "what the test did not expect shall fail it"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::json;

const VERSIONS: &str = include_str!("versions.py");

const PROBE: &[&str] = &["ProbeFunction"];
const SHIFT_WEIGHT: &[&str] = &["ShiftWeightFunction"];
const ROLLBACK: &[&str] = &["RollbackFunction"];
const WRITERS: &[&str] = &["RollbackFunction", "ShiftWeightFunction"];
const ALL: &[&str] = &[
    "CheckAlarmsFunction",
    "ProbeFunction",
    "RollbackFunction",
    "ShiftWeightFunction",
];

/// Every parameter of the template with another value than its default, and the functions that it changes.
const PARAMETERS: [(&str, &str, &[&str]); 20] = [
    ("AlarmNamePrefix", "eks-", SHIFT_WEIGHT),
    ("ClusterCreatedInput", r#"{"steps": [100]}"#, &[]),
    ("ClusterCreatedName", "green", &[]),
    (
        "HostedZoneArns",
        "arn:aws:route53:::hostedzone/ZANOTHER",
        &[],
    ),
    (
        "JournalKeyArn",
        "arn:aws:kms:eu-west-1:111122223333:key/earlier",
        WRITERS,
    ),
    ("LogLevel", "debug", ALL),
    ("LogRetentionInDays", "7", &[]),
    ("MaxFirstStepPercent", "10", SHIFT_WEIGHT),
    ("MinBakeSeconds", "600", SHIFT_WEIGHT),
    ("Name", "another", ALL),
    ("NotificationEmail", "platform@example.com", &[]),
    ("ProbeCaCertificates", "-----BEGIN CERTIFICATE-----", PROBE),
    (
        "ProbeCaCertificatesLayerArn",
        "arn:aws:lambda:eu-west-1:111122223333:layer:roots:1",
        PROBE,
    ),
    ("ProbeConnectTo", "*=127.0.0.1:443", PROBE),
    ("ProbeSecurityGroupIds", "sg-1", PROBE),
    ("ProbeSubnetIds", "subnet-1", PROBE),
    ("ReminderAfterHours", "48", &[]),
    ("RequireAlarms", "true", SHIFT_WEIGHT),
    ("RequireProbe", "true", SHIFT_WEIGHT),
    ("RollbackReservedConcurrency", "10", ROLLBACK),
];

/// The versions by the logical id of the function: logical id and deletion policy.
type Versions = BTreeMap<String, (String, String)>;

#[derive(Deserialize)]
struct Answer {
    before: Versions,
    declared: BTreeSet<String>,
    parameters: BTreeMap<String, Versions>,
    properties: BTreeMap<String, Versions>,
}

fn answer() -> Answer {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/template.yaml");
    let parameters: BTreeMap<_, _> = PARAMETERS
        .iter()
        .map(|(name, value, _)| (name, value))
        .collect();
    let request = json!({
        "template": template,
        "required": { "HostedZoneArns": "arn:aws:route53:::hostedzone/Z1" },
        "parameters": parameters,
    });
    let mut python = Command::new(local_stack::python().unwrap())
        .args(["-c", VERSIONS])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // The transform complains of metrics that nobody wants.
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input.write_all(request.to_string().as_bytes()).unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The functions with another version than before.
fn changed<'a>(before: &Versions, after: &'a Versions) -> Vec<&'a str> {
    let is_changed =
        |(function, version): &(&'a String, _)| before.get(*function) != Some(*version);
    let changed = after.iter().filter(is_changed);
    changed.map(|(function, _)| function.as_str()).collect()
}

#[test]
fn every_change_of_a_function_publishes_a_version_of_it_and_keeps_the_earlier() {
    let answer = answer();
    assert_eq!(answer.before.keys().collect::<Vec<_>>(), ALL);
    let tried: BTreeSet<_> = PARAMETERS
        .iter()
        .map(|(name, ..)| (*name).to_owned())
        .collect();
    assert_eq!(answer.declared, tried, "each parameter is in the table");
    for (name, _, functions) in PARAMETERS {
        let after = answer.parameters.get(name).unwrap();
        assert_eq!(changed(&answer.before, after), functions, "{name}");
    }

    assert!(answer.properties.len() > 40);
    for (path, after) in &answer.properties {
        let functions = match path.split('/').nth(1).unwrap() {
            // The alias is none of the function's properties, and nothing invokes it.
            _ if path.ends_with("/AutoPublishAlias") => Vec::new(),
            "Function" => ALL.to_vec(),
            function => vec![function],
        };
        assert_eq!(changed(&answer.before, after), functions, "{path}");
    }

    let all = answer.parameters.into_values();
    for versions in all.chain(answer.properties.into_values()) {
        for (version, deletion_policy) in versions.into_values() {
            assert_eq!(deletion_policy, "Retain", "{version}");
        }
    }
}
