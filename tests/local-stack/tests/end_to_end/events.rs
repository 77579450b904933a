//! Migrations that events start, stop and roll back.

use local_stack::{
    BLUE, Execution, GREEN, Settings, Stack, alarm_event, blueprint, cluster_created_event,
    status_event, without_registry,
};
use serde_json::{Value, json};

use crate::{
    ALARM, BURNHAM, assert_failed, assert_succeeded, input, long_bake, migrate, roll_back, stack,
    stack_with_settings, until, until_entered, until_notified, until_weight, until_zone, weight_of,
};

/// Starts a migration of one name with a long bake, and waits until it is at 50 percent.
async fn at_50_percent(stack: &Stack, name: &str, overrides: Value) -> Execution {
    let mut request = input(stack, long_bake());
    if let (Some(request), Value::Object(overrides)) = (request.as_object_mut(), overrides) {
        request.extend(overrides);
    }
    let migration = stack.start_migration(name, &request).await.unwrap();
    until_weight(stack, &migration, BURNHAM, GREEN, 50).await;
    migration
}

/// Delivers the event of the watched alarm. The alarm itself stays in OK, because a check of the migration may
/// find it in ALARM before the event is handled, and then it is the migration that reports its rollback.
async fn deliver_alarm_event(stack: &Stack) -> Execution {
    single(stack.deliver_alarm_event(ALARM).await.unwrap())
}

fn single(started: Vec<Execution>) -> Execution {
    let [execution] = <[Execution; 1]>::try_from(started).unwrap();
    execution
}

#[tokio::test]
async fn alarm_event_rolls_back_the_migration_that_watches_the_alarm() {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let before = stack.zone.to_cli_json().await.unwrap();
    let watching = json!({ "alarms": { "prefixes": ["eks-blueprint-green"] } });
    let migration = at_50_percent(&stack, "watching", watching).await;

    let rollback = deliver_alarm_event(&stack).await;
    let notification = until_notified(&stack, "RolledBack").await;
    assert_eq!(notification.subject, "Cutover rolled back: watching");
    let description = notification.description();
    for part in ["1 name ", "from 50 percent", "100/0", ALARM] {
        assert!(
            description.contains(part),
            "{part:?} is not in {description:?}"
        );
    }
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);

    assert_succeeded(&rollback.wait().await.unwrap(), "Rolled back");
    assert_ne!(migration.wait().await.unwrap().outcome, "SUCCEEDED");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// Without EventBridge: the function stops the execution and restores. The execution's status event
/// then starts the rollback that confirms the change and sends the notification.
#[tokio::test]
async fn alarm_with_the_rollback_function_as_action_rolls_back() {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let before = stack.zone.to_cli_json().await.unwrap();
    let watching = json!({ "alarms": { "names": [ALARM] } });
    let migration = at_50_percent(&stack, "watching", watching).await;
    stack
        .invoke_alarm_action(ALARM, "too many errors")
        .await
        .unwrap();
    until_zone(&stack, &before).await;
    let notification = until_notified(&stack, "RolledBack").await;
    assert!(
        notification.description().contains("too many errors"),
        "{notification:#?}"
    );
    assert_ne!(migration.wait().await.unwrap().outcome, "SUCCEEDED");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// The alarm's name begins with the name of a watched alarm.
#[tokio::test]
async fn alarm_that_no_migration_watches_changes_nothing() {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let migration = at_50_percent(&stack, "run", json!({ "alarms": { "names": [ALARM] } })).await;
    let at_50 = stack.zone.to_cli_json().await.unwrap();

    let another = format!("{ALARM}-of-another-service");
    stack.create_alarm(&another).await.unwrap();
    let started = stack.fire_alarm_with_event(&another).await.unwrap();
    assert!(started.is_empty(), "{started:?}");
    assert!(stack.rollbacks().await.unwrap().is_empty());
    assert!(migration.ended().await.unwrap().is_none());
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), at_50);
}

#[tokio::test]
async fn alarm_without_the_prefix_starts_no_rollback() {
    let settings = Settings {
        parameters: vec![("AlarmNamePrefix", "cutover-".to_owned())],
        ..Settings::default()
    };
    let stack = stack_with_settings(without_registry(blueprint()), settings).await;
    let is_matched = async |alarm: &str| {
        let event = alarm_event(alarm, "too many errors").unwrap();
        stack.is_matched(&event).await.unwrap()
    };
    assert!(!is_matched(ALARM).await);
    assert!(is_matched(&format!("cutover-{ALARM}")).await);
}

