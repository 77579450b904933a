//! Templates for `from` and `to`: set identifiers with a `*`, which differ from name to name.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use external_dns::{Affix, Controller, Generation, Settings};
use migration::dns::Routing;
use serde_json::{Value, json};

use crate::cases::case;
use crate::events::alarm_event_now;
use crate::external_dns::Clusters;
use crate::invariants::{reweigh, run};
use crate::world::{ALARM, status_event};
use crate::zones::{alias, soa};
use crate::{Simulation, ZONE_ID};

/// What a plan answers: the set identifiers in its table of names and the warnings, or the error.
fn answer(simulation: &Simulation, input: &Value) -> String {
    let mut shown = String::new();
    match run(simulation.plan("plan", input)) {
        Ok(planned) if planned["awaited"].is_object() => {
            let _ = writeln!(shown, "waits: {}", planned["awaited"]["reason"]);
        }
        Ok(planned) => {
            let rows = planned["plan"]["nameTable"]["rows"].as_array();
            let has_identifiers = |row: &&Value| row["from"].is_string() || row["to"].is_string();
            for row in rows.into_iter().flatten().filter(has_identifiers) {
                let _ = writeln!(shown, "{}: {} to {}", row["name"], row["from"], row["to"]);
            }
            let migration = &planned["migration"];
            let (names, texts) = (&migration["names"]["relative"], &migration["templateTexts"]);
            let _ = writeln!(shown, "names {names}, texts {texts}");
            for warning in Simulation::warnings(&planned) {
                let _ = writeln!(shown, "warning {warning}");
            }
        }
        Err(error) => {
            let _ = writeln!(shown, "{}: {error}", error.name());
        }
    }
    shown
}

/// The answer in a zone of these records without a registry: name, type, set identifier. Those with `blue` in it have
/// all the traffic.
#[track_caller]
fn check(records: &[(&str, &str, &str)], fields: &Value, expect: &Expect) {
    let mut input = json!({
        "hostedZoneId": ZONE_ID, "from": "*-blue", "to": "*-green", "steps": [10, 100],
        "externalDns": {"mode": "ignore"},
    });
    for (field, value) in fields.as_object().unwrap() {
        input[field] = value.clone();
    }
    let simulation = zone(records);
    let before = simulation.route53.to_cli_json();
    let shown = answer(&simulation, &input);
    let shown: String = shown
        .lines()
        .filter(|line| !line.starts_with("warning no-registry"))
        .fold(String::new(), |shown, line| shown + line + "\n");
    expect.assert_eq(&shown);
    assert_eq!(simulation.route53.to_cli_json(), before);
}

fn zone(records: &[(&str, &str, &str)]) -> Simulation {
    let mut record_sets = vec![soa()];
    for (name, record_type, identifier) in records {
        let mut record_set = json!({
            "Name": name, "Type": record_type, "SetIdentifier": identifier,
            "Weight": if identifier.contains("blue") { 100 } else { 0 },
        });
        if *record_type == "CNAME" {
            record_set["TTL"] = json!(60);
            record_set["ResourceRecords"] = json!([{"Value": "lb.example.net"}]);
        } else {
            record_set["AliasTarget"] = alias(identifier);
        }
        record_sets.push(record_set);
    }
    Simulation::new(&json!({ "ResourceRecordSets": record_sets }).to_string())
}

const APP: &str = "app.example.com.";
const API: &str = "api.example.com.";

