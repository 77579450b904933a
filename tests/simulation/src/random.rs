//! Random histories: zone, input, faults, other writers and events are drawn from one seed.
//!
//! The order of the draws is part of what a seed means: after a change of it, the seeds that are
//! named elsewhere give other histories.

use std::rc::Rc;
use std::time::Duration;

use fakes::{Fault, record_sets_from_cli_json};
use fastrand::Rng;
use migration::dns::{RecordName, RecordSet, Routing};
use serde_json::{Value, json};

use crate::ZONE_ID;
use crate::clock::Latency;
use crate::exhaustive::FaultKind;
use crate::history::{self, Report};
use crate::oracle::lock;
use crate::world::{ALARM, Answer, Approval, World};
use crate::writers::Writer;
use crate::zones::{BLUE, GREEN, alias, registry, soa};

/// The latest start of an outside event, in seconds since the start of the history.
const LATEST_SECONDS: u64 = 900;
/// The calls that may meet a fault. Later calls meet none, so that every history ends.
const FAULTY_CALLS: usize = 400;

/// Plays the history of a seed.
pub fn play(seed: u64) -> Report {
    play_with(seed, |_| {})
}

/// Plays the history of a seed, and calls `observe` at its start.
pub(crate) fn play_with(seed: u64, observe: impl FnOnce(&Rc<World>)) -> Report {
    let mut random = Rng::with_seed(seed);
    let mut zone = zone(&mut random);
    let mut input = input(&mut random);
    if seed % 4 == 2 {
        // Without a draw, so that the other seeds give the same histories as before.
        differ_by_name(&mut zone, &mut input);
    }
    let latency = Duration::from_millis(random.u64(1..=2_000));
    let latency = Latency::UpTo(latency, random.fork());
    let mut report = history::run(
        zone.clone(),
        latency,
        |world| {
            observe(world);
            // A notification changes nothing in a zone.
            world.is_notifying.set(seed.is_multiple_of(3));
            prepare(world, &mut random, &zone, &input);
        },
        |_| {},
    );
    for violation in &mut report.violations {
        *violation = format!("seed {seed}: {violation}");
    }
    report
}

fn prepare(world: &Rc<World>, random: &mut Rng, zone: &[RecordSet], input: &Value) {
    let chance = *pick(random, &[0.0, 0.0, 0.01, 0.03, 0.1]);
    let mut refusals = 0;
    for number in 0..FAULTY_CALLS {
        if random.f64() < chance {
            let kind = *pick(random, &FaultKind::ALL);
            world.network.inject_fault(number, kind.fault());
            refusals += usize::from(kind == FaultKind::Refused);
        }
    }
    lock(&world.oracle).may_refuse_twice = refusals > 1;
    if random.u8(0..10) == 0 {
        let start = random.usize(0..200);
        for number in start..start + random.usize(20..200) {
            world.network.inject_fault(number, Fault::Unavailable);
        }
    }
    let mut arrivals = random.fork();
    *world.deliveries.borrow_mut() = Box::new(move || {
        let times = *pick(&mut arrivals, &[1, 1, 1, 2, 3]);
        let arrival = |_| Duration::from_millis(arrivals.u64(100..=300_000));
        (0..times).map(arrival).collect()
    });
    let mut answers = random.fork();
    *world.approvals.borrow_mut() = Box::new(move || {
        let given = [
            Approval::Given,
            Approval::Given,
            Approval::Refused,
            Approval::None,
        ];
        let after = Duration::from_secs(answers.u64(1..=600));
        (after, *pick(&mut answers, &given))
    });
    let names: Vec<RecordName> = moved_names(zone);
    let integration_chance = *pick(random, &[0.0, 0.0, 0.0, 0.02, 0.1]);
    for number in 0..FAULTY_CALLS {
        if random.f64() < integration_chance {
            let kind = *pick(random, &FaultKind::ALL);
            world.integrations.inject_fault(number, kind.fault());
        }
    }
    world.start("execution-1", input);
    if random.u8(0..3) == 0 {
        let is_annotated = random.u8(0..3) > 0;
        let name = pick(random, &names).clone();
        world.spawn(release_after_completion(world.clone(), name, is_annotated));
    }
    for _ in 0..random.usize(0..=6) {
        let at = Duration::from_millis(random.u64(0..=1_000) * random.u64(0..=LATEST_SECONDS));
        let event = outside_event(random, &names, input);
        let world = world.clone();
        world.clone().spawn(async move {
            world.clock.sleep(at).await;
            event(&world);
        });
    }
    // Drawn last, so that a seed gives the same history as before in all others. The same holds for each of those
    // that follow.
    let loss_chance = *pick(random, &[0.0, 0.0, 0.0, 0.05, 0.3]);
    for number in 0..FAULTY_CALLS {
        if random.f64() < loss_chance {
            world.lose_change_asked_for(number, random.bool());
        }
    }
    if random.u8(0..16) == 0 {
        let side = *pick(random, &[BLUE, GREEN]);
        let at = Duration::from_secs(random.u64(0..=LATEST_SECONDS));
        let world = world.clone();
        world.clone().spawn(async move {
            world.clock.sleep(at).await;
            world.remove_load_balancer(side);
        });
    }
    throttle(world, random);
    lose_events(world, random);
    let longest_lag = *pick(random, &[0, 0, 0, 3, 30]);
    if longest_lag > 0 {
        world.let_reads_lag(Duration::from_secs(longest_lag), random.fork());
        // Events may arrive before Step Functions shows why.
        let mut deliveries = world.deliveries.replace(Box::new(Vec::new));
        *world.deliveries.borrow_mut() = Box::new(move || {
            let delays = deliveries().into_iter();
            delays.map(|delay| delay / 30).collect()
        });
    }
}