/// The stack's own alarms report failed rollbacks. They must not start another rollback, even if
/// their names begin with `AlarmNamePrefix`.
#[tokio::test]
async fn alarm_of_the_stack_itself_starts_no_rollback() {
    let settings = Settings {
        parameters: vec![("AlarmNamePrefix", "cutover-".to_owned())],
        ..Settings::default()
    };
    let stack = stack_with_settings(without_registry(blueprint()), settings).await;
    for alarm in [
        "rollback-failed",
        "rollback-timed-out",
        "rollback-aborted",
        "start-failed",
        "notification-failed",
        "events-not-delivered",
        "alarms-not-handled",
    ] {
        let event = alarm_event(&format!("cutover-{alarm}"), "a rollback failed").unwrap();
        assert!(!stack.is_matched(&event).await.unwrap(), "{alarm}");
    }
}

/// A probe fails, and an alarm fires while the migration rolls itself back. Stopping the migration
/// would stop its rollback and lose its cause.
#[tokio::test]
async fn alarm_event_does_not_stop_a_migration_that_rolls_itself_back() {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let before = stack.zone.to_cli_json().await.unwrap();
    let watching =
        json!({ "alarms": { "names": [ALARM] }, "bakeSeconds": 600, "checkSeconds": 30 });
    let migration = at_50_percent(&stack, "failing", watching).await;
    stack.green.set_healthy(false);
    until_entered(&migration, "Roll back").await;
    let by_alarm = single(stack.fire_alarm_with_event(ALARM).await.unwrap());
    assert_failed(
        &migration.wait().await.unwrap(),
        "Rolled back",
        "HealthCheckFailed",
    );
    assert_eq!(by_alarm.wait().await.unwrap().outcome, "SUCCEEDED");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

/// The migration has no permission to read the zone, so it has written nothing there. A failed
/// rollback would page somebody for nothing.
#[tokio::test]
async fn refused_migration_causes_no_failed_rollback() {
    let stack = stack().await;
    let mut request = input(&stack, json!({}));
    request["hostedZoneId"] = "Z00000000000".into();
    let refused = migrate(&stack, "mistyped", &request).await;
    assert_eq!(refused.state, "Refused");
    let rollback = until("rollback by the migration's status event", async || {
        stack.rollbacks().await.unwrap().pop()
    })
    .await;
    assert_succeeded(&rollback.wait().await.unwrap(), "Nothing to roll back");
}

#[tokio::test]
async fn alarm_event_stops_a_migration_with_on_failure_hold_and_keeps_its_weights() {
    let stack = stack().await;
    stack.create_alarm(ALARM).await.unwrap();
    let holding = json!({ "onFailure": "hold", "alarms": { "names": [ALARM] } });
    let migration = at_50_percent(&stack, "holding", holding).await;
    let at_50 = stack.zone.to_cli_json().await.unwrap();

    let by_alarm = deliver_alarm_event(&stack).await;
    assert_succeeded(&by_alarm.wait().await.unwrap(), "Nothing to roll back");
    let notification = until_notified(&stack, "Held").await;
    assert!(
        notification.description().contains(ALARM),
        "{notification:#?}"
    );
    assert_ne!(migration.wait().await.unwrap().outcome, "SUCCEEDED");
    // Its status event starts a second rollback, which keeps its weights, too.
    until("second rollback", async || {
        let rollbacks = stack.rollbacks().await.unwrap();
        (rollbacks.len() >= 2).then_some(())
    })
    .await;
    for rollback in stack.rollbacks().await.unwrap() {
        assert_succeeded(&rollback.wait().await.unwrap(), "Nothing to roll back");
    }
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), at_50);
}

/// The emulator never times out an execution, so the test delivers the documented event.
#[tokio::test]
async fn timed_out_migration_is_rolled_back_by_its_status_event() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let migration = at_50_percent(&stack, "timed-out", json!({})).await;
    migration.stop().await.unwrap();
    let machine = stack.migration_state_machine_arn().unwrap().to_owned();
    let event = status_event(&migration, &machine, "TIMED_OUT")
        .await
        .unwrap();
    let rollback = single(stack.deliver(&event).await.unwrap());
    // The emulator sends an event for the stop as well, so two rollbacks run at the same time.
    let ended = rollback.wait().await.unwrap();
    assert_eq!(ended.outcome, "SUCCEEDED", "{ended:#?}");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

