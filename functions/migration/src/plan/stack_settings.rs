//! What the parameters of a stack demand of every migration, whatever its input says.

use super::migration::Migration;
use super::scratch_names::are_scratch_names;
use super::warning::Warning;
use crate::Error;
use crate::dns::{Percent, ZoneNames};
use crate::error::InvalidInput;
use crate::input::{Alarms, Input, Probe, Step, WarningCode};
use crate::text::{first_of, quoted};

/// The parameters of a stack that concern every migration but that of a self-test (see
/// [`SELF_TEST_LABEL`](super::SELF_TEST_LABEL)). By default they demand nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StackSettings {
    /// Whether every migration has to probe `to` (`RequireProbe`).
    pub require_probe: bool,
    /// Whether every migration has to watch an alarm (`RequireAlarms`).
    pub require_alarms: bool,
    /// The largest share of a first step (`MaxFirstStepPercent`).
    pub max_first_step: Percent,
    /// The shortest bake time of each step, in seconds (`MinBakeSeconds`).
    pub min_bake_seconds: u32,
    /// The event of an alarm starts a rollback only if its name begins with this (`AlarmNamePrefix`).
    pub alarm_name_prefix: String,
}

impl Default for StackSettings {
    fn default() -> Self {
        Self {
            require_probe: false,
            require_alarms: false,
            max_first_step: Percent::ALL,
            min_bake_seconds: 0,
            alarm_name_prefix: String::new(),
        }
    }
}

impl StackSettings {
    /// Refuses an input that demands less than the stack for these names.
    pub(super) fn check_input(&self, input: &Input, names: &ZoneNames) -> Result<(), Error> {
        if are_scratch_names(names) {
            return Ok(());
        }
        let steps = input.steps.with_default_bake(input.bake_seconds.get());
        self.check(&input.probe, &input.alarms, &steps, true)
    }

    /// Refuses a migration that demands less than the stack: one that was written by hand, because the plan
    /// refuses such an input.
    ///
    /// # Errors
    /// [`InvalidInput`] with the field, what was found, and the parameter of the stack.
    pub fn check_migration(&self, migration: &Migration) -> Result<(), Error> {
        if are_scratch_names(&migration.names) {
            return Ok(());
        }
        // A migration that continues another one leaves out the steps that are reached.
        let is_first = migration.start_percent == Percent::ZERO;
        self.check(
            &migration.probe,
            &migration.alarms,
            &migration.steps,
            is_first,
        )
    }

    fn check(
        &self,
        probe: &Probe,
        alarms: &Alarms,
        steps: &[Step],
        has_first_step: bool,
    ) -> Result<(), Error> {
        if self.require_probe && !probe.enabled {
            return Err(Error::from(InvalidInput::ProbeRequired));
        }
        if self.require_alarms && alarms.are_none() {
            return Err(Error::from(InvalidInput::AlarmsRequired));
        }
        if let Some(first) = steps.first().filter(|_| has_first_step)
            && first.percent > self.max_first_step
        {
            return Err(Error::from(InvalidInput::FirstStepTooLarge {
                largest: self.max_first_step,
                found: first.percent,
            }));
        }
        let is_short = |step: &&Step| step.bake_seconds < self.min_bake_seconds;
        if let Some(step) = steps.iter().find(is_short) {
            return Err(Error::from(InvalidInput::BakeTooShort {
                percent: step.percent,
                shortest: self.min_bake_seconds,
                found: step.bake_seconds,
            }));
        }
        Ok(())
    }

