//! What the deployed roles may do, as IAM's `SimulatePrincipalPolicy` tells it: with the condition keys of a request,
//! which the emulator ignores where it enforces a policy.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_iam::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_iam::operation::simulate_principal_policy::SimulatePrincipalPolicyError;
use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType,
};
use serde_json::json;

use crate::stack;

const ACTIONS: &str = "route53:ChangeResourceRecordSetsActions";
const TYPES: &str = "route53:ChangeResourceRecordSetsRecordTypes";

/// A client with the environment of the command line.
fn client(environment: &[(&'static str, String)]) -> aws_sdk_iam::Client {
    let variable = |name: &str| {
        let found = environment.iter().find(|(found, _)| *found == name);
        found.map(|(_, value)| value.clone())
    };
    let credentials = Credentials::new(
        variable("AWS_ACCESS_KEY_ID").unwrap(),
        variable("AWS_SECRET_ACCESS_KEY").unwrap(),
        variable("AWS_SESSION_TOKEN"),
        None,
        "test",
    );
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(variable("AWS_ENDPOINT_URL_IAM").unwrap())
        .region(Region::new(variable("AWS_REGION").unwrap()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    aws_sdk_iam::Client::new(&config)
}

/// The result of a simulation of one action on one resource.
async fn simulate(
    iam: &aws_sdk_iam::Client,
    role: &str,
    action: &str,
    resource: &str,
    context: &[(&str, &[&str])],
) -> Result<EvaluationResult, SdkError<SimulatePrincipalPolicyError>> {
    let entries = context.iter().map(|(key, values)| {
        ContextEntry::builder()
            .context_key_name(*key)
            .context_key_type(ContextKeyTypeEnum::StringList)
            .set_context_key_values(Some(
                values.iter().map(|value| (*value).to_owned()).collect(),
            ))
            .build()
    });
    let simulated = iam
        .simulate_principal_policy()
        .policy_source_arn(role)
        .action_names(action)
        .resource_arns(resource)
        .set_context_entries(Some(entries.collect()))
        .send()
        .await?;
    let [result] = simulated.evaluation_results() else {
        panic!("expected one result, found {simulated:?}");
    };
    assert_eq!(result.eval_action_name(), action);
    assert_eq!(result.eval_resource_name(), Some(resource));
    Ok(result.clone())
}

/// The decision on a change of records by the role of `function`.
async fn decision(
    iam: &aws_sdk_iam::Client,
    role: &str,
    zone: &str,
    actions: &[&str],
    types: &[&str],
) -> PolicyEvaluationDecisionType {
    let action = "route53:ChangeResourceRecordSets";
    let zone = format!("arn:aws:route53:::hostedzone/{zone}");
    let context: &[(&str, &[&str])] = &[(ACTIONS, actions), (TYPES, types)];
    let result = simulate(iam, role, action, &zone, context).await.unwrap();
    result.eval_decision().clone()
}

#[tokio::test]
async fn writers_may_create_and_delete_the_types_that_move_in_their_zone_only() {
    use PolicyEvaluationDecisionType::{Allowed, ImplicitDeny};
    let stack = stack().await;
    let iam = client(&stack.environment());
    let zone = stack.zone.id();
    for (zone, actions, types, expected) in [
        (zone, &["CREATE"][..], &["A"][..], Allowed),
        (
            zone,
            &["DELETE", "CREATE"],
            &["A", "AAAA", "CNAME", "TXT"],
            Allowed,
        ),
        (zone, &["UPSERT"], &["A"], ImplicitDeny),
        (zone, &["CREATE", "UPSERT"], &["A"], ImplicitDeny),
        (zone, &["CREATE"], &["NS"], ImplicitDeny),
        (zone, &["DELETE"], &["TXT", "SOA"], ImplicitDeny),
        ("ZOTHER", &["CREATE"], &["A"], ImplicitDeny),
    ] {
        for function in ["shift-weight", "rollback"] {
            let role = stack.role_of(function).unwrap();
            let found = decision(&iam, role, zone, actions, types).await;
            assert_eq!(found, expected, "{function} {zone} {actions:?} {types:?}");
        }
        for function in ["probe", "check-alarms"] {
            let role = stack.role_of(function).unwrap();
            let found = decision(&iam, role, zone, actions, types).await;
            assert_eq!(
                found, ImplicitDeny,
                "{function} {zone} {actions:?} {types:?}"
            );
        }
    }
}

#[tokio::test]
async fn status_events_may_have_the_stacks_source_only() {
    let stack = stack().await;
    let iam = client(&stack.environment());
    // A call that the local stack does not answer itself.
    let roles = iam.list_roles().send().await.unwrap();
    let role = |part| {
        roles
            .roles()
            .iter()
            .find(|role| role.role_name().contains(part))
    };
    let role = role("MigrationRole").unwrap().arn();
    let bus = "arn:aws:events:us-east-1:000000000000:event-bus/default";
    let put = async |context: &[(&str, &[&str])]| {
        simulate(&iam, role, "events:PutEvents", bus, context)
            .await
            .unwrap()
    };
    let (source, kind) = ("events:source", "events:detail-type");
    let status: &[&str] = &["Cutover Migration Status Change"];
    for (context, expected, missing) in [
        (
            &[(source, &["cutover"][..]), (kind, status)][..],
            "allowed",
            &[][..],
        ),
        (
            &[(source, &["aws.health"]), (kind, status)],
            "implicitDeny",
            &[],
        ),
        (
            &[(source, &["cutover", "aws.health"]), (kind, status)],
            "implicitDeny",
            &[],
        ),
        (&[(source, &["aws.health"])], "implicitDeny", &[kind]),
        // The policy has ForAllValues, which is true without a value.
        (&[], "allowed", &[kind, source]),
    ] {
        let result = put(context).await;
        assert_eq!(result.eval_decision().as_str(), expected, "{context:?}");
        let [on_bus] = result.resource_specific_results() else {
            panic!("expected one resource, found {result:?}");
        };
        assert_eq!(on_bus.missing_context_values(), missing, "{context:?}");
        let policies = result.matched_statements().iter();
        let policies: Vec<_> = policies
            .filter_map(|statement| statement.source_policy_id())
            .collect();
        match expected {
            "allowed" => assert!(
                policies.concat().contains("TellStatusPolicy"),
                "{policies:?}"
            ),
            _ => assert!(policies.is_empty(), "{policies:?}"),
        }
    }
}

#[tokio::test]
async fn revoked_permission_is_denied_to_this_role_only() {
    let stack = stack().await;
    let iam = client(&stack.environment());
    let [shift_weight, rollback] =
        ["shift-weight", "rollback"].map(|function| stack.role_of(function).unwrap());
    // The first is in a managed policy of both roles, the second in an inline policy.
    for action in [
        "route53:ChangeResourceRecordSets",
        "states:DescribeExecution",
    ] {
        let resource = match action.split_once(':').unwrap().0 {
            "route53" => format!("arn:aws:route53:::hostedzone/{}", stack.zone.id()),
            _ => "arn:aws:states:us-east-1:000000000000:execution:cutover-migration:e".to_owned(),
        };
        let decisions = async || {
            let mut decisions = Vec::new();
            for role in [shift_weight, rollback] {
                let result = simulate(&iam, role, action, &resource, &[]).await.unwrap();
                decisions.push(result.eval_decision().as_str().to_owned());
            }
            decisions
        };
        assert_eq!(decisions().await, ["allowed", "allowed"], "{action}");
        stack.revoke(shift_weight, action).await.unwrap();
        assert_eq!(decisions().await, ["implicitDeny", "allowed"], "{action}");
        let again = stack.revoke(shift_weight, action).await.unwrap_err();
        assert!(
            again.to_string().contains("no policy of the role"),
            "{again:#}"
        );
    }
    // The rest of the policies is as before.
    let read = "route53:ListResourceRecordSets";
    let zone = format!("arn:aws:route53:::hostedzone/{}", stack.zone.id());
    let read = simulate(&iam, shift_weight, read, &zone, &[])
        .await
        .unwrap();
    assert_eq!(*read.eval_decision(), PolicyEvaluationDecisionType::Allowed);
}

#[tokio::test]
async fn simulation_needs_its_permission_and_refuses_what_it_does_not_know() {
    let stack = stack().await;
    let role = stack.role_of("probe").unwrap();
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "route53:*", "Resource": "*" }] });
    let other = stack
        .environment_with_policy("no-simulation", &policy)
        .await
        .unwrap();
    let denied = simulate(&client(&other), role, "s3:GetObject", "*", &[])
        .await
        .unwrap_err();
    assert_eq!(denied.into_service_error().code(), Some("AccessDenied"));

    let iam = client(&stack.environment());
    let simulated = iam
        .simulate_principal_policy()
        .policy_source_arn(role)
        .action_names("s3:GetObject")
        .resource_policy("{}")
        .send()
        .await;
    let error = simulated.unwrap_err().into_service_error();
    assert!(error.is_invalid_input_exception());
    assert_eq!(
        error.message(),
        Some("the local stack simulates no ResourcePolicy")
    );
}

#[tokio::test]
async fn each_action_has_a_result_for_each_resource() {
    let stack = stack().await;
    let zones = ["ZOTHER", stack.zone.id()].map(|id| format!("arn:aws:route53:::hostedzone/{id}"));
    let simulated = client(&stack.environment())
        .simulate_principal_policy()
        .policy_source_arn(stack.role_of("probe").unwrap())
        .action_names("route53:ListResourceRecordSets")
        .action_names("route53:ListHostedZones")
        .set_resource_arns(Some(zones.to_vec()))
        .send()
        .await
        .unwrap();
    let results = simulated.evaluation_results().iter().map(|result| {
        let resources = result.resource_specific_results().iter();
        let decisions = resources.map(|result| result.eval_resource_decision().as_str());
        (
            result.eval_action_name(),
            result.eval_decision().as_str(),
            decisions.collect::<Vec<_>>(),
        )
    });
    assert_eq!(
        results.collect::<Vec<_>>(),
        [
            (
                "route53:ListResourceRecordSets",
                "implicitDeny",
                vec!["implicitDeny", "allowed"]
            ),
            (
                "route53:ListHostedZones",
                "implicitDeny",
                vec!["implicitDeny", "implicitDeny"]
            ),
        ]
    );
}
