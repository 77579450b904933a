//! Migrations of names that belong to ExternalDNS, with the model's instances of both clusters at
//! work between any two calls.

use expect_test::expect;
use external_dns::{Action, Affix, Controller, Generation, Outcome, Policy, Provider, Settings};
use migration::fake::{FakeRoute53, Fault};
use migration::record::{Answer, RecordSet, RecordType};
use migration::registry::ExternalDns;
use migration::route53::Change;
use migration::{Error, RecordName};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::Simulation;
use crate::invariants::{canary, of_one_name, replace_in_values, run};
use crate::zones::{BLUE, GREEN, is_same};

pub(crate) const BURNHAM: &str = "burnham.eks-blueprint.example.com";

/// The fake of Route 53 as ExternalDNS writes to it.
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
        self.0.change_by_another(&batch)
    }
}

/// A zone in which two clusters' instances of ExternalDNS work.
pub(crate) struct Clusters {
    pub(crate) simulation: Simulation,
    pub(crate) blue: Controller,
    pub(crate) green: Controller,
}

impl Clusters {
    /// The blueprint's zone and its instances: blue's of an older version than green's.
    pub(crate) fn blueprint() -> Self {
        let simulation = Simulation::blueprint();
        let zone = simulation.route53.record_sets();
        Self {
            blue: Controller::of(Settings::new(BLUE, Generation::CnameForAlias), &zone),
            green: Controller::of(Settings::new(GREEN, Generation::OwnType), &zone),
            simulation,
        }
    }

    /// The blueprint's records in a zone in which these instances have written the registry.
    pub(crate) fn written_by(blue: Settings, green: Settings) -> Self {
        let mut clusters = Self::blueprint();
        let desired = [clusters.blue.desired(), clusters.green.desired()];
        let [blue_desired, green_desired] = desired;
        clusters.simulation.route53.edit(|record_sets| {
            record_sets.retain(|record_set| {
                let of = |name: &RecordName, of: &[external_dns::Endpoint]| {
                    of.iter().any(|endpoint| endpoint.name == *name)
                };
                record_set.record_type != RecordType::Txt && !of(&record_set.name, &blue_desired)
            });
        });
        clusters.blue = Controller::new(blue, blue_desired);
        clusters.green = Controller::new(green, green_desired);
        let [created, also_created] = clusters.passes();
        assert!(created.refused.is_empty() && also_created.refused.is_empty());
        assert!(clusters.are_quiet());
        clusters
    }

    /// One pass of each.
    pub(crate) fn passes(&self) -> [Outcome; 2] {
        let zone = Zone(&self.simulation.route53);
        [&self.blue, &self.green].map(|controller| run(controller.reconcile_once(&zone)))
    }

    /// Whether both find nothing to do.
    pub(crate) fn are_quiet(&self) -> bool {
        self.passes().iter().all(Outcome::is_quiet)
    }

    /// Both find nothing to do.
    #[track_caller]
    pub(crate) fn expect_quiet(&self) {
        for outcome in self.passes() {
            assert!(outcome.is_quiet(), "{outcome:#?}");
        }
    }

    #[track_caller]
    pub(crate) fn migrate(&self, execution: &str, input: &Value) {
        let quiet = async || {
            let zone = Zone(&self.simulation.route53);
            for controller in [&self.blue, &self.green] {
                let outcome = controller.reconcile_once(&zone).await;
                assert!(outcome.is_quiet(), "{outcome:#?}");
            }
        };
        let migrated = self.simulation.migrate_watched(execution, input, quiet);
        run(migrated).unwrap();
    }

    /// Releases, with two passes of each controller after every call.
    pub(crate) fn release(&self, execution: &str) -> Result<(), Error> {
        let passes = async || {
            let zone = Zone(&self.simulation.route53);
            for _ in 0..2 {
                self.blue.reconcile_once(&zone).await;
                self.green.reconcile_once(&zone).await;
            }
        };
        run(self.simulation.release(execution, passes))
    }

