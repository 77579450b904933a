use serde_json::{Value, json};

use super::{Context, Decision, Policy, Request, evaluate};

const ZONE: &str = "arn:aws:route53:::hostedzone/Z1";
const TYPES: &str = "route53:ChangeResourceRecordSetsRecordTypes";

/// The decision of one policy with these statements on the action `route53:ChangeResourceRecordSets` in the zone.
fn decide(statements: &Value, context: &[(&str, &[&str])]) -> Result<Decision, String> {
    decide_on(
        statements,
        "route53:ChangeResourceRecordSets",
        ZONE,
        context,
    )
}

fn decide_on(
    statements: &Value,
    action: &str,
    resource: &str,
    entries: &[(&str, &[&str])],
) -> Result<Decision, String> {
    let document = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    let mut context = Context::default();
    for (key, values) in entries {
        context.insert(
            key,
            values.iter().map(|value| (*value).to_owned()).collect(),
        );
    }
    let text = |error: anyhow::Error| format!("{error:#}");
    let policies = [Policy::parse("p", &document).map_err(text)?];
    let request = Request {
        action,
        resource,
        context: &context,
    };
    evaluate(&policies, &request)
        .map(|evaluation| evaluation.decision)
        .map_err(text)
}

/// An Allow of everything under one condition.
fn under(operator: &str, key: &str, expected: &Value) -> Value {
    json!({ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": { operator: { key: expected } } })
}

#[test]
fn explicit_deny_goes_before_allow() {
    let allow = json!({ "Effect": "Allow", "Action": "route53:*", "Resource": "*" });
    let deny = json!({ "Effect": "Deny", "Action": "route53:Change*", "Resource": ZONE });
    for (statements, expected) in [
        (json!([]), Decision::ImplicitDeny),
        (json!([allow]), Decision::Allowed),
        (allow.clone(), Decision::Allowed),
        (json!([deny]), Decision::ExplicitDeny),
        (json!([allow, deny]), Decision::ExplicitDeny),
        (json!([deny, allow]), Decision::ExplicitDeny),
    ] {
        assert_eq!(decide(&statements, &[]), Ok(expected), "{statements}");
    }
}

#[test]
fn action_and_resource_are_compared_as_iam_does() {
    let is_allowed = |statement: Value, action: &str, resource: &str| {
        decide_on(&statement, action, resource, &[]) == Ok(Decision::Allowed)
    };
    let allow = |action: &str, resource: &str| json!({ "Effect": "Allow", "Action": [action], "Resource": [resource] });
    for (action, resource, expected) in [
        ("route53:GetHostedZone", ZONE, true),
        ("Route53:gethostedzone", ZONE, true),
        ("route53:Get*", ZONE, true),
        ("route53:GetHostedZon?", ZONE, true),
        ("route53:GetHostedZone?", ZONE, false),
        ("route53:List*", ZONE, false),
        (
            "route53:GetHostedZone",
            "arn:aws:route53:::hostedzone/*",
            true,
        ),
        (
            "route53:GetHostedZone",
            "arn:aws:route53:::hostedzone/Z2",
            false,
        ),
        (
            "route53:GetHostedZone",
            "arn:*:route53:::hostedzone/Z1",
            true,
        ),
    ] {
        let found = is_allowed(allow(action, resource), "route53:GetHostedZone", ZONE);
        assert_eq!(found, expected, "{action} on {resource}");
    }
    let not = json!({ "Effect": "Allow", "NotAction": "iam:*", "NotResource": ZONE });
    assert!(is_allowed(not.clone(), "s3:GetObject", "arn:aws:s3:::b/k"));
    assert!(!is_allowed(
        not.clone(),
        "iam:GetRole",
        "arn:aws:iam::1:role/r"
    ));
    assert!(!is_allowed(not, "route53:GetHostedZone", ZONE));
}

#[test]
fn conditions_are_compared_as_iam_does() {
    let types = json!(["A", "AAAA"]);
    let arn = "arn:aws:states:us-east-1:1:execution:m:e";
    let pattern = json!("arn:aws:states:*:1:execution:m:*");
    let cases: &[(&str, &Value, &[&str], bool)] = &[
        ("StringEquals", &types, &["A"], true),
        ("StringEquals", &types, &["a"], false),
        ("StringEquals", &types, &[], false),
        ("StringEqualsIfExists", &types, &[], true),
        ("StringEqualsIfExists", &types, &["NS"], false),
        ("StringEqualsIgnoreCase", &types, &["aaaa"], true),
        ("StringNotEquals", &types, &["A"], false),
        ("StringNotEquals", &types, &["NS"], true),
        ("StringNotEquals", &types, &[], true),
        ("StringLike", &json!("A*"), &["AAAA"], true),
        ("StringLike", &json!("A?"), &["AAAA"], false),
        ("StringNotLike", &json!("A*"), &["AAAA"], false),
        ("StringEquals", &json!("A*"), &["AAAA"], false),
        // "ArnEquals and ArnLike behave identically."
        ("ArnEquals", &pattern, &[arn], true),
        ("ArnLike", &pattern, &[arn], true),
        // A `*` does not match the colons between the parts.
        ("ArnLike", &json!("arn:aws:*:execution:*:e"), &[arn], false),
        ("ArnNotLike", &pattern, &[arn], false),
        ("Bool", &json!("true"), &["true"], true),
        ("Bool", &json!(true), &["false"], false),
        ("Null", &json!("true"), &[], true),
        ("Null", &json!("true"), &["A"], false),
        ("Null", &json!(false), &["A"], true),
        ("Null", &json!("false"), &[""], false),
        ("ForAllValues:StringEquals", &types, &["A", "AAAA"], true),
        ("ForAllValues:StringEquals", &types, &["A", "NS"], false),
        // "Returns true if there are no context keys in the request."
        ("ForAllValues:StringEquals", &types, &[], true),
        ("ForAllValues:StringNotEquals", &types, &["NS", "TXT"], true),
        ("ForAllValues:StringNotEquals", &types, &["NS", "A"], false),
        ("ForAnyValue:StringEquals", &types, &["NS", "A"], true),
        ("ForAnyValue:StringEquals", &types, &["NS"], false),
        ("ForAnyValue:StringEquals", &types, &[], false),
        ("ForAnyValue:StringLikeIfExists", &types, &[], true),
    ];
    for (operator, expected, values, is_met) in cases {
        // The name of a key is not case-sensitive.
        let key = TYPES.to_uppercase();
        let decision = decide(&under(operator, &key, expected), &[(TYPES, values)]);
        let decided = if *is_met {
            Decision::Allowed
        } else {
            Decision::ImplicitDeny
        };
        assert_eq!(decision, Ok(decided), "{operator} {expected} {values:?}");
    }
}

#[test]
fn all_conditions_of_a_statement_have_to_be_met() {
    let statement = json!({ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {
        "StringEquals": { "events:source": "cutover", "aws:SourceAccount": "1" },
        "StringLike": { "events:detail-type": "Cutover *" } } });
    let all: &[(&str, &[&str])] = &[
        ("events:source", &["cutover"]),
        ("aws:SourceAccount", &["1"]),
        ("events:detail-type", &["Cutover Migration"]),
    ];
    assert_eq!(decide(&statement, all), Ok(Decision::Allowed));
    for without in 0..all.len() {
        let mut entries = all.to_vec();
        entries.remove(without);
        assert_eq!(
            decide(&statement, &entries),
            Ok(Decision::ImplicitDeny),
            "{entries:?}"
        );
    }
}

#[test]
fn missing_keys_are_those_of_the_action_and_the_resource() {
    let statements = json!([
        under("StringEquals", "events:source", &json!("cutover")),
        { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*",
          "Condition": { "StringEquals": { "s3:VersionId": "1" } } },
    ]);
    let document = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    let policies = [Policy::parse("p", &document).unwrap()];
    let missing = |context: &Context| {
        let request = Request {
            action: "events:PutEvents",
            resource: "*",
            context,
        };
        let evaluation = evaluate(&policies, &request).unwrap();
        evaluation.missing.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(missing(&Context::default()), ["events:source"]);
    let mut context = Context::default();
    context.insert("Events:Source", vec!["other".to_owned()]);
    assert_eq!(missing(&context), [""; 0]);
}

#[test]
fn what_is_not_known_is_an_error() {
    let statement = |field: &str, value: Value| {
        let mut statement = json!({ "Effect": "Allow", "Action": "*", "Resource": "*" });
        statement[field] = value;
        statement
    };
    for (statement, expected) in [
        (
            under("IpAddress", "aws:SourceIp", &json!("10.0.0.0/8")),
            "condition operator IpAddress",
        ),
        (
            under("NullIfExists", "a:b", &json!("true")),
            "condition operator NullIfExists",
        ),
        (
            under("ForAnyValue:Null", "a:b", &json!("true")),
            "condition operator ForAnyValue:Null",
        ),
        (
            under("Null", "a:b", &json!("yes")),
            "expected true or false",
        ),
        (under("StringEquals", TYPES, &json!("A")), "has 2 values"),
        (
            under("ArnLike", "aws:SourceArn", &json!("arn:aws:*")),
            "arn:aws:* is not an ARN",
        ),
        (
            under("StringEquals", "a:b", &json!("${aws:username}")),
            "policy variable",
        ),
        (
            under("StringEquals", "a:b", &json!({ "c": 1 })),
            "expected a text",
        ),
        (
            statement("Principal", json!("*")),
            "unknown field `Principal`",
        ),
        (
            statement("NotAction", json!("iam:*")),
            "one of Action and NotAction",
        ),
        (
            statement("Effect", json!("Maybe")),
            "unknown variant `Maybe`",
        ),
    ] {
        let context: &[(&str, &[&str])] = &[
            (TYPES, &["A", "TXT"]),
            ("aws:SourceArn", &["arn:aws:a:b:c:d"]),
        ];
        let error = decide(&statement, context).unwrap_err();
        assert!(error.contains(expected), "{statement}: {error}");
    }
}
