//! What an operator writes: the input of an execution.
//!
//! The raw JSON is parsed here and nowhere else, so that bad input is
//! `InvalidInput` with the field's path, and everything behind it works with
//! values that can't be wrong.

use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::name::{HostedZoneId, NamePattern, RecordName, SetIdentifier, deserialize_from_str};
use crate::registry::ExternalDns;
use crate::steps::{LONGEST_BAKE_SECONDS, Steps};
use crate::whole::Whole;
use crate::{Error, quoted, shortened};

/// A migration as an operator asks for it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "an object with at least hostedZoneId, from, to and steps"
)]
pub struct Input {
    /// The id of the hosted zone whose records move.
    #[cfg_attr(test, schemars(with = "String"))]
    pub hosted_zone_id: HostedZoneId,
    /// The set identifier of the weighted records that serve now.
    #[cfg_attr(test, schemars(with = "String"))]
    pub from: SetIdentifier,
    /// The set identifier of the weighted records that shall serve.
    #[cfg_attr(test, schemars(with = "String"))]
    pub to: SetIdentifier,
    /// The names to move; `*` matches any characters. Left out: every name with
    /// weighted records of both sides.
    #[cfg_attr(test, schemars(with = "Option<Vec<String>>"))]
    pub names: Option<Vec<NamePattern>>,
    /// Names to leave where they are; `*` matches any characters.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub exclude: Vec<NamePattern>,
    /// The canary steps: percents, objects with `percent` and `bakeSeconds`, or
    /// a preset such as `Canary10Percent15Minutes`. The last one is 100.
    pub steps: Steps,
    /// The bake time of a step that names none of its own.
    #[serde(default = "defaults::bake_seconds")]
    pub bake_seconds: Whole<0, LONGEST_BAKE_SECONDS>,
    /// For how long a bake is prolonged while health is inconclusive, before it
    /// counts as failed. Left out: an hour, or twice the longest bake time.
    pub max_bake_seconds: Option<Whole<0, { 2 * LONGEST_BAKE_SECONDS }>>,
    /// The time between two health checks.
    #[serde(default = "defaults::check_seconds")]
    pub check_seconds: Whole<1, 3_600>,
    /// How many failed health checks within one bake end the migration.
    #[serde(default = "defaults::failure_threshold")]
    pub failure_threshold: Whole<1, 100>,
    /// How many times the longest TTL is waited out after a shift, 1 to 10.
    #[serde(default)]
    pub ttl_factor: TtlFactor,
    /// For how long the migration waits for `to` to become ready before the first shift.
    #[serde(default = "defaults::ready_timeout_seconds")]
    pub ready_timeout_seconds: Whole<0, 86_400>,
    /// For how long the migration waits until every name to be moved has records of `to`, as
    /// when it is started while that cluster is still being created. 0: it is refused at once if
    /// a name lacks them, and moves those that have them if no names are given.
    #[serde(default = "defaults::records_timeout_seconds")]
    pub records_timeout_seconds: Whole<0, 86_400>,
    /// How `to` is probed.
    #[serde(default)]
    pub probe: Probe,
    /// The CloudWatch alarms to watch.
    #[serde(default)]
    pub alarms: Alarms,
    /// What is done about ExternalDNS, whose registry TXT records stand beside the names.
    #[serde(default)]
    pub external_dns: ExternalDns,
    /// What happens when the migration fails after the first shift.
    #[serde(default)]
    pub on_failure: Reaction,
    /// For how long an approval is waited for, where a step asks for one.
    #[serde(default = "defaults::approval_timeout_seconds")]
    pub approval_timeout_seconds: Whole<1, 259_200>,
    /// What happens when an approval is refused, or not given in time.
    #[serde(default)]
    pub on_refusal: Reaction,
    /// What happens when another writer changed the weights meanwhile.
    #[serde(default = "defaults::on_drift")]
    pub on_drift: Reaction,
    /// Only plan: show what would be done, write nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Input {
    /// Whether the operator asks for `name`, if it has records of both sides.
    pub fn selects(&self, name: &RecordName) -> bool {
        let matches =
            |patterns: &[NamePattern]| patterns.iter().any(|pattern| pattern.matches(name));
        self.names.as_deref().is_none_or(matches) && !matches(&self.exclude)
    }
}

