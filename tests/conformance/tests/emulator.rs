//! The emulator does what Route 53 does, but for what stands in [`LOOSER`].

use conformance::{Behaviour, Zone, behaviours, behaviours_of_the_api, known_record_sets};
use local_stack::EmulatedRoute53;
use migration::route53::Route53;

/// Where the emulator differs from Route 53: the behaviour, what the emulator does instead, and how
/// the check of the behaviour finds that out.
///
/// What the local stack shows about these is no evidence of what happens in AWS. There the fake,
/// which has all behaviours, and the functions' own checks are.
#[rustfmt::skip]
const LOOSER: &[(&str, &str, &str)] = &[
    // Listing: names are ordered, compared and kept as text.
    ("dot_counts_in_the_order", "it compares label by label, `a` before `a-b`", "listed [\"a.example.com\""),
    ("wildcard_is_listed_as_a_star", "it orders a wildcard by the `\\` of its escape", "listed [\"-.example.com\""),
    ("escape_is_listed_as_its_character", "it orders an escape by its `\\`", "listed [\"0.example.com\""),
    ("names_are_listed_in_one_spelling", "it lists capitals as they were written", "no new.example.com. in [\"New.EXAMPLE.com.\""),
    ("characters_are_listed_as_escapes", "it lists names as they were written, `*` and `@` bare", "no \\052.example.com. in"),
    ("names_are_compared_without_case", "it takes names in other case for others", "accepted"),
    ("names_are_compared_without_escapes", "it takes an escape and its character for different names", "accepted"),
    ("start_name_in_any_spelling", "it starts at capitals as if they were another name", "TEXT.example.com.: Some(\"addresses.example.com.\")"),
    ("type_without_name", "it ignores a start's type without a name", "listed"),

    // Record sets are never compared with others of their name, type or zone.
    ("other_type_in_the_wrong_order", "it lets all types stand beside a CNAME", "accepted"),
    ("weighted_beside_simple", "it lets weighted record sets stand beside a simple one", "accepted"),
    ("simple_beside_weighted", "it lets a simple record set stand beside weighted ones", "accepted"),
    ("another_ttl_in_a_weighted_group", "it lets TTLs differ in a weighted group", "accepted"),
    ("largest_weighted_group", "a weighted group has no limit", "accepted"),
    ("cname_beside_another_type", "it lets a CNAME stand beside all types", "accepted"),
    ("another_type_beside_a_cname", "it lets all types stand beside a CNAME", "accepted"),
    ("cname_at_the_apex", "it lets a CNAME stand at the zone's own name", "accepted"),
    ("name_outside_the_zone", "it takes names of other zones", "accepted"),
    ("wildcard_ns", "it takes an NS record at a wildcard", "accepted"),
    ("own_ns_is_kept", "it deletes the zone's own NS record", "accepted"),
    ("own_soa_is_kept", "it deletes the zone's own SOA record", "accepted"),
    ("alias_without_target", "it does not look for an alias's target", "accepted"),
    ("alias_of_another_type", "it does not look for an alias's target", "accepted"),
    ("alias_outside_its_zone", "it does not look for an alias's target", "accepted"),
    ("cname_alias_of_a_load_balancer", "it takes an alias of any type", "accepted"),

    // Values are never looked at.
    ("no_value", "it takes a record set without values", "accepted"),
    ("same_value_twice", "it takes the same value twice", "accepted"),
    ("address", "it takes any text for an address", "accepted"),
    ("two_names_in_a_cname", "it takes a CNAME with several values", "accepted"),
    ("longest_ttl", "a TTL has no limit", "accepted"),
    ("text_without_quotes", "it takes TXT without quotes", "accepted"),
    ("longest_string", "a string of a TXT value has no limit", "accepted"),
    ("longest_value", "a value has no limit", "accepted"),
    ("bare_quotes", "it takes quotes anywhere", "accepted"),
    ("bytes_without_escape", "it takes any characters in TXT", "accepted"),
    ("weight_over_255", "a weight has no limit", "accepted"),
    ("weight_without_set_identifier", "it takes a weight without a set identifier", "accepted"),
    ("alias_with_ttl", "it takes an alias with a TTL", "accepted"),
    ("missing_health_check", "it does not look for health checks", "accepted"),
    ("no_ttl", "it takes values without a TTL", "accepted"),

    // Batches have no limits.
    ("empty_batch", "it takes an empty batch", "accepted"),
    ("largest_batch_of_records", "a batch has no limit of records", "accepted"),
    ("largest_batch_of_characters", "a batch has no limit of characters", "accepted"),
    ("records_of_deletes_count", "a batch has no limit of records", "accepted"),
    ("characters_of_deletes_count", "a batch has no limit of characters", "accepted"),
    ("upsert_counts_twice", "a batch has no limit of records", "accepted"),
];