#[tokio::test]
async fn only_status_events_of_unsuccessful_migrations_start_a_rollback() {
    let stack = stack().await;
    let migration = migrate(&stack, "done", &input(&stack, json!({}))).await;
    assert_succeeded(&migration, "Completed");
    let completed = stack.zone.to_cli_json().await.unwrap();
    let request = json!({ "execution": "done" });
    let rollback = stack.start_rollback("too-late", &request).await.unwrap();
    rollback.wait().await.unwrap();
    let migration_machine = stack.migration_state_machine_arn().unwrap();
    let rollback_machine = stack.rollback_state_machine_arn().unwrap();
    for (machine, status, is_started) in [
        (migration_machine, "RUNNING", false),
        (migration_machine, "SUCCEEDED", false),
        (migration_machine, "FAILED", true),
        (rollback_machine, "FAILED", false),
        (rollback_machine, "ABORTED", false),
        (rollback_machine, "TIMED_OUT", false),
    ] {
        let event = status_event(&rollback, machine, status).await.unwrap();
        let started = stack.deliver(&event).await.unwrap();
        assert_eq!(started.len(), usize::from(is_started), "{machine} {status}");
    }
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), completed);
}

/// The author sends it twice, which makes two events, and once more when the migration has ended.
#[tokio::test]
async fn a_request_starts_one_migration_however_often_its_event_is_sent() {
    let stack = stack().await;
    let source = stack.output("EventSource").unwrap().to_owned();
    let mut request = input(&stack, long_bake());
    request["request"] = "upgrade 1.34".into();
    let send = async || {
        stack
            .put_event(&source, "Cutover Migration Requested", &request)
            .await
            .unwrap();
    };
    let starts = async |count| {
        until("starts", async || {
            let mut ended = Vec::new();
            for start in stack.starts().await.unwrap() {
                ended.extend(start.ended().await.unwrap());
            }
            (ended.len() == count).then_some(ended)
        })
        .await
    };
    send().await;
    send().await;
    starts(2).await;
    let migration = single(stack.migrations().await.unwrap());
    assert_eq!(migration.name(), "upgrade-1.34");
    until_weight(&stack, &migration, BURNHAM, GREEN, 50).await;
    migration.stop().await.unwrap();
    send().await;
    for start in starts(3).await {
        assert_eq!(start.outcome, "SUCCEEDED", "{start:#?}");
    }
    assert_eq!(stack.migrations().await.unwrap().len(), 1);
}

#[tokio::test]
async fn event_with_another_source_or_detail_type_starts_nothing() {
    let stack = stack().await;
    let request = input(&stack, json!({}));
    for (source, detail_type) in [
        ("another-stack", "Cutover Migration Requested"),
        ("cutover", "Another"),
    ] {
        let event = json!({
            "version": "0", "id": "1", "account": "000000000000", "region": "us-east-1",
            "time": "2026-01-01T00:00:00Z", "resources": [],
            "source": source, "detail-type": detail_type, "detail": request,
        });
        assert!(stack.deliver(&event).await.unwrap().is_empty());
    }
}

/// Each event has a target, but not if it comes from an archive.
#[tokio::test]
async fn events_that_are_replayed_from_an_archive_start_nothing() {
    let settings = Settings {
        parameters: vec![("ClusterCreatedName", GREEN.to_owned())],
        ..Settings::default()
    };
    let stack = stack_with_settings(without_registry(blueprint()), settings).await;
    // A dry run, because an event needs an execution. It has written nothing.
    let request = input(&stack, json!({ "dryRun": true }));
    let execution = stack.start_migration("dry-run", &request).await.unwrap();
    execution.wait().await.unwrap();
    let migrations = stack.migration_state_machine_arn().unwrap();
    let releases = stack.output("ReleaseStateMachineArn").unwrap();
    let own = |detail_type: &str| {
        json!({
            "version": "0", "id": "1", "account": "000000000000", "region": "us-east-1",
            "time": "2026-01-01T00:00:00Z", "resources": [], "source": "cutover",
            "detail-type": detail_type, "detail": {},
        })
    };
    for mut event in [
        alarm_event(ALARM, "too many errors").unwrap(),
        status_event(&execution, migrations, "FAILED")
            .await
            .unwrap(),
        status_event(&execution, releases, "ABORTED").await.unwrap(),
        cluster_created_event(GREEN).unwrap(),
        own("Cutover Migration Requested"),
        own("Cutover Migration Status Change"),
    ] {
        event["replay-name"] = "replay".into();
        assert!(!stack.is_matched(&event).await.unwrap(), "{event}");
        event.as_object_mut().unwrap().remove("replay-name");
        assert!(stack.is_matched(&event).await.unwrap(), "{event}");
    }
}

