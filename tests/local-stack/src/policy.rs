//! IAM's decision on a request, from the policies of a role. Pure: it reads nothing and calls nothing.
//!
//! It knows what the policies of the stack and of a test use, and refuses everything else with an error: a
//! condition that it ignored would make a policy look wider or narrower than it is.
//!
//! The crate iam-rs evaluates policies, too, but compares `ArnEquals` without wildcards, takes a key with several
//! values without a set operator, and does not say which context keys were missing.
//!
//! Sources: IAM User Guide, "Policy evaluation logic", "IAM JSON policy elements: Condition operators", "Set
//! operators for multivalued context keys" and "IAM JSON policy elements: Resource".

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;
use wildmatch::WildMatch;

/// A policy of a role.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) name: String,
    statements: Vec<Statement>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Statement {
    #[serde(default, rename = "Sid")]
    _sid: Option<String>,
    effect: Effect,
    #[serde(default)]
    action: Option<Texts>,
    #[serde(default)]
    not_action: Option<Texts>,
    #[serde(default)]
    resource: Option<Texts>,
    #[serde(default)]
    not_resource: Option<Texts>,
    /// The keys and values of each operator.
    #[serde(default)]
    condition: BTreeMap<Operator, BTreeMap<String, Texts>>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
enum Effect {
    Allow,
    Deny,
}

/// One or several values, as a policy writes them.
#[derive(Debug)]
struct Texts(Vec<String>);

/// A condition operator, such as `ForAllValues:StringEqualsIfExists`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Operator {
    set: Option<Set>,
    comparison: Comparison,
    is_negated: bool,
    if_exists: bool,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Set {
    All,
    Any,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Comparison {
    Equal,
    EqualIgnoringCase,
    Like,
    Arn,
    Null,
}

/// What a request asks for.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) action: &'a str,
    /// An ARN, or `*`.
    pub(crate) resource: &'a str,
    pub(crate) context: &'a Context,
}

/// The context keys of a request with their values. The names of keys are not case-sensitive.
#[derive(Debug, Default)]
pub(crate) struct Context(BTreeMap<String, Vec<String>>);

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Decision {
    Allowed,
    ImplicitDeny,
    ExplicitDeny,
}

/// A decision, and what led to it.
#[derive(Debug)]
pub(crate) struct Evaluation<'a> {
    pub(crate) decision: Decision,
    /// The policy of each statement that decided.
    pub(crate) matched: Vec<&'a Policy>,
    /// The context keys that conditions of the action and the resource ask for, and that the request does not have.
    pub(crate) missing: BTreeSet<String>,
}

/// The decision of these policies together: an explicit deny goes before an allow, and without either it is an
/// implicit deny.
pub(crate) fn evaluate<'a>(policies: &'a [Policy], request: &Request) -> Result<Evaluation<'a>> {
    let (mut allowing, mut denying) = (Vec::new(), Vec::new());
    let mut missing = BTreeSet::new();
    for policy in policies {
        for statement in &policy.statements {
            if !statement.covers(request)? {
                continue;
            }
            let keys = statement.condition.values().flat_map(BTreeMap::keys);
            let absent = keys.filter(|key| request.context.values(key).is_empty());
            missing.extend(absent.cloned());
            let is_met = statement
                .is_met(request.context)
                .with_context(|| format!("the policy {}", policy.name))?;
            match statement.effect {
                Effect::Allow if is_met => allowing.push(policy),
                Effect::Deny if is_met => denying.push(policy),
                Effect::Allow | Effect::Deny => {}
            }
        }
    }
    let (decision, matched) = match (denying.is_empty(), allowing.is_empty()) {
        (false, _) => (Decision::ExplicitDeny, denying),
        (true, false) => (Decision::Allowed, allowing),
        (true, true) => (Decision::ImplicitDeny, Vec::new()),
    };
    Ok(Evaluation {
        decision,
        matched,
        missing,
    })
}

impl Policy {
    /// Parses a policy document.
    ///
    /// # Errors
    /// If it is not a policy of an identity, or has an operator or a policy variable that this module does not know.
    /// The actions that its statements allow, as they are written.
    pub(crate) fn allowed_actions(&self) -> impl Iterator<Item = &str> {
        let allowing = self
            .statements
            .iter()
            .filter(|it| it.effect == Effect::Allow);
        let actions = allowing.filter_map(|statement| statement.action.as_ref());
        actions.flat_map(|actions| actions.0.iter().map(String::as_str))
    }

    pub(crate) fn parse(name: &str, document: &str) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        struct Document {
            version: String,
            #[serde(default, rename = "Id")]
            _id: Option<String>,
            statement: Value,
        }
        let invalid = || format!("failed to read the policy {name}");
        ensure!(
            !document.contains("${"),
            "the policy {name} has a policy variable, which the local stack does not replace"
        );
        let document: Document = serde_json::from_str(document).with_context(invalid)?;
        ensure!(
            document.version == "2012-10-17",
            "the policy {name} has the version {}, expected 2012-10-17",
            document.version
        );
        let statements = match document.statement {
            Value::Array(statements) => statements,
            statement => vec![statement],
        };
        let statements = statements.into_iter().map(serde_json::from_value);
        let statements: Vec<Statement> =
            statements.collect::<Result<_, _>>().with_context(invalid)?;
        for statement in &statements {
            let has_action = statement.action.is_some() != statement.not_action.is_some();
            let has_resource = statement.resource.is_some() != statement.not_resource.is_some();
            ensure!(
                has_action && has_resource,
                "a statement of the policy {name} does not have one of Action and NotAction, and one of Resource \
                 and NotResource"
            );
        }
        let name = name.to_owned();
        Ok(Self { name, statements })
    }
}

