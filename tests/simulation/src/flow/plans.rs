//! What the observers find becomes part of a dry run's plan, and an input may refuse warnings.

use serde_json::{Value, json};

use super::{COMPLETED, Ended, FOR_GOOD, Flow, events};
use crate::world::World;

const PLANNED: &str = "SUCCEEDED";
const REFUSED: &str = "WarningsRefused";

/// A dry run with these fields, after `prepare`.
fn dry_run(fields: &Value, prepare: impl FnOnce(&std::rc::Rc<World>)) -> Ended {
    let mut fields = fields.clone();
    fields["dryRun"] = true.into();
    let flow = Flow::of_zone(1);
    prepare(&flow.world);
    flow.world.start(super::RUN, &super::input(&fields));
    flow.end()
}

/// Each observer with its verdict, and the codes of the warnings that come from observers.
fn found(ended: &Ended) -> String {
    let plan = ended.output();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let observers = plan["observers"].as_array().unwrap().iter();
    let mut lines: Vec<_> = observers
        .map(|it| format!("{} {}", text(&it["observer"]), text(&it["verdict"])))
        .collect();
    let warnings = plan["warnings"].as_array().unwrap().iter();
    let codes = warnings.map(|it| text(&it["code"]));
    let of_observers = ["alarm-active", "not-ready", "observer-failed"];
    lines.extend(codes.filter(|code| of_observers.contains(&code.as_str())));
    lines.join(", ")
}

#[test]
pub(super) fn a_dry_run_asks_every_observer_once() {
    type Prepare = fn(&std::rc::Rc<World>);
    let unhealthy: Prepare = |world| world.become_unhealthy();
    let firing: Prepare = |world| world.set_alarm("ALARM");
    let missing: Prepare = |world| world.fail_calls("check-alarms", "AlarmNotFound", FOR_GOOD);
    let down: Prepare = |world| world.fail_calls("probe", "Lambda.Unknown", FOR_GOOD);
    let at_once = json!({"readyTimeoutSeconds": 0});
    for (fields, prepare, expect) in [
        (json!({}), (|_| {}) as Prepare, "alarms pass, probe pass"),
        (
            json!({"probe": {"enabled": false}}),
            unhealthy,
            "alarms pass, probe pass",
        ),
        // The migration would wait until they are ready.
        (json!({}), unhealthy, "alarms pass, probe fail"),
        (json!({}), down, "alarms pass, probe inconclusive"),
        (
            at_once.clone(),
            unhealthy,
            "alarms pass, probe fail, not-ready",
        ),
        (at_once, down, "alarms pass, probe inconclusive, not-ready"),
        // The migration would not start.
        (json!({}), firing, "alarms fail, probe pass, alarm-active"),
        (
            json!({}),
            missing,
            "alarms error, probe pass, observer-failed",
        ),
    ] {
        let ended = dry_run(&fields, prepare);
        ended.expect(PLANNED, 0).expect_statuses(&[]);
        assert_eq!(found(&ended), expect, "{fields}");
    }
}

/// Without a lease, a plan has the warning `not-leased`.
#[test]
pub(super) fn fail_on_warnings_refuses_what_it_names() {
    for (refused, starts) in [
        (json!("all"), false),
        (json!(["not-leased"]), false),
        (json!(["slow-writes", "not-leased"]), false),
        (json!(["slow-writes"]), true),
        (json!([]), true),
    ] {
        let fields = json!({"externalDns": {"mode": "ignore"}, "failOnWarnings": refused});
        let planned = dry_run(&fields, |_| {});
        let flow = Flow::start(&fields);
        let started = flow.end();
        if starts {
            planned.expect(PLANNED, 0);
            started.expect(COMPLETED, 100);
            continue;
        }
        for ended in [planned, started] {
            ended.expect(REFUSED, 0).expect_statuses(&["NotStarted"]);
            ended.expect_cause(
                "failOnWarnings refuses warnings of the plan: not-leased: ExternalDNS owns",
            );
            ended.expect_cause("No weight was changed.");
        }
    }
}

#[test]
pub(super) fn fail_on_warnings_is_judged_after_the_observers() {
    let firing = |world: &std::rc::Rc<World>| world.set_alarm("ALARM");
    let fields = json!({"failOnWarnings": ["alarm-active"]});
    dry_run(&fields, firing).expect(REFUSED, 0);
    dry_run(&fields, |_| {}).expect(PLANNED, 0);
}

#[test]
pub(super) fn the_first_event_has_the_warnings_of_the_plan() {
    for (fields, codes) in [
        (json!({}), json!([])),
        (
            json!({"externalDns": {"mode": "ignore"}}),
            json!(["not-leased"]),
        ),
        (
            json!({"externalDns": {"mode": "ignore"}, "exclude": ["absent.example.com"]}),
            json!(["exclude-without-match", "not-leased"]),
        ),
    ] {
        let flow = Flow::start(&fields);
        let world = flow.world.clone();
        flow.end().expect(COMPLETED, 100);
        let started = events(&world, "Started");
        let warnings = started[0]["warnings"].as_array().unwrap().iter();
        let found: Vec<_> = warnings.map(|it| it["code"].clone()).collect();
        assert_eq!(Value::from(found), codes, "{fields}");
    }
}
