//! Whole migrations in process: the code of the functions on strict fakes of Route 53, CloudWatch
//! and Step Functions, called in the order of the state machines.
//!
//! Histories (`tests/histories.rs`): everything that can happen to a migration, on a virtual clock.
//!
//! | module | what it is |
//! |---|---|
//! | [`clock`] | time that passes only once nothing else can happen |
//! | [`world`] | the fakes behind one line, the functions' processes, EventBridge |
//! | [`machines`] | the order of calls of the state machines |
//! | [`writers`] | other writers |
//! | [`oracle`] | holds every batch, and the zone behind it, to the invariants |
//! | [`history`] | one history, and what must hold at its end |
//! | [`exhaustive`], [`random`], [`limits`] | which histories there are |
//!
//! Examples, by hand with [`Simulation`]: the design's invariants (`invariants`), refusals before
//! anything is written (`refusals`), rollbacks that events ask for (`events`), migrations beside the
//! model of ExternalDNS (`external_dns`, `releases`), of which the plan warns (`lints`), and what
//! histories found once (`regressions`).

#![expect(
    clippy::indexing_slicing,
    reason = "a missing field of a JSON value is null, not a panic"
)]

pub mod clock;
pub mod cloudwatch;
pub mod exhaustive;
pub mod history;
pub mod limits;
pub mod machines;
pub mod oracle;
pub mod random;
pub mod world;
pub mod writers;
pub mod zones;

#[cfg(test)]
mod events;
#[cfg(test)]
mod external_dns;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod lints;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod regressions;
#[cfg(test)]
mod releases;

use std::sync::{Arc, Mutex};

use migration::Error;
use migration::fake::{FakeExecutions, FakeRoute53};
use serde_json::{Value, json};

use crate::oracle::{Oracle, lock};

/// The blueprint's zone: five names with A and AAAA and registry TXT, a CNAME
/// pair (`legacy.`), a name with a third set identifier (`shared.`), and
/// records that must never be touched.
pub const BLUEPRINT: &str = include_str!("../../zone-blueprint.json");

/// The id of the zone.
pub const ZONE_ID: &str = "Z0BLUEPRINT";

/// How often a call is made again before it counts as failed, as the state machine retries.
const ATTEMPTS: usize = 3;

/// A zone, its executions, and the functions that work on them.
pub struct Simulation {
    /// Route 53.
    pub route53: FakeRoute53,
    /// Step Functions.
    pub executions: FakeExecutions,
    oracle: Arc<Mutex<Oracle>>,
}

impl Simulation {
    /// A zone with the record sets of `aws route53 list-resource-record-sets`.
    pub fn new(zone: &str) -> Self {
        let oracle = Arc::default();
        Self {
            route53: FakeRoute53::from_cli_json(ZONE_ID, zone)
                .observed_by(Oracle::observer(&oracle)),
            executions: FakeExecutions::default(),
            oracle,
        }
    }

    /// Every batch so far, and the zone behind it, was as the design's invariants have it.
    ///
    /// # Panics
    /// If one was not.
    #[track_caller]
    pub fn expect_invariants(&self) {
        let violations = &lock(&self.oracle).violations;
        assert!(violations.is_empty(), "{violations:#?}");
    }

    /// The blueprint's zone.
    pub fn blueprint() -> Self {
        Self::new(BLUEPRINT)
    }

    /// Starts an execution and plans it.
    pub async fn plan(&self, execution: &str, input: &Value) -> Result<Value, Error> {
        self.executions.start(execution, input.clone());
        self.shift_weight(&json!({"operation": "plan", "execution": execution, "input": input}))
            .await
    }

    /// Makes step number `step` of a planned migration.
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

    /// Asks whether the zone shows what was written.
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

    /// Takes the journals away.
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

    /// One pass of a rollback.
    pub async fn roll_back(&self, request: &Value) -> Result<Value, Error> {
        rollback::handle(request, &self.route53, &self.executions).await
    }

    /// Rolls an execution back as the rollback state machine does.
    pub async fn roll_back_whole(&self, execution: &str) -> Result<(), Error> {
        self.roll_back_all(&json!({"hostedZoneId": ZONE_ID, "execution": execution}))
            .await
            .map(|_| ())
    }

    /// Rolls back what `request` asks for as the rollback state machine does: pass by pass until
    /// one finds nothing to do, each call made again when it fails. Returns the passes' answers.
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
        Err(Error::Unavailable("ten passes were not enough".into()))
    }

    /// Carries a migration out as the migration state machine does when every
    /// check passes, each call made again when it fails.
    pub async fn migrate(&self, execution: &str, input: &Value) -> Result<(), Error> {
        self.migrate_watched(execution, input, async || {}).await
    }

    /// The same, with `between` after every call.
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

    /// Leases the names of a release again that were given back.
    pub async fn take_again(&self, planned: &Value) -> Result<Value, Error> {
        self.shift_weight(&json!({"operation": "takeAgain", "release": planned["release"]}))
            .await
    }

    /// Releases a migration as the release state machine does, with `between` after every call:
    /// what it does in the time of two intervals of ExternalDNS.
    pub async fn release(&self, execution: &str, between: impl AsyncFn()) -> Result<(), Error> {
        let planned = retried(async || self.plan_release(execution).await).await?;
        if planned["release"].is_null() {
            return Ok(());
        }
        let given_back = self.give_back(&planned, &between).await;
        if given_back.is_err() {
            for takes in 1..=3 {
                let taken = retried(async || self.take_again(&planned).await).await?;
                if takes >= 2 && taken["takenAgain"] == 0 {
                    break;
                }
                between().await;
            }
        }
        given_back
    }

    /// The first name alone, then all, each given back, watched, and looked at until a look finds
    /// nothing to give back; then the end.
    async fn give_back(&self, planned: &Value, between: &impl AsyncFn()) -> Result<(), Error> {
        let all = planned["release"]["names"]["relative"]
            .as_array()
            .map_or(0, Vec::len);
        let is_closing = planned["release"]["closing"] == true;
        for names in [1, all].into_iter().filter(|_| !is_closing) {
            retried(async || self.give_back_names(planned, names).await).await?;
            loop {
                between().await;
                let looked = retried(async || self.give_back_names(planned, names).await).await?;
                if looked["givenBack"] == 0 {
                    break;
                }
            }
        }
        retried(async || self.end_release(planned).await).await?;
        between().await;
        Ok(())
    }

    /// Gives the first so many names of a release back, or looks at them.
    pub async fn give_back_names(&self, planned: &Value, names: usize) -> Result<Value, Error> {
        let release = &planned["release"];
        self.shift_weight(&json!({"operation": "giveBack", "release": release, "names": names}))
            .await
    }

    /// Takes the journals of a release away.
    pub async fn end_release(&self, planned: &Value) -> Result<Value, Error> {
        self.shift_weight(&json!({"operation": "endRelease", "release": planned["release"]}))
            .await
    }
}

/// Retries what the state machines retry.
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
