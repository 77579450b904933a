//! The input of an execution, as an operator writes it.
//!
//! An operator's JSON is checked here and nowhere else: bad input is `InvalidInput` with the path of
//! the field, and all other modules get values that are valid by their types. The doc comments of the
//! fields are the descriptions in `statemachine/input.schema.json`, so they are for operators. This
//! module does not read the zone; what depends on it is checked in `plan`.

mod alarms;
mod bounded_integer;
mod external_dns;
mod pattern;
mod probe;
mod steps;
mod ttl_factor;
mod warnings;

pub use alarms::{Alarms, MissingData};
pub use bounded_integer::BoundedInteger;
pub use external_dns::{ExternalDnsInput, ToldFlags};
pub use pattern::NamePattern;
pub use probe::{Label, Path, Probe, Scheme, StatusRange};
pub use steps::{Step, Steps};
pub use ttl_factor::TtlFactor;
pub use warnings::{FailOnWarnings, WarningCode};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;
use crate::dns::{HostedZoneId, RecordName, SetIdentifierTemplate, Side};
use crate::error::InvalidInput;
use crate::json::{from_json, object};
use steps::LONGEST_BAKE_SECONDS;

/// The input of a migration.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "an object with at least hostedZoneId, from, to and steps"
)]
pub struct Input {
    /// The id of the hosted zone of the records.
    #[cfg_attr(test, schemars(with = "String"))]
    pub hosted_zone_id: HostedZoneId,
    /// The set identifier of the weighted records that have the traffic now. One `*` in it stands for any text that is
    /// not empty, so that it matches another set identifier at each name; exactly one must match. If a name that
    /// `names` and `exclude` select has a record with literally this set identifier, the `*` stands only for itself.
    #[cfg_attr(test, schemars(with = "String"))]
    pub from: SetIdentifierTemplate,
    /// The set identifier of the weighted records that get the traffic. A `*` in it means the same as in `from`, and
    /// need not stand for the same text.
    #[cfg_attr(test, schemars(with = "String"))]
    pub to: SetIdentifierTemplate,
    /// The names to move. `*` matches any characters. Default: every name with weighted records of
    /// both sides.
    #[cfg_attr(test, schemars(with = "Option<Vec<String>>"))]
    pub names: Option<Vec<NamePattern>>,
    /// Names that are not moved. `*` matches any characters.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub exclude: Vec<NamePattern>,
    /// The canary steps: a list of percents or of objects with `percent`, `bakeSeconds` and
    /// `approval`, or a preset such as `Canary10Percent15Minutes`. The last step is 100 percent.
    pub steps: Steps,
    /// The bake time of steps without their own `bakeSeconds`.
    #[serde(default = "defaults::bake_seconds")]
    pub bake_seconds: BoundedInteger<0, LONGEST_BAKE_SECONDS>,
    /// The longest bake time of a step while health is inconclusive. After it the step has failed.
    /// Default: twice the longest bake time, and at least an hour.
    pub max_bake_seconds: Option<BoundedInteger<0, { 2 * LONGEST_BAKE_SECONDS }>>,
    /// The time between two health checks, in seconds.
    #[serde(default = "defaults::check_seconds")]
    pub check_seconds: BoundedInteger<1, 3_600>,
    /// The number of failed health checks in one step at which the migration fails.
    #[serde(default = "defaults::failure_threshold")]
    pub failure_threshold: BoundedInteger<1, 100>,
    /// After a shift, the migration waits for the longest TTL times this factor (1 to 10).
    #[serde(default)]
    pub ttl_factor: TtlFactor,
    /// How long the migration waits before the first shift until `to` passes its probe and the alarms can
    /// be judged, in seconds.
    #[serde(default = "defaults::ready_timeout_seconds")]
    pub ready_timeout_seconds: BoundedInteger<0, 86_400>,
    /// How long the migration waits until every name has records of `to`, in seconds: for a migration
    /// that starts while that cluster is still being created. It waits only if nothing but records of `to` is
    /// missing. With 0 it does not wait: a name in `names` without records of `to` is refused, and names that only
    /// a pattern selects are skipped.
    #[serde(default = "defaults::records_timeout_seconds")]
    pub records_timeout_seconds: BoundedInteger<0, 86_400>,
    /// The probe of `to`.
    #[serde(default, deserialize_with = "object")]
    pub probe: Probe,
    /// The CloudWatch alarms that the migration watches.
    #[serde(default, deserialize_with = "object")]
    pub alarms: Alarms,
    /// How the migration works together with ExternalDNS.
    #[serde(default, deserialize_with = "object")]
    pub external_dns: ExternalDnsInput,
    /// What the migration does if it fails after the first shift.
    #[serde(default)]
    pub on_failure: Reaction,
    /// How long the migration waits for an approval, in seconds.
    #[serde(default = "defaults::approval_timeout_seconds")]
    pub approval_timeout_seconds: BoundedInteger<1, 259_200>,
    /// What the migration does if an approval is refused, or is not given in time.
    #[serde(default)]
    pub on_refusal: Reaction,
    /// What the migration does if another writer changed the weights, a journal or a lease.
    #[serde(default = "defaults::on_drift")]
    pub on_drift: Reaction,
    /// Whether names are moved that have records of one type on one side only, although the load balancer has
    /// addresses of that type. Clients of that type are on that side, whatever the weights are.
    #[serde(default)]
    pub accept_one_sided_types: bool,
    /// The warnings of the plan with which the migration does not start: `"all"`, or a list of their codes.
    /// Default: none.
    #[serde(default)]
    pub fail_on_warnings: FailOnWarnings,
    /// Only plan: return what the migration would do, and write nothing.
    #[serde(default)]
    pub dry_run: bool,
}

