//! The plan's table of names: what moves, what stays, and why.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use fakes::record_sets_from_cli_json;
use migration::dns::{RecordSet, Routing};
use serde_json::{Value, json};

use crate::invariants::{canary, run};
use crate::{Simulation, ZONE_ID};

#[track_caller]
fn check(edit: impl FnOnce(&mut Vec<RecordSet>), more: &Value, expect: &Expect) {
    let simulation = Simulation::blueprint();
    simulation.route53.edit(edit);
    let mut input = canary();
    for (key, value) in more.as_object().unwrap() {
        input[key] = value.clone();
    }
    let planned = run(simulation.plan("run", &input)).unwrap();
    let table = &planned["plan"]["nameTable"];
    let mut shown = String::new();
    for row in table["rows"].as_array().unwrap() {
        let text = |field| row[field].as_str().unwrap_or_default();
        let (name, types, outcome) = (text("name"), text("types"), text("outcome"));
        let _ = writeln!(shown, "{name} {types}: {outcome}");
    }
    assert_eq!(table["more"], json!({}));
    expect.assert_eq(&shown);
}

fn is_at(record_set: &RecordSet, label: &str) -> bool {
    record_set.name.as_str() == format!("{label}.eks-blueprint.example.com")
        && record_set.record_type.moves()
}

fn is_of(record_set: &RecordSet, side: &str) -> bool {
    record_set
        .weighted()
        .is_some_and(|(it, _)| it.as_str() == side)
}

#[test]
fn each_name_that_stays_has_its_reason() {
    check(
        |zone| {
            zone.retain(|it| !(is_at(it, "skiapp") && is_of(it, "eks-blueprint-green")));
            zone.retain(|it| !(is_at(it, "argocd") && is_of(it, "eks-blueprint-blue")));
            zone.retain(|it| !is_at(it, "shared") || is_of(it, "eks-dr"));
            for record_set in zone.iter_mut().filter(|it| is_at(it, "ecsfrontend")) {
                record_set.routing = Routing::Other("failover");
            }
            let text = r#"{"ResourceRecordSets": [{"Name": "_8443._https.burnham.eks-blueprint.example.com.",
                "Type": "HTTPS", "TTL": 60, "ResourceRecords": [{"Value": "1 . ipv4hint=192.0.2.1"}]}]}"#;
            zone.extend(record_sets_from_cli_json(text));
        },
        &json!({"exclude": ["legacy.*"]}),
        &expect![[r#"
            \052.apps.eks-blueprint.example.com A, AAAA: moves
            burnham.eks-blueprint.example.com A, AAAA: moves
            skiapp.eks-blueprint.example.com A, AAAA: stays: no record of `to`
            argocd.eks-blueprint.example.com A, AAAA: stays: no record of `from`
            ecsfrontend.eks-blueprint.example.com A, AAAA: stays: failover routing
            _8443._https.burnham.eks-blueprint.example.com HTTPS: stays: has no weights, points at a name that moves
            _9f2c.eks-blueprint.example.com CNAME: stays: simple routing
            plain.eks-blueprint.example.com A: stays: simple routing
            shared.eks-blueprint.example.com A: stays: other set identifiers
            legacy.eks-blueprint.example.com CNAME: stays: not selected
        "#]],
    );
}

#[test]
fn names_that_are_not_selected_come_last() {
    check(
        |_| {},
        &json!({"names": ["burn*", "*app*"], "exclude": ["skiapp*"]}),
        &expect![[r#"
            \052.apps.eks-blueprint.example.com A, AAAA: moves
            burnham.eks-blueprint.example.com A, AAAA: moves
            _9f2c.eks-blueprint.example.com CNAME: stays: not selected
            argocd.eks-blueprint.example.com A, AAAA: stays: not selected
            ecsfrontend.eks-blueprint.example.com A, AAAA: stays: not selected
            legacy.eks-blueprint.example.com CNAME: stays: not selected
            plain.eks-blueprint.example.com A: stays: not selected
            shared.eks-blueprint.example.com A: stays: not selected
            skiapp.eks-blueprint.example.com A, AAAA: stays: not selected
        "#]],
    );
}

/// So that neither those that move nor those that stay are crowded out, and the output of a state stays far below its
/// limit of 256 KiB.
#[test]
fn a_long_table_keeps_rows_of_both_kinds_and_counts_the_others() {
    for (moving, staying, rows) in [
        (200, 200, (50, 50)),
        (200, 10, (90, 10)),
        (10, 200, (10, 90)),
        (60, 40, (60, 40)),
    ] {
        let label = "x".repeat(60);
        let mut record_sets = vec![json!({
            "Name": "example.com.", "Type": "SOA", "TTL": 900, "ResourceRecords": [{"Value": "ns."}],
        })];
        for number in 0..moving + staying {
            let sides: &[&str] = if number < moving {
                &["blue", "green"]
            } else {
                &["blue"]
            };
            for side in sides {
                record_sets.push(json!({
                    "Name": format!("app-{number:03}.{label}.{label}.{label}.example.com."), "Type": "A", "TTL": 60,
                    "SetIdentifier": side, "Weight": 1, "ResourceRecords": [{"Value": "192.0.2.1"}],
                }));
            }
        }
        let simulation = Simulation::new(&json!({"ResourceRecordSets": record_sets}).to_string());
        let input = json!({"hostedZoneId": ZONE_ID, "from": "blue", "to": "green", "steps": [100]});
        let planned = run(simulation.plan("run", &input)).unwrap();
        assert!(planned.to_string().len() < 128 * 1024);
        let table = &planned["plan"]["nameTable"];
        let with = |outcome: &str| {
            let of = table["rows"].as_array().unwrap().iter();
            of.filter(|row| row["outcome"] == outcome).count()
        };
        let (moves, stays) = ("moves", "stays: no record of `to`");
        assert_eq!((with(moves), with(stays)), rows);
        let more =
            |outcome: &str| usize::try_from(table["more"][outcome].as_u64().unwrap_or(0)).unwrap();
        assert_eq!(
            (more(moves), more(stays)),
            (moving - rows.0, staying - rows.1)
        );
    }
}
