//! Complete migrations in one process: the code of the functions on strict fakes of Route 53,
//! CloudWatch and Step Functions, called in the order of the state machines.
//!
//! `tests/histories.rs` runs histories. A history is one simulated run on a virtual clock: a
//! migration, the faults and other writers that disturb it, and the rollbacks that follow.
//!
//! | module | content |
//! |---|---|
//! | [`clock`] | a virtual clock, which advances only when no task can continue |
//! | [`world`] | the fakes, the processes of the functions, the events of EventBridge |
//! | [`machines`] | the order of calls of the state machines |
//! | [`writers`] | other writers: ExternalDNS, Terraform, a person |
//! | [`oracle`] | checks every batch, and the zone after it, against the invariants |
//! | `looks` | checks that nothing has traffic unwatched |
//! | [`history`] | runs one history and checks its end |
//! | [`exhaustive`], [`random`], [`limits`] | the histories |
//! | [`recording`] | the expressions that histories evaluate, with their variables and results |
//!
//! The other modules are tests. Most of them call the functions step by step with [`Simulation`]:
//!
//! | module | content |
//! |---|---|
//! | `invariants` | the invariants of a migration and its rollback |
//! | `journals` | journals that another writer has deleted, edited or replaced |
//! | `refusals` | inputs and zones that the plan refuses |
//! | `warnings` | warnings of the plan |
//! | `events` | rollbacks that an event starts |
//! | `holds` | alarms that fire while a migration is held |
//! | `rollbacks_by_name` | rollbacks of names, whichever migrations have moved them |
//! | `flow` | the rules of the flow, and mutations of the definitions that break them |
//! | `external_dns`, `releases` | migrations and releases while the model of ExternalDNS runs |
//! | `regressions` | shortest forms of failures that random histories found |

#![expect(
    clippy::indexing_slicing,
    reason = "a missing field of a JSON value is read as null"
)]

mod account;
pub mod clock;
pub mod coverage;
pub mod exhaustive;
pub mod history;
pub mod limits;
mod looks;
pub mod machines;
pub mod oracle;
pub mod random;
pub mod recording;
pub mod world;
pub mod writers;
pub mod zones;

#[cfg(test)]
mod cases;
#[cfg(test)]
mod events;
#[cfg(test)]
mod external_dns;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod holds;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod journals;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod regressions;
#[cfg(test)]
mod releases;
#[cfg(test)]
mod rollbacks_by_name;
#[cfg(test)]
mod warnings;

use std::sync::{Arc, Mutex};

use fakes::{FakeExecutions, FakeRoute53};
use migration::Error;
use migration::error::Unavailable;
use serde_json::{Value, json};

use crate::oracle::{Oracle, lock};

/// A zone as the EKS Blueprints pattern sets it up: five names with A and AAAA records and registry
/// TXT, a CNAME pair (`legacy.`), a name with a third set identifier (`shared.`), and records that
/// no migration may change.
pub const BLUEPRINT: &str = include_str!("../../zone-blueprint.json");

/// The id of every simulated zone.
pub const ZONE_ID: &str = "Z0BLUEPRINT";

/// How often a call is made before it counts as failed. The state machines make at least as many
/// attempts at every call.
const ATTEMPTS: usize = 3;

/// A zone, the executions that migrate it, and the functions that they call.
pub struct Simulation {
    pub route53: FakeRoute53,
    pub executions: FakeExecutions,
    oracle: Arc<Mutex<Oracle>>,
}

impl Simulation {
    /// `zone` is the output of `aws route53 list-resource-record-sets`.
    pub fn new(zone: &str) -> Self {
        let oracle = Arc::default();
        Self {
            route53: FakeRoute53::from_cli_json(ZONE_ID, zone)
                .with_observer(Oracle::observer(&oracle)),
            executions: FakeExecutions::default(),
            oracle,
        }
    }

    /// Checks that no batch so far has broken an invariant.
    ///
    /// # Panics
    /// With the violations, if one has.
    #[track_caller]
    pub fn expect_invariants(&self) {
        let violations = &lock(&self.oracle).violations;
        assert!(violations.is_empty(), "{violations:#?}");
    }

    /// The zone [`BLUEPRINT`].
    pub fn blueprint() -> Self {
        Self::new(BLUEPRINT)
    }

    /// Starts an execution and plans its migration.
    pub async fn plan(&self, execution: &str, input: &Value) -> Result<Value, Error> {
        self.executions.start(execution, input.clone());
        self.shift_weight(&json!({"operation": "plan", "execution": execution, "input": input}))
            .await
    }

    /// Shifts the weights to step number `step`, counted from 0.
    pub async fn shift(
        &self,
        execution: &str,
        planned: &Value,
        step: usize,
    ) -> Result<Value, Error> {
        self.shift_weight(&json!({
            "operation": "shift",
            "execution": execution,
            "migration": planned["migration"],
            "step": step,
        }))
        .await
    }

