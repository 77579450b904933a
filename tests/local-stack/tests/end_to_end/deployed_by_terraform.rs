//! The Terraform module deploys what the template deploys.

use std::collections::{BTreeMap, BTreeSet};

use local_stack::{Settings, Stack, Tool, terraform_is_installed, without_registry};
use serde_json::{Value, json};

use crate::{
    BLUE, BURNHAM, GREEN, WAIT_SCALE, assert_failed, assert_succeeded, blueprint, input, migrate,
    roll_back,
};

/// What the emulator does not report, so that each plan would change it: a kind of resource and its attributes.
const NOT_REPORTED: [(&str, &[&str]); 3] = [
    (
        "aws_cloudwatch_metric_alarm",
        &[
            "actions_enabled",
            "alarm_actions",
            "alarm_description",
            "dimensions",
            "period",
            "statistic",
            "treat_missing_data",
        ],
    ),
    // It reports Lambda's default in place of none.
    (
        "aws_lambda_function_event_invoke_config",
        &["maximum_event_age_in_seconds"],
    ),
    ("aws_sfn_state_machine", &["tracing_configuration"]),
];

/// A stack that Terraform has deployed; none where it is not installed.
pub(crate) async fn stack(settings: Settings) -> Option<Stack> {
    if !terraform_is_installed().unwrap() {
        return None;
    }
    let settings = Settings {
        tool: Tool::Terraform,
        ..settings
    };
    let record_sets = without_registry(blueprint());
    let stack = Stack::start_with(&record_sets, settings).await.unwrap();
    stack.scale_waits(WAIT_SCALE).await.unwrap();
    Some(stack)
}

/// The kinds of resources that a plan would change, and the attributes.
fn changes(plan: &Value) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for resource in plan["resource_changes"].as_array().unwrap() {
        let change = &resource["change"];
        if change["actions"] == json!(["no-op"]) {
            continue;
        }
        assert_eq!(change["actions"], json!(["update"]), "{resource}");
        for (attribute, before) in change["before"].as_object().unwrap() {
            let is_known = change["after_unknown"][attribute] != true;
            if is_known && *before != change["after"][attribute] {
                let kind = resource["type"].as_str().unwrap();
                found.insert((kind.to_owned(), attribute.clone()));
            }
        }
    }
    found
}

fn not_reported() -> BTreeSet<(String, String)> {
    let pairs = NOT_REPORTED.iter().flat_map(|(kind, attributes)| {
        let attributes = attributes.iter();
        attributes.map(|attribute| ((*kind).to_owned(), (*attribute).to_owned()))
    });
    pairs.collect()
}

/// The journals are the only record of the original weights, so the guard refuses the destruction until the
/// migration is rolled back; and it is destroyed before anything else, so a refusal keeps everything.
#[tokio::test]
async fn applied_module_migrates_and_is_destroyed_only_without_journals() {
    let Some(stack) = stack(Settings::default()).await else {
        return;
    };
    let terraform = stack.terraform().unwrap();
    assert_eq!(changes(&terraform.plan().await.unwrap()), not_reported());
    let before = stack.zone.to_cli_json().await.unwrap();

    let holding = json!({ "steps": [{ "percent": 50, "approval": true }, 100],
        "approvalTimeoutSeconds": 60, "onRefusal": "hold" });
    let held = migrate(&stack, "holding", &input(&stack, holding)).await;
    assert_failed(&held, "Held", "Held");
    let deployed = terraform.addresses().await.unwrap();
    let refusal = stack.delete().await.unwrap().unwrap_err();
    for part in [
        "release them or roll them back, then delete the stack again",
        &format!("{BURNHAM} (execution holding, 50 percent)"),
    ] {
        assert!(refusal.contains(part), "{part:?} is not in {refusal:?}");
    }
    assert_eq!(terraform.addresses().await.unwrap(), deployed);

    let rolled_back = roll_back(&stack, "back", &json!({ "execution": "holding" })).await;
    assert_succeeded(&rolled_back, "Rolled back");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    let completed = migrate(&stack, "completed", &input(&stack, json!({}))).await;
    assert_succeeded(&completed, "Completed");
    assert_eq!(changes(&terraform.plan().await.unwrap()), not_reported());

    expect_weights_handed_back(&stack).await;

    stack.delete().await.unwrap().unwrap();
    assert_eq!(terraform.addresses().await.unwrap(), Vec::<String>::new());
    // KMS deletes the key of the notifications after a week.
    let keys = [
        "Encrypts the notifications of the stack cutover while SNS has them. PendingDeletion",
        "Signs the journals of the stack cutover. Enabled",
    ];
    let left = stack.inventory().await.unwrap();
    assert_eq!(json!(left), json!({ "keys": keys }));
}

/// The example `eks-blueprints` has records whose weights are read from the zone. After a migration has moved them,
/// Terraform changes nothing.
async fn expect_weights_handed_back(stack: &Stack) {
    const RECORDS: &str = "aws_route53_record.front_door";
    const WEIGHTS: &str = "module.weights";
    let example = stack.terraform().unwrap().example("eks-blueprints").await;
    let example = example.unwrap();
    let plan = example.plan_for(WEIGHTS).await.unwrap();
    // Burnham was moved above.
    assert_eq!(
        plan["planned_values"]["outputs"]["route53_weight"]["value"],
        json!({ BLUE: 0, GREEN: 100 })
    );

    let plan = example.plan_for(RECORDS).await.unwrap();
    assert_eq!(
        weights(&plan),
        [(BLUE.to_owned(), 100), (GREEN.to_owned(), 0)].into()
    );
    example.apply_plan().await.unwrap();
    let front_door =
        json!({ "names": ["front-door.eks-blueprint.example.com"], "probe": { "enabled": false } });
    let completed = migrate(stack, "front-door", &input(stack, front_door)).await;
    assert_succeeded(&completed, "Completed");

    let plan = example.plan_for(RECORDS).await.unwrap();
    assert_eq!(changes(&plan), BTreeSet::new());
    assert_eq!(
        weights(&plan),
        [(BLUE.to_owned(), 0), (GREEN.to_owned(), 100)].into()
    );
}

/// The planned weights of records, by set identifier.
fn weights(plan: &Value) -> BTreeMap<String, u64> {
    let resources = plan["planned_values"]["root_module"]["resources"].as_array();
    let records = resources.unwrap().iter();
    let records = records.filter(|resource| resource["type"] == "aws_route53_record");
    let weight = |record: &Value| {
        let values = &record["values"];
        let side = values["set_identifier"].as_str().unwrap();
        let weight = values["weighted_routing_policy"][0]["weight"].as_u64();
        (side.to_owned(), weight.unwrap())
    };
    records.map(weight).collect()
}
