//! Complete migrations in one process: the code of the functions on strict fakes of Route 53,
//! CloudWatch and Step Functions, called by the definitions of the state machines.
//!
//! `tests/histories.rs` runs histories. A history is one simulated run on a virtual clock: a
//! migration, the faults and other writers that disturb it, and the rollbacks that follow.
//!
//! | module | content |
//! |---|---|
//! | [`clock`] | a virtual clock, which advances only when no task can continue |
//! | [`world`] | the fakes, the processes of the functions, the events of EventBridge |
//! | `alarm_queue` | the queue between an alarm's event and the function `rollback` |
//! | `schedules` | the sweep and the reminder, as the schedules of the template call them |
//! | [`machines`] | the definitions of the state machines |
//! | [`writers`] | other writers: ExternalDNS, Terraform, a person |
//! | [`oracle`] | checks every batch, and the zone after it, against the invariants |
//! | `looks` | checks that nothing has traffic unwatched |
//! | [`history`] | runs one history and checks its end |
//! | [`exhaustive`], [`random`], [`rare`], [`limits`] | the histories |
//! | [`limited`] | shifts and rollbacks within Route 53's limits |
//! | [`recording`] | the expressions that histories evaluate, with their variables and results |
//!
//! The other modules are tests with a [`Simulation`]: they call the functions one by one, or run the
//! state machines in one situation.
//!
//! | module | content |
//! |---|---|
//! | `invariants` | the invariants of a migration and its rollback |
//! | `journals` | journals that another writer has deleted, edited or replaced |
//! | `later_formats` | journals of a later version of the functions, which is deployed while a migration runs |
//! | `put_back` | journals that another writer puts back after the rollback of their migration |
//! | `refusals` | inputs and zones that the plan refuses |
//! | `warnings` | warnings of the plan |
//! | `templates` | set identifiers with a `*`, which differ from name to name |
//! | `refused_records` | rollbacks in which Route 53 refuses records |
//! | `gone_load_balancers` | rollbacks of names of which a load balancer is gone |
//! | `events` | rollbacks that an event starts |
//! | `alarm_storm` | many alarms at once, and the queue between an alarm and its rollback |
//! | `holds` | alarms that fire while a migration is held |
//! | `rollbacks_by_name` | rollbacks of names, whichever migrations have moved them |
//! | `sweeps` | the sweep, which finds what a lost event has left behind, and the reminders |
//! | `deletions` | what a stack leaves behind if it is deleted |
//! | `attackers` | who may write TXT records in the zone and has collected all journals |
//! | `two_stacks` | two stacks on one zone, with the same execution names |
//! | `flow` | the rules of the flow, and mutations of the definitions that break them |
//! | `external_dns`, `releases` | migrations and releases while the model of ExternalDNS runs |
//! | `regressions` | shortest forms of failures that random histories found |

#![expect(
    clippy::indexing_slicing,
    reason = "a missing field of a JSON value is read as null"
)]

mod account;
mod alarm_queue;
pub mod clock;
pub mod coverage;
pub mod exhaustive;
pub mod history;
pub mod limited;
pub mod limits;
mod looks;
pub mod machines;
pub mod oracle;
pub mod random;
pub mod rare;
pub mod recording;
mod schedules;
pub mod world;
pub mod writers;
pub mod zones;

#[cfg(test)]
mod alarm_storm;
#[cfg(test)]
mod all_problems;
#[cfg(test)]
mod attackers;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod completions;
#[cfg(test)]
mod dashboard;
#[cfg(test)]
mod delegations;
#[cfg(test)]
mod deletions;
#[cfg(test)]
mod events;
#[cfg(test)]
mod external_dns;
#[cfg(test)]
mod failed;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod gone_load_balancers;
#[cfg(test)]
mod holds;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod journals;
#[cfg(test)]
mod later_formats;
#[cfg(test)]
mod later_passes;
#[cfg(test)]
mod messages;
#[cfg(test)]
mod name_tables;
#[cfg(test)]
mod plan_property;
#[cfg(test)]
mod put_back;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod refused_records;
#[cfg(test)]
mod regressions;
#[cfg(test)]
mod releases;
#[cfg(test)]
mod rollbacks_by_name;
#[cfg(test)]
mod sweeps;
#[cfg(test)]
mod templates;
#[cfg(test)]
mod two_stacks;
#[cfg(test)]
mod warnings;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use fakes::{FakeExecutions, FakeRoute53, record_sets_from_cli_json};
use futures_executor::LocalPool;
use interpreter::{End, ExecutionId, Failure};
use migration::Error;
use migration::journal::ExecutionIdentity;
use serde_json::{Value, json};

use crate::clock::Latency;
use crate::machines::{MIGRATION, RELEASE, ROLLBACK};
use crate::oracle::lock;
use crate::world::World;

/// A zone as the EKS Blueprints pattern sets it up: five names with A and AAAA records and registry
/// TXT, a CNAME pair (`legacy.`), a name with a third set identifier (`shared.`), and records that
/// no migration may change.
pub const BLUEPRINT: &str = include_str!("../../zone-blueprint.json");