/// The cluster is still being created: the migration waits for its records, then until it answers.
#[tokio::test]
async fn cluster_created_event_starts_a_migration_that_waits_for_the_cluster() {
    let mut record_sets = without_registry(blueprint());
    let of_green = |record_set: &migration::dns::RecordSet| {
        record_set
            .weighted()
            .is_some_and(|(side, _)| side.as_str() == GREEN)
    };
    let green: Vec<_> = record_sets.extract_if(.., |set| of_green(set)).collect();
    let request = json!({
        "hostedZoneId": "$ZONE", "from": BLUE, "to": GREEN, "names": [BURNHAM], "steps": [100],
        "bakeSeconds": 60, "checkSeconds": 60, "recordsTimeoutSeconds": 86_000,
        "readyTimeoutSeconds": 43_000,
    });
    let settings = Settings {
        parameters: vec![
            ("ClusterCreatedName", GREEN.to_owned()),
            ("ClusterCreatedInput", request.to_string()),
        ],
        ..Settings::default()
    };
    let stack = stack_with_settings(record_sets, settings).await;
    assert!(
        stack
            .deliver(&cluster_created_event("another").unwrap())
            .await
            .unwrap()
            .is_empty()
    );
    stack.green.set_healthy(false);
    let event = cluster_created_event(GREEN).unwrap();
    let start = single(stack.deliver(&event).await.unwrap());
    assert_succeeded(&start.wait().await.unwrap(), "Started");
    let migration = single(stack.migrations().await.unwrap());
    assert_eq!(migration.name(), event["id"]);
    until_entered(&migration, "Wait for the new side's records").await;
    stack.zone.create(&green).await.unwrap();
    until_entered(&migration, "Wait before probing again").await;
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(0));
    stack.green.set_healthy(true);
    assert_succeeded(&migration.wait().await.unwrap(), "Completed");
    assert_eq!(weight_of(&stack.zone, BURNHAM, GREEN).await, Some(100));
}

/// Each event has the documented fields.
#[tokio::test]
async fn migration_emits_one_event_for_each_transition() {
    let stack = stack().await;
    let ended = migrate(&stack, "run", &input(&stack, json!({}))).await;
    assert_succeeded(&ended, "Completed");
    until_notified(&stack, "Completed").await;
    let changes = stack.status_changes().await.unwrap();
    let transitions: Vec<_> = changes
        .iter()
        .map(|event| {
            assert_eq!(event["source"], "cutover");
            assert_eq!(event["detail-type"], "Cutover Migration Status Change");
            let detail = &event["detail"];
            assert_eq!(detail["execution"], "run");
            assert_eq!(detail["zoneName"], "eks-blueprint.example.com");
            assert_eq!(
                (&detail["from"], &detail["to"]),
                (&json!(BLUE), &json!(GREEN))
            );
            assert_eq!(detail["names"], 1);
            format!(
                "{} {}",
                detail["status"].as_str().unwrap(),
                detail["percent"]
            )
        })
        .collect();
    assert_eq!(
        transitions,
        [
            "Started 0",
            "StepReached 50",
            "StepReached 100",
            "Completed 100"
        ]
    );
}

#[tokio::test]
async fn refusal_and_failed_rollback_are_notified() {
    let stack = stack().await;
    let refused = migrate(&stack, "refused", &json!({ "dryRun": false })).await;
    assert_failed(&refused, "Refused", "InvalidInput");
    let notification = until_notified(&stack, "NotStarted").await;
    assert_eq!(notification.subject, "Cutover not started: refused");
    assert!(
        notification.description().contains("hostedZoneId"),
        "{notification:#?}"
    );

    roll_back(&stack, "failed", &json!({ "execution": "never-was" })).await;
    let notification = until_notified(&stack, "RollbackFailed").await;
    assert_eq!(notification.subject, "Cutover ROLLBACK FAILED: never-was");
    assert!(
        notification.description().contains("ExecutionNotFound"),
        "{notification:#?}"
    );
}

#[tokio::test]
async fn aborted_migration_is_rolled_back_by_its_status_event() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let migration = at_50_percent(&stack, "aborted", json!({})).await;
    migration.stop().await.unwrap();
    until_zone(&stack, &before).await;
    let notification = until_notified(&stack, "RolledBack").await;
    assert!(
        notification.description().contains("ABORTED"),
        "{notification:#?}"
    );
}
