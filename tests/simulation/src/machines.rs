//! The state machines of the stack, from their definitions.

use std::collections::BTreeMap;
use std::rc::Rc;

use interpreter::{DefinitionError, ExecutionId, Machine};

pub const MIGRATION: &str = "arn:aws:states:eu-west-3:111122223333:stateMachine:cutover-migration";
pub const NOTIFICATION: &str =
    "arn:aws:states:eu-west-3:111122223333:stateMachine:cutover-notification";
pub const RELEASE: &str = "arn:aws:states:eu-west-3:111122223333:stateMachine:cutover-release";
pub const ROLLBACK: &str = "arn:aws:states:eu-west-3:111122223333:stateMachine:cutover-rollback";
pub const START: &str = "arn:aws:states:eu-west-3:111122223333:stateMachine:cutover-start";
pub const WATCH: &str = "arn:aws:states:eu-west-3:111122223333:stateMachine:cutover-watch";

/// The state machines with their definitions.
pub const DEFINITIONS: [(&str, &str); 6] = [
    (
        MIGRATION,
        include_str!("../../../statemachine/migration.asl.json"),
    ),
    (
        NOTIFICATION,
        include_str!("../../../statemachine/notification.asl.json"),
    ),
    (
        RELEASE,
        include_str!("../../../statemachine/release.asl.json"),
    ),
    (
        ROLLBACK,
        include_str!("../../../statemachine/rollback.asl.json"),
    ),
    (START, include_str!("../../../statemachine/start.asl.json")),
    (WATCH, include_str!("../../../statemachine/watch.asl.json")),
];

/// What the template substitutes in the definitions.
const SUBSTITUTIONS: [(&str, &str); 11] = [
    ("Partition", "aws"),
    (
        "ProbeFunctionArn",
        "arn:aws:lambda:eu-west-3:111122223333:function:cutover-probe:3",
    ),
    (
        "ShiftWeightFunctionArn",
        "arn:aws:lambda:eu-west-3:111122223333:function:cutover-shift-weight:7",
    ),
    (
        "CheckAlarmsFunctionArn",
        "arn:aws:lambda:eu-west-3:111122223333:function:cutover-check-alarms:4",
    ),
    (
        "RollbackFunctionArn",
        "arn:aws:lambda:eu-west-3:111122223333:function:cutover-rollback:12",
    ),
    ("MigrationStateMachineArn", MIGRATION),
    ("RollbackStateMachineArn", ROLLBACK),
    ("WatchStateMachineArn", WATCH),
    ("EventSource", "cutover"),
    ("NotificationsTopicArn", "notifications"),
    ("DashboardName", "cutover"),
];

/// The state machines, by ARN.
pub type Machines = BTreeMap<String, Rc<Machine>>;

thread_local! {
    static PARSED: Machines = parse(&DEFINITIONS).unwrap_or_else(|error| panic!("{error}"));
}

/// The project's state machines.
pub fn all() -> Machines {
    PARSED.with(Clone::clone)
}

/// Parses definitions, each given with the ARN of its state machine.
///
/// # Errors
/// If the interpreter does not know something in a definition.
pub fn parse(definitions: &[(&str, &str)]) -> Result<Machines, DefinitionError> {
    let parse = |(arn, definition): &(&str, &str)| {
        let machine = Machine::parse(definition, &SUBSTITUTIONS)?;
        Ok(((*arn).to_owned(), Rc::new(machine)))
    };
    definitions.iter().map(parse).collect()
}

/// A definition with what the template substitutes.
pub(crate) fn substitute(definition: &str) -> String {
    let mut text = definition.to_owned();
    for (name, value) in SUBSTITUTIONS {
        text = text.replace(&format!("${{{name}}}"), value);
    }
    text
}

/// The name of a function without that of its stack, from the ARN of a published version.
pub(crate) fn function_name(arn: &str) -> Option<&str> {
    let name = arn.split(':').nth(6)?;
    name.strip_prefix("cutover-")
}

/// The ARN of an execution of the migration state machine.
pub fn arn(execution: &str) -> String {
    ExecutionId::new(MIGRATION, execution).arn().to_owned()
}
