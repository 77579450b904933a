//! The JSONata functions that Step Functions adds, and those that depend on the time.
//!
//! Source: Step Functions Developer Guide, "Transforming data with JSONata in Step Functions".
//! `$hash` is not here: no definition uses it.

use jsonata_core::evaluator::{Evaluator, EvaluatorError};
use jsonata_core::value::JValue;

use crate::environment::Environment;

/// Source: Step Functions Developer Guide, "Intrinsic functions for `JSONPath` states", whose
/// `States.ArrayRange` is replaced by `$range`.
const LONGEST_RANGE: usize = 1000;

/// Registers those of the functions whose names are given.
pub(crate) fn register<'a>(
    evaluator: &mut Evaluator,
    names: impl Iterator<Item = &'a str>,
    environment: &Environment<'_>,
) -> Result<(), EvaluatorError> {
    for name in names {
        match name {
            "now" => {
                let now = environment.now_text();
                let now = move |_: &[JValue]| Ok(JValue::from(now.as_str()));
                evaluator.register_fn_override(name, now)?;
            }
            "millis" => {
                let millis = environment.now_millis();
                let millis = move |_: &[JValue]| Ok(JValue::from(millis));
                evaluator.register_fn_override(name, millis)?;
            }
            "uuid" => {
                let services = environment.services();
                let uuid = move |_: &[JValue]| Ok(JValue::from(services.uuid()));
                evaluator.register_fn(name, uuid)?;
            }
            "random" => {
                let services = environment.services();
                let random = move |_: &[JValue]| Ok(JValue::from(services.random()));
                evaluator.register_fn_override(name, random)?;
            }
            "parse" => evaluator.register_fn(name, parse)?,
            "range" => evaluator.register_fn(name, range)?,
            "partition" => evaluator.register_fn(name, partition)?,
            _ => {}
        }
    }
    Ok(())
}

/// `$parse(text)`: the value of a JSON text.
fn parse(arguments: &[JValue]) -> Result<JValue, EvaluatorError> {
    let text = arguments
        .first()
        .and_then(JValue::as_str)
        .ok_or_else(|| invalid("parse expects a text"))?;
    JValue::from_json_str(text).map_err(|error| invalid(&format!("parse: {error}")))
}

/// `$range(first, last, step)`: at most 1,000 numbers.
fn range(arguments: &[JValue]) -> Result<JValue, EvaluatorError> {
    let [first, last, step] = numbers(arguments)?;
    if step == 0 {
        return Err(invalid("range expects a step other than 0"));
    }
    let mut values = Vec::new();
    let mut value = first;
    while (step > 0 && value <= last) || (step < 0 && value >= last) {
        if values.len() == LONGEST_RANGE {
            return Err(invalid("range has more than 1000 numbers"));
        }
        values.push(JValue::from(value));
        value += step;
    }
    Ok(JValue::array(values))
}

fn numbers(arguments: &[JValue]) -> Result<[i64; 3], EvaluatorError> {
    let numbers: Option<Vec<i64>> = arguments.iter().map(rounded_down).collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| invalid("range expects three numbers"))
}

/// Step Functions rounds the numbers that these functions get down.
fn rounded_down(number: &JValue) -> Option<i64> {
    JValue::from(number.as_f64()?.floor()).as_i64()
}

/// `$partition(array, size)`: the array in parts of at most this size.
fn partition(arguments: &[JValue]) -> Result<JValue, EvaluatorError> {
    let [array, size] = arguments else {
        return Err(invalid("partition expects an array and a size"));
    };
    let size = rounded_down(size).and_then(|size| usize::try_from(size).ok());
    let (Some(array), Some(size @ 1..)) = (array.as_array(), size) else {
        return Err(invalid("partition expects an array and a size above 0"));
    };
    let parts = array.chunks(size).map(|part| JValue::array(part.to_vec()));
    Ok(JValue::array(parts.collect()))
}

fn invalid(problem: &str) -> EvaluatorError {
    EvaluatorError::EvaluationError(problem.to_owned())
}
