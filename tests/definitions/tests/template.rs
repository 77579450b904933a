//! The CloudFormation template grants and delivers what the project relies on.

#![expect(
    clippy::unwrap_used,
    reason = "a template that can't be read shall fail the test"
)]

use std::collections::BTreeSet;

use definitions::project;
use yaml_serde::{Mapping, Value};

fn yaml(text: &str) -> Value {
    yaml_serde::from_str(text).unwrap()
}

fn template() -> Value {
    yaml(&project::text("infra/template.yaml"))
}

/// The names and properties of the resources of a type.
fn resources<'a>(template: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let resources = template["Resources"].as_mapping().unwrap().iter();
    resources
        .filter(|(_, resource)| resource["Type"] == kind)
        .map(|(name, resource)| (name.as_str().unwrap(), &resource["Properties"]))
        .collect()
}

/// All statements of the policies in a value.
fn statements(value: &Value) -> Vec<&Mapping> {
    match value {
        Value::Mapping(fields) if fields.contains_key("Effect") => vec![fields],
        Value::Mapping(fields) => fields.values().flat_map(statements).collect(),
        Value::Sequence(items) => items.iter().flat_map(statements).collect(),
        Value::Tagged(tagged) => statements(&tagged.value),
        _ => Vec::new(),
    }
}

/// The actions of a statement, which has one or a list of them.
fn actions(statement: &Mapping) -> Vec<&str> {
    match &statement["Action"] {
        Value::Sequence(actions) => actions
            .iter()
            .map(|action| action.as_str().unwrap())
            .collect(),
        action => vec![action.as_str().unwrap()],
    }
}

/// A call of an execution that was stopped may still write for as long as it may run, and its request a
/// little longer. With more than that, every rollback would take longer for nothing.
#[test]
fn rollback_waits_longer_than_shift_weight_may_run() {
    let template = template();
    let timeout = &template["Resources"]["ShiftWeightFunction"]["Properties"]["Timeout"];
    let timeout = u32::try_from(timeout.as_u64().unwrap()).unwrap();
    let longest = timeout + rollback::COLD_START_SECONDS + rollback::LATE_WRITER_MARGIN_SECONDS;
    assert_eq!(longest, rollback::LATE_WRITER_SECONDS);
    const { assert!(rollback::COLD_START_SECONDS >= 10) };
    const { assert!(rollback::LATE_WRITER_MARGIN_SECONDS > 0) };
}

/// The logical ids of the functions.
const FUNCTIONS: [&str; 4] = [
    "CheckAlarmsFunction",
    "ProbeFunction",
    "RollbackFunction",
    "ShiftWeightFunction",
];

#[test]
fn every_change_of_a_function_publishes_a_version() {
    let template = template();
    // In this order: SAM hashes the values of parameters only if they were put in before.
    assert_eq!(
        template["Transform"],
        yaml("[AWS::LanguageExtensions, AWS::Serverless-2016-10-31]")
    );
    assert!(template["Globals"]["Function"]["AutoPublishAlias"].is_string());
    let functions = resources(&template, "AWS::Serverless::Function");
    let names: BTreeSet<_> = functions.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, BTreeSet::from(FUNCTIONS));
    for (name, function) in functions {
        assert_eq!(function["AutoPublishAliasAllProperties"], true, "{name}");
    }
}

#[test]
fn state_machines_invoke_published_versions() {
    let template = template();
    let mut invoked = BTreeSet::new();
    for (name, machine) in resources(&template, "AWS::Serverless::StateMachine") {
        let substitutions = machine["DefinitionSubstitutions"].as_mapping();
        for (key, value) in substitutions.into_iter().flatten() {
            let key = key.as_str().unwrap();
            if let Some(function) = key.strip_suffix("Arn").filter(|_| key.contains("Function")) {
                assert_eq!(*value, yaml(&format!("!Ref {function}.Version")), "{name}");
                invoked.insert(function.to_owned());
            }
        }
    }
    assert_eq!(invoked, FUNCTIONS.map(str::to_owned).into());
}

