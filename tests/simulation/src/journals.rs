//! Journals that another writer has deleted, edited or replaced: a plan refuses them, and a running
//! migration reports them as drift.

use std::fmt::Write as _;

use expect_test::expect;
use fakes::FakeSigningKeys;
use migration::Error;
use migration::dns::{RecordData, RecordSet, Routing};
use migration::journal::{Journal, SigningKeys};
use serde_json::{Value, json};

use crate::Simulation;
use crate::invariants::{canary, of_one_name, replace_in_values, run, write_journals};
use crate::zones::{BLUE, BURNHAM, GREEN};

const JOURNAL: &str = "_cutover.burnham.eks-blueprint.example.com";

/// What happens to the journal of one name, which execution `run` has written.
type Edit = fn(&Simulation);

fn is_journal(record_set: &RecordSet) -> bool {
    record_set.name.as_str() == JOURNAL
}

fn replace(simulation: &Simulation, from: &str, to: &str) {
    simulation
        .route53
        .edit(|record_sets| replace_in_values(record_sets, is_journal, from, to));
}

fn set_values(record_sets: &mut [RecordSet], new: &[&str]) {
    for record_set in record_sets.iter_mut().filter(|it| is_journal(it)) {
        if let RecordData::Values { values, .. } = &mut record_set.data {
            *values = new.iter().map(|value| (*value).to_owned()).collect();
        }
    }
}

/// As if this stack had written another journal.
fn sign_again(simulation: &Simulation, change: impl Fn(&mut Journal)) {
    let key = run(simulation.world.signing_keys.borrow().signing_key()).unwrap();
    simulation.route53.edit(|record_sets| {
        write_journals(record_sets, is_journal, &key, &change);
    });
}

/// As if another execution of this stack had written the journal.
fn written_by(simulation: &Simulation, execution: &str) {
    let execution = simulation.identity(execution);
    sign_again(simulation, |journal| journal.execution = execution.clone());
}

/// Every kind of journal that is not as the execution wrote it.
const EDITS: [(&str, Edit); 17] = [
    ("gone", |it| {
        it.route53
            .edit(|record_sets| record_sets.retain(|record_set| !is_journal(record_set)));
    }),
    ("another text", |it| {
        it.route53
            .edit(|record_sets| set_values(record_sets, &["\"hello\""]));
    }),
    ("two values", |it| {
        it.route53.edit(|record_sets| {
            set_values(record_sets, &["\"cutover=2\"", "\"execution=run\""]);
        });
    }),
    ("a later format", |it| {
        replace(it, "cutover=2", "cutover=3");
    }),
    ("the format without a signature", |it| {
        replace(it, "cutover=2", "cutover=1");
    }),
    ("without a signature", |it| {
        replace(it, " \"signature=", " \"s=");
    }),
    ("an edited original weight", |it| {
        replace(it, "original.A=100/0", "original.A=0/255");
    }),
    ("a field too many", |it| {
        replace(it, "\"sequence=", "\"colour=blue\" \"sequence=");
    }),
    ("of another name", |it| {
        let record_sets = it.route53.record_sets();
        let mut journals = record_sets
            .iter()
            .filter(|it| it.name.journaled().is_some());
        let other = journals.find(|it| !is_journal(it)).unwrap().values();
        let other: Vec<_> = other.iter().map(String::as_str).collect();
        it.route53
            .edit(|record_sets| set_values(record_sets, &other));
    }),
    ("of another stack", |it| {
        let other = run(FakeSigningKeys::of_stack(1).signing_key()).unwrap();
        it.route53.edit(|record_sets| {
            write_journals(record_sets, is_journal, &other, &|_| {});
        });
    }),
    ("weighted", |it| {
        it.route53.edit(|record_sets| {
            for record_set in record_sets.iter_mut().filter(|it| is_journal(it)) {
                record_set.routing = Routing::Weighted {
                    set_identifier: BLUE.parse().unwrap(),
                    weight: 1,
                };
            }
        });
    }),
    ("of a running execution", |it| written_by(it, "running")),
    ("of a failed execution", |it| written_by(it, "failed")),
    ("of a completed execution", |it| written_by(it, "succeeded")),
    ("of an unknown execution", |it| {
        sign_again(it, |journal| {
            journal.execution = "0123456789abcdef/run".parse().unwrap();
        });
    }),
    ("other weights", |it| {
        sign_again(it, |journal| {
            let weights = journal.written.values_mut().next().unwrap();
            weights.from = 190;
        });
    }),
    ("without an owner", |it| {
        sign_again(it, |journal| {
            journal.saved_owners.to.owners.pop_last();
        });
    }),
];

