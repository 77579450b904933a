//! The examples for other tools send what the stack waits for, and read what it sends.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "an example that can't be read shall fail the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use definitions::project;
use serde_json::{Value, json};
use tempfile::TempDir;

const FOLDER: &str = "infra/examples";

fn example(name: &str) -> String {
    project::text(&format!("{FOLDER}/{name}"))
}

/// The documents of a YAML file.
fn documents(text: &str) -> Vec<yaml_serde::Value> {
    text.split("\n---\n")
        .map(|document| yaml_serde::from_str(document).unwrap())
        .collect()
}

/// So that nobody adds an example without a test.
#[test]
fn every_example_is_tested() {
    let tests: String = project::files("tests/definitions/tests", ".rs")
        .iter()
        .map(|file| project::text(file))
        .collect();
    let files = fs::read_dir(project::path(FOLDER)).unwrap();
    for file in files {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(tests.contains(&format!("{name}\"")), "{name}");
    }
}

/// Runs a shell script with a program `aws` that prints `failed` and writes down its arguments. Returns
/// these, too.
fn run_with_aws(script: &str, environment: &[(&str, &str)], failed: &str) -> (Output, Vec<String>) {
    let folder = TempDir::new().unwrap();
    let aws = folder.path().join("aws");
    let arguments = folder.path().join("arguments");
    let program = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}'\necho {failed}\n",
        arguments.display()
    );
    fs::write(&aws, program).unwrap();
    fs::set_permissions(&aws, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("/bin/sh")
        .args(["-c", script, "put-events.sh", "upgrade-1-34"])
        .envs(environment.iter().copied())
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .output()
        .unwrap();
    let arguments = fs::read_to_string(arguments).unwrap();
    (output, arguments.lines().map(str::to_owned).collect())
}

/// The event that the rule of `fixed-input.yaml` waits for, with the key of the request.
#[test]
fn put_events_and_the_job_of_argocd_send_the_event_of_the_fixed_input() {
    let rule = example("fixed-input.yaml");
    assert!(rule.contains("detail-type: [Cluster Ready]"));
    assert!(rule.contains("source: [!Ref EventSource]") && rule.contains("Default: pipeline"));

    let documents = documents(&example("argocd-post-sync-job.yaml"));
    let [account, job] = &documents[..] else {
        panic!("{documents:?}");
    };
    let hook = &job["metadata"]["annotations"]["argocd.argoproj.io/hook"];
    assert_eq!(*hook, "PostSync");
    let pod = &job["spec"]["template"]["spec"];
    assert_eq!(pod["serviceAccountName"], account["metadata"]["name"]);
    let container = &pod["containers"][0];
    let variable = |name: &str| {
        let variables = container["env"].as_sequence().unwrap().iter();
        let mut value = variables
            .filter(|it| it["name"] == name)
            .map(|it| &it["value"]);
        value.next_back().unwrap().as_str().unwrap().to_owned()
    };
    let (request, source) = (variable("REQUEST"), variable("SOURCE"));
    let environment = [("REQUEST", request.as_str()), ("SOURCE", source.as_str())];
    let script = container["args"][0].as_str().unwrap();

    for (script, environment, request) in [
        (script, &environment[..], request.as_str()),
        (&example("put-events.sh"), &[], "upgrade-1-34"),
    ] {
        let (output, arguments) = run_with_aws(script, environment, "0");
        assert!(output.status.success(), "{output:?}");
        let entry = format!(
            "Source=pipeline,DetailType=Cluster Ready,Detail='{{\"request\": \"{request}\"}}'"
        );
        assert!(arguments.contains(&entry), "{arguments:?}");
        assert_eq!(arguments[..2], ["events", "put-events"]);

        let (output, _) = run_with_aws(script, environment, "1");
        assert_eq!(output.status.code(), Some(1));
        let message = "the event bus rejected the event\n";
        assert_eq!(String::from_utf8_lossy(&output.stderr), message);
    }
}