    /// Somebody writes the reached weights into both clusters' annotations.
    pub(crate) fn update_annotations(&self) {
        self.blue.set_all_weights(0);
        self.green.set_all_weights(100);
    }

    /// Both instances can change their records, and then delete each of them with its TXT.
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

    pub(crate) fn zone(&self) -> String {
        self.simulation.route53.to_cli_json()
    }

    pub(crate) fn weight(&self, name: &str, side: &str) -> u8 {
        let record_sets = self.simulation.route53.record_sets();
        let of_it = record_sets
            .iter()
            .filter(|record_set| record_set.name.as_str() == name);
        let mut weights = of_it.filter_map(|record_set| {
            let (of, weight) = record_set.weighted()?;
            (of.as_str() == side).then_some(weight)
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
fn a_rollback_gives_the_zone_back_byte_for_byte() {
    for steps in 1..=3 {
        let clusters = Clusters::blueprint();
        let before = clusters.zone();
        let planned = run(clusters.simulation.plan("run", &canary())).unwrap();
        for step in 0..steps {
            run(clusters.simulation.shift("run", &planned, step)).unwrap();
            clusters.expect_quiet();
        }
        run(clusters.simulation.roll_back_whole("run")).unwrap();
        assert_eq!(clusters.zone(), before);
        clusters.expect_quiet();
        clusters.expect_to_be_owned();
    }
}

/// Invariant 7 holds until the release: the journals stay, those of names without a registry TXT too.
#[test]
fn a_completed_migration_can_be_rolled_back_until_it_is_released() {
    let clusters = Clusters::blueprint();
    let before = clusters.zone();
    clusters.migrate("run", &canary());
    run(clusters.simulation.roll_back_whole("run")).unwrap();
    assert_eq!(clusters.zone(), before);
    clusters.expect_to_be_owned();
}

/// The fight that there is without the lease, and that is not taken up.
#[test]
fn without_the_lease_the_fight_is_caught_as_drift() {
    let clusters = Clusters::blueprint();
    let mut input = of_one_name();
    input["externalDns"] = json!({"mode": "ignore"});
    let planned = run(clusters.simulation.plan("run", &input)).unwrap();
    run(clusters.simulation.shift("run", &planned, 0)).unwrap();
    clusters.passes();
    assert_eq!(clusters.weight(BURNHAM, BLUE), 100);
    let reverted = clusters.zone();
    let error = run(clusters.simulation.confirm("run", &planned, &json!([]))).unwrap_err();
    expect![[r#"
            Drift: another writer changed burnham.eks-blueprint.example.com: found the weights (eks-blueprint-blue/eks-blueprint-green) A 100/0 instead of 90/10, AAAA 100/0 instead of 90/10, as execution run last wrote them; most likely ExternalDNS, which owns its records (owner eks-blueprint-blue, eks-blueprint-green) and puts weights back unless it runs with --policy=create-only or its names are leased (externalDns.mode); then put the weights back and start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        "#]]
        .assert_eq(&format!("{}: {error}\n", error.name()));
    assert_eq!(
        run(clusters.simulation.shift("run", &planned, 1)).unwrap_err(),
        error
    );
    assert_eq!(clusters.zone(), reverted);
}

/// With create-only nothing is leased and nothing is fought over; the weights of the registry TXT
/// follow all the same, so that the records can be deleted once the policy is sync again.
#[test]
fn ignored_owners_stay_and_their_records_can_be_deleted_afterwards() {
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
fn a_lease_that_is_lost_is_drift() {
    let clusters = Clusters::blueprint();
    let planned = run(clusters.simulation.plan("run", &of_one_name())).unwrap();
    run(clusters.simulation.shift("run", &planned, 0)).unwrap();
    clusters.simulation.route53.edit(|record_sets| {
        replace_in_values(
            record_sets,
            |_| true,
            "owner=cutover/run",
            "owner=eks-blueprint-blue",
        );
    });
    let after = clusters.zone();
    let error = run(clusters.simulation.shift("run", &planned, 1)).unwrap_err();
    expect![[r#"
        Drift: the registry TXT aaaa-burnham.eks-blueprint.example.com names the ExternalDNS eks-blueprint-blue as owner, although execution run leased it (from eks-blueprint-blue): its weights would be put back; find out who wrote, then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
    assert_eq!(clusters.zone(), after);
}

/// What goes on from it leases the name anew.
#[test]
fn a_lease_that_was_lost_is_taken_up_by_the_next_execution() {
    let clusters = Clusters::blueprint();
    let before = clusters.zone();
    let planned = run(clusters.simulation.plan("run", &of_one_name())).unwrap();
    run(clusters.simulation.shift("run", &planned, 0)).unwrap();
    clusters.simulation.route53.edit(|record_sets| {
        let is_blue = |record_set: &RecordSet| {
            record_set
                .weighted()
                .is_some_and(|(side, _)| side.as_str() == BLUE)
        };
        replace_in_values(
            record_sets,
            is_blue,
            "owner=cutover/run",
            "owner=eks-blueprint-blue",
        );
    });
    clusters.simulation.executions.abort("run");
    run(clusters.simulation.migrate("next", &of_one_name())).unwrap();
    assert_eq!(clusters.zone().matches("owner=cutover/next").count(), 4);
    run(clusters.simulation.roll_back_whole("next")).unwrap();
    assert_eq!(clusters.zone(), before);
    clusters.expect_to_be_owned();
}

#[test]
fn a_migration_that_is_not_released_is_in_nobodys_way() {
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
        Busy: burnham.eks-blueprint.example.com waits for the release of the execution run, which has completed (eks-blueprint-blue to eks-blueprint-green); release it: start the release state machine with {"execution": "run"}; or roll it back: start the rollback state machine with the same
    "#]]
        .assert_eq(&format!("{}: {error}\n", error.name()));
    assert_eq!(next(GREEN, BLUE), error);
    assert_eq!(clusters.zone(), after);
}

/// A load balancer has no IPv6 addresses any more, and its AAAA record's TXT stayed.
#[test]
fn a_registry_txt_without_a_record_is_left_alone() {
    let clusters = Clusters::blueprint();
    clusters.simulation.route53.edit(|record_sets| {
        record_sets.retain(|record_set| {
            record_set.name.as_str() != BURNHAM || record_set.record_type != RecordType::Aaaa
        });
    });
    let before = clusters.zone();
    run(clusters.simulation.migrate("run", &of_one_name())).unwrap();
    assert_eq!(clusters.zone().matches("owner=cutover/run").count(), 2);
    run(clusters.simulation.roll_back_whole("run")).unwrap();
    assert_eq!(clusters.zone(), before);
}

#[test]
fn two_owners_of_one_record_are_refused() {
    let clusters = Clusters::blueprint();
    clusters.simulation.route53.edit(|record_sets| {
        let is_it = |record_set: &&RecordSet| record_set.name.as_str().starts_with("cname-burnham");
        let mut text = record_sets.iter().find(is_it).unwrap().clone();
        text.name = "cname-burnham-.eks-blueprint.example.com".parse().unwrap();
        record_sets.push(text.clone());
        text.name = "burnham-cname.eks-blueprint.example.com".parse().unwrap();
        if let Answer::Values { values, .. } = &mut text.answer {
            values[0] = values[0].replace("owner=eks-blueprint-blue", "owner=other");
        }
        record_sets.push(text);
    });
    let mut input = of_one_name();
    input["externalDns"] = json!({"from": {"txtSuffix": "-%{record_type}"}});
    let error = run(clusters.simulation.plan("run", &input)).unwrap_err();
    expect![[r#"
        InvalidInput: externalDns.from: two registry TXT records for the same record of burnham.eks-blueprint.example.com and eks-blueprint-blue name different owners, other and eks-blueprint-blue (cname-burnham-.eks-blueprint.example.com); delete the one that is not used any more, or exclude the name
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
}

/// Each of two completed migrations is rolled back by itself.
#[test]
fn a_rollback_of_one_completed_migration_leaves_another_one() {
    let clusters = Clusters::blueprint();
    let mut first = canary();
    first["exclude"] = json!(["skiapp.*"]);
    clusters.migrate(
        "second",
        &json!({
            "hostedZoneId": crate::ZONE_ID, "from": BLUE, "to": GREEN, "steps": [100],
            "names": ["skiapp.eks-blueprint.example.com"],
        }),
    );
    clusters.migrate("first", &first);
    // As if skiapp had got its records after the first one's start.
    first["exclude"] = json!([]);
    clusters.simulation.executions.start("first", first);
    clusters.simulation.executions.succeed("first");
    run(clusters.simulation.roll_back_whole("first")).unwrap();
    assert_eq!(clusters.weight(BURNHAM, GREEN), 0);
    assert_eq!(
        clusters.weight("skiapp.eks-blueprint.example.com", GREEN),
        100
    );
}

/// A TXT on an earlier page was read before a step that its name and journal show already.
#[test]
fn a_rollback_restores_txt_weights_of_a_torn_read() {
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
    run(simulation.shift("run", &planned, 0)).unwrap();
    let shifted = simulation.route53.record_sets();
    let unshifted = before.clone();
    simulation
        .route53
        .edit(|record_sets| *record_sets = unshifted);
    // The zone, its first page, then the second.
    let second_page = simulation.route53.calls() + 2;
    let shift = Fault::OtherWriter(Box::new(move |record_sets| *record_sets = shifted));
    simulation.route53.on_call(second_page, shift);
    run(simulation.roll_back_whole("run")).unwrap();
    assert_eq!(simulation.route53.record_sets(), before);
}

/// Records that another execution took over with other flags would never be given back.
#[test]
fn what_was_leased_is_gone_on_with_by_the_same_flags_only() {
    let clusters = Clusters::blueprint();
    let planned = run(clusters.simulation.plan("run", &of_one_name())).unwrap();
    run(clusters.simulation.shift("run", &planned, 0)).unwrap();
    clusters.simulation.executions.abort("run");
    let mut input = of_one_name();
    input["externalDns"] = json!({"to": {"txtPrefix": "own-"}});
    let error = run(clusters.simulation.plan("next", &input)).unwrap_err();
    expect![[r#"
        InvalidInput: externalDns.to: burnham.eks-blueprint.example.com was leased by an execution with another txtPrefix, txtSuffix or txtWildcardReplacement; give this execution the same ones
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
}

/// A TXT that can't be read can't be leased; its weight follows without a lease.
#[test]
fn an_encrypted_registry_is_refused_unless_it_is_ignored() {
    let clusters = Clusters::blueprint();
    clusters.simulation.route53.edit(|record_sets| {
        for record_set in record_sets {
            if record_set.name.as_str().contains("-burnham")
                && let Answer::Values { values, .. } = &mut record_set.answer
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
        InvalidInput: externalDns.mode: the registry TXT aaaa-burnham.eks-blueprint.example.com can't be read, as it is encrypted (--txt-encrypt-enabled), so it can't be leased; run the ExternalDNS of eks-blueprint-blue with --policy=create-only during the migration and set externalDns.mode to "ignore", or exclude the name
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
    let mut input = of_one_name();
    input["externalDns"] = json!({"mode": "ignore"});
    run(clusters.simulation.migrate("run", &input)).unwrap();
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
fn a_lease_without_a_journal_is_not_taken_over() {
    let clusters = Clusters::blueprint();
    let planned = run(clusters.simulation.plan("run", &of_one_name())).unwrap();
    run(clusters.simulation.shift("run", &planned, 0)).unwrap();
    clusters
        .simulation
        .route53
        .edit(|record_sets| record_sets.retain(|record_set| record_set.name.journaled().is_none()));
    let error = run(clusters.simulation.plan("next", &of_one_name())).unwrap_err();
    expect![[r#"
        Busy: the registry TXT aaaa-burnham.eks-blueprint.example.com is leased by a migration, but no journal says whom it named before; write the owner id of the ExternalDNS of eks-blueprint-blue back into it
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
}

/// A TXT's string holds 255 bytes, and an execution's name may have 80.
#[test]
fn a_long_name_of_an_execution_is_cut_where_it_does_not_fit() {
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
    run(clusters.simulation.shift(&execution, &planned, 0)).unwrap();
    assert!(clusters.is_leased(BURNHAM));
    run(clusters
        .simulation
        .confirm(&execution, &planned, &json!([])))
    .unwrap();
    run(clusters.simulation.roll_back_whole(&execution)).unwrap();
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
                && let Answer::Values { values, .. } = &mut record_set.answer
            {
                *values = vec![value.clone()];
            }
        }
    });
    let error = run(clusters.simulation.plan("run", &of_one_name())).unwrap_err();
    expect![[r#"
        InvalidInput: externalDns.mode: the registry TXT cname-burnham.eks-blueprint.example.com can't be leased, as its value would have more than 255 characters; shorten the name of the Ingress or Service, or exclude the name
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
}

/// The keys of a value may stand in any order, and types of one side may have owners of their own.
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
            if let Answer::Values { values, .. } = &mut record_set.answer {
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
    run(clusters.simulation.shift("run", &planned, 0)).unwrap();
    assert_eq!(
        clusters.zone().matches("owner=cutover/run,other=x").count(),
        4
    );
    run(clusters.simulation.roll_back_whole("run")).unwrap();
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

/// Whatever the versions and flags of the two instances: the names are leased, released, and
/// afterwards owned as before.
#[test]
fn every_form_of_registry_is_leased_and_released() {
    let forms = [
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
    for (number, (generation, of_blue, blue_star)) in forms.iter().enumerate() {
        let (other_generation, of_green, green_star) = &forms[(number + 3) % forms.len()];
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
        input["externalDns"] = json!({
            "from": affix(of_blue, blue_star), "to": affix(of_green, green_star),
        });
        let planned = run(clusters.simulation.plan("dry", &input)).unwrap();
        assert_eq!(planned["plan"]["leased"], 5, "{input}");
        clusters.migrate("run", &input);
        let migrated = clusters.zone();
        run(clusters.simulation.roll_back_whole("run")).unwrap();
        assert_eq!(clusters.zone(), before, "{input}");

        clusters.migrate("again", &input);
        assert_eq!(
            clusters
                .zone()
                .replace("/again", "/run")
                .replace("=again", "=run"),
            migrated
        );
        clusters.update_annotations();
        clusters.release("again").unwrap();
        clusters.expect_quiet();
        assert!(!clusters.zone().contains("cutover"));
    }
}

proptest! {
    /// The names of registry TXT are the model's, whatever the flags.
    #[test]
    fn registry_names_are_those_of_external_dns(
        affix_text in prop_oneof![
            "[a-z_.-]{0,6}",
            "[a-z_.-]{0,4}%\\{record_type\\}[a-z_.-]{0,4}",
        ],
        is_suffix: bool,
        star in prop_oneof![Just(String::new()), "[a-z]{1,5}"],
        label in prop_oneof![Just("*".to_owned()), "[a-z]{1,4}(-[a-z]{1,4})?", "(a|aaaa|cname|ns)-[a-z]{1,3}"],
    ) {
        let of = match (affix_text.as_str(), is_suffix) {
            ("", _) => Affix::None,
            (text, true) => Affix::Suffix(text.to_owned()),
            (text, false) => Affix::Prefix(text.to_owned()),
        };
        let mapper = external_dns::NameMapper::new(&of, &star);
        let flags: ExternalDns = serde_json::from_value(json!({"from": affix(&of, &star)})).unwrap();
        let name = format!("{label}.example.com");
        let places = flags.from.places(&name.parse().unwrap());
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
