//! Migrations to be played, each with what happens meanwhile and how it should end.

use anyhow::{Context, Result};
use migration::{Percent, SetIdentifier};
use serde_json::{Value, json};

use crate::execution::{Ended, Execution};
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

const ALARM: &str = "eks-blueprint-green-5xx";
/// The name whose weight somebody edits, and the weight that green gets there.
const EDITED: (&str, u8) = ("skiapp.eks-blueprint.example.com", 20);
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
    last_state: &'static str,
    error: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Circumstance {
    AllIsWell,
    GreenAnswersWith500,
    AlarmFires,
    SomeoneEditsAWeight,
}

/// All scenarios; the first is the one to show when none is asked for.
pub const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "canary",
        about: "10, 50, 100 percent, and nothing goes wrong",
        lesson: "all traffic is on green, only weights were changed, and no journal is left",
        circumstance: Circumstance::AllIsWell,
        last_state: "Completed",
        error: None,
    },
    Scenario {
        name: "bad-green",
        about: "green answers 500",
        lesson: "green was never given any weight, and the zone is as it was",
        circumstance: Circumstance::GreenAnswersWith500,
        last_state: "Not started",
        error: Some("NotReady"),
    },
    Scenario {
        name: "alarm",
        about: "an alarm fires at 50 percent",
        lesson: "the original weights are back, and the zone is byte for byte as it was",
        circumstance: Circumstance::AlarmFires,
        last_state: "Rolled back",
        error: Some("HealthCheckFailed"),
    },
    Scenario {
        name: "drift",
        about: "somebody edits a weight at 50 percent; later an operator rolls back",
        lesson: "the edit was kept while the migration held, and the rollback that was asked for \
                 restored the zone byte for byte",
        circumstance: Circumstance::SomeoneEditsAWeight,
        last_state: "Held",
        error: Some("Held"),
    },
];

/// What came of a scenario.
#[derive(Debug)]
pub struct Report {
    /// The states and weights, in order.
    pub timeline: Vec<Moment>,
    /// How the migration ended.
    pub migration: Ended,
    /// How the rollback that an operator asked for ended.
    pub rollback: Option<Ended>,
    /// What is other than it should be; empty if the scenario ended as it should.
    pub unexpected: Vec<String>,
}

/// What is watched while a scenario is played, and what was noted.
struct Play<'a> {
    stack: &'a Stack,
    watch: Watch,
    observer: &'a mut dyn FnMut(&Seen),
    timeline: Vec<Moment>,
    unexpected: Vec<String>,
}

impl Scenario {
    /// The scenario of this name.
    pub fn find(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// The execution's input, as somebody types it into the console.
    pub fn input(&self, hosted_zone_id: &str) -> Value {
        let steps = match self.circumstance {
            Circumstance::AllIsWell | Circumstance::GreenAnswersWith500 => json!(STEPS),
            // Ended by what happens, not by the bake being over first.
            Circumstance::AlarmFires | Circumstance::SomeoneEditsAWeight => {
                json!([10, { "percent": EVENTFUL_STEP, "bakeSeconds": 900 }, 100])
            }
        };
        json!({
            "hostedZoneId": hosted_zone_id,
            "from": BLUE,
            "to": GREEN,
            "names": NAMES,
            "steps": steps,
            "bakeSeconds": 60,
            "checkSeconds": 30,
            "readyTimeoutSeconds": 120,
            "probe": { "expectedBody": format!("CLUSTER_NAME: {GREEN}") },
            "alarms": { "names": [ALARM] },
        })
    }

    /// Plays the scenario on a stack with the blueprint's zone, telling `observer` what is seen.
    pub async fn play(&self, stack: &Stack, observer: &mut dyn FnMut(&Seen)) -> Result<Report> {
        let mut play = Play {
            stack,
            watch: watch()?,
            observer,
            timeline: Vec::new(),
            unexpected: Vec::new(),
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
        play.expect(migration.state == self.last_state, || {
            format!(
                "the migration ended in {:?}, expected {:?}",
                migration.state, self.last_state
            )
        });
        play.expect(migration.error.as_deref() == self.error, || {
            format!(
                "the migration's error is {:?}, expected {:?}",
                migration.error, self.error
            )
        });

        let mut rollback = None;
        match self.circumstance {
            Circumstance::AllIsWell => play.expect_completed(&before).await?,
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
                play.happens(format!(
                    "An operator starts the rollback state machine for the execution {}",
                    execution.name()
                ));
                let input =
                    json!({ "hostedZoneId": stack.zone.id(), "execution": execution.name() });
                let name = format!("{}-rollback", self.name);
                let execution = stack.start_rollback(&name, &input).await?;
                let ended = play.follow(&execution, Circumstance::AllIsWell).await?;
                play.expect(ended.outcome == "SUCCEEDED", || {
                    format!("the rollback ended {}, expected SUCCEEDED", ended.outcome)
                });
                play.expect_zone(&before).await?;
                rollback = Some(ended);
            }
        }
        let Play {
            timeline,
            unexpected,
            ..
        } = play;
        Ok(Report {
            timeline,
            migration,
            rollback,
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
        while let Some(seen) = follower.next().await? {
            (self.observer)(&seen);
            match seen {
                Seen::Moment(moment) => {
                    let weights = &moment.weights;
                    self.expect(weights.is_uniform() && !weights.has_all_zero(), || {
                        format!("a name showed mixed weights, or none at all: {weights:?}")
                    });
                    is_at_eventful = weights.is_at(eventful, &watch.from, &watch.to);
                    self.timeline.push(moment);
                }
                // Between two health checks: the step is done, and the next one not begun.
                Seen::Verdict { .. } if is_at_eventful && is_to_come => {
                    is_to_come = false;
                    self.befall(circumstance).await?;
                }
                Seen::Ended(ended) => return Ok(ended),
                Seen::Verdict { .. } | Seen::Plan(_) | Seen::Happening(_) => {}
            }
        }
        anyhow::bail!("{} ended unseen", execution.name())
    }

    async fn befall(&mut self, circumstance: Circumstance) -> Result<()> {
        match circumstance {
            Circumstance::AllIsWell | Circumstance::GreenAnswersWith500 => {}
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

    fn happens(&mut self, what: String) {
        (self.observer)(&Seen::Happening(what));
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

    /// Expects every name on green, and but for the weights the zone as it was.
    async fn expect_completed(&mut self, before: &str) -> Result<()> {
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
        let traffic = self.stack.zone.traffic(&self.watch.names).await?;
        for name in self.watch.names.clone() {
            for (side, weight) in [(self.watch.from.clone(), 0), (self.watch.to.clone(), 100)] {
                let found = traffic.weight(&name, &side);
                self.expect(found == Some(weight), || {
                    format!("{side} has weight {found:?} at {name}, expected {weight}")
                });
            }
        }
        let after = self.stack.zone.to_cli_json().await?;
        self.expect(weightless(&after)? == weightless(before)?, || {
            format!("more than weights differs from the zone before: {after}")
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
        let journals = self.stack.zone.journals().await?.len();
        self.expect(journals == NAMES.len(), || {
            format!(
                "the held migration left {journals} journals, expected {}",
                NAMES.len()
            )
        });
        Ok(())
    }
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

/// A zone without its weights.
fn weightless(zone: &str) -> Result<Value> {
    let mut zone: Value = serde_json::from_str(zone)?;
    let record_sets = zone
        .get_mut("ResourceRecordSets")
        .and_then(Value::as_array_mut);
    for record_set in record_sets
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        record_set.remove("Weight");
    }
    Ok(zone)
}