    /// Checks that the changes are in sync and the weights are those in the journals.
    pub async fn confirm(
        &self,
        execution: &str,
        planned: &Value,
        change_ids: &Value,
    ) -> Result<Value, Error> {
        self.shift_weight(&json!({
            "operation": "confirm",
            "execution": execution,
            "migration": planned["migration"],
            "changeIds": change_ids,
        }))
        .await
    }

    /// Completes a migration: deletes its journals, unless names are leased.
    pub async fn complete(&self, execution: &str, planned: &Value) -> Result<Value, Error> {
        self.shift_weight(&json!({
            "operation": "complete",
            "execution": execution,
            "migration": planned["migration"],
        }))
        .await
    }

    async fn shift_weight(&self, event: &Value) -> Result<Value, Error> {
        shift_weight::handle(event, &self.route53, &self.executions).await
    }

    /// Makes one pass of a rollback.
    pub async fn roll_back(&self, request: &Value) -> Result<Value, Error> {
        rollback::handle(request, &self.route53, &self.executions).await
    }

    /// Rolls an execution back as the rollback state machine does.
    pub async fn roll_back_whole(&self, execution: &str) -> Result<(), Error> {
        self.roll_back_all(&json!({"hostedZoneId": ZONE_ID, "execution": execution}))
            .await
            .map(|_| ())
    }

    /// Rolls back what `request` asks for as the rollback state machine does: passes until one finds
    /// nothing to do, each call with its retries. Returns the answer of each pass.
    pub async fn roll_back_all(&self, request: &Value) -> Result<Vec<Value>, Error> {
        let mut answers = Vec::new();
        let mut event = request.clone();
        for _ in 0..10 {
            let answer = retried(async || self.roll_back(&event).await).await?;
            event = json!({"request": request, "earlier": {
                "executions": answer["executions"],
                "changeIds": answer["changeIds"],
            }});
            let is_done = answer["done"] == true;
            answers.push(answer);
            if is_done {
                return Ok(answers);
            }
        }
        Err(Error::from(Unavailable::NoAnswer {
            action: "rollback".to_owned(),
            problem: "it has not ended after ten passes".to_owned(),
        }))
    }

    /// Carries a migration out as the migration state machine does if every check passes, each call
    /// with its retries.
    pub async fn migrate(&self, execution: &str, input: &Value) -> Result<(), Error> {
        self.migrate_watched(execution, input, async || {}).await
    }

    /// The same, and calls `between` before and after every call of a function.
    pub async fn migrate_watched(
        &self,
        execution: &str,
        input: &Value,
        between: impl AsyncFn(),
    ) -> Result<(), Error> {
        let planned = retried(async || self.plan(execution, input).await).await?;
        let steps = planned["migration"]["steps"].as_array().map_or(0, Vec::len);
        for step in 0..steps {
            between().await;
            let shifted = retried(async || self.shift(execution, &planned, step).await).await?;
            let mut change_ids = shifted["changeIds"].clone();
            while change_ids != json!([]) {
                between().await;
                let confirmed =
                    retried(async || self.confirm(execution, &planned, &change_ids).await).await?;
                change_ids = confirmed["changeIds"].clone();
            }
        }
        between().await;
        retried(async || self.complete(execution, &planned).await).await?;
        self.executions.succeed(execution);
        between().await;
        Ok(())
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

    /// Releases a migration as the release state machine does. `between` is called where the state
    /// machine waits for two intervals of ExternalDNS.
    pub async fn release(&self, execution: &str, between: impl AsyncFn()) -> Result<(), Error> {
        let planned = retried(async || self.plan_release(execution).await).await?;
        if planned["release"].is_null() {
            return Ok(());
        }
        let given_back = self.give_back(&planned, &between).await;
        if given_back.is_err() {
            for attempt in 1..=3 {
                let answer = retried(async || self.reacquire_lease(&planned).await).await?;
                if attempt >= 2 && answer["reacquired"] == 0 {
                    break;
                }
                between().await;
            }
        }
        given_back
    }

    /// Gives the first name back, then all names, and ends the release. After each of the two it
    /// repeats the call until a call finds no name to give back: another release may have leased a
    /// name again meanwhile.
    async fn give_back(&self, planned: &Value, between: &impl AsyncFn()) -> Result<(), Error> {
        let all = planned["release"]["names"]["relative"]
            .as_array()
            .map_or(0, Vec::len);
        let is_closing = planned["release"]["closing"] == true;
        for names in [1, all].into_iter().filter(|_| !is_closing) {
            retried(async || self.give_back_names(planned, names).await).await?;
            loop {
                between().await;
                let repeated = retried(async || self.give_back_names(planned, names).await).await?;
                if repeated["givenBack"] == 0 {
                    break;
                }
            }
        }
        retried(async || self.end_release(planned).await).await?;
        between().await;
        Ok(())
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

/// Makes a call again after an error that the state machines retry.
async fn retried(call: impl AsyncFn() -> Result<Value, Error>) -> Result<Value, Error> {
    let mut result = call().await;
    for _ in 1..ATTEMPTS {
        match result {
            Err(Error::Throttled(_) | Error::Unavailable(_) | Error::Conflict(_)) => {
                result = call().await;
            }
            _ => break,
        }
    }
    result
}