    /// A warning of watched alarms whose event does not start a rollback.
    pub(super) fn alarm_warning(&self, alarms: &Alarms) -> Option<Warning> {
        /// Of more alarms, the number is given.
        const MOST_NAMED: usize = 5;
        let prefix = &self.alarm_name_prefix;
        let is_outside = |watched: &&String| !watched.starts_with(prefix);
        let names = alarms.names.iter().filter(is_outside);
        let outside: Vec<_> = names
            .chain(alarms.prefixes.iter().filter(is_outside))
            .map(|watched| quoted(watched))
            .collect();
        let shown = first_of(&outside, MOST_NAMED);
        (!outside.is_empty()).then(|| {
            let message = format!(
                "the events of some watched alarms do not start a rollback, because their names need not begin with {}, \
                 the parameter AlarmNamePrefix of the stack: {shown}; only the health checks notice these alarms; \
                 watch alarms with that prefix, or change the parameter",
                quoted(prefix)
            );
            Warning::new(WarningCode::AlarmOutsidePrefix, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::input;

    fn input(more: &Value) -> Input {
        let mut fields = json!({
            "hostedZoneId": "Z1", "from": "blue", "to": "green", "steps": [10, 50, 100],
        });
        let fields_of = |value: &Value| value.as_object().cloned().unwrap();
        fields.as_object_mut().unwrap().extend(fields_of(more));
        input::parse(&fields).unwrap()
    }

    fn outcome(settings: &StackSettings, more: &Value) -> String {
        let zone = "example.com".parse().unwrap();
        let names = ZoneNames::new(zone, vec!["www.example.com".parse().unwrap()]);
        let checked = settings.check_input(&input(more), &names);
        checked.map_or_else(
            |error| format!("{}: {error}", error.name()),
            |()| "permitted".to_owned(),
        )
    }

    #[test]
    fn no_input_undercuts_the_parameters_of_the_stack() {
        let floors = StackSettings {
            require_probe: true,
            require_alarms: true,
            max_first_step: Percent::whole(10).unwrap(),
            min_bake_seconds: 300,
            ..StackSettings::default()
        };
        let watched = json!({"names": ["errors"]});
        let no_probe = "InvalidInput: probe.enabled: expected true, because the stack requires a probe (parameter \
                        RequireProbe), found false";
        let no_alarm = "InvalidInput: alarms: expected at least one alarm in `names` or `prefixes`, because the stack \
                        requires alarms (parameter RequireAlarms), found none";
        let too_large = |found| {
            format!(
                "InvalidInput: steps: expected at most 10 percent in the first step (parameter MaxFirstStepPercent of the \
                 stack), found {found}"
            )
        };
        let too_short = |percent, found| {
            format!(
                "InvalidInput: bakeSeconds: expected a bake of at least 300 seconds at {percent} percent (parameter \
                 MinBakeSeconds of the stack), found {found}"
            )
        };
        for (more, expected) in [
            (json!({"alarms": watched}), "permitted".to_owned()),
            (
                json!({"alarms": {"prefixes": ["green-"]}}),
                "permitted".to_owned(),
            ),
            (
                json!({"alarms": watched, "probe": {"enabled": false}}),
                no_probe.to_owned(),
            ),
            (
                json!({"alarms": watched, "probe": {"enabled": false}, "dryRun": true}),
                no_probe.to_owned(),
            ),
            (json!({}), no_alarm.to_owned()),
            (
                json!({"alarms": {"names": [], "missingData": "pass"}}),
                no_alarm.to_owned(),
            ),
            (
                json!({"alarms": watched, "steps": [10.01, 100]}),
                too_large("10.01"),
            ),
            (json!({"alarms": watched, "steps": [100]}), too_large("100")),
            (
                json!({"alarms": watched, "steps": "AllAtOnce"}),
                too_large("100"),
            ),
            (
                json!({"alarms": watched, "bakeSeconds": 299}),
                too_short(10, 299),
            ),
            (
                json!({"alarms": watched, "steps": [10, {"percent": 100, "bakeSeconds": 0}]}),
                too_short(100, 0),
            ),
            (
                json!({"alarms": watched, "steps": [{"percent": 5, "bakeSeconds": 300}, {"percent": 100, "bakeSeconds": 300}], "bakeSeconds": 0}),
                "permitted".to_owned(),
            ),
            (
                json!({"alarms": watched, "steps": "Canary10Percent4Minutes"}),
                too_short(10, 240),
            ),
        ] {
            assert_eq!(outcome(&floors, &more), expected, "{more}");
            assert_eq!(
                outcome(&StackSettings::default(), &more),
                "permitted",
                "{more}"
            );
        }
    }

    #[test]
    fn watched_alarms_without_the_prefix_are_warned_of() {
        let settings = |prefix: &str| StackSettings {
            alarm_name_prefix: prefix.to_owned(),
            ..StackSettings::default()
        };
        let names: Vec<_> = (0..7).map(|number| format!("alarm-{number}")).collect();
        for (alarms, named) in [
            (json!({}), None),
            (
                json!({"names": ["green-errors"], "prefixes": ["green-", "green-api"]}),
                None,
            ),
            (
                json!({"names": ["errors", "green-errors"]}),
                Some("\"errors\";"),
            ),
            // It also matches alarms outside.
            (json!({"prefixes": ["gree"]}), Some("\"gree\";")),
            (
                json!({"names": ["a"], "prefixes": ["b"]}),
                Some("\"a\", \"b\";"),
            ),
            (json!({"names": names}), Some("\"alarm-4\" and 2 more;")),
        ] {
            let alarms = input(&json!({"alarms": alarms})).alarms;
            let warning = settings("green-").alarm_warning(&alarms);
            assert_eq!(warning.is_some(), named.is_some(), "{warning:?}");
            let warning = warning.map_or_else(String::new, |it| it.message);
            assert!(warning.contains(named.unwrap_or_default()), "{warning}");
            assert_eq!(settings("").alarm_warning(&alarms), None);
        }
    }
}
