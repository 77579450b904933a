//! Valid examples, which the tests and the fuzzer mutate: from this repository, from AWS's
//! documentation, and from the functions' output.

use std::sync::LazyLock;

use migration::dns::RecordType;
use migration::external_dns::owner;
use serde_json::{Value, json};

use crate::world::World;

/// The zone of the EKS Blueprints pattern.
pub const BLUEPRINT: &str = include_str!("../../zone-blueprint.json");
pub const ZONE_ID: &str = "Z0BLUEPRINT";
/// The execution whose journals are in the zone.
pub const EXECUTION: &str = "run";
/// Another execution that is running.
pub const OTHER_EXECUTION: &str = "another";
/// An execution that failed and has no journals.
pub const FAILED_EXECUTION: &str = "failed-run";
/// The input of both executions. It selects all names except `shared`, and the alarms of AWS's
/// example events.
pub const SHIFTED_INPUT: &str = r#"{
    "hostedZoneId": "Z0BLUEPRINT",
    "from": "eks-blueprint-blue",
    "to": "eks-blueprint-green",
    "exclude": ["shared.*"],
    "steps": [10, {"percent": 50, "bakeSeconds": 60, "approval": true}, 100],
    "ttlFactor": 1.5,
    "alarms": {"names": ["ServerCpuTooHigh", "ServiceAggregatedAlarm", "lambda-demo-metric-alarm"]}
}"#;

/// Inputs of the migration state machine.
const INPUTS: [&str; 11] = [
    SHIFTED_INPUT,
    include_str!("../../../statemachine/examples/all-at-once.json"),
    include_str!("../../../statemachine/examples/back-to-blue.json"),
    include_str!("../../../statemachine/examples/canary-with-alarms.json"),
    include_str!("../../../statemachine/examples/dry-run.json"),
    include_str!("../../../statemachine/examples/external-dns-flags.json"),
    include_str!("../../../statemachine/examples/linear.json"),
    include_str!("../../../statemachine/examples/new-cluster.json"),
    include_str!("../../../statemachine/examples/set-identifier-per-ingress.json"),
    include_str!("../../../statemachine/examples/smallest.json"),
    include_str!("../../../statemachine/examples/with-approval.json"),
];
const RELEASE: &str = include_str!("../../../statemachine/examples/release.json");

/// Inputs of the rollback state machine, and events that must not start a rollback.
const ROLLBACKS: [&str; 6] = [
    include_str!("../../../statemachine/examples/rollback.json"),
    include_str!("../../events/cloudwatch-alarm-action.json"),
    include_str!("../../events/cloudwatch-alarm-state-change.json"),
    include_str!("../../events/cloudwatch-composite-alarm-state-change.json"),
    include_str!("../../events/eks-create-cluster.json"),
    include_str!("../../events/step-functions-execution-status-change.json"),
];

/// `HistoryData` of a state update, from the AWS CLI's reference of `describe-alarm-history`.
const HISTORY: &str = r#"{"version":"1.0","oldState":{"stateValue":"OK","stateReason":"testing purposes"},"newState":{"stateValue":"ALARM","stateReason":"Threshold Crossed: 1 datapoint","stateReasonData":{"version":"1.0","statistic":"Average","period":300,"recentDatapoints":[40.0],"threshold":1.0}}}"#;

/// Valid journals with fields and values that do not occur in the journals of [`EXECUTION`].
const JOURNALS: [&str; 3] = [
    r#""cutover=2" "execution=0123456789abcdef/run" "from=eks-blueprint-blue" "to=eks-blueprint-green" "star.from=0-13" "star.to=4-19" "sequence=2" "percent=50" "original.A=100/0" "original.AAAA=100/0" "written.A=50/50" "written.AAAA=50/50" "owner.from.AAAA+CNAME=eks-blueprint-blue" "txtPrefix.to=%25%7Brecord_type%7D-txt." "owner.to.A=eks-blueprint-green" "completed=yes" "signature=00""#,
    r#""cutover=2" "execution=0123456789abcdef/run" "from=b%C3%BCro" "to=%F0%9F%9A%80" "sequence=4294967295" "percent=0.01" "original.CNAME=255/0" "written.CNAME=0/255" "txtSuffix.from=-%25%7Brecord_type%7D" "txtWildcardReplacement.from=any" "signature=""#,
    r#""cutover=2" "execution=0123456789abcdef/x" "from=a" "to=b" "sequence=0" "percent=100" "original.A=0/0" "original.CNAME=0/0" "written.A=0/0" "written.CNAME=0/0" "owner.from.A+AAAA+CNAME+ANY=" "adopted=0123456789abcdef/a%2Cfedcba9876543210/b" "redrives=1" "signature=00""#,
];

