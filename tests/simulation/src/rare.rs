//! Histories of what is rare in the random ones, so that together they use all ways between the states
//! of the definitions.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fakes::{CHANGE, Fault, record_sets_from_cli_json};
use interpreter::Failure;
use migration::dns::RecordData;
use serde_json::{Value, json};

use crate::ZONE_ID;
use crate::clock::Latency;
use crate::history::{self, Report};
use crate::machines::{MIGRATION, RELEASE, ROLLBACK, arn};
use crate::world::{ALARM, Answer, Approval, World};
use crate::zones::{self, BLUE, GREEN};

/// The name of the migration.
const RUN: &str = "execution-1";
/// An error that no definition names.
const UNKNOWN: &str = "Lambda.Unknown";
/// Longer than any history.
const FOR_GOOD: Duration = Duration::from_hours(24 * 365);

/// Changes the world of a history.
type Disturb = fn(&Rc<World>);

/// Plays the histories, and returns the sum of their reports. `prepare` is called at the start of each.
pub fn play(prepare: &dyn Fn(&Rc<World>)) -> Report {
    let mut player = Player {
        prepare,
        report: Report::default(),
    };
    player.play_inputs();
    player.play_dry_runs();
    player.play_answers();
    player.play_releases();
    player.play_bad_health();
    player.play_lost_changes();
    player.play_lost_events();
    player.play_rollbacks();
    player.play_reminders();
    player.play_requests();
    player.play_many_names();
    player.report
}

struct Player<'a> {
    prepare: &'a dyn Fn(&Rc<World>),
    report: Report,
}

