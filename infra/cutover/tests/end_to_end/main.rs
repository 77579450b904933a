//! The command line against the local stack. Each test has a stack of its own.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test panics when it fails"
)]

mod deployed_by_terraform;
mod self_test;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use expect_test::expect;
use local_stack::{
    BURNHAM, Execution, GREEN, Notification, RecordName, Stack, WAIT_SCALE, blueprint, long_bake,
    without_registry,
};
use serde_json::{Value, json};

/// Far longer than anything that is awaited takes, even on a loaded machine.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What a command has printed, and its exit code.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    output: String,
    error: String,
}

impl Ran {
    /// The last line on standard output.
    #[track_caller]
    fn json(&self) -> Value {
        let last = self.output.lines().last();
        serde_json::from_str(last.unwrap_or_default()).unwrap_or_else(|_| panic!("{self:#?}"))
    }

    #[track_caller]
    fn assert(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let all = format!("{}\n{}", self.output, self.error);
        for part in parts {
            assert!(all.contains(part), "{part:?} is not in {all}");
        }
    }
}

async fn stack() -> Stack {
    let stack = Stack::start(&without_registry(blueprint())).await.unwrap();
    stack.scale_waits(WAIT_SCALE).await.unwrap();
    stack
}

/// The input of a migration of one name in two steps, with the fields of `overrides` replaced.
fn input(stack: &Stack, overrides: Value) -> String {
    local_stack::input(stack, overrides).to_string()
}

/// Runs the command with nothing but the stack's environment, and this text on standard input.
async fn run_with(stack: &Stack, arguments: &[&str], input: &str) -> Ran {
    run_in(&stack.environment(), arguments, input).await
}