/// A running execution invokes the versions of its definition, and one that was started with an early
/// version of the template invokes the functions without a version.
#[test]
fn whoever_may_invoke_a_function_may_invoke_all_its_versions() {
    let template = template();
    let mut invoked = BTreeSet::new();
    for statement in statements(&template) {
        if !actions(statement).contains(&"lambda:InvokeFunction") {
            continue;
        }
        let resources = statement["Resource"].as_sequence().unwrap();
        for function in FUNCTIONS {
            let arn = yaml(&format!("!GetAtt {function}.Arn"));
            let versions = yaml(&format!("!Sub ${{{function}.Arn}}:*"));
            assert_eq!(
                resources.contains(&arn),
                resources.contains(&versions),
                "{function}: {statement:?}"
            );
            if resources.contains(&arn) {
                invoked.insert(function);
            }
        }
    }
    assert_eq!(invoked, BTreeSet::from(FUNCTIONS));
}

/// SAM's property of the function would apply to its alias only.
#[test]
fn alarm_actions_invoke_the_newest_code_and_failed_calls_are_kept() {
    let template = template();
    for (name, function) in resources(&template, "AWS::Serverless::Function") {
        assert!(function["EventInvokeConfig"].is_null(), "{name}");
    }
    let permissions = resources(&template, "AWS::Lambda::Permission");
    let [(_, permission)] = permissions[..] else {
        panic!("{permissions:?}");
    };
    assert_eq!(permission["FunctionName"], yaml("!Ref RollbackFunction"));
    let configs = resources(&template, "AWS::Lambda::EventInvokeConfig");
    let [(_, config)] = configs[..] else {
        panic!("{configs:?}");
    };
    assert_eq!(config["FunctionName"], permission["FunctionName"]);
    assert_eq!(config["Qualifier"], "$LATEST");
    assert_eq!(
        config["DestinationConfig"]["OnFailure"]["Destination"],
        yaml("!GetAtt EventsDeadLetterQueue.Arn")
    );
}

/// The function reads what the parameters demand, which no input can undercut.
#[test]
fn shift_weight_gets_what_the_stack_demands_of_migrations() {
    let template = template();
    let function = &template["Resources"]["ShiftWeightFunction"]["Properties"];
    let variables = &function["Environment"]["Variables"];
    let mut defaults = Vec::new();
    for (variable, parameter) in [
        ("REQUIRE_PROBE", "RequireProbe"),
        ("REQUIRE_ALARMS", "RequireAlarms"),
        ("MAX_FIRST_STEP_PERCENT", "MaxFirstStepPercent"),
        ("MIN_BAKE_SECONDS", "MinBakeSeconds"),
        ("ALARM_NAME_PREFIX", "AlarmNamePrefix"),
    ] {
        assert_eq!(variables[variable], yaml(&format!("!Ref {parameter}")));
        let default = &template["Parameters"][parameter]["Default"];
        let default = default.as_str().map(str::to_owned);
        let number = template["Parameters"][parameter]["Default"].as_u64();
        defaults.push((variable, default.or(number.map(|it| it.to_string()))));
    }
    let settings = shift_weight::stack_settings(|name| {
        let default = defaults.iter().find(|(variable, _)| *variable == name);
        default.and_then(|(_, value)| value.clone())
    });
    assert_eq!(settings, Ok(migration::plan::StackSettings::default()));
}

/// Small accounts can't reserve any.
#[test]
fn concurrency_is_reserved_for_the_rollback_only_if_a_parameter_says_so() {
    let template = template();
    let parameter = &template["Parameters"]["RollbackReservedConcurrency"];
    assert_eq!(parameter["Default"], "");
    let condition = &template["Conditions"]["HasRollbackReservedConcurrency"];
    let expected = yaml(r#"!Not [!Equals [!Ref RollbackReservedConcurrency, ""]]"#);
    assert_eq!(*condition, expected);
    for (name, function) in resources(&template, "AWS::Serverless::Function") {
        let reserved = &function["ReservedConcurrentExecutions"];
        let expected = yaml(
            "!If [HasRollbackReservedConcurrency, !Ref RollbackReservedConcurrency, !Ref AWS::NoValue]",
        );
        let is_reserved = name == "RollbackFunction";
        assert_eq!(
            *reserved,
            if is_reserved { expected } else { Value::Null },
            "{name}"
        );
    }
}

/// The statements of the policies of a role that the template defines, its managed ones included.
#[expect(clippy::indexing_slicing, reason = "a missing field is read as null")]
fn permissions<'a>(template: &'a Value, role: &str) -> Vec<&'a Mapping> {
    let role = &template["Resources"][role]["Properties"];
    let policies = resources(template, "AWS::IAM::ManagedPolicy").into_iter();
    let mut permissions = statements(&role["Policies"]);
    permissions.extend(
        policies
            .filter(|(name, _)| {
                let attached = role["ManagedPolicyArns"].as_sequence();
                attached.is_some_and(|arns| arns.contains(&yaml(&format!("!Ref {name}"))))
            })
            .flat_map(|(_, policy)| statements(policy)),
    );
    permissions
}

