//! The expressions of the definitions, with the variables that histories evaluate them with and the
//! results, for a comparison with another implementation of JSONata.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use fakes::{Fault, record_sets_from_cli_json};
use interpreter::Failure;
use serde_json::{Value, json};

use crate::clock::Latency;
use crate::machines::{DEFINITIONS, WATCH, substitute};
use crate::world::{ALARM, World};
use crate::zones::{self, BLUE, GREEN};
use crate::{ZONE_ID, history, random};

/// The number of random histories that are recorded.
const SEEDS: u64 = 60;
/// The number of cases of an expression that are kept in any case, and those with further results.
const FEW: usize = 3;
const MOST: usize = 8;

/// One evaluation of an expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    pub expression: String,
    /// By name, without `$`.
    pub variables: Value,
    /// What `$now()` and `$uuid()` gave last.
    pub now: String,
    pub uuid: String,
    /// None if the evaluation failed.
    pub result: Option<Value>,
}

/// Collects cases: of each expression a few, and more of those with other results.
#[derive(Default)]
pub struct Recorder(RefCell<BTreeMap<String, Vec<Case>>>);

impl Recorder {
    pub(crate) fn add(&self, case: Case) {
        let mut cases = self.0.borrow_mut();
        let of_expression = cases.entry(case.expression.clone()).or_default();
        let is_known = |field: fn(&Case) -> Value| {
            let new = field(&case);
            of_expression.iter().any(|other| field(other) == new)
        };
        let is_same = is_known(|case| case.variables.clone());
        let is_like_another = is_known(|case| json!([case.result]));
        let limit = if is_like_another { FEW } else { MOST };
        if !is_same && of_expression.len() < limit {
            of_expression.push(case);
        }
    }
}

/// Runs histories, and returns the cases of each expression: random ones, in which migrations complete,
/// roll back, hold and ask for approval and in which rollbacks and notifications run, and some for what
/// is rare in them.
pub fn record() -> BTreeMap<String, Vec<Case>> {
    let recorder = Rc::new(Recorder::default());
    for seed in 0..SEEDS {
        random::play_with(seed, |world| record_in(world, &recorder));
    }
    let input = json!({
        "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [10, 100], "bakeSeconds": 600,
        "alarms": {"names": [ALARM]},
    });
    let with = |fields: Value| {
        let mut input = input.clone();
        for (name, value) in fields.as_object().into_iter().flatten() {
            input[name] = value.clone();
        }
        input
    };
    let approval = json!({"percent": 10, "approval": true});
    let asking = with(json!({"steps": [approval, 100]}));
    let leasing = with(json!({"externalDns": {"mode": "lease"}}));
    let waiting = with(json!({"names": ["absent.example.com"], "recordsTimeoutSeconds": 600}));
    let run = |input: &Value, disturb: fn(&Rc<World>)| {
        history::run(
            record_sets_from_cli_json(&zones::registered(2)),
            Latency::Same(Duration::from_millis(100)),
            |world| {
                record_in(world, &recorder);
                world.start("execution-1", input);
                disturb(world);
            },
            |_| {},
        );
    };
    run(&with(json!({"dryRun": true})), |_| {});
    run(&with(json!({"from": 1})), |_| {});
    run(&with(json!({"steps": [100], "bakeSeconds": 0})), |_| {});
    run(&with(json!({"externalDns": {"mode": "ignore"}})), |_| {});
    run(&waiting, |_| {});
    run(&with(json!({"readyTimeoutSeconds": 60})), |world| {
        world.become_unhealthy();
    });
    run(&with(json!({"readyTimeoutSeconds": 60})), |world| {
        world.set_alarm("ALARM");
    });
    for on_failure in ["hold", "rollback"] {
        let input = with(json!({"onFailure": on_failure, "bakeSeconds": 300}));
        run(&input, |world| {
            after(world, 100, |world| {
                world.become_unhealthy();
            });
        });
        run(&input, |world| {
            after(world, 400, |world| {
                world.become_unhealthy();
            });
        });
        run(&input, |world| {
            after(world, 400, |world| {
                world.set_alarm("ALARM");
            });
        });
    }
    run(&asking, |_| {});
    for disturb in [
        answer_promoted as fn(&Rc<World>),
        answer_hold,
        answer_roll_back,
        answer_refused,
        answer_without_error,
        lose_watch,
        lose_events,
        abort,
        stop_rollback_by_names,
    ] {
        run(&input, disturb);
        run(&asking, disturb);
    }
    for disturb in [release, interrupt_release, release_of_another] {
        run(&leasing, disturb);
    }
    recorder.0.take()
}

