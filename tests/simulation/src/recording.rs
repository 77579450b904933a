//! The expressions of the definitions, with the variables that histories evaluate them with and the
//! results, for a comparison with another implementation of JSONata.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use fakes::{Fault, record_sets_from_cli_json};
use interpreter::Failure;
use migration::dns::RecordData;
use serde_json::{Value, json};

use crate::clock::Latency;
use crate::machines::{DEFINITIONS, WATCH, arn, substitute};
use crate::world::{ALARM, World};
use crate::zones::{self, BLUE, GREEN};
use crate::{ZONE_ID, history, random};

/// The number of random histories that are recorded.
const SEEDS: u64 = 60;
/// The number of cases of an expression that are kept in any case, and those with further results.
const FEW: usize = 3;
const MOST: usize = 8;

/// An error that no definition names.
const UNKNOWN: &str = "Lambda.Unknown";
/// Longer than any history.
const FOR_GOOD: Duration = Duration::from_hours(24 * 365);

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
    let play = |fields: &Value, disturb: fn(&Rc<World>)| play_with(&recorder, fields, 0, disturb);
    play(&json!({"dryRun": true}), |_| {});
    play(&json!({"from": 1}), |_| {});
    play(&json!({"steps": [100], "bakeSeconds": 0}), |_| {});
    play(&json!({"externalDns": {"mode": "ignore"}}), |_| {});
    play(
        &json!({"names": ["absent.example.com"], "recordsTimeoutSeconds": 600}),
        |_| {},
    );
    // A watch that goes on in a new execution.
    play(&json!({"bakeSeconds": 6000, "checkSeconds": 10}), |_| {});
    play(&json!({"readyTimeoutSeconds": 60}), |world| {
        world.become_unhealthy();
    });
    play(&json!({"readyTimeoutSeconds": 180}), |world| {
        world.fail_calls("check-alarms", UNKNOWN, FOR_GOOD);
    });
    let asking = json!({"steps": [{"percent": 10, "approval": true}, 100]});
    play(&asking, |_| {});
    play(&asking, |world| {
        world.fail_calls("PutEvents", UNKNOWN, FOR_GOOD);
    });
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
        play(&json!({}), disturb);
        play(&asking, disturb);
    }
    for disturb in [
        release,
        interrupt_release,
        release_of_another,
        fail_release,
        fail_interrupted_release,
    ] {
        play(&json!({"externalDns": {"mode": "lease"}}), disturb);
    }
    record_bad_health(&recorder);
    record_other_writers_and_events(&recorder);
    recorder.0.take()
}

/// Records migrations whose health fails, or can't be told, in each phase of a step.
fn record_bad_health(recorder: &Rc<Recorder>) {
    for on_failure in ["hold", "rollback"] {
        let fields = json!({"onFailure": on_failure, "bakeSeconds": 300});
        for seconds in [100, 400] {
            play_with(recorder, &fields, seconds, |world| {
                world.become_unhealthy();
            });
        }
        play_with(recorder, &fields, 400, |world| {
            world.set_alarm("ALARM");
        });
    }
    for fail in [
        (|world| world.fail_calls("check-alarms", UNKNOWN, FOR_GOOD)) as fn(&Rc<World>),
        |world| world.fail_calls("probe", UNKNOWN, FOR_GOOD),
        |world| world.fail_calls("shift-weight", UNKNOWN, Duration::from_hours(1)),
    ] {
        for seconds in (1..15).chain([200]) {
            play_with(recorder, &json!({"maxBakeSeconds": 900}), seconds, fail);
        }
    }
}

/// Records a rollback of which one name can't be restored, and notifications that can't be sent.
fn record_other_writers_and_events(recorder: &Rc<Recorder>) {
    play_with(recorder, &json!({}), 400, |world| {
        world.write("a person damages the journal of one name", |record_sets| {
            let mut journals = record_sets.iter_mut();
            let journal = journals.find(|it| it.name.journaled().is_some());
            if let Some(RecordData::Values { values, .. }) = journal.map(|it| &mut it.data) {
                *values = vec!["\"damaged\"".to_owned()];
            }
        });
        after(world, 4000, |world| {
            world.roll_back(&json!({"hostedZoneId": ZONE_ID, "names": ["*"]}));
        });
    });
    play_with(recorder, &json!({}), 1, |world| {
        world.fail_calls("Publish", UNKNOWN, FOR_GOOD);
        world.on_status(&json!({
            "status": "Unheard of", "execution": "another", "executionArn": arn("another"),
            "hostedZoneId": ZONE_ID, "zoneName": "example.com", "from": BLUE, "to": GREEN,
            "names": 2, "leased": true, "percent": 10,
        }));
    });
}

/// Plays a migration with these fields in its input, in which something happens after some seconds.
fn play_with(recorder: &Rc<Recorder>, fields: &Value, seconds: u64, disturb: fn(&Rc<World>)) {
    let mut input = json!({
        "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [10, 100], "bakeSeconds": 600,
        "alarms": {"names": [ALARM]},
    });
    for (name, value) in fields.as_object().into_iter().flatten() {
        input[name] = value.clone();
    }
    history::run(
        record_sets_from_cli_json(&zones::registered(2)),
        Latency::Same(Duration::from_millis(100)),
        |world| {
            record_in(world, recorder);
            world.start("execution-1", &input);
            match seconds {
                0 => disturb(world),
                _ => after(world, seconds, disturb),
            }
        },
        |_| {},
    );
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

/// The functions fail while names that were given back are watched, and names can't be leased again.
fn fail_release(world: &Rc<World>) {
    release(world);
    after(world, 40_100, |world| {
        world.fail_calls("shift-weight", "NotPermitted", FOR_GOOD);
    });
}

fn fail_interrupted_release(world: &Rc<World>) {
    interrupt_release(world);
    after(world, 40_100, |world| {
        world.fail_calls("shift-weight", "NotPermitted", FOR_GOOD);
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
