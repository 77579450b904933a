//! What is known of an execution at one time, from its updates. Pure.

use std::collections::BTreeMap;

use aws_smithy_types::DateTime;
use migration::dns::Percent;
use serde_json::Value;

use crate::execution::ExecutionResult;
use crate::updates::{Update, Verdict, Weights};

/// What is known of an execution.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The plan, once it is made.
    pub plan: Option<Value>,
    /// The state that it is in, and since when.
    pub state: Option<(String, DateTime)>,
    /// What it has written last.
    pub weights: Option<Weights>,
    /// The last verdict of each observer.
    pub verdicts: BTreeMap<String, Verdict>,
    pub ended: Option<ExecutionResult>,
}

/// The verdict of all observers together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Judgement {
    Pass,
    /// At least one is inconclusive or has failed.
    NotPassed,
}

impl Snapshot {
    pub fn note(&mut self, update: &Update) {
        match update.clone() {
            Update::Plan(plan) => self.plan = Some(plan),
            Update::Entered { state, at } => self.state = Some((state, at)),
            Update::Changed(weights) => self.weights = Some(weights),
            Update::Verdict(verdict) => {
                self.verdicts.insert(verdict.observer.clone(), verdict);
            }
            Update::Ended(ended) => self.ended = Some(ended),
        }
    }

    /// The percent of `to`: what was written last, else what the plan found.
    pub fn percent(&self) -> Option<Percent> {
        let written = self.weights.as_ref().map(|weights| weights.percent);
        let planned = || self.plan.as_ref()?.get("currentPercent")?.as_f64();
        written.or_else(|| planned().and_then(Percent::from_number))
    }

    /// The last verdicts together; none before the first one.
    pub fn judgement(&self) -> Option<Judgement> {
        let mut verdicts = self.verdicts.values().peekable();
        verdicts.peek()?;
        Some(if verdicts.all(|verdict| verdict.verdict == "pass") {
            Judgement::Pass
        } else {
            Judgement::NotPassed
        })
    }
}