/// The message goes to the queue that `argocd-queue.yaml` creates if its stack has the name in its comment.
#[test]
fn notifications_of_argocd_go_to_the_queue() {
    let documents = documents(&example("argocd-notifications.yaml"));
    let data = &documents[0]["data"];
    let service: yaml_serde::Value =
        yaml_serde::from_str(data["service.awssqs"].as_str().unwrap()).unwrap();
    let queue = service["queue"].as_str().unwrap();
    let template = example("argocd-queue.yaml");
    assert!(template.contains(&format!("--stack-name {queue} ")));
    assert!(template.contains("QueueName: !Ref AWS::StackName"));
    let trigger: yaml_serde::Value =
        yaml_serde::from_str(data["trigger.on-deployed"].as_str().unwrap()).unwrap();
    let sent = trigger[0]["send"][0].as_str().unwrap();
    assert!(data[format!("template.{sent}").as_str()].is_string());
}

/// It has no more permissions than it needs, and reads what `cutover weights` prints.
#[test]
fn annotations_are_set_by_a_pull_request_from_what_the_command_line_prints() {
    let text = example("annotations-pull-request.yaml");
    let workflow = &documents(&text)[0];
    let expected = |text: &str| yaml_serde::from_str::<yaml_serde::Value>(text).unwrap();
    assert_eq!(workflow["permissions"], expected("{}"));
    let job = &workflow["jobs"]["propose"];
    let permissions = "{contents: write, id-token: write, pull-requests: write}";
    assert_eq!(job["permissions"], expected(permissions));
    let steps = job["steps"].as_sequence().unwrap();
    let actions = steps.iter().filter_map(|step| step["uses"].as_str());
    let actions: Vec<_> = actions.collect();
    assert_eq!(
        actions,
        [
            "actions/checkout@v5",
            "aws-actions/configure-aws-credentials@v5"
        ]
    );
    // An input of the workflow is never part of a script.
    for script in steps.iter().filter_map(|step| step["run"].as_str()) {
        assert!(!script.contains("${{"), "{script}");
    }
    let command = project::text("infra/cutover/src/command/weights.rs");
    for (read, printed) in [
        (".annotation ", "\"annotation\": self.key"),
        (".warnings[]", "\"warnings\": self.problems()"),
        (".objects[]", "\"objects\": self.found.of.from"),
    ] {
        assert!(text.contains(read) && command.contains(printed), "{read}");
    }
    let annotation = project::text("functions/migration/src/external_dns/annotations.rs");
    for (read, field) in [(".weights |", "pub weights:"), (".object)", "pub object:")] {
        assert!(text.contains(read) && annotation.contains(field), "{read}");
    }
    let page = project::text("infra/cutover/README.md");
    for action in [
        "states:DescribeExecution",
        "states:GetExecutionHistory",
        "route53:GetHostedZone",
        "route53:ListResourceRecordSets",
    ] {
        assert!(text.contains(action) && page.contains(action), "{action}");
    }
    let release = project::text(".github/workflows/release.yaml");
    assert!(text.contains("cutover-cli-$VERSION-x86_64.tar.gz"));
    assert!(release.contains("cutover-cli-${GITHUB_REF_NAME#v}-${{ matrix.architecture }}"));
}

#[test]
fn github_actions_starts_the_state_machine_of_the_template() {
    let workflow = &documents(&example("github-actions.yaml"))[0];
    let arn = workflow["env"]["STATE_MACHINE"].as_str().unwrap();
    let name = project::text("infra/template.yaml");
    assert!(name.contains("Name: !Sub ${Name}-migration\n"));
    assert_eq!(
        arn,
        "arn:aws:states:eu-west-1:111122223333:stateMachine:cutover-migration"
    );
    let steps = workflow["jobs"]["migrate"]["steps"].as_sequence().unwrap();
    let scripts: Vec<_> = steps
        .iter()
        .filter_map(|step| step["run"].as_str())
        .collect();
    let [start, wait] = scripts[..] else {
        panic!("{scripts:?}");
    };
    let environment = [
        ("STATE_MACHINE", arn),
        ("EXECUTION", "upgrade"),
        ("INPUT", "migration.json"),
        ("GITHUB_ENV", "/dev/null"),
    ];
    let (output, arguments) = run_with_aws(start, &environment, "ARN");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(arguments[..2], ["stepfunctions", "start-execution"]);
    assert!(arguments.contains(&arn.to_owned()), "{arguments:?}");
    for (status, is_success) in [("SUCCEEDED", true), ("FAILED", false), ("ABORTED", false)] {
        let (output, _) = run_with_aws(wait, &[("ARN", "arn")], status);
        assert_eq!(output.status.success(), is_success, "{status}");
    }
}