/// A watch checks health, announces, answers the migration, goes on as a new execution, and delivers
/// its logs.
#[test]
fn watch_may_do_what_it_has_to_and_nothing_else() {
    let template = template();
    let permissions = permissions(&template, "WatchRole");
    let permitted: BTreeSet<_> = permissions
        .iter()
        .flat_map(|statement| actions(statement))
        .filter(|action| !action.starts_with("logs:"))
        .collect();
    assert_eq!(
        permitted,
        BTreeSet::from([
            "events:PutEvents",
            "lambda:InvokeFunction",
            "states:SendTaskFailure",
            "states:SendTaskHeartbeat",
            "states:SendTaskSuccess",
            "states:StartExecution",
        ])
    );
    let resource = |action| {
        let statement = permissions
            .iter()
            .find(|statement| actions(statement).contains(&action));
        statement.unwrap()["Resource"].clone()
    };
    let invoked = resource("lambda:InvokeFunction");
    assert!(
        !yaml_serde::to_string(&invoked)
            .unwrap()
            .contains("Rollback")
    );
    // Without a reference, which would be circular.
    let machine = &template["Resources"]["WatchStateMachine"]["Properties"]["Name"];
    assert_eq!(*machine, yaml("!Sub ${Name}-watch"));
    assert_eq!(
        resource("states:StartExecution"),
        yaml(
            "!Sub arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${Name}-watch"
        )
    );
}

/// Each execution of it invokes the versions of the migration that started it.
#[test]
fn watch_has_no_functions_of_its_own() {
    let template = template();
    let watch = &template["Resources"]["WatchStateMachine"]["Properties"];
    let substitutions = watch["DefinitionSubstitutions"].as_mapping().unwrap();
    for key in substitutions.keys() {
        assert!(!key.as_str().unwrap().contains("Function"), "{key:?}");
    }
}

/// Only the detail type that the sender needs, so that no role of the stack can request a migration, and
/// no pipe can send a notification.
#[test]
fn who_may_put_events_may_put_its_own_kind_only() {
    let mut kinds = BTreeSet::new();
    for file in project::files("infra", ".yaml") {
        let text = project::text(&file);
        if !text.contains("AWSTemplateFormatVersion:") {
            continue;
        }
        let template = yaml(&text);
        for statement in statements(&template) {
            if !actions(statement).contains(&"events:PutEvents") {
                continue;
            }
            assert_eq!(actions(statement), ["events:PutEvents"], "{file}");
            let condition = &statement["Condition"]["ForAllValues:StringEquals"];
            assert!(!condition["events:source"].is_null(), "{file}");
            let kind = condition["events:detail-type"].as_str();
            let kind = kind.unwrap_or_else(|| panic!("{file}: no detail type"));
            kinds.insert((file.clone(), kind.to_owned()));
        }
    }
    let expected = [
        (
            "infra/examples/argocd-queue.yaml",
            "Cutover Migration Requested",
        ),
        ("infra/examples/fixed-input.yaml", "Cluster Ready"),
        ("infra/template.yaml", "Cutover Migration Status Change"),
    ];
    assert_eq!(
        kinds,
        expected
            .map(|(file, kind)| (file.to_owned(), kind.to_owned()))
            .into()
    );
}

#[test]
fn migration_may_start_rollbacks_and_watches() {
    let template = template();
    let permissions = permissions(&template, "MigrationRole");
    let started: Vec<_> = permissions
        .iter()
        .filter(|statement| actions(statement).contains(&"states:StartExecution"))
        .map(|statement| &statement["Resource"])
        .collect();
    let expected = yaml("[!Ref RollbackStateMachine, !Ref WatchStateMachine]");
    assert_eq!(started, [&expected]);
}