/// AWS throttles the calls of the functions, those of Step Functions, or both, in bursts.
fn throttle(world: &Rc<World>, random: &mut Rng) {
    let networks = [&*world.network, &world.integrations];
    let bursts = *pick(random, &[0, 0, 0, 1, 4]);
    for _ in 0..bursts {
        let start = random.usize(0..FAULTY_CALLS);
        let end = start + random.usize(1..40);
        let chance = *pick(random, &[0.5, 0.9, 1.0]);
        let network = pick(random, &networks);
        for number in start..end {
            if random.f64() < chance {
                network.inject_fault(number, Fault::Throttled);
            }
        }
    }
}

/// `EventBridge` loses some or all events, and the sweep runs.
fn lose_events(world: &Rc<World>, random: &mut Rng) {
    let Some(chance) = *pick(random, &[None, None, Some(0.0), Some(0.3), Some(1.0)]) else {
        return;
    };
    world.run_sweeps();
    let mut losses = random.fork();
    let mut deliveries = world.deliveries.replace(Box::new(Vec::new));
    *world.deliveries.borrow_mut() = Box::new(move || {
        if losses.f64() < chance {
            Vec::new()
        } else {
            deliveries()
        }
    });
}

type OutsideEvent = Box<dyn FnOnce(&Rc<World>)>;

/// Draws an event that the migration does not cause: an abort, an alarm, another writer and so on.
fn outside_event(random: &mut Rng, names: &[RecordName], input: &Value) -> OutsideEvent {
    let name = pick(random, names).clone();
    let weight = random.u8(..);
    match random.u8(0..20) {
        0 => Box::new(|world| world.abort("execution-1")),
        1 => Box::new(|world| world.time_out("execution-1")),
        2 => Box::new(|world| world.set_alarm("ALARM")),
        3 => Box::new(|world| {
            world.set_alarm("ALARM");
            world.set_alarm("OK");
        }),
        4 => Box::new(|world| world.become_unhealthy()),
        5 => {
            let mut again = input.clone();
            if random.bool() {
                (again["from"], again["to"]) = (input["to"].clone(), input["from"].clone());
            }
            Box::new(move |world| {
                let name = format!("execution-{}", world.inputs.borrow().len() + 1);
                world.start(&name, &again);
            })
        }
        6 => Box::new(|world| {
            world.roll_back(&json!({"hostedZoneId": ZONE_ID, "execution": "execution-1"}));
        }),
        7 => Box::new(|world| {
            world.roll_back(&json!({"hostedZoneId": ZONE_ID, "names": ["*"]}));
        }),
        8 => Box::new(|world| world.lose_invocations()),
        9 => Box::new(|world| world.redrive("execution-1")),
        10 => Box::new(|world| world.stop_watch("execution-1")),
        11 | 12 => {
            let answer = *pick(random, &Answer::ALL);
            Box::new(move |world| world.answer("execution-1", answer))
        }
        13 => Box::new(|world| world.update_annotations()),
        14 => Box::new(|world| world.release(&release_of("execution-1"))),
        writer => {
            let writer = Writer::ALL[usize::from(writer - 15)];
            Box::new(move |world| world.write_as(writer, &name, weight))
        }
    }
}

fn release_of(execution: &str) -> Value {
    json!({"hostedZoneId": ZONE_ID, "execution": execution})
}

/// Releases the names of the first migration once it has completed, while ExternalDNS makes passes.
/// `is_annotated` says whether the annotations have the reached weights.
async fn release_after_completion(world: Rc<World>, name: RecordName, is_annotated: bool) {
    while world.executions.is_running("execution-1") {
        world.clock.sleep(Duration::from_mins(1)).await;
    }
    if !world.executions.has_succeeded("execution-1") {
        return;
    }
    if is_annotated {
        world.update_annotations();
    }
    world.release(&release_of("execution-1"));
    for _ in 0..8 {
        world.clock.sleep(Duration::from_mins(1)).await;
        world.write_as(Writer::ExternalDns, &name, 0);
    }
}

