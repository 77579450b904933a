//! Migrations of names that ExternalDNS owns, while the model of ExternalDNS of both clusters makes a
//! pass in every wait.

use expect_test::expect;
use external_dns::{Action, Affix, Controller, Generation, Outcome, Policy, Provider, Settings};
use fakes::{FakeRoute53, Fault, LIST, record_sets_from_cli_json};
use interpreter::Failure;
use migration::dns::RecordName;
use migration::dns::{RecordData, RecordSet, RecordType};
use migration::external_dns::ExternalDns;
use migration::route53::Change;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Simulation;
use crate::invariants::{canary, of_one_name, replace_in_values, run};
use crate::zones::{BLUE, BURNHAM, GREEN, is_same};

/// The fake of Route 53 as the AWS provider of ExternalDNS.
pub(crate) struct Zone<'a>(pub(crate) &'a FakeRoute53);

impl Provider for Zone<'_> {
    async fn record_sets(&self) -> Result<Vec<RecordSet>, String> {
        Ok(self.0.record_sets())
    }

    async fn change(&self, changes: &[external_dns::Change]) -> Result<(), String> {
        let live = self.0.record_sets();
        let mut batch = Vec::new();
        for change in changes {
            let new = &change.record_set;
            match change.action {
                Action::Create => batch.push(Change::Create(new)),
                Action::Delete => batch.push(Change::Delete(new)),
                Action::Upsert => {
                    let old = live.iter().find(|live| is_same(live, new));
                    batch.extend(old.map(Change::Delete));
                    batch.push(Change::Create(new));
                }
            }
        }
        self.0.change_as_another_writer(&batch)
    }
}

/// A zone, and the ExternalDNS instances of two clusters that manage it.
pub(crate) struct Clusters {
    pub(crate) simulation: Simulation,
    pub(crate) blue: Controller,
    pub(crate) green: Controller,
}

impl Clusters {
    /// The blueprint zone. The instance of blue has an older version than that of green.
    pub(crate) fn blueprint() -> Self {
        Self::of(Simulation::blueprint())
    }

    /// The same instances, which find the zone as it is in `simulation`.
    pub(crate) fn of(simulation: Simulation) -> Self {
        let zone = record_sets_from_cli_json(crate::BLUEPRINT);
        Self {
            blue: Controller::of(Settings::new(BLUE, Generation::CnameForAlias), &zone),
            green: Controller::of(Settings::new(GREEN, Generation::OwnType), &zone),
            simulation,
        }
    }

    /// The records of the blueprint zone, with a registry that instances with these settings wrote.
    pub(crate) fn written_by(blue: Settings, green: Settings) -> Self {
        let mut clusters = Self::blueprint();
        let desired = [clusters.blue.desired(), clusters.green.desired()];
        let [blue_desired, green_desired] = desired;
        clusters.simulation.route53.edit(|record_sets| {
            record_sets.retain(|record_set| {
                let is_desired = |name: &RecordName, desired: &[external_dns::Endpoint]| {
                    desired.iter().any(|endpoint| endpoint.name == *name)
                };
                record_set.record_type != RecordType::Txt
                    && !is_desired(&record_set.name, &blue_desired)
            });
        });
        clusters.blue = Controller::new(blue, blue_desired);
        clusters.green = Controller::new(green, green_desired);
        let [created, also_created] = clusters.passes();
        assert!(created.refused.is_empty() && also_created.refused.is_empty());
        assert!(clusters.are_quiet());
        clusters
    }

    /// One pass of each instance.
    pub(crate) fn passes(&self) -> [Outcome; 2] {
        let zone = Zone(&self.simulation.route53);
        [&self.blue, &self.green].map(|controller| run(controller.reconcile_once(&zone)))
    }

    /// Makes one pass of each instance. Returns whether both found nothing to change.
    pub(crate) fn are_quiet(&self) -> bool {
        self.passes().iter().all(Outcome::is_quiet)
    }

    /// Makes one pass of each instance, and checks that both found nothing to change.
    #[track_caller]
    pub(crate) fn expect_quiet(&self) {
        for outcome in self.passes() {
            assert!(outcome.is_quiet(), "{outcome:#?}");
        }
    }

