//! The worked example in `statemachine/README.md`: the records of one zone before, during and after
//! a migration, as the functions write them here. `UPDATE_EXPECT=1 cargo test` writes them anew.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "an example that cannot be made shall fail the test"
)]

use std::fs;

use expect_test::expect_file;
use serde_json::{Value, json};
use simulation::{Simulation, ZONE_ID};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../statemachine/README.md");
const EXECUTION: &str = "2026-11-upgrade-1-34";

#[test]
fn the_worked_example_shows_the_records_that_the_functions_write() {
    let simulation = zone();
    let before = rows(&simulation);

    let mut at_10_percent = String::new();
    let watch = || {
        let rows = rows(&simulation);
        if is_at(10, &rows) {
            at_10_percent = rows;
        }
    };
    simulation
        .migrate_watched(EXECUTION, &input(), watch)
        .unwrap();
    let completed = rows(&simulation);

    simulation.release(EXECUTION, || {}).unwrap();
    let released = rows(&simulation);
    simulation.expect_invariants();

    let mut readme = fs::read_to_string(README).unwrap();
    for (state, rows) in [
        ("before", &before),
        ("at 10 percent", &at_10_percent),
        ("completed", &completed),
        ("released", &released),
        ("rolled back", &rolled_back()),
    ] {
        readme = with_rows(&readme, state, rows);
    }
    expect_file![README].assert_eq(&readme);
}

/// The same migration, rolled back at 50 percent.
fn rolled_back() -> String {
    let simulation = zone();
    let before = simulation.route53.to_cli_json();
    let failure = simulation
        .migrate_until(EXECUTION, &input(), || is_at(50, &rows(&simulation)))
        .unwrap_err();
    assert_eq!(failure.error, "StoppedForRollback");
    simulation.expect_invariants();
    assert_eq!(simulation.route53.to_cli_json(), before);
    rows(&simulation)
}

/// Whether the journal says that this step is reached.
fn is_at(percent: u8, rows: &str) -> bool {
    rows.contains(&format!("\"percent={percent}\""))
}

fn input() -> Value {
    json!({"hostedZoneId": ZONE_ID, "from": "blue", "to": "green", "steps": [10, 50, 100]})
}

/// What two clusters' ExternalDNS (v0.22) make of an Ingress with the annotations `aws-weight: "100"`
/// in blue and `"0"` in green.
fn zone() -> Simulation {
    let mut record_sets = vec![json!({
        "Name": "example.com.",
        "Type": "SOA",
        "TTL": 900,
        "ResourceRecords": [{"Value": "ns-1.awsdns-01.com. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"}],
    })];
    for (side, weight) in [("blue", 100), ("green", 0)] {
        for (record_type, form) in [("A", "a"), ("AAAA", "aaaa")] {
            record_sets.push(json!({
                "Name": "app.example.com.",
                "Type": record_type,
                "SetIdentifier": side,
                "Weight": weight,
                "AliasTarget": {
                    "HostedZoneId": "Z32O12XQLNTSW2",
                    "DNSName": format!("dualstack.app-{side}.eu-west-1.elb.amazonaws.com."),
                    "EvaluateTargetHealth": true,
                },
            }));
            let value = format!(
                "\"heritage=external-dns,external-dns/owner={side},external-dns/resource=ingress/team/app\""
            );
            record_sets.push(json!({
                "Name": format!("{form}-app.example.com."),
                "Type": "TXT",
                "SetIdentifier": side,
                "Weight": weight,
                "TTL": 300,
                "ResourceRecords": [{"Value": value}],
            }));
        }
    }
    Simulation::new(&json!({"ResourceRecordSets": record_sets}).to_string())
}

/// Name, type, set identifier, weight and value of each record set; each string of a TXT on a line of its own.
fn rows(simulation: &Simulation) -> String {
    let zone: Value = serde_json::from_str(&simulation.route53.to_cli_json()).unwrap();
    let mut rows = String::new();
    for record_set in zone["ResourceRecordSets"].as_array().unwrap() {
        if record_set["Type"] == "SOA" {
            continue;
        }
        let column = |field: &str| match &record_set[field] {
            Value::Null => "None".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let row = format!(
            "{:<26}{:<6}{:<7}{:<6}",
            column("Name"),
            column("Type"),
            column("SetIdentifier"),
            column("Weight")
        );
        let value = record_set["AliasTarget"]["DNSName"].as_str();
        let value = value.or(record_set["ResourceRecords"][0]["Value"].as_str());
        let next_line = format!("\"\n{:width$}\"", "", width = row.len());
        rows += &row;
        rows += &value.unwrap().replace("\" \"", &next_line);
        rows.push('\n');
    }
    rows
}

/// The text with `rows` in the block below the comment that names `state`.
fn with_rows(text: &str, state: &str, rows: &str) -> String {
    let begin = format!("<!-- records: {state} -->\n```text\n");
    let (head, rest) = text.split_once(&begin).unwrap();
    let (_, tail) = rest.split_once("```").unwrap();
    format!("{head}{begin}{rows}```{tail}")
}
