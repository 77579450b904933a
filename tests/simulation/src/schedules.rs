//! The schedules of the stack: the sweep every 15 minutes, and the reminder of each day.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{Function, World, rfc3339};

/// `ScheduleExpression` of the sweep in the template.
const SWEEP_EVERY: Duration = Duration::from_mins(15);
/// The sweeps in a row that find nothing while nothing runs, after which none finds anything any more. An
/// execution that has just ended is left to its status event first, for 15 minutes.
const QUIET_SWEEPS: usize = 3;
/// After so many findings the history ends: what is found can't be restored. Sweeps that fail do not count, and the
/// faults of a history are finite.
const MOST_FINDINGS: usize = 60;

impl World {
    /// Runs the sweeps from now on, until they find nothing more.
    pub fn run_sweeps(self: &Rc<Self>) {
        self.is_swept.set(true);
        let world = self.clone();
        self.spawn(async move {
            let (mut quiet, mut findings) = (0, 0);
            while quiet < QUIET_SWEEPS && findings < MOST_FINDINGS {
                world.clock.sleep(SWEEP_EVERY).await;
                let has_found = world.sweep().await;
                let executions = world.step_functions.executions();
                let all_have_ended = executions.iter().all(|(_, it)| it.end.is_some());
                let is_quiet = has_found == Some(false) && all_have_ended;
                quiet = if is_quiet { quiet + 1 } else { 0 };
                findings += usize::from(has_found == Some(true));
            }
        });
    }

    /// Invokes the sweep. Returns whether it has found something; none if it has failed.
    async fn sweep(self: &Rc<Self>) -> Option<bool> {
        let event = json!({"sweep": {"at": rfc3339(self.network.now())}});
        match self.invoke(Function::Rollback, event).await {
            Ok(answer) => {
                let found = &answer["found"];
                let has_found = *found != json!([]);
                if has_found {
                    self.note(format!("the sweep finds {found}"));
                }
                Some(has_found)
            }
            Err(failure) => {
                self.note(format!("the sweep fails: {failure}"));
                None
            }
        }
    }

    /// Starts the reminder of migrations that ended a day ago.
    pub fn remind(&self) {
        let at = rfc3339(self.network.now());
        let event: Value = json!({"reminder": {"at": at, "olderThanHours": 24}});
        self.roll_back(&event);
    }
}
