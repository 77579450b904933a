//! Scenarios: migrations with what happens during them and how they should end.

use std::mem;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use external_dns::{Change, Outcome};
use migration::dns::{Percent, SetIdentifier};
use serde_json::{Value, json};

use crate::execution::{Execution, ExecutionResult, POLL_INTERVAL};
use crate::external_dns::ExternalDns;
use crate::follower::{Follower, Moment, Seen, WatchTarget};
use crate::stack::Stack;

/// The set identifier of the cluster that has all traffic before a scenario.
pub const BLUE: &str = "eks-blueprint-blue";
/// The set identifier of the cluster that a scenario migrates to.
pub const GREEN: &str = "eks-blueprint-green";
/// The names in the blueprint's zone that have records of both clusters and of no other side.
pub const NAMES: [&str; 5] = [
    "burnham.eks-blueprint.example.com",
    "argocd.eks-blueprint.example.com",
    "ecsfrontend.eks-blueprint.example.com",
    "skiapp.eks-blueprint.example.com",
    "\\052.apps.eks-blueprint.example.com",
];

/// The `checkSeconds` of a scenario's migration.
pub const CHECK_SECONDS: u32 = 30;

const ALARM: &str = "eks-blueprint-green-5xx";
/// The name that another writer edits in the scenario `drift`, and green's weight afterwards.
const EDITED: (&str, u8) = ("skiapp.eks-blueprint.example.com", 20);
/// The text before the owner's id in a registry TXT record.
const OWNER_KEY: &str = "external-dns/owner=";
const STEPS: [u8; 3] = [10, 50, 100];
/// The step at which the scenario's circumstance is triggered.
const EVENTFUL_STEP: u8 = 50;

/// A migration with what happens during it.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The value of `--scenario`.
    pub name: &'static str,
    /// What happens, as a fragment without a period.
    pub about: &'static str,
    /// The expected result, as a fragment without a period.
    pub expected_result: &'static str,
    circumstance: Circumstance,
    ending: Ending,
}

/// What happens during a migration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Circumstance {
    Undisturbed,
    GreenAnswers500,
    /// The alarm sends no event: the next health check has to find it.
    AlarmFires,
    /// The alarm's event starts a rollback.
    AlarmFiresWithEvent,
    WeightIsEdited,
    ExecutionIsStopped,
    ApprovalIsRequested,
    /// The migration does not lease the names, so ExternalDNS puts the weights back.
    NamesAreNotLeased,
}

/// How a migration should end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ending {
    /// In this state, with this error.
    InState(&'static str, Option<&'static str>),
    /// Stopped in any state, and rolled back by an execution that an event started.
    StoppedAndRolledBack,
}

/// All scenarios. The first one is the demo's default.
pub const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "canary",
        about: "green gets 10, 50 and 100 percent of the traffic; then the names are released to ExternalDNS",
        expected_result: "all traffic is on green, only weights have changed, no journal is left, \
                          and ExternalDNS owns its records again and has not changed any of them",
        circumstance: Circumstance::Undisturbed,
        ending: Ending::InState("Completed", None),
    },
    Scenario {
        name: "approval",
        about: "the step of 50 percent needs an approval, and an operator approves it",
        expected_result: "the migration waited at 50 percent until the operator ran the command \
                          in its notification; all traffic is on green, and the names are still leased",
        circumstance: Circumstance::ApprovalIsRequested,
        ending: Ending::InState("Completed", None),
    },
    Scenario {
        name: "bad-green",
        about: "green answers every request with status 500",
        expected_result: "green never got any weight, and the zone is unchanged",
        circumstance: Circumstance::GreenAnswers500,
        ending: Ending::InState("Not started", Some("NotReady")),
    },
    Scenario {
        name: "alarm",
        about: "an alarm fires at 50 percent, and the next health check finds it",
        expected_result: "the original weights are restored, and the zone is byte for byte as before",
        circumstance: Circumstance::AlarmFires,
        ending: Ending::InState("Rolled back", Some("HealthCheckFailed")),
    },
    Scenario {
        name: "alarm-event",
        about: "an alarm fires at 50 percent, and its event starts a rollback at once",
        expected_result: "the alarm's event stopped the migration, the original weights are \
                          restored, and the zone is byte for byte as before",
        circumstance: Circumstance::AlarmFiresWithEvent,
        ending: Ending::StoppedAndRolledBack,
    },
    Scenario {
        name: "abort",
        about: "an operator stops the execution in the console at 50 percent",
        expected_result: "the execution's status event started a rollback, and the zone is byte for \
                          byte as before",
        circumstance: Circumstance::ExecutionIsStopped,
        ending: Ending::StoppedAndRolledBack,
    },
    Scenario {
        name: "drift",
        about: "another writer edits a weight at 50 percent; later an operator rolls back",
        expected_result: "the migration held and kept the edited weight, and the operator's \
                          rollback restored the zone byte for byte",
        circumstance: Circumstance::WeightIsEdited,
        ending: Ending::InState("Held", Some("Held")),
    },
    Scenario {
        name: "no-lease",
        about: "the names are not leased from ExternalDNS, which puts the weights back; later an operator rolls back",
        expected_result: "the migration found the weights that ExternalDNS had put back and kept \
                          them, and the operator's rollback restored the zone byte for byte",
        circumstance: Circumstance::NamesAreNotLeased,
        ending: Ending::InState("Held", Some("Held")),
    },
];

