//! Migrations to be played, each with what happens meanwhile and how it should end.

use std::mem;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use external_dns::{Change, Outcome};
use migration::{Percent, SetIdentifier};
use serde_json::{Value, json};

use crate::execution::{Ended, Execution, POLL};
use crate::external_dns::ExternalDns;
use crate::follower::{Follower, Moment, Seen, Watch};
use crate::stack::Stack;

/// The blueprint's cluster that serves.
pub const BLUE: &str = "eks-blueprint-blue";
/// The blueprint's cluster that shall serve.
pub const GREEN: &str = "eks-blueprint-green";
/// The blueprint's names that both clusters have records of, with load balancers of their own.
pub const NAMES: [&str; 5] = [
    "burnham.eks-blueprint.example.com",
    "argocd.eks-blueprint.example.com",
    "ecsfrontend.eks-blueprint.example.com",
    "skiapp.eks-blueprint.example.com",
    "\\052.apps.eks-blueprint.example.com",
];

/// The time between two health checks of a scenario.
pub const CHECK_SECONDS: u32 = 30;

const ALARM: &str = "eks-blueprint-green-5xx";
/// The name whose weight somebody edits, and the weight that green gets there.
const EDITED: (&str, u8) = ("skiapp.eks-blueprint.example.com", 20);
/// What the owner's id stands behind in a registry TXT.
const OWNER: &str = "external-dns/owner=";
const STEPS: [u8; 3] = [10, 50, 100];
/// The step at which something happens, where something does.
const EVENTFUL_STEP: u8 = 50;

/// A migration and its circumstances.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The name to ask for it by.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// How it should end, in one sentence.
    pub lesson: &'static str,
    circumstance: Circumstance,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Circumstance {
    AllIsWell,
    GreenAnswersWith500,
    AlarmFires,
    AlarmFiresWithItsEvent,
    SomeoneEditsAWeight,
    SomeoneAborts,
    SomeoneIsAsked,
    NamesAreNotLeased,
}

/// How a migration should end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    /// In this state, with this error.
    In(&'static str, Option<&'static str>),
    /// Stopped from outside, wherever it was, and rolled back by an execution that an event started.
    Stopped,
}

/// All scenarios; the first is the one to show when none is asked for.
pub const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "canary",
        about: "10, 50, 100 percent, and then the names are released to ExternalDNS",
        lesson: "all traffic is on green, only weights were changed, no journal is left, and \
                 ExternalDNS owns its records again and never changed any",
        circumstance: Circumstance::AllIsWell,
        ending: Ending::In("Completed", None),
    },
    Scenario {
        name: "approval",
        about: "somebody is asked at 50 percent, and approves",
        lesson: "it waited at 50 percent until the command from its notification was run, then all \
                 traffic went to green, and the names stay leased from ExternalDNS",
        circumstance: Circumstance::SomeoneIsAsked,
        ending: Ending::In("Completed", None),
    },
    Scenario {
        name: "bad-green",
        about: "green answers 500",
        lesson: "green was never given any weight, and the zone is as it was",
        circumstance: Circumstance::GreenAnswersWith500,
        ending: Ending::In("Not started", Some("NotReady")),
    },
    Scenario {
        name: "alarm",
        about: "an alarm fires at 50 percent, and is found by the next health check",
        lesson: "the original weights are back, and the zone is byte for byte as it was",
        circumstance: Circumstance::AlarmFires,
        ending: Ending::In("Rolled back", Some("HealthCheckFailed")),
    },
    Scenario {
        name: "alarm-event",
        about: "an alarm fires at 50 percent, and its event rolls back at once",
        lesson: "the alarm's event stopped the migration, the original weights are back, and the zone \
                 is byte for byte as it was",
        circumstance: Circumstance::AlarmFiresWithItsEvent,
        ending: Ending::Stopped,
    },
    Scenario {
        name: "abort",
        about: "somebody stops the execution in the console at 50 percent",
        lesson: "the end of the execution started a rollback, and the zone is byte for byte as it was",
        circumstance: Circumstance::SomeoneAborts,
        ending: Ending::Stopped,
    },
    Scenario {
        name: "drift",
        about: "somebody edits a weight at 50 percent; later an operator rolls back",
        lesson: "the edit was kept while the migration held, and the rollback that was asked for \
                 restored the zone byte for byte",
        circumstance: Circumstance::SomeoneEditsAWeight,
        ending: Ending::In("Held", Some("Held")),
    },
    Scenario {
        name: "no-lease",
        about: "the names are not leased, so ExternalDNS puts the weights back; later an operator rolls back",
        lesson: "what ExternalDNS put back was found and not fought over, and the rollback that was asked \
                 for restored the zone byte for byte",
        circumstance: Circumstance::NamesAreNotLeased,
        ending: Ending::In("Held", Some("Held")),
    },
];

