//! Journals that another writer has deleted, edited or replaced: a plan refuses them, and a running
//! migration reports them as drift.

use std::fmt::Write as _;

use expect_test::expect;
use migration::Error;
use migration::dns::{RecordData, RecordSet, Routing};
use serde_json::{Value, json};

use crate::Simulation;
use crate::invariants::{canary, of_one_name, replace_in_values, run};
use crate::zones::{BLUE, GREEN};

const BURNHAM: &str = "burnham.eks-blueprint.example.com";
const JOURNAL: &str = "_cutover.burnham.eks-blueprint.example.com";

/// What another writer does to the journal of one name, which execution `run` has written.
type Edit = fn(&mut Vec<RecordSet>);

fn is_journal(record_set: &RecordSet) -> bool {
    record_set.name.as_str() == JOURNAL
}

fn replace(record_sets: &mut [RecordSet], from: &str, to: &str) {
    replace_in_values(record_sets, is_journal, from, to);
}

fn set_values(record_sets: &mut [RecordSet], new: &[&str]) {
    for record_set in record_sets.iter_mut().filter(|it| is_journal(it)) {
        if let RecordData::Values { values, .. } = &mut record_set.data {
            *values = new.iter().map(|value| (*value).to_owned()).collect();
        }
    }
}

/// Every kind of journal that is not as the execution wrote it.
const EDITS: [(&str, Edit); 14] = [
    ("gone", |it| it.retain(|record_set| !is_journal(record_set))),
    ("another text", |it| set_values(it, &["\"hello\""])),
    ("two values", |it| {
        set_values(it, &["\"cutover=1\"", "\"execution=run\""]);
    }),
    ("a later format", |it| {
        replace(it, "cutover=1", "cutover=2");
    }),
    ("a field too many", |it| {
        replace(it, "\"sequence=", "\"colour=blue\" \"sequence=");
    }),
    ("weighted", |it| {
        for record_set in it.iter_mut().filter(|it| is_journal(it)) {
            record_set.routing = Routing::Weighted {
                set_identifier: BLUE.parse().unwrap(),
                weight: 1,
            };
        }
    }),
    ("of a running execution", |it| {
        replace(it, "execution=run", "execution=running");
    }),
    ("of a failed execution", |it| {
        replace(it, "execution=run", "execution=failed");
    }),
    ("of a completed execution", |it| {
        replace(it, "execution=run", "execution=succeeded");
    }),
    ("of an unknown execution", |it| {
        replace(it, "execution=run", "execution=unknown");
    }),
    ("of the other direction", |it| {
        replace(it, "from=eks-blueprint-blue", "from=eks-blueprint-red");
    }),
    ("marked as completed", |it| {
        replace(it, "\"sequence=", "\"completed=yes\" \"sequence=");
    }),
    ("other weights", |it| {
        replace(it, "written.A=", "written.A=1");
    }),
    ("without an owner", |it| {
        replace(it, "owner.to.A+AAAA", "owner.to.A");
    }),
];

/// A migration that has reached the first `steps` steps, before `edit` of a journal.
fn edited_after(steps: usize, edit: Edit) -> (Simulation, Value) {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &canary())).unwrap();
    for step in 0..steps {
        run(simulation.shift("run", &planned, step)).unwrap();
    }
    for other in ["running", "failed", "succeeded"] {
        simulation.executions.start(other, canary());
    }
    simulation.executions.fail("failed", "Held", "");
    simulation.executions.succeed("succeeded");
    simulation.route53.edit(edit);
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
        check_drift(kind, &simulation, simulation.shift("run", &planned, 0));
        let (simulation, planned) = edited_after(1, edit);
        check_drift(kind, &simulation, simulation.shift("run", &planned, 1));
        let (simulation, planned) = edited_after(1, edit);
        check_drift(
            kind,
            &simulation,
            simulation.confirm("run", &planned, &json!([])),
        );
        // While the journals are deleted, one is marked as completed.
        if kind != "marked as completed" {
            let (simulation, planned) = edited_after(3, edit);
            check_drift(kind, &simulation, simulation.complete("run", &planned));
        }
    }
}

