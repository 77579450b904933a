//! Many alarms at once, at Step Functions' limits, and the queue between an alarm and its rollback.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use expect_test::expect;
use fakes::Fault;
use serde_json::{Value, json};

use crate::Simulation;
use crate::clock::{self, Latency};
use crate::events::{ALARM, alarm_event_now, at_50_percent, watching};
use crate::machines::ROLLBACK;
use crate::world::World;

/// How long a call to AWS takes.
const LATENCY: Duration = Duration::from_millis(50);
/// From the change of an alarm's state until its event is in the queue.
const DELIVERY: Duration = Duration::from_millis(500);
/// Running migrations that watch other alarms.
const RUNNING: usize = 20;
/// Executions that have failed, of which a hundred may be held.
const FAILED: usize = 150;
const EVENTS: u32 = 500;

/// A zone, and a migration `run` at 50 percent that watches [`ALARM`].
fn simulation() -> Simulation {
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "run", &watching(&json!({"names": [ALARM]})));
    deliver_events(&simulation);
    simulation
}

/// Calls take time and events are delivered from now on, but not the events of executions that have ended.
fn deliver_events(simulation: &Simulation) {
    let world = &simulation.world;
    *world.deliveries.borrow_mut() = Box::new(Vec::new);
    run(simulation, || false);
    world.clock.set_latency(Latency::Same(LATENCY));
    *world.deliveries.borrow_mut() = Box::new(|| vec![DELIVERY]);
}

/// Adds executions that watch other alarms, at the limits of an account.
fn add_others(simulation: &Simulation) {
    let input = watching(&json!({"names": ["another"], "prefixes": ["blue-"]}));
    for number in 0..RUNNING {
        let name = format!("running-{number}");
        simulation.executions.start(&name, input.clone());
    }
    for number in 0..FAILED {
        let name = format!("failed-{number}");
        simulation.executions.start(&name, input.clone());
        simulation.executions.fail(&name, "Held", "Drift");
    }
    simulation.world.clock.pass(Duration::from_secs(1));
    deliver_events(simulation);
    simulation.executions.limit();
}

/// Runs all that is going on, and returns after which time `is_reached`.
fn run(simulation: &Simulation, is_reached: impl Fn() -> bool) -> Option<Duration> {
    let clock = &simulation.world.clock;
    let start = clock.elapsed();
    let mut reached = None;
    clock::run(&mut simulation.pool.borrow_mut(), clock, || {
        if reached.is_none() && is_reached() {
            reached = Some(clock.elapsed().saturating_sub(start));
        }
    });
    reached
}

/// Lets alarms fire that no migration watches, for a minute, and one that counts after half of it.
fn storm(world: &Rc<World>, counts: bool) {
    let storm = world.clone();
    world.spawn(async move {
        for number in 0..EVENTS {
            if counts && number == EVENTS / 2 {
                storm.fire(ALARM);
            }
            storm.fire(&format!("noise-{number}"));
            storm.clock.sleep(Duration::from_mins(1) / EVENTS).await;
        }
    });
}

/// The rollbacks that alarms have started.
fn started(simulation: &Simulation) -> usize {
    let entered = simulation.world.entered.borrow();
    let started = entered.iter().filter(|(id, state)| {
        ROLLBACK.ends_with(id.machine_name())
            && id.name().starts_with("alarm-")
            && state == "Take the request"
    });
    started.count()
}

/// At most one look-up in three seconds, and one for each further environment of the function. `others` are
/// the calls of the rollbacks.
#[track_caller]
fn check_few_calls(simulation: &Simulation, others: usize) {
    let network = &simulation.world.network;
    let look_ups = (network.calls_of("ListExecutions") - others) / 4;
    assert!((15..=24).contains(&look_ups), "{look_ups} look-ups");
    assert_eq!(simulation.executions.throttled(), 0);
}

