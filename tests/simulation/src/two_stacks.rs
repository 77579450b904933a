//! Two stacks whose migrations have the same execution name, on one zone, at the same time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use fakes::{
    FakeExecutions, FakeResolver, FakeRoute53, FakeSigningKeys, Network, Time,
    record_sets_from_cli_json,
};
use migration::Error;
use migration::dns::RecordSet;
use migration::plan::StackSettings;
use rollback::Memory;
use serde_json::{Value, json};

use crate::ZONE_ID;
use crate::zones::{self, BLUE, GREEN};

const NAMES: [&str; 2] = ["svc-0000.example.com", "svc-0001.example.com"];

/// Each call can be interrupted: it takes one poll more.
struct OnePoll;

impl Time for OnePoll {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.wait_latency()
    }

    fn wait_latency(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut is_first = true;
        Box::pin(std::future::poll_fn(move |_| {
            if std::mem::take(&mut is_first) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        }))
    }
}

/// A stack, with its own state machine and its own key.
struct Stack<'z> {
    route53: &'z FakeRoute53,
    executions: FakeExecutions,
    keys: FakeSigningKeys,
    input: Value,
}

impl<'z> Stack<'z> {
    fn new(number: u8, route53: &'z FakeRoute53, names: &[&str]) -> Self {
        let input = json!({
            "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [10, 100], "names": names,
        });
        let executions = FakeExecutions::of_stack(&format!("stack-{number}"));
        executions.start("run", input.clone());
        Self {
            route53,
            executions,
            keys: FakeSigningKeys::of_stack(number),
            input,
        }
    }

    async fn plan(&self) -> Result<Value, Error> {
        self.shift_weight(json!({"operation": "plan", "execution": "run", "input": self.input}))
            .await
    }

    /// Plans, and makes the first steps.
    async fn shift(&self, steps: usize) -> Result<(), Error> {
        let planned = self.plan().await?;
        for step in 0..steps {
            let migration = &planned["migration"];
            let event = json!({"operation": "shift", "migration": migration, "step": step});
            self.shift_weight(event).await?;
        }
        Ok(())
    }

    async fn shift_weight(&self, event: Value) -> Result<Value, Error> {
        let settings = StackSettings::default();
        shift_weight::handle(
            &event,
            self.route53,
            &FakeResolver::default(),
            &self.executions,
            &self.keys,
            &settings,
        )
        .await
    }

    /// Rolls its execution back, which has ended.
    async fn roll_back(&self) -> Result<Value, Error> {
        self.executions.abort("run");
        let event = json!({"execution": "run", "hostedZoneId": ZONE_ID});
        let memory = Memory::default();
        rollback::handle(&event, self.route53, &self.executions, &self.keys, &memory).await
    }
}

fn zone() -> FakeRoute53 {
    let record_sets = record_sets_from_cli_json(&zones::registered(2));
    FakeRoute53::new(ZONE_ID, record_sets).with_network(Arc::new(Network::new(OnePoll)))
}

/// Runs `first`, and `second` as a whole after `calls` calls of `first`. None if `first` has ended before.
fn interleave<T, U>(
    calls: usize,
    first: impl Future<Output = T>,
    second: impl FnOnce() -> U,
) -> Option<(T, U)> {
    let mut first = Box::pin(first);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..calls {
        if first.as_mut().poll(&mut context).is_ready() {
            return None;
        }
    }
    let second = second();
    loop {
        if let Poll::Ready(first) = first.as_mut().poll(&mut context) {
            return Some((first, second));
        }
    }
}

/// Polls a future until it is ready. Nothing wakes it: it never waits for anything else.
fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}

/// The records of one name, its journal included.
fn records_of(route53: &FakeRoute53, name: &str) -> Vec<RecordSet> {
    let mut record_sets = route53.record_sets();
    record_sets.retain(|record_set| record_set.name.as_str().contains(name));
    record_sets
}

/// Two stacks, each of which moves one of the names.
fn with_a_name_each(route53: &FakeRoute53) -> [Stack<'_>; 2] {
    [0, 1].map(|number| Stack::new(number, route53, &[NAMES[usize::from(number)]]))
}

