//! A plan that is refused lists everything that stands in its way.

use expect_test::{Expect, expect};
use fakes::record_sets_from_cli_json;
use migration::dns::{RecordSet, Routing};
use serde_json::{Value, json};

use crate::invariants::run;
use crate::{Simulation, ZONE_ID};

type Edit = fn(&mut Vec<RecordSet>);

fn is_at(record_set: &RecordSet, label: &str) -> bool {
    record_set.name.as_str() == format!("{label}.eks-blueprint.example.com")
        && record_set.record_type.moves()
}

fn remove(record_sets: &mut Vec<RecordSet>, label: &str, side: &str) {
    record_sets.retain(|record_set| {
        let of_side = record_set
            .weighted()
            .is_some_and(|(it, _)| it.as_str() == side);
        !(of_side && is_at(record_set, label))
    });
}

fn argocd_has_latency_routing(record_sets: &mut Vec<RecordSet>) {
    for record_set in record_sets {
        if is_at(record_set, "argocd") {
            record_set.routing = Routing::Other("latency");
        }
    }
}

fn skiapp_has_no_green_record(record_sets: &mut Vec<RecordSet>) {
    remove(record_sets, "skiapp", "eks-blueprint-green");
}

fn burnham_has_no_green_record(record_sets: &mut Vec<RecordSet>) {
    remove(record_sets, "burnham", "eks-blueprint-green");
}

fn ecsfrontend_has_no_blue_record(record_sets: &mut Vec<RecordSet>) {
    remove(record_sets, "ecsfrontend", "eks-blueprint-blue");
}

fn all_weights_are_0(record_sets: &mut Vec<RecordSet>) {
    for record_set in record_sets {
        if let Routing::Weighted { weight, .. } = &mut record_set.routing {
            *weight = 0;
        }
    }
}

fn skiapp_has_a_foreign_journal(record_sets: &mut Vec<RecordSet>) {
    let text = r#"{"ResourceRecordSets": [{"Name": "_cutover.skiapp.eks-blueprint.example.com.",
        "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": "\"hello\""}]}]}"#;
    record_sets.extend(record_sets_from_cli_json(text));
}

/// The names of the zone, all in `names`, so that none is left out of a plan.
fn input() -> Value {
    let names = ["argocd", "burnham", "ecsfrontend", "skiapp"]
        .map(|label| format!("{label}.eks-blueprint.example.com"));
    json!({
        "hostedZoneId": ZONE_ID,
        "from": "eks-blueprint-blue",
        "to": "eks-blueprint-green",
        "names": names,
        "steps": [10, 100],
    })
}

/// Plans after `edits`, and compares the error with `expect`.
#[track_caller]
fn check(edits: &[Edit], input: &Value, expect: &Expect) {
    let simulation = Simulation::blueprint();
    for edit in edits {
        simulation.route53.edit(*edit);
    }
    let error = run(simulation.plan("run", input)).unwrap_err();
    expect.assert_eq(&format!("{}: {}\n", error.name(), error.message()));
}