#[test]
fn a_storm_of_alarms_is_looked_up_every_three_seconds() {
    let simulation = simulation();
    add_others(&simulation);
    let before = simulation.world.network.calls_of("DescribeExecution");
    storm(&simulation.world, false);
    run(&simulation, || false);
    check_few_calls(&simulation, 0);
    let described = simulation.world.network.calls_of("DescribeExecution") - before;
    assert_eq!(described, 1 + RUNNING + 100, "each is described once");
    assert_eq!(started(&simulation), 0);
}

#[test]
fn the_alarm_that_counts_stops_its_migration_within_five_seconds_in_a_storm() {
    let simulation = simulation();
    add_others(&simulation);
    storm(&simulation.world, true);
    let stopped = run(&simulation, || !simulation.executions.is_running("run")).unwrap();
    let after = stopped.saturating_sub(Duration::from_secs(30));
    assert!(after < Duration::from_secs(5), "{after:?}");
    check_few_calls(&simulation, 5);
    assert_eq!(started(&simulation), 1);
}

#[test]
fn the_alarm_that_counts_restores_its_held_migration_within_five_seconds_in_a_storm() {
    let simulation = simulation();
    add_others(&simulation);
    simulation.executions.fail("run", "Held", "Drift");
    deliver_events(&simulation);
    storm(&simulation.world, true);
    let journals = || simulation.route53.to_cli_json().matches("_cutover").count();
    let restored = run(&simulation, || journals() == 0).unwrap();
    let after = restored.saturating_sub(Duration::from_secs(30));
    assert!(after < Duration::from_secs(5), "{after:?}");
    assert_eq!(simulation.executions.throttled(), 0);
    assert_eq!(started(&simulation), 1);
}

/// `alarm` fires alone. Returns how often executions were listed until `is_reached`, and after how many
/// latencies that was.
fn lone(simulation: &Simulation, alarm: &str, is_reached: impl Fn() -> bool) -> (usize, u128) {
    let network = &simulation.world.network;
    let before = network.calls_of("ListExecutions");
    let listed = RefCell::new(0);
    simulation.world.fire(alarm);
    let reached = run(simulation, || {
        let is_reached = is_reached();
        if is_reached && *listed.borrow() == 0 {
            *listed.borrow_mut() = network.calls_of("ListExecutions") - before;
        }
        is_reached
    });
    let took = reached.unwrap().saturating_sub(DELIVERY);
    (listed.into_inner(), took.as_millis() / LATENCY.as_millis())
}

#[test]
fn a_lone_alarm_does_not_wait() {
    // List, describe, start.
    let watched = simulation();
    let (listed, latencies) = lone(&watched, ALARM, || started(&watched) == 1);
    assert_eq!((listed, latencies), (1, 3));
    // Another one after the interval does not wait, either: its list is the first call.
    let unwatched = simulation();
    let calls = || unwatched.world.network.calls_of("ListExecutions");
    let before = calls();
    let (_, latencies) = lone(&unwatched, "noise", || calls() == before + 4);
    assert_eq!(latencies, 5);
    unwatched.world.clock.pass(Duration::from_mins(1));
    let (listed, latencies) = lone(&unwatched, "noise", || calls() == before + 8);
    assert_eq!((listed, latencies), (4, 4));
}

/// Their events come in one batch, in the order of a queue.
#[test]
fn alarms_of_a_batch_share_a_look_up() {
    let simulation = simulation();
    let before = simulation.world.network.calls_of("ListExecutions");
    for number in 0..8 {
        simulation.world.fire(&format!("noise-{number}"));
    }
    run(&simulation, || false);
    // The first message is received alone, at once; the others wait until the next look-up.
    let listed = simulation.world.network.calls_of("ListExecutions") - before;
    assert!(listed <= 8, "{listed}");
}