/// The fields of each status event, as `infra/README.md` lists them: those of all, and those of one status.
fn documented_fields() -> BTreeMap<String, BTreeSet<String>> {
    let readme = project::text("infra/README.md");
    let section = readme.split("### Status events\n").nth(1).unwrap();
    let tables: Vec<_> = section.split("\n|---").skip(1).take(2).collect();
    let [of_all, of_each] = tables[..] else {
        panic!("{section}");
    };
    let names = |text: &str| -> BTreeSet<String> {
        let names = text.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    };
    let rows = |table: &str| -> Vec<Vec<String>> {
        let rows = table
            .lines()
            .skip(1)
            .take_while(|line| line.starts_with('|'));
        rows.map(|row| row.split('|').map(str::to_owned).collect())
            .collect()
    };
    // A field that an event may lack is said to be there "if" something.
    let always: BTreeSet<String> = rows(of_all)
        .iter()
        .filter(|row| !row[2].contains("if it is known") && !row[2].contains("if they are known"))
        .flat_map(|row| names(&row[1]))
        .collect();
    assert!(
        always.contains("status") && !always.contains("percent"),
        "{always:?}"
    );
    let fields = rows(of_each).into_iter().map(|row| {
        let status = row[1].trim().trim_matches('`').to_owned();
        // What follows a full stop is about another case.
        let own = names(row[3].split(". ").next().unwrap());
        (status, own.union(&always).cloned().collect())
    });
    fields.collect()
}

/// The properties of an example's rule, without CloudFormation's tags.
fn rule(name: &str) -> yaml_serde::Value {
    let text = example(name).replace("!Ref ", "").replace("!Sub ", "");
    let text = text.replace("!GetAtt ", "");
    let template: yaml_serde::Value = yaml_serde::from_str(&text).unwrap();
    template["Resources"]["Rule"]["Properties"].clone()
}

/// EventBridge does not say what stands in place of a field that an event lacks, so the examples use fields
/// that each event they match has. Inside of quotation marks it does not escape a value.
#[test]
fn statuses_are_passed_on_by_fields_that_they_have_and_as_json() {
    let documented = documented_fields();
    assert_eq!(documented.len(), 12);
    for name in ["status-to-pagerduty.yaml", "status-to-slack.yaml"] {
        let rule = rule(name);
        let pattern = &rule["EventPattern"];
        assert_eq!(pattern["source"][0], "EventSource");
        assert_eq!(pattern["detail-type"][0], "Cutover Migration Status Change");
        let wanted = pattern["detail"]["status"].as_sequence();
        let wanted: Option<BTreeSet<_>> =
            wanted.map(|it| it.iter().map(|status| status.as_str().unwrap()).collect());
        let has_reason = &pattern["detail"]["reason"][0]["exists"];
        let matched: Vec<_> = documented
            .iter()
            .filter(|(status, fields)| match &wanted {
                Some(wanted) => wanted.contains(status.as_str()),
                None => *has_reason == true && fields.contains("reason"),
            })
            .collect();
        assert!(matched.len() >= 4, "{name}: {matched:?}");

        let transformer = &rule["Targets"][0]["InputTransformer"];
        let paths = transformer["InputPathsMap"].as_mapping().unwrap();
        let mut text = transformer["InputTemplate"].as_str().unwrap().to_owned();
        for (variable, path) in paths {
            let field = path.as_str().unwrap().strip_prefix("$.detail").unwrap();
            let field = field.trim_start_matches('.');
            for (status, fields) in &matched {
                assert!(
                    field.is_empty() || fields.contains(field),
                    "{name}: {status}, {field}"
                );
            }
            // Any value where EventBridge inserts JSON, and one without quotation marks inside of a text.
            let variable = format!("<{}>", variable.as_str().unwrap());
            assert!(text.contains(&variable), "{name}: {variable} is not used");
            let value = json!("a \"quoted\" reason").to_string();
            for (before, after) in [(": ", ","), (": ", "}")] {
                let from = format!("{before}{variable}{after}");
                text = text.replace(&from, &format!("{before}{value}{after}"));
            }
            let is_safe = matches!(field, "status" | "executionArn");
            assert!(
                is_safe || !text.contains(&variable),
                "{name}: {variable} is not escaped"
            );
            text = text.replace(&variable, "safe");
        }
        let body: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert!(body.is_object());
    }
}

