//! What a stack leaves behind if it is deleted.

use fakes::{Fault, LIST};
use migration::Error;
use migration::dns::HostedZoneId;

use crate::events::at_50_percent;
use crate::external_dns::Clusters;
use crate::invariants::{canary, run};
use crate::{Simulation, ZONE_ID};

/// Why the stack with these zones must not be deleted.
fn remains_in(simulation: &Simulation, zones: &[&str]) -> Result<Option<String>, Error> {
    let zones: Vec<HostedZoneId> = zones.iter().map(|id| id.parse().unwrap()).collect();
    let keys = &simulation.world.signing_keys.borrow().clone();
    let (route53, executions) = (&*simulation.route53, &*simulation.executions);
    run(rollback::remains(&zones, route53, executions, keys))
}

fn remains(simulation: &Simulation) -> Option<String> {
    remains_in(simulation, &[ZONE_ID]).unwrap()
}

#[test]
fn nothing_remains_of_a_stack_that_has_migrated_nothing() {
    assert_eq!(remains(&Simulation::blueprint()), None);
}

#[test]
fn a_running_migration_and_its_names_remain() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &canary());
    let reason = remains(&simulation).unwrap();
    for part in [
        "running executions: run;",
        "names with a journal: ",
        "argocd.eks-blueprint.example.com (execution run, 50 percent)",
        "release them or roll them back, then delete the stack again",
        " more",
    ] {
        assert!(reason.contains(part), "{part:?} is not in {reason:?}");
    }
}

#[test]
fn a_held_migration_remains_until_its_rollback() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &canary());
    simulation.executions.fail("run", "Held", "Drift");
    let reason = remains(&simulation).unwrap();
    assert!(reason.contains("execution run, 50 percent"), "{reason}");
    assert!(!reason.contains("running executions"), "{reason}");
    simulation.roll_back_whole("run").unwrap();
    assert_eq!(remains(&simulation), None);
}

#[test]
fn a_completed_migration_remains_until_its_release() {
    let clusters = Clusters::blueprint();
    clusters.migrate("run", &canary());
    let reason = remains(&clusters.simulation).unwrap();
    assert!(reason.contains("execution run, 100 percent"), "{reason}");
    clusters.update_annotations();
    clusters.release("run").unwrap();
    assert_eq!(remains(&clusters.simulation), None);
}

/// It may be the zone with the journals.
#[test]
fn a_zone_that_cannot_be_read_is_no_reason_to_delete_the_stack() {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &canary());
    simulation.executions.fail("run", "Held", "Drift");
    simulation
        .route53
        .inject_fault_into(LIST, 0, Fault::Throttled);
    let error = remains_in(&simulation, &[ZONE_ID]).unwrap_err();
    assert_eq!(error.name(), "Throttled");
}

#[test]
fn a_zone_that_is_gone_holds_nothing_back() {
    let simulation = Simulation::blueprint();
    assert_eq!(remains_in(&simulation, &["Z0GONE"]).unwrap(), None);
}