/// The id of every simulated zone.
pub const ZONE_ID: &str = "Z0BLUEPRINT";

/// A zone, the executions that migrate it, and the functions that they call, which take no time.
///
/// Some tests call functions one by one, with executions that are only registered. The others run the
/// state machines, from the start of an execution until nothing runs any more. No rule of EventBridge
/// starts a rollback or a notification: a test that wants one starts it.
pub struct Simulation {
    pub world: Rc<World>,
    pub route53: Rc<FakeRoute53>,
    pub executions: Rc<FakeExecutions>,
    pool: RefCell<LocalPool>,
}

impl Simulation {
    /// `zone` is the output of `aws route53 list-resource-record-sets`.
    pub fn new(zone: &str) -> Self {
        let pool = LocalPool::new();
        let world = World::new(
            record_sets_from_cli_json(zone),
            Latency::Same(Duration::ZERO),
            pool.spawner(),
            machines::all(),
        );
        *world.deliveries.borrow_mut() = Box::new(Vec::new);
        world.is_notifying.set(false);
        Self {
            route53: world.route53.clone(),
            executions: world.executions.clone(),
            world,
            pool: RefCell::new(pool),
        }
    }

    /// Checks that no batch so far has broken an invariant.
    ///
    /// # Panics
    /// With the violations, if one has.
    #[track_caller]
    pub fn expect_invariants(&self) {
        let violations = &lock(&self.world.oracle).violations;
        assert!(violations.is_empty(), "{violations:#?}");
    }

    /// The zone [`BLUEPRINT`].
    pub fn blueprint() -> Self {
        Self::new(BLUEPRINT)
    }

    /// Runs the state machine `migration`, from the start of an execution to its end.
    ///
    /// # Errors
    /// That of the execution.
    pub fn migrate(&self, execution: &str, input: &Value) -> Result<Value, Failure> {
        self.migrate_watched(execution, input, || {})
    }

    /// The same. `between` is called before each advance of the clock. It may call functions and start
    /// executions, but not run them to their end.
    ///
    /// # Errors
    /// That of the execution.
    pub fn migrate_watched(
        &self,
        execution: &str,
        input: &Value,
        between: impl FnMut(),
    ) -> Result<Value, Failure> {
        self.world.start(execution, input);
        self.run_to_end(&ExecutionId::new(MIGRATION, execution), between)
    }

    /// The same, and starts the state machine `rollback` when `is_reached`, which is asked before each
    /// advance of the clock until it is.
    ///
    /// # Errors
    /// That of the execution: `StoppedForRollback`.
    pub fn migrate_until(
        &self,
        execution: &str,
        input: &Value,
        mut is_reached: impl FnMut() -> bool,
    ) -> Result<Value, Failure> {
        let mut is_requested = false;
        self.migrate_watched(execution, input, || {
            if !is_requested && is_reached() {
                is_requested = true;
                let request = json!({"hostedZoneId": ZONE_ID, "execution": execution});
                self.world.roll_back(&request);
            }
        })
    }

    /// Rolls an execution back with the state machine `rollback`.
    ///
    /// # Errors
    /// That of the execution of `rollback`.
    pub fn roll_back_whole(&self, execution: &str) -> Result<Value, Failure> {
        self.roll_back_all(&json!({"hostedZoneId": ZONE_ID, "execution": execution}))
    }

    /// Runs the state machine `rollback` with this input.
    ///
    /// # Errors
    /// That of the execution.
    pub fn roll_back_all(&self, request: &Value) -> Result<Value, Failure> {
        let id = self.world.step_functions.start(ROLLBACK, None, request)?;
        self.run_to_end(&id, || {})
    }

    /// Releases a migration with the state machine `release`. `between` is called as in
    /// [`Self::migrate_watched`].
    ///
    /// # Errors
    /// That of the execution of `release`.
    pub fn release(&self, execution: &str, between: impl FnMut()) -> Result<Value, Failure> {
        let request = json!({"execution": execution, "hostedZoneId": ZONE_ID});
        let id = self.world.step_functions.start(RELEASE, None, &request)?;
        self.run_to_end(&id, between)
    }

    /// Runs all executions until none can continue, and returns the output of one.
    fn run_to_end(&self, id: &ExecutionId, between: impl FnMut()) -> Result<Value, Failure> {
        clock::run(&mut self.pool.borrow_mut(), &self.world.clock, between);
        let described = self.world.step_functions.describe(id);
        match described.and_then(|described| described.end) {
            Some(End::Succeeded(output)) => Ok(output),
            Some(End::Failed(failure) | End::Aborted(failure)) => Err(failure),
            Some(End::TimedOut) => Err(Failure::new("States.Timeout", "")),
            None => Err(Failure::new(
                "States.Runtime",
                "the execution has not ended",
            )),
        }
    }

    /// Registers an execution and plans its migration. It starts a second after everything before.
    pub async fn plan(&self, execution: &str, input: &Value) -> Result<Value, Error> {
        self.world.clock.pass(Duration::from_secs(1));
        self.world.register(execution, input);
        self.shift_weight(&json!({"operation": "plan", "execution": execution, "input": input}))
            .await
    }