/// What a migration does when it can't go on.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Reaction {
    /// Restore the original weights.
    #[default]
    Rollback,
    /// Stop shifting; weights and journals stay for a later rollback or a new execution.
    Hold,
}

/// How the `to` side is probed: at its own load balancer, with TLS server name
/// and Host set to the record's name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Probe {
    /// `false` for workloads that don't speak HTTP.
    pub enabled: bool,
    /// `https` or `http`.
    pub scheme: Scheme,
    /// The port; left out: 443 for https, 80 for http.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Whole<1, 65_535>>,
    /// The path to ask for, beginning with `/`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub path: Path,
    /// The statuses of a healthy answer: one such as `200`, or a range such as `200-399`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub expected_status: StatusRange,
    /// Text that a healthy answer's body contains, such as the cluster's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_body: Option<String>,
    /// How often each name is tried in one health check.
    pub attempts: Whole<1, 20>,
    /// How many of the attempts must succeed.
    pub successes: Whole<1, 20>,
    /// The time for one attempt: resolve, connect, TLS and answer together.
    pub attempt_timeout_seconds: Whole<1, 60>,
    /// The time for one health check of all names; what is not probed by then is inconclusive.
    pub deadline_seconds: Whole<1, 240>,
    /// How many names are probed at once.
    pub concurrency: Whole<1, 100>,
    /// `false` accepts any certificate.
    pub verify_certificate: bool,
    /// The label that stands for a wildcard record's `*`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub wildcard_label: Label,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            enabled: true,
            scheme: Scheme::Https,
            port: None,
            path: Path("/".into()),
            expected_status: StatusRange {
                first: 200,
                last: 399,
            },
            expected_body: None,
            attempts: Whole::new(3),
            successes: Whole::new(2),
            attempt_timeout_seconds: Whole::new(5),
            deadline_seconds: Whole::new(60),
            concurrency: Whole::new(10),
            verify_certificate: true,
            wildcard_label: Label("cutover-probe".into()),
        }
    }
}

/// What a probe speaks.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// HTTP over TLS.
    Https,
    /// Plain HTTP.
    Http,
}

/// The alarms that a migration watches.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Alarms {
    /// Alarms by name: metric, composite and log alarms.
    pub names: Vec<String>,
    /// Alarms by the beginning of their names.
    pub prefixes: Vec<String>,
    /// What an alarm with too little data says about health.
    pub missing_data: MissingData,
}

impl Alarms {
    /// Whether an alarm of this name is watched.
    pub fn watch(&self, alarm: &str) -> bool {
        self.names.iter().any(|name| name == alarm)
            || self.prefixes.iter().any(|prefix| alarm.starts_with(prefix))
    }

    /// Whether there is no alarm to watch.
    pub fn are_none(&self) -> bool {
        self.names.is_empty() && self.prefixes.is_empty()
    }
}

/// What `INSUFFICIENT_DATA` says about health.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum MissingData {
    /// Healthy.
    Pass,
    /// Unhealthy.
    Fail,
    /// Nothing yet: the bake is prolonged, up to `maxBakeSeconds`.
    #[default]
    Wait,
}

mod defaults {
    use super::{LONGEST_BAKE_SECONDS, Reaction, Whole};

    pub(super) fn bake_seconds() -> Whole<0, LONGEST_BAKE_SECONDS> {
        Whole::new(300)
    }

    pub(super) fn check_seconds() -> Whole<1, 3_600> {
        Whole::new(60)
    }

    pub(super) fn failure_threshold() -> Whole<1, 100> {
        Whole::new(1)
    }

    pub(super) fn ready_timeout_seconds() -> Whole<0, 86_400> {
        Whole::new(1_800)
    }

    pub(super) fn records_timeout_seconds() -> Whole<0, 86_400> {
        Whole::new(0)
    }