fn record_in(world: &Rc<World>, recorder: &Rc<Recorder>) {
    *world.recorder.borrow_mut() = Some(recorder.clone());
}

/// Calls `disturb` after some seconds.
fn after(world: &Rc<World>, seconds: u64, disturb: fn(&Rc<World>)) {
    let other = world.clone();
    world.spawn(async move {
        other.clock.sleep(Duration::from_secs(seconds)).await;
        disturb(&other);
    });
}

/// Answers the token of the first watch that runs.
fn answer(world: &World, answer: Result<Value, Failure>) {
    let executions = world.step_functions.executions().into_iter();
    let machine = WATCH.rsplit(':').next();
    let mut watches = executions.filter(|(id, _)| Some(id.machine_name()) == machine);
    let watch = watches.find(|(_, description)| description.end.is_none());
    let Some((_, watch)) = watch else { return };
    let token = watch.input["token"].as_str().unwrap_or_default();
    // An error says that the token was answered before.
    let _ = match answer {
        Ok(output) => world.step_functions.send_task_success(token, &output),
        Err(failure) => world.step_functions.send_task_failure(token, failure),
    };
}

fn answer_promoted(world: &Rc<World>) {
    after(world, 200, |world| {
        answer(world, Ok(json!({})));
    });
}

fn answer_hold(world: &Rc<World>) {
    after(world, 200, |world| {
        answer(world, Err(Failure::new("Hold", "by a person")));
    });
}

fn answer_roll_back(world: &Rc<World>) {
    after(world, 200, |world| {
        answer(world, Err(Failure::new("RollBack", "by a person")));
    });
}

fn answer_refused(world: &Rc<World>) {
    after(world, 200, |world| {
        answer(world, Err(Failure::new("Refused", "")));
    });
}

fn answer_without_error(world: &Rc<World>) {
    after(world, 200, |world| {
        answer(world, Err(Failure::new("", "")));
    });
}

/// Stops the watches as soon as they run.
fn lose_watch(world: &Rc<World>) {
    for seconds in (100..4000).step_by(100) {
        after(world, seconds, |world| {
            let machine = WATCH.rsplit(':').next();
            for (id, _) in world.step_functions.executions() {
                if Some(id.machine_name()) == machine {
                    world.step_functions.stop(&id, Failure::new("", ""));
                }
            }
        });
    }
}

/// Makes EventBridge, SNS and the starts of executions fail from a time on.
fn lose_events(world: &Rc<World>) {
    for number in 5..200 {
        world.integrations.inject_fault(number, Fault::Unavailable);
    }
}

fn abort(world: &Rc<World>) {
    after(world, 200, |world| {
        world.abort("execution-1");
    });
}

fn stop_rollback_by_names(world: &Rc<World>) {
    after(world, 200, |world| {
        world.roll_back(&json!({"hostedZoneId": ZONE_ID, "names": ["*"]}));
    });
}

fn release(world: &Rc<World>) {
    after(world, 40_000, |world| {
        world.release(&json!({"execution": "execution-1"}));
    });
}

fn release_of_another(world: &Rc<World>) {
    after(world, 100, |world| {
        world.release(&json!({"execution": "execution-1"}));
    });
    after(world, 100, |world| {
        world.release(&json!({"execution": "another"}));
    });
}

fn interrupt_release(world: &Rc<World>) {
    release(world);
    after(world, 40_100, |world| {
        for (id, description) in world.step_functions.executions() {
            if id.machine_name().ends_with("release") && description.end.is_none() {
                world.step_functions.stop(&id, Failure::new("", ""));
            }
        }
    });
}

/// All expressions of the definitions.
pub fn expressions() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (_, definition) in DEFINITIONS {
        let definition = substitute(definition);
        let definition: Value = serde_json::from_str(&definition).unwrap_or_default();
        collect(&definition, &mut found);
    }
    found
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let expression = text
                .strip_prefix("{%")
                .and_then(|text| text.strip_suffix("%}"));
            found.extend(expression.map(|text| text.trim().to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        _ => {}
    }
}
