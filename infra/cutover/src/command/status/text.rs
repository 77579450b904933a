//! The text of `cutover status`: what runs, at which percent, since when, what is checked next, and what can
//! be done now. Pure.

use std::fmt::Write as _;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use cutover::Judgement;
use migration::text::{duration, shortened};
use serde_json::{Value, json};

use super::migration::{Following, Migration};
use crate::command::exit::Exit;
use crate::command::outcome;
use crate::command::stack::Machine;

/// Characters of an error's cause in a list.
const LONGEST_CAUSE: usize = 160;
/// The phase of a watch in which an approval is waited for.
const APPROVAL: &str = "approval";

/// Something that a person can do now.
struct Action {
    what: &'static str,
    command: String,
}

/// What runs in a stack, and what ended last.
pub(super) struct Overview<'a> {
    pub(super) title: &'a str,
    pub(super) running: &'a [Migration],
    /// The rollbacks and releases that are running.
    pub(super) others: &'a [Following],
    pub(super) ended: &'a [Migration],
}

impl Overview<'_> {
    /// The running migrations with all that is known of them, and the others in a line each.
    pub(super) fn text(&self, now: DateTime, command: &dyn Fn(&str) -> String) -> String {
        let mut parts = vec![self.title.to_owned()];
        if self.running.is_empty() {
            parts.push("No migration is running.".to_owned());
        }
        parts.extend(
            self.running
                .iter()
                .map(|migration| block(migration, now, command)),
        );
        parts.extend(self.others.iter().map(line_of_following));
        let ends = self.ended.iter().map(|migration| {
            let at = migration.ended_at.unwrap_or(migration.started_at);
            format!("  {}  {}", date_and_time(at), end(migration))
        });
        let ends = ends.collect::<Vec<_>>().join("\n");
        if !ends.is_empty() {
            let more = command("status NAME");
            parts.push(format!("Ended last (`{more}` shows more of one):\n{ends}"));
        }
        parts.join("\n\n")
    }
}

/// A rollback or release with what it has done.
fn line_of_following(following: &Following) -> String {
    let mut text = format!(
        "{} {} since {}: {}",
        machine(following.machine),
        following.name,
        date_and_time(following.started_at),
        following.status
    );
    if !following.message.is_empty() {
        // Writing to a String can't fail.
        let _ = write!(
            text,
            " ({})",
            shortened(&following.message, 4 * LONGEST_CAUSE)
        );
    }
    text
}

/// How a migration ended, in one line.
fn end(migration: &Migration) -> String {
    let Some(ended) = &migration.snapshot.ended else {
        return migration.name.clone();
    };
    let text = outcome::sentence(&migration.name, ended).replace('\n', ": ");
    shortened(&text, migration.name.len() + LONGEST_CAUSE)
}

/// All that is known of a migration.
pub(super) fn block(
    migration: &Migration,
    now: DateTime,
    command: &dyn Fn(&str) -> String,
) -> String {
    let mut lines = vec![heading(migration, now)];
    let mut add = |label: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!(
                "  {label:<8} {}",
                text.replace('\n', "\n           ")
            ));
        }
    };
    add("state", state(migration, now));
    add("weights", weights(migration));
    add("health", health(migration));
    add("next", next(migration));
    if let Some(ended) = &migration.snapshot.ended {
        let error = ended.error.as_deref().unwrap_or_default();
        add("error", error.to_owned());
        add("cause", ended.cause.clone().unwrap_or_default());
    }
    for following in &migration.following {
        add("then", line_of_following(following));
    }
    let actions = actions(migration);
    if !actions.is_empty() {
        lines.push("  you can".to_owned());
    }
    for action in actions {
        lines.push(format!(
            "    {}:\n      {}",
            action.what,
            command(&action.command)
        ));
    }
    lines.join("\n")
}

fn heading(migration: &Migration, now: DateTime) -> String {
    let name = &migration.name;
    match (&migration.snapshot.ended, migration.ended_at) {
        (None, _) => format!(
            "{name}: running since {} ({})",
            date_and_time(migration.started_at),
            time_between(migration.started_at, now)
        ),
        (Some(ended), at) => {
            let how = match ended.outcome.as_str() {
                "SUCCEEDED" | "FAILED" => format!("ended as {}", ended.state),
                outcome => format!("ended as {outcome} in the state {}", ended.state),
            };
            let at = at.map(|at| {
                let ago = time_between(at, now);
                format!(" at {} ({ago} ago)", date_and_time(at))
            });
            format!("{name}: {how}{}", at.unwrap_or_default())
        }
    }
}