    pub(super) fn approval_timeout_seconds() -> Whole<1, 259_200> {
        Whole::new(86_400)
    }

    /// Drift is another writer at work: nobody's edit is overwritten unasked.
    pub(super) fn on_drift() -> Reaction {
        Reaction::Hold
    }
}

/// The fields that have no default, to be told all at once when they are missing.
const REQUIRED: [&str; 4] = ["hostedZoneId", "from", "to", "steps"];

/// Characters of a field's path in a message.
const LONGEST_PATH: usize = 200;
/// Characters of what is wrong with a field.
const LONGEST_PROBLEM: usize = 1_500;

/// The input of an execution, or what is wrong with it.
pub fn parse(value: &Value) -> Result<Input, Error> {
    let missing: Vec<_> = REQUIRED
        .into_iter()
        .filter(|field| value.is_object() && value.get(field).is_none())
        .collect();
    if !missing.is_empty() {
        return Err(Error::InvalidInput(format!(
            "input: missing {}; a migration needs at least {}",
            missing.join(", "),
            REQUIRED.join(", ")
        )));
    }
    let input: Input = from_json(value)?;
    if input.from == input.to {
        return Err(Error::InvalidInput(format!(
            "to: expected another set identifier than from, found {:?} in both",
            input.to.as_str()
        )));
    }
    if input.names.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::InvalidInput(
            "names: expected at least one name, found an empty list; \
             leave `names` out to move every name that has records of both sides"
                .into(),
        ));
    }
    if input.probe.successes.get() > input.probe.attempts.get() {
        return Err(Error::InvalidInput(format!(
            "probe.successes: expected at most probe.attempts ({}), found {}",
            input.probe.attempts.get(),
            input.probe.successes.get()
        )));
    }
    let needed = (input.probe.attempts.get() - input.probe.successes.get() + 1)
        * input.probe.attempt_timeout_seconds.get();
    if needed > input.probe.deadline_seconds.get() {
        return Err(Error::InvalidInput(format!(
            "probe.deadlineSeconds: expected at least {needed}, which a name that does not answer needs to fail \
             ((attempts - successes + 1) * attemptTimeoutSeconds), found {}; else it would only ever be inconclusive",
            input.probe.deadline_seconds.get()
        )));
    }
    if input
        .probe
        .expected_body
        .as_ref()
        .is_some_and(String::is_empty)
    {
        return Err(Error::InvalidInput(
            "probe.expectedBody: expected some text, found an empty string; leave it out to accept any body".into(),
        ));
    }
    for (side, names) in [
        ("from", &input.external_dns.from),
        ("to", &input.external_dns.to),
    ] {
        if names.are_contradictory() {
            return Err(Error::InvalidInput(format!(
                "externalDns.{side}: expected txtPrefix or txtSuffix, found both, which ExternalDNS itself refuses"
            )));
        }
    }
    for (field, texts) in [
        ("names", &input.alarms.names),
        ("prefixes", &input.alarms.prefixes),
    ] {
        // An empty prefix would match every alarm of the account.
        if let Some(index) = texts.iter().position(String::is_empty) {
            return Err(Error::InvalidInput(format!(
                "alarms.{field}[{index}]: expected the name of an alarm or its beginning, found an empty string"
            )));
        }
    }
    Ok(input)
}

/// A value from JSON, or `InvalidInput` with the path of the field, what was
/// found and what was expected.
pub fn from_json<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        // Both repeat what others wrote, such as the name of an unknown field.
        let path = shortened(&error.path().to_string(), LONGEST_PATH);
        let problem = shortened(&error.into_inner().to_string(), LONGEST_PROBLEM);
        Error::InvalidInput(match path.as_str() {
            "." => format!("input: {problem}"),
            path => format!("{path}: {problem}"),
        })
    })
}

/// A function's answer as JSON.
pub fn to_json<T: Serialize>(answer: &T) -> Result<Value, Error> {
    serde_json::to_value(answer).map_err(|error| {
        Error::Unavailable(format!("the answer can't be written as JSON: {error}"))
    })
}

