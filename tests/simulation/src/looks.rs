//! The new side never has traffic unwatched: from each shift until the migration makes the next one,
//! completes or fails, the time between two looks is at most `checkSeconds` and the time of the calls
//! between them.
//!
//! A look is one round of the observers in the state machine `watch`. Its own time is not counted, nor is
//! that of one call of a shift or a completion, during which nothing watches (see SEMANTICS.md).

use std::collections::BTreeMap;
use std::time::Duration;

use interpreter::{ExecutionId, JValue};

/// The states of a migration in which `watch` looks, and the choices between them.
const WATCHED: [&str; 9] = [
    "All names shifted?",
    "Check health during the shift",
    "Wait for Route 53's limits",
    "Confirm the change",
    "Wait out the TTL",
    "Bake",
    "Approval needed?",
    "Ask for approval",
    "Check health once more",
];

/// The calls between two looks: the answer of one `watch`, the start of the next, the heartbeat, the
/// announcement, and attempts of these that hang and are repeated.
const CALLS: u32 = 8;

/// `HeartbeatSeconds` is longer than `checkSeconds` by this time.
const HEARTBEAT: Duration = Duration::from_mins(12);

/// How long the start of a `watch`, or a heartbeat, is repeated before it fails.
const REPETITIONS: Duration = Duration::from_mins(3);

pub(crate) struct Looks {
    longest_call: Duration,
    /// The migrations with traffic that is to be watched, by name.
    migrations: BTreeMap<String, Watched>,
    /// The name of the migration that each execution of `watch` watches, and its `checkSeconds`.
    watches: BTreeMap<ExecutionId, (String, Duration)>,
}

struct Watched {
    /// None while a look is being made.
    since: Option<Duration>,
    /// An execution of `watch` was lost, or calls have failed, since then.
    is_disturbed: bool,
    check: Duration,
}

impl Looks {
    /// `longest_call` is the longest time of a call that succeeds.
    pub(crate) fn new(longest_call: Duration) -> Self {
        Self {
            longest_call,
            migrations: BTreeMap::new(),
            watches: BTreeMap::new(),
        }
    }

    /// A migration enters a state.
    ///
    /// # Errors
    /// If nobody has looked for too long.
    pub(crate) fn on_migration(
        &mut self,
        name: &str,
        state: &str,
        now: Duration,
    ) -> Result<(), String> {
        if !WATCHED.contains(&state) {
            return self.on_end(name, now);
        }
        // A redriven migration may enter it before a `watch` starts.
        let earlier = self.watches.values().filter(|(of, _)| of == name);
        let check = earlier.map(|(_, check)| *check).max();
        let watched = || Watched {
            since: Some(now),
            is_disturbed: false,
            check: check.unwrap_or_default(),
        };
        self.migrations
            .entry(name.to_owned())
            .or_insert_with(watched);
        Ok(())
    }

    /// A migration ends, or enters a state in which its health is not watched.
    ///
    /// # Errors
    /// If nobody has looked for too long.
    pub(crate) fn on_end(&mut self, name: &str, now: Duration) -> Result<(), String> {
        match self.migrations.remove(name) {
            Some(watched) => watched.check(name, now, self.longest_call),
            None => Ok(()),
        }
    }

    /// An execution of `watch` enters a state.
    pub(crate) fn on_watch(
        &mut self,
        id: &ExecutionId,
        state: &str,
        input: &JValue,
        now: Duration,
    ) {
        match state {
            "Take the input" => {
                let name = input.get("execution").and_then(JValue::as_str);
                let check = input
                    .get("migration")
                    .and_then(|migration| migration.get("checkSeconds")?.as_i64());
                let check = check.and_then(|seconds| u64::try_from(seconds).ok());
                let check = Duration::from_secs(check.unwrap_or_default());
                let name = name.unwrap_or_default().to_owned();
                if let Some(watched) = self.migrations.get_mut(&name) {
                    watched.check = check;
                }
                self.watches.insert(id.clone(), (name, check));
            }
            "Judge health" => {
                if let Some(watched) = self.watched_by(id) {
                    watched.since = Some(now);
                }
            }
            _ => {}
        }
    }

    /// An execution of `watch` invokes an observer.
    ///
    /// # Errors
    /// If nobody has looked for too long.
    pub(crate) fn on_observer(&mut self, id: &ExecutionId, now: Duration) -> Result<(), String> {
        let longest_call = self.longest_call;
        let name = self.watches.get(id).map(|(name, _)| name.clone());
        let Some(watched) = self.watched_by(id) else {
            return Ok(());
        };
        let outcome = watched.check(&name.unwrap_or_default(), now, longest_call);
        watched.since = None;
        watched.is_disturbed = false;
        outcome
    }

    /// An execution of `watch` has not ended by itself.
    pub(crate) fn on_lost_watch(&mut self, id: &ExecutionId, now: Duration) {
        if let Some(watched) = self.watched_by(id) {
            watched.since.get_or_insert(now);
            watched.is_disturbed = true;
        }
    }

    /// A call has failed that may be one of a `watch`.
    pub(crate) fn disturb(&mut self) {
        for watched in self.migrations.values_mut() {
            watched.is_disturbed = true;
        }
    }

    fn watched_by(&mut self, id: &ExecutionId) -> Option<&mut Watched> {
        let (name, _) = self.watches.get(id)?;
        self.migrations.get_mut(name)
    }
}

impl Watched {
    fn check(&self, name: &str, now: Duration, longest_call: Duration) -> Result<(), String> {
        let Some(since) = self.since else {
            return Ok(());
        };
        let calls = longest_call * CALLS;
        let bound = if self.is_disturbed {
            // Two executions of `watch` are lost, one after the other.
            2 * (self.check + HEARTBEAT + REPETITIONS) + calls
        } else {
            self.check + calls
        };
        let unwatched = now.saturating_sub(since);
        if unwatched <= bound {
            return Ok(());
        }
        Err(format!(
            "nobody has looked at the health of {name} for {} seconds, at most {} are allowed",
            unwatched.as_secs(),
            bound.as_secs()
        ))
    }
}