/// It starts migrations and nothing else, and the rules of requests start nothing but it: a rule can't
/// name the execution that it starts.
#[test]
fn only_the_start_state_machine_starts_migrations_for_events() {
    let template = template();
    let permissions = permissions(&template, "StartRole");
    let permitted: Vec<_> = permissions
        .iter()
        .filter(|statement| !actions(statement)[0].starts_with("logs:"))
        .collect();
    let [statement] = permitted[..] else {
        panic!("{permitted:?}");
    };
    assert_eq!(actions(statement), ["states:StartExecution"]);
    let migration = yaml("!Ref MigrationStateMachine");
    assert_eq!(statement["Resource"], migration);
    for (name, rule) in resources(&template, "AWS::Events::Rule") {
        let target = &rule["Targets"][0];
        assert_ne!(target["Arn"], migration, "{name}");
        let is_request = ["MigrationRequestedRule", "ClusterCreatedRule"].contains(&name);
        let is_served = target["Arn"] == yaml("!Ref StartStateMachine");
        assert_eq!(is_served, is_request, "{name}");
    }
}

/// The end of a watch is not the end of a migration: nothing is rolled back or released by it.
#[test]
fn rules_for_status_events_name_one_state_machine() {
    let template = template();
    let mut named = BTreeSet::new();
    for (name, rule) in resources(&template, "AWS::Events::Rule") {
        if rule["EventPattern"]["source"] != yaml("[aws.states]") {
            continue;
        }
        let machines = rule["EventPattern"]["detail"]["stateMachineArn"].as_sequence();
        let machines = machines.unwrap_or_else(|| panic!("{name} matches every state machine"));
        named.extend(
            machines
                .iter()
                .map(|arn| yaml_serde::to_string(arn).unwrap()),
        );
    }
    let expected = ["MigrationStateMachine", "ReleaseStateMachine"]
        .map(|machine| yaml_serde::to_string(&yaml(&format!("!Ref {machine}"))).unwrap());
    assert_eq!(named, expected.into());
}

#[test]
fn every_definition_has_values_for_its_placeholders() {
    let template = template();
    let machines = resources(&template, "AWS::Serverless::StateMachine");
    assert_eq!(machines.len(), 7);
    for (name, machine) in machines {
        let path = machine["DefinitionUri"].as_str().unwrap();
        let definition = project::text(path.trim_start_matches("../"));
        let placeholders: BTreeSet<_> = definition
            .split("${")
            .skip(1)
            .filter_map(|rest| rest.split_once('}'))
            .map(|(placeholder, _)| placeholder)
            .collect();
        let substitutions = machine["DefinitionSubstitutions"].as_mapping();
        let values: BTreeSet<_> = substitutions
            .into_iter()
            .flatten()
            .map(|(key, _)| key.as_str().unwrap())
            .collect();
        assert_eq!(placeholders, values, "{name}");
    }
}

/// The token of an approval is in the input of watch, in the parameters with which a migration starts
/// watch, and in the message of a notification. Whoever can read it can answer for an operator.
#[test]
fn state_machines_that_handle_a_task_token_log_no_data() {
    let template = template();
    let mut without_data = BTreeSet::new();
    for (name, machine) in resources(&template, "AWS::Serverless::StateMachine") {
        let path = machine["DefinitionUri"].as_str().unwrap();
        let definition = project::text(path.trim_start_matches("../")).to_lowercase();
        let handles_a_token = ["task.token", "tasktoken"]
            .iter()
            .any(|token| definition.contains(token));
        let logging = &machine["Logging"];
        assert_eq!(logging["Level"], "ALL", "{name}");
        assert_eq!(logging["IncludeExecutionData"], !handles_a_token, "{name}");
        if handles_a_token {
            without_data.insert(name);
        }
    }
    assert_eq!(
        without_data,
        BTreeSet::from([
            "MigrationStateMachine",
            "NotificationStateMachine",
            "WatchStateMachine",
        ])
    );
}

/// With the key that AWS manages for SNS, alarms could not publish, and nobody would notice.
#[test]
fn topic_is_encrypted_with_a_key_that_alarms_and_notifications_may_use() {
    let template = template();
    let topics = resources(&template, "AWS::SNS::Topic");
    let [(_, topic)] = topics[..] else {
        panic!("{topics:?}");
    };
    assert_eq!(
        topic["KmsMasterKeyId"],
        yaml("!GetAtt NotificationsKey.Arn")
    );
    let key = &template["Resources"]["NotificationsKey"]["Properties"];
    assert_eq!(key["EnableKeyRotation"], true);
    let days = key["PendingWindowInDays"].as_u64().unwrap();
    assert!((7..=30).contains(&days), "{days}");

    let expected = yaml(
        r#"
        - Sid: AccountByItsPolicies
          Effect: Allow
          Principal:
            AWS: !Sub arn:${AWS::Partition}:iam::${AWS::AccountId}:root
          Action: kms:*
          Resource: "*"
        - Sid: AlarmsOfTheAccount
          Effect: Allow
          Principal:
            Service: cloudwatch.amazonaws.com
          Action: [kms:GenerateDataKey*, kms:Decrypt]
          Resource: "*"
          Condition:
            StringEquals:
              aws:SourceAccount: !Ref AWS::AccountId
        "#,
    );
    let statements = key["KeyPolicy"]["Statement"].as_sequence().unwrap();
    assert_eq!(statements, expected.as_sequence().unwrap());
}