/// How many times the longest TTL is waited out: 1 to 10, in thousandths, so that it is the same in every
/// state that it is handed to: JSON is not exact to the last of 17 digits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TtlFactor(f64);

impl TtlFactor {
    /// `seconds` times the factor, rounded up.
    pub fn times(self, seconds: u32) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a TTL of at most 2^31 times at most 10; `as` saturates"
        )]
        let product = (f64::from(seconds) * self.0).ceil() as u32;
        product
    }
}

impl Default for TtlFactor {
    fn default() -> Self {
        Self(1.0)
    }
}

impl<'de> Deserialize<'de> for TtlFactor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let factor = f64::deserialize(deserializer)?;
        if (1.0..=10.0).contains(&factor) {
            Ok(Self((factor * 1_000.0).round() / 1_000.0))
        } else {
            Err(de::Error::custom(format!(
                "expected a number from 1 to 10, found {factor}"
            )))
        }
    }
}

#[cfg(test)]
impl schemars::JsonSchema for TtlFactor {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TtlFactor".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "number", "minimum": 1, "maximum": 10})
    }
}

/// An inclusive range of HTTP statuses, written `200` or `200-399`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    /// The range.
    pub fn range(self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl std::fmt::Display for StatusRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

impl FromStr for StatusRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let status = |text: &str| {
            text.parse::<u16>()
                .ok()
                .filter(|status| (100..=599).contains(status))
        };
        match (status(first), status(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(format!(
                "expected an HTTP status such as 200 or a range such as 200-399, found {}",
                quoted(text)
            )),
        }
    }
}

impl Serialize for StatusRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The path and query of a request, beginning with `/`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Path(String);

impl Path {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with('/')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'#')
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "expected a path that begins with `/`, without spaces (as %20) or `#`, found {}",
                quoted(text)
            ))
        }
    }
}

/// One label of a host name.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Label(String);

impl Label {
    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "expected a label of a host name (1 to 63 of a-z, 0-9 and -), found {}",
                quoted(text)
            ))
        }
    }
}