/// What came of a scenario.
#[derive(Debug)]
pub struct Report {
    /// The states and weights, in order.
    pub timeline: Vec<Moment>,
    /// How the migration ended.
    pub migration: Ended,
    /// How the rollback ended that an operator or an event asked for.
    pub rollback: Option<Ended>,
    /// How the release ended that an operator asked for.
    pub release: Option<Ended>,
    /// How long it took from the alarm's event until Route 53 had accepted the original weights.
    pub alarm_to_change: Option<Duration>,
    /// What is other than it should be; empty if the scenario ended as it should.
    pub unexpected: Vec<String>,
}

/// What is watched while a scenario is played, and what was noted.
struct Play<'a> {
    stack: &'a Stack,
    external_dns: &'a ExternalDns,
    watch: Watch,
    observer: &'a mut dyn FnMut(&Seen),
    timeline: Vec<Moment>,
    /// What happened since the last moment of the timeline.
    happenings: Vec<String>,
    /// How many passes of each instance of ExternalDNS were told of.
    told_passes: [usize; 2],
    unexpected: Vec<String>,
    fired_at: Option<SystemTime>,
}

impl Scenario {
    /// The scenario of this name.
    pub fn find(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// The execution's input, as somebody types it into the console.
    pub fn input(&self, hosted_zone_id: &str) -> Value {
        let steps = match self.circumstance {
            Circumstance::AllIsWell
            | Circumstance::GreenAnswersWith500
            | Circumstance::NamesAreNotLeased => json!(STEPS),
            Circumstance::SomeoneIsAsked => {
                json!([10, { "percent": EVENTFUL_STEP, "approval": true }, 100])
            }
            // Ended by what happens, not by the bake being over first.
            _ => json!([10, { "percent": EVENTFUL_STEP, "bakeSeconds": 900 }, 100]),
        };
        let mode = match self.circumstance {
            Circumstance::NamesAreNotLeased => "ignore",
            _ => "lease",
        };
        json!({
            "hostedZoneId": hosted_zone_id,
            "from": BLUE,
            "to": GREEN,
            "names": NAMES,
            "steps": steps,
            "bakeSeconds": 60,
            "checkSeconds": CHECK_SECONDS,
            "readyTimeoutSeconds": 120,
            "probe": { "expectedBody": format!("CLUSTER_NAME: {GREEN}") },
            "alarms": { "names": [ALARM] },
            "externalDns": { "mode": mode },
        })
    }

    /// Plays the scenario on a stack with the blueprint's zone, in which ExternalDNS is at work,
    /// telling `observer` what is seen.
    pub async fn play(
        &self,
        stack: &Stack,
        external_dns: &ExternalDns,
        observer: &mut dyn FnMut(&Seen),
    ) -> Result<Report> {
        let mut play = Play {
            stack,
            external_dns,
            watch: watch()?,
            observer,
            timeline: Vec::new(),
            happenings: Vec::new(),
            told_passes: [0; 2],
            unexpected: Vec::new(),
            fired_at: None,
        };
        stack.create_alarm(ALARM).await?;
        stack
            .green
            .set_healthy(self.circumstance != Circumstance::GreenAnswersWith500);
        let before = stack.zone.to_cli_json().await?;

        let execution = stack
            .start_migration(self.name, &self.input(stack.zone.id()))
            .await?;
        let migration = play.follow(&execution, self.circumstance).await?;
        play.expect_ending(&migration, self.ending);

        let (mut rollback, mut release, mut alarm_to_change) = (None, None, None);
        match self.circumstance {
            Circumstance::AllIsWell => {
                play.expect_completed(&execution, &before).await?;
                release = Some(play.release(&execution).await?);
                play.expect_released(&before).await?;
            }
            Circumstance::SomeoneIsAsked => {
                let is_asked = |state: &String| state == "Ask for approval";
                play.expect(migration.states.iter().any(is_asked), || {
                    "nobody was asked for approval".to_owned()
                });
                play.expect_completed(&execution, &before).await?;
            }
            Circumstance::AlarmFiresWithItsEvent | Circumstance::SomeoneAborts => {
                let execution = play.rollback_by_event().await?;
                play.happens(format!(
                    "An event has started the rollback {}",
                    execution.name()
                ));
                let ended = play.follow(&execution, Circumstance::AllIsWell).await?;
                play.expect(ended.outcome == "SUCCEEDED", || {
                    format!("the rollback ended {}, expected SUCCEEDED", ended.outcome)
                });
                play.expect_highest(percent(EVENTFUL_STEP)?);
                play.expect_zone(&before).await?;
                if let Some(fired_at) = play.fired_at {
                    let accepted_at = execution.succeeded_at("Roll back").await?;
                    alarm_to_change = accepted_at.duration_since(fired_at).ok();
                }
                rollback = Some(ended);
            }
            Circumstance::GreenAnswersWith500 => {
                play.expect_highest(Percent::ZERO);
                play.expect_zone(&before).await?;
            }
            Circumstance::AlarmFires => {
                play.expect_highest(percent(EVENTFUL_STEP)?);
                play.expect_zone(&before).await?;
            }
            Circumstance::SomeoneEditsAWeight => {
                play.expect_held(&migration).await?;
                rollback = Some(play.roll_back(&execution).await?);
                play.expect_zone(&before).await?;
            }
            Circumstance::NamesAreNotLeased => {
                play.expect_put_back(&migration, &before).await?;
                rollback = Some(play.roll_back(&execution).await?);
                play.expect_zone(&before).await?;
            }
        }
        let is_put_back = self.circumstance == Circumstance::NamesAreNotLeased;
        play.expect_passes_with_changes(usize::from(is_put_back))
            .await;
        let Play {
            timeline,
            unexpected,
            ..
        } = play;
        Ok(Report {
            timeline,
            migration,
            rollback,
            release,
            alarm_to_change,
            unexpected,
        })
    }
}

impl Play<'_> {
    /// Follows an execution to its end; at the eventful step the circumstance befalls it.
    async fn follow(&mut self, execution: &Execution, circumstance: Circumstance) -> Result<Ended> {
        let eventful = percent(EVENTFUL_STEP)?;
        let (mut is_at_eventful, mut is_to_come) = (false, true);
        let watch = self.watch.clone();
        let zone = self.stack.zone.clone();
        let mut follower = Follower::new(execution, &zone, &watch);
        while let Some(mut seen) = follower.next().await? {
            self.tell_of_external_dns();
            if let Seen::Moment(moment) = &mut seen {
                moment.happenings = mem::take(&mut self.happenings);
            }
            (self.observer)(&seen);
            match seen {
                Seen::Moment(moment) if moment.state == "Ask for approval" && is_to_come => {
                    is_to_come = false;
                    self.timeline.push(moment);
                    self.befall(execution, circumstance).await?;
                }
                Seen::Moment(moment) => {
                    let weights = &moment.weights;
                    let is_fought_over = circumstance == Circumstance::NamesAreNotLeased;
                    let is_whole = weights.is_uniform() && !weights.has_all_zero();
                    self.expect(is_whole || is_fought_over, || {
                        format!("a name showed mixed weights, or none at all: {weights:?}")
                    });
                    is_at_eventful = weights.is_at(eventful, &watch.from, &watch.to);
                    self.timeline.push(moment);
                }
                // Between two health checks: the step is done, and the next one not begun.
                Seen::Verdict { .. }
                    if is_at_eventful
                        && is_to_come
                        && circumstance != Circumstance::SomeoneIsAsked =>
                {
                    is_to_come = false;
                    self.befall(execution, circumstance).await?;
                }
                Seen::Ended(ended) => return Ok(ended),
                Seen::Verdict { .. } | Seen::Plan(_) | Seen::Happening(_) => {}
            }
        }
        anyhow::bail!("{} ended unseen", execution.name())
    }