impl Player<'_> {
    /// Plays a migration with these fields in its input, in which something happens after some seconds.
    fn play(&mut self, fields: &Value, seconds: u64, disturb: Disturb) {
        self.play_all(fields, seconds, &[disturb]);
    }

    fn play_all(&mut self, fields: &Value, seconds: u64, disturbances: &[Disturb]) {
        self.play_in(&zones::registered(2), fields, seconds, disturbances);
    }

    fn play_in(&mut self, zone: &str, fields: &Value, seconds: u64, disturbances: &[Disturb]) {
        let mut input = json!({
            "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [10, 100],
            "bakeSeconds": 600, "alarms": {"names": [ALARM]},
        });
        for (name, value) in fields.as_object().into_iter().flatten() {
            input[name] = value.clone();
        }
        self.report.add(history::run(
            record_sets_from_cli_json(zone),
            Latency::Same(Duration::from_millis(100)),
            |world| {
                (self.prepare)(world);
                world.start(RUN, &input);
                for disturb in disturbances {
                    match seconds {
                        0 => disturb(world),
                        _ => after(world, seconds, *disturb),
                    }
                }
            },
            |_| {},
        ));
    }

    fn play_inputs(&mut self) {
        for fields in [
            json!({"dryRun": true}),
            json!({"dryRun": true, "probe": {"enabled": false}}),
            json!({"externalDns": {"mode": "ignore"}, "failOnWarnings": "all"}),
            json!({"from": 1}),
            json!({"steps": [100], "bakeSeconds": 0}),
            json!({"externalDns": {"mode": "ignore"}}),
            json!({"to": "eks-blueprint-absent", "recordsTimeoutSeconds": 600}),
            // A watch that goes on in a new execution.
            json!({"bakeSeconds": 6000, "checkSeconds": 10}),
        ] {
            self.play(&fields, 0, |_| {});
        }
        self.play(
            &json!({"bakeSeconds": 6000, "checkSeconds": 10}),
            500,
            |world| {
                world.fail_calls("StartExecution", UNKNOWN, FOR_GOOD);
            },
        );
    }

    /// The observers of a dry run fail themselves.
    fn play_dry_runs(&mut self) {
        for disturb in [
            (|world| world.fail_calls("check-alarms", "AlarmNotFound", FOR_GOOD)) as Disturb,
            |world| world.fail_calls("check-alarms", UNKNOWN, FOR_GOOD),
            |world| world.fail_calls("probe", "NotPermitted", FOR_GOOD),
            |world| world.fail_calls("probe", UNKNOWN, FOR_GOOD),
        ] {
            self.play(&json!({"dryRun": true}), 0, disturb);
        }
    }

    /// Three days after the start, when the migration holds or has completed.
    fn play_reminders(&mut self) {
        self.play(&json!({}), 3 * 86_400, remind);
        self.play(&json!({}), 0, |world| {
            after(world, 100, answer_hold);
            after(world, 3 * 86_400, remind);
        });
        self.play(&json!({}), 3 * 86_400, |world| {
            world.fail_calls("rollback", UNKNOWN, Duration::from_hours(1));
            remind(world);
        });
    }

    fn play_answers(&mut self) {
        let asking = json!({"steps": [{"percent": 10, "approval": true}, 100]});
        self.play(&asking, 0, |_| {});
        for disturb in [
            answer_promoted as Disturb,
            answer_hold,
            answer_roll_back,
            answer_refused,
            answer_without_error,
            lose_watch,
            lose_events,
            abort,
            stop_rollback_by_names,
        ] {
            self.play(&json!({}), 0, disturb);
            self.play(&asking, 0, disturb);
        }
    }

    fn play_releases(&mut self) {
        for disturb in [
            release as Disturb,
            interrupt_release,
            release_of_another,
            fail_release,
            fail_interrupted_release,
        ] {
            self.play_release(&[disturb]);
        }
        self.play_release(&[release, |world| {
            world.on_next(RELEASE, "Delete the journals", |world| {
                let killed = Fault::KilledAfter;
                world.network.inject_fault_into(CHANGE, 0, killed);
                stop_release(world);
            });
        }]);
        self.play_release(&[release, |world| {
            world.on_next(RELEASE, "Give back all names", fail_shifts);
        }]);
        self.play_release(&[release, |world| {
            world.on_next(RELEASE, "Check all names", lease_a_name);
        }]);
    }

    /// Plays a migration with leased names and their release, which is disturbed.
    fn play_release(&mut self, disturbances: &[Disturb]) {
        let fields = json!({"externalDns": {"mode": "lease"}});
        self.play_all(&fields, 0, disturbances);
    }

    /// Plays migrations whose health fails, or can't be told, in each phase of a step.
    fn play_bad_health(&mut self) {
        self.play(&json!({"readyTimeoutSeconds": 60}), 0, |world| {
            world.become_unhealthy();
        });
        self.play(&json!({"readyTimeoutSeconds": 180}), 0, |world| {
            world.fail_calls("check-alarms", UNKNOWN, FOR_GOOD);
        });
        // So many retries that the wait ends because of the events of the execution.
        let long = json!({"readyTimeoutSeconds": 86_400, "checkSeconds": 100});
        for fail in [
            (|world| world.fail_calls("probe", UNKNOWN, FOR_GOOD)) as Disturb,
            |world| world.fail_calls("check-alarms", UNKNOWN, FOR_GOOD),
        ] {
            self.play(&long, 0, fail);
        }
        for on_failure in ["hold", "rollback"] {
            let fields = json!({"onFailure": on_failure, "bakeSeconds": 300});
            for seconds in [100, 400] {
                self.play(&fields, seconds, |world| {
                    world.become_unhealthy();
                });
            }
            self.play(&fields, 400, |world| {
                world.set_alarm("ALARM");
            });
        }
        for fail in [
            (|world| world.fail_calls("check-alarms", UNKNOWN, FOR_GOOD)) as Disturb,
            |world| world.fail_calls("probe", UNKNOWN, FOR_GOOD),
            |world| world.fail_calls("shift-weight", UNKNOWN, Duration::from_hours(1)),
            |world| world.fail_calls("SendTaskHeartbeat", UNKNOWN, FOR_GOOD),
            |world| world.fail_calls("SendTaskSuccess", UNKNOWN, FOR_GOOD),
        ] {
            for seconds in (1..15).chain([200]) {
                self.play(&json!({"maxBakeSeconds": 900}), seconds, fail);
            }
        }
        self.play(&json!({}), 200, |world| {
            world.become_unhealthy();
            world.fail_calls("SendTaskFailure", UNKNOWN, FOR_GOOD);
        });
    }

    /// Plays migrations of which Route 53 has lost changes.
    fn play_lost_changes(&mut self) {
        for (fields, seconds) in [
            (json!({}), 0),
            (json!({}), 200),
            (json!({"onFailure": "hold"}), 0),
        ] {
            self.play(&fields, seconds, |world| {
                for number in 0..50 {
                    world.lose_change_asked_for(number, number % 2 == 0);
                }
            });
            self.play(&fields, seconds, |world| {
                world.lose_change_asked_for(1, true);
            });
        }
    }

    /// Plays migrations, rollbacks and releases whose events EventBridge does not accept, and
    /// notifications that can't be sent.
    fn play_lost_events(&mut self) {
        let asking = json!({"steps": [{"percent": 10, "approval": true}, 100]});
        for fail in [
            (|world| {
                let unanswered = || (Duration::ZERO, Approval::None);
                *world.approvals.borrow_mut() = Box::new(unanswered);
                world.fail_calls("Publish", UNKNOWN, FOR_GOOD);
            }) as Disturb,
            |world| {
                world.fail_calls("Publish", UNKNOWN, FOR_GOOD);
                world.fail_calls("SendTaskFailure", UNKNOWN, FOR_GOOD);
            },
        ] {
            self.play(&asking, 0, fail);
        }
        for fields in [json!({}), json!({"from": 1}), asking] {
            self.play(&fields, 0, lose_status_events);
        }
        self.play(&json!({"readyTimeoutSeconds": 60}), 0, |world| {
            lose_status_events(world);
            world.become_unhealthy();
        });
        for on_failure in ["hold", "rollback"] {
            self.play(&json!({"onFailure": on_failure}), 200, |world| {
                lose_status_events(world);
                world.become_unhealthy();
            });
        }
        self.play(&json!({}), 200, |world| {
            lose_status_events(world);
            world.fail_calls("rollback", "NotPermitted", Duration::from_hours(10));
            world.become_unhealthy();
        });
        for lose in [
            (|world| world.on_next(RELEASE, "Delete the journals", lose_status_events)) as Disturb,
            |world| world.on_next(RELEASE, "Lease the names again", lose_status_events),
            |world| {
                let state = "Announce that names may be unwatched";
                world.on_next(RELEASE, state, lose_status_events);
            },
        ] {
            for disturb in [release as Disturb, fail_release, fail_interrupted_release] {
                self.play_release(&[disturb, lose]);
            }
        }
        self.play(&json!({}), 200, |world| {
            lose_status_events(world);
            world.fail_calls("rollback", "NotPermitted", FOR_GOOD);
            world.roll_back(&json!({"hostedZoneId": ZONE_ID, "names": ["*"]}));
        });
        self.play(&json!({}), 1, |world| {
            world.fail_calls("Publish", UNKNOWN, FOR_GOOD);
            world.on_status(&json!({
                "status": "Unheard of", "execution": "another", "executionArn": arn("another"),
                "hostedZoneId": ZONE_ID, "zoneName": "example.com", "from": BLUE, "to": GREEN,
                "names": 2, "leased": true, "percent": 10,
            }));
        });
    }

    /// Plays migrations that are requested by an event, which is delivered again a minute and a day later.
    fn play_requests(&mut self) {
        for fail in [(|_| {}) as Disturb, |world| {
            world.fail_calls("StartExecution", UNKNOWN, FOR_GOOD);
        }] {
            self.report.add(history::run(
                record_sets_from_cli_json(&zones::registered(2)),
                Latency::Same(Duration::from_millis(100)),
                |world| {
                    (self.prepare)(world);
                    fail(world);
                    deliver_request(world);
                    for seconds in [60, 86_400] {
                        after(world, seconds, deliver_request);
                    }
                },
                |_| {},
            ));
        }
    }

    /// Plays a rollback of which one name can't be restored.
    fn play_rollbacks(&mut self) {
        self.play(&json!({}), 400, |world| {
            damage_a_journal(world);
            after(world, 4000, |world| {
                world.roll_back(&json!({"hostedZoneId": ZONE_ID, "names": ["*"]}));
            });
        });
    }
}

