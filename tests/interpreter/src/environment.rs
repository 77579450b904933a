//! What an expression can read: the variables, `$states`, the time.

use std::collections::BTreeMap;
use std::rc::Rc;

use jsonata_core::value::JValue;

use crate::expression::Expression;
use crate::services::Services;
use crate::values::{millis, object};

/// The variables of an execution, or of a branch of a Parallel state: a branch reads those of the
/// execution, and what it assigns is not seen outside of it.
pub(crate) type Variables = BTreeMap<String, JValue>;

/// What the expressions of a state can read at one point of its work.
pub(crate) struct Environment<'a> {
    pub(crate) services: &'a Rc<dyn Services>,
    pub(crate) variables: &'a Variables,
    /// Makes the context object, which few expressions read.
    pub(crate) context: &'a dyn Fn() -> JValue,
    pub(crate) input: &'a JValue,
    /// `result` or `errorOutput` with its value, if there is one yet.
    pub(crate) more: Option<(&'a str, &'a JValue)>,
}

impl Environment<'_> {
    /// The value of a variable, or `$states`.
    pub(crate) fn variable(&self, name: &str, reads_context: bool) -> Option<JValue> {
        if name != "states" {
            return self.variables.get(name).cloned();
        }
        let context = reads_context.then(|| ("context", (self.context)()));
        let more = self.more.map(|(name, value)| (name, value.clone()));
        let input = Some(("input", self.input.clone()));
        Some(object([context, input, more].into_iter().flatten()))
    }

    pub(crate) fn services(&self) -> Rc<dyn Services> {
        self.services.clone()
    }

    pub(crate) fn now_text(&self) -> String {
        self.services.format(self.services.now())
    }

    /// Milliseconds since 1970.
    pub(crate) fn now_millis(&self) -> i64 {
        millis(self.services.now())
    }

    pub(crate) fn record(&self, expression: &Expression, result: Option<&JValue>) {
        if !self.services.is_recording() {
            return;
        }
        let variables = expression
            .variables()
            .iter()
            .filter_map(|name| {
                let value = self.variable(name, expression.reads_context())?;
                Some((name.clone(), value))
            })
            .collect();
        self.services
            .record(expression.source(), &JValue::object(variables), result);
    }
}