fn state(migration: &Migration, now: DateTime) -> String {
    let Some((state, since)) = &migration.snapshot.state else {
        return String::new();
    };
    if migration.snapshot.ended.is_some() {
        return String::new();
    }
    let mut text = format!(
        "{state} since {} ({})",
        time_of_day(*since),
        time_between(*since, now)
    );
    if let Some(watch) = &migration.watch
        && watch.seconds > 0
    {
        let until = time_of_day(later(*since, watch.seconds));
        let limit = if watch.phase == APPROVAL {
            "at the latest"
        } else {
            "at the earliest"
        };
        let _ = write!(text, ", {limit} until {until}");
    }
    text
}

/// What it has written last. One that has rolled back has not written that itself.
fn weights(migration: &Migration) -> String {
    let ended = migration.snapshot.ended.as_ref();
    let exit = ended.map(|ended| outcome::exit(Machine::Migration, ended));
    let Some(percent) = migration.snapshot.percent() else {
        return String::new();
    };
    if exit == Some(Exit::RolledBack) {
        return String::new();
    }
    let when = if exit.is_some() {
        "when it ended: "
    } else {
        ""
    };
    let to = match migration.to.as_str() {
        "" => "the new side",
        to => to,
    };
    let mut text = format!("{when}{percent} percent on {to}");
    if let Some(weights) = &migration.snapshot.weights {
        let pairs = weights.pairs.iter();
        let pairs = pairs.map(|(weights, count)| format!("{weights} ({count} pairs of records)"));
        let pairs = pairs.collect::<Vec<_>>().join(", ");
        let _ = write!(text, "; {}/{to}: {pairs}", migration.from);
    }
    text
}

fn health(migration: &Migration) -> String {
    let Some(judgement) = migration.snapshot.judgement() else {
        return String::new();
    };
    let verdicts = migration.snapshot.verdicts.values();
    let last = verdicts.clone().max_by_key(|verdict| verdict.at.as_nanos());
    let at = last.map(|verdict| verdict.at);
    let mut text = match judgement {
        Judgement::Pass => "pass".to_owned(),
        Judgement::NotPassed => "not passed".to_owned(),
    };
    if let Some(at) = at {
        let _ = write!(text, " at {}", time_of_day(at));
        if let (Some(watch), None) = (&migration.watch, &migration.snapshot.ended) {
            let next = time_of_day(later(at, watch.check_seconds));
            let _ = write!(text, ", next check about {next}");
        }
    }
    for verdict in verdicts {
        let _ = write!(
            text,
            "\n{}: {} ({})",
            verdict.observer,
            verdict.verdict,
            shortened(&verdict.reason, 4 * LONGEST_CAUSE)
        );
    }
    text
}

/// The next step of a running migration.
fn next(migration: &Migration) -> String {
    if migration.snapshot.ended.is_some() {
        return String::new();
    }
    let Some(plan) = &migration.snapshot.plan else {
        return String::new();
    };
    let now = migration.snapshot.percent();
    let now = now.map_or(0.0, |percent| f64::from(percent.hundredths()) / 100.0);
    let has_begun = migration.snapshot.weights.is_some();
    let steps = plan.get("steps").and_then(Value::as_array);
    let percents = steps
        .into_iter()
        .flatten()
        .filter_map(|step| step.get("percent")?.as_f64());
    let ahead = percents
        .clone()
        .find(|percent| *percent > now || (!has_begun && *percent >= now));
    match ahead {
        Some(percent) => format!("{percent} percent"),
        None => "the completion".to_owned(),
    }
}

