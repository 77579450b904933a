//! What the executions of a history need from outside: the virtual clock, and the services of the
//! simulated account.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use fakes::{Network, Time};
use interpreter::{Arrival, End, ExecutionId, Failure, JValue, LocalFuture, Services};
use migration::Error;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::recording::Case;
use crate::world::{Process, World, rfc3339};

pub(crate) struct Account {
    clock: Clock,
    world: Weak<World>,
    uuids: Cell<u64>,
}

impl Account {
    pub(crate) fn new(clock: Clock, world: Weak<World>) -> Self {
        Self {
            clock,
            world,
            uuids: Cell::new(0),
        }
    }

    fn last_uuid(&self) -> String {
        format!("{:08x}-0000-4000-8000-000000000000", self.uuids.get())
    }

    /// The world, which exists as long as an execution runs in it.
    fn world(&self) -> Result<Rc<World>, Failure> {
        let gone = || Failure::new("Lambda.SdkClientException", "the history is over");
        self.world.upgrade().ok_or_else(gone)
    }
}

impl Services for Account {
    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    fn format(&self, time: SystemTime) -> String {
        rfc3339(time)
    }

    fn sleep(&self, time: Duration) -> LocalFuture<'static, ()> {
        Box::pin(self.clock.sleep(time))
    }

    fn random(&self) -> f64 {
        self.world()
            .map_or(0.0, |world| world.random.borrow_mut().f64())
    }

    fn uuid(&self) -> String {
        self.uuids.set(self.uuids.get() + 1);
        self.last_uuid()
    }

    fn call<'a>(
        &'a self,
        execution: &'a ExecutionId,
        integration: &'a str,
        arguments: Value,
    ) -> LocalFuture<'a, Result<Value, Failure>> {
        Box::pin(async move {
            let world = self.world()?;
            match integration {
                "lambda:invoke" => world.invoke_for(execution, &arguments).await,
                "events:putEvents" => {
                    let arrival = reach(&world, "PutEvents", "EventBridge").await;
                    if arrival.is_carried_out {
                        let entries = arguments["Entries"].as_array().into_iter().flatten();
                        entries.for_each(|entry| world.on_status(&entry["Detail"]));
                    }
                    let done = json!({"FailedEntryCount": 0});
                    arrival.answer.map(|()| done)
                }
                "sns:publish" => {
                    let arrival = reach(&world, "Publish", "SNS").await;
                    if arrival.is_carried_out {
                        world.published.borrow_mut().push(arguments);
                    }
                    arrival.answer.map(|()| json!({"MessageId": self.uuid()}))
                }
                other => {
                    let problem = format!("the history has no {other}");
                    Err(Failure::new("States.Runtime", problem))
                }
            }
        })
    }

    fn reach(&self, action: &'static str) -> LocalFuture<'_, Arrival> {
        Box::pin(async move {
            match self.world() {
                Ok(world) => {
                    let service = match action {
                        "StartExecution" => "StepFunctions",
                        _ => "Sfn",
                    };
                    reach(&world, action, service).await
                }
                Err(failure) => Arrival {
                    is_carried_out: false,
                    answer: Err(failure),
                },
            }
        })
    }

    fn on_enter(&self, execution: &ExecutionId, state: &str, input: &JValue) {
        if let Ok(world) = self.world() {
            world.on_enter(execution, state, input);
        }
    }

    fn on_end(&self, execution: &ExecutionId, end: &End) {
        if let Ok(world) = self.world() {
            world.on_end(execution, end);
        }
    }

    fn is_recording(&self) -> bool {
        self.world()
            .is_ok_and(|world| world.recorder.borrow().is_some())
    }

    fn record(&self, expression: &str, variables: &JValue, result: Option<&JValue>) {
        let Ok(world) = self.world() else { return };
        if let Some(recorder) = &*world.recorder.borrow() {
            let json = |value: &JValue| serde_json::to_value(value).unwrap_or_default();
            recorder.add(Case {
                expression: expression.to_owned(),
                variables: json(variables),
                now: self.format(self.now()),
                uuid: self.last_uuid(),
                result: result.map(json),
            });
        }
    }
}

/// Makes a call of Step Functions to a service. There is no process that a fault could kill, so such
/// a fault is a lost connection.
async fn reach(world: &World, action: &'static str, service: &str) -> Arrival {
    let network: &Network = &world.integrations;
    if let Some(failure) = world.outage(action) {
        return Arrival {
            is_carried_out: false,
            answer: Err(failure),
        };
    }
    let has_arrived = AtomicBool::new(false);
    let arrive = |_| {
        has_arrived.store(true, Ordering::Relaxed);
        Ok(())
    };
    let call = async {
        let answer = network.call(action, arrive).await;
        answer.map_err(|error| {
            let name = match error {
                Error::Throttled(_) => "ThrottlingException",
                Error::NotPermitted(_) => "AccessDeniedException",
                _ => "SdkClientException",
            };
            Failure::new(format!("{service}.{name}"), error.to_string())
        })
    };
    let work = Box::pin(call);
    let process = Process {
        work,
        network,
        error: &format!("{service}.SdkClientException"),
    };
    let answer = process.await;
    if answer.is_err() {
        world.disturb_looks();
    }
    Arrival {
        is_carried_out: has_arrived.load(Ordering::Relaxed),
        answer,
    }
}