    /// Migrates, with one pass of each instance in every wait, which must find nothing to change.
    #[track_caller]
    pub(crate) fn migrate(&self, execution: &str, input: &Value) {
        let mut passes = 0;
        let quiet = || {
            self.expect_quiet();
            passes += 1;
        };
        self.simulation
            .migrate_watched(execution, input, quiet)
            .unwrap();
        assert!(passes > 1);
    }

    /// Releases, with one pass of each instance in every wait of the state machine, of which each is at
    /// most one interval long.
    pub(crate) fn release(&self, execution: &str) -> Result<Value, Failure> {
        self.simulation.release(execution, || {
            self.passes();
        })
    }

    /// Writes the weights that the migration reached into the annotations of both clusters.
    pub(crate) fn update_annotations(&self) {
        self.blue.set_all_weights(0);
        self.green.set_all_weights(100);
    }

    /// Checks that both instances own their records again: they can change each, and then delete it
    /// with its TXT.
    #[track_caller]
    pub(crate) fn expect_to_be_owned(&self) {
        self.blue.set_all_weights(1);
        self.green.set_all_weights(2);
        self.expect_passes_to_succeed();
        self.expect_quiet();
        self.blue.remove_all();
        self.green.remove_all();
        self.expect_passes_to_succeed();
        let left: Vec<_> = self
            .simulation
            .route53
            .record_sets()
            .into_iter()
            .filter(|record_set| record_set.record_type == RecordType::Txt)
            .collect();
        assert!(left.is_empty(), "{left:#?}");
    }

    #[track_caller]
    pub(crate) fn expect_passes_to_succeed(&self) {
        for outcome in self.passes() {
            assert!(outcome.refused.is_empty(), "{outcome:#?}");
            assert!(!outcome.changed.is_empty());
        }
    }

    /// All records except journals, with `EXECUTION` in place of the identity.
    fn records_leased_by(&self, execution: &str) -> Vec<RecordSet> {
        let identity = self.simulation.identity(execution).to_string();
        let mut record_sets = self.simulation.route53.record_sets();
        record_sets.retain(|record_set| record_set.name.journaled().is_none());
        replace_in_values(&mut record_sets, |_| true, &identity, "EXECUTION");
        record_sets
    }

    pub(crate) fn zone(&self) -> String {
        self.simulation.route53.to_cli_json()
    }

    pub(crate) fn weight(&self, name: &str, side: &str) -> u8 {
        let record_sets = self.simulation.route53.record_sets();
        let of_name = record_sets
            .iter()
            .filter(|record_set| record_set.name.as_str() == name);
        let mut weights = of_name.filter_map(|record_set| {
            let (identifier, weight) = record_set.weighted()?;
            (identifier.as_str() == side).then_some(weight)
        });
        weights.next().unwrap()
    }

    pub(crate) fn is_leased(&self, name: &str) -> bool {
        let registered = format!("-{name}");
        self.simulation
            .route53
            .record_sets()
            .iter()
            .any(|record_set| {
                record_set.name.as_str().ends_with(&registered)
                    && record_set
                        .values()
                        .iter()
                        .any(|value| value.contains("owner=cutover/"))
            })
    }
}

#[test]
fn a_migration_never_loses_a_weight_to_external_dns() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    assert_eq!(clusters.weight(BURNHAM, BLUE), 0);
    assert_eq!(clusters.weight(BURNHAM, GREEN), 100);
    clusters.expect_quiet();
}

#[test]
fn a_rollback_restores_the_zone_byte_for_byte() {
    for percent in [10, 50, 100] {
        let clusters = Clusters::blueprint();
        let before = clusters.zone();
        let is_reached = || {
            clusters.expect_quiet();
            clusters.weight(BURNHAM, GREEN) == percent
        };
        let migrated = clusters
            .simulation
            .migrate_until("run", &canary(), is_reached);
        assert_eq!(migrated.unwrap_err().error, "StoppedForRollback");
        assert_eq!(clusters.zone(), before);
        clusters.expect_quiet();
        clusters.expect_to_be_owned();
    }
}

/// Until the release all journals remain, including those of names without a registry TXT.
#[test]
fn a_completed_migration_can_be_rolled_back_until_it_is_released() {
    let clusters = Clusters::blueprint();
    let before = clusters.zone();
    clusters.migrate("run", &canary());
    clusters.simulation.roll_back_whole("run").unwrap();
    assert_eq!(clusters.zone(), before);
    clusters.expect_to_be_owned();
}