impl Player<'_> {
    /// Plays migrations of so many names that their shift, completion, release or rollback takes several
    /// calls.
    fn play_many_names(&mut self) {
        let fields = json!({"steps": [100], "bakeSeconds": 60});
        let leased = zones::registered(200);
        self.play_in(
            &leased,
            &fields,
            0,
            &[|world| {
                let state = "Check health during the shift";
                world.on_next(MIGRATION, state, |world| world.become_unhealthy());
            }],
        );
        self.play_in(
            &leased,
            &fields,
            0,
            &[|world| {
                world.on_next(MIGRATION, "Bake", |world| world.become_unhealthy());
                world.on_next(ROLLBACK, "Restore the next names", |world| {
                    world.fail_calls("rollback", "NotPermitted", Duration::from_hours(10));
                });
            }],
        );
        self.play_in(&leased, &fields, 0, &[release]);
        // A name snaps back when all are given back.
        self.play_in(
            &leased,
            &fields,
            0,
            &[release, |world| {
                after(world, 40_200, snap_back);
            }],
        );
        // The completion deletes the journals of names that are not leased.
        self.play_in(&zones::unregistered(1_600), &fields, 0, &[]);
    }
}

/// `ExternalDNS` writes an old weight.
fn snap_back(world: &Rc<World>) {
    world.outside_writes.fetch_add(1, Ordering::Relaxed);
    world.write("the weight of a name snaps back", |record_sets| {
        let mut moved = record_sets.iter_mut().filter(|it| it.record_type.moves());
        if let Some(record_set) = moved.next() {
            *record_set = record_set.with_weight(77);
        }
    });
}

