//! Shows an execution until it ends.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant, SystemTime};

use aws_smithy_types::date_time::Format;
use cutover::{Display, ExecutionResult, Follower, Live, Moment, Row, Snapshot, Update};
use serde_json::{Value, json};

use super::exit::{Exit, Failure};
use super::outcome;
use super::output::Output;
use super::stack::{Machine, Stack};

/// The time between two looks after an update; it grows while there is none, because operators and the functions
/// share the account's limits of Step Functions.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(5);

/// How long calls may fail. The execution goes on meanwhile.
const LONGEST_OUTAGE: Duration = Duration::from_mins(5);

/// What is to be shown of an execution.
pub(crate) struct View {
    pub(crate) output: Output,
    /// Whether each update is printed on standard output, as JSON in one line.
    pub(crate) prints_updates: bool,
    pub(crate) timeout: Option<Duration>,
}

/// Shows an execution until it ends, prints how, and returns the exit code for that.
pub(crate) async fn follow(
    stack: &Stack,
    machine: Machine,
    execution: cutover::Execution,
    view: &View,
) -> Result<Exit, Failure> {
    let described = stack.describe(machine, &execution).await?;
    let input = serde_json::from_str(described.input().unwrap_or_default()).unwrap_or_default();
    let (name, arn) = (execution.name().to_owned(), execution.arn().to_owned());
    let ended = watch(stack, machine, execution, &input, view).await?;
    let Some(ended) = ended else {
        let json = json!({ "execution": name, "executionArn": arn, "outcome": "RUNNING" });
        let text = format!("{name} is still running; `{}` shows it", {
            stack.command(&format!("status {name} --watch"))
        });
        view.output.print(&text, &json);
        return Ok(Exit::StillRunning);
    };
    view.output.print(
        &outcome::sentence(&name, &ended),
        &result(&name, &arn, &ended),
    );
    Ok(outcome::exit(machine, &ended))
}

/// How an execution ended, for programs.
pub(crate) fn result(name: &str, arn: &str, ended: &ExecutionResult) -> Value {
    json!({
        "execution": name,
        "executionArn": arn,
        "outcome": ended.outcome,
        "state": ended.state,
        "error": ended.error,
        "cause": ended.cause,
        "output": ended.output,
    })
}

/// None if the execution is still running when the time is over.
async fn watch(
    stack: &Stack,
    machine: Machine,
    execution: cutover::Execution,
    input: &Value,
    view: &View,
) -> Result<Option<ExecutionResult>, Failure> {
    let display = match (std::io::stderr().is_terminal(), view.output.is_json()) {
        (true, _) => Display::Terminal,
        (false, true) => Display::LinesOnError,
        (false, false) => Display::LinesOnOutput,
    };
    let mut live = Live::new(display, 1.0);
    let name = execution.name().to_owned();
    let watches = (machine == Machine::Migration).then(|| stack.state_machine_arn(Machine::Watch));
    let mut follower = Follower::new(execution, watches);
    let mut snapshot = Snapshot::default();
    let started_at = Instant::now();
    let mut interval = SHORTEST_INTERVAL;
    let mut failing_since = None;
    let ended = loop {
        let updates = match follower.poll().await {
            Ok(updates) => {
                failing_since = None;
                updates
            }
            Err(error) => {
                let since = *failing_since.get_or_insert_with(Instant::now);
                if since.elapsed() > LONGEST_OUTAGE {
                    live.close();
                    return Err(unknown(stack, &name, &error));
                }
                live.line(&format!("not known at the moment: {error:#}"));
                Vec::new()
            }
        };
        interval = if updates.is_empty() {
            LONGEST_INTERVAL.min(interval * 3 / 2)
        } else {
            SHORTEST_INTERVAL
        };
        for update in updates {
            snapshot.note(&update);
            if view.prints_updates {
                print_update(view.output, &update);
            }
            show(&mut live, &update, &snapshot, &name, input);
        }
        if snapshot.ended.is_some() {
            break snapshot.ended;
        }
        let left = view
            .timeout
            .map(|timeout| timeout.saturating_sub(started_at.elapsed()));
        if left.is_some_and(|left| left.is_zero()) {
            break None;
        }
        tokio::time::sleep(left.map_or(interval, |left| left.min(interval))).await;
    };
    live.close();
    Ok(ended)
}

fn unknown(stack: &Stack, name: &str, error: &anyhow::Error) -> Failure {
    let message = format!(
        "{error:#}. {name} goes on; `{}` shows it",
        stack.command(&format!("status {name}"))
    );
    Failure::new(Exit::Failed, message)
}

fn print_update(output: Output, update: &Update) {
    let time = |at: &aws_smithy_types::DateTime| at.fmt(Format::DateTime).unwrap_or_default();
    let json = match update {
        Update::Plan(plan) => json!({ "plan": plan }),
        Update::Entered { state, at } => json!({ "time": time(at), "state": state }),
        Update::Changed(weights) => json!({
            "time": time(&weights.at), "percent": weights.percent, "weights": weights.pairs,
        }),
        Update::Verdict(verdict) => json!({
            "time": time(&verdict.at), "observer": verdict.observer,
            "verdict": verdict.verdict, "reason": verdict.reason,
        }),
        // The last line is the result.
        Update::Ended(_) => return,
    };
    if output.is_json() {
        output.print("", &json);
    }
}

fn show(live: &mut Live, update: &Update, snapshot: &Snapshot, name: &str, input: &Value) {
    match update {
        Update::Plan(plan) => live.plan(plan),
        Update::Entered { at, .. } => live.moment(&moment(snapshot, name, input), system_time(at)),
        Update::Changed(weights) => {
            live.moment(&moment(snapshot, name, input), system_time(&weights.at));
        }
        Update::Verdict(verdict) => {
            live.verdict(&verdict.observer, &verdict.verdict, &verdict.reason);
        }
        Update::Ended(ended) => live.ended(ended),
    }
}

fn system_time(at: &aws_smithy_types::DateTime) -> SystemTime {
    SystemTime::try_from(*at).unwrap_or_else(|_| SystemTime::now())
}

/// The weights of an execution as its functions reported them: how many pairs of records have them.
fn moment(snapshot: &Snapshot, name: &str, input: &Value) -> Moment {
    let side = |key: &str| {
        input
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or(key)
            .to_owned()
    };
    let pairs = snapshot.weights.iter().flat_map(|weights| &weights.pairs);
    let rows: Vec<_> = pairs
        .map(|(weights, count)| {
            let (from, to) = weights.split_once('/').unwrap_or((weights, ""));
            Row {
                label: format!("{count} pairs"),
                from: (side("from"), from.to_owned()),
                to: (side("to"), to.to_owned()),
            }
        })
        .collect();
    let texts = rows.iter().map(|row| {
        let ((from, from_weight), (to, to_weight)) = (&row.from, &row.to);
        format!("{from} {from_weight}, {to} {to_weight} ({})", row.label)
    });
    Moment {
        execution: name.to_owned(),
        state: snapshot
            .state
            .clone()
            .map(|(state, _)| state)
            .unwrap_or_default(),
        percent: snapshot.percent(),
        weights: texts.collect::<Vec<_>>().join("; "),
        rows,
    }
}
