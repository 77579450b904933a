//! Passes of one or two instances over a zone as strict as Route 53.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use expect_test::{Expect, expect};
use migration::fake::record_sets_from_cli_json;
use migration::record::{Answer, RecordSet, RecordType, Routing};
use migration::{RecordName, SetIdentifier};

use crate::{
    Action, Affix, Change, Controller, Endpoint, Generation, Labels, Outcome, Policy, Provider,
    Settings,
};

const BLUEPRINT: &str = include_str!("../../zone-blueprint.json");
const BLUE: &str = "eks-blueprint-blue";
const GREEN: &str = "eks-blueprint-green";

/// A hosted zone that refuses what Route 53 refuses.
struct Zone(Mutex<Vec<RecordSet>>);

impl Zone {
    fn new(record_sets: Vec<RecordSet>) -> Self {
        Self(Mutex::new(record_sets))
    }

    fn blueprint() -> Self {
        Self::new(record_sets_from_cli_json(BLUEPRINT))
    }

    /// The blueprint's zone before green was there.
    fn blue_alone() -> Self {
        let zone = Self::blueprint();
        zone.edit(|record_sets| record_sets.retain(|record_set| !is_of(record_set, GREEN)));
        zone
    }

    fn edit(&self, edit: impl FnOnce(&mut Vec<RecordSet>)) {
        edit(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn sorted(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.0.lock().unwrap().iter().map(shown).collect();
        lines.sort();
        lines
    }

    /// Another writer changes one side's weights of one name.
    fn set_weights(&self, side: &str, name: &str, types: &[RecordType], new_weight: u8) {
        self.edit(|record_sets| {
            for record_set in record_sets {
                if record_set.name.as_str().contains(name)
                    && types.contains(&record_set.record_type)
                    && is_of(record_set, side)
                    && let Routing::Weighted { weight, .. } = &mut record_set.routing
                {
                    *weight = new_weight;
                }
            }
        });
    }

    /// Another writer rewrites one side's registry TXT.
    fn rewrite_texts(&self, side: &str, name: &str, rewrite: impl Fn(&str) -> String) {
        self.edit(|record_sets| {
            for record_set in record_sets {
                if record_set.record_type == RecordType::Txt
                    && record_set.name.as_str().contains(name)
                    && is_of(record_set, side)
                    && let Answer::Values { values, .. } = &mut record_set.answer
                {
                    for value in values {
                        *value = rewrite(value);
                    }
                }
            }
        });
    }
}

impl Provider for Zone {
    async fn record_sets(&self) -> Result<Vec<RecordSet>, String> {
        Ok(self.0.lock().unwrap().clone())
    }

    async fn change(&self, changes: &[Change]) -> Result<(), String> {
        let mut live = self.0.lock().unwrap();
        let mut next = live.clone();
        for Change {
            action, record_set, ..
        } in changes
        {
            let same_set = next.iter().position(|other| is_same_set(other, record_set));
            match (action, same_set) {
                (Action::Create, Some(_)) => {
                    return Err(format!("{} already exists", shown(record_set)));
                }
                (Action::Delete, Some(position)) if next[position] == *record_set => {
                    next.remove(position);
                }
                (Action::Delete, _) => return Err(format!("{} is not there", shown(record_set))),
                (Action::Upsert, Some(position)) => next[position] = record_set.clone(),
                (Action::Create | Action::Upsert, None) => next.push(record_set.clone()),
            }
        }
        *live = next;
        Ok(())
    }
}

fn is_same_set(a: &RecordSet, b: &RecordSet) -> bool {
    let identifier = |record_set: &RecordSet| record_set.weighted().map(|(id, _)| id.clone());
    (&a.name, &a.record_type, identifier(a)) == (&b.name, &b.record_type, identifier(b))
}

fn is_of(record_set: &RecordSet, side: &str) -> bool {
    record_set
        .weighted()
        .is_some_and(|(identifier, _)| identifier.as_str() == side)
}

fn shown(record_set: &RecordSet) -> String {
    let routing = record_set
        .weighted()
        .map(|(identifier, weight)| format!(" {identifier} {weight}"))
        .unwrap_or_default();
    let owner = record_set
        .values()
        .first()
        .and_then(|value| Labels::read(value))
        .and_then(|labels| labels.owner().map(|owner| format!(" owner {owner}")))
        .unwrap_or_default();
    let name = record_set.name.as_str();
    let name = name.strip_suffix(".eks-blueprint.example.com");
    format!(
        "{} {}{routing}{owner}",
        record_set.record_type,
        name.unwrap_or(record_set.name.as_str())
    )
}

/// The changes in their order, then what was refused.
fn shown_outcome(outcome: &Outcome) -> String {
    let changed = outcome
        .changed
        .iter()
        .map(|change| format!("{} {}\n", change.action, shown(&change.record_set)));
    let refused = outcome.refused.iter().map(|refusal| {
        format!(
            "refused {} changes: {}\n",
            refusal.changes.len(),
            refusal.error
        )
    });
    changed.chain(refused).collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(future)
}

fn name(label: &str) -> RecordName {
    format!("{label}.eks-blueprint.example.com")
        .parse()
        .unwrap()
}

fn blue(zone: &Zone) -> Controller {
    blue_with(zone, Policy::Sync)
}

fn blue_with(zone: &Zone, policy: Policy) -> Controller {
    let settings = Settings {
        policy,
        ..Settings::new(BLUE, Generation::CnameForAlias)
    };
    Controller::of(settings, &zone.0.lock().unwrap())
}

fn green(zone: &Zone) -> Controller {
    let settings = Settings::new(GREEN, Generation::OwnType);
    Controller::of(settings, &zone.0.lock().unwrap())
}

/// The instance in the same cluster, started with other flags.
fn restarted(controller: &Controller, settings: Settings) -> Controller {
    Controller::new(settings, controller.desired())
}

/// One pass does what is expected, and the next one the same again if it was
/// refused, or nothing.
#[track_caller]
fn check(controller: &Controller, zone: &Zone, expect: &Expect) {
    let outcome = block_on(controller.reconcile_once(zone));
    expect.assert_eq(&shown_outcome(&outcome));
    let again = block_on(controller.reconcile_once(zone));
    if outcome.refused.is_empty() {
        assert!(again.is_quiet(), "not settled: {}", shown_outcome(&again));
    } else {
        assert_eq!(again.refused.last(), outcome.refused.last());
    }
}

#[track_caller]
fn check_quiet(controller: &Controller, zone: &Zone) {
    check(controller, zone, &expect![""]);
}

#[test]
fn nothing_is_to_be_done_in_the_blueprint() {
    let zone = Zone::blueprint();
    for controller in [blue(&zone), green(&zone)] {
        assert_eq!(controller.desired().len(), 10);
        check_quiet(&controller, &zone);
    }
}

#[test]
fn a_foreign_weight_is_put_back_with_its_texts() {
    for policy in [Policy::Sync, Policy::UpsertOnly] {
        let zone = Zone::blueprint();
        let before = zone.sorted();
        let controller = blue_with(&zone, policy);
        let all = [RecordType::A, RecordType::Aaaa, RecordType::Txt];
        zone.set_weights(BLUE, "burnham", &all, 80);
        check(
            &controller,
            &zone,
            &expect![[r#"
                UPSERT TXT aaaa-burnham eks-blueprint-blue 100 owner eks-blueprint-blue
                UPSERT A burnham eks-blueprint-blue 100
                UPSERT AAAA burnham eks-blueprint-blue 100
                UPSERT TXT cname-burnham eks-blueprint-blue 100 owner eks-blueprint-blue
            "#]],
        );
        assert_eq!(zone.sorted(), before);
        check_quiet(&green(&zone), &zone);
    }
}

#[test]
fn create_only_leaves_a_foreign_weight() {
    let zone = Zone::blueprint();
    let controller = blue_with(&zone, Policy::CreateOnly);
    zone.set_weights(BLUE, "burnham", &[RecordType::A, RecordType::Aaaa], 80);
    check_quiet(&controller, &zone);
}

#[test]
fn a_foreign_weight_of_a_text_is_not_seen() {
    let zone = Zone::blueprint();
    let controller = blue(&zone);
    zone.set_weights(BLUE, "burnham", &[RecordType::Txt], 80);
    check_quiet(&controller, &zone);
}

#[test]
fn what_another_owner_holds_is_left_alone() {
    let zone = Zone::blueprint();
    let controller = blue(&zone);
    zone.rewrite_texts(BLUE, "burnham", |value| {
        value.replace("owner=eks-blueprint-blue", "owner=cutover/some-execution")
    });
    zone.set_weights(BLUE, "burnham", &[RecordType::A, RecordType::Aaaa], 80);
    check_quiet(&controller, &zone);
    controller.set_weight(&name("burnham"), 7);
    check_quiet(&controller, &zone);
    controller.remove(&name("burnham"));
    check_quiet(&controller, &zone);
}

#[test]
fn given_back_the_annotation_counts_again() {
    let zone = Zone::blueprint();
    let controller = blue(&zone);
    zone.set_weights(BLUE, "burnham", &[RecordType::A, RecordType::Aaaa], 0);
    zone.rewrite_texts(BLUE, "burnham", |value| value.replace("=eks-", "=cutover/"));
    check_quiet(&controller, &zone);
    controller.set_weight(&name("burnham"), 0);
    zone.rewrite_texts(BLUE, "burnham", |value| value.replace("=cutover/", "=eks-"));
    check_quiet(&controller, &zone);
}

#[test]
fn beside_a_record_of_another_owner_nothing_is_created() {
    let zone = Zone::blueprint();
    let controller = blue(&zone);
    zone.rewrite_texts(BLUE, "cname-burnham", |value| {
        value.replace("owner=eks-blueprint-blue", "owner=cutover/some-execution")
    });
    zone.edit(|record_sets| {
        record_sets.retain(|record_set| {
            !(record_set.name.as_str().contains("burnham")
                && record_set.record_type == RecordType::Aaaa
                && is_of(record_set, BLUE))
        });
    });
    check_quiet(&controller, &zone);
}

#[test]
fn a_text_that_is_there_is_not_created_again_whoevers_it_is() {
    let zone = Zone::blueprint();
    let controller = blue(&zone);
    zone.rewrite_texts(BLUE, "cname-burnham", |value| {
        value.replace("owner=eks-blueprint-blue", "owner=cutover/some-execution")
    });
    zone.edit(|record_sets| {
        record_sets
            .retain(|record_set| record_set.name != name("burnham") || !is_of(record_set, BLUE));
    });
    check(
        &controller,
        &zone,
        &expect![[r#"
        CREATE A burnham eks-blueprint-blue 100
        CREATE AAAA burnham eks-blueprint-blue 100
    "#]],
    );
}

#[test]
fn a_removal_takes_record_and_texts() {
    let zone = Zone::blueprint();
    let controller = blue(&zone);
    controller.remove(&name("burnham"));
    check(
        &controller,
        &zone,
        &expect![[r#"
        DELETE TXT aaaa-burnham eks-blueprint-blue 100 owner eks-blueprint-blue
        DELETE A burnham eks-blueprint-blue 100
        DELETE AAAA burnham eks-blueprint-blue 100
        DELETE TXT cname-burnham eks-blueprint-blue 100 owner eks-blueprint-blue
    "#]],
    );
    assert!(
        !zone
            .sorted()
            .iter()
            .any(|line| line.contains("burnham eks-blueprint-blue"))
    );

    controller.remove_all();
    block_on(controller.reconcile_once(&zone));
    let left: Vec<_> = zone
        .sorted()
        .into_iter()
        .filter(|line| line.contains(BLUE))
        .collect();
    expect![[r#"
        A shared eks-blueprint-blue 90
        CNAME legacy eks-blueprint-blue 255"#]]
    .assert_eq(&left.join("\n"));
}

#[test]
fn upsert_only_removes_nothing() {
    let zone = Zone::blueprint();
    let controller = blue_with(&zone, Policy::UpsertOnly);
    controller.remove_all();
    check_quiet(&controller, &zone);
}

#[test]
fn a_removal_works_where_texts_moved_with_their_records() {
    let zone = Zone::blueprint();
    let controller = blue(&zone);
    let all = [RecordType::A, RecordType::Aaaa, RecordType::Txt];
    zone.set_weights(BLUE, "burnham", &all, 80);
    controller.remove(&name("burnham"));
    check(
        &controller,
        &zone,
        &expect![[r#"
        DELETE TXT aaaa-burnham eks-blueprint-blue 80 owner eks-blueprint-blue
        DELETE A burnham eks-blueprint-blue 80
        DELETE AAAA burnham eks-blueprint-blue 80
        DELETE TXT cname-burnham eks-blueprint-blue 80 owner eks-blueprint-blue
    "#]],
    );
}

#[test]
fn a_removal_is_refused_where_only_the_records_moved() {
    let zone = Zone::blueprint();
    let controller = blue(&zone);
    zone.set_weights(BLUE, "burnham", &[RecordType::A, RecordType::Aaaa], 80);
    let before = zone.sorted();
    controller.remove(&name("burnham"));
    check(
        &controller,
        &zone,
        &expect![[r#"
        refused 4 changes: TXT aaaa-burnham eks-blueprint-blue 80 owner eks-blueprint-blue is not there
    "#]],
    );
    assert_eq!(zone.sorted(), before);
}

#[test]
fn a_refused_group_does_not_hold_the_others_back() {
    let zone = Zone::blueprint();
    let controller = blue(&zone);
    zone.set_weights(BLUE, "burnham", &[RecordType::A, RecordType::Aaaa], 80);
    controller.remove(&name("burnham"));
    controller.remove(&name("skiapp"));
    controller.set_weight(&name("argocd"), 50);
    check(
        &controller,
        &zone,
        &expect![[r#"
        UPSERT TXT aaaa-argocd eks-blueprint-blue 50 owner eks-blueprint-blue
        UPSERT A argocd eks-blueprint-blue 50
        UPSERT AAAA argocd eks-blueprint-blue 50
        UPSERT TXT cname-argocd eks-blueprint-blue 50 owner eks-blueprint-blue
        DELETE TXT aaaa-skiapp eks-blueprint-blue 100 owner eks-blueprint-blue
        DELETE TXT cname-skiapp eks-blueprint-blue 100 owner eks-blueprint-blue
        DELETE A skiapp eks-blueprint-blue 100
        DELETE AAAA skiapp eks-blueprint-blue 100
        refused 12 changes: TXT aaaa-burnham eks-blueprint-blue 80 owner eks-blueprint-blue is not there
        refused 4 changes: TXT aaaa-burnham eks-blueprint-blue 80 owner eks-blueprint-blue is not there
    "#]],
    );
}

#[test]
fn a_removal_is_refused_where_a_text_is_written_otherwise() {
    let zone = Zone::blueprint();
    let controller = blue(&zone);
    zone.rewrite_texts(BLUE, "burnham", |value| {
        value.replace("heritage=external-dns,", "heritage=external-dns,note=x,")
    });
    controller.remove(&name("burnham"));
    check(
        &controller,
        &zone,
        &expect![[r#"
        refused 4 changes: TXT aaaa-burnham eks-blueprint-blue 100 owner eks-blueprint-blue is not there
    "#]],
    );
}

#[test]
fn texts_are_read_with_their_keys_in_any_order() {
    let zone = Zone::blueprint();
    zone.rewrite_texts(BLUE, "burnham", |value| {
        let mut keys: Vec<&str> = value.trim_matches('"').split(',').collect();
        keys.reverse();
        format!("\"{}\"", keys.join(","))
    });
    let controller = blue(&zone);
    assert_eq!(controller.desired().len(), 10);
    controller.set_weight(&name("burnham"), 80);
    check(
        &controller,
        &zone,
        &expect![[r#"
        UPSERT TXT aaaa-burnham eks-blueprint-blue 80 owner eks-blueprint-blue
        UPSERT A burnham eks-blueprint-blue 80
        UPSERT AAAA burnham eks-blueprint-blue 80
        UPSERT TXT cname-burnham eks-blueprint-blue 80 owner eks-blueprint-blue
    "#]],
    );
}

#[test]
fn two_instances_with_one_owner_fight() {
    let zone = Zone::blueprint();
    let first = blue(&zone);
    let second = restarted(&first, first.settings().clone());
    second.set_all_weights(1);
    for _ in 0..2 {
        for (controller, weight) in [(&second, 1), (&first, 100)] {
            let outcome = block_on(controller.reconcile_once(&zone));
            assert_eq!(outcome.changed.len(), 20);
            for Change {
                action, record_set, ..
            } in outcome.changed
            {
                assert_eq!(action, Action::Upsert);
                assert_eq!(record_set.weighted().unwrap().1, weight);
            }
        }
    }
    second.remove_all();
    let deleted = block_on(second.reconcile_once(&zone));
    assert_eq!(deleted.changed.len(), 20);
    let created = block_on(first.reconcile_once(&zone));
    assert_eq!(created.changed.len(), 20);
}

#[test]
fn an_upgrade_writes_the_annotations_weight_and_the_new_text() {
    let zone = Zone::blue_alone();
    zone.edit(|record_sets| {
        record_sets.retain(|record_set| record_set.name.as_str().contains("burnham"));
    });
    let old = blue(&zone);
    zone.set_weights(BLUE, "burnham", &[RecordType::A], 80);
    let new = restarted(&old, Settings::new(BLUE, Generation::OwnType));
    check(
        &new,
        &zone,
        &expect![[r#"
        UPSERT TXT a-burnham eks-blueprint-blue 100 owner eks-blueprint-blue
        UPSERT A burnham eks-blueprint-blue 100
    "#]],
    );
    new.remove_all();
    check(
        &new,
        &zone,
        &expect![[r#"
        DELETE TXT a-burnham eks-blueprint-blue 100 owner eks-blueprint-blue
        DELETE TXT aaaa-burnham eks-blueprint-blue 100 owner eks-blueprint-blue
        DELETE A burnham eks-blueprint-blue 100
        DELETE AAAA burnham eks-blueprint-blue 100
    "#]],
    );
    expect!["TXT cname-burnham eks-blueprint-blue 100 owner eks-blueprint-blue"]
        .assert_eq(&zone.sorted().join("\n"));
}

#[test]
fn an_upgrade_beside_an_upgraded_instance_writes_nothing_and_spoils_the_removal() {
    let zone = Zone::blueprint();
    let old = blue(&zone);
    let new = restarted(&old, Settings::new(BLUE, Generation::OwnType));
    check_quiet(&new, &zone);
    new.remove(&name("burnham"));
    check(
        &new,
        &zone,
        &expect![[r#"
        refused 4 changes: TXT a-burnham eks-blueprint-blue 100 owner eks-blueprint-blue is not there
    "#]],
    );

    let zone = Zone::blueprint();
    new.edit(|desired| *desired = old.desired());
    new.set_weight(&name("burnham"), 99);
    block_on(new.reconcile_once(&zone));
    new.remove(&name("burnham"));
    let healed = block_on(new.reconcile_once(&zone));
    assert!(healed.refused.is_empty());
}

#[test]
fn after_an_upgrade_another_owner_in_the_legacy_text_still_counts() {
    let zone = Zone::blue_alone();
    let old = blue(&zone);
    zone.rewrite_texts(BLUE, "", |value| {
        value.replace("owner=eks-blueprint-blue", "owner=cutover/some-execution")
    });
    zone.set_weights(BLUE, "", &[RecordType::A, RecordType::Aaaa], 1);
    let new = restarted(&old, Settings::new(BLUE, Generation::OwnType));
    check_quiet(&new, &zone);
}

#[test]
fn a_downgrade_loses_the_alias_a() {
    let zone = Zone::blueprint();
    let new = green(&zone);
    let old = restarted(&new, Settings::new(GREEN, Generation::CnameForAlias));
    zone.set_weights(GREEN, "burnham", &[RecordType::A, RecordType::Aaaa], 9);
    check(
        &old,
        &zone,
        &expect![[r#"
        UPSERT TXT aaaa-burnham eks-blueprint-green 0 owner eks-blueprint-green
        UPSERT AAAA burnham eks-blueprint-green 0
    "#]],
    );
}

fn endpoint(host: &str, record_type: RecordType, answer: Answer) -> Endpoint {
    Endpoint {
        name: name(host),
        record_type,
        routing: Routing::Weighted {
            set_identifier: BLUE.parse::<SetIdentifier>().unwrap(),
            weight: 100,
        },
        answer,
        health_check_id: Some("b1b1b1b1-0000-0000-0000-000000000008".into()),
        resource: "service/a/b".into(),
    }
}

fn alias() -> Answer {
    Answer::Alias {
        hosted_zone_id: "Z3Q77PNBQS71R4".into(),
        dns_name: "k8s-a-b-0123456789.elb.eu-west-3.amazonaws.com.".into(),
        evaluate_target_health: true,
    }
}

fn values(ttl_seconds: u32, value: &str) -> Answer {
    Answer::Values {
        ttl_seconds,
        values: vec![value.into()],
    }
}

/// The first pass into an empty zone is as expected; the zone is then understood by
/// an instance that starts anew; a removal leaves nothing.
#[track_caller]
fn check_life(settings: &Settings, desired: Vec<Endpoint>, expect: &Expect) {
    let zone = Zone::new(Vec::new());
    let controller = Controller::new(settings.clone(), desired);
    check(&controller, &zone, expect);
    let anew = Controller::of(settings.clone(), &zone.0.lock().unwrap());
    assert_eq!(anew.desired().len(), controller.desired().len());
    check_quiet(&anew, &zone);
    anew.set_all_weights(3);
    let outcome = block_on(anew.reconcile_once(&zone));
    assert!(outcome.refused.is_empty());
    assert!(zone.sorted().iter().all(|line| line.contains("blue 3")));
    anew.remove_all();
    let outcome = block_on(anew.reconcile_once(&zone));
    assert!(outcome.refused.is_empty(), "{}", shown_outcome(&outcome));
    assert_eq!(zone.sorted(), Vec::<String>::new());
}

fn wildcard() -> Vec<Endpoint> {
    vec![
        endpoint("*.apps", RecordType::A, alias()),
        endpoint("*.apps", RecordType::Aaaa, alias()),
    ]
}

#[test]
fn every_naming_of_texts_is_written_read_and_removed() {
    let plain = Settings::new(BLUE, Generation::OwnType);
    check_life(
        &plain,
        wildcard(),
        &expect![[r#"
        CREATE A \052.apps eks-blueprint-blue 100
        CREATE AAAA \052.apps eks-blueprint-blue 100
        CREATE TXT a-\052.apps eks-blueprint-blue 100 owner eks-blueprint-blue
        CREATE TXT aaaa-\052.apps eks-blueprint-blue 100 owner eks-blueprint-blue
    "#]],
    );
    let prefix = Settings {
        affix: Affix::Prefix("%{record_type}-own.".into()),
        wildcard_replacement: "any".into(),
        ..plain.clone()
    };
    check_life(
        &prefix,
        wildcard(),
        &expect![[r#"
        CREATE A \052.apps eks-blueprint-blue 100
        CREATE AAAA \052.apps eks-blueprint-blue 100
        CREATE TXT a-own.any.apps eks-blueprint-blue 100 owner eks-blueprint-blue
        CREATE TXT aaaa-own.any.apps eks-blueprint-blue 100 owner eks-blueprint-blue
    "#]],
    );
    let suffix = Settings {
        affix: Affix::Suffix("-%{record_type}".into()),
        wildcard_replacement: "any".into(),
        ..Settings::new(BLUE, Generation::CnameForAlias)
    };
    check_life(
        &suffix,
        wildcard(),
        &expect![[r#"
        CREATE A \052.apps eks-blueprint-blue 100
        CREATE AAAA \052.apps eks-blueprint-blue 100
        CREATE TXT any-aaaa.apps eks-blueprint-blue 100 owner eks-blueprint-blue
        CREATE TXT any-cname.apps eks-blueprint-blue 100 owner eks-blueprint-blue
    "#]],
    );
    let untyped = Settings {
        affix: Affix::Prefix("own.".into()),
        ..Settings::new(BLUE, Generation::WithUntyped)
    };
    check_life(
        &untyped,
        wildcard(),
        &expect![[r#"
        CREATE A \052.apps eks-blueprint-blue 100
        CREATE AAAA \052.apps eks-blueprint-blue 100
        CREATE TXT own.\052.apps eks-blueprint-blue 100 owner eks-blueprint-blue
        CREATE TXT own.aaaa-\052.apps eks-blueprint-blue 100 owner eks-blueprint-blue
        CREATE TXT own.cname-\052.apps eks-blueprint-blue 100 owner eks-blueprint-blue
    "#]],
    );
}

#[test]
fn a_cname_has_one_text() {
    let settings = Settings::new(BLUE, Generation::CnameForAlias);
    let desired = vec![endpoint(
        "legacy",
        RecordType::Cname,
        values(120, "legacy.internal.example.net"),
    )];
    check_life(
        &settings,
        desired,
        &expect![[r#"
        CREATE TXT cname-legacy eks-blueprint-blue 100 owner eks-blueprint-blue
        CREATE CNAME legacy eks-blueprint-blue 100
    "#]],
    );
}

#[test]
fn a_cname_gives_way_to_an_address() {
    let settings = Settings::new(BLUE, Generation::OwnType);
    let desired = vec![
        endpoint("both", RecordType::Cname, values(0, "other.example.net")),
        endpoint("both", RecordType::A, values(0, "192.0.2.7")),
    ];
    let zone = Zone::new(Vec::new());
    check(
        &Controller::new(settings, desired),
        &zone,
        &expect![[r#"
        CREATE TXT a-both eks-blueprint-blue 100 owner eks-blueprint-blue
        CREATE A both eks-blueprint-blue 100
    "#]],
    );
}

#[test]
fn each_side_keeps_its_own_cname_of_a_pair() {
    let zone = Zone::new(Vec::new());
    for side in [BLUE, GREEN] {
        let mut pair = endpoint(
            "legacy",
            RecordType::Cname,
            values(120, &format!("legacy-{side}.internal.example.net")),
        );
        pair.routing = Routing::Weighted {
            set_identifier: side.parse().unwrap(),
            weight: 10,
        };
        let controller = Controller::new(Settings::new(side, Generation::OwnType), vec![pair]);
        let outcome = block_on(controller.reconcile_once(&zone));
        assert_eq!(outcome.changed.len(), 2);
    }
    let blue = Controller::of(
        Settings::new(BLUE, Generation::OwnType),
        &zone.0.lock().unwrap(),
    );
    let moved = [RecordType::Cname, RecordType::Txt];
    zone.set_weights(BLUE, "legacy", &moved, 0);
    zone.set_weights(GREEN, "legacy", &moved, 90);
    check(
        &blue,
        &zone,
        &expect![[r#"
        UPSERT TXT cname-legacy eks-blueprint-blue 10 owner eks-blueprint-blue
        UPSERT CNAME legacy eks-blueprint-blue 10
    "#]],
    );
}

/// An edit of a record's endpoint has these changes, and then no more.
#[track_caller]
fn check_edit(before: Answer, edit: impl FnOnce(&mut Endpoint), expect: &Expect) {
    let zone = Zone::new(Vec::new());
    let desired = vec![endpoint("shared", RecordType::A, before)];
    let controller = Controller::new(Settings::new(BLUE, Generation::OwnType), desired);
    block_on(controller.reconcile_once(&zone));
    controller.edit(|desired| edit(&mut desired[0]));
    check(&controller, &zone, expect);
}

#[test]
fn every_part_of_an_endpoint_is_compared() {
    let upsert = expect![[r#"
        UPSERT TXT a-shared eks-blueprint-blue 100 owner eks-blueprint-blue
        UPSERT A shared eks-blueprint-blue 100
    "#]];
    check_edit(
        values(30, "192.0.2.1"),
        |endpoint| endpoint.answer = values(30, "192.0.2.2"),
        &upsert,
    );
    check_edit(
        values(30, "192.0.2.1"),
        |endpoint| endpoint.answer = values(60, "192.0.2.1"),
        &upsert,
    );
    check_edit(
        values(30, "192.0.2.1"),
        |endpoint| endpoint.health_check_id = None,
        &upsert,
    );
    check_edit(
        alias(),
        |endpoint| {
            if let Answer::Alias {
                evaluate_target_health,
                ..
            } = &mut endpoint.answer
            {
                *evaluate_target_health = false;
            }
        },
        &upsert,
    );
    // A TTL that is not asked for is not compared, nor the spelling of a target.
    check_edit(
        values(30, "192.0.2.1"),
        |endpoint| endpoint.answer = values(0, "192.0.2.1"),
        &expect![""],
    );
    check_edit(
        alias(),
        |endpoint| {
            if let Answer::Alias { dns_name, .. } = &mut endpoint.answer {
                *dns_name = dns_name.trim_end_matches('.').to_uppercase();
            }
        },
        &expect![""],
    );
    check_edit(
        alias(),
        |endpoint| endpoint.answer = values(30, "192.0.2.1"),
        &expect![[r#"
            UPSERT TXT a-shared eks-blueprint-blue 100 owner eks-blueprint-blue
            DELETE A shared eks-blueprint-blue 100
            CREATE A shared eks-blueprint-blue 100
        "#]],
    );
}

#[test]
fn at_the_top_of_a_zone_the_text_falls_outside() {
    let zone = Zone::blueprint();
    let mut top = endpoint("x", RecordType::A, alias());
    top.name = "eks-blueprint.example.com".parse().unwrap();
    let controller = Controller::new(Settings::new("other", Generation::OwnType), vec![top]);
    check(
        &controller,
        &zone,
        &expect![[r#"
        CREATE A eks-blueprint.example.com eks-blueprint-blue 100
    "#]],
    );
}

#[test]
fn the_loop_records_what_it_did_and_counts() {
    let zone = std::sync::Arc::new(Zone::blueprint());
    let controller = blue(&zone);
    block_on(async {
        let (running, in_task) = (controller.clone(), std::sync::Arc::clone(&zone));
        let task = tokio::spawn(async move {
            running.run(&*in_task, Duration::from_millis(1)).await;
        });
        controller.wait_for_passes(2).await;
        assert_eq!(controller.history(), []);
        zone.set_weights(BLUE, "burnham", &[RecordType::A], 80);
        controller.wait_for_passes(2).await;
        controller.remove(&name("burnham"));
        controller.wait_for_passes(2).await;
        task.abort();
        assert!(controller.passes() >= 6);
    });
    let counts: Vec<_> = controller
        .history()
        .iter()
        .map(|outcome| (outcome.changed.len(), outcome.refused.len()))
        .collect();
    assert_eq!(counts, [(2, 0), (4, 0)]);
}

/// A zone that can't be read.
struct Unreadable;

impl Provider for Unreadable {
    async fn record_sets(&self) -> Result<Vec<RecordSet>, String> {
        Err("throttled".into())
    }

    async fn change(&self, _: &[Change]) -> Result<(), String> {
        Err("never called".into())
    }
}

#[test]
fn a_zone_that_is_not_read_is_not_changed() {
    let outcome = block_on(blue(&Zone::blueprint()).reconcile_once(&Unreadable));
    assert_eq!(outcome.unread.as_deref(), Some("throttled"));
    assert!(!outcome.is_quiet());
    assert!(outcome.changed.is_empty() && outcome.refused.is_empty());
}