/// SNS encrypts a message with the permissions of the one that publishes it.
#[test]
fn who_may_publish_may_use_the_key_of_the_topic() {
    let template = template();
    for (name, _) in resources(&template, "AWS::IAM::Role") {
        let permissions = permissions(&template, name);
        let may = |action, resource: &str| {
            let resource = yaml(resource);
            permissions.iter().any(|statement| {
                actions(statement).contains(&action) && statement["Resource"] == resource
            })
        };
        let publishes = may("sns:Publish", "!Ref NotificationsTopic");
        assert_eq!(publishes, name == "NotificationRole", "{name}");
        for action in ["kms:GenerateDataKey*", "kms:Decrypt"] {
            assert_eq!(
                may(action, "!GetAtt NotificationsKey.Arn"),
                publishes,
                "{name}: {action}"
            );
        }
    }
}

/// Who may use the key can sign any journal. An account's policies permit `kms:*` to many roles.
#[test]
fn only_the_writers_may_sign_journals() {
    let template = template();
    let key = &template["Resources"]["JournalKey"];
    assert_eq!(key["DeletionPolicy"], "Retain");
    assert_eq!(key["UpdateReplacePolicy"], "Retain");
    let statements_of_key = statements(&key["Properties"]["KeyPolicy"]);
    let uses =
        |action: &str| !action.starts_with("kms:") || action.contains("Mac") || action == "kms:*";
    let mut signers = Vec::new();
    for statement in &statements_of_key {
        if actions(statement).into_iter().any(uses) {
            assert_eq!(actions(statement), ["kms:GenerateMac"]);
            signers.push(statement["Principal"]["AWS"].clone());
        }
    }
    let expected = "[!GetAtt ShiftWeightRole.Arn, !GetAtt RollbackRole.Arn]";
    assert_eq!(signers, [yaml(expected)]);

    // With a key of another stack the same roles sign, by their own permissions.
    let mut with_other_key = BTreeSet::new();
    for (name, _) in resources(&template, "AWS::IAM::Role") {
        for statement in permissions(&template, name) {
            if actions(statement).contains(&"kms:GenerateMac") {
                assert_eq!(statement["Resource"], yaml("!Ref JournalKeyArn"), "{name}");
                with_other_key.insert(name);
            }
        }
    }
    assert_eq!(
        with_other_key,
        BTreeSet::from(["RollbackRole", "ShiftWeightRole"])
    );
}

#[test]
fn only_deletes_and_creates_are_permitted() {
    const CHANGE: &str = "route53:ChangeResourceRecordSets";
    let template = template();
    let may_change: Vec<_> = statements(&template)
        .into_iter()
        .filter(|statement| {
            actions(statement)
                .iter()
                .any(|action| match action.split_once('*') {
                    Some((prefix, _)) => CHANGE.starts_with(prefix),
                    None => *action == CHANGE,
                })
        })
        .collect();
    let [statement] = may_change[..] else {
        panic!("{may_change:#?}");
    };
    assert_eq!(actions(statement), [CHANGE]);
    assert_eq!(
        statement["Condition"],
        yaml(
            "ForAllValues:StringEquals:
               route53:ChangeResourceRecordSetsRecordTypes: [A, AAAA, CNAME, TXT]
               route53:ChangeResourceRecordSetsActions: [CREATE, DELETE]"
        )
    );

    let policies = resources(&template, "AWS::IAM::ManagedPolicy");
    let (policy, _) = policies
        .into_iter()
        .find(|(_, policy)| statements(policy).contains(&statement))
        .unwrap();
    let policy = yaml(&format!("!Ref {policy}"));
    let writers: BTreeSet<_> = resources(&template, "AWS::IAM::Role")
        .into_iter()
        .filter(|(_, role)| {
            let policies = role["ManagedPolicyArns"].as_sequence();
            policies.is_some_and(|policies| policies.contains(&policy))
        })
        .map(|(name, _)| name)
        .collect();
    assert_eq!(writers, BTreeSet::from(["RollbackRole", "ShiftWeightRole"]));
}