async fn run_in(environment: &[(&str, String)], arguments: &[&str], input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    let environment = environment.iter().cloned();
    command.args(arguments).env_clear().envs(environment);
    command.stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        // Ignored: a command that does not read its standard input may have ended.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    });
    let output = ran.await.unwrap();
    Ran {
        code: output.status.code(),
        output: String::from_utf8(output.stdout).unwrap(),
        error: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn run(stack: &Stack, arguments: &[&str]) -> Ran {
    run_with(stack, arguments, "").await
}

/// The status of a migration, once `is_it` holds.
async fn until_status(stack: &Stack, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let since = Instant::now();
    loop {
        let ran = run(stack, &["status", name, "--output", "json"]).await;
        let status = ran.json();
        if is_it(&status) {
            return status;
        }
        assert!(since.elapsed() < LONGEST_WAIT, "{status:#}");
    }
}

/// Starts a migration, and waits until it is in a phase of its first step.
async fn start_to_phase(stack: &Stack, name: &str, input: &str, phase: &str) -> Value {
    let started = run_with(stack, &["start", "-", "--execution-name", name], input).await;
    started.assert(0, &[name, "cutover status"]);
    let is_in_phase = |status: &Value| {
        assert_eq!(status["status"], "RUNNING", "{status:#}");
        status["phase"] == phase
    };
    until_status(stack, name, is_in_phase).await
}

/// Waits for the notification with this status, and drops all before it.
async fn until_notified(stack: &Stack, status: &str) -> Notification {
    let since = Instant::now();
    loop {
        let mut notifications = stack.notifications().await.unwrap().into_iter();
        let found = notifications.find(|it| it.status() == status);
        if let Some(found) = found {
            return found;
        }
        assert!(since.elapsed() < LONGEST_WAIT, "no notification {status}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn migrations(stack: &Stack) -> Vec<Execution> {
    stack.migrations().await.unwrap()
}

async fn weight_of_green(stack: &Stack) -> Option<u8> {
    let name: RecordName = BURNHAM.parse().unwrap();
    let weights = stack.zone.weights(std::slice::from_ref(&name)).await;
    weights.unwrap().weight(&name, &GREEN.parse().unwrap())
}

#[tokio::test]
async fn plan_prints_the_summary_and_writes_nothing() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let input = input(&stack, json!({}));
    let text = run_with(&stack, &["plan", "-"], &input).await;
    text.assert(0, &[BURNHAM, "50", "probe: pass"]);
    let plan = run_with(&stack, &["plan", "-", "--output", "json"], &input).await;
    plan.assert(0, &[]);
    let summary = plan.json()["summary"].clone();
    let lines = summary.as_array().unwrap().iter().map(|line| line.as_str());
    let lines: Vec<_> = lines.map(Option::unwrap).collect();
    assert_eq!(text.output.trim_end(), lines.join("\n"));
    assert_eq!(plan.json()["steps"][0]["percent"], 50);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

#[tokio::test]
async fn plan_and_start_show_every_problem_of_a_refused_input() {
    let stack = stack().await;
    let names =
        json!({ "names": [BURNHAM, "missing.eks-blueprint.example.com"], "bakeSeconds": -1 });
    let wrong = input(&stack, names);
    let plan = run_with(&stack, &["plan", "-"], &wrong).await;
    plan.assert(3, &["Refused", "InvalidInput", "bakeSeconds"]);
    let missing = input(
        &stack,
        json!({ "names": ["missing.eks-blueprint.example.com", "also.eks-blueprint.example.com"] }),
    );
    let started = run_with(
        &stack,
        &["start", "-", "--wait", "--output", "json"],
        &missing,
    )
    .await;
    started.assert(3, &["missing", "also"]);
    assert_eq!(started.json()["state"], "Refused", "{started:#?}");
}

#[tokio::test]
async fn input_that_is_not_json_starts_nothing() {
    let stack = stack().await;
    let ran = run_with(&stack, &["start", "-"], "{\n  \"steps\": [10,]\n}").await;
    ran.assert(3, &["standard input is not JSON", "line 2 column 16"]);
    let missing = run(&stack, &["plan", "/nonexistent/input.json"]).await;
    missing.assert(1, &["/nonexistent/input.json"]);
    assert!(migrations(&stack).await.is_empty());
}

#[tokio::test]
async fn wrong_names_are_answered_with_what_was_looked_for() {
    let stack = stack().await;
    let input = input(&stack, json!({}));
    let arguments = ["start", "-", "--name", "edge"];
    let ran = run_with(&stack, &arguments, &input).await;
    ran.assert(
        1,
        &["edge-migration", "000000000000", "us-east-1", "--name"],
    );
    for command in ["status", "approve", "hold"] {
        let ran = run(&stack, &[command, "nobody"]).await;
        ran.assert(
            1,
            &["no execution nobody of cutover-migration", "000000000000"],
        );
    }
}

/// The environment has credentials, too. An operator who names a profile must not reach another account.
#[tokio::test]
async fn profile_goes_before_credentials_in_the_environment() {
    let stack = stack().await;
    let unknown = run(&stack, &["status", "--profile", "other"]).await;
    unknown.assert(1, &["sts:GetCallerIdentity", "profile other"]);
    let file = std::env::temp_dir().join(format!("cutover-credentials-{}", std::process::id()));
    // The emulator takes an access key of twelve digits for the account.
    let profile = "[other]\naws_access_key_id = 111122223333\naws_secret_access_key = secret\n";
    std::fs::write(&file, profile).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .args(["status", "nobody", "--profile", "other"])
        .env_clear()
        .envs(stack.environment())
        .env("AWS_SHARED_CREDENTIALS_FILE", &file)
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("account 111122223333"), "{error}");
}

#[tokio::test]
async fn start_with_wait_shows_the_migration_and_ends_with_it() {
    let stack = stack().await;
    let input = input(&stack, json!({}));
    let arguments = ["start", "-", "--execution-name", "upgrade", "--wait"];
    let ran = run_with(&stack, &arguments, &input).await;
    ran.assert(
        0,
        &[
            "Shift weight",
            "50 %",
            "100 %",
            "probe: pass",
            "upgrade ended as Completed",
        ],
    );
    assert_eq!(weight_of_green(&stack).await, Some(100));
    // The name is taken: its input is another one.
    let again = run_with(&stack, &arguments, "{}").await;
    again.assert(3, &["upgrade", "already"]);
    let status = run(&stack, &["status"]).await;
    status.assert(
        0,
        &["No migration is running.", "upgrade ended as Completed"],
    );
}

#[tokio::test]
async fn approval_is_given_with_the_command_of_the_status() {
    let stack = stack().await;
    let steps = json!({ "steps": [{ "percent": 50, "approval": true }, 100] });
    let input = input(&stack, steps);
    let status = start_to_phase(&stack, "asking", &input, "approval").await;
    assert_eq!(status["percent"], 50, "{status:#}");
    let text = run(&stack, &["status", "asking"]).await;
    text.assert(
        0,
        &[
            "running since",
            "Ask for approval since",
            "at the latest until",
            "50 percent on eks-blueprint-green",
            "cutover approve asking --by",
            "cutover refuse asking --by",
            "next     100 percent",
        ],
    );
    let migration = migrations(&stack).await.remove(0);
    let token = stack.task_token(&migration).await.unwrap().unwrap();
    let approved = run(&stack, &["approve", "asking", "--by", "Ann: fine"]).await;
    approved.assert(0, &["approved asking at 50 percent"]);
    for ran in [&text, &approved] {
        let all = format!("{ran:?}{status}");
        assert!(!all.contains(&token), "the token is in {all}");
    }
    let ended = migration.wait().await.unwrap();
    assert_eq!(ended.state, "Completed", "{ended:#?}");
    let notification = until_notified(&stack, "Completed").await;
    assert!(
        notification.description().contains("Ann: fine"),
        "{notification:#?}"
    );
    let late = run(&stack, &["approve", "asking"]).await;
    late.assert(10, &["asking is not running", "SUCCEEDED"]);
}

#[tokio::test]
async fn refused_approval_rolls_back() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let steps = json!({ "steps": [{ "percent": 50, "approval": true }, 100] });
    let input = input(&stack, steps);
    start_to_phase(&stack, "asking", &input, "approval").await;
    let refused = run(&stack, &["refuse", "asking", "--by", "Ann: not today"]).await;
    refused.assert(0, &["refused asking at 50 percent"]);
    let ended = run(&stack, &["status", "asking", "--watch"]).await;
    ended.assert(
        5,
        &[
            "asking ended as Rolled back",
            "ApprovalRefused",
            "Ann: not today",
        ],
    );
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
}

#[tokio::test]
async fn promoted_step_goes_on_and_is_no_approval() {
    let stack = stack().await;
    let mut request: Value = serde_json::from_str(&input(&stack, long_bake())).unwrap();
    request["steps"] = json!([100]);
    start_to_phase(&stack, "baking", &request.to_string(), "bake").await;
    let approved = run(&stack, &["approve", "baking"]).await;
    approved.assert(
        10,
        &[
            "no approval",
            "phase bake at 100 percent",
            "cutover promote baking",
        ],
    );
    let promoted = run(&stack, &["promote", "baking", "--output", "json"]).await;
    promoted.assert(0, &[]);
    assert_eq!(promoted.json()["answer"], "promoted");
    let ended = run(&stack, &["status", "baking", "--watch", "--output", "json"]).await;
    ended.assert(0, &[]);
    assert_eq!(ended.json()["state"], "Completed", "{ended:#?}");
    let lines = ended.output.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        lines.iter().any(|line| line["plan"]["names"] == 1),
        "{ended:#?}"
    );
    assert!(
        lines.iter().any(|line| line["percent"] == 100),
        "{ended:#?}"
    );
    assert!(
        lines.iter().any(|line| line["verdict"] == "pass"),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn held_migration_keeps_its_weights_until_it_is_rolled_back() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let input = input(&stack, long_bake());
    let arguments = [
        "start",
        "-",
        "--execution-name",
        "holding",
        "--wait",
        "--timeout",
        "1",
    ];
    let started = run_with(&stack, &arguments, &input).await;
    started.assert(9, &["holding is still running"]);
    until_status(&stack, "holding", |status| status["phase"] == "bake").await;
    let text = run(&stack, &["status"]).await;
    text.assert(
        0,
        &[
            "holding: running since",
            "Bake since",
            "at the earliest until",
            "cutover promote holding",
        ],
    );
    let held = run(&stack, &["hold", "holding", "--by", "Ann: wait"]).await;
    held.assert(0, &["held holding at 50 percent"]);
    let ended = run(&stack, &["status", "holding", "--watch"]).await;
    ended.assert(4, &["holding ended as Held", "Ann: wait"]);
    assert_eq!(weight_of_green(&stack).await, Some(50));

    let rolled_back = run(
        &stack,
        &[
            "rollback",
            "--execution",
            "holding",
            "--by",
            "Ann",
            "--wait",
        ],
    )
    .await;
    rolled_back.assert(0, &["ended as Rolled back"]);
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    let status = run(&stack, &["status", "holding"]).await;
    status.assert(0, &["ended as Held", "then", "rollback", "SUCCEEDED"]);
    assert!(!status.output.contains("you can"), "{status:#?}");
}

#[tokio::test]
async fn running_migration_is_stopped_and_rolled_back() {
    let stack = stack().await;
    let before = stack.zone.to_cli_json().await.unwrap();
    let input = input(&stack, long_bake());
    start_to_phase(&stack, "running", &input, "bake").await;
    let arguments = [
        "rollback",
        "--execution",
        "running",
        "--wait",
        "--output",
        "json",
    ];
    let ran = run(&stack, &arguments).await;
    ran.assert(0, &[]);
    assert_eq!(ran.json()["output"]["restored"], 1, "{ran:#?}");
    assert_eq!(stack.zone.to_cli_json().await.unwrap(), before);
    let refused = run(&stack, &["rollback", "--execution", "nobody", "--wait"]).await;
    refused.assert(7, &["Rollback failed", "ExecutionNotFound"]);
}

#[tokio::test]
async fn migration_that_has_not_shifted_is_stopped_by_a_rollback() {
    let stack = stack().await;
    stack.green.set_healthy(false);
    let input = input(&stack, json!({ "readyTimeoutSeconds": 8_000 }));
    let arguments = ["start", "-", "--execution-name", "waiting"];
    run_with(&stack, &arguments, &input).await.assert(0, &[]);
    until_status(&stack, "waiting", |status| {
        status["health"][0]["observer"] == "probe"
    })
    .await;
    let answered = run(&stack, &["hold", "waiting"]).await;
    answered.assert(10, &["has not shifted yet"]);
    let text = run(&stack, &["status", "waiting"]).await;
    text.assert(0, &["probe: fail", "stop it, and restore"]);
    let arguments = ["rollback", "--execution", "waiting", "--wait"];
    run(&stack, &arguments).await.assert(0, &[]);
    let ended = run(&stack, &["status", "waiting", "--watch"]).await;
    ended.assert(6, &["waiting was aborted", "StoppedForRollback"]);
}

#[tokio::test]
async fn release_of_a_migration_without_leases_has_nothing_to_do() {
    let stack = stack().await;
    let input = input(&stack, json!({ "steps": [100] }));
    let arguments = ["start", "-", "--execution-name", "done", "--wait"];
    run_with(&stack, &arguments, &input).await.assert(0, &[]);
    let released = run(&stack, &["release", "done", "--wait"]).await;
    released.assert(0, &["ended as Nothing to release"]);
    let refused = run(&stack, &["release", "nobody", "--wait"]).await;
    refused.assert(3, &["Refused", "ExecutionNotFound"]);
}

/// The policy in the README with this number, for the emulator's account and Region.
fn documented_policy(stack: &Stack, number: usize) -> Value {
    let readme = include_str!("../../README.md");
    let policy = readme.split("```json\n").nth(number).unwrap();
    let policy = policy.split("```").next().unwrap();
    let policy = policy.replace("eu-west-1:111122223333", "us-east-1:000000000000");
    let policy = policy.replace("Z3Q77PNBQS71R4", stack.zone.id());
    serde_json::from_str(&policy).unwrap()
}

#[tokio::test]
async fn documented_policy_permits_every_command_and_each_statement_is_needed() {
    let stack = stack().await;
    let policy = documented_policy(&stack, 1);
    let input = input(&stack, long_bake());
    let environment = stack.environment_with_policy("all", &policy).await;
    let environment = environment.unwrap();
    let run = async |arguments: &[&str]| run_in(&environment, arguments, &input).await;
    run(&["plan", "-"]).await.assert(0, &[]);
    let arguments = ["start", "-", "--execution-name", "permitted"];
    run(&arguments).await.assert(0, &[]);
    until_status(&stack, "permitted", |status| status["phase"] == "bake").await;
    run(&["status"])
        .await
        .assert(0, &["cutover hold permitted"]);
    run(&["weights", "permitted"])
        .await
        .assert(0, &["without a registry TXT", "has not completed"]);

    for (sid, permission) in [
        ("Start", "states:StartExecution"),
        ("List", "states:ListExecutions"),
        ("Read", "states:DescribeExecution"),
        ("ReadZone", "route53:GetHostedZone"),
        ("Answer", "states:SendTaskFailure"),
    ] {
        let mut reduced = policy.clone();
        let statements = reduced["Statement"].as_array_mut().unwrap();
        statements.retain(|statement| statement["Sid"] != sid);
        let environment = stack.environment_with_policy(sid, &reduced).await;
        let command: &[&str] = match sid {
            "Start" => &["plan", "-"],
            "ReadZone" => &["weights", "permitted"],
            _ => &["hold", "permitted"],
        };
        let denied = run_in(&environment.unwrap(), command, &input).await;
        denied.assert(1, &[permission, "is not permitted"]);
    }
    run(&["hold", "permitted"]).await.assert(0, &[]);
    let arguments = ["rollback", "--execution", "permitted", "--wait"];
    run(&arguments).await.assert(0, &[]);
    let arguments = ["release", "permitted", "--wait"];
    run(&arguments).await.assert(0, &["Nothing to release"]);
    run(&["status", "permitted"]).await.assert(0, &["then"]);
}

/// The script is run with a program `kubectl` that prints its arguments.
#[tokio::test]
async fn weights_are_those_that_the_migration_has_reached() {
    let stack = Stack::start(&blueprint()).await.unwrap();
    stack.scale_waits(WAIT_SCALE).await.unwrap();
    let input = input(&stack, json!({}));
    let arguments = ["start", "-", "--execution-name", "done", "--wait"];
    let done = run_with(&stack, &arguments, &input).await;
    done.assert(0, &["Completed"]);

    let table = run(&stack, &["weights", "done"]).await;
    expect![[r#"
        eks-blueprint-blue: external-dns.alpha.kubernetes.io/aws-weight
          "0"  ingress/team-burnham/burnham-ingress  burnham.eks-blueprint.example.com

        eks-blueprint-green: external-dns.alpha.kubernetes.io/aws-weight
          "100"  ingress/team-burnham/burnham-ingress  burnham.eks-blueprint.example.com
    "#]]
    .assert_eq(&table.output);
    let json = run(&stack, &["weights", "done", "--output", "json"])
        .await
        .json();
    assert_eq!(json["to"]["objects"][0]["weights"], json!([100]));
    assert_eq!(json["warnings"], json!([]));

    let prefix = ["--annotation-prefix", "external-dns.kubernetes.io/"];
    let arguments = [&["weights", "done", "--script"], &prefix[..]].concat();
    let script = run(&stack, &arguments).await.output;
    let kubectl = "kubectl() { echo \"$@\"; }\n";
    let output = Command::new("/bin/sh")
        .args(["-c", &format!("{kubectl}{script}")])
        .env_clear()
        .envs([("FROM_CONTEXT", "blue"), ("TO_CONTEXT", "green")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    expect![[r#"
        --context blue --namespace team-burnham annotate --overwrite ingress burnham-ingress external-dns.kubernetes.io/aws-weight=0
        --context green --namespace team-burnham annotate --overwrite ingress burnham-ingress external-dns.kubernetes.io/aws-weight=100
    "#]].assert_eq(&String::from_utf8(output.stdout).unwrap());
    let none = run(&stack, &["weights", "nobody"]).await;
    none.assert(1, &["there is no execution nobody"]);
}

#[tokio::test]
async fn completions_need_no_account() {
    let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
        .args(["completions", "bash"])
        .env_clear()
        .output()
        .unwrap();
    let script = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && script.contains("rollback"));
}