    async fn befall(&mut self, execution: &Execution, circumstance: Circumstance) -> Result<()> {
        match circumstance {
            Circumstance::AllIsWell
            | Circumstance::GreenAnswersWith500
            | Circumstance::NamesAreNotLeased => {}
            Circumstance::AlarmFiresWithItsEvent => {
                self.happens(format!(
                    "The alarm {ALARM} fires, and CloudWatch sends its event"
                ));
                self.fired_at = Some(SystemTime::now());
                self.stack.fire_alarm_with_event(ALARM).await?;
            }
            Circumstance::SomeoneAborts => {
                self.happens(format!("Somebody stops the execution {}", execution.name()));
                execution.stop().await?;
            }
            Circumstance::SomeoneIsAsked => {
                let command = self.command_that_approves().await?;
                self.happens(format!(
                    "Somebody runs, as the notification says: {command}"
                ));
                self.stack.run_command(&command).await?;
            }
            Circumstance::AlarmFires => {
                self.happens(format!("The alarm {ALARM} fires"));
                self.stack.fire_alarm(ALARM).await?;
            }
            Circumstance::SomeoneEditsAWeight => {
                let (name, weight) = EDITED;
                self.happens(format!(
                    "Somebody sets green's weight at {name} to {weight}"
                ));
                let name = parsed(name)?;
                self.stack
                    .zone
                    .overwrite_weight(&name, &self.watch.to, weight)
                    .await?;
            }
        }
        Ok(())
    }