    /// The warnings of a plan, as `code: message`.
    pub fn warnings(planned: &Value) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let warnings = planned["plan"]["warnings"].as_array();
        let warnings = warnings.into_iter().flatten();
        warnings
            .map(|it| format!("{}: {}", text(&it["code"]), text(&it["message"])))
            .collect()
    }

    /// The identity of an execution in journals.
    ///
    /// # Panics
    /// If no execution has this name.
    pub fn identity(&self, execution: &str) -> ExecutionIdentity {
        self.world.identity(execution)
    }

    /// Shifts the weights to step number `step`, counted from 0.
    pub async fn shift(&self, planned: &Value, step: usize) -> Result<Value, Error> {
        self.shift_weight(&json!({
            "operation": "shift",
            "migration": planned["migration"],
            "step": step,
        }))
        .await
    }

    /// Shifts all names to step number `step`, in as many calls as it takes, and returns the last answer.
    ///
    /// # Errors
    /// That of the first call that fails.
    pub fn shift_all(&self, planned: &Value, step: usize) -> Result<Value, Error> {
        let mut event = json!({
            "operation": "shift",
            "migration": planned["migration"],
            "step": step,
        });
        loop {
            let answer = self.block_on(self.shift_weight(&event))?;
            event["remaining"] = answer["remaining"].clone();
            if answer["remaining"] == 0 {
                return Ok(answer);
            }
        }
    }

    /// Runs calls of functions that take no time.
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.pool.borrow_mut().run_until(future)
    }

    /// Checks that the changes are in sync, the weights are those in the journals, and these have reached the
    /// percent.
    pub async fn confirm(
        &self,
        planned: &Value,
        percent: u32,
        change_ids: &Value,
    ) -> Result<Value, Error> {
        self.shift_weight(&json!({
            "operation": "confirm",
            "migration": planned["migration"],
            "percent": percent,
            "changeIds": change_ids,
        }))
        .await
    }

    /// Completes a migration: deletes its journals, unless names are leased.
    pub async fn complete(&self, planned: &Value) -> Result<Value, Error> {
        self.shift_weight(&json!({
            "operation": "complete",
            "migration": planned["migration"],
        }))
        .await
    }

    pub(crate) async fn shift_weight(&self, event: &Value) -> Result<Value, Error> {
        let keys = &self.world.signing_keys.borrow().clone();
        let settings = &self.world.settings.borrow().clone();
        let resolver = &self.world.resolver;
        shift_weight::handle(
            event,
            &*self.route53,
            resolver,
            &*self.executions,
            keys,
            settings,
        )
        .await
    }

    /// Makes one pass of a rollback.
    pub async fn roll_back(&self, request: &Value) -> Result<Value, Error> {
        let keys = &self.world.signing_keys.borrow().clone();
        let memory = &rollback::Memory::default();
        rollback::handle(request, &*self.route53, &*self.executions, keys, memory).await
    }

    /// Calls the function `rollback` as the schedule of the sweep does. The rollbacks that it starts run when the
    /// clock advances.
    ///
    /// # Errors
    /// That of the function.
    pub fn sweep(&self, memory: &rollback::Memory) -> Result<Value, Error> {
        let keys = &self.world.signing_keys.borrow().clone();
        let event = json!({"sweep": {"at": world::rfc3339(self.world.network.now())}});
        let (route53, executions) = (&*self.route53, &*self.executions);
        self.block_on(rollback::sweep(
            &event, route53, executions, executions, keys, memory,
        ))
    }

    /// Runs all executions until none can continue.
    pub fn settle(&self) {
        clock::run(&mut self.pool.borrow_mut(), &self.world.clock, || {});
    }

    /// Plans the release of a migration.
    pub async fn plan_release(&self, execution: &str) -> Result<Value, Error> {
        self.plan_release_of(&json!({"execution": execution, "hostedZoneId": ZONE_ID}))
            .await
    }

    /// Plans the release that `input` asks for.
    pub async fn plan_release_of(&self, input: &Value) -> Result<Value, Error> {
        self.shift_weight(&json!({"operation": "planRelease", "input": input}))
            .await
    }

    /// Leases the names of a release again that it has given back.
    pub async fn reacquire_lease(&self, planned: &Value) -> Result<Value, Error> {
        self.shift_weight(&json!({"operation": "reacquireLease", "release": planned["release"]}))
            .await
    }

    /// Gives the first `names` names of a release back, and checks those that it has given back
    /// before.
    pub async fn give_back_names(&self, planned: &Value, names: usize) -> Result<Value, Error> {
        let release = &planned["release"];
        self.shift_weight(&json!({"operation": "giveBack", "release": release, "names": names}))
            .await
    }

    /// Ends a release: deletes its journals.
    pub async fn end_release(&self, planned: &Value) -> Result<Value, Error> {
        self.shift_weight(&json!({"operation": "endRelease", "release": planned["release"]}))
            .await
    }
}
