//! Metrics for the stack's dashboard, as log lines in CloudWatch's embedded metric format.
//!
//! The format is one JSON object; a crate that writes it would add dozens of dependencies.
//!
//! Source: CloudWatch User Guide, "Specification: Embedded metric format".

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use migration::dns::{Percent, RecordName, SetIdentifierTemplate};
use serde_json::{Map, Value, json};

const NAMESPACE: &str = "Cutover";
/// An environment variable that Lambda sets.
const FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";

/// Emits the percent of the traffic that `to` has now.
pub fn emit_percent(
    zone: &RecordName,
    from: &SetIdentifierTemplate,
    to: &SetIdentifierTemplate,
    percent: Percent,
) {
    let dimensions = [
        ("HostedZone", zone.as_str()),
        ("From", from.as_str()),
        ("To", to.as_str()),
    ];
    let unit = "Percent";
    write(&line(&dimensions, unit, &[("Percent", json!(percent))]));
}

/// Emits how many of the watched alarms are in each state.
pub fn emit_alarms(ok: usize, insufficient_data: usize, in_alarm: usize) {
    let function = std::env::var(FUNCTION_NAME).unwrap_or_default();
    let counts = [
        ("AlarmsOk", json!(ok)),
        ("AlarmsInsufficientData", json!(insufficient_data)),
        ("AlarmsInAlarm", json!(in_alarm)),
    ];
    write(&line(&[("FunctionName", &function)], "Count", &counts));
}

fn write(line: &Value) {
    // CloudWatch extracts metrics from Lambda's log; in a local run the line would only be noise.
    if std::env::var_os(FUNCTION_NAME).is_none() {
        return;
    }
    // A failure to write a metric must not fail a migration.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn line(dimensions: &[(&str, &str)], unit: &str, metrics: &[(&str, Value)]) -> Value {
    let names: Vec<_> = dimensions.iter().map(|(name, _)| *name).collect();
    let definitions: Vec<_> = metrics
        .iter()
        .map(|(name, _)| json!({ "Name": name, "Unit": unit }))
        .collect();
    let timestamp = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let mut fields = Map::new();
    let directive =
        json!({ "Namespace": NAMESPACE, "Dimensions": [names], "Metrics": definitions });
    fields.insert(
        "_aws".to_owned(),
        json!({ "Timestamp": u64::try_from(timestamp).unwrap_or_default(), "CloudWatchMetrics": [directive] }),
    );
    for (name, value) in dimensions {
        fields.insert((*name).to_owned(), json!(value));
    }
    for (name, value) in metrics {
        fields.insert((*name).to_owned(), value.clone());
    }
    fields.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_declares_its_metrics_and_dimensions() {
        let mut line = line(
            &[("HostedZone", "example.com"), ("To", "green")],
            "Percent",
            &[("Percent", json!(10))],
        );
        line["_aws"]["Timestamp"] = 0.into();
        expect_test::expect![[r#"
            {
              "_aws": {
                "Timestamp": 0,
                "CloudWatchMetrics": [
                  {
                    "Namespace": "Cutover",
                    "Dimensions": [
                      [
                        "HostedZone",
                        "To"
                      ]
                    ],
                    "Metrics": [
                      {
                        "Name": "Percent",
                        "Unit": "Percent"
                      }
                    ]
                  }
                ]
              },
              "HostedZone": "example.com",
              "To": "green",
              "Percent": 10
            }
        "#]]
        .assert_eq(&format!("{line:#}\n"));
    }
}