impl Input {
    /// Whether `names` and `exclude` select `name`.
    pub fn selects(&self, name: &RecordName) -> bool {
        let matches =
            |patterns: &[NamePattern]| patterns.iter().any(|pattern| pattern.matches(name));
        self.names.as_deref().is_none_or(matches) && !matches(&self.exclude)
    }
}

/// What a migration does if it stops.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Reaction {
    /// Restore the original weights.
    #[default]
    Rollback,
    /// Keep the weights and journals, for a later rollback or a new execution.
    Hold,
}

mod defaults {
    use super::{BoundedInteger, LONGEST_BAKE_SECONDS, Reaction};

    pub(super) fn bake_seconds() -> BoundedInteger<0, LONGEST_BAKE_SECONDS> {
        BoundedInteger::new(300)
    }

    pub(super) fn check_seconds() -> BoundedInteger<1, 3_600> {
        BoundedInteger::new(60)
    }

    pub(super) fn failure_threshold() -> BoundedInteger<1, 100> {
        BoundedInteger::new(1)
    }

    pub(super) fn ready_timeout_seconds() -> BoundedInteger<0, 86_400> {
        BoundedInteger::new(1_800)
    }

    pub(super) fn records_timeout_seconds() -> BoundedInteger<0, 86_400> {
        BoundedInteger::new(0)
    }

    pub(super) fn approval_timeout_seconds() -> BoundedInteger<1, 259_200> {
        BoundedInteger::new(86_400)
    }

    /// An edit of another writer is not overwritten unless the operator asks for it.
    pub(super) fn on_drift() -> Reaction {
        Reaction::Hold
    }
}

/// The fields without a default. All that are missing are reported at once.
const REQUIRED: [&str; 4] = ["hostedZoneId", "from", "to", "steps"];

