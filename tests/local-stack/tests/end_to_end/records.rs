//! Records other than A and AAAA aliases of two clusters, all names at once, and a dry run.

use local_stack::{NAMES, blueprint, without_registry};
use migration::dns::Routing;
use serde_json::{Value, json};

use crate::{
    BLUE, BURNHAM, GREEN, assert_succeeded, input, long_bake, migrate, roll_back, stack,
    stack_with, until_notified, until_weight, weight_of,
};

const SHARED: &str = "shared.eks-blueprint.example.com";
const LEGACY: &str = "legacy.eks-blueprint.example.com";

#[tokio::test]
async fn third_set_identifier_keeps_its_share() {
    let stack = stack().await;
    let input = input(&stack, json!({ "names": [SHARED] }));
    let migration = stack.start_migration("shared", &input).await.unwrap();
    until_weight(&stack, &migration, SHARED, GREEN, 45).await;
    assert_eq!(weight_of(&stack.zone, SHARED, BLUE).await, Some(45));
    assert_eq!(weight_of(&stack.zone, SHARED, "eks-dr").await, Some(10));

    assert_succeeded(&migration.wait().await.unwrap(), "Completed");
    for (side, weight) in [(BLUE, 0), (GREEN, 90), ("eks-dr", 10)] {
        assert_eq!(
            weight_of(&stack.zone, SHARED, side).await,
            Some(weight),
            "{side}"
        );
    }
}

#[tokio::test]
async fn rollback_restores_the_original_weights_not_100_and_0() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let mut input = input(&stack, long_bake());
    input["names"] = json!([LEGACY]);
    let migration = stack.start_migration("legacy", &input).await.unwrap();
    until_weight(&stack, &migration, LEGACY, GREEN, 50).await;

    let ended = roll_back(&stack, "by-hand", &json!({ "execution": "legacy" })).await;
    assert_succeeded(&ended, "Rolled back");
    assert_eq!(weight_of(&stack.zone, LEGACY, BLUE).await, Some(255));
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// The input has no `names`, so it selects every name with both sides. The weights of registry TXT
/// records change together with those of their records.
#[tokio::test]
async fn migration_of_all_names_changes_only_weights_of_both_sides() {
    let stack = stack_with(blueprint()).await;
    let before: Value = serde_json::from_str(&stack.zone.to_cli_json().await.unwrap()).unwrap();
    let mut input = input(&stack, json!({}));
    input.as_object_mut().unwrap().remove("names");
    assert_succeeded(&migrate(&stack, "all", &input).await, "Completed");
    let release = stack
        .start_release("release", &json!({ "execution": "all" }))
        .await
        .unwrap();
    assert_succeeded(&release.wait().await.unwrap(), "Released");

    let mut expected = before;
    for record_set in expected["ResourceRecordSets"].as_array_mut().unwrap() {
        let moves = ["A", "AAAA", "CNAME", "TXT"]
            .iter()
            .any(|kind| record_set["Type"] == *kind);
        let is_shared = record_set["Name"] == format!("{SHARED}.");
        if moves && record_set["SetIdentifier"] == BLUE {
            record_set["Weight"] = 0.into();
        } else if moves && record_set["SetIdentifier"] == GREEN {
            let is_legacy = record_set["Name"] == format!("{LEGACY}.");
            let weight = if is_shared {
                90
            } else if is_legacy {
                255
            } else {
                100
            };
            record_set["Weight"] = weight.into();
        }
    }
    assert_eq!(
        stack.zone.to_cli_json().await.unwrap(),
        format!("{expected:#}")
    );
}

/// As an Ingress with a set identifier of its own writes them.
#[tokio::test]
async fn names_with_their_own_set_identifiers_move_by_templates() {
    let mut record_sets = without_registry(blueprint());
    for record_set in &mut record_sets {
        let label = record_set
            .name
            .as_str()
            .split('.')
            .next()
            .unwrap()
            .to_owned();
        if let Routing::Weighted { set_identifier, .. } = &mut record_set.routing
            && NAMES.contains(&record_set.name.as_str())
        {
            *set_identifier = format!("{label}-{set_identifier}").parse().unwrap();
        }
    }
    let stack = stack_with(record_sets).await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let templates = json!({
        "names": NAMES, "from": format!("*-{BLUE}"), "to": format!("*-{GREEN}"),
    });
    let mut held = input(&stack, templates.clone());
    held.as_object_mut()
        .unwrap()
        .extend(long_bake().as_object().unwrap().clone());
    let migration = stack.start_migration("held", &held).await.unwrap();
    let burnham = format!("burnham-{GREEN}");
    until_weight(&stack, &migration, BURNHAM, &burnham, 50).await;
    let ended = roll_back(&stack, "by-hand", &json!({ "execution": "held" })).await;
    assert_succeeded(&ended, "Rolled back");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);

    let ended = migrate(&stack, "run", &input(&stack, templates)).await;
    assert_succeeded(&ended, "Completed");
    for name in NAMES {
        let label = name.split('.').next().unwrap();
        for (side, weight) in [(BLUE, 0), (GREEN, 100)] {
            let identifier = format!("{label}-{side}");
            assert_eq!(
                weight_of(&stack.zone, name, &identifier).await,
                Some(weight),
                "{identifier}"
            );
        }
    }
    let notification = until_notified(&stack, "Completed").await;
    let said = format!("is on *-{GREEN}");
    assert!(
        notification.description().contains(&said),
        "{notification:#?}"
    );
}

#[tokio::test]
async fn dry_run_returns_the_plan_and_writes_nothing() {
    let stack = stack_with(blueprint()).await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let input = input(
        &stack,
        json!({ "names": NAMES, "steps": [10, 50, 100], "dryRun": true }),
    );
    let ended = migrate(&stack, "dry", &input).await;
    assert_succeeded(&ended, "Planned");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);

    let percents: Vec<_> = ended.output["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["percent"])
        .collect();
    assert_eq!(percents, [10, 50, 100]);
    assert_eq!(ended.output["names"], 5);
    assert_eq!(ended.output["recordSets"], 20);
    assert_eq!(ended.output["leased"], 5);
    let owners = &ended.output["externalDnsOwners"];
    assert_eq!(owners[BLUE]["AAAA"][BLUE], 5, "{owners}");
    let observers = ended.output["observers"].as_array().unwrap();
    let verdicts: Vec<_> = observers.iter().map(|it| &it["verdict"]).collect();
    assert_eq!(verdicts, ["pass", "pass"], "{observers:?}");
    let warnings = ended.output["warnings"].to_string();
    assert!(warnings.contains("named differently"), "{warnings}");
}