#[test]
fn an_event_that_is_delivered_twice_starts_one_rollback() {
    let simulation = simulation();
    let twice = || vec![DELIVERY, DELIVERY * 3];
    *simulation.world.deliveries.borrow_mut() = Box::new(twice);
    simulation.world.fire(ALARM);
    run(&simulation, || false);
    assert_eq!(started(&simulation), 1);
}

/// The function dies after the rollback has started, and SQS delivers the message again.
#[test]
fn a_message_that_is_handled_twice_starts_one_rollback() {
    let simulation = simulation();
    let network = &simulation.world.network;
    network.inject_fault_into("StartExecution", 0, Fault::KilledAfter);
    simulation.world.fire(ALARM);
    run(&simulation, || false);
    // The last two record the rollback: that of the alarm, and that of the status event, which finds all restored.
    assert_eq!(network.calls_of("StartExecution"), 2 + 2);
    assert_eq!(started(&simulation), 1);
    assert!(!simulation.executions.is_running("run"));
}

/// A failed look-up must not hide a rollback, and must not wait for the queue's visibility timeout.
#[test]
fn alarms_that_cannot_be_looked_up_count_as_watched() {
    for action in ["ListExecutions", "DescribeExecution"] {
        for fault in [Fault::Throttled, Fault::Unavailable] {
            let simulation = simulation();
            let network = &simulation.world.network;
            network.inject_fault_into(action, 0, fault);
            simulation.world.fire("noise");
            let is_started = || started(&simulation) == 1;
            let after = run(&simulation, is_started).unwrap();
            assert!(after < Duration::from_secs(2), "{action}: {after:?}");
        }
    }
}

#[test]
fn a_look_up_that_hangs_is_given_up() {
    let simulation = simulation();
    let hanging = Latency::Same(Duration::from_mins(1));
    simulation.world.clock.set_latency(hanging);
    simulation.world.fire(ALARM);
    let started = run(&simulation, || started(&simulation) == 1).unwrap();
    let expected = DELIVERY + Duration::from_secs(20) + Duration::from_mins(1);
    assert_eq!(started, expected);
}

/// Restarts are tried for a minute, then by the queue.
#[test]
fn a_rollback_that_cannot_be_started_is_repeated_by_the_queue() {
    let simulation = simulation();
    let network = &simulation.world.network;
    for call in 0..30 {
        network.inject_fault_into("StartExecution", call, Fault::Unavailable);
    }
    simulation.world.fire(ALARM);
    let started_after = run(&simulation, || started(&simulation) == 1).unwrap();
    let timeout = Duration::from_mins(12);
    assert!(started_after > timeout && started_after < timeout * 2);
    assert_eq!(simulation.world.dead_letters(), Vec::<Value>::new());

    let simulation = self::simulation();
    let network = &simulation.world.network;
    for call in 0..1_000 {
        network.inject_fault_into("StartExecution", call, Fault::Unavailable);
    }
    simulation.world.fire(ALARM);
    run(&simulation, || false);
    let dead_letters = simulation.world.dead_letters();
    let [event] = &dead_letters[..] else {
        panic!("{dead_letters:?}");
    };
    assert_eq!(event["detail"]["alarmName"], ALARM);
}

/// The answer of the function for a batch, of which nothing is in the memory of the function.
fn answer(simulation: &Simulation, bodies: &[String]) -> Value {
    let records: Vec<_> = bodies
        .iter()
        .enumerate()
        .map(|(number, body)| json!({"messageId": format!("m{number}"), "body": body}))
        .collect();
    let event = json!({"Records": records});
    let queue = rollback::Queue {
        executions: &*simulation.executions,
        rollbacks: &*simulation.executions,
        clock: &simulation.world.clock,
        memory: &rollback::Memory::default(),
    };
    let clock = &simulation.world.clock;
    clock.set_latency(Latency::Same(Duration::ZERO));
    simulation
        .block_on(rollback::handle_messages(&event, queue))
        .unwrap()
}