#[test]
fn names_with_the_same_problem_are_listed_with_one_explanation() {
    check(
        &[all_weights_are_0],
        &input(),
        &expect![[r#"
        AllZeroWeights: the A records of argocd.eks-blueprint.example.com have weight 0 on both eks-blueprint-blue and eks-blueprint-green, so Route 53 answers with all records equally; first give the side that serves now a weight above 0, or exclude the name (the same is true of burnham.eks-blueprint.example.com, ecsfrontend.eks-blueprint.example.com, skiapp.eks-blueprint.example.com)
    "#]],
    );
}

#[test]
fn problems_of_several_kinds_are_listed_in_the_order_in_which_their_errors_apply() {
    let mut input = input();
    input["names"]
        .as_array_mut()
        .unwrap()
        .push("burnham.example.org".into());
    check(
        &[
            ecsfrontend_has_no_blue_record,
            skiapp_has_a_foreign_journal,
            skiapp_has_no_green_record,
            argocd_has_latency_routing,
        ],
        &input,
        &expect![[r#"
            InvalidInput: 4 problems: (1) names[4]: expected a name in the zone eks-blueprint.example.com (Z0BLUEPRINT), found burnham.example.org; (2) the A record of argocd.eks-blueprint.example.com has latency routing, expected weighted; make it weighted with one record of each side, or exclude the name; (3) the TXT record _cutover.skiapp.eks-blueprint.example.com is not trusted as a journal: it does not begin with the format version `cutover=2`; if no migration wrote it, delete it, otherwise restore the value that the migration wrote (infra/README.md, "A journal was deleted or edited"); (4) ecsfrontend.eks-blueprint.example.com has a weighted A record of eks-blueprint-green but none of eks-blueprint-blue (the set identifiers of its weighted records are eks-blueprint-green), so its A traffic could not move; create the record of eks-blueprint-blue, or exclude the name
        "#]],
    );
}

/// The limit of a message would cut them in the middle.
#[test]
fn the_names_of_further_reasons_are_listed_without_an_explanation() {
    let mut input = input();
    input["names"] = (0..40)
        .map(|number| format!("app-{number}.example.org"))
        .collect();
    check(
        &[],
        &input,
        &expect![[r#"
        InvalidInput: 40 problems: (1) names[0]: expected a name in the zone eks-blueprint.example.com (Z0BLUEPRINT), found app-0.example.org; (2) names[1]: expected a name in the zone eks-blueprint.example.com (Z0BLUEPRINT), found app-1.example.org; (3) names[2]: expected a name in the zone eks-blueprint.example.com (Z0BLUEPRINT), found app-2.example.org; (4) names[3]: expected a name in the zone eks-blueprint.example.com (Z0BLUEPRINT), found app-3.example.org; (5) names[4]: expected a name in the zone eks-blueprint.example.com (Z0BLUEPRINT), found app-4.example.org; and other problems of app-5.example.org, app-6.example.org, app-7.example.org, app-8.example.org, app-9.example.org, app-10.example.org, app-11.example.org, app-12.example.org, app-13.example.org, app-14.example.org and 25 more
    "#]],
    );
}

/// What can't be written in a step is found together with what can't be paired.
#[test]
fn steps_that_names_cannot_express_are_listed_with_the_other_problems() {
    let mut input = input();
    input["names"] = json!([
        "*.eks-blueprint.example.com",
        "skiapp.eks-blueprint.example.com"
    ]);
    input["steps"] = json!([0.5, 100]);
    input["maxBakeSeconds"] = 1.into();
    check(
        &[skiapp_has_no_green_record],
        &input,
        &expect![[r#"
            InvalidInput: 3 problems: (1) maxBakeSeconds: expected at least the longest bake time (300), found 1; (2) steps: 0.5 percent can't be expressed at shared.eks-blueprint.example.com A: the weights of the pair must keep their total of 90, because records with other set identifiers have a share, and the nearest share is 0 percent; give the records of the name weights with the same shares: eks-blueprint-blue 189, eks-blueprint-green 0, eks-dr 21 (in the tool that writes them, such as Terraform), or exclude the name; (3) skiapp.eks-blueprint.example.com has a weighted A record of eks-blueprint-blue but none of eks-blueprint-green (the set identifiers of its weighted records are eks-blueprint-blue), so its A traffic could not move; create the record of eks-blueprint-green, or exclude the name
        "#]],
    );
}

/// A wait for anything else would be in vain.
#[test]
fn records_of_to_are_awaited_only_if_nothing_else_stands_in_the_way() {
    for (edits, is_awaited) in [
        (vec![skiapp_has_no_green_record as Edit], true),
        (
            vec![skiapp_has_no_green_record, burnham_has_no_green_record],
            true,
        ),
        (
            vec![skiapp_has_no_green_record, ecsfrontend_has_no_blue_record],
            false,
        ),
        (
            vec![skiapp_has_no_green_record, argocd_has_latency_routing],
            false,
        ),
        (
            vec![skiapp_has_no_green_record, skiapp_has_a_foreign_journal],
            false,
        ),
        (vec![ecsfrontend_has_no_blue_record], false),
    ] {
        let simulation = Simulation::blueprint();
        for edit in &edits {
            simulation.route53.edit(*edit);
        }
        let mut input = input();
        input["recordsTimeoutSeconds"] = 600.into();
        match run(simulation.plan("run", &input)) {
            Ok(planned) => {
                assert!(is_awaited);
                assert_eq!(planned["awaited"]["timeoutSeconds"], 600);
            }
            Err(error) => assert!(!is_awaited, "{error}"),
        }
    }
}
