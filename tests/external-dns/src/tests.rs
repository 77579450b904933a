//! Passes of one or two instances with a zone that refuses what Route 53 refuses.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use expect_test::{Expect, expect};
use fakes::record_sets_from_cli_json;
use migration::dns::{RecordData, RecordSet, RecordType, Routing};
use migration::dns::{RecordName, SetIdentifier};

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

    /// The blueprint's zone before green existed.
    fn blue_only() -> Self {
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

    /// Another writer changes the weights of one side of a name.
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

    /// Another writer changes the registry TXT of one side of a name.
    fn rewrite_texts(&self, side: &str, name: &str, rewrite: impl Fn(&str) -> String) {
        self.edit(|record_sets| {
            for record_set in record_sets {
                if record_set.record_type == RecordType::Txt
                    && record_set.name.as_str().contains(name)
                    && is_of(record_set, side)
                    && let RecordData::Values { values, .. } = &mut record_set.data
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
                (Action::Delete, _) => return Err(format!("{} does not exist", shown(record_set))),
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

/// The changes in order, then the refused batches.
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

/// Checks the outcome of one pass. The next pass must do nothing, or fail the same way if
/// the first was refused.
#[track_caller]
fn check(controller: &Controller, zone: &Zone, expect: &Expect) {
    let outcome = block_on(controller.reconcile_once(zone));
    expect.assert_eq(&shown_outcome(&outcome));
    let again = block_on(controller.reconcile_once(zone));
    if outcome.refused.is_empty() {
        assert!(
            again.is_quiet(),
            "the second pass was not quiet: {}",
            shown_outcome(&again)
        );
    } else {
        assert_eq!(again.refused.last(), outcome.refused.last());
    }
}

#[track_caller]
fn check_quiet(controller: &Controller, zone: &Zone) {
    check(controller, zone, &expect![""]);
}

#[test]
fn blueprint_zone_needs_no_change() {
    let zone = Zone::blueprint();
    for controller in [blue(&zone), green(&zone)] {
        assert_eq!(controller.desired().len(), 10);
        check_quiet(&controller, &zone);
    }
}

#[test]
fn weight_changed_by_another_writer_is_reverted_with_its_txt() {
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
fn create_only_does_not_revert_a_weight() {
    let zone = Zone::blueprint();
    let controller = blue_with(&zone, Policy::CreateOnly);
    zone.set_weights(BLUE, "burnham", &[RecordType::A, RecordType::Aaaa], 80);
    check_quiet(&controller, &zone);
}

#[test]
fn weight_changed_on_a_txt_only_is_not_noticed() {
    let zone = Zone::blueprint();
    let controller = blue(&zone);
    zone.set_weights(BLUE, "burnham", &[RecordType::Txt], 80);
    check_quiet(&controller, &zone);
}

#[test]
fn record_with_another_owner_is_never_changed() {
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
fn record_given_back_follows_its_annotation_again() {
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
fn nothing_is_created_beside_a_record_of_another_owner() {
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
fn existing_txt_of_any_owner_is_not_created_again() {
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
fn removed_endpoint_is_deleted_with_its_txt() {
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
fn upsert_only_deletes_nothing() {
    let zone = Zone::blueprint();
    let controller = blue_with(&zone, Policy::UpsertOnly);
    controller.remove_all();
    check_quiet(&controller, &zone);
}

#[test]
fn deletion_succeeds_if_txt_weights_moved_with_their_records() {
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
fn deletion_is_refused_if_only_record_weights_moved() {
    let zone = Zone::blueprint();
    let controller = blue(&zone);
    zone.set_weights(BLUE, "burnham", &[RecordType::A, RecordType::Aaaa], 80);
    let before = zone.sorted();
    controller.remove(&name("burnham"));
    check(
        &controller,
        &zone,
        &expect![[r#"
        refused 4 changes: TXT aaaa-burnham eks-blueprint-blue 80 owner eks-blueprint-blue does not exist
    "#]],
    );
    assert_eq!(zone.sorted(), before);
}

#[test]
fn refused_name_does_not_block_the_other_names() {
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
        refused 12 changes: TXT aaaa-burnham eks-blueprint-blue 80 owner eks-blueprint-blue does not exist
        refused 4 changes: TXT aaaa-burnham eks-blueprint-blue 80 owner eks-blueprint-blue does not exist
    "#]],
    );
}

#[test]
fn deletion_is_refused_if_the_txt_has_an_extra_token() {
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
        refused 4 changes: TXT aaaa-burnham eks-blueprint-blue 100 owner eks-blueprint-blue does not exist
    "#]],
    );
}

#[test]
fn txt_with_keys_in_any_order_is_read() {
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
fn two_instances_with_one_owner_revert_each_other() {
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
fn upgrade_writes_the_new_txt_and_reverts_the_weight() {
    let zone = Zone::blue_only();
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
fn upgrade_after_the_other_side_writes_no_txt_and_breaks_deletion() {
    let zone = Zone::blueprint();
    let old = blue(&zone);
    let new = restarted(&old, Settings::new(BLUE, Generation::OwnType));
    check_quiet(&new, &zone);
    new.remove(&name("burnham"));
    check(
        &new,
        &zone,
        &expect![[r#"
        refused 4 changes: TXT a-burnham eks-blueprint-blue 100 owner eks-blueprint-blue does not exist
    "#]],
    );

    let zone = Zone::blueprint();
    new.edit(|desired| *desired = old.desired());
    new.set_weight(&name("burnham"), 99);
    block_on(new.reconcile_once(&zone));
    new.remove(&name("burnham"));
    let outcome = block_on(new.reconcile_once(&zone));
    assert!(outcome.refused.is_empty());
}

#[test]
fn after_an_upgrade_another_owner_in_the_old_txt_still_counts() {
    let zone = Zone::blue_only();
    let old = blue(&zone);
    zone.rewrite_texts(BLUE, "", |value| {
        value.replace("owner=eks-blueprint-blue", "owner=cutover/some-execution")
    });
    zone.set_weights(BLUE, "", &[RecordType::A, RecordType::Aaaa], 1);
    let new = restarted(&old, Settings::new(BLUE, Generation::OwnType));
    check_quiet(&new, &zone);
}

#[test]
fn after_a_downgrade_the_alias_a_is_not_recognized() {
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

fn endpoint(host: &str, record_type: RecordType, data: RecordData) -> Endpoint {
    Endpoint {
        name: name(host),
        record_type,
        routing: Routing::Weighted {
            set_identifier: BLUE.parse::<SetIdentifier>().unwrap(),
            weight: 100,
        },
        data,
        health_check_id: Some("b1b1b1b1-0000-0000-0000-000000000008".into()),
        resource: "service/a/b".into(),
    }
}

fn alias() -> RecordData {
    RecordData::Alias {
        hosted_zone_id: "Z3Q77PNBQS71R4".into(),
        dns_name: "k8s-a-b-0123456789.elb.eu-west-3.amazonaws.com.".into(),
        evaluate_target_health: true,
    }
}

fn values(ttl_seconds: u32, value: &str) -> RecordData {
    RecordData::Values {
        ttl_seconds,
        values: vec![value.into()],
    }
}

/// Checks the first pass on an empty zone. A new instance must then recognize all its
/// records, be able to update them, and be able to delete everything.
#[track_caller]
fn check_life(settings: &Settings, desired: Vec<Endpoint>, expect: &Expect) {
    let zone = Zone::new(Vec::new());
    let controller = Controller::new(settings.clone(), desired);
    check(&controller, &zone, expect);
    let new_instance = Controller::of(settings.clone(), &zone.0.lock().unwrap());
    assert_eq!(new_instance.desired().len(), controller.desired().len());
    check_quiet(&new_instance, &zone);
    new_instance.set_all_weights(3);
    let outcome = block_on(new_instance.reconcile_once(&zone));
    assert!(outcome.refused.is_empty());
    assert!(zone.sorted().iter().all(|line| line.contains("blue 3")));
    new_instance.remove_all();
    let outcome = block_on(new_instance.reconcile_once(&zone));
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
fn every_txt_naming_is_written_read_and_deleted() {
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

fn dualstack() -> Settings {
    Settings::new(BLUE, Generation::DualstackLabel)
}

#[test]
fn aaaa_of_a_dualstack_load_balancer_has_no_txt_of_its_own_up_to_v0_15() {
    check_life(
        &dualstack(),
        wildcard(),
        &expect![[r#"
        CREATE A \052.apps eks-blueprint-blue 100
        CREATE AAAA \052.apps eks-blueprint-blue 100
        CREATE TXT \052.apps eks-blueprint-blue 100 owner eks-blueprint-blue
        CREATE TXT cname-\052.apps eks-blueprint-blue 100 owner eks-blueprint-blue
    "#]],
    );
    let mut only_a = wildcard();
    only_a.truncate(1);
    check_life(
        &dualstack(),
        only_a,
        &expect![[r#"
        CREATE A \052.apps eks-blueprint-blue 100
        CREATE TXT \052.apps eks-blueprint-blue 100 owner eks-blueprint-blue
        CREATE TXT cname-\052.apps eks-blueprint-blue 100 owner eks-blueprint-blue
    "#]],
    );
}

/// Later versions find no owner of the AAAA: they neither change nor delete it.
#[test]
fn aaaa_written_by_v0_15_is_orphaned_by_an_upgrade() {
    let zone = Zone::new(Vec::new());
    let old = Controller::new(dualstack(), wildcard());
    block_on(old.reconcile_once(&zone));
    let new = restarted(&old, Settings::new(BLUE, Generation::CnameForAlias));
    check_quiet(&new, &zone);
    new.set_all_weights(3);
    check(
        &new,
        &zone,
        &expect![[r#"
        UPSERT A \052.apps eks-blueprint-blue 3
        UPSERT TXT cname-\052.apps eks-blueprint-blue 3 owner eks-blueprint-blue
    "#]],
    );
    new.remove_all();
    check(
        &new,
        &zone,
        &expect![[r#"
        DELETE A \052.apps eks-blueprint-blue 3
        DELETE TXT cname-\052.apps eks-blueprint-blue 3 owner eks-blueprint-blue
    "#]],
    );
}

/// The AAAA is read as a second A, and compared in place of the first.
#[test]
fn weight_changed_on_the_a_only_is_not_noticed_up_to_v0_15() {
    let zone = Zone::new(Vec::new());
    let controller = Controller::new(dualstack(), wildcard());
    block_on(controller.reconcile_once(&zone));
    zone.set_weights(BLUE, "apps", &[RecordType::A], 80);
    check_quiet(&controller, &zone);
    zone.set_weights(BLUE, "apps", &[RecordType::Aaaa], 80);
    check(
        &controller,
        &zone,
        &expect![[r#"
        UPSERT A \052.apps eks-blueprint-blue 100
        UPSERT AAAA \052.apps eks-blueprint-blue 100
        UPSERT TXT \052.apps eks-blueprint-blue 100 owner eks-blueprint-blue
        UPSERT TXT cname-\052.apps eks-blueprint-blue 100 owner eks-blueprint-blue
    "#]],
    );
}

/// The names of the TXT have the replacement in lower case, and are searched as the flag has it.
#[test]
fn wildcard_replacement_with_capital_letters_hides_the_owner() {
    let zone = Zone::new(Vec::new());
    let settings = Settings {
        wildcard_replacement: "Any".into(),
        ..Settings::new(BLUE, Generation::OwnType)
    };
    let controller = Controller::new(settings, wildcard());
    check(
        &controller,
        &zone,
        &expect![[r#"
        CREATE A \052.apps eks-blueprint-blue 100
        CREATE AAAA \052.apps eks-blueprint-blue 100
        CREATE TXT a-any.apps eks-blueprint-blue 100 owner eks-blueprint-blue
        CREATE TXT aaaa-any.apps eks-blueprint-blue 100 owner eks-blueprint-blue
    "#]],
    );
    controller.remove_all();
    check_quiet(&controller, &zone);
}

/// The blueprint's zone with an instance of blue that has it in its cache.
fn cached(zone: &Zone, cached_passes: u32) -> Controller {
    let settings = Settings {
        cached_passes,
        ..blue(zone).settings().clone()
    };
    let controller = Controller::of(settings, &zone.0.lock().unwrap());
    let first = block_on(controller.reconcile_once(zone));
    assert!(first.is_quiet());
    controller
}

fn lease_burnham(zone: &Zone) {
    let all = [RecordType::A, RecordType::Aaaa, RecordType::Txt];
    zone.set_weights(BLUE, "burnham", &all, 50);
    zone.rewrite_texts(BLUE, "burnham", |value| value.replace("=eks-", "=cutover/"));
}

#[test]
fn cache_notices_a_change_of_the_zone_when_it_expires() {
    let zone = Zone::blueprint();
    let controller = cached(&zone, 2);
    zone.set_weights(BLUE, "burnham", &[RecordType::A, RecordType::Txt], 80);
    for _ in 0..2 {
        assert!(block_on(controller.reconcile_once(&zone)).is_quiet());
    }
    check(
        &controller,
        &zone,
        &expect![[r#"
        UPSERT A burnham eks-blueprint-blue 100
        UPSERT TXT cname-burnham eks-blueprint-blue 100 owner eks-blueprint-blue
    "#]],
    );
}

/// Until its cache expires, an instance does not know that a record has another owner now.
#[test]
fn annotation_changed_before_the_cache_expires_is_written_over_a_lease() {
    let zone = Zone::blueprint();
    let controller = cached(&zone, 1);
    lease_burnham(&zone);
    controller.set_weight(&name("burnham"), 7);
    let outcome = block_on(controller.reconcile_once(&zone));
    expect![[r#"
        UPSERT TXT aaaa-burnham eks-blueprint-blue 7 owner eks-blueprint-blue
        UPSERT A burnham eks-blueprint-blue 7
        UPSERT AAAA burnham eks-blueprint-blue 7
        UPSERT TXT cname-burnham eks-blueprint-blue 7 owner eks-blueprint-blue
    "#]]
    .assert_eq(&shown_outcome(&outcome));

    let zone = Zone::blueprint();
    let controller = cached(&zone, 1);
    lease_burnham(&zone);
    assert!(block_on(controller.reconcile_once(&zone)).is_quiet());
    controller.set_weight(&name("burnham"), 7);
    check_quiet(&controller, &zone);
}

/// The cache has what was planned, and the zone has not.
#[test]
fn refused_change_is_not_tried_again_before_the_cache_expires() {
    let zone = Zone::blueprint();
    let controller = cached(&zone, 2);
    lease_burnham(&zone);
    controller.remove(&name("burnham"));
    let outcome = block_on(controller.reconcile_once(&zone));
    assert_eq!(outcome.refused.len(), 1, "{}", shown_outcome(&outcome));
    assert!(block_on(controller.reconcile_once(&zone)).is_quiet());
}

/// Its DELETE has the default TTL.
#[test]
fn record_with_a_ttl_of_zero_cannot_be_deleted() {
    let zone = Zone::new(Vec::new());
    let desired = vec![endpoint("shared", RecordType::A, values(0, "192.0.2.1"))];
    let controller = Controller::new(Settings::new(BLUE, Generation::OwnType), desired);
    block_on(controller.reconcile_once(&zone));
    zone.edit(|record_sets| {
        for record_set in record_sets {
            if record_set.record_type == RecordType::A {
                record_set.data = values(0, "192.0.2.1");
            }
        }
    });
    check_quiet(&controller, &zone);
    controller.remove_all();
    check(
        &controller,
        &zone,
        &expect![[r#"
            refused 2 changes: A shared eks-blueprint-blue 100 does not exist
        "#]],
    );
}

#[test]
fn cname_has_one_txt() {
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
fn address_wins_over_cname_of_the_same_name() {
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
fn each_side_reverts_only_its_own_cname_of_a_pair() {
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

/// Checks the changes of a pass after an edit of the endpoint.
#[track_caller]
fn check_edit(before: RecordData, edit: impl FnOnce(&mut Endpoint), expect: &Expect) {
    let zone = Zone::new(Vec::new());
    let desired = vec![endpoint("shared", RecordType::A, before)];
    let controller = Controller::new(Settings::new(BLUE, Generation::OwnType), desired);
    block_on(controller.reconcile_once(&zone));
    controller.edit(|desired| edit(&mut desired[0]));
    check(&controller, &zone, expect);
}

#[test]
fn change_of_any_field_of_an_endpoint_is_written() {
    let upsert = expect![[r#"
        UPSERT TXT a-shared eks-blueprint-blue 100 owner eks-blueprint-blue
        UPSERT A shared eks-blueprint-blue 100
    "#]];
    check_edit(
        values(30, "192.0.2.1"),
        |endpoint| endpoint.data = values(30, "192.0.2.2"),
        &upsert,
    );
    check_edit(
        values(30, "192.0.2.1"),
        |endpoint| endpoint.data = values(60, "192.0.2.1"),
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
            if let RecordData::Alias {
                evaluate_target_health,
                ..
            } = &mut endpoint.data
            {
                *evaluate_target_health = false;
            }
        },
        &upsert,
    );
    // A TTL is not compared if the endpoint has none, nor the spelling of a target.
    check_edit(
        values(30, "192.0.2.1"),
        |endpoint| endpoint.data = values(0, "192.0.2.1"),
        &expect![""],
    );
    check_edit(
        alias(),
        |endpoint| {
            if let RecordData::Alias { dns_name, .. } = &mut endpoint.data {
                *dns_name = dns_name.trim_end_matches('.').to_uppercase();
            }
        },
        &expect![""],
    );
    check_edit(
        alias(),
        |endpoint| endpoint.data = values(30, "192.0.2.1"),
        &expect![[r#"
            UPSERT TXT a-shared eks-blueprint-blue 100 owner eks-blueprint-blue
            DELETE A shared eks-blueprint-blue 100
            CREATE A shared eks-blueprint-blue 100
        "#]],
    );
}

#[test]
fn txt_of_a_record_at_the_apex_is_left_out() {
    let zone = Zone::blueprint();
    let mut apex = endpoint("x", RecordType::A, alias());
    apex.name = "eks-blueprint.example.com".parse().unwrap();
    let controller = Controller::new(Settings::new("other", Generation::OwnType), vec![apex]);
    check(
        &controller,
        &zone,
        &expect![[r#"
        CREATE A eks-blueprint.example.com eks-blueprint-blue 100
    "#]],
    );
}

#[test]
fn loop_keeps_a_history_and_counts_passes() {
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

struct UnreadableZone;

impl Provider for UnreadableZone {
    async fn record_sets(&self) -> Result<Vec<RecordSet>, String> {
        Err("throttled".into())
    }

    async fn change(&self, _: &[Change]) -> Result<(), String> {
        Err("never called".into())
    }
}

#[test]
fn unreadable_zone_is_not_changed() {
    let outcome = block_on(blue(&Zone::blueprint()).reconcile_once(&UnreadableZone));
    assert_eq!(outcome.unread.as_deref(), Some("throttled"));
    assert!(!outcome.is_quiet());
    assert!(outcome.changed.is_empty() && outcome.refused.is_empty());
}
