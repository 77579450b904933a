//! What is deployed: the functions' configurations, and what the state machines invoke.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationOutput;
use aws_sdk_lambda::primitives::Blob;
use cutover::printable;
use serde_json::Value;

use super::super::stack::{Machine, Stack};

/// The functions, by the ends of their names.
const FUNCTIONS: [&str; 4] = ["shift-weight", "rollback", "check-alarms", "probe"];
/// The state machines that invoke functions.
const INVOKING: [Machine; 4] = [
    Machine::Migration,
    Machine::Watch,
    Machine::Rollback,
    Machine::Release,
];

/// The deployed functions, and the definitions of the state machines.
pub(crate) struct Deployed<'a> {
    stack: &'a Stack,
    lambda: aws_sdk_lambda::Client,
    /// The unpublished version of each function, which the next published one is a copy of.
    latest: BTreeMap<&'static str, GetFunctionConfigurationOutput>,
}

impl<'a> Deployed<'a> {
    pub(crate) async fn find(stack: &'a Stack) -> Result<Self> {
        let lambda = aws_sdk_lambda::Client::new(stack.sdk_config());
        let mut latest = BTreeMap::new();
        for function in FUNCTIONS {
            let name = stack.resource_name(function);
            let asked = lambda.get_function_configuration().function_name(&name);
            let asked = asked.send().await;
            let configuration =
                asked.with_context(|| format!("lambda:GetFunctionConfiguration of {name}"))?;
            latest.insert(function, configuration);
        }
        Ok(Self {
            stack,
            lambda,
            latest,
        })
    }

    /// The ARN of a function's role.
    pub(crate) fn role(&self, function: &str) -> Result<&str> {
        let role = self.latest.get(function).and_then(|it| it.role());
        role.with_context(|| format!("the function {function} has no role"))
    }

    /// An environment variable of a function.
    pub(crate) fn variable(&self, function: &str, name: &str) -> Option<&str> {
        let environment = self.latest.get(function)?.environment()?;
        environment.variables()?.get(name).map(String::as_str)
    }

    /// Whether the versions that the state machines invoke have the code and the settings of the functions as they
    /// are now. A parameter that was changed without a new version would have no effect.
    pub(crate) async fn check_versions(&self) -> Result<String> {
        let mut invoked = BTreeSet::new();
        for machine in INVOKING {
            let definition = self.definition(machine.suffix()).await?;
            for function in FUNCTIONS {
                let function_name = self.stack.resource_name(function);
                let versions = versions(&definition, &function_name).into_iter();
                invoked.extend(versions.map(|version| (function, version)));
            }
        }
        for function in FUNCTIONS {
            ensure!(
                invoked.iter().any(|(invoked, _)| *invoked == function),
                "no state machine invokes a version of {}",
                self.stack.resource_name(function)
            );
        }
        let mut seen = Vec::new();
        for (function, version) in invoked {
            let name = self.stack.resource_name(function);
            let asked = self.lambda.get_function_configuration();
            let asked = asked.function_name(&name).qualifier(&version).send().await;
            let published = asked
                .with_context(|| format!("lambda:GetFunctionConfiguration of {name}:{version}"))?;
            let latest = self.latest.get(function).context("not a function")?;
            let differences = differences(latest, &published);
            if !differences.is_empty() {
                bail!(
                    "the state machines invoke version {version} of {name}, whose {} are not those of the function; \
                     deploy the stack again",
                    differences.join(" and ")
                );
            }
            seen.push(format!("{function}:{version}"));
        }
        Ok(seen.join(", "))
    }

    /// The topic of the notifications, from the definition of the state machine that publishes them.
    pub(crate) async fn topic(&self) -> Result<String> {
        let definition = self.definition("notification").await?;
        let definition: Value = serde_json::from_str(&definition)?;
        let topic = find(&definition, "TopicArn").and_then(Value::as_str);
        let topic =
            topic.context("the definition of the state machine notification has no topic")?;
        Ok(topic.to_owned())
    }

    async fn definition(&self, suffix: &str) -> Result<String> {
        let arn = self.stack.arn_of_state_machine(suffix);
        let asked = self.stack.step_functions().describe_state_machine();
        let described = asked.state_machine_arn(&arn).send().await;
        let described =
            described.with_context(|| format!("states:DescribeStateMachine of {arn}"))?;
        Ok(described.definition)
    }

