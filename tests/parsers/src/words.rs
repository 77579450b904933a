//! Properties of the short values in inputs, journals and names.

use std::fmt::Debug;

use migration::dns::{HostedZoneId, Percent, SetIdentifier, SetIdentifierTemplate};
use migration::dns::{WeightTotal, Weights};
use migration::external_dns::{Affix, TxtNaming};
use migration::input::BoundedInteger;
use migration::input::Steps;
use migration::input::{Label, Path, StatusRange, TtlFactor};
use migration::json::{from_json, to_json};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{assert_invalid, assert_short, json, text};

/// Input: a percent, steps, weights, an identifier, a range of statuses, a path, a label, or an affix.
/// Each type refuses it with a short message, or the parsed value is unchanged after it is written and
/// parsed again. Input that is JSON is also parsed as JSON.
pub fn short_words(bytes: &[u8]) {
    let text = text(bytes);
    written::<Percent>(&text, ToString::to_string);
    written::<Weights>(&text, ToString::to_string);
    written::<SetIdentifier>(&text, ToString::to_string);
    written::<SetIdentifierTemplate>(&text, ToString::to_string);
    written::<HostedZoneId>(&text, ToString::to_string);
    written::<StatusRange>(&text, ToString::to_string);
    written::<Path>(&text, |path| path.as_str().to_owned());
    written::<Label>(&text, |label| label.as_str().to_owned());
    written::<Affix>(&text, |affix| affix.as_str().to_owned());
    written::<TxtNaming>(&text, |form| form.as_str().to_owned());
    for value in [Some(json!(text)), json(bytes)].into_iter().flatten() {
        value_as_written::<Percent>(&value);
        value_as_written::<SetIdentifier>(&value);
        value_as_written::<SetIdentifierTemplate>(&value);
        value_as_written::<HostedZoneId>(&value);
        value_as_written::<StatusRange>(&value);
        value_as_written::<TtlFactor>(&value);
        value_as_written::<WeightTotal>(&value);
        value_as_written::<BoundedInteger<1, 3_600>>(&value);
        check_steps(&value);
    }
}

/// Checks that a value parsed from `text` is unchanged after it is written and parsed again.
fn written<T>(text: &str, write: impl Fn(&T) -> String)
where
    T: std::str::FromStr<Err = String> + Debug + PartialEq,
{
    match text.parse::<T>() {
        Err(problem) => assert_short(&problem),
        Ok(parsed) => {
            let written = write(&parsed);
            assert_eq!(written.parse().as_ref(), Ok(&parsed));
        }
    }
}

/// The same check for JSON, which is written as text between two states.
fn value_as_written<T: DeserializeOwned + Serialize + Debug + PartialEq>(value: &Value) {
    match from_json::<T>(value) {
        Err(error) => assert_invalid(&error),
        Ok(parsed) => {
            let written = to_json(&parsed).unwrap().to_string();
            let read: Value = serde_json::from_str(&written).unwrap();
            assert_eq!(from_json::<T>(&read).as_ref(), Ok(&parsed));
        }
    }
}

/// Checks that steps are ascending, above 0 percent, and end at 100 percent.
fn check_steps(value: &Value) {
    match from_json::<Steps>(value) {
        Err(error) => assert_invalid(&error),
        Ok(steps) => {
            let steps = steps.with_default_bake(300);
            assert_eq!(steps.last().unwrap().percent, Percent::ALL);
            assert!(steps.iter().all(|step| step.percent > Percent::ZERO));
            assert!(steps.is_sorted_by(|one, other| one.percent < other.percent));
        }
    }
}