impl Statement {
    /// Whether it is about the action and the resource of the request.
    fn covers(&self, request: &Request) -> Result<bool> {
        let names_action = |Texts(actions): &Texts| {
            actions.iter().any(|action| {
                WildMatch::new(&action.to_ascii_lowercase())
                    .matches(&request.action.to_ascii_lowercase())
            })
        };
        let names_resource = |Texts(resources): &Texts| {
            any(resources, |resource| {
                arn_matches(resource, request.resource)
            })
        };
        let action = self.action.as_ref().is_none_or(names_action)
            && !self.not_action.as_ref().is_some_and(names_action);
        let resource = match (&self.resource, &self.not_resource) {
            (Some(resources), _) => names_resource(resources)?,
            (None, Some(resources)) => !names_resource(resources)?,
            (None, None) => false,
        };
        Ok(action && resource)
    }

    /// Whether all its conditions are met.
    fn is_met(&self, context: &Context) -> Result<bool> {
        for (operator, keys) in &self.condition {
            for (key, Texts(expected)) in keys {
                let is_met = operator.is_met(context.values(key), expected);
                if !is_met.with_context(|| format!("the condition key {key}"))? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

impl Operator {
    /// Whether the values of a context key meet the condition. A key that the request does not have has no values.
    fn is_met(self, values: &[String], expected: &[String]) -> Result<bool> {
        if self.comparison == Comparison::Null {
            return Ok(match expected {
                [text] if text == "true" => values.is_empty(),
                [text] if text == "false" => !values.is_empty(),
                _ => bail!("Null has the values {expected:?}, expected true or false"),
            });
        }
        if values.is_empty() {
            return Ok(self.if_exists
                || match self.set {
                    Some(Set::All) => true,
                    Some(Set::Any) => false,
                    None => self.is_negated,
                });
        }
        let meets = |value: &String| {
            let is_equal = any(expected, |pattern| self.comparison.holds(pattern, value))?;
            Ok(is_equal != self.is_negated)
        };
        match self.set {
            Some(Set::All) => Ok(!any(values, |value| meets(value).map(|meets| !meets))?),
            Some(Set::Any) => any(values, meets),
            None => match values {
                [value] => meets(value),
                _ => bail!(
                    "it has {} values, and its operator compares one",
                    values.len()
                ),
            },
        }
    }
}

impl Comparison {
    fn holds(self, pattern: &str, value: &str) -> Result<bool> {
        Ok(match self {
            Self::Equal => pattern == value,
            Self::EqualIgnoringCase => pattern.eq_ignore_ascii_case(value),
            Self::Like => WildMatch::new(pattern).matches(value),
            Self::Arn => arn_matches(pattern, value)?,
            Self::Null => bail!("Null compares no values"),
        })
    }
}

impl Context {
    /// Adds a context key. An empty value is no value.
    pub(crate) fn insert(&mut self, key: &str, mut values: Vec<String>) {
        values.retain(|value| !value.is_empty());
        self.0.insert(key.to_ascii_lowercase(), values);
    }

    fn values(&self, key: &str) -> &[String] {
        self.0
            .get(&key.to_ascii_lowercase())
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

/// Compares each of the six parts of an ARN by itself, so that a `*` ends at the next colon, except in the last part.
fn arn_matches(pattern: &str, arn: &str) -> Result<bool> {
    if pattern == "*" || pattern == arn {
        return Ok(true);
    }
    let patterns: Vec<_> = pattern.splitn(6, ':').collect();
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    ensure!(
        patterns.len() == 6,
        "{pattern} is not an ARN: expected six parts between colons"
    );
    Ok(parts.len() == 6
        && patterns
            .iter()
            .zip(parts)
            .all(|(pattern, part)| WildMatch::new(pattern).matches(part)))
}

/// Whether `test` holds for one of the items.
fn any<T>(items: &[T], test: impl Fn(&T) -> Result<bool>) -> Result<bool> {
    for item in items {
        if test(item)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = match Value::deserialize(deserializer)? {
            Value::Array(values) => values,
            value => vec![value],
        };
        let text = |value| match value {
            Value::String(text) => Ok(text),
            // Terraform and CloudFormation pass a value of Bool and Null as they find it.
            Value::Bool(value) => Ok(value.to_string()),
            other => Err(de::Error::custom(format!("expected a text, found {other}"))),
        };
        values
            .into_iter()
            .map(text)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl<'de> Deserialize<'de> for Operator {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let (set, rest) = match name.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(Set::All), rest),
            Some(("ForAnyValue", rest)) => (Some(Set::Any), rest),
            _ => (None, name.as_str()),
        };
        let base = rest.strip_suffix("IfExists");
        let (comparison, is_negated) = match base.unwrap_or(rest) {
            "StringEquals" | "Bool" => (Comparison::Equal, false),
            "StringNotEquals" => (Comparison::Equal, true),
            "StringEqualsIgnoreCase" => (Comparison::EqualIgnoringCase, false),
            "StringNotEqualsIgnoreCase" => (Comparison::EqualIgnoringCase, true),
            "StringLike" => (Comparison::Like, false),
            "StringNotLike" => (Comparison::Like, true),
            "ArnEquals" | "ArnLike" => (Comparison::Arn, false),
            "ArnNotEquals" | "ArnNotLike" => (Comparison::Arn, true),
            "Null" if set.is_none() && base.is_none() => (Comparison::Null, false),
            _ => {
                return Err(de::Error::custom(format!(
                    "the local stack does not know the condition operator {name}"
                )));
            }
        };
        Ok(Self {
            set,
            comparison,
            is_negated,
            if_exists: base.is_some(),
        })
    }
}

#[cfg(test)]
mod tests;