    /// An operator rolls a migration back, and it is followed to its end.
    async fn roll_back(&mut self, migration: &Execution) -> Result<Ended> {
        let name = migration.name();
        self.happens(format!(
            "An operator starts the rollback state machine for the execution {name}"
        ));
        let input = json!({ "hostedZoneId": self.stack.zone.id(), "execution": name });
        let execution = format!("{name}-rollback");
        let execution = self.stack.start_rollback(&execution, &input).await?;
        let ended = self.follow(&execution, Circumstance::AllIsWell).await?;
        self.expect(ended.outcome == "SUCCEEDED", || {
            format!("the rollback ended {}, expected SUCCEEDED", ended.outcome)
        });
        Ok(ended)
    }

    /// An operator gives the names back to ExternalDNS, and that is followed to its end.
    async fn release(&mut self, migration: &Execution) -> Result<Ended> {
        let name = migration.name();
        self.happens(
            "Somebody writes the reached weights into the annotations of both clusters".to_owned(),
        );
        self.external_dns.annotate_reached_weights();
        self.happens(format!(
            "An operator starts the release state machine for the execution {name}"
        ));
        let execution = format!("{name}-release");
        let input = json!({ "execution": name });
        let execution = self.stack.start_release(&execution, &input).await?;
        let ended = self.follow(&execution, Circumstance::AllIsWell).await?;
        self.expect(ended.state == "Released", || {
            format!("the release ended in {:?}, expected Released", ended.state)
        });
        Ok(ended)
    }