    /// The answer of a function to an event.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Result<Value> {
        let name = self.stack.resource_name(function);
        let payload = Blob::new(event.to_string());
        let invoke = self.lambda.invoke().function_name(&name).payload(payload);
        let invoked = invoke.send().await;
        let invoked = invoked.with_context(|| format!("lambda:InvokeFunction of {name}"))?;
        let answer = invoked.payload().map(Blob::as_ref).unwrap_or_default();
        if invoked.function_error().is_some() {
            let answer = String::from_utf8_lossy(answer);
            bail!("{name} answered with an error: {}", printable(&answer));
        }
        serde_json::from_slice(answer).with_context(|| format!("{name} did not answer with JSON"))
    }
}

/// The versions of a function in a definition, such as 3 in `…:function:cutover-probe:3`.
fn versions(definition: &str, function_name: &str) -> BTreeSet<String> {
    let prefix = format!(":function:{function_name}:");
    let after = definition.split(prefix.as_str()).skip(1);
    let version =
        |text: &str| -> String { text.chars().take_while(char::is_ascii_digit).collect() };
    after
        .map(version)
        .filter(|version| !version.is_empty())
        .collect()
}

/// What of a published version is not as it is in the function now.
fn differences(
    latest: &GetFunctionConfigurationOutput,
    published: &GetFunctionConfigurationOutput,
) -> Vec<&'static str> {
    let layers = |configuration: &GetFunctionConfigurationOutput| -> Vec<_> {
        let layers = configuration.layers().iter();
        layers.map(|layer| layer.arn().map(str::to_owned)).collect()
    };
    let vpc = |configuration: &GetFunctionConfigurationOutput| {
        let vpc = configuration.vpc_config();
        vpc.map(|vpc| (vpc.subnet_ids().to_vec(), vpc.security_group_ids().to_vec()))
            .unwrap_or_default()
    };
    let variables = |configuration: &GetFunctionConfigurationOutput| {
        let environment = configuration.environment();
        environment.and_then(|it| it.variables().cloned())
    };
    [
        ("code", latest.code_sha256() == published.code_sha256()),
        (
            "environment variables",
            variables(latest) == variables(published),
        ),
        ("memory", latest.memory_size() == published.memory_size()),
        ("timeout", latest.timeout() == published.timeout()),
        ("role", latest.role() == published.role()),
        ("layers", layers(latest) == layers(published)),
        ("subnets or security groups", vpc(latest) == vpc(published)),
    ]
    .into_iter()
    .filter_map(|(what, is_equal)| (!is_equal).then_some(what))
    .collect()
}

/// The first value with this key, at any depth.
fn find<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => {
            let here = fields.get(key);
            here.or_else(|| fields.values().find_map(|field| find(field, key)))
        }
        Value::Array(items) => items.iter().find_map(|item| find(item, key)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_lambda::types::EnvironmentResponse;
    use serde_json::json;

    use super::*;

    #[test]
    fn versions_are_those_of_this_function_alone() {
        let definition = r#"{"a": "arn:aws:lambda:eu-west-1:1:function:cutover-probe:3", "b":
            "arn:aws:lambda:eu-west-1:1:function:cutover-probe:12", "c": "…:function:cutover-probe-2:4",
            "d": "…:function:cutover-probe"}"#;
        let found = versions(definition, "cutover-probe");
        assert_eq!(found, BTreeSet::from(["3".to_owned(), "12".to_owned()]));
    }

    #[test]
    fn a_changed_environment_is_found() {
        let with = |level: &str| {
            let environment = EnvironmentResponse::builder().variables("LOG_LEVEL", level);
            GetFunctionConfigurationOutput::builder()
                .environment(environment.build())
                .build()
        };
        assert!(differences(&with("info"), &with("info")).is_empty());
        let found = differences(&with("info"), &with("debug"));
        assert_eq!(found, ["environment variables"]);
    }

    #[test]
    fn topic_is_found_at_any_depth() {
        let definition = json!({"States": {"Publish": {"Arguments": [{"TopicArn": "arn"}]}}});
        assert_eq!(find(&definition, "TopicArn"), Some(&json!("arn")));
    }
}
