//! The progress of a migration, computed from its plan and its percent.

use std::time::{Duration, SystemTime};

use migration::dns::Percent;
use serde_json::Value;

use crate::text::short_duration;

#[derive(Debug, Default)]
pub(crate) struct Progress {
    steps: Vec<Step>,
    /// The number of steps that have begun.
    begun: usize,
    begun_at: Option<SystemTime>,
    /// Whether the share of `to` has fallen.
    has_fallen: bool,
    has_ended: bool,
    /// Real time divided by the migration's time.
    scale: f64,
}

#[derive(Debug)]
struct Step {
    percent: f64,
    /// How long it takes in unscaled time if every check passes.
    duration: Duration,
}

impl Progress {
    pub(crate) fn new(scale: f64) -> Self {
        Self {
            scale,
            ..Self::default()
        }
    }

    /// Reads the steps from the plan.
    pub(crate) fn plan(&mut self, plan: &Value) {
        let number =
            |value: &Value, key: &str| value.get(key).and_then(Value::as_f64).unwrap_or_default();
        let steps = plan
            .get("steps")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let known = |step: &Value| number(step, "waitSeconds") + number(step, "bakeSeconds");
        // The plan's duration contains more than waits and bakes: the rest is divided equally.
        let rest = number(plan, "expectedDurationSeconds") - steps.iter().map(known).sum::<f64>();
        #[expect(clippy::cast_precision_loss, reason = "a handful of steps")]
        let rest_per_step = rest.max(0.0) / steps.len().max(1) as f64;
        self.steps = steps
            .iter()
            .map(|step| Step {
                percent: number(step, "percent"),
                duration: Duration::from_secs_f64(known(step) + rest_per_step),
            })
            .collect();
    }

    pub(crate) fn has_plan(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Notes the share of `to` at this time.
    pub(crate) fn note(&mut self, share: Percent, at: SystemTime) {
        let share = f64::from(share.hundredths()) / 100.0;
        let reached = |step: &&Step| share >= step.percent;
        let begun = self.steps.iter().take_while(reached).count();
        self.has_fallen |= begun < self.begun;
        if begun > self.begun {
            self.begun = begun;
            self.begun_at = Some(at);
        }
    }

    /// Notes that an execution has ended: the migration, or the rollback or release after it.
    pub(crate) fn end(&mut self) {
        self.has_ended = true;
    }

    /// The progress in a few words.
    pub(crate) fn summary(&self) -> String {
        let (begun, steps) = (self.begun, self.steps.len());
        let left = short_duration(self.left());
        match begun {
            _ if steps == 0 => "no plan yet".to_owned(),
            _ if self.has_fallen => format!("stopped at step {begun} of {steps}"),
            _ if self.has_ended && begun == steps => format!("all {steps} steps done"),
            0 => format!("before step 1 of {steps}, {left} left"),
            _ => format!("step {begun} of {steps}, {left} left"),
        }
    }

    /// The unscaled time left if every check passes.
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
        // A clock that is behind that of AWS counts as no time.
        let spent = self
            .begun_at
            .and_then(|at| at.elapsed().ok())
            .map(|elapsed| elapsed.div_f64(self.scale))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn progress() -> Progress {
        let mut progress = Progress::new(1.0);
        progress.plan(&json!({
            "steps": [
                { "percent": 50, "waitSeconds": 60, "bakeSeconds": 540 },
                { "percent": 100, "waitSeconds": 60, "bakeSeconds": 540 },
            ],
            "expectedDurationSeconds": 1200,
        }));
        progress
    }

    #[test]
    fn time_since_the_shift_is_taken_off_the_time_left() {
        let mut progress = progress();
        assert_eq!(progress.summary(), "before step 1 of 2, 20 min left");
        let half = Percent::whole(50).unwrap();
        progress.note(half, SystemTime::now() - Duration::from_mins(5));
        assert_eq!(progress.summary(), "step 1 of 2, 15 min left");
    }

    #[test]
    fn a_share_that_falls_has_stopped_the_steps() {
        let mut progress = progress();
        progress.note(Percent::whole(50).unwrap(), SystemTime::now());
        progress.note(Percent::ZERO, SystemTime::now());
        assert_eq!(progress.summary(), "stopped at step 1 of 2");
    }
}