/// What can be done now, the most likely first.
fn actions(migration: &Migration) -> Vec<Action> {
    let name = &migration.name;
    let with_reason = |command: &str| format!("{command} {name} --by \"who and why\"");
    let action = |what, command| Action { what, command };
    let rollback = |what| action(what, format!("rollback --execution {name} --wait"));
    let start = |what| action(what, "start INPUT".to_owned());
    let Some(ended) = &migration.snapshot.ended else {
        return match &migration.watch {
            Some(watch) if watch.phase == APPROVAL => vec![
                action("approve the step", with_reason("approve")),
                action(
                    "refuse it (onRefusal decides what follows)",
                    with_reason("refuse"),
                ),
                action("hold: stop here, keep the weights", with_reason("hold")),
                rollback("restore the original weights"),
            ],
            Some(_) => vec![
                action(
                    "promote: end this step early, and approve it",
                    with_reason("promote"),
                ),
                action("hold: stop here, keep the weights", with_reason("hold")),
                rollback("restore the original weights"),
            ],
            None => vec![rollback("stop it, and restore the original weights")],
        };
    };
    if migration.following.iter().any(Following::has_closed) {
        return Vec::new();
    }
    match outcome::exit(Machine::Migration, ended) {
        Exit::Done if ended.state == "Completed" => {
            let leased = ended.output.get("leased").and_then(Value::as_u64);
            if leased.unwrap_or_default() == 0 {
                return Vec::new();
            }
            let release =
                "release the names, once the annotations in both clusters have the new weights";
            vec![
                action(release, format!("release {name} --wait")),
                rollback("restore the original weights instead"),
            ]
        }
        Exit::Held => vec![
            start("continue with the next step, with the same input"),
            rollback("restore the original weights"),
        ],
        Exit::NotStarted | Exit::RolledBack => {
            vec![start("start again, when what the cause names is fixed")]
        }
        Exit::Stopped => vec![rollback("roll back again, if its status event did not")],
        Exit::RollbackFailed => vec![rollback("roll back again, when the cause is fixed")],
        _ => Vec::new(),
    }
}

/// All that is known of a migration, for programs.
pub(super) fn json(migration: &Migration, command: &dyn Fn(&str) -> String) -> Value {
    let snapshot = &migration.snapshot;
    let time = |at: DateTime| at.fmt(Format::DateTime).unwrap_or_default();
    let verdicts = snapshot.verdicts.values().map(|verdict| {
        json!({ "observer": verdict.observer, "verdict": verdict.verdict, "reason": verdict.reason,
            "time": time(verdict.at) })
    });
    let following = migration.following.iter().map(json_of_following);
    let commands = actions(migration);
    let commands = commands.iter().map(|action| command(&action.command));
    let ended = snapshot.ended.as_ref();
    json!({
        "execution": migration.name,
        "executionArn": migration.arn,
        "status": ended.map_or("RUNNING", |ended| ended.outcome.as_str()),
        "state": ended.map(|ended| ended.state.as_str())
            .or(snapshot.state.as_ref().map(|(state, _)| state.as_str())),
        "since": snapshot.state.as_ref().map(|(_, since)| time(*since)),
        "startDate": time(migration.started_at),
        "stopDate": migration.ended_at.map(time),
        "percent": snapshot.percent(),
        "weights": snapshot.weights.as_ref().map(|weights| &weights.pairs),
        "phase": migration.watch.as_ref().map(|watch| watch.phase.as_str()),
        "health": verdicts.collect::<Vec<_>>(),
        "error": ended.and_then(|ended| ended.error.as_deref()),
        "cause": ended.and_then(|ended| ended.cause.as_deref()),
        "then": following.collect::<Vec<_>>(),
        "commands": commands.collect::<Vec<_>>(),
    })
}

/// A rollback or release, for programs.
pub(super) fn json_of_following(following: &Following) -> Value {
    json!({
        "what": machine(following.machine),
        "execution": following.name,
        "startDate": following.started_at.fmt(Format::DateTime).unwrap_or_default(),
        "status": following.status,
        "message": following.message,
    })
}

fn machine(machine: Machine) -> &'static str {
    match machine {
        Machine::Rollback => "rollback",
        Machine::Release => "release",
        Machine::Migration => "migration",
        Machine::Watch => "watch",
    }
}

fn later(at: DateTime, seconds: u64) -> DateTime {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    DateTime::from_secs(at.secs().saturating_add(seconds))
}

fn time_between(from: DateTime, to: DateTime) -> String {
    let seconds = to.secs().saturating_sub(from.secs());
    duration(u64::try_from(seconds).unwrap_or_default())
}

/// `2026-11-27 03:12:09 UTC`.
fn date_and_time(at: DateTime) -> String {
    let text = DateTime::from_secs(at.secs()).fmt(Format::DateTime);
    text.unwrap_or_default()
        .replace('T', " ")
        .replace('Z', " UTC")
}

/// `03:12:09 UTC`.
fn time_of_day(at: DateTime) -> String {
    date_and_time(at).chars().skip(11).collect()
}

