//! The inputs of executions: that of a migration comes from a file or standard input.

use std::io::Read as _;
use std::path::PathBuf;

use serde_json::Value;

use super::exit::{Exit, Failure};

/// The input of a migration. What it has to contain is checked by the plan.
#[derive(Debug)]
pub(crate) struct Input {
    /// As it was written.
    pub(crate) text: String,
    value: Value,
}

impl Input {
    /// Reads a file, or standard input if `path` is `-`.
    pub(crate) fn read(path: &PathBuf) -> Result<Self, Failure> {
        let mut text = String::new();
        let (name, read) = if path.as_os_str() == "-" {
            let read = std::io::stdin().read_to_string(&mut text);
            ("standard input".to_owned(), read.map(|_| ()))
        } else {
            let read = std::fs::read_to_string(path).map(|content| text = content);
            (path.display().to_string(), read)
        };
        read.map_err(|error| {
            Failure::new(Exit::Failed, format!("failed to read {name}: {error}"))
        })?;
        Self::parse(&name, text)
    }

    fn parse(name: &str, text: String) -> Result<Self, Failure> {
        let value = serde_json::from_str(&text).map_err(|error| {
            // The error has line and column.
            let message = format!("{name} is not JSON: {error}. No execution was started.");
            Failure::new(Exit::NotStarted, message)
        })?;
        Ok(Self { text, value })
    }

    /// The same input with `dryRun`.
    pub(crate) fn of_dry_run(&self) -> Result<String, Failure> {
        let mut value = self.value.clone();
        let Some(fields) = value.as_object_mut() else {
            let message = "expected a JSON object as the input of a migration, such as {\"hostedZoneId\": …}. No execution was started.";
            return Err(Failure::new(Exit::NotStarted, message));
        };
        fields.insert("dryRun".to_owned(), Value::Bool(true));
        Ok(value.to_string())
    }
}

/// The input of another state machine: the fields that were given.
pub(crate) fn of_given<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let given = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    Value::Object(given.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_json_is_refused_with_line_and_column() {
        let failure = Input::parse("input.json", "{\n  \"steps\": [10,]\n}".into()).unwrap_err();
        assert_eq!(failure.exit, Exit::NotStarted);
        assert!(
            failure.message.starts_with("input.json is not JSON: ")
                && failure.message.contains("line 2 column 16"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn plan_adds_dry_run_and_keeps_the_order_of_the_fields() {
        let input = Input::parse("-", r#"{"to":"b","dryRun":false,"from":"a"}"#.into()).unwrap();
        let expected = r#"{"to":"b","dryRun":true,"from":"a"}"#;
        assert_eq!(input.of_dry_run().unwrap(), expected);
        let list = Input::parse("-", "[]".into()).unwrap();
        assert_eq!(list.of_dry_run().unwrap_err().exit, Exit::NotStarted);
    }
}
