//! The dependencies between crates, and between the modules of a crate.

#![expect(
    clippy::unwrap_used,
    reason = "without cargo's answer there is nothing to test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use architecture::Modules;
use workspace::FUNCTIONS;

/// The folders of the libraries that the functions have in common.
const LIBRARIES: [&str; 7] = [
    "migration",
    "aws",
    "aws/cloudwatch",
    "aws/deletion-guard",
    "aws/kms",
    "aws/route53",
    "aws/step-functions",
];

/// What `cargo tree` prints for the packages if they are built together, a line for each crate; `cargo metadata`
/// would answer with the features of the whole workspace.
fn tree(packages: &[&str], edges: &str, format: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(workspace::root().unwrap())
        .args(["tree", "--locked", "--prefix", "none"])
        .args(["--edges", edges, "--format", format]);
    for package in packages {
        command.args(["--package", package]);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().filter(|line| !line.is_empty());
    // What stands for the dependencies of a crate that were printed already.
    let lines = lines.map(|line| line.trim_end_matches(" (*)").trim_end());
    lines.map(str::to_owned).collect()
}

/// The name of a crate in a line of [`tree`].
fn name(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

/// The crates that `package` is linked with if it is built alone.
fn linked_crates(package: &str) -> BTreeSet<String> {
    let lines = tree(&[package], "normal", "{p}");
    lines.iter().map(|line| name(line).to_owned()).collect()
}

#[test]
fn the_domain_is_linked_with_no_sdk_and_no_runtime() {
    let linked = linked_crates("migration");
    assert!(linked.contains("serde_json"), "{linked:?}");
    let is_foreign = |name: &&String| {
        name.starts_with("aws-") || ["lambda_runtime", "tokio", "hyper"].contains(&name.as_str())
    };
    let foreign: Vec<_> = linked.iter().filter(is_foreign).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

/// The SDKs that `package` is linked with, except STS: `aws-config` itself uses that for credentials.
fn linked_sdks(package: &str) -> BTreeSet<String> {
    let mut linked = linked_crates(package);
    linked.retain(|name| name.starts_with("aws-sdk-") && name != "aws-sdk-sts");
    linked
}

/// Each adapter brings its own SDK, so that a function contains only those that it calls.
#[test]
fn the_common_aws_crate_is_linked_with_no_sdk() {
    assert_eq!(linked_sdks("aws"), BTreeSet::new());
}

#[test]
fn a_function_is_linked_with_the_sdks_that_it_calls_and_with_no_other_function() {
    for (function, sdks) in [
        ("probe", &["aws-sdk-route53"][..]),
        (
            "shift-weight",
            &["aws-sdk-kms", "aws-sdk-route53", "aws-sdk-sfn"],
        ),
        ("check-alarms", &["aws-sdk-cloudwatch"]),
        (
            "rollback",
            &["aws-sdk-kms", "aws-sdk-route53", "aws-sdk-sfn"],
        ),
    ] {
        let found = linked_sdks(function);
        assert!(found.iter().eq(sdks), "{function}: {found:?}");
        let mut linked = linked_crates(function);
        linked.retain(|name| name == "cutover" || FUNCTIONS.contains(&name.as_str()));
        assert_eq!(linked, BTreeSet::from([function.to_owned()]));
    }
}

/// The others are those with which `aws-config` finds credentials. What is neither Step Functions nor Route 53, only the
/// self-test calls.
#[test]
fn the_command_line_calls_few_services() {
    let linked = linked_sdks("cutover");
    let credentials = ["aws-sdk-signin", "aws-sdk-sso", "aws-sdk-ssooidc"];
    let called = linked
        .iter()
        .filter(|name| !credentials.contains(&name.as_str()));
    let expected = [
        "aws-sdk-cloudwatch",
        "aws-sdk-iam",
        "aws-sdk-lambda",
        "aws-sdk-route53",
        "aws-sdk-sfn",
        "aws-sdk-sns",
        "aws-sdk-sqs",
    ];
    assert!(called.eq(expected), "{linked:?}");
}

/// Else a fresh clone would build the AWS crates twice: for the demo and for the functions.
#[test]
fn the_demo_is_built_without_what_only_the_command_line_needs() {
    let linked = linked_crates("demo");
    assert!(linked.contains("cutover"), "{linked:?}");
    for name in [
        "aws-sdk-iam",
        "aws-sdk-sso",
        "aws-sdk-signin",
        "clap_complete",
        "p256",
    ] {
        assert!(!linked.contains(name), "{name}");
    }
}

#[test]
fn the_dependencies_between_modules_have_no_cycles() {
    let functions = LIBRARIES.into_iter().chain(FUNCTIONS);
    let functions = functions.map(|name| format!("functions/{name}"));
    for name in functions.chain(["infra/cutover".to_owned()]) {
        let modules = Modules::read(&workspace::root().unwrap().join(&name).join("src"));
        let cycles = modules.cycles();
        assert!(
            cycles.is_empty(),
            "{name}: {cycles:#?}\n{:#?}",
            modules.dependencies()
        );
    }
}

/// The demo builds itself and then the functions, in the same folder. A crate with other features would be built
/// twice, and with it all that depend on it: minutes for the AWS SDK.
#[test]
fn the_demo_builds_no_crate_of_the_functions_twice() {
    let built = |packages: &[&str]| tree(packages, "normal,build", "{p} {f}");
    let demo = built(&["demo"]);
    let without_features = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let versions: BTreeSet<_> = demo.iter().map(|line| without_features(line)).collect();
    let functions = built(&FUNCTIONS);
    let twice: Vec<_> = functions
        .difference(&demo)
        .filter(|line| versions.contains(&without_features(line)))
        .collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

/// Else `cargo bench` would compile the unit tests of each crate once more, optimised, to run none of them.
#[test]
fn cargo_bench_compiles_only_the_benchmarks() {
    let mut crates = 0;
    for folder in ["functions", "functions/aws", "infra", "tests"] {
        for entry in fs::read_dir(workspace::root().unwrap().join(folder)).unwrap() {
            let folder = entry.unwrap().path();
            let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else {
                continue;
            };
            let of_bin = fs::read_dir(folder.join("src/bin")).map_or(0, Iterator::count);
            let has = |file: &str| usize::from(folder.join(file).is_file());
            let targets = has("src/lib.rs") + has("src/main.rs") + of_bin;
            let without = manifest.matches("bench = false").count();
            assert_eq!(without, targets, "{}: `bench = false`", folder.display());
            crates += 1;
        }
    }
    assert!(crates > 20, "{crates}");
}