/// A behaviour's name, what it says, and the problem where it does not hold.
type Found = (&'static str, &'static str, Option<String>);

/// What the emulator does of these, each on a zone of its own.
async fn find<R: Route53 + Clone>(
    emulator: &EmulatedRoute53,
    route53: &R,
    behaviours: Vec<Behaviour<R>>,
) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    for behaviour in behaviours {
        let loaded = emulator.load(&known_record_sets()).await?;
        let zone = Zone {
            route53: route53.clone(),
            id: loaded.id().parse().map_err(anyhow::Error::msg)?,
        };
        let problem = (behaviour.check)(&zone).await.err();
        let problem = problem.map(|problem| format!("{problem:#}"));
        found.push((behaviour.name, behaviour.says, problem));
    }
    Ok(found)
}

/// Where the table is not true.
fn untrue(table: &[(&str, &str, &str)], found: &[Found]) -> Vec<String> {
    let mut untrue = Vec::new();
    for (name, says, problem) in found {
        let row = table.iter().find(|(looser, ..)| looser == name);
        match (row, problem) {
            (None, None) => {}
            (None, Some(problem)) => {
                untrue.push(format!("{name} ({says}) does not hold: {problem}"));
            }
            (Some((_, instead, _)), None) => {
                untrue.push(format!(
                    "{name} ({says}) holds, but the table says: {instead}"
                ));
            }
            (Some((_, _, expected)), Some(problem)) => {
                if !problem.starts_with(expected) {
                    untrue.push(format!(
                        "{name} ({says}) fails in another way than the table says: {problem}"
                    ));
                }
            }
        }
    }
    for (name, ..) in table {
        if !found.iter().any(|(known, ..)| known == name) {
            untrue.push(format!("{name} is no behaviour"));
        }
    }
    untrue
}

#[tokio::test]
async fn the_emulator_does_what_route_53_does_but_for_the_table() {
    let emulator = EmulatedRoute53::start().await.unwrap();
    let client = emulator.client();
    let mut found = find(&emulator, client, behaviours()).await.unwrap();
    let of_the_api = find(&emulator, client, behaviours_of_the_api()).await;
    found.extend(of_the_api.unwrap());
    let untrue = untrue(LOOSER, &found);
    assert!(untrue.is_empty(), "\n{}", untrue.join("\n"));
}

#[test]
fn a_table_that_is_not_true_is_found_out() {
    let found = [
        ("outside", "…", Some("accepted".to_owned())),
        ("holds", "…", None),
        ("otherwise", "…", Some("the connection broke".to_owned())),
        ("true", "…", Some("accepted".to_owned())),
    ];
    let table = [
        ("holds", "it does not", "accepted"),
        ("otherwise", "it does not", "accepted"),
        ("true", "it does not", "accepted"),
        ("unknown", "it does not", "accepted"),
    ];
    let expected = [
        "outside (…) does not hold: accepted",
        "holds (…) holds, but the table says: it does not",
        "otherwise (…) fails in another way than the table says: the connection broke",
        "unknown is no behaviour",
    ];
    assert_eq!(untrue(&table, &found), expected);
}