/// A migration that has reached the first `steps` steps, before `edit` of a journal.
fn edited_after(steps: usize, edit: Edit) -> (Simulation, Value) {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    for step in 0..steps {
        run(simulation.shift(&planned, step)).unwrap();
    }
    for other in ["running", "failed", "succeeded"] {
        simulation.executions.start(other, canary());
    }
    simulation.executions.fail("failed", "Held", "");
    simulation.executions.succeed("succeeded");
    edit(&simulation);
    (simulation, planned)
}

/// Expects drift that names the journal, and no write.
#[track_caller]
fn check_drift(
    kind: &str,
    simulation: &Simulation,
    call: impl Future<Output = Result<Value, Error>>,
) {
    let before = simulation.route53.to_cli_json();
    let error = run(call).unwrap_err();
    assert_eq!(error.name(), "Drift", "{kind}: {error}");
    assert!(error.to_string().contains(BURNHAM), "{kind}: {error}");
    assert_eq!(simulation.route53.to_cli_json(), before, "{kind}");
}

/// So that `onDrift` decides, whatever the kind, and not `onFailure`.
#[test]
fn every_bad_journal_is_drift_in_every_operation_of_a_running_migration() {
    for (kind, edit) in EDITS {
        // Another attempt of the first shift. Without the journal, only the lease shows that it existed.
        let (simulation, planned) = edited_after(1, edit);
        check_drift(kind, &simulation, simulation.shift(&planned, 0));
        let (simulation, planned) = edited_after(1, edit);
        check_drift(kind, &simulation, simulation.shift(&planned, 1));
        let (simulation, planned) = edited_after(1, edit);
        check_drift(
            kind,
            &simulation,
            simulation.confirm(&planned, 0, &json!([])),
        );
        let (simulation, planned) = edited_after(3, edit);
        check_drift(kind, &simulation, simulation.complete(&planned));
    }
}