deserialize_from_str!(StatusRange, Path, Label);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn smallest() -> Value {
        json!({
            "hostedZoneId": "Z3Q77PNBQS71R4",
            "from": "eks-blueprint-blue",
            "to": "eks-blueprint-green",
            "steps": [10, 100],
        })
    }

    /// What becomes of the smallest input with `field` (a JSON pointer) set to `value`.
    #[track_caller]
    fn check(field: &str, value: Value, expect: &str) {
        let mut input = smallest();
        let mut place = &mut input;
        for key in field.split('.') {
            place = &mut place[key];
        }
        *place = value;
        let shown = parse(&input).map_or_else(|error| error.to_string(), |_| "accepted".into());
        assert_eq!(shown, expect);
    }

    #[test]
    fn the_smallest_input_has_defaults() {
        let input = parse(&smallest()).unwrap();
        assert_eq!(input.bake_seconds.get(), 300);
        assert_eq!(input.check_seconds.get(), 60);
        assert_eq!(input.on_failure, Reaction::Rollback);
        assert_eq!(input.on_drift, Reaction::Hold);
        assert!(input.probe.enabled);
        assert!(input.alarms.are_none());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        let mut without_to = smallest();
        without_to.as_object_mut().unwrap().remove("to");
        assert_eq!(
            parse(&without_to).unwrap_err().to_string(),
            "input: missing to; a migration needs at least hostedZoneId, from, to, steps"
        );
        assert_eq!(
            parse(&json!({})).unwrap_err().to_string(),
            "input: missing hostedZoneId, from, to, steps; a migration needs at least hostedZoneId, from, to, steps"
        );
        assert_eq!(
            parse(&json!("migrate")).unwrap_err().to_string(),
            "input: invalid type: string \"migrate\", expected an object with at least hostedZoneId, from, to and steps"
        );
        check(
            "hostedZoneId",
            json!("eks-blueprint.example.com"),
            "hostedZoneId: expected the id of a hosted zone (Z and then capital letters and digits, as `aws route53 list-hosted-zones` prints it), found \"eks-blueprint.example.com\"",
        );
        check(
            "to",
            json!("eks-blueprint-blue"),
            "to: expected another set identifier than from, found \"eks-blueprint-blue\" in both",
        );
        check(
            "steps",
            json!([10, 120]),
            "steps[1]: expected a percent above 0 and up to 100 with two decimals at most, found 120",
        );
        check(
            "steps",
            json!(["10", 100]),
            "steps[0]: invalid type: string \"10\", expected a percent, or an object with `percent`, `bakeSeconds` and `approval`",
        );
        check(
            "steps",
            json!([{"percent": 10, "bakeSeconds": -5}, 100]),
            "steps[0].bakeSeconds: expected a whole number from 0 to 86400, found -5",
        );
        check(
            "names",
            json!([]),
            "names: expected at least one name, found an empty list; leave `names` out to move every name that has records of both sides",
        );
        check(
            "names",
            json!(["burnham example.com"]),
            "names[0]: expected a DNS name, found a space in \"burnham example.com\"",
        );
        check(
            "checkSeconds",
            json!(0),
            "checkSeconds: expected a whole number from 1 to 3600, found 0",
        );
        check(
            "ttlFactor",
            json!(0.5),
            "ttlFactor: expected a number from 1 to 10, found 0.5",
        );
        check(
            "onFailure",
            json!("stop"),
            "onFailure: unknown variant `stop`, expected `rollback` or `hold`",
        );
        check(
            "probe",
            json!({"expectedStatus": "2xx"}),
            "probe.expectedStatus: expected an HTTP status such as 200 or a range such as 200-399, found \"2xx\"",
        );
        check(
            "probe",
            json!({"attempts": 1}),
            "probe.successes: expected at most probe.attempts (1), found 2",
        );
        check(
            "probe",
            json!({"attempts": 20, "successes": 1}),
            "probe.deadlineSeconds: expected at least 100, which a name that does not answer needs to fail ((attempts - successes + 1) * attemptTimeoutSeconds), found 60; else it would only ever be inconclusive",
        );
        check(
            "probe",
            json!({"expectedBody": ""}),
            "probe.expectedBody: expected some text, found an empty string; leave it out to accept any body",
        );
        check(
            "names",
            json!(["a..example.com"]),
            "names[0]: expected a DNS name with labels of 1 to 63 characters, found \"\" in \"a..example.com\"",
        );
        check(
            "alarms",
            json!({"prefixes": ["green-", ""]}),
            "alarms.prefixes[1]: expected the name of an alarm or its beginning, found an empty string",
        );
    }

    #[test]
    fn a_misspelt_field_is_refused_with_those_there_are() {
        let mut input = smallest();
        input["bakeSecond"] = json!(5);
        let problem = parse(&input).unwrap_err().to_string();
        assert!(
            problem.starts_with(
                "bakeSecond: unknown field `bakeSecond`, expected one of `hostedZoneId`"
            ),
            "{problem}"
        );
    }

    #[test]
    fn a_message_is_short_however_long_the_input_is() {
        let long = "x".repeat(100_000);
        for value in [json!({ long.as_str(): 1 }), json!([long]), json!(long)] {
            for field in ["hostedZoneId", "names", "steps", "probe", "alarms"] {
                let mut input = smallest();
                input[field] = value.clone();
                let problem = parse(&input).unwrap_err().to_string();
                assert!(problem.len() < 2_000, "{problem}");
            }
        }
        let mut misspelt = smallest();
        misspelt[long.as_str()] = json!(1);
        assert!(parse(&misspelt).unwrap_err().to_string().len() < 2_000);
    }

    #[test]
    fn the_schema_is_generated_from_these_types() {
        let mut schema = serde_json::to_value(schemars::schema_for!(Input)).unwrap();
        schema["title"] = "Input of a Cutover migration".into();
        expect_test::expect_file!["../../../statemachine/input.schema.json"]
            .assert_eq(&format!("{schema:#}\n"));
    }
}
