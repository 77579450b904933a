//! The metrics that the functions write to their logs, for the stack's dashboard.

use std::env;
use std::process::Command;

use serde_json::{Value, json};

use crate::events::{alarm_event, at_50_percent, watching};
use crate::zones::{BLUE, GREEN};
use crate::{Simulation, world};

/// The functions write metrics only if Lambda runs them.
const FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";

/// In a process of its own, the metrics of this migration are read by the test below.
#[test]
fn a_migration_that_is_rolled_back() {
    let simulation = Simulation::blueprint();
    let alarms = json!({"names": [world::ALARM]});
    at_50_percent(&simulation, "run", &watching(&alarms));
    simulation
        .roll_back_all(&alarm_event(world::ALARM))
        .unwrap();
}

#[test]
fn the_dashboard_shows_each_percent_and_the_one_after_a_rollback() {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "dashboard::a_migration_that_is_rolled_back"])
        .env(FUNCTION_NAME, "cutover")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = String::from_utf8(output.stdout).unwrap();
    // The test's own output may precede a metric in its line.
    let lines = output
        .lines()
        .filter_map(|line| line.split_once(r#"{"_aws""#));
    let metrics =
        lines.map(|(_, rest)| serde_json::from_str(&format!(r#"{{"_aws"{rest}"#)).unwrap());
    let percents: Vec<Value> = metrics
        .filter(|metric: &Value| metric.get("Percent").is_some())
        .map(|metric| json!([metric["From"], metric["To"], metric["Percent"]]))
        .collect();
    let expected = [10, 50, 0].map(|percent| json!([BLUE, GREEN, percent]));
    assert_eq!(percents, expected);
}