/// The migration does not write the weights again that ExternalDNS has put back.
#[test]
fn weights_that_external_dns_puts_back_without_a_lease_are_drift() {
    let clusters = Clusters::blueprint();
    let mut input = of_one_name();
    input["externalDns"] = json!({"mode": "ignore"});
    let planned = run(clusters.simulation.plan("run", &input)).unwrap();
    run(clusters.simulation.shift(&planned, 0)).unwrap();
    clusters.passes();
    assert_eq!(clusters.weight(BURNHAM, BLUE), 100);
    let reverted = clusters.zone();
    let error = run(clusters.simulation.confirm(&planned, 0, &json!([]))).unwrap_err();
    expect![[r#"
        Drift: another writer changed burnham.eks-blueprint.example.com: its weights (eks-blueprint-blue/eks-blueprint-green) are A 100/0 instead of 90/10, AAAA 100/0 instead of 90/10, which execution run last wrote; the writer was most likely ExternalDNS (owner eks-blueprint-blue, eks-blueprint-green), which puts weights back unless it runs with --policy=create-only or its names are leased (externalDns.mode): change one of these; then put the weights back and start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
    "#]]
        .assert_eq(&format!("{}: {error}\n", error.name()));
    assert_eq!(
        run(clusters.simulation.shift(&planned, 1)).unwrap_err(),
        error
    );
    assert_eq!(clusters.zone(), reverted);
}

/// ExternalDNS runs with `create-only`, and so changes no weight. The migration changes the weights of
/// the registry TXT as well, because ExternalDNS can delete a record only together with a TXT of the
/// same weight, once its policy is `sync` again.
#[test]
fn mode_ignore_keeps_owners_and_their_records_can_be_deleted_afterwards() {
    let mut clusters = Clusters::blueprint();
    let sync = clusters.blue.settings().clone();
    let desired = clusters.blue.desired();
    let create_only = |settings: &Settings| Settings {
        policy: Policy::CreateOnly,
        ..settings.clone()
    };
    clusters.blue = Controller::new(create_only(&sync), desired);
    let green = clusters.green.settings().clone();
    clusters.green = Controller::new(create_only(&green), clusters.green.desired());
    let mut input = canary();
    input["externalDns"] = json!({"mode": "ignore"});
    clusters.migrate("run", &input);
    assert!(!clusters.zone().contains("cutover"));
    clusters.blue = Controller::new(sync, clusters.blue.desired());
    clusters.green = Controller::new(green, clusters.green.desired());
    clusters.update_annotations();
    clusters.expect_quiet();
    clusters.expect_to_be_owned();
}

#[test]
fn a_lost_lease_is_drift() {
    let clusters = Clusters::blueprint();
    let planned = run(clusters.simulation.plan("run", &of_one_name())).unwrap();
    run(clusters.simulation.shift(&planned, 0)).unwrap();
    let owner = format!("owner=cutover/{}", clusters.simulation.identity("run"));
    clusters.simulation.route53.edit(|record_sets| {
        replace_in_values(record_sets, |_| true, &owner, "owner=eks-blueprint-blue");
    });
    let after = clusters.zone();
    let error = run(clusters.simulation.shift(&planned, 1)).unwrap_err();
    expect![[r#"
        Drift: the registry TXT aaaa-burnham.eks-blueprint.example.com has the owner eks-blueprint-blue, although execution run leased it from eks-blueprint-blue: ExternalDNS would put the weights back; find out who wrote it, then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
    assert_eq!(clusters.zone(), after);
}

/// An ExternalDNS, or another writer that put the journal back after a rollback, has taken the name over, so its
/// original weights may no longer be those in the journal.
#[test]
fn a_held_migration_with_a_lost_lease_is_not_adopted() {
    let clusters = Clusters::blueprint();
    let before = clusters.zone();
    let planned = run(clusters.simulation.plan("run", &of_one_name())).unwrap();
    run(clusters.simulation.shift(&planned, 0)).unwrap();
    let owner = format!("owner=cutover/{}", clusters.simulation.identity("run"));
    clusters.simulation.executions.abort("run");
    for other in [
        "owner=eks-blueprint-blue",
        "owner=cutover/0123456789abcdef/other",
    ] {
        let held = clusters.simulation.route53.record_sets();
        clusters.simulation.route53.edit(|record_sets| {
            replace_in_values(record_sets, |_| true, &owner, other);
        });
        let error = run(clusters.simulation.plan("next", &of_one_name())).unwrap_err();
        assert_eq!(error.name(), "Busy", "{error}");
        assert!(error.to_string().contains(&other[6..]), "{error}");
        clusters
            .simulation
            .route53
            .edit(|record_sets| *record_sets = held);
    }
    clusters.simulation.roll_back_whole("run").unwrap();
    assert_eq!(clusters.zone(), before);
    clusters.expect_to_be_owned();
}

#[test]
fn names_that_wait_for_their_release_are_busy_in_both_directions() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &of_one_name());
    let after = clusters.zone();
    let next = |from: &str, to: &str| {
        let mut input = of_one_name();
        (input["from"], input["to"]) = (json!(from), json!(to));
        run(clusters.simulation.plan("next", &input)).unwrap_err()
    };
    let error = next(BLUE, GREEN);
    expect![[r#"
        Busy: burnham.eks-blueprint.example.com is still leased by the execution run, which has completed (eks-blueprint-blue to eks-blueprint-green); release it: start the release state machine with {"execution": "run"}; or roll it back: start the rollback state machine with the same input
    "#]]
        .assert_eq(&format!("{}: {error}\n", error.name()));
    assert_eq!(next(GREEN, BLUE), error);
    assert_eq!(clusters.zone(), after);
}

/// For example the TXT of an AAAA record that was deleted by hand.
#[test]
fn a_registry_txt_without_a_record_is_not_leased() {
    let clusters = Clusters::blueprint();
    clusters.simulation.route53.edit(|record_sets| {
        record_sets.retain(|record_set| {
            record_set.name.as_str() != BURNHAM || record_set.record_type != RecordType::Aaaa
        });
    });
    let before = clusters.zone();
    clusters.simulation.migrate("run", &of_one_name()).unwrap();
    assert_eq!(clusters.zone().matches("owner=cutover/").count(), 2);
    clusters.simulation.roll_back_whole("run").unwrap();
    assert_eq!(clusters.zone(), before);
}

#[test]
fn two_owners_of_one_record_are_refused() {
    let clusters = Clusters::blueprint();
    clusters.simulation.route53.edit(|record_sets| {
        let is_text =
            |record_set: &&RecordSet| record_set.name.as_str().starts_with("cname-burnham");
        let mut text = record_sets.iter().find(is_text).unwrap().clone();
        text.name = "cname-burnham-.eks-blueprint.example.com".parse().unwrap();
        record_sets.push(text.clone());
        record_sets.retain(|it| !it.name.as_str().contains("-burnham."));
        text.name = "burnham-cname.eks-blueprint.example.com".parse().unwrap();
        if let RecordData::Values { values, .. } = &mut text.data {
            values[0] = values[0].replace("owner=eks-blueprint-blue", "owner=other");
        }
        record_sets.push(text);
    });
    let mut input = of_one_name();
    input["externalDns"] = json!({"from": {"txtSuffix": "-%{record_type}"}});
    let error = run(clusters.simulation.plan("run", &input)).unwrap_err();
    expect![[r#"
        InvalidInput: externalDns.from: two registry TXT records of eks-blueprint-blue for the same record of burnham.eks-blueprint.example.com have different owners, other and eks-blueprint-blue (cname-burnham-.eks-blueprint.example.com); delete the TXT record that is no longer used, or exclude the name
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
}

#[test]
fn a_rollback_of_one_completed_migration_does_not_touch_another() {
    let clusters = Clusters::blueprint();
    let mut first = canary();
    first["exclude"] = json!(["skiapp.*"]);
    clusters.migrate("first", &first);
    clusters.migrate(
        "second",
        &json!({
            "hostedZoneId": crate::ZONE_ID, "from": BLUE, "to": GREEN, "steps": [100],
            "names": ["skiapp.eks-blueprint.example.com"],
        }),
    );
    // As if the records of skiapp had been created after the start of `first`.
    first["exclude"] = json!([]);
    clusters.simulation.executions.set_input("first", first);
    clusters.simulation.roll_back_whole("first").unwrap();
    assert_eq!(clusters.weight(BURNHAM, GREEN), 0);
    assert_eq!(
        clusters.weight("skiapp.eks-blueprint.example.com", GREEN),
        100
    );
}

/// The pages of a listing are no snapshot: the TXT is read from before a step, and its name and journal
/// from after it.
#[test]
fn a_rollback_restores_txt_weights_when_the_zone_changes_between_two_pages() {
    let mut zone: Value = serde_json::from_str(crate::BLUEPRINT).unwrap();
    let record_sets = zone["ResourceRecordSets"].as_array_mut();
    let record_sets = match record_sets {
        Some(record_sets) => record_sets,
        None => zone.as_array_mut().unwrap(),
    };
    for number in 0..320 {
        record_sets.push(
            json!({"Name": format!("az{number:03}.eks-blueprint.example.com."), "Type": "A",
            "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.1"}]}),
        );
    }
    let simulation = Simulation::new(&zone.to_string());
    let before = simulation.route53.record_sets();
    let mut input = of_one_name();
    input["externalDns"] = json!({"mode": "ignore"});
    let planned = run(simulation.plan("run", &input)).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    let shifted = simulation.route53.record_sets();
    let unshifted = before.clone();
    simulation
        .route53
        .edit(|record_sets| *record_sets = unshifted);
    let shift = Fault::OtherWriter(Box::new(move |record_sets| *record_sets = shifted));
    simulation.route53.inject_fault_into(LIST, 1, shift);
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(simulation.route53.record_sets(), before);
}

/// With other flags the adopting execution would not find the leased registry TXT, and would never give
/// it back.
#[test]
fn adopting_a_lease_with_other_registry_flags_is_refused() {
    let clusters = Clusters::blueprint();
    let planned = run(clusters.simulation.plan("run", &of_one_name())).unwrap();
    run(clusters.simulation.shift(&planned, 0)).unwrap();
    clusters.simulation.executions.abort("run");
    let mut input = of_one_name();
    // It makes the same names of these records.
    input["externalDns"] = json!({"to": {"txtPrefix": "%{record_type}-"}});
    let error = run(clusters.simulation.plan("next", &input)).unwrap_err();
    expect![[r#"
        InvalidInput: externalDns.to: burnham.eks-blueprint.example.com was leased by an execution for which the registry TXT records were named by {"txtPrefix": ""}, and this one has {"txtPrefix": "%{record_type}-"}; write the same into externalDns.to
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
}

/// The owner in an encrypted TXT cannot be replaced. Without a lease only its weight is changed.
#[test]
fn an_encrypted_registry_is_refused_unless_it_is_ignored() {
    let clusters = Clusters::blueprint();
    clusters.simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            if record_set.name.as_str().contains("-burnham")
                && let RecordData::Values { values, .. } = &mut record_set.data
            {
                *values = vec![format!(
                    "\"{}\"",
                    "h8UQ6jelUFUsEIn7SbFktc2MYXPx/q8lySqI4VwNfVp6Lg8m"
                )];
            }
        }
    });
    let before = clusters.zone();
    let error = run(clusters.simulation.plan("run", &canary())).unwrap_err();
    expect![[r#"
        InvalidInput: externalDns.mode: the registry TXT aaaa-burnham.eks-blueprint.example.com is encrypted (--txt-encrypt-enabled) and can't be leased; run the ExternalDNS of eks-blueprint-blue with --policy=create-only during the migration and set externalDns.mode to "ignore", or exclude the name
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
    let mut input = of_one_name();
    input["externalDns"] = json!({"mode": "ignore"});
    clusters.simulation.migrate("run", &input).unwrap();
    let texts = |record_sets: Vec<RecordSet>| -> Vec<_> {
        let texts = record_sets.into_iter();
        let of_burnham = texts.filter(|text| text.name.as_str().contains("-burnham"));
        of_burnham.map(|text| text.weighted().unwrap().1).collect()
    };
    let weights: Vec<u8> = texts(clusters.simulation.route53.record_sets());
    assert_eq!(weights, [100, 0, 100, 0]);
    assert!(before.contains("h8UQ6jel"));
}

#[test]
fn a_lease_without_a_journal_is_not_adopted() {
    let clusters = Clusters::blueprint();
    let planned = run(clusters.simulation.plan("run", &of_one_name())).unwrap();
    run(clusters.simulation.shift(&planned, 0)).unwrap();
    clusters
        .simulation
        .route53
        .edit(|record_sets| record_sets.retain(|record_set| record_set.name.journaled().is_none()));
    let error = run(clusters.simulation.plan("next", &of_one_name())).unwrap_err();
    expect![[r#"
        Busy: the registry TXT aaaa-burnham.eks-blueprint.example.com is leased by a migration, but no journal has its original owner; write the owner id of the ExternalDNS of eks-blueprint-blue back into it
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
}

/// A string of a TXT has at most 255 bytes, and the name of an execution up to 80.
#[test]
fn a_long_execution_name_is_shortened_to_fit_into_the_registry_txt() {
    let clusters = Clusters::blueprint();
    let resource = format!("ingress/{}/{}", "n".repeat(63), "i".repeat(80));
    clusters.simulation.route53.edit(|record_sets| {
        replace_in_values(
            record_sets,
            |record_set| record_set.name.as_str().contains("-burnham"),
            "ingress/team-burnham/burnham-ingress",
            &resource,
        );
    });
    let before = clusters.zone();
    let execution = "e".repeat(80);
    let planned = run(clusters.simulation.plan(&execution, &of_one_name())).unwrap();
    run(clusters.simulation.shift(&planned, 0)).unwrap();
    assert!(clusters.is_leased(BURNHAM));
    run(clusters.simulation.confirm(&planned, 0, &json!([]))).unwrap();
    clusters.simulation.roll_back_whole(&execution).unwrap();
    assert_eq!(clusters.zone(), before);
}

#[test]
fn a_registry_txt_without_room_for_a_lease_is_refused() {
    let clusters = Clusters::blueprint();
    let value = "heritage=external-dns,external-dns/owner=eks,external-dns/resource=ingress/n/";
    let value = format!("\"{value}{}\"", "i".repeat(255 - value.len()));
    clusters.simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            if record_set.name.as_str().starts_with("cname-burnham")
                && let RecordData::Values { values, .. } = &mut record_set.data
            {
                *values = vec![value.clone()];
            }
        }
    });
    let error = run(clusters.simulation.plan("run", &of_one_name())).unwrap_err();
    expect![[r#"
        InvalidInput: externalDns.mode: the registry TXT cname-burnham.eks-blueprint.example.com can't be leased, because its value would have more than 255 characters; shorten the name of the Ingress or Service, or exclude the name
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
}

/// The keys of a value may have any order, and the types of one side may have different owners.
#[test]
fn each_registry_txt_gets_its_own_owner_back() {
    let clusters = Clusters::blueprint();
    clusters.simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            let owner = match record_set.name.as_str().split_once("-burnham") {
                Some(("aaaa", _)) => "someone=else",
                Some(_) => "eks-blueprint-blue",
                None => continue,
            };
            if let RecordData::Values { values, .. } = &mut record_set.data {
                *values = vec![format!(
                    "\"external-dns/resource=ingress/a/b,external-dns/owner={owner},other=x,heritage=external-dns\""
                )];
            }
        }
    });
    let before = clusters.zone();
    let planned = run(clusters.simulation.plan("run", &of_one_name())).unwrap();
    expect![[r#"
        {
          "eks-blueprint-blue": {
            "A": {
              "eks-blueprint-blue": 1
            },
            "AAAA": {
              "someone=else": 1
            }
          },
          "eks-blueprint-green": {
            "A": {
              "eks-blueprint-blue": 1
            },
            "AAAA": {
              "someone=else": 1
            }
          }
        }
    "#]]
    .assert_eq(&format!("{:#}\n", planned["plan"]["externalDnsOwners"]));
    run(clusters.simulation.shift(&planned, 0)).unwrap();
    assert_eq!(clusters.zone().matches("/run,other=x").count(), 4);
    clusters.simulation.roll_back_whole("run").unwrap();
    assert_eq!(clusters.zone(), before);
}

fn affix(affix: &Affix, wildcard_replacement: &str) -> Value {
    let (prefix, suffix) = match affix {
        Affix::None => ("", ""),
        Affix::Prefix(prefix) => (prefix.as_str(), ""),
        Affix::Suffix(suffix) => ("", suffix.as_str()),
    };
    json!({"txtPrefix": prefix, "txtSuffix": suffix, "txtWildcardReplacement": wildcard_replacement})
}

/// For pairs of instances of different versions and flags.
#[test]
fn every_registry_naming_is_leased_and_released() {
    let namings = [
        (Generation::WithUntyped, Affix::None, ""),
        (
            Generation::WithUntyped,
            Affix::Prefix("txt.".into()),
            "star",
        ),
        (Generation::CnameForAlias, Affix::None, ""),
        (
            Generation::CnameForAlias,
            Affix::Prefix("Own-%{record_type}-".into()),
            "",
        ),
        (Generation::OwnType, Affix::None, "any"),
        (
            Generation::OwnType,
            Affix::Prefix("%{record_type}.reg.".into()),
            "",
        ),
        (
            Generation::OwnType,
            Affix::Suffix("-%{record_type}.reg".into()),
            "wild",
        ),
        (Generation::OwnType, Affix::Suffix("-txt".into()), "wild"),
    ];
    for (number, (generation, of_blue, blue_star)) in namings.iter().enumerate() {
        let (other_generation, of_green, green_star) = &namings[(number + 3) % namings.len()];
        let settings = |owner: &str, generation: &Generation, affix: &Affix, star: &str| Settings {
            affix: affix.clone(),
            wildcard_replacement: star.to_owned(),
            ..Settings::new(owner, *generation)
        };
        let clusters = Clusters::written_by(
            settings("blue", generation, of_blue, blue_star),
            settings("green", other_generation, of_green, green_star),
        );
        let before = clusters.zone();
        let mut input = canary();
        // The zone shows the flags.
        let untold = run(clusters.simulation.plan("untold", &input)).unwrap();
        assert_eq!(untold["plan"]["leased"], 5, "{of_blue:?} {of_green:?}");
        input["externalDns"] = json!({
            "from": affix(of_blue, blue_star), "to": affix(of_green, green_star),
        });
        let planned = run(clusters.simulation.plan("dry", &input)).unwrap();
        assert_eq!(planned["plan"]["leased"], 5, "{input}");
        clusters.migrate("run", &input);
        let migrated = clusters.records_leased_by("run");
        clusters.simulation.roll_back_whole("run").unwrap();
        assert_eq!(clusters.zone(), before, "{input}");

        clusters.migrate("again", &input);
        assert_eq!(clusters.records_leased_by("again"), migrated);
        clusters.update_annotations();
        clusters.release("again").unwrap();
        clusters.expect_quiet();
        assert!(!clusters.zone().contains("cutover"));
    }
}

proptest! {
    /// For random flags and labels.
    #[test]
    fn registry_names_match_the_model_of_external_dns(
        affix_text in prop_oneof![
            "[a-z_.-]{0,6}",
            "[a-z_.-]{0,4}%\\{record_type\\}[a-z_.-]{0,4}",
        ],
        is_suffix: bool,
        star in prop_oneof![Just(String::new()), "[a-z]{1,5}"],
        label in prop_oneof![Just("*".to_owned()), "[a-z]{1,4}(-[a-z]{1,4})?", "(a|aaaa|cname|ns)-[a-z]{1,3}"],
    ) {
        let text_affix = match (affix_text.as_str(), is_suffix) {
            ("", _) => Affix::None,
            (text, true) => Affix::Suffix(text.to_owned()),
            (text, false) => Affix::Prefix(text.to_owned()),
        };
        let mapper = external_dns::NameMapper::new(&text_affix, &star);
        let flags: ExternalDns = serde_json::from_value(json!({"from": affix(&text_affix, &star)})).unwrap();
        let name = format!("{label}.example.com");
        let places = flags.from.record_names(&name.parse().unwrap());
        for record_type in RecordType::MOVED {
            let text_name = mapper.text_name(&name, &record_type);
            let Ok(place) = text_name.parse::<RecordName>() else { continue };
            let read = mapper.record_of(&text_name);
            let registered = if label == "*" && !star.is_empty() { format!("{star}.example.com") } else { name.clone() };
            let is_read_back = read == Some((registered, Some(record_type.clone())));
            let is_known = places.iter().any(|(form, known)| form.as_str() == record_type.as_str() && *known == place);
            prop_assert_eq!(is_known, is_read_back, "{} {}", text_name, record_type);
        }
    }
}