const REGISTRY_TEXTS: [&str; 6] = [
    r#""external-dns/owner=blue,more,heritage=external-dns""#,
    r#""heritage=external-dns,external-dns/owner=a,external-dns/owner=b""#,
    r#""heritage=external-dns,external-dns/owner=cutover/0123456789abcdef/run,external-dns/resource=ingress/a/b""#,
    r#""h8UQ6jelUFUsEIn7SbFktc2MYXPx/q8lySqI4VwNfVp6Lg8m""#,
    r#""heritage=external-dns,external-dns/owner=bl\134ue\\,external-dns/resource=ingress/a/b""#,
    r#""heritage=external-dns,external-dns/owner=blue\,external-dns/resource=ingress/a/b""#,
];

const NAMES: [&str; 9] = [
    "Burnham.Eks-Blueprint.Example.com.",
    r"\052.apps.example.com.",
    "*.apps.example.com",
    r"a\041b.\100.example.com",
    "_9f2c.eks-blueprint.example.com",
    "_cutover._wildcard.example.com",
    "_wildcard.example.com",
    r"\052a.example.com",
    r"\056\134\377.example.com",
];

const PATTERNS: [&str; 6] = [
    "*.example.com\nburnham.example.com",
    "team-*.example.com\nteam-riker.example.com",
    "\\052.apps.example.com\n*.apps.example.com",
    "**a*b*\naabb.example.com",
    "*\\041*\na!b.example.com",
    "burnham.example.com.\nBURNHAM.example.com",
];

const REGISTRY_NAMES: [&str; 5] = [
    r#"{"name": "app.example.com"}"#,
    r#"{"name": "*.apps.example.com", "txtWildcardReplacement": "any"}"#,
    r#"{"name": "a-team.example.com", "txtPrefix": "reg."}"#,
    r#"{"name": "app.example.com", "txtSuffix": "-%{record_type}.reg"}"#,
    r#"{"name": "app.example.com", "txtPrefix": "%{record_type}-TXT."}"#,
];

const WORDS: [&str; 17] = [
    "AllAtOnce",
    "Canary10Percent15Minutes",
    "Linear1PercentEvery1440Minutes",
    "Z3Q77PNBQS71R4",
    "/hostedzone/Z3Q77PNBQS71R4",
    "eks-blueprint-green",
    "*-green",
    "0.01",
    "99.99",
    "1e2",
    "90/10",
    "200-399",
    "200",
    "/healthz?full=%20",
    "cutover-probe",
    "%{record_type}-txt.",
    "CNAME",
];

/// The examples for a property, by the name of its fuzz target.
pub fn examples(property: &str) -> Vec<Vec<u8>> {
    match property {
        "alarm_history" => of_texts([HISTORY, "{}"]),
        "check_alarms_event" => check_alarms_events(),
        "execution_input" => of_texts(INPUTS),
        "journal_text" => of_texts(JOURNALS).into_iter().chain(journals()).collect(),
        "name_pattern" => of_texts(PATTERNS),
        "record_name" => of_texts(NAMES),
        "registry_names" => of_texts(REGISTRY_NAMES),
        "registry_text" => of_texts(REGISTRY_TEXTS)
            .into_iter()
            .chain(registry_texts())
            .collect(),
        "resolved_plan" => resolved_plans(),
        "rollback_event" => rollback_events(),
        "shift_weight_event" => SHIFT_WEIGHT_EVENTS.clone(),
        "short_words" => of_texts(WORDS),
        _ => Vec::new(),
    }
}

fn of_texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Vec<u8>> {
    let texts = texts.into_iter();
    texts.map(|text| text.as_bytes().to_vec()).collect()
}