#[test]
fn each_name_has_its_own_set_identifiers() {
    // They need not be the same text on both sides, and the sides may be templates or not.
    check(
        &[
            (APP, "A", "app-blue"),
            (APP, "A", "app-2-green"),
            (API, "A", "api-blue"),
            (API, "A", "api-green"),
        ],
        &json!({}),
        &expect![[r#"
            "api.example.com": "api-blue" to "api-green"
            "app.example.com": "app-blue" to "app-2-green"
            names ["api","app"], texts {"from":["api","app"],"to":["api","app-2"]}
        "#]],
    );
    check(
        &[
            (APP, "A", "blue"),
            (APP, "A", "app-green"),
            (API, "A", "blue"),
            (API, "A", "api-green"),
        ],
        &json!({"from": "blue"}),
        &expect![[r#"
            "api.example.com": null to "api-green"
            "app.example.com": null to "app-green"
            names ["api","app"], texts {"to":["api","app"]}
        "#]],
    );
    check(
        &[(APP, "A", "eks-app-blue-1"), (APP, "A", "green")],
        &json!({"from": "eks-*-1", "to": "green"}),
        &expect![[r#"
            "app.example.com": "eks-app-blue-1" to null
            names ["app"], texts {"from":["app-blue"]}
        "#]],
    );
    // The zone itself, a wildcard, a CNAME, and a third record that matches neither.
    check(
        &[
            ("example.com.", "A", "zone-blue"),
            ("example.com.", "A", "zone-green"),
            ("\\052.example.com.", "A", "any-blue"),
            ("\\052.example.com.", "A", "any-green"),
            ("\\052.example.com.", "A", "maintenance"),
            ("www.example.com.", "CNAME", "www-blue"),
            ("www.example.com.", "CNAME", "www-green"),
        ],
        &json!({}),
        &expect![[r#"
            "\\052.example.com": "any-blue" to "any-green"
            "example.com": "zone-blue" to "zone-green"
            "www.example.com": "www-blue" to "www-green"
            names ["\\052","@","www"], texts {"both":["any","zone","www"]}
        "#]],
    );
    // A type of one side moves with that side.
    check(
        &[
            (APP, "A", "app-blue"),
            (APP, "A", "app-green"),
            (APP, "AAAA", "app-green"),
        ],
        &json!({}),
        &expect![[r#"
            "app.example.com": "app-blue" to "app-green"
            names ["app"], texts {"both":["app"]}
            warning one-sided-type: records of one type that only one side has get the weights of that side: app.example.com (AAAA of app-green) (1 in all); before the start, the probe finds out whether their load balancers have addresses of that type: with an address, the migration does not start, because clients of that type would be on that side, whatever the weights are; to have the same types on both sides, run the ExternalDNS of that side with --exclude-record-types, or let that of the other side write the type, too
        "#]],
    );
}

/// For zones whose set identifiers have a `*`, nothing has changed.
#[test]
fn a_set_identifier_that_is_literally_the_template_wins() {
    let literal = [
        (APP, "A", "*-blue"),
        (APP, "A", "*-green"),
        (APP, "A", "x-blue"),
        (API, "A", "api-blue"),
        (API, "A", "api-green"),
    ];
    check(
        &literal,
        &json!({}),
        &expect![[r#"
            names ["app"], texts null
        "#]],
    );
    // At the selected names there is none.
    check(
        &literal,
        &json!({"exclude": ["app.example.com"]}),
        &expect![[r#"
            "api.example.com": "api-blue" to "api-green"
            names ["api"], texts {"both":["api"]}
        "#]],
    );
    check(
        &literal,
        &json!({"names": ["api.example.com"]}),
        &expect![[r#"
            "api.example.com": "api-blue" to "api-green"
            names ["api"], texts {"both":["api"]}
        "#]],
    );
}

#[test]
fn a_side_that_matches_several_set_identifiers_of_a_name_is_refused() {
    let two_sides = [(APP, "A", "blue"), (APP, "A", "green")];
    check(
        &two_sides,
        &json!({"from": "*", "to": "green"}),
        &expect![[r#"
            InvalidInput: from: expected * to match one set identifier at each name, found 2 at app.example.com: blue, green; add text beside the `*` that only one of them has, or exclude the name
        "#]],
    );
    check(
        &two_sides,
        &json!({"from": "blue", "to": "*"}),
        &expect![[r#"
            InvalidInput: to: expected * to match one set identifier at each name, found 2 at app.example.com: blue, green; add text beside the `*` that only one of them has, or exclude the name
        "#]],
    );
    // One of each type is not enough: a name moves as a whole.
    check(
        &[
            (APP, "A", "app-blue"),
            (APP, "AAAA", "app-v6-blue"),
            (APP, "A", "app-green"),
            (APP, "AAAA", "app-green"),
        ],
        &json!({}),
        &expect![[r#"
            InvalidInput: from: expected *-blue to match one set identifier at each name, found 2 at app.example.com: app-blue, app-v6-blue; add text beside the `*` that only one of them has, or exclude the name
        "#]],
    );
    let many: Vec<String> = (10..30).map(|number| format!("{number}-green")).collect();
    let mut records = vec![(APP, "A", "app-blue")];
    records.extend(
        many.iter()
            .map(|identifier| (APP, "A", identifier.as_str())),
    );
    check(
        &records,
        &json!({}),
        &expect![[r#"
            InvalidInput: to: expected *-green to match one set identifier at each name, found 20 at app.example.com: 10-green, 11-green, 12-green, 13-green, 14-green, 15-green, 16-green, 17-green, 18-green, 19-green and 10 more; add text beside the `*` that only one of them has, or exclude the name
        "#]],
    );
    // Names that are not selected do not matter.
    records.extend([(API, "A", "api-blue"), (API, "A", "api-green")]);
    check(
        &records,
        &json!({"exclude": ["app.*"]}),
        &expect![[r#"
            "api.example.com": "api-blue" to "api-green"
            names ["api"], texts {"both":["api"]}
        "#]],
    );
    check(
        &records,
        &json!({"names": ["api*"]}),
        &expect![[r#"
            "api.example.com": "api-blue" to "api-green"
            names ["api"], texts {"both":["api"]}
        "#]],
    );
    check(
        &records,
        &json!({"names": ["api.example.com"]}),
        &expect![[r#"
            "api.example.com": "api-blue" to "api-green"
            names ["api"], texts {"both":["api"]}
        "#]],
    );
}

#[test]
fn a_set_identifier_that_both_sides_match_is_refused() {
    let one = [(APP, "A", "eks-green")];
    let both = json!({"from": "eks-*", "to": "*-green"});
    check(
        &one,
        &both,
        &expect![[r#"
            InvalidInput: from: expected eks-* to match another set identifier than *-green (`to`), found eks-green at app.example.com, which both match; add text beside the `*`, or exclude the name
        "#]],
    );
    check(
        &one,
        &json!({"from": "eks-green", "to": "*-green"}),
        &expect![[r#"
            InvalidInput: from: expected eks-green to match another set identifier than *-green (`to`), found eks-green at app.example.com, which both match; add text beside the `*`, or exclude the name
        "#]],
    );
    check(
        &one,
        &json!({"from": "*", "to": "*"}),
        &expect![[r#"
        InvalidInput: to: expected another set identifier than from, found "*" in both
    "#]],
    );
    // With a second record it has more than one match.
    check(
        &[(APP, "A", "eks-blue"), (APP, "A", "eks-green")],
        &both,
        &expect![[r#"
            InvalidInput: from: expected eks-* to match one set identifier at each name, found 2 at app.example.com: eks-blue, eks-green; add text beside the `*` that only one of them has, or exclude the name
        "#]],
    );
}

#[test]
fn a_template_has_one_star() {
    check(
        &[],
        &json!({"from": "*-app-*"}),
        &expect![[r#"
        InvalidInput: from: expected a set identifier with one `*` at most, found 2 in "*-app-*"
    "#]],
    );
    check(
        &[],
        &json!({"to": "**"}),
        &expect![[r#"
        InvalidInput: to: expected a set identifier with one `*` at most, found 2 in "**"
    "#]],
    );
}

#[test]
fn a_side_that_matches_nothing_has_no_record() {
    let records = [
        (APP, "A", "app-blue"),
        (API, "A", "api-blue"),
        (API, "A", "api-green"),
    ];
    check(
        &records,
        &json!({}),
        &expect![[r#"
            "api.example.com": "api-blue" to "api-green"
            names ["api"], texts {"both":["api"]}
            warning names-without-to: names with records of *-blue have none of *-green and are not moved: app.example.com (1 in all); if the cluster of the new side runs these workloads, check their annotations: from v0.22 on, ExternalDNS reads only those with the prefix external-dns.kubernetes.io/, and none with external-dns.alpha.kubernetes.io/
        "#]],
    );
    check(
        &records,
        &json!({"names": ["app.example.com"]}),
        &expect![[r#"
            NoSuchPair: app.example.com has a weighted A record of app-blue but none of *-green (the set identifiers of its weighted records are app-blue; `*` stands for any text), so its A traffic could not move; create the record of *-green, or exclude the name
        "#]],
    );
    check(
        &records,
        &json!({"names": ["app*"]}),
        &expect![[r#"
            NoSuchPair: names[0]: app* matches no name of the zone example.com that has weighted records of both *-blue and *-green: the set identifiers of its weighted records are api-blue, api-green, app-blue; `*` stands for any text; correct the pattern, `from` or `to`
        "#]],
    );
    check(
        &records,
        &json!({"names": ["app.example.com"], "from": "*-red"}),
        &expect![[r#"
            NoSuchPair: app.example.com has no weighted records of *-red and *-green: the set identifiers of its weighted records are app-blue; `*` stands for any text; correct `names`, `from` or `to`, or create the records
        "#]],
    );
    check(
        &records,
        &json!({"to": "*-red"}),
        &expect![[r#"
            NoSuchPair: the zone example.com has no name with weighted records of both *-blue and *-red; the set identifiers of its weighted records are api-blue, api-green, app-blue; `*` stands for any text; if the cluster of the new side runs these workloads, check their annotations: from v0.22 on, ExternalDNS reads only those with the prefix external-dns.kubernetes.io/, and none with external-dns.alpha.kubernetes.io/
        "#]],
    );
    // The `*` stands for one character at least.
    check(
        &[(APP, "A", "-blue"), (APP, "A", "app-green")],
        &json!({}),
        &expect![[r#"
            NoSuchPair: the zone example.com has no name with weighted records of both *-blue and *-green; the set identifiers of its weighted records are -blue, app-green; `*` stands for any text
        "#]],
    );
}

#[test]
fn records_of_to_that_do_not_exist_yet_are_waited_for() {
    let records = [
        (APP, "A", "app-blue"),
        (API, "A", "api-blue"),
        (API, "A", "api-green"),
    ];
    let waiting = json!({"recordsTimeoutSeconds": 600});
    check(
        &records,
        &waiting,
        &expect![[r#"
            waits: "names with records of *-blue have none of *-green yet: app.example.com (1 in all); `*` stands for any text; create the records, exclude the names, or leave recordsTimeoutSeconds out to move the other names without waiting for these"
        "#]],
    );
    // In vain.
    let mut ambiguous = records.to_vec();
    ambiguous.push((APP, "A", "app-2-blue"));
    check(
        &ambiguous,
        &waiting,
        &expect![[r#"
            InvalidInput: 2 problems: (1) from: expected *-blue to match one set identifier at each name, found 2 at app.example.com: app-2-blue, app-blue; add text beside the `*` that only one of them has, or exclude the name; (2) names with records of *-blue have none of *-green yet: app.example.com (1 in all); `*` stands for any text; create the records, exclude the names, or leave recordsTimeoutSeconds out to move the other names without waiting for these
        "#]],
    );
    check(
        &ambiguous,
        &json!({"recordsTimeoutSeconds": 600, "names": ["app*"]}),
        &expect![[r#"
            InvalidInput: 2 problems: (1) from: expected *-blue to match one set identifier at each name, found 2 at app.example.com: app-2-blue, app-blue; add text beside the `*` that only one of them has, or exclude the name; (2) names[0]: app* matches no name of the zone example.com that has weighted records of both *-blue and *-green: the set identifiers of its weighted records are api-blue, api-green, app-2-blue, app-blue; `*` stands for any text; correct the pattern, `from` or `to`
        "#]],
    );
    let mut complete = records.to_vec();
    complete.push((APP, "A", "app-green"));
    check(
        &complete,
        &waiting,
        &expect![[r#"
            "api.example.com": "api-blue" to "api-green"
            "app.example.com": "app-blue" to "app-green"
            names ["api","app"], texts {"both":["api","app"]}
        "#]],
    );
}

/// Case 01, with the ExternalDNS of both clusters as they wrote its registry.
fn clusters() -> (Clusters, Value) {
    let (simulation, mut input) = case("01-per-ingress-set-identifiers");
    input["bakeSeconds"] = 60.into();
    let zone = simulation.route53.record_sets();
    let instance = |owner: &str| {
        let mut settings = Settings::new(owner, Generation::CnameForAlias);
        settings.affix = Affix::Prefix("_external_dns.".to_owned());
        Controller::of(settings, &zone)
    };
    let clusters = Clusters {
        blue: instance("cluster-one"),
        green: instance("cluster-two"),
        simulation,
    };
    (clusters, input)
}

#[test]
fn the_registry_of_each_name_is_looked_up_by_its_own_set_identifier() {
    let (clusters, input) = clusters();
    let simulation = &clusters.simulation;
    let planned = run(simulation.plan("run", &input)).unwrap();
    assert_eq!(planned["plan"]["leased"], 3);
    assert_eq!(
        planned["plan"]["externalDnsOwners"],
        json!({
            "*-blue": {"A": {"cluster-one": 3}},
            "*-green": {"A": {"cluster-two": 3}},
        })
    );
    simulation.route53.edit(|record_sets| {
        let text = |name: &str, identifier: &str| {
            let name = format!("_external_dns.cname-{name}.apps.example.com");
            record_sets.iter().position(|it| {
                let of = it.weighted().map(|(of, _)| of.as_str());
                it.name.as_str() == name && of == Some(identifier)
            })
        };
        let of_hello = text("hello", "hello-team-a-blue").unwrap();
        let of_orders = text("orders", "orders-external-shop-green").unwrap();
        let mut orphan = record_sets[of_hello].clone();
        orphan.name = "_external_dns.cname-gone.apps.example.com".parse().unwrap();
        record_sets.push(orphan);
        record_sets[of_orders] = record_sets[of_orders].with_weight(7);
        record_sets.remove(of_hello);
    });
    expect![[r#"
        "filter.apps.example.com": "filter-ingress-filter-blue" to "filter-ingress-filter-green"
        "hello.apps.example.com": "hello-team-a-blue" to "hello-team-a-green"
        "orders.apps.example.com": "orders-external-shop-blue" to "orders-external-shop-green"
        names ["filter.apps","hello.apps","orders.apps"], texts {"both":["filter-ingress-filter","hello-team-a","orders-external-shop"]}
        warning txt-weight-differs: a registry TXT has another weight than its record: _external_dns.cname-orders.apps.example.com of orders-external-shop-green has weight 7 instead of 0; ExternalDNS can't delete such a record and its TXT; the migration gives both the same weight
        warning txt-missing: a record has no registry TXT, although other records of its name have one: hello.apps.example.com A of hello-team-a-blue; the ExternalDNS of its cluster does not own it, or has its registry elsewhere: check its logs and its --registry
        warning txt-without-record: a registry TXT belongs to no record, and no record to its Kubernetes object: _external_dns.cname-gone.apps.example.com of hello-team-a-blue; if ExternalDNS runs with --txt-prefix, --txt-suffix or --txt-wildcard-replacement, write the same into externalDns.from and externalDns.to; if its object has been deleted, it can be deleted, too
    "#]].assert_eq(&answer(simulation, &input));
}

/// The flags of each side's ExternalDNS are found by the names of its TXT records, whatever the set identifiers are.
#[test]
fn registry_flags_are_inferred_with_templates() {
    let (clusters, mut input) = clusters();
    let fields = input.as_object_mut().unwrap();
    let told = fields.remove("externalDns").unwrap();
    let planned = run(clusters.simulation.plan("run", &input)).unwrap();
    let inferred = &planned["migration"]["externalDns"];
    for side in ["from", "to"] {
        assert_eq!(inferred[side]["txtPrefix"], told[side]["txtPrefix"]);
    }
    let warnings = Simulation::warnings(&planned);
    let said = "how the ExternalDNS of *-blue names its registry TXT records; those of 3 names";
    assert!(warnings.iter().any(|it| it.contains(said)), "{warnings:?}");
    clusters.migrate("again", &input);
    expect_moved(&clusters.simulation);
}

/// The weights of all records of the case, by set identifier.
fn weights(simulation: &Simulation) -> Vec<(String, u8)> {
    let record_sets = simulation.route53.record_sets();
    let moved = record_sets.iter().filter(|it| it.record_type.moves());
    let weighted = moved.filter_map(|it| it.weighted());
    weighted
        .map(|(identifier, weight)| (identifier.to_string(), weight))
        .collect()
}

#[track_caller]
fn expect_moved(simulation: &Simulation) {
    let moved = weights(simulation);
    assert_eq!(moved.len(), 6);
    for (identifier, weight) in moved {
        let expected = if identifier.ends_with("-green") {
            100
        } else {
            0
        };
        assert_eq!(weight, expected, "{identifier}");
    }
}

#[test]
fn a_set_identifier_per_ingress_migrates_beside_external_dns() {
    let (clusters, input) = clusters();
    let before = clusters.zone();
    clusters.expect_quiet();
    clusters.migrate("run", &input);
    expect_moved(&clusters.simulation);
    clusters.simulation.roll_back_whole("run").unwrap();
    assert_eq!(clusters.zone(), before);
    clusters.expect_quiet();

    clusters.migrate("again", &input);
    clusters.update_annotations();
    clusters.release("again").unwrap();
    expect_moved(&clusters.simulation);
    assert!(!clusters.zone().contains("cutover"));
    clusters.expect_quiet();

    let mut back = input;
    (back["from"], back["to"]) = (back["to"].clone(), back["from"].clone());
    clusters.migrate("back", &back);
    clusters.simulation.roll_back_whole("back").unwrap();
    expect_moved(&clusters.simulation);
    clusters.expect_to_be_owned();
}

/// People and dashboards see what the operator wrote, and not the set identifiers of one name.
#[test]
fn events_name_the_templates() {
    let (clusters, input) = clusters();
    let simulation = &clusters.simulation;
    simulation.world.is_notifying.set(true);
    simulation.migrate("run", &input).unwrap();
    let reports = simulation.roll_back_whole("run").unwrap();
    assert_eq!(reports["migrations"][0]["from"], "*-blue");
    assert_eq!(reports["migrations"][0]["to"], "*-green");
    simulation.migrate("again", &input).unwrap();
    let planned = run(simulation.plan_release("again")).unwrap();
    assert_eq!(planned["release"]["from"], "*-blue");
    assert_eq!(planned["release"]["to"], "*-green");
    let texts = json!({"both": ["filter-ingress-filter", "hello-team-a", "orders-external-shop"]});
    assert_eq!(planned["release"]["templateTexts"], texts);
    let published = simulation.world.published.borrow();
    let emails: Vec<_> = published
        .iter()
        .map(|it| serde_json::from_str::<Value>(it["Message"].as_str().unwrap()).unwrap())
        .map(|message| message["email"].as_str().unwrap().to_owned())
        .collect();
    for part in [
        "from *-blue to *-green as soon as *-green is ready",
        "is on *-green",
        "to *-blue/*-green 100/0",
    ] {
        assert!(
            emails.iter().any(|it| it.contains(part)),
            "{part}: {emails:#?}"
        );
    }
    assert!(
        !emails.iter().any(|it| it.contains("team-a-blue")),
        "{emails:#?}"
    );
}

#[test]
fn an_alarm_and_the_end_of_an_execution_roll_templates_back() {
    for by_alarm in [true, false] {
        let (clusters, mut input) = clusters();
        input["alarms"] = json!({"names": [ALARM]});
        let simulation = &clusters.simulation;
        let before = clusters.zone();
        let planned = run(simulation.plan("run", &input)).unwrap();
        run(simulation.shift(&planned, 0)).unwrap();
        run(simulation.shift(&planned, 1)).unwrap();
        clusters.expect_quiet();
        if by_alarm {
            simulation
                .roll_back_all(&alarm_event_now(simulation, ALARM))
                .unwrap();
        } else {
            simulation.executions.abort("run");
            simulation
                .roll_back_all(&status_event("run", "ABORTED"))
                .unwrap();
        }
        assert_eq!(clusters.zone(), before);
        clusters.expect_quiet();
    }
}

#[test]
fn drift_names_the_set_identifier_of_the_name() {
    let (clusters, input) = clusters();
    let simulation = &clusters.simulation;
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.route53.edit(|record_sets| {
        reweigh(
            record_sets,
            "hello.apps.example.com",
            "hello-team-a-green",
            7,
        );
    });
    for answer in [
        run(simulation.shift(&planned, 1)),
        run(simulation.confirm(&planned, 10, &json!([]))),
    ] {
        let error = answer.unwrap_err();
        assert_eq!(error.name(), "Drift");
        let message = error.message();
        assert!(
            message.contains("hello-team-a-blue/hello-team-a-green"),
            "{message}"
        );
    }
}

/// The pair of a name is chosen once, by the plan.
#[test]
fn a_record_that_matches_later_changes_nothing() {
    let (clusters, input) = clusters();
    let simulation = &clusters.simulation;
    let before = weights(simulation);
    let planned = run(simulation.plan("run", &input)).unwrap();
    let add = |identifier: &str| {
        let identifier = identifier.parse().unwrap();
        simulation.route53.edit(|record_sets| {
            let mut other = record_sets
                .iter()
                .find(|it| it.record_type.moves())
                .unwrap()
                .with_weight(0);
            if let Routing::Weighted { set_identifier, .. } = &mut other.routing {
                *set_identifier = identifier;
            }
            record_sets.push(other);
        });
    };
    add("second-green");
    run(simulation.shift(&planned, 0)).unwrap();
    add("second-blue");
    run(simulation.shift(&planned, 1)).unwrap();
    run(simulation.shift(&planned, 2)).unwrap();
    run(simulation.confirm(&planned, 100, &json!([]))).unwrap();
    run(simulation.complete(&planned)).unwrap();
    simulation.executions.succeed("run");
    simulation.roll_back_whole("run").unwrap();
    let mut after = weights(simulation);
    after.retain(|(identifier, _)| !identifier.starts_with("second"));
    assert_eq!(after, before);
}

/// With the same templates, or with others that match the same set identifiers.
#[test]
fn an_ended_migration_is_adopted_by_the_set_identifiers_of_each_name() {
    let (clusters, input) = clusters();
    let simulation = &clusters.simulation;
    let before = clusters.zone();
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.abort("run");
    let mut other = input.clone();
    other["from"] = json!("hello-team-a-blue");
    other["to"] = json!("*-green");
    other["names"] = json!(["hello.apps.example.com"]);
    let planned = run(simulation.plan("other", &other)).unwrap();
    assert_eq!(planned["migration"]["adoptedJournals"], 1);
    assert_eq!(planned["migration"]["startPercent"], 10);
    (other["from"], other["to"]) = (other["to"].clone(), other["from"].clone());
    expect![[r#"
        Busy: hello.apps.example.com has the journal of the execution run, which ended at 10 percent (hello-team-a-blue to hello-team-a-green); finish it with an execution from hello-team-a-blue to hello-team-a-green, or roll it back: start the rollback state machine with {"execution": "run"}
    "#]].assert_eq(&answer(simulation, &other));
    // A rollback that "other" requests before its first shift undoes what it was to adopt.
    let held = simulation.route53.record_sets();
    let adopted = &planned["migration"]["adopted"];
    let request = json!({"execution": "other", "requestedBy": "other", "adopted": adopted});
    let reports = run(simulation.roll_back(&request)).unwrap();
    assert_eq!(reports["restored"], 1);
    assert_eq!(reports["migrations"][0]["from"], "hello-team-a-blue");
    assert_eq!(reports["migrations"][0]["to"], "*-green");
    simulation.route53.edit(|record_sets| *record_sets = held);

    let planned = run(simulation.plan("next", &input)).unwrap();
    assert_eq!(planned["migration"]["adoptedJournals"], 3);
    run(simulation.shift(&planned, 0)).unwrap();
    let reports = simulation.roll_back_whole("next").unwrap();
    assert_eq!(reports["restored"], 3);
    assert_eq!(reports["migrations"][0]["from"], "*-blue");
    assert_eq!(clusters.zone(), before);
}

/// It has the sides of the other migration at one name only, and adopts no other one.
#[test]
fn an_ended_migration_is_adopted_where_both_sides_are_the_same() {
    let (clusters, input) = clusters();
    let simulation = &clusters.simulation;
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.abort("run");
    let mut other = input;
    other["from"] = json!("hello-team-a-blue");
    other.as_object_mut().unwrap().remove("names");
    let planned = run(simulation.plan("other", &other)).unwrap();
    assert_eq!(planned["migration"]["adoptedJournals"], 1);
    run(simulation.shift(&planned, 0)).unwrap();
    let rolled_back = simulation.roll_back_whole("other").unwrap();
    assert_eq!(rolled_back["restored"], 1);
}

/// The same template matches the records that are there now, but the journal is about those that were there before.
#[test]
fn an_ended_migration_of_other_set_identifiers_is_busy() {
    let (clusters, mut input) = clusters();
    let simulation = &clusters.simulation;
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.executions.abort("run");
    simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            if let Routing::Weighted { set_identifier, .. } = &mut record_set.routing
                && set_identifier.as_str() == "hello-team-a-green"
            {
                *set_identifier = "renamed-green".parse().unwrap();
            }
        }
    });
    input["names"] = json!(["hello.apps.example.com"]);
    expect![[r#"
        Busy: hello.apps.example.com has the journal of the execution run, which ended at 10 percent (hello-team-a-blue to hello-team-a-green); finish it with an execution from hello-team-a-blue to hello-team-a-green, or roll it back: start the rollback state machine with {"execution": "run"}
    "#]].assert_eq(&answer(simulation, &input));
}

/// The record of `to` of a name that another execution has moved is gone: that execution comes first.
#[test]
fn a_journal_is_found_although_a_side_matches_nothing() {
    let (clusters, input) = clusters();
    let simulation = &clusters.simulation;
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|it| {
            let identifier = it.weighted().map(|(identifier, _)| identifier.as_str());
            !(it.record_type.moves() && identifier == Some("hello-team-a-green"))
        });
    });
    let mut one = input;
    one["names"] = json!(["hello.apps.example.com"]);
    let running = answer(simulation, &one);
    assert!(
        running.starts_with("Busy: hello.apps.example.com has the journal"),
        "{running}"
    );
    simulation.executions.abort("run");
    expect![[r#"
        NoSuchPair: hello.apps.example.com has a weighted A record of hello-team-a-blue but none of *-green (the set identifiers of its weighted records are hello-team-a-blue; `*` stands for any text), so its A traffic could not move; create the record of *-green, or exclude the name
    "#]].assert_eq(&answer(simulation, &one));
}

#[test]
fn a_thousand_names_with_set_identifiers_of_their_own_fit_into_a_migration() {
    let names: Vec<_> = (0..1_000)
        .map(|number| format!("svc-{number:04}.example.com."))
        .collect();
    let identifiers = |name: &str| {
        let label = &name[..8];
        (
            format!("{label}-default-blue"),
            format!("{label}-default-green"),
        )
    };
    let identifiers: Vec<_> = names.iter().map(|name| identifiers(name)).collect();
    let records = names
        .iter()
        .zip(&identifiers)
        .flat_map(|(name, (blue, green))| {
            [
                (name.as_str(), "A", blue.as_str()),
                (name.as_str(), "A", green.as_str()),
            ]
        });
    let simulation = zone(&records.collect::<Vec<_>>());
    let input =
        json!({"hostedZoneId": ZONE_ID, "from": "*-blue", "to": "*-green", "steps": [10, 100]});
    let planned = run(simulation.plan("run", &input)).unwrap();
    assert_eq!(planned["plan"]["names"], 1_000);
    let size = planned["migration"].to_string().len();
    assert!(size < 56_000, "{size}");
}