/// Gives the records of each name set identifiers of their own, for which `from` and `to` of the input are templates.
fn differ_by_name(zone: &mut [RecordSet], input: &mut Value) {
    for record_set in zone {
        let name = record_set.name.to_string();
        let number = name
            .split_once("name-")
            .and_then(|(_, rest)| rest.split_once('.'));
        let (Some((number, _)), Routing::Weighted { set_identifier, .. }) =
            (number, &mut record_set.routing)
        else {
            continue;
        };
        let of_name = [BLUE, GREEN].map(|side| {
            let other = if side == GREEN { "-new" } else { "" };
            (side, format!("name-{number}{other}-{side}").parse())
        });
        for (side, identifier) in of_name {
            if let (true, Ok(identifier)) = (set_identifier.as_str() == side, identifier) {
                *set_identifier = identifier;
            }
        }
    }
    (input["from"], input["to"]) = (json!(format!("*-{BLUE}")), json!(format!("*-{GREEN}")));
}

fn pick<'a, T>(random: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[random.usize(..choices.len())]
}

fn moved_names(zone: &[RecordSet]) -> Vec<RecordName> {
    let moved = zone.iter().filter(|it| it.record_type.moves());
    let mut names: Vec<_> = moved.map(|record_set| record_set.name.clone()).collect();
    names.dedup();
    names
}

fn input(random: &mut Rng) -> Value {
    let mut percents: Vec<u8> = (0..random.usize(0..=2))
        .map(|_| random.u8(1..100))
        .collect();
    percents.push(100);
    percents.sort_unstable();
    percents.dedup();
    let steps: Vec<_> = percents
        .into_iter()
        .map(|percent| {
            json!({
                "percent": percent,
                "bakeSeconds": random.u32(1..=180),
                "approval": random.u8(0..8) == 0,
            })
        })
        .collect();
    let reaction = |random: &mut Rng, rollbacks: u8| {
        if random.u8(0..10) < rollbacks {
            "rollback"
        } else {
            "hold"
        }
    };
    json!({
        "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN,
        "steps": steps,
        "checkSeconds": random.u32(10..=120),
        "failureThreshold": random.u32(1..=2),
        "acceptOneSidedTypes": true,
        "readyTimeoutSeconds": 300,
        "approvalTimeoutSeconds": 600,
        "probe": {"enabled": random.u8(0..5) > 0},
        "alarms": {"names": if random.u8(0..5) > 0 { json!([ALARM]) } else { json!([]) }},
        "externalDns": {"mode": if random.u8(0..5) > 0 { "lease" } else { "ignore" }},
        "onFailure": reaction(random, 8),
        "onDrift": reaction(random, 4),
        "onRefusal": reaction(random, 8),
    })
}

/// One to four names of random types, some of them with AAAA on one side only, with or without aliases, registry TXT
/// and a third set identifier.
fn zone(random: &mut Rng) -> Vec<RecordSet> {
    let mut record_sets = vec![soa()];
    for number in 0..random.usize(1..=4) {
        let name = format!("name-{number}.example.com.");
        let kinds = *pick(random, &[&["A"][..], &["AAAA"], &["A", "AAAA"], &["CNAME"]]);
        let is_alias = random.bool();
        let is_registered = random.u8(0..4) > 0;
        let from = *pick(random, &[100, 100, 100, 255, 50, 1]);
        let to = *pick(random, &[0, 0, 0, 1, 30]);
        let mut sides = vec![(BLUE, from), (GREEN, to)];
        if random.u8(0..6) == 0 {
            sides.push(("dr", random.u8(0..=20)));
        }
        let has_lone_type = kinds.len() == 2 && sides.len() == 2 && random.u8(0..4) == 0;
        let without_aaaa = has_lone_type.then(|| *pick(random, &[BLUE, GREEN]));
        for kind in kinds {
            for (side, weight) in &sides {
                if *kind == "AAAA" && without_aaaa == Some(*side) {
                    continue;
                }
                let mut record_set = json!({
                    "Name": name, "Type": kind, "SetIdentifier": side, "Weight": weight,
                });
                if is_alias && *kind != "CNAME" {
                    record_set["AliasTarget"] = alias(side);
                } else {
                    let value = match *kind {
                        "A" => "192.0.2.1",
                        "AAAA" => "2001:db8::1",
                        _ => "lb.example.net",
                    };
                    record_set["TTL"] = json!(30);
                    record_set["ResourceRecords"] = json!([{"Value": value}]);
                }
                record_sets.push(record_set);
                if is_registered && *side != "dr" {
                    let form = kind.to_lowercase();
                    record_sets.push(registry(&format!("{form}-{name}"), side, *weight));
                }
            }
        }
    }
    record_sets_from_cli_json(&json!({ "ResourceRecordSets": record_sets }).to_string())
}
