//! JSONata in a definition: expressions, and JSON values that contain expressions.

use std::collections::BTreeSet;

use jsonata_core::ast::AstNode;
use jsonata_core::evaluator::Evaluator;
use jsonata_core::value::JValue;
use jsonata_core::{evaluator::Context, parser};
use serde_json::Value;

use crate::definition::DefinitionError;
use crate::environment::Environment;
use crate::failure::{Failure, QUERY_EVALUATION_ERROR};
use crate::functions;

/// An expression, without its `{%` and `%}`.
pub struct Expression {
    source: String,
    syntax: AstNode,
    /// The variables that it reads and the functions that it calls. Others are not bound for its
    /// evaluation.
    variables: BTreeSet<String>,
}

/// A JSON value of a definition, in which strings may be expressions.
pub enum Template {
    Constant(JValue),
    Expression(Box<Expression>),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Expression {
    /// Parses an expression, and refuses what Step Functions refuses: `$` and `$$`, `$eval`, and a name
    /// without `$` outside of a path or a predicate.
    ///
    /// Source: Step Functions Developer Guide, "Transforming data with JSONata in Step Functions".
    ///
    /// # Errors
    /// If the text is not JSONata, or is refused.
    pub fn parse(source: &str) -> Result<Self, DefinitionError> {
        let invalid = |problem: String| DefinitionError::Expression {
            source_text: source.to_owned(),
            problem,
        };
        let syntax = parser::parse(source).map_err(|error| invalid(error.to_string()))?;
        let tree = serde_json::to_value(&syntax).map_err(|error| invalid(error.to_string()))?;
        let mut variables = BTreeSet::new();
        walk(&tree, false, &mut variables).map_err(invalid)?;
        Ok(Self {
            source: source.to_owned(),
            syntax,
            variables,
        })
    }

    pub fn source(&self) -> &str {
        &self.source
    }

    /// # Errors
    /// `States.QueryEvaluationError` if the evaluation fails, or if the result is undefined or a
    /// function.
    pub(crate) fn evaluate(&self, environment: &Environment<'_>) -> Result<JValue, Failure> {
        let result = self.result(environment);
        environment.record(self, result.as_ref().ok());
        result
    }

    fn result(&self, environment: &Environment<'_>) -> Result<JValue, Failure> {
        let failure = |problem: &str| {
            Failure::new(
                QUERY_EVALUATION_ERROR,
                format!("the expression '{}': {problem}", self.source),
            )
        };
        let mut context = Context::new();
        for name in &self.variables {
            if let Some(value) = environment.variable(name, self.reads_context()) {
                context.bind(name.clone(), value);
            }
        }
        let mut evaluator = Evaluator::with_context(context);
        let names = self.variables.iter().map(String::as_str);
        functions::register(&mut evaluator, names, environment)
            .and_then(|()| evaluator.evaluate(&self.syntax, &JValue::Undefined))
            .map_err(|error| failure(error.message()))
            .and_then(|result| {
                if result.is_undefined() {
                    Err(failure("the result is undefined"))
                } else if result.is_function() || result.is_regex() {
                    Err(failure("the result is a function"))
                } else {
                    Ok(result)
                }
            })
    }

    /// Whether it may read the context object.
    pub(crate) fn reads_context(&self) -> bool {
        self.source.contains("context")
    }

    /// The variables that it reads and the functions that it calls.
    pub(crate) fn variables(&self) -> &BTreeSet<String> {
        &self.variables
    }
}

const NO_EVAL: &str = "it uses $eval, which Step Functions does not have";

/// Collects the variables in a serialized syntax tree. `has_context` says whether names without `$`
/// have a value to be looked up in: within a path, after its first step, and in a predicate.
fn walk(node: &Value, has_context: bool, variables: &mut BTreeSet<String>) -> Result<(), String> {
    match node {
        Value::Array(nodes) => nodes
            .iter()
            .try_for_each(|node| walk(node, has_context, variables)),
        Value::Object(fields) => fields.iter().try_for_each(|(kind, content)| {
            match (kind.as_str(), content) {
                ("Variable", Value::String(name)) if name.is_empty() => {
                    Err("it uses $, which Step Functions refuses".to_owned())
                }
                ("Variable", Value::String(name)) if name == "eval" => Err(NO_EVAL.to_owned()),
                ("Variable", Value::String(name)) => {
                    variables.insert(name.clone());
                    Ok(())
                }
                ("ParentVariable", _) => Err("it uses $$, which Step Functions refuses".to_owned()),
                ("Name", Value::String(name)) if !has_context => {
                    Err(format!("the name {name} has no $"))
                }
                ("Function", function) if function["name"] == "eval" => Err(NO_EVAL.to_owned()),
                ("Function", function) => {
                    // Of a variable that is bound to a function, its name.
                    if let Some(name) = function["name"].as_str() {
                        variables.insert(name.to_owned());
                    }
                    walk(&function["args"], has_context, variables)
                }
                ("Path", path) => walk_path(path, has_context, variables),
                ("stages" | "pattern" | "terms", content) => walk(content, true, variables),
                (_, content) => walk(content, has_context, variables),
            }
        }),
        _ => Ok(()),
    }
}

fn walk_path(
    path: &Value,
    has_context: bool,
    variables: &mut BTreeSet<String>,
) -> Result<(), String> {
    let steps = path["steps"].as_array().into_iter().flatten();
    for (index, step) in steps.enumerate() {
        walk(&step["node"], has_context || index > 0, variables)?;
        walk(&step["stages"], true, variables)?;
    }
    Ok(())
}

impl Template {
    /// # Errors
    /// If an expression in it is refused.
    pub fn parse(value: &Value) -> Result<Self, DefinitionError> {
        Ok(match value {
            Value::String(text) => match text
                .strip_prefix("{%")
                .and_then(|text| text.strip_suffix("%}"))
            {
                Some(source) => Self::Expression(Box::new(Expression::parse(source.trim())?)),
                None if text.starts_with("{%") || text.ends_with("%}") => {
                    return Err(DefinitionError::Expression {
                        source_text: text.clone(),
                        problem: "it has only one of {% and %}".to_owned(),
                    });
                }
                None => Self::Constant(JValue::from(text.as_str())),
            },
            Value::Array(items) => {
                let items = items
                    .iter()
                    .map(Self::parse)
                    .collect::<Result<Vec<_>, _>>()?;
                if items.iter().any(Self::is_variable) {
                    Self::Array(items)
                } else {
                    Self::Constant(JValue::from(value.clone()))
                }
            }
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), Self::parse(value)?)))
                    .collect::<Result<Vec<_>, DefinitionError>>()?;
                if fields.iter().any(|(_, value)| value.is_variable()) {
                    Self::Object(fields)
                } else {
                    Self::Constant(JValue::from(value.clone()))
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                Self::Constant(JValue::from(value.clone()))
            }
        })
    }

    fn is_variable(&self) -> bool {
        !matches!(self, Self::Constant(_))
    }

    /// # Errors
    /// `States.QueryEvaluationError`, see [`Expression`].
    pub(crate) fn evaluate(&self, environment: &Environment<'_>) -> Result<JValue, Failure> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Expression(expression) => expression.evaluate(environment)?,
            Self::Array(items) => {
                let items: Result<Vec<_>, _> = items
                    .iter()
                    .map(|item| item.evaluate(environment))
                    .collect();
                JValue::array(items?)
            }
            Self::Object(fields) => {
                let fields: Result<_, Failure> = fields
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), value.evaluate(environment)?)))
                    .collect();
                JValue::object(fields?)
            }
        })
    }

    /// The names of the fields of an object.
    pub(crate) fn field_names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Object(fields) => Box::new(fields.iter().map(|(name, _)| name.as_str())),
            Self::Constant(value) => {
                let fields = value.as_object().into_iter().flatten();
                Box::new(fields.map(|(name, _)| name.as_str()))
            }
            Self::Expression(_) | Self::Array(_) => Box::new(std::iter::empty()),
        }
    }

    /// Evaluates the fields of an `Assign`, each with the values of before.
    pub(crate) fn evaluate_fields(
        &self,
        environment: &Environment<'_>,
    ) -> Result<Vec<(String, JValue)>, Failure> {
        match self {
            Self::Object(fields) => fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), value.evaluate(environment)?)))
                .collect(),
            Self::Constant(value) => Ok(value
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()),
            Self::Expression(_) | Self::Array(_) => Ok(Vec::new()),
        }
    }
}
