//! The emulator behaves as Route 53 does, except for the differences in [`DIFFERENCES`].

use conformance::{Behaviour, Zone, behaviours, behaviours_of_the_api, known_record_sets};
use local_stack::EmulatedRoute53;
use migration::route53::Route53;
use route53_adapter::Route53Client;

/// The differences between emulator and Route 53: the behaviour, what the emulator does instead,
/// and the beginning of the message with which the behaviour's check fails.
///
/// For these behaviours, a test with the local stack proves nothing about AWS. Tests with the fake
/// do: it has all behaviours.
#[rustfmt::skip]
const DIFFERENCES: &[(&str, &str, &str)] = &[
    // Listing: the emulator orders, compares and stores names as text.
    ("dot_is_part_of_the_order", "it orders names label by label: `a` before `a-b`", "listed [\"a.example.com\""),
    ("wildcard_is_listed_as_a_star", "it orders a wildcard by the `\\` of its escape", "listed [\"-.example.com\""),
    ("escape_is_listed_as_its_character", "it orders an escape by its `\\`", "listed [\"0.example.com\""),
    ("names_are_listed_in_one_spelling", "it lists capitals as they were written", "no new.example.com. in [\"New.EXAMPLE.com.\""),
    ("characters_are_listed_as_escapes", "it lists names as they were written, with `*` and `@`", "no \\052.example.com. in"),
    ("names_are_compared_without_case", "names that differ in case are different names", "accepted"),
    ("names_are_compared_without_escapes", "names with an escape and with its character are different names", "accepted"),
    ("start_name_in_any_spelling", "a start in capitals is a different name", "TEXT.example.com.: Some(\"addresses.example.com.\")"),
    ("start_type_without_start_name", "it ignores a start type without a start name", "listed"),

    // The emulator never compares a record set with others of its name, type or zone.
    ("other_type_in_the_wrong_order", "it accepts all types beside a CNAME", "accepted"),
    ("weighted_beside_simple", "it accepts weighted record sets beside a simple one", "accepted"),
    ("simple_beside_weighted", "it accepts a simple record set beside weighted ones", "accepted"),
    ("another_ttl_in_a_weighted_group", "it accepts different TTLs in a weighted group", "accepted"),
    ("largest_weighted_group", "a weighted group has no maximum size", "accepted"),
    ("cname_beside_another_type", "it accepts a CNAME beside all types", "accepted"),
    ("another_type_beside_a_cname", "it accepts all types beside a CNAME", "accepted"),
    ("cname_at_the_apex", "it accepts a CNAME at the zone's apex", "accepted"),
    ("name_outside_the_zone", "it accepts names of other zones", "accepted"),
    ("wildcard_ns", "it accepts an NS record at a wildcard", "accepted"),
    ("delete_of_the_zones_ns", "it deletes the zone's own NS record", "accepted"),
    ("delete_of_the_zones_soa", "it deletes the zone's own SOA record", "accepted"),
    ("alias_without_target", "it does not check that an alias's target exists", "accepted"),
    ("alias_of_another_type", "it does not check that an alias's target exists", "accepted"),
    ("alias_target_outside_its_zone", "it does not check that an alias's target exists", "accepted"),
    ("cname_alias_of_a_load_balancer", "it accepts an alias of any type", "accepted"),

    // The emulator never checks values.
    ("no_value", "it accepts a record set without values", "accepted"),
    ("same_value_twice", "it accepts the same value twice", "accepted"),
    ("address_of_the_type", "it accepts any text as an address", "accepted"),
    ("two_names_in_a_cname", "it accepts a CNAME with several values", "accepted"),
    ("longest_ttl", "a TTL has no limit", "accepted"),
    ("text_without_quotes", "it accepts TXT without quotes", "accepted"),
    ("longest_string", "a string of a TXT value has no limit", "accepted"),
    ("longest_value", "a value has no limit", "accepted"),
    ("bare_quotes", "it accepts quotes anywhere", "accepted"),
    ("bytes_without_escape", "it accepts any characters in TXT", "accepted"),
    ("weight_over_255", "a weight has no limit", "accepted"),
    ("weight_without_set_identifier", "it accepts a weight without a set identifier", "accepted"),
    ("alias_with_ttl", "it accepts an alias with a TTL", "accepted"),
    ("missing_health_check", "it does not check that a health check exists", "accepted"),
    ("no_ttl", "it accepts values without a TTL", "accepted"),

    // The emulator has no limits for batches.
    ("empty_batch", "it accepts an empty batch", "accepted"),
    ("largest_batch_of_records", "a batch has no limit of records", "accepted"),
    ("largest_batch_of_characters", "a batch has no limit of characters", "accepted"),
    ("records_of_deletes_count", "a batch has no limit of records", "accepted"),
    ("characters_of_deletes_count", "a batch has no limit of characters", "accepted"),
    ("upsert_counts_twice", "a batch has no limit of records", "accepted"),
];