#[cfg(test)]
mod tests {
    use cutover::{ExecutionResult, Snapshot, Update, Verdict, Weights};
    use expect_test::{Expect, expect};
    use migration::dns::Percent;
    use serde_json::json;

    use super::*;
    use crate::command::watches;

    const ARN: &str = "arn:aws:states:eu-west-1:111122223333:execution:cutover-migration:upgrade";

    /// 2026-11-27 03:00:00 UTC, and this many seconds.
    fn at(seconds: i64) -> DateTime {
        DateTime::from_secs(1_795_748_400 + seconds)
    }

    /// A migration that bakes at 50 percent of 10, 50 and 100.
    fn baking() -> Migration {
        let mut snapshot = Snapshot::default();
        let plan = json!({ "steps": [{ "percent": 10 }, { "percent": 50 }, { "percent": 100 }],
            "currentPercent": 0 });
        let weights = Weights {
            percent: Percent::whole(50).unwrap(),
            pairs: [("50/50".to_owned(), 12)].into(),
            at: at(600),
        };
        let verdict = |observer: &str, verdict: &str, reason: &str| {
            Update::Verdict(Verdict {
                observer: observer.to_owned(),
                verdict: verdict.to_owned(),
                reason: reason.to_owned(),
                at: at(900),
            })
        };
        for update in [
            Update::Plan(plan),
            Update::Changed(weights),
            Update::Entered {
                state: "Bake".to_owned(),
                at: at(660),
            },
            verdict("alarms", "pass", "1 alarm is OK"),
            verdict("probe", "inconclusive", "2 of 12 names did not answer"),
        ] {
            snapshot.note(&update);
        }
        let watch = |phase: &str| {
            json!({ "executionArn": ARN, "phase": phase, "token": "secret", "percent": 50,
                "seconds": 300, "migration": { "checkSeconds": 60 } })
        };
        Migration {
            name: "upgrade".to_owned(),
            arn: ARN.to_owned(),
            from: "blue".to_owned(),
            to: "green".to_owned(),
            started_at: at(0),
            ended_at: None,
            snapshot,
            watch: watches::find(&[watch("bake")], ARN),
            following: Vec::new(),
        }
    }

    fn ended(state: &str, outcome: &str, error: Option<&str>, output: Value) -> Migration {
        let mut migration = baking();
        migration.ended_at = Some(at(900));
        migration.watch = None;
        migration.snapshot.verdicts.clear();
        migration.snapshot.note(&Update::Ended(ExecutionResult {
            outcome: outcome.to_owned(),
            state: state.to_owned(),
            error: error.map(str::to_owned),
            cause: error.map(|error| format!("the cause of {error}")),
            output,
            states: Vec::new(),
        }));
        migration
    }

    #[expect(clippy::needless_pass_by_value, reason = "as expect-test is used")]
    #[track_caller]
    fn check(migration: &Migration, expect: Expect) {
        expect.assert_eq(&block(migration, at(930), &|command| {
            format!("cutover {command}")
        }));
    }

