//! A state machine definition in the Amazon States Language, parsed.
//!
//! Only what this project's definitions use is known. Any other field, state type or query language is
//! an error, so that nothing in a definition is ignored. What Step Functions refuses when a state
//! machine is created is an error too.
//!
//! Source: Amazon States Language specification; Step Functions Developer Guide, "Passing data between
//! states with variables".

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::expression::Template;
use crate::integration::Integration;

#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    #[error("the definition is not valid: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the expression '{source_text}' is not valid: {problem}")]
    Expression {
        source_text: String,
        problem: String,
    },
    #[error("the state '{state}' is not valid: {problem}")]
    State { state: String, problem: String },
}

/// A state machine.
pub struct Machine {
    pub(crate) level: Level,
    pub(crate) timeout: Option<Duration>,
    edges: Vec<Edge>,
}

/// A way from one state to the next, or to the end.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Edge {
    pub from: String,
    /// `next`, `rule 1`, `default` or `catch 1`, counted from 1.
    pub way: String,
    /// None: the end of the execution or of the branch.
    pub to: Option<String>,
}

/// The states of a state machine, or of a branch of a Parallel state.
pub(crate) struct Level {
    pub(crate) start_at: String,
    pub(crate) states: BTreeMap<String, State>,
}

pub(crate) struct State {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) retry: Vec<Retrier>,
    pub(crate) catch: Vec<Clause>,
    /// The way to the next state; of a Choice, to its default.
    pub(crate) exit: Clause,
}

/// A way out of a state, with what it assigns and passes on.
pub(crate) struct Clause {
    /// The condition of a rule.
    pub(crate) condition: Option<Template>,
    /// The errors of a Catch.
    pub(crate) errors: Vec<String>,
    pub(crate) assign: Option<Template>,
    pub(crate) output: Option<Template>,
    /// None: the end.
    pub(crate) next: Option<String>,
    /// The index of its edge.
    pub(crate) edge: usize,
}

pub(crate) enum Kind {
    Pass,
    Succeed,
    Wait { seconds: Template },
    Choice { rules: Vec<Clause> },
    Fail { error: Template, cause: Template },
    Task(Box<Task>),
    Parallel { branches: Vec<Level> },
}

pub(crate) struct Task {
    pub(crate) integration: Integration,
    pub(crate) arguments: Template,
    pub(crate) timeout: Option<Template>,
    pub(crate) heartbeat: Option<Template>,
}