/// A behaviour's name, its statement, and the message of its check if it failed.
type CheckResult = (&'static str, &'static str, Option<String>);

/// Runs the checks, each on its own zone.
async fn run_checks<R: Route53 + Clone>(
    emulator: &EmulatedRoute53,
    route53: &R,
    behaviours: Vec<Behaviour<R>>,
) -> anyhow::Result<Vec<CheckResult>> {
    let mut results = Vec::new();
    for behaviour in behaviours {
        let loaded = emulator.load(&known_record_sets()).await?;
        let zone = Zone {
            route53: route53.clone(),
            id: loaded.id().parse().map_err(anyhow::Error::msg)?,
        };
        let problem = (behaviour.check)(&zone).await.err();
        let problem = problem.map(|problem| format!("{problem:#}"));
        results.push((behaviour.name, behaviour.statement, problem));
    }
    Ok(results)
}

/// The differences between the table and the results.
fn table_errors(table: &[(&str, &str, &str)], results: &[CheckResult]) -> Vec<String> {
    let mut errors = Vec::new();
    for (name, statement, problem) in results {
        let row = table.iter().find(|(listed, ..)| listed == name);
        match (row, problem) {
            (None, None) => {}
            (None, Some(problem)) => {
                errors.push(format!(
                    "{name} ({statement}) failed, but is not in the table: {problem}"
                ));
            }
            (Some((_, instead, _)), None) => {
                errors.push(format!(
                    "{name} ({statement}) passed, but the table says: {instead}"
                ));
            }
            (Some((_, _, expected)), Some(problem)) => {
                if !problem.starts_with(expected) {
                    errors.push(format!(
                        "{name} ({statement}) failed with another message than in the table: {problem}"
                    ));
                }
            }
        }
    }
    for (name, ..) in table {
        if !results.iter().any(|(known, ..)| known == name) {
            errors.push(format!("{name} is in the table, but is not a behaviour"));
        }
    }
    errors
}

#[tokio::test]
async fn emulator_differs_from_route_53_exactly_as_listed() {
    let emulator = EmulatedRoute53::start().await.unwrap();
    let client = &Route53Client::from(emulator.client().clone());
    let mut results = run_checks(&emulator, client, behaviours()).await.unwrap();
    let of_the_api = run_checks(&emulator, client, behaviours_of_the_api()).await;
    results.extend(of_the_api.unwrap());
    let errors = table_errors(DIFFERENCES, &results);
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
}

#[test]
fn every_kind_of_table_error_is_reported() {
    let results = [
        ("unlisted", "…", Some("accepted".to_owned())),
        ("passes", "…", None),
        (
            "other_message",
            "…",
            Some("the connection broke".to_owned()),
        ),
        ("listed", "…", Some("accepted".to_owned())),
    ];
    let table = [
        ("passes", "it does not", "accepted"),
        ("other_message", "it does not", "accepted"),
        ("listed", "it does not", "accepted"),
        ("unknown", "it does not", "accepted"),
    ];
    let expected = [
        "unlisted (…) failed, but is not in the table: accepted",
        "passes (…) passed, but the table says: it does not",
        "other_message (…) failed with another message than in the table: the connection broke",
        "unknown is in the table, but is not a behaviour",
    ];
    assert_eq!(table_errors(&table, &results), expected);
}