    #[test]
    fn running_migration_shows_health_the_next_check_and_what_can_be_done() {
        check(
            &baking(),
            expect![[r#"
            upgrade: running since 2026-11-27 03:00:00 UTC (15 min 30 s)
              state    Bake since 03:11:00 UTC (4 min 30 s), at the earliest until 03:16:00 UTC
              weights  50 percent on green; blue/green: 50/50 (12 pairs of records)
              health   not passed at 03:15:00 UTC, next check about 03:16:00 UTC
                       alarms: pass (1 alarm is OK)
                       probe: inconclusive (2 of 12 names did not answer)
              next     100 percent
              you can
                promote: end this step early, and approve it:
                  cutover promote upgrade --by "who and why"
                hold: stop here, keep the weights:
                  cutover hold upgrade --by "who and why"
                restore the original weights:
                  cutover rollback --execution upgrade --wait"#]],
        );
    }

    #[test]
    fn pending_approval_can_be_approved_or_refused() {
        let mut migration = baking();
        if let Some(watch) = &mut migration.watch {
            watch.phase = "approval".to_owned();
        }
        check(
            &migration,
            expect![[r#"
            upgrade: running since 2026-11-27 03:00:00 UTC (15 min 30 s)
              state    Bake since 03:11:00 UTC (4 min 30 s), at the latest until 03:16:00 UTC
              weights  50 percent on green; blue/green: 50/50 (12 pairs of records)
              health   not passed at 03:15:00 UTC, next check about 03:16:00 UTC
                       alarms: pass (1 alarm is OK)
                       probe: inconclusive (2 of 12 names did not answer)
              next     100 percent
              you can
                approve the step:
                  cutover approve upgrade --by "who and why"
                refuse it (onRefusal decides what follows):
                  cutover refuse upgrade --by "who and why"
                hold: stop here, keep the weights:
                  cutover hold upgrade --by "who and why"
                restore the original weights:
                  cutover rollback --execution upgrade --wait"#]],
        );
    }

    #[test]
    fn migration_before_its_first_shift_can_be_stopped() {
        let mut migration = baking();
        migration.watch = None;
        migration.snapshot.state = Some(("Probe the new side".to_owned(), at(660)));
        migration.snapshot.weights = None;
        migration.snapshot.verdicts.clear();
        check(
            &migration,
            expect![[r#"
                upgrade: running since 2026-11-27 03:00:00 UTC (15 min 30 s)
                  state    Probe the new side since 03:11:00 UTC (4 min 30 s)
                  weights  0 percent on green
                  next     10 percent
                  you can
                    stop it, and restore the original weights:
                      cutover rollback --execution upgrade --wait"#]],
        );
    }

    #[test]
    fn held_migration_can_be_continued_or_rolled_back() {
        check(
            &ended("Held", "FAILED", Some("Held"), Value::Null),
            expect![[r#"
                upgrade: ended as Held at 2026-11-27 03:15:00 UTC (30 s ago)
                  weights  when it ended: 50 percent on green; blue/green: 50/50 (12 pairs of records)
                  error    Held
                  cause    the cause of Held
                  you can
                    continue with the next step, with the same input:
                      cutover start INPUT
                    restore the original weights:
                      cutover rollback --execution upgrade --wait"#]],
        );
    }

    #[test]
    fn completed_migration_waits_for_its_release_unless_it_follows() {
        let mut migration = ended("Completed", "SUCCEEDED", None, json!({ "leased": 5 }));
        check(
            &migration,
            expect![[r#"
            upgrade: ended as Completed at 2026-11-27 03:15:00 UTC (30 s ago)
              weights  when it ended: 50 percent on green; blue/green: 50/50 (12 pairs of records)
              you can
                release the names, once the annotations in both clusters have the new weights:
                  cutover release upgrade --wait
                restore the original weights instead:
                  cutover rollback --execution upgrade --wait"#]],
        );
        migration.following.push(Following {
            machine: Machine::Release,
            name: "release-1".to_owned(),
            status: "SUCCEEDED".to_owned(),
            started_at: at(910),
            message: String::new(),
            restored: 0,
        });
        check(
            &migration,
            expect![[r#"
            upgrade: ended as Completed at 2026-11-27 03:15:00 UTC (30 s ago)
              weights  when it ended: 50 percent on green; blue/green: 50/50 (12 pairs of records)
              then     release release-1 since 2026-11-27 03:15:10 UTC: SUCCEEDED"#]],
        );
    }

    #[test]
    fn overview_has_rollbacks_and_ends_in_one_line_each() {
        let ends = [
            ended("Bake", "ABORTED", Some("StoppedForRollback"), Value::Null),
            ended("Completed", "SUCCEEDED", None, Value::Null),
        ];
        let others = [Following {
            machine: Machine::Rollback,
            name: "alarm-1".to_owned(),
            status: "RUNNING".to_owned(),
            started_at: at(920),
            message: String::new(),
            restored: 0,
        }];
        let overview = Overview {
            title: "cutover in account 1",
            running: &[],
            others: &others,
            ended: &ends,
        };
        let text = overview.text(at(930), &|command| format!("cutover {command}"));
        expect![[r#"
            cutover in account 1

            No migration is running.

            rollback alarm-1 since 2026-11-27 03:15:20 UTC: RUNNING

            Ended last (`cutover status NAME` shows more of one):
              2026-11-27 03:15:00 UTC  upgrade was aborted in the state Bake: StoppedForRollback: the cause of StoppedForRollback
              2026-11-27 03:15:00 UTC  upgrade ended as Completed"#]].assert_eq(&text);
    }

    #[test]
    fn json_of_a_status_has_no_token() {
        let json = json(&baking(), &str::to_owned);
        assert_eq!(json["phase"], "bake");
        assert_eq!(json["percent"], 50);
        assert!(!json.to_string().contains("secret"), "{json:#}");
    }
}
