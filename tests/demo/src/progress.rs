//! How far a migration is, from its plan and what has been seen.

use std::time::{Duration, Instant};

use local_stack::{Moment, Percent};
use serde_json::Value;

use crate::wording;

/// Where a migration stands.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    steps: Vec<Step>,
    /// Steps that were begun.
    begun: usize,
    begun_at: Option<Instant>,
    /// Whether the new side has lost share again.
    is_undone: bool,
    /// Whether the migration has ended.
    has_ended: bool,
    scale: f64,
}

#[derive(Debug)]
struct Step {
    percent: f64,
    /// How long it takes in the migration's time if every check passes.
    duration: Duration,
}

impl Progress {
    pub(crate) fn new(scale: f64) -> Self {
        Self {
            scale,
            ..Self::default()
        }
    }

    /// Takes the steps from the plan.
    pub(crate) fn plan(&mut self, plan: &Value) {
        let number =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_f64).unwrap_or_default();
        let steps = plan
            .get("steps")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let known = |step: &Value| number(step, "waitSeconds") + number(step, "bakeSeconds");
        // What the plan counts besides waits and bakes belongs to each step alike.
        let rest = number(plan, "expectedDurationSeconds") - steps.iter().map(known).sum::<f64>();
        #[expect(clippy::cast_precision_loss, reason = "a handful of steps")]
        let rest_of_each = rest.max(0.0) / steps.len().max(1) as f64;
        self.steps = steps
            .iter()
            .map(|step| Step {
                percent: number(step, "percent"),
                duration: Duration::from_secs_f64(known(step) + rest_of_each),
            })
            .collect();
    }

    /// Notes what share the new side has now.
    pub(crate) fn note(&mut self, moment: &Moment) {
        let reached = |step: &&Step| percent(moment.percent) >= step.percent;
        let begun = self.steps.iter().take_while(reached).count();
        self.is_undone |= begun < self.begun;
        if begun > self.begun {
            self.begun = begun;
            self.begun_at = Some(Instant::now());
        }
    }

    /// Notes that an execution has ended: the migration, or what follows it.
    pub(crate) fn end(&mut self) {
        self.has_ended = true;
    }

    /// Where it stands, in a few words.
    pub(crate) fn summary(&self) -> String {
        let (begun, steps) = (self.begun, self.steps.len());
        let left = wording::duration(self.left());
        match begun {
            _ if steps == 0 => "no plan yet".to_owned(),
            _ if self.is_undone => format!("stopped at step {begun} of {steps}"),
            _ if self.has_ended && begun == steps => format!("all {steps} steps done"),
            0 => format!("before step 1 of {steps}, {left} left"),
            _ => format!("step {begun} of {steps}, {left} left"),
        }
    }

    /// How many steps there are.
    pub(crate) fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The time left in the migration's own time, if every check passes.
    pub(crate) fn left(&self) -> Duration {
        let ahead: Duration = self
            .steps
            .iter()
            .skip(self.begun)
            .map(|step| step.duration)
            .sum();
        let current = self
            .begun
            .checked_sub(1)
            .and_then(|index| self.steps.get(index));
        let spent = self
            .begun_at
            .map(|at| at.elapsed().div_f64(self.scale))
            .unwrap_or_default();
        let of_current = current.map(|step| step.duration.saturating_sub(spent));
        ahead + of_current.unwrap_or_default()
    }

    /// The share of the whole time that has passed, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        let total: Duration = self.steps.iter().map(|step| step.duration).sum();
        if total.is_zero() {
            return 0.0;
        }
        1.0 - self.left().as_secs_f64() / total.as_secs_f64()
    }
}

fn percent(percent: Percent) -> f64 {
    f64::from(percent.hundredths()) / 100.0
}