fn lose_status_events(world: &Rc<World>) {
    world.fail_calls("PutEvents", UNKNOWN, FOR_GOOD);
}

fn damage_a_journal(world: &Rc<World>) {
    world.outside_writes.fetch_add(1, Ordering::Relaxed);
    world.write("a person damages the journal of one name", |record_sets| {
        let mut journals = record_sets.iter_mut();
        let journal = journals.find(|it| it.name.journaled().is_some());
        if let Some(RecordData::Values { values, .. }) = journal.map(|it| &mut it.data) {
            *values = vec!["\"damaged\"".to_owned()];
        }
    });
}

/// Calls `disturb` after some seconds.
fn after(world: &Rc<World>, seconds: u64, disturb: Disturb) {
    let other = world.clone();
    world.spawn(async move {
        other.clock.sleep(Duration::from_secs(seconds)).await;
        disturb(&other);
    });
}

fn remind(world: &Rc<World>) {
    world.remind();
}

fn deliver_request(world: &Rc<World>) {
    world.request(&json!({
        "id": "3c7f1d5e-0a4b-4c1d-9e57-5b8f0d1c2a34", "source": "cutover",
        "detail-type": "Cutover Migration Requested",
        "detail": {
            "request": RUN, "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [10, 100],
        },
    }));
}

fn answer_promoted(world: &Rc<World>) {
    after(world, 200, |world| world.answer(RUN, Answer::Promote));
}

fn answer_hold(world: &Rc<World>) {
    after(world, 200, |world| world.answer(RUN, Answer::Hold));
}

fn answer_roll_back(world: &Rc<World>) {
    after(world, 200, |world| world.answer(RUN, Answer::RollBack));
}

fn answer_refused(world: &Rc<World>) {
    after(world, 200, |world| world.answer(RUN, Answer::Refuse));
}

fn answer_without_error(world: &Rc<World>) {
    after(world, 200, |world| {
        let Some(token) = world.token(RUN) else {
            return;
        };
        // An error says that the token was answered before.
        let _ = world
            .step_functions
            .send_task_failure(&token, Failure::new("", ""));
    });
}

/// Stops the watches as soon as they run.
fn lose_watch(world: &Rc<World>) {
    for seconds in (100..4000).step_by(100) {
        after(world, seconds, |world| world.stop_watch(RUN));
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
        world.abort(RUN);
    });
}

fn stop_rollback_by_names(world: &Rc<World>) {
    after(world, 200, |world| {
        world.roll_back(&json!({"hostedZoneId": ZONE_ID, "names": ["*"]}));
    });
}

fn release(world: &Rc<World>) {
    after(world, 40_000, |world| {
        world.release(&json!({"execution": RUN}));
    });
}

fn release_of_another(world: &Rc<World>) {
    after(world, 100, |world| {
        world.release(&json!({"execution": RUN}));
    });
    after(world, 100, |world| {
        world.release(&json!({"execution": "another"}));
    });
}

/// Stops the release that runs, as soon as it waits.
fn stop_release(world: &Rc<World>) {
    after(world, 0, |world| {
        for (id, description) in world.step_functions.executions() {
            if id.machine_name().ends_with("release") && description.end.is_none() {
                world.step_functions.stop(&id, Failure::new("", ""));
            }
        }
    });
}

fn fail_shifts(world: &Rc<World>) {
    world.fail_calls("shift-weight", "NotPermitted", FOR_GOOD);
}

/// Leases a name that was given back, as a rollback does that was late.
fn lease_a_name(world: &Rc<World>) {
    world.write("a late function leases a name again", |record_sets| {
        let mut texts = record_sets
            .iter_mut()
            .filter(|it| it.name.journaled().is_none());
        let owner = "external-dns/owner=";
        let leased = texts.find_map(|text| match &mut text.data {
            RecordData::Values { values, .. } => values.iter_mut().find(|it| it.contains(owner)),
            RecordData::Alias { .. } => None,
        });
        if let Some(value) = leased {
            *value = value.replace(
                owner,
                "external-dns/owner=cutover/0123456789abcdef/execution-1,was=",
            );
        }
    });
}

fn interrupt_release(world: &Rc<World>) {
    release(world);
    after(world, 40_100, stop_release);
}

/// The functions fail while names that were given back are watched, and names can't be leased again.
fn fail_release(world: &Rc<World>) {
    release(world);
    after(world, 40_100, fail_shifts);
}

fn fail_interrupted_release(world: &Rc<World>) {
    interrupt_release(world);
    after(world, 40_100, fail_shifts);
}
