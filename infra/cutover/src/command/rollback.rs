//! `cutover rollback`: starts the state machine rollback.

use serde_json::{Value, json};

use super::arguments::Rollback;
use super::exit::{Exit, Failure};
use super::input::of_given;
use super::output::Output;
use super::stack::{Machine, Stack};
use super::start::started;

pub(crate) async fn run(
    rollback: &Rollback,
    stack: &Stack,
    output: Output,
) -> Result<Exit, Failure> {
    let input = request(rollback).to_string();
    let execution = stack.start(Machine::Rollback, None, input).await?;
    let next = "The original weights are restored within seconds; its notification says when. \
                With --wait this command says it.";
    started(
        stack,
        Machine::Rollback,
        execution,
        next,
        &rollback.wait,
        output,
    )
    .await
}

/// The input of the state machine rollback.
fn request(rollback: &Rollback) -> Value {
    let what = &rollback.what;
    let fields = [
        ("execution", what.execution.as_ref().map(|name| json!(name))),
        ("alarm", what.alarm.as_ref().map(|name| json!(name))),
        ("hostedZoneId", rollback.zone.as_ref().map(|id| json!(id))),
        ("names", what.names.as_ref().map(|names| json!(names))),
        (
            "trustForeignJournals",
            rollback.trust_foreign_journals.then(|| json!(true)),
        ),
        ("reason", rollback.by.as_ref().map(|by| json!(by))),
    ];
    of_given(fields)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::arguments::{Arguments, Command};
    use super::*;

    #[track_caller]
    fn check(arguments: &str, expected: &Value) {
        let all = format!("cutover rollback {arguments}");
        let parsed = Arguments::try_parse_from(all.split(' ')).unwrap();
        let Command::Rollback(rollback) = parsed.command else {
            panic!("{parsed:?}");
        };
        assert_eq!(request(&rollback), *expected);
    }

    #[test]
    fn request_has_what_was_given_and_nothing_else() {
        check("--execution a", &json!({ "execution": "a" }));
        check(
            "--execution a --zone Z1 --by Ann",
            &json!({ "execution": "a", "hostedZoneId": "Z1", "reason": "Ann" }),
        );
        check("--alarm b", &json!({ "alarm": "b" }));
        check(
            "--zone Z1 --names a.example.com *.b.example.com --trust-foreign-journals",
            &json!({ "hostedZoneId": "Z1", "names": ["a.example.com", "*.b.example.com"],
                "trustForeignJournals": true }),
        );
    }
}