#[test]
fn messages_that_are_no_alarms_are_dropped() {
    let simulation = simulation();
    let mut cleared = alarm_event_now(&simulation, ALARM);
    cleared["detail"]["state"]["value"] = json!("OK");
    let mut undated = alarm_event_now(&simulation, ALARM);
    undated["detail"]["state"]["timestamp"] = json!("yesterday");
    let bodies = [
        "not JSON".to_owned(),
        json!({"execution": "run"}).to_string(),
        json!({"detail-type": "Another"}).to_string(),
        undated.to_string(),
        cleared.to_string(),
    ];
    let all = answer(&simulation, &bodies);
    assert_eq!(all, json!({"batchItemFailures": []}));
    assert_eq!(simulation.world.network.calls_of("StartExecution"), 0);

    // One among them is handled.
    let mut bodies = bodies.to_vec();
    bodies.insert(2, alarm_event_now(&simulation, ALARM).to_string());
    answer(&simulation, &bodies);
    assert_eq!(simulation.world.network.calls_of("StartExecution"), 1);
}

#[test]
fn an_event_that_is_no_batch_of_messages_is_refused() {
    let simulation = simulation();
    let queue = rollback::Queue {
        executions: &*simulation.executions,
        rollbacks: &*simulation.executions,
        clock: &simulation.world.clock,
        memory: &rollback::Memory::default(),
    };
    let event = json!({"Records": [{"body": "{}"}]});
    let answer = simulation.block_on(rollback::handle_messages(&event, queue));
    let error = answer.unwrap_err();
    expect![[r#"
        InvalidInput: Records[0]: missing field `messageId`
    "#]]
    .assert_eq(&format!("{}: {error}\n", error.name()));
}

/// The function remembers how it ended the first time.
#[test]
fn a_migration_that_is_redriven_and_then_holds_is_found_again() {
    let simulation = simulation();
    let fire = |alarm| {
        simulation.world.fire(alarm);
        run(&simulation, || false);
        started(&simulation)
    };
    let executions = &simulation.executions;
    executions.fail("run", "HealthCheckFailed", "");
    deliver_events(&simulation);
    simulation.world.clock.pass(Duration::from_mins(1));
    assert_eq!(fire(ALARM), 0, "it does not hold");
    executions.redrive("run");
    simulation.world.clock.pass(Duration::from_mins(1));
    executions.fail("run", "Held", "Drift");
    deliver_events(&simulation);
    simulation.world.clock.pass(Duration::from_mins(1));
    assert_eq!(fire(ALARM), 1);
}

/// The alarm fired while it was running, and its event came late.
#[test]
fn an_alarm_finds_a_migration_that_has_ended_since() {
    let simulation = simulation();
    simulation.world.fire(ALARM);
    simulation.world.clock.pass(Duration::from_millis(100));
    simulation.executions.abort("run");
    run(&simulation, || false);
    assert!(started(&simulation) > 0);
}

#[test]
fn an_alarm_starts_no_rollback_of_a_migration_that_started_later_or_holds_on_purpose() {
    let mut input = watching(&json!({"names": [ALARM]}));
    input["onFailure"] = json!("hold");
    let simulation = Simulation::blueprint();
    at_50_percent(&simulation, "holding", &input);
    simulation.executions.fail("holding", "Held", "Drift");
    simulation.world.clock.pass(Duration::from_mins(1));
    let event = alarm_event_now(&simulation, ALARM);
    simulation.world.clock.pass(Duration::from_secs(1));
    let started = watching(&json!({"names": [ALARM]}));
    simulation.executions.start("later", started);
    answer(&simulation, &[event.to_string()]);
    assert_eq!(simulation.world.network.calls_of("StartExecution"), 0);
    let event = alarm_event_now(&simulation, ALARM);
    answer(&simulation, &[event.to_string()]);
    assert_eq!(simulation.world.network.calls_of("StartExecution"), 1);
}