/// The result of a scenario.
#[derive(Debug)]
pub struct Report {
    /// The states and weights, in order.
    pub timeline: Vec<Moment>,
    /// How the migration ended.
    pub migration: ExecutionResult,
    /// How the rollback ended, if an operator or an event started one.
    pub rollback: Option<ExecutionResult>,
    /// How the release ended, if an operator started one.
    pub release: Option<ExecutionResult>,
    /// The time from the alarm's event until Route 53 had accepted the original weights, if an
    /// alarm's event rolled back.
    pub alarm_to_change: Option<Duration>,
    /// All differences from the expected result; empty if there are none.
    pub unexpected: Vec<String>,
}

/// A scenario that is being played, and what was recorded so far.
struct Play<'a> {
    stack: &'a Stack,
    external_dns: &'a ExternalDns,
    target: WatchTarget,
    on_update: &'a mut dyn FnMut(&Seen),
    timeline: Vec<Moment>,
    /// What happened since the last entry of the timeline.
    happenings: Vec<String>,
    /// The number of passes of each ExternalDNS instance that were reported to `on_update`.
    reported_passes: [usize; 2],
    unexpected: Vec<String>,
    alarm_fired_at: Option<SystemTime>,
}

impl Scenario {
    pub fn find(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// The execution's input, as an operator pastes it into the console.
    pub fn input(&self, hosted_zone_id: &str) -> Value {
        let steps = match self.circumstance {
            Circumstance::Undisturbed
            | Circumstance::GreenAnswers500
            | Circumstance::NamesAreNotLeased => json!(STEPS),
            Circumstance::ApprovalIsRequested => {
                json!([10, { "percent": EVENTFUL_STEP, "approval": true }, 100])
            }
            // The bake is so long that the circumstance ends it.
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

    /// Plays the scenario on a stack with the blueprint's zone, in which ExternalDNS runs. Calls
    /// `on_update` with every update about its executions.
    pub async fn play(
        &self,
        stack: &Stack,
        external_dns: &ExternalDns,
        on_update: &mut dyn FnMut(&Seen),
    ) -> Result<Report> {
        let mut play = Play {
            stack,
            external_dns,
            target: watch_target()?,
            on_update,
            timeline: Vec::new(),
            happenings: Vec::new(),
            reported_passes: [0; 2],
            unexpected: Vec::new(),
            alarm_fired_at: None,
        };
        stack.create_alarm(ALARM).await?;
        stack
            .green
            .set_healthy(self.circumstance != Circumstance::GreenAnswers500);
        let before = stack.zone.to_cli_json().await?;

        let execution = stack
            .start_migration(self.name, &self.input(stack.zone.id()))
            .await?;
        let migration = play.follow(&execution, self.circumstance).await?;
        play.expect_ending(&migration, self.ending);

        let (mut rollback, mut release, mut alarm_to_change) = (None, None, None);
        match self.circumstance {
            Circumstance::Undisturbed => {
                play.expect_completed(&execution, &before).await?;
                release = Some(play.release(&execution).await?);
                play.expect_released(&before).await?;
            }
            Circumstance::ApprovalIsRequested => {
                let is_request = |state: &String| state == "Ask for approval";
                play.expect(migration.states.iter().any(is_request), || {
                    "the migration did not ask for approval".to_owned()
                });
                play.expect_completed(&execution, &before).await?;
            }
            Circumstance::AlarmFiresWithEvent | Circumstance::ExecutionIsStopped => {
                let execution = play.rollback_by_event().await?;
                play.report(format!(
                    "The event has started the rollback {}",
                    execution.name()
                ));
                let ended = play.follow(&execution, Circumstance::Undisturbed).await?;
                play.expect(ended.outcome == "SUCCEEDED", || {
                    format!("the rollback ended {}, expected SUCCEEDED", ended.outcome)
                });
                play.expect_highest(percent(EVENTFUL_STEP)?);
                play.expect_zone(&before).await?;
                if let Some(fired_at) = play.alarm_fired_at {
                    let accepted_at = execution.succeeded_at("Roll back").await?;
                    alarm_to_change = accepted_at.duration_since(fired_at).ok();
                }
                rollback = Some(ended);
            }
            Circumstance::GreenAnswers500 => {
                play.expect_highest(Percent::ZERO);
                play.expect_zone(&before).await?;
            }
            Circumstance::AlarmFires => {
                play.expect_highest(percent(EVENTFUL_STEP)?);
                play.expect_zone(&before).await?;
            }
            Circumstance::WeightIsEdited => {
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
        // ExternalDNS puts the weights of unleased names back in one pass; else it changes nothing.
        let passes = usize::from(self.circumstance == Circumstance::NamesAreNotLeased);
        play.expect_passes_with_changes(passes).await;
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
    /// Follows an execution to its end, and triggers the circumstance once at the eventful step.
    async fn follow(
        &mut self,
        execution: &Execution,
        circumstance: Circumstance,
    ) -> Result<ExecutionResult> {
        let eventful = percent(EVENTFUL_STEP)?;
        let (mut is_baking, mut is_pending) = (false, true);
        let target = self.target.clone();
        let mut follower = Follower::new(self.stack, execution, &target)?;
        while let Some(mut seen) = follower.next().await? {
            self.report_external_dns();
            if let Seen::Moment(moment) = &mut seen {
                moment.happenings = mem::take(&mut self.happenings);
            }
            (self.on_update)(&seen);
            match seen {
                Seen::Moment(moment) if moment.state == "Ask for approval" && is_pending => {
                    is_pending = false;
                    self.timeline.push(moment);
                    self.trigger(execution, circumstance).await?;
                }
                Seen::Moment(moment) => {
                    let weights = &moment.weights;
                    let is_valid = weights.is_uniform() && !weights.has_all_zero();
                    // ExternalDNS does not change all types and sides of a name in one batch.
                    let is_leased = circumstance != Circumstance::NamesAreNotLeased;
                    self.expect(is_valid || !is_leased, || {
                        format!("a name has different weights by type, or only weights of 0: {weights:?}")
                    });
                    is_baking =
                        moment.state == "Bake" && weights.is_at(eventful, &target.from, &target.to);
                    self.timeline.push(moment);
                }
                Seen::Verdict(_)
                    if is_baking
                        && is_pending
                        && circumstance != Circumstance::ApprovalIsRequested =>
                {
                    is_pending = false;
                    self.trigger(execution, circumstance).await?;
                }
                Seen::Ended(ended) => return Ok(ended),
                Seen::Verdict(_) | Seen::Plan(_) | Seen::Happening(_) => {}
            }
        }
        anyhow::bail!("the follower stopped before {} ended", execution.name())
    }

    async fn trigger(&mut self, execution: &Execution, circumstance: Circumstance) -> Result<()> {
        match circumstance {
            Circumstance::Undisturbed
            | Circumstance::GreenAnswers500
            | Circumstance::NamesAreNotLeased => {}
            Circumstance::AlarmFiresWithEvent => {
                self.report(format!(
                    "The alarm {ALARM} fires, and CloudWatch sends its event"
                ));
                self.alarm_fired_at = Some(SystemTime::now());
                self.stack.fire_alarm_with_event(ALARM).await?;
            }
            Circumstance::ExecutionIsStopped => {
                self.report(format!(
                    "An operator stops the execution {}",
                    execution.name()
                ));
                execution.stop().await?;
            }
            Circumstance::ApprovalIsRequested => {
                let command = self.approval_command().await?;
                self.report(format!(
                    "An operator runs the command from the notification: {command}"
                ));
                self.stack.run_command(&command).await?;
            }
            Circumstance::AlarmFires => {
                self.report(format!("The alarm {ALARM} fires"));
                self.stack.fire_alarm(ALARM).await?;
            }
            Circumstance::WeightIsEdited => {
                let (name, weight) = EDITED;
                self.report(format!(
                    "Another writer sets green's weight at {name} to {weight}"
                ));
                let name = parse(name)?;
                self.stack
                    .zone
                    .overwrite_weight(&name, &self.target.to, weight)
                    .await?;
            }
        }
        Ok(())
    }

    /// Starts a rollback like an operator, and follows it to its end.
    async fn roll_back(&mut self, migration: &Execution) -> Result<ExecutionResult> {
        let name = migration.name();
        self.report(format!(
            "An operator starts the rollback state machine for the execution {name}"
        ));
        let input = json!({ "hostedZoneId": self.stack.zone.id(), "execution": name });
        let execution = format!("{name}-rollback");
        let execution = self.stack.start_rollback(&execution, &input).await?;
        let ended = self.follow(&execution, Circumstance::Undisturbed).await?;
        self.expect(ended.outcome == "SUCCEEDED", || {
            format!("the rollback ended {}, expected SUCCEEDED", ended.outcome)
        });
        Ok(ended)
    }

    /// Updates the annotations and starts a release like an operator, and follows it to its end.
    async fn release(&mut self, migration: &Execution) -> Result<ExecutionResult> {
        let name = migration.name();
        self.report(
            "An operator updates the annotations in both clusters to the new weights".to_owned(),
        );
        self.external_dns.annotate_reached_weights();
        self.report(format!(
            "An operator starts the release state machine for the execution {name}"
        ));
        let execution = format!("{name}-release");
        let input = json!({ "execution": name });
        let execution = self.stack.start_release(&execution, &input).await?;
        let ended = self.follow(&execution, Circumstance::Undisturbed).await?;
        self.expect(ended.state == "Released", || {
            format!("the release ended in {:?}, expected Released", ended.state)
        });
        Ok(ended)
    }

    /// Waits for the approval's notification, and returns its command that approves.
    async fn approval_command(&self) -> Result<String> {
        loop {
            for notification in self.stack.notifications().await? {
                if notification.status() == "ApprovalRequested" {
                    let steps = notification.next_steps();
                    let command = steps.iter().find_map(|step| step.strip_prefix("Approve: "));
                    let command =
                        command.context("the notification has no command that approves")?;
                    return Ok(command.trim_matches('`').to_owned());
                }
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// The rollback that restored the weights. An alarm's event starts one, and the status event of
    /// the execution that it stops starts another.
    async fn rollback_by_event(&self) -> Result<Execution> {
        loop {
            let mut rollbacks = self.stack.rollbacks().await?;
            // The list is newest first, and the first rollback restores.
            if let Some(first) = rollbacks.pop() {
                return Ok(first);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    fn expect_ending(&mut self, migration: &ExecutionResult, ending: Ending) {
        match ending {
            Ending::InState(state, error) => {
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
            // The emulator runs the current state of a stopped execution to its end, where it may fail.
            Ending::StoppedAndRolledBack => self.expect(migration.outcome != "SUCCEEDED", || {
                "the migration succeeded, expected it to be stopped".to_owned()
            }),
        }
    }

    /// Records what happened and passes it to `on_update`.
    fn report(&mut self, what: String) {
        self.happenings.push(what.clone());
        (self.on_update)(&Seen::Happening(what));
    }

    /// Reports what ExternalDNS has done since the last call.
    fn report_external_dns(&mut self) {
        let histories = self.external_dns.histories();
        let reported = mem::replace(
            &mut self.reported_passes,
            histories.each_ref().map(|(_, history)| history.len()),
        );
        for ((owner, history), reported) in histories.into_iter().zip(reported) {
            for outcome in history.iter().skip(reported) {
                self.report(describe_pass(owner, outcome));
            }
        }
    }

    /// Records `problem` unless `holds`.
    fn expect(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if !holds {
            self.unexpected.push(problem());
        }
    }

    /// Expects that green's highest share was this.
    fn expect_highest(&mut self, expected: Percent) {
        let highest = self
            .timeline
            .iter()
            .map(|moment| moment.percent)
            .max()
            .unwrap_or_default();
        self.expect(highest == expected, || {
            format!("green's highest share was {highest} percent, expected {expected}")
        });
    }

    async fn expect_zone(&mut self, before: &str) -> Result<()> {
        let after = self.stack.zone.to_cli_json().await?;
        self.expect(after == before, || {
            format!("the zone differs from before: {after}")
        });
        Ok(())
    }

    /// Expects that every name is on green and leased, and that nothing else in the zone has changed.
    async fn expect_completed(&mut self, migration: &Execution, before: &str) -> Result<()> {
        let percents: Vec<_> = self.timeline.iter().map(|moment| moment.percent).collect();
        self.expect(percents.is_sorted(), || {
            format!("green's share fell: {percents:?}")
        });
        for step in STEPS {
            let step = percent(step)?;
            self.expect(percents.contains(&step), || {
                format!("the timeline has no entry with {step} percent")
            });
        }
        self.expect_reached().await?;
        let after = self.stack.zone.to_cli_json().await?;
        let lease = lease_of(&after, migration.name())?;
        let (leased, owned) = (
            after.matches(&lease).count(),
            before.matches(OWNER_KEY).count(),
        );
        self.expect(leased == owned, || {
            format!("{leased} of {owned} registry TXT records are leased")
        });
        self.expect_journals(NAMES.len()).await?;
        self.expect(
            without_weights(with_owners_restored(&after, &lease)?)
                == without_weights(parse_zone(before)?),
            || format!("more than weights and owners differ from the zone before: {after}"),
        );
        Ok(())
    }

    /// Expects that every name is on green, and that nothing but weights has changed in the zone.
    async fn expect_released(&mut self, before: &str) -> Result<()> {
        self.expect_reached().await?;
        let after = self.stack.zone.to_cli_json().await?;
        let is_same = without_weights(parse_zone(&after)?) == without_weights(parse_zone(before)?);
        self.expect(is_same, || {
            format!("more than weights differ from the zone before: {after}")
        });
        Ok(())
    }

    async fn expect_reached(&mut self) -> Result<()> {
        let weights = self.stack.zone.weights(&self.target.names).await?;
        for name in self.target.names.clone() {
            for (side, weight) in [(self.target.from.clone(), 0), (self.target.to.clone(), 100)] {
                let found = weights.weight(&name, &side);
                self.expect(found == Some(weight), || {
                    format!("{side} has weight {found:?} at {name}, expected {weight}")
                });
            }
        }
        Ok(())
    }

    /// Expects that both instances of ExternalDNS changed records in that many passes, without an
    /// error, and that two further passes change nothing.
    async fn expect_passes_with_changes(&mut self, expected: usize) {
        self.external_dns.wait_for_passes(2).await;
        self.report_external_dns();
        for (owner, history) in self.external_dns.histories() {
            let has_succeeded = |pass: &Outcome| pass.unread.is_none() && pass.refused.is_empty();
            let is_expected = history.len() == expected && history.iter().all(has_succeeded);
            self.expect(is_expected, || {
                let passes = history.iter().map(|pass| describe_pass(owner, pass));
                let passes: Vec<_> = passes.collect();
                format!("expected changes in {expected} passes of ExternalDNS, found {passes:?}")
            });
        }
    }

    /// Expects that the migration's cause names ExternalDNS as the writer that put the weights back,
    /// and that the migration kept these weights.
    async fn expect_put_back(&mut self, migration: &ExecutionResult, before: &str) -> Result<()> {
        self.external_dns.wait_for_passes(2).await;
        self.report_external_dns();
        let cause = migration.cause.clone().unwrap_or_default();
        for part in ["Drift", "ExternalDNS", BLUE] {
            self.expect(cause.contains(part), || {
                format!("the migration's cause is {cause:?}, expected it to contain {part}")
            });
        }
        self.expect_journals(NAMES.len()).await?;
        let after = self.stack.zone.to_cli_json().await?;
        self.expect(without_journals(&after)? == parse_zone(before)?, || {
            format!("the zone differs from what the annotations say: {after}")
        });
        Ok(())
    }

    async fn expect_journals(&mut self, expected: usize) -> Result<()> {
        let journals = self.stack.zone.journals().await?.len();
        self.expect(journals == expected, || {
            format!("the zone has {journals} journals, expected {expected}")
        });
        Ok(())
    }

    /// Expects that the migration's cause names the edited name, and that the migration kept all
    /// weights and journals.
    async fn expect_held(&mut self, migration: &ExecutionResult) -> Result<()> {
        let cause = migration.cause.clone().unwrap_or_default();
        let (edited, weight) = EDITED;
        self.expect(cause.starts_with("Drift") && cause.contains(edited), || {
            format!(
                "the migration's cause is {cause:?}, expected it to begin with Drift and to contain {edited}"
            )
        });
        let weights = self.stack.zone.weights(&self.target.names).await?;
        for name in self.target.names.clone() {
            let expected = if name.as_str() == edited {
                weight
            } else {
                EVENTFUL_STEP
            };
            let found = weights.weight(&name, &self.target.to);
            self.expect(found == Some(expected), || {
                format!("green has weight {found:?} at {name}, expected {expected}")
            });
        }
        self.expect_journals(NAMES.len()).await
    }
}

/// What a pass of ExternalDNS did, as a sentence.
fn describe_pass(owner: &str, outcome: &Outcome) -> String {
    let cluster = owner.rsplit('-').next().unwrap_or(owner);
    if let Some(error) = &outcome.unread {
        return format!("ExternalDNS of {cluster} failed to read the zone: {error}");
    }
    if let Some(refusal) = outcome.refused.first() {
        return format!(
            "ExternalDNS of {cluster} failed to change {} record sets: {}",
            refusal.changes.len(),
            refusal.error
        );
    }
    // Without its registry TXT records.
    let has_traffic = |change: &&Change| change.record_set.record_type.moves();
    let records = outcome.changed.iter().filter(has_traffic).count();
    format!("ExternalDNS of {cluster} puts {records} records back")
}

fn watch_target() -> Result<WatchTarget> {
    Ok(WatchTarget {
        names: NAMES.into_iter().map(parse).collect::<Result<_>>()?,
        from: parse::<SetIdentifier>(BLUE)?,
        to: parse::<SetIdentifier>(GREEN)?,
    })
}

fn parse<T: std::str::FromStr<Err = String>>(text: &str) -> Result<T> {
    text.parse().map_err(anyhow::Error::msg)
}

fn percent(whole: u8) -> Result<Percent> {
    Percent::whole(whole).with_context(|| format!("{whole} is not a percent"))
}

/// The record sets of a zone in the AWS CLI's JSON.
fn parse_zone(zone: &str) -> Result<Vec<Value>> {
    let mut zone: Value = serde_json::from_str(zone)?;
    let record_sets = zone.get_mut("ResourceRecordSets").map(Value::take);
    let record_sets = record_sets.context("the JSON has no ResourceRecordSets")?;
    Ok(serde_json::from_value(record_sets)?)
}

/// The record sets of a zone without the journals.
fn without_journals(zone: &str) -> Result<Vec<Value>> {
    let mut record_sets = parse_zone(zone)?;
    record_sets.retain(|record_set| {
        let name = record_set.get("Name").and_then(Value::as_str);
        !name.is_some_and(|name| name.starts_with("_cutover."))
    });
    Ok(record_sets)
}

/// The label of the owner in a registry TXT that this execution leases: its id and its name.
fn lease_of(zone: &str, execution: &str) -> Result<String> {
    let start = format!("{OWNER_KEY}cutover/");
    let (_, rest) = zone
        .split_once(&start)
        .context("no registry TXT record is leased")?;
    let (identity, _) = rest.split_once(',').context("a lease has no end")?;
    ensure!(
        identity.ends_with(&format!("/{execution}")),
        "a registry TXT record is leased by {identity}, expected {execution}"
    );
    Ok(format!("{start}{identity}"))
}

/// The record sets of a zone without the journals, with the original owners in place of the lease.
/// In the blueprint, the owner id of a side's ExternalDNS is the side's set identifier.
fn with_owners_restored(zone: &str, lease: &str) -> Result<Vec<Value>> {
    let record_sets = without_journals(zone)?.into_iter();
    record_sets
        .map(|record_set| {
            let side = record_set.get("SetIdentifier").and_then(Value::as_str);
            let owner = format!("{OWNER_KEY}{}", side.unwrap_or_default());
            Ok(serde_json::from_str(
                &record_set.to_string().replace(lease, &owner),
            )?)
        })
        .collect()
}

fn without_weights(mut record_sets: Vec<Value>) -> Vec<Value> {
    for record_set in record_sets.iter_mut().filter_map(Value::as_object_mut) {
        record_set.remove("Weight");
    }
    record_sets
}
