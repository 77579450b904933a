//! The fake has all behaviours of Route 53.

use conformance::{Zone, behaviours, behaviours_of_the_api, known_record_sets};
use fakes::{FakeRoute53, record_set_to_cli_json};
use serde_json::json;

fn zone() -> Zone<FakeRoute53> {
    let record_sets: Vec<_> = known_record_sets()
        .iter()
        .map(record_set_to_cli_json)
        .collect();
    let listing = json!({ "ResourceRecordSets": record_sets }).to_string();
    let route53 = FakeRoute53::from_cli_json("Z0CONFORMANCE", &listing);
    let id = route53.id().clone();
    Zone { route53, id }
}

#[tokio::test]
async fn the_fake_does_what_route_53_does() {
    let mut failed = Vec::new();
    for behaviour in behaviours() {
        if let Err(problem) = (behaviour.check)(&zone()).await {
            failed.push(format!(
                "{} ({}): {problem:#}",
                behaviour.name, behaviour.statement
            ));
        }
    }
    assert!(
        failed.is_empty(),
        "the fake differs from Route 53:\n{}",
        failed.join("\n")
    );
}

#[test]
fn names_of_behaviours_are_unique() {
    let behaviours = behaviours::<FakeRoute53>();
    let mut names: Vec<_> = behaviours.iter().map(|behaviour| behaviour.name).collect();
    names.extend(
        behaviours_of_the_api()
            .iter()
            .map(|behaviour| behaviour.name),
    );
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}