fn of_values(values: impl IntoIterator<Item = Value>) -> Vec<Vec<u8>> {
    let values = values.into_iter();
    values.map(|value| value.to_string().into_bytes()).collect()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The values of the journals of [`EXECUTION`].
fn journals() -> Vec<Vec<u8>> {
    let journals = World::shifted().route53.record_sets().into_iter();
    journals
        .filter(|read| read.record_type == RecordType::Txt && read.name.journaled().is_some())
        .flat_map(|read| read.values().to_vec())
        .map(String::into_bytes)
        .collect()
}

/// The values of the zone's registry TXT records.
fn registry_texts() -> Vec<Vec<u8>> {
    let texts = World::original()
        .iter()
        .filter(|read| owner(read).is_some());
    texts
        .flat_map(|read| read.values().to_vec())
        .map(String::into_bytes)
        .collect()
}

/// The output of `plan` and `planRelease`, which the other operations get as input.
fn resolved_plans() -> Vec<Vec<u8>> {
    let migration = migration_of(SHIFTED_INPUT);
    let [named, flags] = [
        json!({"names": ["burnham.eks-blueprint.example.com"]}),
        json!({"externalDns": {"mode": "ignore", "from": {"txtPrefix": "%{record_type}-"}}}),
    ]
    .map(|more| {
        let mut input = parsed(SHIFTED_INPUT);
        input
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        migration_of(&input.to_string())
    });
    of_values([migration, named, flags, release()])
}

fn migration_of(input: &str) -> Value {
    let event = json!({"operation": "plan", "execution": EXECUTION, "input": parsed(input)});
    let planned = World::blueprint().shift_weight(&event).unwrap();
    planned.get("migration").unwrap().clone()
}

/// The release of a migration that has completed.
fn release() -> Value {
    let world = World::shifted();
    let planned = world.shift_weight(&plan_of_shifted()).unwrap();
    let migration = planned.get("migration");
    for step in 0..2 {
        let event = json!({"operation": "shift", "migration": migration, "step": step});
        world.shift_weight(&event).unwrap();
    }
    world.executions.succeed(EXECUTION);
    let event = json!({"operation": "planRelease", "input": {"execution": EXECUTION, "hostedZoneId": ZONE_ID}});
    let planned = world.shift_weight(&event).unwrap();
    planned.get("release").unwrap().clone()
}

fn plan_of_shifted() -> Value {
    json!({"operation": "plan", "execution": EXECUTION, "input": parsed(SHIFTED_INPUT)})
}

static SHIFT_WEIGHT_EVENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let migration = migration_of(SHIFTED_INPUT);
    let release = release();
    of_values([
        plan_of_shifted(),
        json!({"operation": "shift", "migration": migration, "step": 1}),
        json!({"operation": "confirm", "migration": migration, "percent": 50, "changeIds": ["C1"]}),
        json!({"operation": "complete", "migration": migration}),
        json!({"operation": "planRelease", "input": parsed(RELEASE)}),
        json!({"operation": "giveBack", "release": release, "names": 1}),
        json!({"operation": "reacquireLease", "release": release}),
        json!({"operation": "endRelease", "release": release}),
    ])
});

fn rollback_events() -> Vec<Vec<u8>> {
    let by_names = json!({"hostedZoneId": ZONE_ID, "names": ["*.eks-blueprint.example.com"]});
    let ended = {
        let mut event = parsed(include_str!(
            "../../events/step-functions-execution-status-change.json"
        ));
        let arn = event.pointer_mut("/detail/executionArn").unwrap();
        *arn = json!(format!(
            "arn:aws:states:eu-west-3:111122223333:execution:cutover-migration:{FAILED_EXECUTION}"
        ));
        event
    };
    let more = of_values([
        json!({"execution": EXECUTION, "requestedBy": EXECUTION, "adopted": ["0123456789abcdef/earlier"], "reason": "Drift"}),
        json!({"alarm": "ServerCpuTooHigh"}),
        json!({"request": by_names, "earlier": {"executions": [EXECUTION], "changeIds": ["C1"]}}),
        by_names,
        ended,
    ]);
    of_texts(ROLLBACKS).into_iter().chain(more).collect()
}

fn check_alarms_events() -> Vec<Vec<u8>> {
    let alarms = |text: &str| parsed(text).get("alarms").cloned().unwrap_or_default();
    of_values([
        json!({"alarms": alarms(SHIFTED_INPUT), "since": "2026-11-23T05:30:00.500Z"}),
        json!({"alarms": alarms(INPUTS[3])}),
        json!({"alarms": {"names": ["missing"], "prefixes": ["a", "missing"], "missingData": "fail"}}),
        json!({"alarms": {}}),
    ])
}
