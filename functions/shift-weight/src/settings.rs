//! The settings of the stack, from the environment variables that the template sets.

use migration::plan::StackSettings;

/// Reads the settings. `variable` returns the value of an environment variable; none if it is not set.
///
/// # Errors
/// A variable is not set, or its value is not one that the template's parameter permits.
pub fn stack_settings(variable: impl Fn(&str) -> Option<String>) -> Result<StackSettings, String> {
    let required = |name: &str| {
        let missing =
            || format!("the environment variable {name} is not set; the template sets it");
        variable(name).ok_or_else(missing)
    };
    let wrong = |name: &str, expected: &str, found: &str| {
        format!("the environment variable {name}: expected {expected}, found {found:?}")
    };
    let flag = |name: &str| match required(name)?.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        found => Err(wrong(name, "true or false", found)),
    };
    let percent = |name: &str| {
        let found = required(name)?;
        let parsed = found.parse();
        parsed.map_err(|_: String| wrong(name, "a percent from 0 to 100", &found))
    };
    let seconds = |name: &str| {
        let found = required(name)?;
        let parsed = found.parse();
        parsed.map_err(|_| wrong(name, "a number of seconds", &found))
    };
    Ok(StackSettings {
        require_probe: flag("REQUIRE_PROBE")?,
        require_alarms: flag("REQUIRE_ALARMS")?,
        max_first_step: percent("MAX_FIRST_STEP_PERCENT")?,
        min_bake_seconds: seconds("MIN_BAKE_SECONDS")?,
        alarm_name_prefix: required("ALARM_NAME_PREFIX")?,
    })
}

#[cfg(test)]
mod tests {
    use migration::dns::Percent;

    use super::*;

    const DEFAULTS: [(&str, &str); 5] = [
        ("REQUIRE_PROBE", "false"),
        ("REQUIRE_ALARMS", "false"),
        ("MAX_FIRST_STEP_PERCENT", "100"),
        ("MIN_BAKE_SECONDS", "0"),
        ("ALARM_NAME_PREFIX", ""),
    ];

    /// Reads the defaults of the template with one other value, or without one.
    fn with(name: &str, value: Option<&str>) -> Result<StackSettings, String> {
        stack_settings(|variable| {
            if variable == name {
                return value.map(str::to_owned);
            }
            let default = DEFAULTS.iter().find(|(name, _)| *name == variable);
            default.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn defaults_of_the_template_demand_nothing() {
        assert_eq!(with("", None), Ok(StackSettings::default()));
    }

    #[test]
    fn every_variable_is_read() {
        let default = StackSettings::default;
        for (name, value, settings) in [
            (
                "REQUIRE_PROBE",
                "true",
                StackSettings {
                    require_probe: true,
                    ..default()
                },
            ),
            (
                "REQUIRE_ALARMS",
                "true",
                StackSettings {
                    require_alarms: true,
                    ..default()
                },
            ),
            (
                "MAX_FIRST_STEP_PERCENT",
                "0",
                StackSettings {
                    max_first_step: Percent::ZERO,
                    ..default()
                },
            ),
            (
                "MIN_BAKE_SECONDS",
                "600",
                StackSettings {
                    min_bake_seconds: 600,
                    ..default()
                },
            ),
            (
                "ALARM_NAME_PREFIX",
                "green-",
                StackSettings {
                    alarm_name_prefix: "green-".to_owned(),
                    ..default()
                },
            ),
        ] {
            assert_eq!(with(name, Some(value)), Ok(settings), "{name}");
        }
    }

    #[test]
    fn every_error_names_its_variable() {
        for (name, _) in DEFAULTS {
            let missing =
                format!("the environment variable {name} is not set; the template sets it");
            assert_eq!(with(name, None), Err(missing));
        }
        for (name, value) in [
            ("REQUIRE_PROBE", "yes"),
            ("REQUIRE_ALARMS", ""),
            ("MAX_FIRST_STEP_PERCENT", "101"),
            ("MAX_FIRST_STEP_PERCENT", "ten"),
            ("MIN_BAKE_SECONDS", "-1"),
            ("MIN_BAKE_SECONDS", "1.5"),
        ] {
            let error = with(name, Some(value)).err().unwrap_or_default();
            assert!(
                error.starts_with(&format!("the environment variable {name}: ")),
                "{error}"
            );
            assert!(error.ends_with(&format!("found {value:?}")), "{error}");
        }
    }
}