    /// The command that the notification gives for approval.
    async fn command_that_approves(&self) -> Result<String> {
        loop {
            for told in self.stack.notifications().await? {
                if told.status() == "ApprovalWanted" {
                    let steps = told.next_steps();
                    let command = steps.iter().find_map(|step| step.strip_prefix("Approve: "));
                    let command = command.context("the notification names no command")?;
                    return Ok(command.trim_matches('`').to_owned());
                }
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The rollback that restored the weights: an alarm and the end that it led to start one each.
    async fn rollback_by_event(&self) -> Result<Execution> {
        loop {
            let mut rollbacks = self.stack.rollbacks().await?;
            // The first one is the last in the list.
            if let Some(first) = rollbacks.pop() {
                return Ok(first);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn expect_ending(&mut self, migration: &Ended, ending: Ending) {
        match ending {
            Ending::In(state, error) => {
                self.expect(migration.state == state, || {
                    format!(
                        "the migration ended in {:?}, expected {state:?}",
                        migration.state
                    )
                });
                self.expect(migration.error.as_deref() == error, || {
                    format!(
                        "the migration's error is {:?}, expected {error:?}",
                        migration.error
                    )
                });
            }
            // The emulator lets a stopped execution run on to the end of its state, where it may fail.
            Ending::Stopped => self.expect(migration.outcome != "SUCCEEDED", || {
                "the migration succeeded, expected it to be stopped".to_owned()
            }),
        }
    }

    fn happens(&mut self, what: String) {
        self.happenings.push(what.clone());
        (self.observer)(&Seen::Happening(what));
    }

    /// Tells what ExternalDNS has done since this was last called.
    fn tell_of_external_dns(&mut self) {
        let histories = self.external_dns.histories();
        let told = mem::replace(
            &mut self.told_passes,
            histories.each_ref().map(|(_, history)| history.len()),
        );
        for ((owner, history), told) in histories.into_iter().zip(told) {
            for outcome in history.iter().skip(told) {
                self.happens(in_words(owner, outcome));
            }
        }
    }

    fn expect(&mut self, is_so: bool, otherwise: impl FnOnce() -> String) {
        if !is_so {
            self.unexpected.push(otherwise());
        }
    }

    /// Expects the highest share that green had to be this.
    fn expect_highest(&mut self, expected: Percent) {
        let highest = self
            .timeline
            .iter()
            .map(|moment| moment.percent)
            .max()
            .unwrap_or_default();
        self.expect(highest == expected, || {
            format!("green had up to {highest} percent, expected {expected}")
        });
    }

    async fn expect_zone(&mut self, before: &str) -> Result<()> {
        let after = self.stack.zone.to_cli_json().await?;
        self.expect(after == before, || {
            format!("the zone is not as it was before: {after}")
        });
        Ok(())
    }

    /// Expects every name on green and leased, and but for that the zone as it was.
    async fn expect_completed(&mut self, migration: &Execution, before: &str) -> Result<()> {
        let percents: Vec<_> = self.timeline.iter().map(|moment| moment.percent).collect();
        self.expect(percents.is_sorted(), || {
            format!("green's share has fallen: {percents:?}")
        });
        for step in STEPS {
            let step = percent(step)?;
            self.expect(percents.contains(&step), || {
                format!("{step} percent was never seen")
            });
        }
        self.expect_reached().await?;
        let after = self.stack.zone.to_cli_json().await?;
        let lease = format!("{OWNER}cutover/{}", migration.name());
        let (leased, owned) = (after.matches(&lease).count(), before.matches(OWNER).count());
        self.expect(leased == owned, || {
            format!("{leased} of {owned} registry TXT records are leased")
        });
        self.expect_journals(NAMES.len()).await?;
        self.expect(
            weightless(given_back(&after, &lease)?) == weightless(parsed_zone(before)?),
            || format!("more than weights and owners differs from the zone before: {after}"),
        );
        Ok(())
    }

    /// Expects every name on green, and but for the weights the zone as it was.
    async fn expect_released(&mut self, before: &str) -> Result<()> {
        self.expect_reached().await?;
        let after = self.stack.zone.to_cli_json().await?;
        let is_same = weightless(parsed_zone(&after)?) == weightless(parsed_zone(before)?);
        self.expect(is_same, || {
            format!("more than weights differs from the zone before: {after}")
        });
        Ok(())
    }

    async fn expect_reached(&mut self) -> Result<()> {
        let traffic = self.stack.zone.traffic(&self.watch.names).await?;
        for name in self.watch.names.clone() {
            for (side, weight) in [(self.watch.from.clone(), 0), (self.watch.to.clone(), 100)] {
                let found = traffic.weight(&name, &side);
                self.expect(found == Some(weight), || {
                    format!("{side} has weight {found:?} at {name}, expected {weight}")
                });
            }
        }
        Ok(())
    }

    /// Expects both instances of ExternalDNS to have changed something in that many passes, and to
    /// find nothing to do now.
    async fn expect_passes_with_changes(&mut self, expected: usize) {
        self.external_dns.wait_for_passes(2).await;
        self.tell_of_external_dns();
        for (owner, history) in self.external_dns.histories() {
            let has_changed = |pass: &Outcome| pass.unread.is_none() && pass.refused.is_empty();
            let is_so = history.len() == expected && history.iter().all(has_changed);
            self.expect(is_so, || {
                let words = history.iter().map(|pass| in_words(owner, pass));
                let words: Vec<_> = words.collect();
                format!("ExternalDNS was not quiet but for {expected} passes: {words:?}")
            });
        }
    }

    /// Expects the migration to have said who put the weights back, and to have left them.
    async fn expect_put_back(&mut self, migration: &Ended, before: &str) -> Result<()> {
        self.external_dns.wait_for_passes(2).await;
        self.tell_of_external_dns();
        let cause = migration.cause.clone().unwrap_or_default();
        for part in ["Drift", "ExternalDNS", BLUE] {
            self.expect(cause.contains(part), || {
                format!("the cause is {cause:?}, expected it to name {part}")
            });
        }
        self.expect_journals(NAMES.len()).await?;
        let after = self.stack.zone.to_cli_json().await?;
        self.expect(without_journals(&after)? == parsed_zone(before)?, || {
            format!("the zone is not as ExternalDNS wants it: {after}")
        });
        Ok(())
    }

    async fn expect_journals(&mut self, expected: usize) -> Result<()> {
        let journals = self.stack.zone.journals().await?.len();
        self.expect(journals == expected, || {
            format!("the migration left {journals} journals, expected {expected}")
        });
        Ok(())
    }

    /// Expects the migration to have said what it found, and to have left all as it was found.
    async fn expect_held(&mut self, migration: &Ended) -> Result<()> {
        let cause = migration.cause.clone().unwrap_or_default();
        let (edited, weight) = EDITED;
        self.expect(cause.starts_with("Drift") && cause.contains(edited), || {
            format!("the cause is {cause:?}, expected it to begin with Drift and to name {edited}")
        });
        let traffic = self.stack.zone.traffic(&self.watch.names).await?;
        for name in self.watch.names.clone() {
            let expected = if name.as_str() == edited {
                weight
            } else {
                EVENTFUL_STEP
            };
            let found = traffic.weight(&name, &self.watch.to);
            self.expect(found == Some(expected), || {
                format!("the held migration left green {found:?} at {name}, expected {expected}")
            });
        }
        self.expect_journals(NAMES.len()).await
    }
}

/// What a pass of ExternalDNS did.
fn in_words(owner: &str, outcome: &Outcome) -> String {
    let cluster = owner.rsplit('-').next().unwrap_or(owner);
    if let Some(error) = &outcome.unread {
        return format!("ExternalDNS of {cluster} can't read the zone: {error}");
    }
    if let Some(refusal) = outcome.refused.first() {
        return format!(
            "ExternalDNS of {cluster} can't change {} record sets: {}",
            refusal.changes.len(),
            refusal.error
        );
    }
    let of_names = |change: &&Change| change.record_set.record_type.moves();
    let records = outcome.changed.iter().filter(of_names).count();
    format!("ExternalDNS of {cluster} puts {records} records back")
}

fn watch() -> Result<Watch> {
    Ok(Watch {
        names: NAMES.into_iter().map(parsed).collect::<Result<_>>()?,
        from: parsed::<SetIdentifier>(BLUE)?,
        to: parsed::<SetIdentifier>(GREEN)?,
    })
}

fn parsed<T: std::str::FromStr<Err = String>>(text: &str) -> Result<T> {
    text.parse().map_err(anyhow::Error::msg)
}

fn percent(whole: u8) -> Result<Percent> {
    Percent::whole(whole).context("not a percent")
}

fn parsed_zone(zone: &str) -> Result<Vec<Value>> {
    let mut zone: Value = serde_json::from_str(zone)?;
    let record_sets = zone.get_mut("ResourceRecordSets").map(Value::take);
    let record_sets = record_sets.context("a zone without record sets")?;
    Ok(serde_json::from_value(record_sets)?)
}

/// The record sets of a zone but for the journals.
fn without_journals(zone: &str) -> Result<Vec<Value>> {
    let mut record_sets = parsed_zone(zone)?;
    record_sets.retain(|record_set| {
        let name = record_set.get("Name").and_then(Value::as_str);
        !name.is_some_and(|name| name.starts_with("_cutover."))
    });
    Ok(record_sets)
}

/// A zone as it is once the names are given back: in the blueprint the id of a side's ExternalDNS
/// is its set identifier.
fn given_back(zone: &str, lease: &str) -> Result<Vec<Value>> {
    let record_sets = without_journals(zone)?.into_iter();
    record_sets
        .map(|record_set| {
            let side = record_set.get("SetIdentifier").and_then(Value::as_str);
            let owner = format!("{OWNER}{}", side.unwrap_or_default());
            Ok(serde_json::from_str(
                &record_set.to_string().replace(lease, &owner),
            )?)
        })
        .collect()
}

/// Record sets without their weights.
fn weightless(mut record_sets: Vec<Value>) -> Vec<Value> {
    for record_set in record_sets.iter_mut().filter_map(Value::as_object_mut) {
        record_set.remove("Weight");
    }
    record_sets
}
