//! The network between the functions and the fakes, with faults that tests inject into calls.

use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use migration::Error;
use migration::dns::RecordSet;
use migration::error::{ChangeRefused, NotPermitted, Throttled, Unavailable};

/// The only action that changes a zone.
pub const CHANGE: &str = "ChangeResourceRecordSets";
/// The action that reads a page of a zone.
pub const LIST: &str = "ListResourceRecordSets";

/// What happens to one call.
pub enum Fault {
    /// AWS throttles the call; nothing is applied.
    Throttled,
    /// The call never arrives.
    Unavailable,
    /// The call is applied, but its answer is lost.
    AnswerLost,
    /// AWS refuses the call: a protected record, or a permission that was removed.
    Refused,
    /// Another writer changes the zone just before the call arrives.
    OtherWriter(Edit),
    /// If the call asks for a change (`GetChange`), Route 53 does not know it any more. If it `is_stranded`,
    /// its records are as before it.
    LostChange { is_stranded: bool },
    /// The call arrives late: after this many additional latencies.
    Late(usize),
    /// The process dies before it has sent the call.
    KilledBefore,
    /// The process dies after the call is applied, before it has read the answer.
    KilledAfter,
}

/// What another writer does to the record sets.
pub type Edit = Box<dyn FnOnce(&mut Vec<RecordSet>) + Send>;

/// What happens just before a call arrives.
pub enum Before {
    OtherWriter(Edit),
    LostChange { is_stranded: bool },
}

/// The time of the fakes, and of the calls to them.
pub trait Time: Send + Sync {
    fn now(&self) -> SystemTime;

    /// Waits for as long as a call takes to arrive.
    fn wait_latency(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Waits.
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// A clock that does not move, on which calls take no time.
struct FixedTime;

impl Time for FixedTime {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
    }

    fn wait_latency(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(ready(()))
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(ready(()))
    }
}

/// Numbers the calls to all fakes that share it, in the order in which they arrive and from 0, and
/// injects faults into them.
pub struct Network {
    time: Box<dyn Time>,
    state: Mutex<NetworkState>,
}

#[derive(Default)]
struct NetworkState {
    actions: Vec<&'static str>,
    faults: BTreeMap<usize, Fault>,
    /// Faults of the calls of an action: how many of its calls come before, and the fault.
    faults_of: BTreeMap<&'static str, Vec<(usize, Fault)>>,
    injected: usize,
    killed: bool,
}

impl NetworkState {
    /// Counts a call of `action`, and returns its fault.
    fn next_fault_of(&mut self, action: &str) -> Option<Fault> {
        let faults = self.faults_of.get_mut(action)?;
        let position = faults.iter().position(|(before, _)| *before == 0);
        let fault = position.map(|position| faults.swap_remove(position).1);
        for (before, _) in faults {
            *before = before.saturating_sub(1);
        }
        fault
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new(FixedTime)
    }
}

impl Network {
    pub fn new(time: impl Time + 'static) -> Self {
        Self {
            time: Box::new(time),
            state: Mutex::default(),
        }
    }

    /// Injects a fault into the call with this number. Numbers count from 0.
    pub fn inject_fault(&self, number: usize, fault: Fault) {
        self.lock().faults.insert(number, fault);
    }

    /// Injects a fault into a call of `action`: of those that arrive from now on, the one with this
    /// number. Numbers count from 0.
    pub fn inject_fault_into(&self, action: &'static str, number: usize, fault: Fault) {
        let mut state = self.lock();
        state
            .faults_of
            .entry(action)
            .or_default()
            .push((number, fault));
    }

    /// Removes the faults that have not happened yet.
    pub fn clear_faults(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.faults_of.clear();
    }

    /// How many calls have arrived.
    pub fn calls(&self) -> usize {
        self.lock().actions.len()
    }

    /// How many calls of `action` have arrived.
    pub fn calls_of(&self, action: &str) -> usize {
        let state = self.lock();
        state.actions.iter().filter(|it| **it == action).count()
    }

    /// The action of the call with this number.
    pub fn action(&self, number: usize) -> Option<&'static str> {
        self.lock().actions.get(number).copied()
    }

    /// How many faults have happened.
    pub fn injected(&self) -> usize {
        self.lock().injected
    }

    pub fn now(&self) -> SystemTime {
        self.time.now()
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.time.sleep(time).await;
    }

    /// Whether the latest call has killed its process; resets the answer.
    pub fn take_killed(&self) -> bool {
        std::mem::take(&mut self.lock().killed)
    }

    fn lock(&self) -> MutexGuard<'_, NetworkState> {
        self.state.lock().unwrap()
    }

    /// Makes one call. `carry_out` applies it at its arrival, after what happens before it.
    pub async fn call<T>(
        &self,
        action: &'static str,
        carry_out: impl FnOnce(Option<Before>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.time.wait_latency().await;
        let fault = {
            let mut state = self.lock();
            let number = state.actions.len();
            state.actions.push(action);
            let of_action = state.next_fault_of(action);
            let fault = state.faults.remove(&number).or(of_action);
            state.injected += usize::from(fault.is_some());
            state.killed = matches!(fault, Some(Fault::KilledBefore | Fault::KilledAfter));
            fault
        };
        match fault {
            None => carry_out(None),
            Some(Fault::AnswerLost) => {
                carry_out(None)?;
                Err(no_answer(action, "the answer was lost"))
            }
            Some(Fault::OtherWriter(edit)) => carry_out(Some(Before::OtherWriter(edit))),
            Some(Fault::LostChange { is_stranded }) => {
                carry_out(Some(Before::LostChange { is_stranded }))
            }
            Some(Fault::Late(times)) => {
                for _ in 0..times {
                    self.time.wait_latency().await;
                }
                carry_out(None)
            }
            Some(Fault::Throttled) => Err(Error::from(Throttled {
                action: action.to_owned(),
                answer: "Rate exceeded".to_owned(),
            })),
            Some(Fault::Unavailable) => Err(no_answer(action, "the connection was refused")),
            Some(Fault::Refused) if action == CHANGE => Err(Error::from(ChangeRefused {
                reason: "the record is protected".to_owned(),
            })),
            Some(Fault::Refused) => Err(Error::from(NotPermitted::Action {
                action: action.to_owned(),
                answer: "AccessDenied".to_owned(),
            })),
            Some(Fault::KilledBefore) => pending().await,
            Some(Fault::KilledAfter) => {
                drop(carry_out(None));
                pending().await
            }
        }
    }
}

fn no_answer(action: &str, problem: &str) -> Error {
    Error::from(Unavailable::NoAnswer {
        action: action.to_owned(),
        problem: problem.to_owned(),
    })
}