#[test]
fn every_rule_retries_and_keeps_undelivered_events() {
    let template = template();
    let rules = resources(&template, "AWS::Events::Rule");
    assert_eq!(rules.len(), 6);
    for (name, rule) in rules {
        let [target] = &rule["Targets"].as_sequence().unwrap()[..] else {
            panic!("{name} has not one target");
        };
        assert!(target["RetryPolicy"].is_mapping(), "{name}");
        assert_eq!(
            target["DeadLetterConfig"]["Arn"],
            yaml("!GetAtt EventsDeadLetterQueue.Arn"),
            "{name}"
        );
    }
}

/// The name and the pattern of each rule, of the stack and of the examples.
fn event_patterns() -> Vec<(String, Value)> {
    let files = project::files("infra", ".yaml");
    let templates = files
        .iter()
        .map(|file| project::text(file))
        .filter(|text| text.contains("AWSTemplateFormatVersion:"))
        .map(|text| yaml(&text));
    templates
        .flat_map(|template| {
            let rules = resources(&template, "AWS::Events::Rule").into_iter();
            rules
                .map(|(name, rule)| {
                    let pattern = rule.get("EventPattern").cloned();
                    (name.to_owned(), pattern.unwrap_or_default())
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// A replayed event has the field at its top level, beside `source` and `detail-type`.
#[test]
fn every_rule_ignores_events_that_are_replayed_from_an_archive() {
    let patterns = event_patterns();
    assert!(patterns.len() >= 6, "{patterns:?}");
    let is_absent = yaml("[{ exists: false }]");
    for (name, pattern) in patterns {
        assert_eq!(pattern["replay-name"], is_absent, "{name}");
    }
}

/// A rule whose target is a queue has no role; the policy of the queue permits it.
#[test]
fn every_other_rule_has_its_own_role_that_may_only_start_its_target() {
    let template = template();
    let roles = resources(&template, "AWS::IAM::Role");
    let mut seen = BTreeSet::new();
    for (name, rule) in resources(&template, "AWS::Events::Rule") {
        let target = &rule["Targets"][0];
        if name == "AlarmRule" {
            assert!(target["RoleArn"].is_null());
            continue;
        }
        let (role_name, role) = roles
            .iter()
            .find(|(role, _)| target["RoleArn"] == yaml(&format!("!GetAtt {role}.Arn")))
            .unwrap_or_else(|| panic!("{name} has no role"));
        assert!(seen.insert(role_name), "two rules have {role_name}");
        assert!(role["ManagedPolicyArns"].is_null(), "{role_name}");
        let trust = statements(&role["AssumeRolePolicyDocument"]);
        assert_eq!(trust.len(), 1, "{role_name}");
        let [permission] = statements(&role["Policies"])[..] else {
            panic!("{role_name} has not one permission");
        };
        assert_eq!(actions(permission), ["states:StartExecution"]);
        assert_eq!(permission["Resource"], target["Arn"], "{role_name}");
    }
}

/// One message group is one batch at a time, and so few look-ups.
#[test]
fn alarms_reach_the_published_rollback_function_through_a_queue_with_one_group() {
    let template = template();
    let properties = |name: &str| &template["Resources"][name]["Properties"];
    let target = &properties("AlarmRule")["Targets"][0];
    assert_eq!(target["Arn"], yaml("!GetAtt AlarmEventsQueue.Arn"));
    assert_eq!(target["SqsParameters"]["MessageGroupId"], "alarms");

    let queue = properties("AlarmEventsQueue");
    for property in [
        "FifoQueue",
        "ContentBasedDeduplication",
        "SqsManagedSseEnabled",
    ] {
        assert_eq!(queue[property], true, "{property}");
    }
    let timeout = properties("RollbackFunction")["Timeout"].as_u64().unwrap();
    assert_eq!(queue["VisibilityTimeout"].as_u64(), Some(timeout * 6));

    let mapping = properties("AlarmEventsMapping");
    assert_eq!(
        mapping["FunctionName"],
        yaml("!Ref RollbackFunction.Version")
    );
    assert_eq!(mapping["EventSourceArn"], target["Arn"]);
    assert_eq!(mapping["BatchSize"], 10);
    assert!(mapping["MaximumBatchingWindowInSeconds"].is_null());
    assert_eq!(
        mapping["FunctionResponseTypes"],
        yaml("[ReportBatchItemFailures]")
    );

    let policies = resources(&template, "AWS::SQS::QueuePolicy");
    let policy = policies
        .iter()
        .find(|(_, policy)| policy["Queues"] == yaml("[!Ref AlarmEventsQueue]"));
    let [statement] = statements(policy.unwrap().1)[..] else {
        panic!("{policy:?}");
    };
    assert_eq!(actions(statement), ["sqs:SendMessage"]);
    let source = &statement["Condition"]["ArnEquals"]["aws:SourceArn"];
    assert_eq!(*source, yaml("!GetAtt AlarmRule.Arn"));
}

/// Nothing that a queue gives up is lost unseen, and no alarm of the stack starts a rollback.
#[test]
fn every_dead_letter_queue_has_an_alarm_and_no_alarm_of_the_stack_rolls_back() {
    let template = template();
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    for (name, queue) in resources(&template, "AWS::SQS::Queue") {
        let watched = yaml(&format!("!GetAtt {name}.QueueName"));
        let mut dimensions = alarms.iter().map(|(_, it)| &it["Dimensions"][0]["Value"]);
        let is_dead_letter_queue = queue["RedrivePolicy"].is_null();
        let is_watched = dimensions.any(|value| *value == watched);
        assert_eq!(is_watched, is_dead_letter_queue, "{name}");
        if !is_dead_letter_queue {
            let given_up = &queue["RedrivePolicy"]["deadLetterTargetArn"];
            assert_eq!(*given_up, yaml("!GetAtt AlarmEventsDeadLetterQueue.Arn"));
        }
    }
    let rule = &template["Resources"]["AlarmRule"]["Properties"];
    let excluded = &rule["EventPattern"]["resources"][0]["anything-but"];
    let excluded: BTreeSet<_> = excluded
        .as_sequence()
        .unwrap()
        .iter()
        .map(|arn| yaml_serde::to_string(arn).unwrap())
        .collect();
    let expected = alarms
        .iter()
        .map(|(name, _)| yaml_serde::to_string(&yaml(&format!("!GetAtt {name}.Arn"))).unwrap());
    assert_eq!(excluded, expected.collect());
}

/// It starts rollbacks for alarms, and takes their events from the queue.
#[test]
fn rollback_may_start_rollbacks_only_and_read_its_queue_only() {
    let template = template();
    let permissions = permissions(&template, "RollbackRole");
    let resource = |action| {
        let mut statements = permissions.iter();
        let statement = statements.find(|statement| actions(statement).contains(&action));
        statement.unwrap()["Resource"].clone()
    };
    // Without a reference, which would be circular.
    let machine = &template["Resources"]["RollbackStateMachine"]["Properties"]["Name"];
    assert_eq!(*machine, yaml("!Sub ${Name}-rollback"));
    let arn = yaml(
        "!Sub arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}:stateMachine:${Name}-rollback",
    );
    let records = yaml("!Ref RolledBackStateMachine");
    let started = resource("states:StartExecution");
    assert_eq!(started.as_sequence().unwrap()[..], [arn.clone(), records]);
    let function = &template["Resources"]["RollbackFunction"]["Properties"];
    let variables = &function["Environment"]["Variables"];
    assert_eq!(variables["ROLLBACK_STATE_MACHINE_ARN"], arn);
    let queue = yaml("!GetAtt AlarmEventsQueue.Arn");
    for action in [
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
    ] {
        assert_eq!(resource(action), queue, "{action}");
    }
    let dead_letters = yaml("!GetAtt EventsDeadLetterQueue.Arn");
    assert_eq!(resource("sqs:SendMessage"), dead_letters);
}

/// EventBridge reserves sources that begin with `aws.` for AWS's services, and refuses them in `PutEvents`.
///
/// Source: EventBridge API Reference, `PutEventsResultEntry` (`NotAuthorizedForSourceException`).
#[test]
fn rules_that_roll_back_take_events_of_aws_only() {
    let template = template();
    let targets = ["!Ref RollbackStateMachine", "!GetAtt AlarmEventsQueue.Arn"].map(yaml);
    let mut found = 0;
    for (name, rule) in resources(&template, "AWS::Events::Rule") {
        if targets.contains(&rule["Targets"][0]["Arn"]) {
            found += 1;
            let sources = rule["EventPattern"]["source"].as_sequence().unwrap();
            let mut sources = sources.iter().map(|it| it.as_str().unwrap());
            assert!(sources.all(|it| it.starts_with("aws.")), "{name}");
        }
    }
    assert_eq!(found, 2);
}

/// Whoever can publish to it reaches people and programs that subscribe, and nothing else.
#[test]
fn nothing_of_the_stack_reads_the_topic() {
    let template = template();
    assert!(resources(&template, "AWS::SNS::Subscription").is_empty());
    let topics = resources(&template, "AWS::SNS::Topic");
    let [(_, topic)] = topics[..] else {
        panic!("{topics:?}");
    };
    let subscriptions = yaml_serde::to_string(&topic["Subscription"]).unwrap();
    let protocols = subscriptions.split("Protocol: ").skip(1);
    let protocols: Vec<_> = protocols.filter_map(|it| it.lines().next()).collect();
    assert_eq!(protocols, ["email"]);
}

#[test]
fn rules_match_the_events_of_the_state_machines() {
    let template = template();
    let rules = resources(&template, "AWS::Events::Rule");
    for detail_type in [
        "Cutover Migration Requested",
        "Cutover Migration Status Change",
    ] {
        let matched = yaml(&format!("[{detail_type}]"));
        let is_matched = rules
            .iter()
            .any(|(_, rule)| rule["EventPattern"]["detail-type"] == matched);
        assert!(is_matched, "{detail_type}");
    }
}

/// CloudFormation accepts any text for a dashboard, and the console shows an empty dashboard if it
/// is not JSON.
#[test]
fn dashboard_is_json_and_shows_the_metrics_that_the_functions_write() {
    let template = template();
    let dashboard = &template["Resources"]["Dashboard"]["Properties"]["DashboardBody"];
    let body = dashboard.as_str().unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(dashboard["widgets"].as_array().unwrap().len() >= 7);
    let functions: String = project::files("functions", ".rs")
        .iter()
        .map(|file| project::text(file))
        .collect();
    for metric in [
        "Percent",
        "AlarmsOk",
        "AlarmsInsufficientData",
        "AlarmsInAlarm",
    ] {
        assert!(body.contains(metric), "{metric}");
        assert!(functions.contains(&format!("(\"{metric}\"")), "{metric}");
    }
}

/// The resources that a resource refers to or depends on.
fn dependencies(value: &Value, ids: &BTreeSet<&str>) -> BTreeSet<String> {
    // `X`, `X.Arn` or, after `${` in a text, `X}`.
    let id_of = |text: &str| {
        let id = text.split(['.', '}']).next().unwrap();
        ids.contains(id).then(|| id.to_owned())
    };
    match value {
        Value::Tagged(tagged) => match &tagged.value {
            Value::String(text) if tagged.tag == "!Sub" => {
                text.split("${").skip(1).filter_map(id_of).collect()
            }
            Value::String(text) => id_of(text).into_iter().collect(),
            other => dependencies(other, ids),
        },
        Value::Mapping(fields) => fields
            .iter()
            .flat_map(|(key, field)| match key.as_str() {
                Some("DependsOn") => {
                    let items = field.as_sequence().unwrap().iter();
                    items
                        .filter_map(|item| id_of(item.as_str().unwrap()))
                        .collect()
                }
                _ => dependencies(field, ids),
            })
            .collect(),
        Value::Sequence(items) => items.iter().flat_map(|it| dependencies(it, ids)).collect(),
        _ => BTreeSet::new(),
    }
}

/// CloudFormation deletes a resource after those that depend on it, and stops where one can't be deleted.
#[test]
fn a_refused_deletion_keeps_every_resource() {
    let template = template();
    let resources = template["Resources"].as_mapping().unwrap();
    let ids: BTreeSet<_> = resources.keys().map(|id| id.as_str().unwrap()).collect();
    let mut kept = BTreeSet::new();
    let mut open = vec!["DeletionGuard".to_owned()];
    while let Some(id) = open.pop() {
        let found = dependencies(&template["Resources"][id.as_str()], &ids);
        if kept.insert(id) {
            open.extend(found);
        }
    }
    let lost: Vec<_> = ids.iter().filter(|id| !kept.contains(**id)).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let guard = &template["Resources"]["DeletionGuard"]["Properties"];
    assert_eq!(guard["ServiceToken"], yaml("!GetAtt RollbackFunction.Arn"));
    assert_eq!(guard["HostedZoneArns"], yaml("!Ref HostedZoneArns"));
}