/// Parses and checks the input of an execution.
///
/// # Errors
/// [`InvalidInput`] for the first problem found.
pub fn parse(value: &Value) -> Result<Input, Error> {
    let missing: Vec<_> = REQUIRED
        .into_iter()
        .filter(|field| value.is_object() && value.get(field).is_none())
        .collect();
    if !missing.is_empty() {
        return Err(Error::from(InvalidInput::Missing {
            missing,
            required: &REQUIRED,
        }));
    }
    let input: Input = from_json(value)?;
    for (side, template) in [(Side::From, &input.from), (Side::To, &input.to)] {
        if template.stars() > 1 {
            return Err(Error::from(InvalidInput::SeveralStars {
                side,
                template: template.clone(),
            }));
        }
    }
    if input.from == input.to {
        return Err(Error::from(InvalidInput::SameSetIdentifier {
            identifier: input.to,
        }));
    }
    if input.names.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::from(InvalidInput::NoNames));
    }
    reject_contradictory_probe(&input.probe)?;
    for (side, flags) in [
        ("from", &input.external_dns.from),
        ("to", &input.external_dns.to),
    ] {
        if flags.are_contradictory() {
            return Err(Error::from(InvalidInput::PrefixAndSuffix { side }));
        }
    }
    for (field, texts) in [
        ("names", &input.alarms.names),
        ("prefixes", &input.alarms.prefixes),
    ] {
        // An empty prefix would match every alarm of the account.
        if let Some(index) = texts.iter().position(String::is_empty) {
            return Err(Error::from(InvalidInput::EmptyAlarm { field, index }));
        }
    }
    Ok(input)
}

fn reject_contradictory_probe(probe: &Probe) -> Result<(), Error> {
    let (attempts, successes) = (probe.attempts.get(), probe.successes.get());
    if successes > attempts {
        return Err(Error::from(InvalidInput::MoreSuccessesThanAttempts {
            attempts,
            successes,
        }));
    }
    let needed = (attempts - successes + 1) * probe.attempt_timeout_seconds.get();
    let found = probe.deadline_seconds.get();
    if needed > found {
        return Err(Error::from(InvalidInput::ProbeDeadlineTooShort {
            needed,
            found,
        }));
    }
    if probe.expected_body.as_ref().is_some_and(String::is_empty) {
        return Err(Error::from(InvalidInput::EmptyExpectedBody));
    }
    Ok(())
}

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

    /// Parses the smallest input with `field` (keys separated by dots) set to `value`.
    #[track_caller]
    fn check(field: &str, value: Value, expect: &str) {
        let mut input = smallest();
        let mut target = &mut input;
        for key in field.split('.') {
            target = &mut target[key];
        }
        *target = value;
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
    fn a_list_is_not_taken_for_an_object() {
        check(
            "alarms",
            json!([["blue-5xx"]]),
            "alarms: invalid type: sequence, expected an object",
        );
        check(
            "probe",
            json!([]),
            "probe: invalid type: sequence, expected an object",
        );
        check(
            "externalDns",
            json!({"from": ["a-"]}),
            "externalDns.from: invalid type: sequence, expected an object",
        );
    }

    #[test]
    fn errors_name_the_path_of_the_field() {
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
        check("from", json!("*-blue"), "accepted");
        check(
            "to",
            json!("*-green-*"),
            "to: expected a set identifier with one `*` at most, found 2 in \"*-green-*\"",
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
            "steps[0].bakeSeconds: expected a whole number from 0 to 604800, found -5",
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
            "probe.deadlineSeconds: expected at least 100, the time until a name that does not answer has failed ((attempts - successes + 1) * attemptTimeoutSeconds), found 60; with less, such a name would always be inconclusive",
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
    fn a_misspelt_field_is_refused_with_a_list_of_all_fields() {
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
    fn a_long_input_gives_a_short_message() {
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
    fn the_schema_matches_these_types() {
        let mut schema = serde_json::to_value(schemars::schema_for!(Input)).unwrap();
        schema["title"] = "Input of a Cutover migration".into();
        expect_test::expect_file!["../../../../statemachine/input.schema.json"]
            .assert_eq(&format!("{schema:#}\n"));
    }
}