#[test]
fn drift_of_a_journal_says_which_journal_what_was_found_and_what_to_do() {
    let mut shown = String::new();
    for (kind, edit) in EDITS {
        let (simulation, planned) = edited_after(1, edit);
        let error = run(simulation.confirm("run", &planned, &json!([]))).unwrap_err();
        writeln!(shown, "{kind}: {error}").unwrap();
    }
    expect![[r#"
        gone: the journal _cutover.burnham.eks-blueprint.example.com is gone: another writer deleted it, or rolled burnham.eks-blueprint.example.com back, while execution run was running; nothing more is written to this name; unless it was rolled back, write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        another text: the journal _cutover.burnham.eks-blueprint.example.com can't be read: expected key=value, found "hello"; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        two values: the journal _cutover.burnham.eks-blueprint.example.com can't be read: expected one value, found 2; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        a later format: the journal _cutover.burnham.eks-blueprint.example.com can't be read: it has format version 2, expected 1; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        a field too many: the journal _cutover.burnham.eks-blueprint.example.com can't be read: it has an unknown key "colour"; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        weighted: the journal _cutover.burnham.eks-blueprint.example.com can't be read: expected one TXT record with simple routing, found another routing policy; another writer changed it while execution run was running; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        of a running execution: the journal _cutover.burnham.eks-blueprint.example.com belongs to the execution running (eks-blueprint-blue to eks-blueprint-green, at 10 percent), while execution run is running; nothing more is written to burnham.eks-blueprint.example.com; find out who wrote the journal: if that execution has moved the name, wait until it has ended, or roll it back: start the rollback state machine with {"execution": "running"}; if somebody edited the journal of run, write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        of a failed execution: the journal _cutover.burnham.eks-blueprint.example.com belongs to the execution failed (eks-blueprint-blue to eks-blueprint-green, at 10 percent), while execution run is running; nothing more is written to burnham.eks-blueprint.example.com; find out who wrote the journal: if that execution has moved the name, wait until it has ended, or roll it back: start the rollback state machine with {"execution": "failed"}; if somebody edited the journal of run, write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        of a completed execution: the journal _cutover.burnham.eks-blueprint.example.com belongs to the execution succeeded (eks-blueprint-blue to eks-blueprint-green, at 10 percent), while execution run is running; nothing more is written to burnham.eks-blueprint.example.com; find out who wrote the journal: if that execution has moved the name, wait until it has ended, or roll it back: start the rollback state machine with {"execution": "succeeded"}; if somebody edited the journal of run, write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        of an unknown execution: the journal _cutover.burnham.eks-blueprint.example.com belongs to the execution unknown (eks-blueprint-blue to eks-blueprint-green, at 10 percent), while execution run is running; nothing more is written to burnham.eks-blueprint.example.com; find out who wrote the journal: if that execution has moved the name, wait until it has ended, or roll it back: start the rollback state machine with {"execution": "unknown"}; if somebody edited the journal of run, write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        of the other direction: another writer edited the journal _cutover.burnham.eks-blueprint.example.com while execution run was running: it moves the name from eks-blueprint-red to eks-blueprint-green, expected from eks-blueprint-blue to eks-blueprint-green; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        marked as completed: another writer edited the journal _cutover.burnham.eks-blueprint.example.com while execution run was running: it is marked as completed, although the migration is not; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        other weights: another writer changed burnham.eks-blueprint.example.com: its weights (eks-blueprint-blue/eks-blueprint-green) are A 90/10 instead of 190/10, which execution run last wrote; find out who wrote them (ExternalDNS, Terraform, a person); then put the weights back and start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
        without an owner: another writer edited the journal _cutover.burnham.eks-blueprint.example.com while execution run was running: it does not have the original owner of the registry TXT aaaa-burnham.eks-blueprint.example.com, which is leased; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
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
        a field too many: Busy
        weighted: Busy
        of a running execution: Busy
        of a failed execution: planned
        of a completed execution: Busy
        of an unknown execution: Busy
        of the other direction: Busy
        marked as completed: Busy
        other weights: Drift
        without an owner: Busy
    "#]]
    .assert_eq(&shown);
}

/// Otherwise a shift would take the edited step for one that is made already, and the bake would pass
/// with less traffic on the new side than the operator believes.
#[test]
fn a_journal_with_another_percent_than_the_weights_is_drift() {
    let raise: Edit = |it| replace(it, "percent=10", "percent=100");
    let (simulation, planned) = edited_after(1, raise);
    let error = run(simulation.shift("run", &planned, 1)).unwrap_err();
    expect![[r#"
        Drift: another writer edited the journal _cutover.burnham.eks-blueprint.example.com while execution run was running: it says 100 percent, although the weights of the name are 10 percent on eks-blueprint-green; nothing more is written to burnham.eks-blueprint.example.com; write the journal again (infra/README.md, "A journal was deleted or edited"), then start a new execution, or roll back: start the rollback state machine with {"execution": "run"}
    "#]].assert_eq(&format!("{}: {error}\n", error.name()));
    let lower: Edit = |it| replace(it, "percent=100", "percent=50");
    let (simulation, planned) = edited_after(3, lower);
    check_drift("percent", &simulation, simulation.complete("run", &planned));
}

/// The journals of leased names are kept until the release, so none may be missing.
#[test]
fn a_completion_without_the_journal_of_a_leased_name_is_drift() {
    let simulation = Simulation::blueprint();
    let planned = run(simulation.plan("run", &of_one_name())).unwrap();
    for step in 0..3 {
        run(simulation.shift("run", &planned, step)).unwrap();
    }
    simulation
        .route53
        .edit(|record_sets| record_sets.retain(|record_set| !is_journal(record_set)));
    check_drift("gone", &simulation, simulation.complete("run", &planned));
}

/// An execution that ended after the plan was made is not in the plan, and may be being rolled back.
#[test]
fn an_execution_that_the_plan_does_not_adopt_is_not_adopted_by_the_first_shift() {
    let simulation = Simulation::blueprint();
    let first = run(simulation.plan("first", &of_one_name())).unwrap();
    let second = run(simulation.plan("second", &of_one_name())).unwrap();
    run(simulation.shift("first", &first, 0)).unwrap();
    simulation.executions.abort("first");
    check_drift("ended", &simulation, simulation.shift("second", &second, 0));
}

/// It runs again, with the same journals.
#[test]
fn an_adopted_execution_that_was_redriven_is_not_adopted_by_the_first_shift() {
    let simulation = Simulation::blueprint();
    let first = run(simulation.plan("first", &of_one_name())).unwrap();
    run(simulation.shift("first", &first, 0)).unwrap();
    simulation.executions.abort("first");
    let second = run(simulation.plan("second", &of_one_name())).unwrap();
    simulation.executions.redrive("first");
    check_drift(
        "redriven",
        &simulation,
        simulation.shift("second", &second, 0),
    );
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
    run(simulation.shift("first", &first, 0)).unwrap();
    simulation.executions.abort("first");
    let second = run(simulation.plan("second", &input)).unwrap();
    simulation.route53.edit(|record_sets| {
        record_sets.retain(|record_set| !record_set.name.as_str().starts_with("_cutover.legacy"));
    });
    let before = simulation.route53.to_cli_json();
    let error = run(simulation.shift("second", &second, 0)).unwrap_err();
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
    let error = run(simulation.shift("run", &planned, 0)).unwrap_err();
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
        let restored = answer["restored"].as_u64().unwrap();
        assert!(restored >= 6, "{kind}: {answer}");
    }
}