/// Namespace, metric and dimensions.
type Metric = (String, String, BTreeMap<String, String>);

/// The metrics of the template's dashboard, whose list repeats fields by `.` and `...`.
fn metrics_of_the_template() -> BTreeSet<Metric> {
    let template = project::text("infra/template.yaml");
    let body = template.split("DashboardBody: !Sub |\n").nth(1).unwrap();
    let end = body.find("\n  ReadZonesPolicy:").unwrap();
    let mut body = body[..end].replace("${!PROP", "${PROP");
    for machine in ["Migration", "Rollback", "Release"] {
        let arn = "arn:aws:states:${AWS::Region}:${account}:stateMachine:${Name}-";
        let arn = format!("{arn}{}", machine.to_lowercase());
        body = body.replace(&format!("${{{machine}StateMachine}}"), &arn);
    }
    for (id, name) in [
        ("Probe", "probe"),
        ("ShiftWeight", "shift-weight"),
        ("CheckAlarms", "check-alarms"),
        ("Rollback", "rollback"),
    ] {
        body = body.replace(&format!("${{{id}Function}}"), &format!("${{Name}}-{name}"));
    }
    let body = body
        .replace("${AWS::Region}", "${region}")
        .replace("${Name}", "${name}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let mut metrics = BTreeSet::new();
    for widget in body["widgets"].as_array().unwrap() {
        let mut previous: Vec<String> = Vec::new();
        for row in widget["properties"]["metrics"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let mut fields: Vec<String> = Vec::new();
            for field in row.as_array().unwrap() {
                match field.as_str() {
                    Some(".") => fields.push(previous[fields.len()].clone()),
                    Some("...") => {
                        let given = row.as_array().unwrap().iter().skip(1);
                        let given = given.filter(|it| it.is_string()).count();
                        fields.extend_from_slice(&previous[..previous.len() - given]);
                    }
                    Some(text) => fields.push(text.to_owned()),
                    None => {
                        if let Some(expression) = field["expression"].as_str() {
                            fields = vec![expression.to_owned(), String::new()];
                        }
                    }
                }
            }
            let dimensions = fields[2..].chunks(2);
            let dimensions = dimensions
                .map(|it| (it[0].clone(), it[1].clone()))
                .collect();
            metrics.insert((fields[0].clone(), fields[1].clone(), dimensions));
            previous = fields;
        }
    }
    metrics
}

#[test]
fn dashboard_of_grafana_has_the_metrics_of_the_stack() {
    let dashboard: Value = serde_json::from_str(&example("grafana-dashboard.json")).unwrap();
    let mut metrics = BTreeSet::new();
    let panels = dashboard["panels"].as_array().unwrap();
    for target in panels
        .iter()
        .flat_map(|it| it["targets"].as_array().unwrap())
    {
        let text = |field: &str| target[field].as_str().unwrap().to_owned();
        let dimensions = serde_json::from_value(target["dimensions"].clone()).unwrap();
        metrics.insert(match text("expression") {
            expression if !expression.is_empty() => (expression, String::new(), dimensions),
            _ => (text("namespace"), text("metricName"), dimensions),
        });
    }
    let expected = metrics_of_the_template();
    assert!(expected.len() > 20, "{expected:?}");
    assert_eq!(metrics, expected);

    // Each variable that it uses is one of its own.
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: BTreeSet<_> = variables
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    let text = dashboard.to_string();
    let used = text
        .split("${")
        .skip(1)
        .map(|it| it.split('}').next().unwrap());
    let used: BTreeSet<_> = used.filter(|name| !name.starts_with("PROP(")).collect();
    assert_eq!(used, variables);
}