#[test]
fn drift_of_a_journal_says_which_journal_what_was_found_and_what_to_do() {
    let mut shown = String::new();
    for (kind, edit) in EDITS {
        let (simulation, planned) = edited_after(1, edit);
        let error = run(simulation.confirm(&planned, 0, &json!([]))).unwrap_err();
        writeln!(shown, "{kind}: {error}").unwrap();
    }
    expect![[r#"
        gone: the journal _cutover.burnham.eks-blueprint.example.com is gone: another writer deleted it, or rolled burnham.eks-blueprint.example.com back, while execution run was running; nothing more is written to this name; unless it was rolled back, write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        another text: the journal _cutover.burnham.eks-blueprint.example.com is not trusted: it does not begin with the format version `cutover=2`; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        two values: the journal _cutover.burnham.eks-blueprint.example.com is not trusted: expected one value, found 2; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        a later format: the journal _cutover.burnham.eks-blueprint.example.com is not trusted: it has format version 3, expected 2; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        the format without a signature: the journal _cutover.burnham.eks-blueprint.example.com is not trusted: it has format version 1, which has no signature; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        without a signature: the journal _cutover.burnham.eks-blueprint.example.com is not trusted: it has no signature at its end; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        an edited original weight: the journal _cutover.burnham.eks-blueprint.example.com is not trusted: its signature is not valid: another writer made it, edited it or moved it here, or it was signed with the key of another stack; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        a field too many: the journal _cutover.burnham.eks-blueprint.example.com is not trusted: its signature is not valid: another writer made it, edited it or moved it here, or it was signed with the key of another stack; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        of another name: the journal _cutover.burnham.eks-blueprint.example.com is not trusted: its signature is not valid: another writer made it, edited it or moved it here, or it was signed with the key of another stack; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        of another stack: the journal _cutover.burnham.eks-blueprint.example.com is not trusted: its signature is not valid: another writer made it, edited it or moved it here, or it was signed with the key of another stack; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        weighted: the journal _cutover.burnham.eks-blueprint.example.com is not trusted: expected one TXT record with simple routing, found another routing policy; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        of a running execution: the journal _cutover.burnham.eks-blueprint.example.com belongs to the execution running (eks-blueprint-blue to eks-blueprint-green, at 10 percent), while execution run is running; nothing more is written to burnham.eks-blueprint.example.com; find out who wrote the journal: if that execution has moved the name, wait until it has ended, or roll it back: start the rollback state machine with {"execution": "running"}; if somebody edited the journal of run, write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        of a failed execution: the journal _cutover.burnham.eks-blueprint.example.com belongs to the execution failed (eks-blueprint-blue to eks-blueprint-green, at 10 percent), while execution run is running; nothing more is written to burnham.eks-blueprint.example.com; find out who wrote the journal: if that execution has moved the name, wait until it has ended, or roll it back: start the rollback state machine with {"execution": "failed"}; if somebody edited the journal of run, write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        of a completed execution: the journal _cutover.burnham.eks-blueprint.example.com belongs to the execution succeeded (eks-blueprint-blue to eks-blueprint-green, at 10 percent), while execution run is running; nothing more is written to burnham.eks-blueprint.example.com; find out who wrote the journal: if that execution has moved the name, wait until it has ended, or roll it back: start the rollback state machine with {"execution": "succeeded"}; if somebody edited the journal of run, write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        of an unknown execution: the journal _cutover.burnham.eks-blueprint.example.com belongs to the execution run (eks-blueprint-blue to eks-blueprint-green, at 10 percent), while execution run is running; nothing more is written to burnham.eks-blueprint.example.com; find out who wrote the journal: if that execution has moved the name, wait until it has ended, or roll it back: start the rollback state machine with {"execution": "run"}; if somebody edited the journal of run, write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        other weights: another writer changed burnham.eks-blueprint.example.com: its weights (eks-blueprint-blue/eks-blueprint-green) are A 90/10 instead of 190/10, which execution run last wrote; find out who wrote them (ExternalDNS, Terraform, a person); then put the weights back and start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        without an owner: the registry TXT aaaa-burnham.eks-blueprint.example.com is leased, and the journal _cutover.burnham.eks-blueprint.example.com of execution run does not have its original owner: another writer leased it, or created it; write the owner id of the side's ExternalDNS back into it, then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
    "#]].assert_eq(&shown);
}

/// The migration has written nothing yet, so `Busy` says that the names belong to another one.
#[test]
fn a_plan_refuses_every_bad_journal_and_keeps_its_error() {
    let mut shown = String::new();
    for (kind, edit) in EDITS {
        let (simulation, _) = edited_after(1, edit);
        simulation.executions.abort("run");
        let before = simulation.route53.to_cli_json();
        let planned = run(simulation.plan("second", &canary()));
        let name = planned.map_or_else(|error| error.name(), |_| "planned");
        writeln!(shown, "{kind}: {name}").unwrap();
        assert_eq!(simulation.route53.to_cli_json(), before, "{kind}");
    }
    expect![[r#"
        gone: Busy
        another text: Busy
        two values: Busy
        a later format: Busy
        the format without a signature: Busy
        without a signature: Busy
        an edited original weight: Busy
        a field too many: Busy
        of another name: Busy
        of another stack: Busy
        weighted: Busy
        of a running execution: Busy
        of a failed execution: Busy
        of a completed execution: Busy
        of an unknown execution: Busy
        other weights: Busy
        without an owner: Busy
    "#]]
    .assert_eq(&shown);
}

/// Its signature is valid, and the weights may even agree: this name had all its traffic on the new side
/// before the migration.
#[test]
fn an_older_journal_that_was_put_back_is_drift() {
    let simulation = Simulation::blueprint();
    simulation.route53.edit(|record_sets| {
        for record_set in record_sets.iter_mut() {
            if record_set.name.as_str().contains("burnham") {
                let is_green = record_set
                    .weighted()
                    .is_some_and(|(side, _)| side.as_str() == GREEN);
                *record_set = record_set.with_weight(if is_green { 100 } else { 0 });
            }
        }
    });
    let planned = run(simulation.plan("run", &canary())).unwrap();
    let mut older = Vec::new();
    for step in 0..3 {
        run(simulation.shift(&planned, step)).unwrap();
        let percent = planned["migration"]["steps"][step]["percent"]
            .as_u64()
            .unwrap();
        let percent = u32::try_from(percent).unwrap();
        let current = simulation.route53.record_sets();
        for journal in &older {
            let put_back = || {
                simulation.route53.edit(|record_sets| {
                    record_sets.retain(|record_set| !is_journal(record_set));
                    record_sets.push(Clone::clone(journal));
                });
            };
            put_back();
            check_drift(
                "confirm",
                &simulation,
                simulation.confirm(&planned, percent, &json!([])),
            );
            if step < 2 {
                check_drift("shift", &simulation, simulation.shift(&planned, step + 1));
            } else {
                check_drift("complete", &simulation, simulation.complete(&planned));
            }
            simulation
                .route53
                .edit(|record_sets| record_sets.clone_from(&current));
        }
        older.extend(current.into_iter().filter(is_journal));
    }
    let error = {
        simulation.route53.edit(|record_sets| {
            record_sets.retain(|record_set| !is_journal(record_set));
            record_sets.push(older[0].clone());
        });
        run(simulation.complete(&planned)).unwrap_err()
    };
    expect![[r#"
        Drift: another writer put an older journal back at _cutover.burnham.eks-blueprint.example.com while execution run was running: it says 10 percent, and the migration had reached 100; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
    "#]].assert_eq(&format!("{}: {error}\n", error.name()));
}

/// The journals of leased names are kept until the release, so none may be missing.
#[test]
fn a_completion_without_the_journal_of_a_leased_name_is_drift() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &of_one_name())).unwrap();
    for step in 0..3 {
        run(simulation.shift(&planned, step)).unwrap();
    }
    simulation
        .route53
        .edit(|record_sets| record_sets.retain(|record_set| !is_journal(record_set)));
    check_drift("gone", &simulation, simulation.complete(&planned));
}

/// An execution that ended after the plan was made is not in the plan, and may be being rolled back.
#[test]
fn an_execution_that_the_plan_does_not_adopt_is_not_adopted_by_the_first_shift() {
    let simulation = Simulation::blueprint();
    let first = run(simulation.plan("first", &of_one_name())).unwrap();
    let second = run(simulation.plan("second", &of_one_name())).unwrap();
    run(simulation.shift(&first, 0)).unwrap();
    simulation.executions.abort("first");
    check_drift("ended", &simulation, simulation.shift(&second, 0));
}

/// It runs again, with the same journals.
#[test]
fn an_adopted_execution_that_was_redriven_is_not_adopted_by_the_first_shift() {
    let simulation = Simulation::blueprint();
    let first = run(simulation.plan("first", &of_one_name())).unwrap();
    run(simulation.shift(&first, 0)).unwrap();
    simulation.executions.abort("first");
    let second = run(simulation.plan("second", &of_one_name())).unwrap();
    simulation.executions.redrive("first");
    check_drift("redriven", &simulation, simulation.shift(&second, 0));
}

/// Otherwise the weights that the held migration has reached would become the original ones.
#[test]
fn a_first_shift_without_the_journal_that_the_plan_adopts_is_drift() {
    let simulation = Simulation::blueprint();
    // These names have no registry TXT that would show the lease.
    let mut input = canary();
    input["names"] = json!([
        "legacy.eks-blueprint.example.com",
        "shared.eks-blueprint.example.com"
    ]);
    let first = run(simulation.plan("first", &input)).unwrap();
    run(simulation.shift(&first, 0)).unwrap();
    simulation.executions.abort("first");
    let second = run(simulation.plan("second", &input)).unwrap();
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|record_set| !record_set.name.as_str().starts_with("_cutover.legacy"));
    });
    let before = simulation.route53.to_cli_json();
    let error = run(simulation.shift(&second, 0)).unwrap_err();
    expect![[r#"
        Drift: of the 2 journals that execution second was to adopt from first, only 1 are left: another writer deleted the others, or rolled their names back; nothing is written; unless they were rolled back, write them again (infra/README.md, "A journal was deleted or edited"); then start a new execution, which plans again
    "#]].assert_eq(&format!("{}: {error}\n", error.name()));
    assert_eq!(simulation.route53.to_cli_json(), before);
}

/// ExternalDNS took the name over with another owner id between the plan and the first shift.
#[test]
fn a_registry_that_can_no_longer_be_leased_is_drift_after_the_plan() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &of_one_name())).unwrap();
    simulation.route53.edit(|record_sets| {
        let is_registry = |record_set: &RecordSet| {
            record_set.name.as_str() == format!("a-{BURNHAM}")
                && record_set
                    .weighted()
                    .is_some_and(|(side, _)| side.as_str() == GREEN)
        };
        replace_in_values(
            record_sets,
            is_registry,
            "owner=eks-blueprint-green",
            "owner=cutover/other",
        );
    });
    let error = run(simulation.shift(&planned, 0)).unwrap_err();
    expect![[r#"
        Drift: the ExternalDNS registry of burnham.eks-blueprint.example.com has changed since execution run was planned: the registry TXT a-burnham.eks-blueprint.example.com is leased by a migration, but no journal has its original owner; write the owner id of the ExternalDNS of eks-blueprint-green back into it; then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
    "#]].assert_eq(&format!("{}: {error}\n", error.name()));
    let error = run(simulation.plan("second", &of_one_name())).unwrap_err();
    assert_eq!(error.name(), "Busy", "{error}");
}

/// A release reports it like a journal that is gone.
#[test]
fn an_unreadable_journal_during_a_release_is_drift() {
    let simulation = Simulation::blueprint();
    simulation.migrate("run", &of_one_name()).unwrap();
    let planned = run(simulation.plan_release("run")).unwrap();
    simulation
        .route53
        .edit(|record_sets| set_values(record_sets, &["\"hello\""]));
    for error in [
        run(simulation.give_back_names(&planned, 1)).unwrap_err(),
        run(simulation.end_release(&planned)).unwrap_err(),
    ] {
        assert_eq!(error.name(), "Drift", "{error}");
        assert!(error.to_string().contains(JOURNAL), "{error}");
    }
}

/// Because of a mark as completed, the rollback would delete all journals and restore nothing.
#[test]
fn a_rollback_restores_the_other_names_whatever_was_edited_in_one_journal() {
    for (kind, edit) in EDITS {
        let (simulation, _) = edited_after(1, edit);
        let answer = run(simulation.roll_back(&json!({"execution": "run"}))).unwrap();
        // Where nothing tells that its journal was edited, it is restored.
        let is_reported = answer["problems"].to_string().contains(BURNHAM);
        let expected = if is_reported { 6 } else { 7 };
        assert_eq!(answer["restored"], expected, "{kind}: {answer}");
    }
}

/// The migration selects all names of its sides. Another stack has names of other sides in the same zone, and somebody
/// has put texts where no name has records.
#[test]
fn a_rollback_ignores_journals_at_names_without_records_of_its_sides() {
    let simulation = Simulation::blueprint();
    let before = simulation.route53.to_cli_json();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    run(simulation.shift(&planned, 0)).unwrap();
    simulation.route53.edit(|record_sets| {
        let journal = record_sets.iter().find(|it| is_journal(it)).unwrap();
        let other = |label: &str| RecordSet {
            name: format!("_cutover.{label}.eks-blueprint.example.com")
                .parse()
                .unwrap(),
            ..journal.clone()
        };
        let mut added = vec![other("of-nobody"), other("of-others")];
        for side in ["other-blue", "other-green"] {
            let of_burnham = |it: &&RecordSet| it.name.as_str() == BURNHAM;
            let mut record_set = record_sets.iter().find(of_burnham).unwrap().clone();
            record_set.name = "of-others.eks-blueprint.example.com".parse().unwrap();
            record_set.routing = Routing::Weighted {
                set_identifier: side.parse().unwrap(),
                weight: 1,
            };
            added.push(record_set);
        }
        record_sets.extend(added);
    });
    simulation.executions.abort("run");
    simulation.roll_back_whole("run").unwrap();
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|it| !it.name.as_str().contains("of-"));
    });
    assert_eq!(simulation.route53.to_cli_json(), before);
}
