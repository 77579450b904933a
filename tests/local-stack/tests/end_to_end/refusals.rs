//! Migrations that are refused, do not start or fail, and the causes that say what to do.

use local_stack::{NameServer, Stack, blueprint, without_registry};
use serde_json::{Value, json};

use crate::{
    ALARM, BLUE, BURNHAM, GREEN, assert_cause, assert_failed, assert_succeeded, input, long_bake,
    migrate, stack, stack_with, until_weight,
};

/// Checks that `input` is refused while planning, without a write, with a cause that contains `parts`.
async fn check_refused(stack: &Stack, name: &str, input: &Value, error: &str, parts: &[&str]) {
    let before = stack.zone.to_cli_json().await.unwrap();
    let ended = migrate(stack, name, input).await;
    assert_failed(&ended, "Refused", error);
    assert_eq!(
        ended.states,
        [
            "Take the input",
            "Plan the migration",
            "Announce that it was refused",
            "Refused"
        ]
    );
    assert_cause(&ended, parts);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

#[tokio::test]
async fn invalid_input_is_refused_before_any_write() {
    let stack = stack().await;
    let invalid = "InvalidInput";
    check_refused(&stack, "empty", &json!({}), invalid, &["hostedZoneId"]).await;

    let misspelt = input(&stack, json!({ "bakeSecond": 5 }));
    check_refused(
        &stack,
        "misspelt",
        &misspelt,
        invalid,
        &["bakeSecond", "bakeSeconds"],
    )
    .await;

    let descending = input(&stack, json!({ "steps": [50, 10, 100] }));
    check_refused(
        &stack,
        "descending",
        &descending,
        invalid,
        &["steps", "50", "10"],
    )
    .await;

    let too_much = input(&stack, json!({ "steps": [10, 120] }));
    check_refused(
        &stack,
        "too-much",
        &too_much,
        invalid,
        &["steps[1]", "120", "100"],
    )
    .await;

    let no_id = input(
        &stack,
        json!({ "hostedZoneId": "eks-blueprint.example.com" }),
    );
    check_refused(
        &stack,
        "no-id",
        &no_id,
        invalid,
        &["hostedZoneId", "eks-blueprint"],
    )
    .await;

    // The role of shift-weight has no permission to read another zone.
    let other_zone = input(&stack, json!({ "hostedZoneId": "Z0000000000TYPO" }));
    let parts = ["is not permitted", "HostedZone"];
    check_refused(&stack, "other-zone", &other_zone, "NotPermitted", &parts).await;

    let plain = "plain.eks-blueprint.example.com";
    let not_paired = input(&stack, json!({ "names": [plain] }));
    check_refused(
        &stack,
        "not-paired",
        &not_paired,
        "UnsupportedRouting",
        &[plain, "simple"],
    )
    .await;

    stack.name_server.delegate(&["ns-9.awsdns-9.com."]);
    let elsewhere = input(&stack, json!({}));
    let parts = ["delegated to other name servers (ns-9.awsdns-9.com)"];
    check_refused(&stack, "elsewhere", &elsewhere, "InvalidInput", &parts).await;
    stack.name_server.delegate(&[]);
    let parts = ["has no NS records"];
    check_refused(&stack, "nowhere", &elsewhere, "InvalidInput", &parts).await;
    stack.name_server.delegate(&NameServer::EMULATED);

    let nowhere = "nowhere.eks-blueprint.example.com";
    let missing = input(&stack, json!({ "names": [nowhere] }));
    check_refused(&stack, "missing", &missing, "NoSuchPair", &[nowhere]).await;

    let misspelt = input(&stack, json!({ "to": "eks-blueprint-gren" }));
    check_refused(
        &stack,
        "misspelt-side",
        &misspelt,
        "NoSuchPair",
        &[BURNHAM, "none of eks-blueprint-gren"],
    )
    .await;
}

/// In the local stack, load balancers have IPv4 addresses only: an AAAA record answers nothing, an A record does.
#[tokio::test]
async fn record_type_of_only_one_side_stops_a_migration_if_its_load_balancer_has_addresses() {
    for (missing, has_addresses) in [("AAAA", false), ("A", true)] {
        let mut record_sets = without_registry(blueprint());
        record_sets.retain(|record_set| {
            let is_of_blue = record_set
                .weighted()
                .is_some_and(|(side, _)| side.as_str() == BLUE);
            !(is_of_blue
                && record_set.name.as_str() == BURNHAM
                && record_set.record_type.as_str() == missing)
        });
        let stack = stack_with(record_sets).await;
        let ended = migrate(&stack, "one-sided", &input(&stack, json!({}))).await;
        if has_addresses {
            assert_failed(&ended, "Not started", "NotReady");
            assert_cause(&ended, &[BURNHAM, "A record", BLUE, "acceptOneSidedTypes"]);
        } else {
            assert_succeeded(&ended, "Completed");
        }
    }
}

#[tokio::test]
async fn missing_alarm_stops_a_migration_before_its_start() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let input = input(&stack, json!({ "alarms": { "names": ["no-such-alarm"] } }));
    let ended = migrate(&stack, "no-alarm", &input).await;
    assert_failed(&ended, "Not started", "AlarmNotFound");
    assert_cause(&ended, &["no-such-alarm"]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

#[tokio::test]
async fn firing_alarm_stops_a_migration_before_its_start() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    stack.create_alarm(ALARM).await.unwrap();
    stack.fire_alarm(ALARM).await.unwrap();
    let input = input(&stack, json!({ "alarms": { "names": [ALARM] } }));
    let ended = migrate(&stack, "alarming", &input).await;
    assert_failed(&ended, "Not started", "AlarmActive");
    assert_cause(&ended, &[ALARM]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

#[tokio::test]
async fn alarm_deleted_during_a_bake_rolls_back() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    stack.create_alarm(ALARM).await.unwrap();
    let mut input = input(&stack, long_bake());
    input["alarms"] = json!({ "names": [ALARM] });
    let migration = stack.start_migration("vanishing", &input).await.unwrap();
    until_weight(&stack, &migration, BURNHAM, GREEN, 50).await;
    stack.delete_alarm(ALARM).await.unwrap();

    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Rolled back", "AlarmNotFound");
    assert_cause(&ended, &[ALARM]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

#[tokio::test]
async fn failing_probe_during_a_bake_rolls_back() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let migration = stack
        .start_migration("breaking", &input(&stack, long_bake()))
        .await
        .unwrap();
    until_weight(&stack, &migration, BURNHAM, GREEN, 50).await;
    stack.green.set_healthy(false);

    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Rolled back", "HealthCheckFailed");
    assert_cause(&ended, &["50 percent", "500"]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// The health check reads CloudWatch's alarm history.
#[tokio::test]
async fn alarm_that_fired_and_cleared_between_two_checks_rolls_back() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    stack.create_alarm(ALARM).await.unwrap();
    let mut input = input(&stack, long_bake());
    input["alarms"] = json!({ "names": [ALARM] });
    let migration = stack.start_migration("flapping", &input).await.unwrap();
    until_weight(&stack, &migration, BURNHAM, GREEN, 50).await;
    // Wait for the first request of the probe: then the shift is done and a health check runs.
    let requests = stack.green.requests();
    while stack.green.requests() == requests {
        assert!(migration.ended().await.unwrap().is_none());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    stack.fire_alarm(ALARM).await.unwrap();
    stack.clear_alarm(ALARM).await.unwrap();

    let ended = migration.wait().await.unwrap();
    assert_failed(&ended, "Rolled back", "HealthCheckFailed");
    assert_cause(&ended, &[ALARM]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}
