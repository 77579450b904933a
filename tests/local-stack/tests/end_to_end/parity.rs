//! What the template describes and what Terraform has applied are the same, property by property. `parity.py` says how
//! they are compared, and which differences are intended.

use std::io::Write as _;
use std::process::{Command, Stdio};

use local_stack::{Settings, Stack};
use serde_json::{Value, json};

use crate::deployed_by_terraform;

const PROGRAM: &str = include_str!("parity.py");
const TEMPLATE: &str = include_str!("../../../../infra/template.yaml");
/// The resources that are compared at least: a comparison of nothing would find nothing.
const AT_LEAST: usize = 100;

/// The differences between a template with parameters and a plan that was made after the apply.
fn differences(
    stack: &Stack,
    template: &str,
    parameters: &[(&str, String)],
    planned: &Value,
) -> Vec<String> {
    let parameters: serde_json::Map<_, _> = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    let request = json!({
        "template": template,
        "definitions": stack.terraform().unwrap().definitions().unwrap(),
        "parameters": parameters,
        "planned": planned,
    });
    let mut program = Command::new(local_stack::python().unwrap())
        .args(["-c", PROGRAM])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut input = program.stdin.take().unwrap();
    input.write_all(request.to_string().as_bytes()).unwrap();
    drop(input);
    let output = program.wait_with_output().unwrap();
    assert!(output.status.success(), "parity.py failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let compared: usize = lines.pop().unwrap().parse().unwrap();
    assert!(compared >= AT_LEAST, "{compared} resources were compared");
    lines
}

/// A value for each parameter that has another default, so that each conditional resource exists.
fn all_parameters() -> Vec<(&'static str, String)> {
    let layer = "arn:aws:lambda:us-east-1:000000000000:layer:authorities:1";
    let key = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555";
    [
        ("NotificationEmail", "team@example.com"),
        ("AlarmNamePrefix", "eks-"),
        ("ClusterCreatedName", "green"),
        (
            "ClusterCreatedInput",
            r#"{"from": "blue", "to": "green", "steps": [10, 100]}"#,
        ),
        ("RequireProbe", "true"),
        ("RequireAlarms", "true"),
        ("MaxFirstStepPercent", "12.5"),
        ("MinBakeSeconds", "60"),
        ("ReminderAfterHours", "2"),
        ("RollbackReservedConcurrency", "10"),
        ("LogRetentionInDays", "30"),
        ("LogLevel", "debug"),
        ("JournalKeyArn", key),
        ("ProbeCaCertificatesLayerArn", layer),
        ("ProbeSubnetIds", "subnet-0123456789abcdef0"),
        (
            "ProbeSecurityGroupIds",
            "sg-0123456789abcdef0,sg-0123456789abcdef1",
        ),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

#[tokio::test]
async fn template_and_module_describe_the_same_with_all_parameters() {
    let settings = Settings {
        parameters: all_parameters(),
        ..Settings::default()
    };
    let Some(stack) = deployed_by_terraform::stack(settings).await else {
        return;
    };
    let plan = stack.terraform().unwrap().plan().await.unwrap();
    let found = differences(
        &stack,
        TEMPLATE,
        stack.parameters(),
        &plan["planned_values"],
    );
    assert_eq!(found, Vec::<String>::new());
}

/// With the defaults. Then one thing is changed at a time on one side, which has to be found, with its path.
#[tokio::test]
async fn difference_between_template_and_module_is_found() {
    let Some(stack) = deployed_by_terraform::stack(Settings::default()).await else {
        return;
    };
    let plan = stack.terraform().unwrap().plan().await.unwrap();
    let planned = &plan["planned_values"];
    let parameters = stack.parameters();
    let found = differences(&stack, TEMPLATE, parameters, planned);
    assert_eq!(found, Vec::<String>::new());

    for (old, new, path) in [
        (
            "Action: route53:ListHostedZonesByName",
            "Action: route53:ListHostedZones",
            "shift-weight.PolicyDocument.Statement[2].Action[0]",
        ),
        (
            "MIN_BAKE_SECONDS: !Ref MinBakeSeconds",
            "MIN_BAKE_SECONDS: 1",
            "cutover-shift-weight.Environment.Variables.MIN_BAKE_SECONDS",
        ),
        (
            "status: [FAILED, ABORTED, TIMED_OUT]",
            "status: [FAILED, ABORTED]",
            "cutover-execution-ended.EventPattern.detail.status",
        ),
        (
            "ProbeFunctionArn: !Ref ProbeFunction.Version",
            "ProbeFunctionArn: !GetAtt ProbeFunction.Arn",
            "cutover-migration.Definition.States",
        ),
        (
            "MaximumEventAgeInSeconds: 900",
            "MaximumEventAgeInSeconds: 901",
            "cutover-sweep.Target.RetryPolicy.MaximumEventAgeInSeconds",
        ),
        (
            "TreatMissingData: notBreaching",
            "TreatMissingData: missing",
            "cutover-rollback-failed.TreatMissingData",
        ),
    ] {
        assert!(TEMPLATE.contains(old), "the template has no {old:?}");
        let template = TEMPLATE.replacen(old, new, 1);
        let found = differences(&stack, &template, parameters, planned);
        assert!(found[0].contains(path), "{new}: {found:#?}");
    }
    for (old, new, path) in [
        ("kms:GenerateMac", "kms:*", "Statement[1].Action[0]"),
        (
            r#""REQUIRE_PROBE":"false""#,
            r#""REQUIRE_PROBE":"true""#,
            "cutover-shift-weight.Environment.Variables.REQUIRE_PROBE",
        ),
        (
            "Cutover Migration Requested",
            "Any",
            "cutover-migration-requested.EventPattern.detail-type[0]",
        ),
        (
            r#""message_group_id":"alarms""#,
            r#""message_group_id":"rollbacks""#,
            "cutover-alarm/queue.SqsParameters.MessageGroupId",
        ),
        (
            r#""aws_sqs_queue_policy""#,
            r#""aws_sqs_queue_redrive_policy""#,
            "does not know the kind aws_sqs_queue_redrive_policy",
        ),
        (
            r#""permissions_boundary":"""#,
            r#""permissions_boundary":"b""#,
            "the comparison overlooks permissions_boundary",
        ),
    ] {
        let text = planned.to_string();
        assert!(text.contains(old), "the plan has no {old:?}");
        let planned = serde_json::from_str(&text.replace(old, new)).unwrap();
        let found = differences(&stack, TEMPLATE, parameters, &planned);
        assert!(found[0].contains(path), "{new}: {found:#?}");
    }
}