/// Plays a history in which one stack is interrupted: after no call, after one, and so on until the history is
/// none, because the stack has ended before. Checks that each leaves the zone as it was. Returns how many it has
/// played.
fn play_each(history: impl Fn(usize, &FakeRoute53) -> Option<()>) -> usize {
    let played = (0..).map_while(|calls| {
        let route53 = zone();
        let before = route53.record_sets();
        history(calls, &route53)?;
        assert_eq!(route53.record_sets(), before, "after {calls} calls");
        Some(())
    });
    played.count()
}

#[test]
fn a_rollback_undoes_the_names_of_its_own_stack() {
    let histories = play_each(|calls, route53| {
        let [one, other] = with_a_name_each(route53);
        finish(other.shift(1)).unwrap();
        let of_other = records_of(route53, NAMES[1]);
        let (shifted, _) = interleave(calls, one.shift(2), || finish(other.plan()))?;
        shifted.unwrap();
        assert_eq!(finish(one.roll_back()).unwrap()["restored"], 1);
        assert_eq!(records_of(route53, NAMES[1]), of_other);
        assert_eq!(finish(other.roll_back()).unwrap()["restored"], 1);
        Some(())
    });
    assert!(histories > 3, "{histories}");
}

#[test]
fn a_shift_during_the_rollback_of_another_stack_is_not_undone() {
    let histories = play_each(|calls, route53| {
        let [one, other] = with_a_name_each(route53);
        finish(one.shift(1)).unwrap();
        let (rolled_back, of_other) = interleave(calls, one.roll_back(), || {
            finish(other.shift(1)).unwrap();
            records_of(route53, NAMES[1])
        })?;
        assert_eq!(rolled_back.unwrap()["restored"], 1);
        assert_eq!(records_of(route53, NAMES[1]), of_other);
        finish(other.roll_back()).unwrap();
        Some(())
    });
    assert!(histories > 2, "{histories}");
}

/// The journals of the other stack's execution have the same name, but another key and another id.
#[test]
fn of_two_stacks_with_the_same_names_one_is_refused_and_undoes_nothing() {
    let histories = play_each(|calls, route53| {
        let [one, other] = [0, 1].map(|number| Stack::new(number, route53, &NAMES));
        let played = interleave(calls, one.shift(1), || finish(other.shift(1)))?;
        let (winner, loser, refusal) = match played {
            (Ok(()), Err(refusal)) => (&one, &other, refusal),
            (Err(refusal), Ok(())) => (&other, &one, refusal),
            both => panic!("after {calls} calls: {both:?}"),
        };
        assert!(
            ["Busy", "Drift", "Conflict"].contains(&refusal.name()),
            "{refusal}"
        );
        let shifted = route53.record_sets();
        assert_eq!(finish(loser.roll_back()).unwrap()["restored"], 0);
        assert_eq!(route53.record_sets(), shifted, "after {calls} calls");
        assert_eq!(finish(winner.roll_back()).unwrap()["restored"], 2);
        Some(())
    });
    assert!(histories > 3, "{histories}");
}

/// The second stack was given the key of the first one, and its execution has the same name.
#[test]
fn an_execution_of_an_earlier_stack_with_the_same_key_is_not_adopted() {
    let route53 = zone();
    let one = Stack::new(0, &route53, &NAMES);
    finish(one.shift(1)).unwrap();
    let mut other = Stack::new(1, &route53, &NAMES);
    other.keys = FakeSigningKeys::of_stack(0);
    other.executions.fail("run", "Held", "");
    other.executions.start("next", other.input.clone());
    let event = json!({"operation": "plan", "execution": "next", "input": other.input});
    let error = finish(other.shift_weight(event)).unwrap_err();
    assert_eq!(error.name(), "Busy", "{error}");
    let shifted = route53.record_sets();
    assert_eq!(finish(other.roll_back()).unwrap()["restored"], 0);
    assert_eq!(route53.record_sets(), shifted);
    // A person may roll back by name what an earlier stack has left, because the key is the same.
    let event = json!({"hostedZoneId": ZONE_ID, "names": NAMES});
    let memory = Memory::default();
    let rolled_back = rollback::handle(&event, &route53, &other.executions, &other.keys, &memory);
    assert_eq!(finish(rolled_back).unwrap()["restored"], 2);
}