pub(crate) struct Retrier {
    pub(crate) errors: Vec<String>,
    pub(crate) interval_seconds: f64,
    pub(crate) backoff_rate: f64,
    pub(crate) max_attempts: u32,
    pub(crate) max_delay_seconds: f64,
    pub(crate) has_full_jitter: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct MachineFields {
    #[serde(rename = "Comment")]
    _comment: Option<String>,
    #[serde(rename = "QueryLanguage")]
    query_language: QueryLanguage,
    start_at: String,
    timeout_seconds: Option<u64>,
    states: Map<String, Value>,
}

#[derive(Deserialize)]
enum QueryLanguage {
    #[serde(rename = "JSONata")]
    Jsonata,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct BranchFields {
    start_at: String,
    states: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
enum StateType {
    Pass,
    Succeed,
    Wait,
    Choice,
    Fail,
    Task,
    Parallel,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct StateFields {
    #[serde(rename = "Comment")]
    _comment: Option<String>,
    r#type: StateType,
    assign: Option<Value>,
    output: Option<Value>,
    next: Option<String>,
    #[serde(default)]
    end: bool,
    seconds: Option<Value>,
    #[serde(default)]
    choices: Vec<ClauseFields>,
    default: Option<String>,
    error: Option<Value>,
    cause: Option<Value>,
    resource: Option<String>,
    arguments: Option<Value>,
    timeout_seconds: Option<Value>,
    heartbeat_seconds: Option<Value>,
    #[serde(default)]
    branches: Vec<BranchFields>,
    #[serde(default)]
    retry: Vec<RetrierFields>,
    #[serde(default)]
    catch: Vec<ClauseFields>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct ClauseFields {
    condition: Option<Value>,
    #[serde(default)]
    error_equals: Vec<String>,
    assign: Option<Value>,
    output: Option<Value>,
    next: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct RetrierFields {
    error_equals: Vec<String>,
    interval_seconds: Option<u32>,
    backoff_rate: Option<f64>,
    max_attempts: Option<u32>,
    max_delay_seconds: Option<u32>,
    jitter_strategy: Option<JitterStrategy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum JitterStrategy {
    None,
    Full,
}

impl Machine {
    /// Parses a definition, with values for its `${…}`.
    ///
    /// # Errors
    /// If the definition has a field, a state type or an expression that is not known, a target that
    /// does not exist, or a `${…}` without a value.
    pub fn parse(
        definition: &str,
        substitutions: &[(&str, &str)],
    ) -> Result<Self, DefinitionError> {
        let mut text = definition.to_owned();
        for (name, value) in substitutions {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        if let Some((_, rest)) = text.split_once("${") {
            let name = rest.split('}').next().unwrap_or_default();
            return Err(DefinitionError::State {
                state: "state machine".to_owned(),
                problem: format!("there is no value for ${{{name}}}"),
            });
        }
        let fields: MachineFields = serde_json::from_str(&text)?;
        let QueryLanguage::Jsonata = fields.query_language;
        let mut edges = Vec::new();
        let level = Level::parse(fields.start_at, fields.states, &mut edges)?;
        level.check_scopes(&mut BTreeSet::new(), &BTreeSet::new())?;
        Ok(Self {
            level,
            timeout: fields.timeout_seconds.map(Duration::from_secs),
            edges,
        })
    }

    /// All ways between its states, those of branches included.
    pub fn edges(&self) -> &[Edge] {
        &self.edges
    }
}

impl Level {
    fn parse(
        start_at: String,
        states: Map<String, Value>,
        edges: &mut Vec<Edge>,
    ) -> Result<Self, DefinitionError> {
        let states = states
            .into_iter()
            .map(|(name, state)| Ok((name.clone(), State::parse(name, state, edges)?)))
            .collect::<Result<BTreeMap<_, _>, DefinitionError>>()?;
        let level = Self { start_at, states };
        for state in level.states.values() {
            for target in state.targets() {
                level.state(target)?;
            }
        }
        level.state(&level.start_at)?;
        Ok(level)
    }

    /// Checks that no other state of the state machine has the same name, and that no branch assigns a
    /// variable of the level around it.
    fn check_scopes<'a>(
        &'a self,
        names: &mut BTreeSet<&'a str>,
        outer: &BTreeSet<&str>,
    ) -> Result<(), DefinitionError> {
        let mut assigned = outer.clone();
        for state in self.states.values() {
            let invalid = |problem: String| DefinitionError::State {
                state: state.name.clone(),
                problem,
            };
            if !names.insert(&state.name) {
                return Err(invalid("another state has this name".to_owned()));
            }
            for variable in state.assigned() {
                if outer.contains(variable) {
                    let problem =
                        format!("it assigns {variable}, a variable outside of its branch");
                    return Err(invalid(problem));
                }
                assigned.insert(variable);
            }
        }
        for state in self.states.values() {
            if let Kind::Parallel { branches } = &state.kind {
                for branch in branches {
                    branch.check_scopes(names, &assigned)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn state(&self, name: &str) -> Result<&State, DefinitionError> {
        self.states.get(name).ok_or_else(|| DefinitionError::State {
            state: name.to_owned(),
            problem: "there is no such state".to_owned(),
        })
    }
}

impl State {
    fn parse(name: String, state: Value, edges: &mut Vec<Edge>) -> Result<Self, DefinitionError> {
        let fields: StateFields =
            serde_json::from_value(state).map_err(|error| DefinitionError::State {
                state: name.clone(),
                problem: error.to_string(),
            })?;
        let invalid = |problem: String| DefinitionError::State {
            state: name.clone(),
            problem,
        };
        if !(1..=80).contains(&name.chars().count()) {
            return Err(invalid("a name has 1 to 80 characters".to_owned()));
        }
        fields.check().map_err(invalid)?;
        let missing = |field: &str| invalid(format!("it has no {field}"));
        let required = |field: &str, value: Option<Value>| {
            value
                .ok_or_else(|| missing(field))
                .and_then(|value| Template::parse(&value))
        };
        let kind = match fields.r#type {
            StateType::Pass => Kind::Pass,
            StateType::Succeed => Kind::Succeed,
            StateType::Wait => Kind::Wait {
                seconds: required("Seconds", fields.seconds)?,
            },
            StateType::Choice => Kind::Choice {
                rules: Clause::parse_all(fields.choices, &name, "rule", edges)?,
            },
            StateType::Fail => Kind::Fail {
                error: required("Error", fields.error)?,
                cause: required("Cause", fields.cause)?,
            },
            StateType::Task => {
                let resource = fields.resource.ok_or_else(|| missing("Resource"))?;
                let integration =
                    Integration::parse(&resource).ok_or_else(|| DefinitionError::State {
                        state: name.clone(),
                        problem: format!("the resource {resource} is not known"),
                    })?;
                Kind::Task(Box::new(Task {
                    integration,
                    arguments: required("Arguments", fields.arguments)?,
                    timeout: fields
                        .timeout_seconds
                        .as_ref()
                        .map(Template::parse)
                        .transpose()?,
                    heartbeat: fields
                        .heartbeat_seconds
                        .as_ref()
                        .map(Template::parse)
                        .transpose()?,
                }))
            }
            StateType::Parallel => Kind::Parallel {
                branches: fields
                    .branches
                    .into_iter()
                    .map(|branch| Level::parse(branch.start_at, branch.states, edges))
                    .collect::<Result<_, _>>()?,
            },
        };
        let is_choice = matches!(kind, Kind::Choice { .. });
        let is_end = fields.end || matches!(kind, Kind::Succeed | Kind::Fail { .. });
        let next = if is_choice {
            fields.default
        } else {
            fields.next
        };
        if next.is_some() == is_end {
            return Err(missing(if is_choice { "Default" } else { "Next or End" }));
        }
        let exit = ClauseFields {
            condition: None,
            error_equals: Vec::new(),
            assign: fields.assign,
            output: fields.output,
            next: String::new(),
        };
        let way = if is_choice { "default" } else { "next" };
        let exit = Clause::parse(exit, next, &name, way.to_owned(), edges)?;
        let catch = Clause::parse_all(fields.catch, &name, "catch", edges)?;
        let retry = fields.retry.into_iter().map(Retrier::new).collect();
        Ok(Self {
            name,
            kind,
            retry,
            catch,
            exit,
        })
    }

    /// All ways out of it.
    fn clauses(&self) -> impl Iterator<Item = &Clause> {
        let rules: &[Clause] = match &self.kind {
            Kind::Choice { rules } => rules,
            _ => &[],
        };
        rules.iter().chain(&self.catch).chain([&self.exit])
    }

    fn targets(&self) -> impl Iterator<Item = &str> {
        self.clauses().filter_map(|clause| clause.next.as_deref())
    }

    /// The names of the variables that it assigns.
    fn assigned(&self) -> impl Iterator<Item = &str> {
        let assigned = self.clauses().filter_map(|clause| clause.assign.as_ref());
        assigned.flat_map(Template::field_names)
    }
}

impl StateFields {
    /// Checks what the state types permit.
    fn check(&self) -> Result<(), String> {
        use StateType::{Choice, Fail, Parallel, Pass, Succeed, Task, Wait};
        let kind = self.r#type;
        let fields: [(&str, bool, &[StateType]); 16] = [
            (
                "Assign",
                self.assign.is_some(),
                &[Pass, Wait, Choice, Task, Parallel],
            ),
            (
                "Output",
                self.output.is_some(),
                &[Pass, Wait, Choice, Task, Parallel, Succeed],
            ),
            ("Next", self.next.is_some(), &[Pass, Wait, Task, Parallel]),
            ("End", self.end, &[Pass, Wait, Task, Parallel]),
            ("Seconds", self.seconds.is_some(), &[Wait]),
            ("Choices", !self.choices.is_empty(), &[Choice]),
            ("Default", self.default.is_some(), &[Choice]),
            ("Error", self.error.is_some(), &[Fail]),
            ("Cause", self.cause.is_some(), &[Fail]),
            ("Resource", self.resource.is_some(), &[Task]),
            ("Arguments", self.arguments.is_some(), &[Task]),
            ("TimeoutSeconds", self.timeout_seconds.is_some(), &[Task]),
            (
                "HeartbeatSeconds",
                self.heartbeat_seconds.is_some(),
                &[Task],
            ),
            ("Branches", !self.branches.is_empty(), &[Parallel]),
            ("Retry", !self.retry.is_empty(), &[Task, Parallel]),
            ("Catch", !self.catch.is_empty(), &[Task, Parallel]),
        ];
        for (field, is_given, kinds) in fields {
            if is_given && !kinds.contains(&kind) {
                return Err(format!("a {kind:?} state has no {field}"));
            }
        }
        if kind == Choice && self.choices.is_empty() {
            return Err("it has no Choices".to_owned());
        }
        if kind == Parallel && self.branches.is_empty() {
            return Err("it has no Branches".to_owned());
        }
        if let Some(Value::String(error)) = &self.error
            && error.starts_with("States.")
        {
            return Err("names that begin with States. are reserved".to_owned());
        }
        for rule in &self.choices {
            if rule.condition.is_none() || !rule.error_equals.is_empty() {
                return Err("a rule has a Condition and no ErrorEquals".to_owned());
            }
        }
        if self.catch.iter().any(|catcher| catcher.condition.is_some()) {
            return Err("a Catch has no Condition".to_owned());
        }
        check_errors(self.retry.iter().map(|retrier| &retrier.error_equals))?;
        check_errors(self.catch.iter().map(|catcher| &catcher.error_equals))?;
        self.retry.iter().try_for_each(RetrierFields::check)
    }
}

/// Checks the `ErrorEquals` of all entries of a Retry or Catch.
fn check_errors<'a>(entries: impl Iterator<Item = &'a Vec<String>>) -> Result<(), String> {
    let mut has_all = false;
    for names in entries {
        if names.is_empty() {
            return Err("ErrorEquals has no names".to_owned());
        }
        if has_all {
            return Err("States.ALL is not in the last entry".to_owned());
        }
        has_all = names.iter().any(|name| name == "States.ALL");
        if has_all && names.len() > 1 {
            return Err("States.ALL is not alone".to_owned());
        }
    }
    Ok(())
}

impl RetrierFields {
    fn check(&self) -> Result<(), String> {
        let interval = self.interval_seconds.unwrap_or(1);
        if !(1..=99_999_999).contains(&interval) {
            return Err("IntervalSeconds is from 1 to 99999999".to_owned());
        }
        if self.max_attempts.unwrap_or(0) > 99_999_999 {
            return Err("MaxAttempts is from 0 to 99999999".to_owned());
        }
        if self.backoff_rate.unwrap_or(1.0) < 1.0 {
            return Err("BackoffRate is at least 1".to_owned());
        }
        let max_delay = self.max_delay_seconds.unwrap_or(1);
        if !(1..31_622_400).contains(&max_delay) {
            return Err("MaxDelaySeconds is above 0 and below 31622400".to_owned());
        }
        Ok(())
    }
}

impl Clause {
    fn parse_all(
        clauses: Vec<ClauseFields>,
        from: &str,
        way: &str,
        edges: &mut Vec<Edge>,
    ) -> Result<Vec<Self>, DefinitionError> {
        let numbered = clauses.into_iter().zip(1..);
        numbered
            .map(|(mut clause, number)| {
                let next = Some(std::mem::take(&mut clause.next));
                Self::parse(clause, next, from, format!("{way} {number}"), edges)
            })
            .collect()
    }

    fn parse(
        fields: ClauseFields,
        next: Option<String>,
        from: &str,
        way: String,
        edges: &mut Vec<Edge>,
    ) -> Result<Self, DefinitionError> {
        let template = |value: Option<Value>| value.as_ref().map(Template::parse).transpose();
        let edge = edges.len();
        edges.push(Edge {
            from: from.to_owned(),
            way,
            to: next.clone(),
        });
        Ok(Self {
            condition: template(fields.condition)?,
            errors: fields.error_equals,
            assign: match fields.assign {
                Some(assign) => Some(parse_assign(&assign, from)?),
                None => None,
            },
            output: template(fields.output)?,
            next,
            edge,
        })
    }
}

/// Parses the variables that a state assigns.
fn parse_assign(assign: &Value, state: &str) -> Result<Template, DefinitionError> {
    let invalid = |problem: String| DefinitionError::State {
        state: state.to_owned(),
        problem,
    };
    let fields = assign
        .as_object()
        .ok_or_else(|| invalid("Assign is not an object".to_owned()))?;
    if let Some(name) = fields.keys().find(|name| !is_variable_name(name)) {
        return Err(invalid(format!("'{name}' can't be assigned")));
    }
    Template::parse(assign)
}

fn is_variable_name(name: &str) -> bool {
    let is_in_name = |character: char| character.is_alphanumeric() || character == '_';
    let starts = name.starts_with(|first: char| first.is_alphabetic() || first == '_');
    starts && name.chars().all(is_in_name) && name.chars().count() <= 80 && name != "states"
}

impl Retrier {
    /// The defaults are those of the Amazon States Language.
    fn new(fields: RetrierFields) -> Self {
        Self {
            errors: fields.error_equals,
            interval_seconds: f64::from(fields.interval_seconds.unwrap_or(1)),
            backoff_rate: fields.backoff_rate.unwrap_or(2.0),
            max_attempts: fields.max_attempts.unwrap_or(3),
            max_delay_seconds: fields.max_delay_seconds.map_or(f64::INFINITY, f64::from),
            has_full_jitter: matches!(fields.jitter_strategy, Some(JitterStrategy::Full)),
        }
    }

    /// The delay before the retry after this many earlier ones. `random` is from 0 up to 1.
    pub(crate) fn delay(&self, earlier: u32, random: f64) -> Duration {
        let exponent = i32::try_from(earlier).unwrap_or(i32::MAX);
        let delay = self.interval_seconds * self.backoff_rate.powi(exponent);
        let delay = delay.min(self.max_delay_seconds);
        let share = if self.has_full_jitter { random } else { 1.0 };
        Duration::from_secs_f64(delay * share)
    }
}
