//! What is known of a migration, read from Step Functions.

use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus};
use aws_smithy_types::DateTime;
use cutover::{ExecutionResult, Follower, Snapshot};
use serde_json::Value;

use crate::command::exit::Failure;
use crate::command::stack::{Machine, Stack};
use crate::command::watches::{self, Watch};

/// How many of the last rollbacks and releases are looked through for those of a migration.
const MOST_FOLLOWING: i32 = 20;

/// A migration's execution.
pub(crate) struct Migration {
    pub(crate) name: String,
    pub(crate) arn: String,
    /// The set identifiers, or templates for them; empty if they are not known.
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) started_at: DateTime,
    pub(crate) ended_at: Option<DateTime>,
    pub(crate) snapshot: Snapshot,
    /// What watches it now.
    pub(crate) watch: Option<Watch>,
    /// The rollbacks and releases of it, oldest first.
    pub(crate) following: Vec<Following>,
}

/// A rollback or a release of a migration.
pub(crate) struct Following {
    pub(crate) machine: Machine,
    pub(crate) name: String,
    /// `RUNNING`, `SUCCEEDED` …
    pub(crate) status: String,
    pub(crate) started_at: DateTime,
    /// What it did, in its own words.
    pub(crate) message: String,
    /// How many names it has restored, if it is a rollback that has succeeded.
    pub(crate) restored: u64,
}

impl Migration {
    /// Reads an execution with its history. `watches` are the inputs of the watches that are running.
    pub(crate) async fn read(
        stack: &Stack,
        name_or_arn: &str,
        watches: &[Value],
    ) -> Result<Self, Failure> {
        let execution = stack.execution(Machine::Migration, name_or_arn);
        let described = stack.describe(Machine::Migration, &execution).await?;
        let input: Value =
            serde_json::from_str(described.input().unwrap_or_default()).unwrap_or_default();
        let side = |key: &str| input.get(key).and_then(Value::as_str).unwrap_or_default();
        let mut migration = Self {
            name: execution.name().to_owned(),
            arn: execution.arn().to_owned(),
            from: side("from").to_owned(),
            to: side("to").to_owned(),
            started_at: *described.start_date(),
            ended_at: described.stop_date().copied(),
            snapshot: Snapshot::default(),
            watch: watches::find(watches, execution.arn()),
            following: Vec::new(),
        };
        let watch = stack.state_machine_arn(Machine::Watch);
        for update in Follower::new(execution, Some(watch)).poll().await? {
            migration.snapshot.note(&update);
        }
        if migration.snapshot.ended.is_some() {
            migration.watch = None;
            migration.following = following(stack, &migration).await?;
        }
        Ok(migration)
    }

    /// Reads only how an execution of a list ended.
    pub(crate) async fn read_end(stack: &Stack, item: &ExecutionListItem) -> Result<Self, Failure> {
        let execution = stack.execution(Machine::Migration, item.execution_arn());
        let described = stack.describe(Machine::Migration, &execution).await?;
        let state = execution.last_state().await?;
        let text = |text: Option<&str>| text.map(str::to_owned);
        let output = described
            .output()
            .and_then(|output| serde_json::from_str(output).ok());
        let ended = ExecutionResult {
            outcome: described.status().as_str().to_owned(),
            state,
            error: text(described.error()),
            cause: text(described.cause()),
            output: output.unwrap_or_default(),
            states: Vec::new(),
        };
        Ok(Self {
            name: execution.name().to_owned(),
            arn: execution.arn().to_owned(),
            from: String::new(),
            to: String::new(),
            started_at: *described.start_date(),
            ended_at: described.stop_date().copied(),
            snapshot: Snapshot {
                ended: Some(ended),
                ..Snapshot::default()
            },
            watch: None,
            following: Vec::new(),
        })
    }
}

/// The rollbacks and releases of a migration among the last ones that were started.
async fn following(stack: &Stack, migration: &Migration) -> Result<Vec<Following>, Failure> {
    let mut found = Vec::new();
    for machine in [Machine::Rollback, Machine::Release] {
        for item in stack.executions(machine, None, MOST_FOLLOWING).await? {
            if *item.start_date() < migration.started_at {
                continue;
            }
            let execution = stack.execution(machine, item.execution_arn());
            let described = stack.describe(machine, &execution).await?;
            let parse = |text: Option<&str>| -> Value {
                let parsed = text.and_then(|text| serde_json::from_str(text).ok());
                parsed.unwrap_or_default()
            };
            let (input, output) = (parse(described.input()), parse(described.output()));
            if !is_of(migration, &input, &output) {
                continue;
            }
            let message = output.get("message").and_then(Value::as_str);
            let cause = described.cause();
            found.push(Following {
                machine,
                name: execution.name().to_owned(),
                status: described.status().as_str().to_owned(),
                started_at: *described.start_date(),
                message: message.or(cause).unwrap_or_default().to_owned(),
                restored: output
                    .get("restored")
                    .and_then(Value::as_u64)
                    .unwrap_or_default(),
            });
        }
    }
    found.sort_by_key(|following| following.started_at.as_nanos());
    Ok(found)
}

/// Whether a rollback or release was requested for a migration, or says that it has changed it.
fn is_of(migration: &Migration, input: &Value, output: &Value) -> bool {
    let is_it = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str);
        text == Some(&migration.name) || text == Some(&migration.arn)
    };
    let reports = output.get("migrations").and_then(Value::as_array);
    is_it(input.get("execution"))
        || is_it(input.pointer("/detail/executionArn"))
        || is_it(input.pointer("/swept/execution"))
        || reports
            .into_iter()
            .flatten()
            .any(|report| is_it(report.get("executionArn")))
}

impl Following {
    /// One of a list, whose output is not known yet.
    pub(crate) fn running(machine: Machine, item: &ExecutionListItem) -> Self {
        Self {
            machine,
            name: item.name().to_owned(),
            status: item.status().as_str().to_owned(),
            started_at: *item.start_date(),
            message: String::new(),
            restored: 0,
        }
    }

    /// Whether nothing is left to roll back or release. Most rollbacks by status events find nothing to do, for
    /// example because the migration holds.
    pub(crate) fn has_closed(&self) -> bool {
        let has_succeeded = self.status == ExecutionStatus::Succeeded.as_str();
        has_succeeded && (self.machine == Machine::Release || self.restored > 0)
    }
}
