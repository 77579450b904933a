#![doc = include_str!("mutations.md")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::catch_unwind;

use expect_test::expect_file;
use serde_json::{Value, json};

use super::{
    MUTATED, counted, doubt, losses, operators, outcomes, parts, plans, requests, start, watching,
};
use crate::machines::{self, DEFINITIONS, MIGRATION, NOTIFICATION, ROLLBACK, START, WATCH};

/// The rules, in the order of the table.
const PROBE: &str = "traffic is given only directly after a probe";
const CLOSED: &str = "what cannot be observed stops progress";
const SINCE: &str = "an alarm counts from the start of the check that let the step through";
const REDRIVE: &str = "no shift on a plan from before a redrive";
const WATCHED: &str = "health is watched while the new side has traffic";
const PARTS: &str = "many names take several calls, and health is watched between them";
const AGAIN: &str = "a change that Route 53 has lost is made again, three times at most";
const LOST: &str = "a lost watch is replaced, then `onFailure` acts";
const CONTINUED: &str = "a watch goes on before its history is full";
const GONE: &str = "a watch ends with its token";
const OPERATOR: &str = "an operator's answer counts, and is no evidence of health";
const NAMED: &str = "who answered stands in events and outcome";
const REACTION: &str = "`onFailure`, `onDrift` and `onRefusal` each decide about their own";
const DOUBT: &str = "an observer's own failure is doubt";
const OUTAGE: &str = "every other Task outlasts 180 seconds";
const EVENTS: &str = "EventBridge and SNS change no end";
const ONE: &str = "one failure is one notification";
const NAMES: &str = "no Fail error begins with `States.`";
const COUNTED: &str = "a wait ends before the history is full";
const REQUEST: &str = "one request starts one migration";
const INPUT: &str = "a watch accepts the input of earlier migrations";
const PLAN: &str = "a dry run's plan has what the observers find, and `failOnWarnings` refuses";

/// A change of one state. A rule of a Choice is named by a part of its condition, a retrier or a catcher
/// by its first error.
enum Edit {
    DropCatch(&'static str),
    DropRetry(&'static str),
    DropRule(&'static str),
    /// The two rules change places.
    SwapRules(&'static str, &'static str),
    /// Removes the field at this JSON pointer.
    Remove(&'static str),
    /// Sets the field at this JSON pointer.
    Set(&'static str, Value),
    /// Replaces every occurrence of a text.
    Replace(&'static str, &'static str),
}
use Edit::{DropCatch, DropRetry, DropRule, Remove, Replace, Set, SwapRules};

struct Mutation {
    what: &'static str,
    machine: &'static str,
    state: &'static str,
    edit: Edit,
    rule: &'static str,
    history: History,
}

/// A test, with its name.
type History = (&'static str, fn());

macro_rules! history {
    ($module:ident::$name:ident) => {
        (
            concat!(stringify!($module), "::", stringify!($name)),
            $module::$name as fn(),
        )
    };
}

/// A machine, a state, the change of it in words, the change, and the test that fails with it.
type Row = (&'static str, &'static str, &'static str, Edit, History);

fn mutations() -> Vec<Mutation> {
    let groups = [
        (PROBE, probe()),
        (CLOSED, closed()),
        (SINCE, since()),
        (REDRIVE, redrive()),
        (WATCHED, watched()),
        (PARTS, parts()),
        (AGAIN, again()),
        (LOST, lost()),
        (CONTINUED, continued()),
        (GONE, gone()),
        (OPERATOR, operator()),
        (NAMED, named()),
        (REACTION, reaction()),
        (DOUBT, doubts()),
        (OUTAGE, outage()),
        (EVENTS, events()),
        (ONE, one()),
        (NAMES, names()),
        (COUNTED, full()),
        (REQUEST, request()),
        (INPUT, input()),
        (PLAN, plan()),
    ];
    let mutations = groups.into_iter().flat_map(|(rule, rows)| {
        rows.into_iter()
            .map(move |(machine, state, what, edit, history)| Mutation {
                what,
                machine,
                state,
                edit,
                rule,
                history,
            })
    });
    mutations.collect()
}

fn plan() -> Vec<Row> {
    vec![
        (
            MIGRATION,
            "Dry run?",
            "a dry run does not ask the observers",
            Replace("Ask the observers", "Any warning to refuse?"),
            history!(plans::a_dry_run_asks_every_observer_once),
        ),
        (
            MIGRATION,
            "Add the findings to the plan",
            "a new side that is not ready is always a warning",
            Replace(" and $migration.readyTimeoutSeconds = 0", ""),
            history!(plans::a_dry_run_asks_every_observer_once),
        ),
        (
            MIGRATION,
            "Add the findings to the plan",
            "the warnings of observers replace those of the plan",
            Replace("$append($plan.warnings, ", "$append([], "),
            history!(plans::fail_on_warnings_refuses_what_it_names),
        ),
        (
            MIGRATION,
            "Any warning to refuse?",
            "a dry run refuses no warning",
            SwapRules("failOnWarnings", "dryRun"),
            history!(plans::fail_on_warnings_is_judged_after_the_observers),
        ),
        (
            MIGRATION,
            "Any warning to refuse?",
            "`all` refuses nothing",
            Replace("$refused = 'all' or ", ""),
            history!(plans::fail_on_warnings_refuses_what_it_names),
        ),
        (
            MIGRATION,
            "Announce the start",
            "the warnings are not announced",
            Replace("'warnings'", "'other'"),
            history!(plans::the_first_event_has_the_warnings_of_the_plan),
        ),
    ]
}

fn again() -> Vec<Row> {
    vec![
        (
            MIGRATION,
            "Hold or roll back?",
            "a lost change fails the migration",
            DropRule("ChangeLost"),
            history!(losses::a_lost_change_is_made_again),
        ),
        (
            MIGRATION,
            "Hold or roll back?",
            "a lost change is made again without a limit",
            Replace("$rewrites < 3", "true"),
            history!(losses::a_change_that_is_lost_each_time_is_made_four_times),
        ),
        (
            MIGRATION,
            "More steps?",
            "the lost changes of all steps count together",
            Remove("/Choices/0/Assign/rewrites"),
            history!(losses::lost_changes_of_another_step_do_not_count),
        ),
        (
            MIGRATION,
            "Shift weight",
            "a lost change that the zone shows is not made again",
            Replace("$rewrites > 0", "false"),
            history!(losses::a_lost_change_is_made_again),
        ),
        (
            WATCH,
            "Healthy?",
            "a lost change is waited for",
            DropRule("'lost'"),
            history!(losses::a_lost_change_is_made_again),
        ),
        (
            WATCH,
            "Judge health",
            "a lost change outweighs the failure of another observer",
            Replace(
                "'fail' in",
                "'lost' in $states.input.verdict ? 'lost' : 'fail' in",
            ),
            history!(losses::a_lost_change_is_not_made_again_directly_after_a_failure),
        ),
        (
            WATCH,
            "Judge health",
            "a lost change outweighs doubt",
            Replace(
                "'inconclusive' in $states.input.verdict ? 'inconclusive'",
                "'lost' in $states.input.verdict ? 'lost'
                : 'inconclusive' in $states.input.verdict ? 'inconclusive'",
            ),
            history!(losses::a_lost_change_is_not_made_again_while_an_observer_fails),
        ),
    ]
}

fn probe() -> Vec<Row> {
    vec![
        (
            MIGRATION,
            "Wait before checking alarms again",
            "the probe is not asked again after the wait",
            Set("/Next", json!("Check alarms before the start")),
            history!(start::a_side_that_dies_while_alarms_are_awaited_gets_no_traffic),
        ),
        (
            MIGRATION,
            "Announce the start",
            "the probe is left out",
            Replace("Probe switched on?", "Check alarms before the start"),
            history!(start::the_first_shift_waits_no_longer_than_ready_timeout_seconds),
        ),
        (
            MIGRATION,
            "New side ready?",
            "a failed probe is not repeated",
            Set("/Default", json!("Anything to undo?")),
            history!(start::an_alarm_that_cleared_before_the_start_does_not_count),
        ),
    ]
}

fn closed() -> Vec<Row> {
    vec![
        (
            MIGRATION,
            "New side ready?",
            "an inconclusive probe is enough",
            Replace(
                "$states.input.verdict = 'pass'",
                "$states.input.verdict != 'fail'",
            ),
            history!(start::the_first_shift_waits_no_longer_than_ready_timeout_seconds),
        ),
        (
            MIGRATION,
            "Alarms quiet?",
            "an inconclusive check of the alarms is enough",
            Replace(
                "$states.input.verdict = 'pass'",
                "$states.input.verdict != 'fail'",
            ),
            history!(start::the_first_shift_waits_no_longer_than_ready_timeout_seconds),
        ),
        (
            MIGRATION,
            "Alarms quiet?",
            "an alarm that is firing is waited for",
            DropRule("'fail'"),
            history!(start::a_migration_does_not_start_while_an_alarm_is_firing),
        ),
        (
            WATCH,
            "Healthy?",
            "a bake ends without a pass",
            Replace(" and $states.input.verdict = 'pass'", ""),
            history!(doubt::doubt_that_remains_ends_the_bake_after_max_bake_seconds),
        ),
        (
            WATCH,
            "Healthy?",
            "an inconclusive bake is prolonged without a limit",
            DropRule("$maxSeconds"),
            history!(doubt::doubt_that_remains_ends_the_bake_after_max_bake_seconds),
        ),
        (
            WATCH,
            "Judge health",
            "one pass outweighs the doubt of the others",
            Replace(
                "'inconclusive' in $states.input.verdict",
                "'pass' in $states.input.verdict ? 'pass' : 'inconclusive' in $states.input.verdict",
            ),
            history!(doubt::doubt_that_remains_ends_the_bake_after_max_bake_seconds),
        ),
        (
            MIGRATION,
            "Wait out the TTL",
            "the bake is left out",
            Set("/Next", json!("Approval needed?")),
            history!(start::a_healthy_migration_reaches_each_step_and_completes),
        ),
        (
            MIGRATION,
            "Confirm the change",
            "the wait for the TTL is left out",
            Set("/Next", json!("Bake")),
            history!(start::a_healthy_migration_reaches_each_step_and_completes),
        ),
        (
            MIGRATION,
            "Approval needed?",
            "no approval is asked for",
            DropRule("approval"),
            history!(outcomes::a_migration_whose_approval_is_given_is_asked_for_it_once),
        ),
        (
            MIGRATION,
            "More steps?",
            "the loop makes one step too many",
            Replace("$step + 1 <", "$step <"),
            history!(start::a_healthy_migration_reaches_each_step_and_completes),
        ),
    ]
}

fn since() -> Vec<Row> {
    vec![
        (
            MIGRATION,
            "Shift weight",
            "\"since\" is taken after the shift",
            Set("/Assign/since", json!("{% $now() %}")),
            history!(start::an_alarm_that_fires_and_clears_during_a_shift_is_seen),
        ),
        (
            MIGRATION,
            "Check alarms before the start",
            "\"since\" is the end of the check",
            Replace("$states.context.State.EnteredTime", "$now()"),
            history!(start::an_alarm_that_fires_and_clears_during_the_first_check_is_seen),
        ),
        (
            WATCH,
            "Judge health",
            "\"since\" is the end of the look",
            Replace("? $lookedAt :", "? $now() :"),
            history!(start::an_alarm_that_fires_and_clears_during_the_last_look_of_a_phase_is_seen),
        ),
        (
            WATCH,
            "Judge health",
            "alarms that could not be read count as seen",
            Replace(
                "$states.input[0].verdict in ['pass', 'fail'] ? $lookedAt : $alarmsSeenAt",
                "$lookedAt",
            ),
            history!(
                start::an_alarm_that_fires_and_clears_while_alarms_cannot_be_read_is_seen_later
            ),
        ),
        (
            WATCH,
            "Check alarms",
            "only alarms that are firing count",
            Remove("/Arguments/Payload/since"),
            history!(start::an_alarm_that_fires_and_clears_between_two_phases_is_seen),
        ),
    ]
}

fn redrive() -> Vec<Row> {
    let history = history!(outcomes::an_execution_that_is_redriven_before_its_plan_completes);
    vec![(
        MIGRATION,
        "Plan the migration",
        "the number of redrives is not passed",
        Remove("/Arguments/Payload/redrives"),
        history,
    )]
}

fn full() -> Vec<Row> {
    let history =
        history!(counted::a_wait_in_which_an_observer_fails_ends_before_the_history_is_full);
    vec![
        (
            MIGRATION,
            "Probe the new side",
            "the retries of a probe are not counted",
            Remove("/Catch/1/Assign"),
            history,
        ),
        (
            MIGRATION,
            "Check alarms before the start",
            "the retries of an alarm check are not counted",
            Remove("/Catch/1/Assign"),
            history,
        ),
        (
            MIGRATION,
            "New side ready?",
            "a full history does not end the wait",
            DropRule("$historyEvents"),
            history,
        ),
    ]
}

fn watched() -> Vec<Row> {
    let dies = history!(outcomes::a_side_that_dies_is_rolled_back_within_check_seconds);
    vec![
        (
            WATCH,
            "Healthy?",
            "the token is never failed",
            Replace("Report the failure", "Wait before the next check"),
            dies,
        ),
        (
            WATCH,
            "Healthy?",
            "failed checks do not count",
            DropRule("$migration.failureThreshold"),
            dies,
        ),
        (
            WATCH,
            "Healthy?",
            "failed checks count in the bake only",
            Replace("$failures >=", "$phase = 'bake' and $failures >="),
            dies,
        ),
        (
            WATCH,
            "Healthy?",
            "failed checks do not count while an approval is pending",
            Replace("$failures >=", "$phase != 'approval' and $failures >="),
            history!(operators::a_side_that_dies_while_an_approval_is_pending_is_rolled_back),
        ),
        (
            WATCH,
            "Healthy?",
            "a change that has propagated outweighs failed checks",
            SwapRules("$migration.failureThreshold", "$states.input.weights"),
            dies,
        ),
        (
            WATCH,
            "Healthy?",
            "drift does not count",
            DropRule("'drift'"),
            history!(outcomes::on_drift_decides_about_an_edited_weight),
        ),
        (
            WATCH,
            "Wait before the next check",
            "the time between two checks is doubled",
            Set("/Seconds", json!("{% 2 * $migration.checkSeconds %}")),
            history!(watching::a_watch_that_looks_is_not_replaced),
        ),
        (
            WATCH,
            "Healthy?",
            "failures of earlier phases are forgotten",
            Replace(
                "$failures >=",
                "$failures - $states.context.Execution.Input.failures >=",
            ),
            history!(start::failures_are_counted_over_the_phases_of_a_step),
        ),
    ]
}

fn lost() -> Vec<Row> {
    vec![
        (
            MIGRATION,
            "Bake",
            "it has no HeartbeatSeconds",
            Remove("/HeartbeatSeconds"),
            history!(watching::a_watch_that_is_stopped_is_replaced),
        ),
        (
            MIGRATION,
            "Bake",
            "a lost watch is not replaced",
            DropRetry("States.HeartbeatTimeout"),
            history!(watching::a_watch_that_is_stopped_is_replaced),
        ),
        (
            MIGRATION,
            "Bake",
            "a lost watch is replaced for ever",
            Set("/Retry/0/MaxAttempts", json!(99)),
            history!(watching::on_failure_decides_after_two_lost_watches),
        ),
        (
            MIGRATION,
            "Confirm the change",
            "the start of a watch is not repeated",
            DropRetry("StepFunctions.ExecutionLimitExceeded"),
            history!(watching::a_watch_that_can_not_be_started_is_started_later),
        ),
        (
            MIGRATION,
            "Roll back",
            "the start of the rollback is not repeated",
            DropRetry("States.ALL"),
            history!(watching::on_failure_decides_if_watch_can_not_be_started),
        ),
        (
            WATCH,
            "Wait before the next check",
            "no heartbeat is sent after the first look",
            Set("/Next", json!("Check health")),
            history!(watching::a_watch_that_looks_is_not_replaced),
        ),
    ]
}

fn parts() -> Vec<Row> {
    let rollback = history!(
        parts::a_rollback_of_many_names_is_one_message_and_does_not_wait_between_its_calls
    );
    vec![
        (
            MIGRATION,
            "All names shifted?",
            "nobody watches between two calls",
            Set("/Choices/0/Next", json!("Wait for Route 53's limits")),
            history!(parts::a_side_that_dies_between_two_calls_of_a_shift_is_rolled_back),
        ),
        (
            MIGRATION,
            "Shift weight",
            "failures are forgotten at the next call",
            Set("/Assign/failures", json!(0)),
            history!(parts::failures_between_the_calls_of_a_shift_count_together),
        ),
        (
            WATCH,
            "Healthy?",
            "names are shifted after a failure",
            Replace(" and $states.input.verdict != 'fail'", ""),
            history!(parts::no_further_name_is_shifted_directly_after_a_failure),
        ),
        (
            ROLLBACK,
            "All restored?",
            "the TTL is waited out between two calls",
            DropRule("$unfinished"),
            rollback,
        ),
    ]
}

fn continued() -> Vec<Row> {
    let pending = history!(watching::an_approval_that_is_pending_for_hours_is_asked_for_once);
    vec![
        (
            WATCH,
            "Healthy?",
            "it does not go on",
            DropRule("$historyEvents"),
            history!(watching::a_watch_goes_on_as_another_execution_before_its_history_is_full),
        ),
        (
            WATCH,
            "Judge health",
            "the events of a check are not counted",
            Replace("$historyEvents + 55", "$historyEvents"),
            pending,
        ),
        (
            WATCH,
            "Continue in a new execution",
            "the next execution announces again",
            Replace("'announcement': $announcement, ", ""),
            pending,
        ),
        (
            WATCH,
            "Continue in a new execution",
            "the next execution counts the time from 0",
            Replace("'elapsedSeconds': $elapsedSeconds, ", ""),
            history!(watching::a_watch_goes_on_as_another_execution_before_its_history_is_full),
        ),
        (
            WATCH,
            "Continue in a new execution",
            "the next execution counts the failures from 0",
            Replace("'failures': $failures, ", ""),
            history!(watching::failures_are_counted_over_the_executions_of_a_watch),
        ),
    ]
}

fn gone() -> Vec<Row> {
    let aborted = history!(watching::a_watch_ends_when_its_migration_is_aborted);
    vec![
        (
            WATCH,
            "Send a heartbeat",
            "it fails when the token is gone",
            DropCatch("Sfn.TaskDoesNotExist"),
            aborted,
        ),
        (
            WATCH,
            "Send a heartbeat",
            "it continues when the token is gone",
            Set("/Catch/0/Next", json!("Check health")),
            aborted,
        ),
        (
            WATCH,
            "Send a heartbeat",
            "it asks for three minutes whether the token is gone",
            DropRetry("Sfn.TaskDoesNotExist"),
            aborted,
        ),
    ]
}

fn operator() -> Vec<Row> {
    let holds = history!(operators::an_operator_holds_in_every_phase);
    let promoted = history!(operators::a_promoted_step_ends_at_once_in_every_phase);
    vec![
        (
            MIGRATION,
            "Approval needed?",
            "health is not checked after an operator's answer",
            DropRule("$endedByOperator"),
            history!(operators::a_promoted_step_needs_one_more_pass),
        ),
        (
            MIGRATION,
            "Ask for approval",
            "health is not checked after an approval",
            Set("/Next", json!("More steps?")),
            history!(operators::an_approval_given_to_a_dead_side_gives_no_traffic),
        ),
        (
            MIGRATION,
            "Bake",
            "a promoted step waits for its bake",
            Replace("$promoted ? 0 : ", ""),
            promoted,
        ),
        (
            MIGRATION,
            "Wait out the TTL",
            "a promotion is forgotten",
            Replace("? $promoted : true", "? $promoted : false"),
            promoted,
        ),
        (
            MIGRATION,
            "Hold or roll back?",
            "an operator's hold is overridden by `onFailure`",
            Replace(
                "['Hold', 'ApprovalNotRequested']",
                "['ApprovalNotRequested']",
            ),
            holds,
        ),
        (
            MIGRATION,
            "Hold or roll back?",
            "an operator's rollback is overridden by `onFailure`",
            DropRule("'RollBack'"),
            history!(operators::an_operator_rolls_back_in_every_phase),
        ),
        (
            MIGRATION,
            "Bake",
            "an answer is taken for a lost watch",
            Set(
                "/Retry",
                json!([{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}]),
            ),
            holds,
        ),
        (
            MIGRATION,
            "Wait out the TTL",
            "any other answer keeps its name",
            Replace("$name : 'ApprovalRefused'", "$name : $name"),
            history!(operators::any_other_answer_is_a_refusal),
        ),
    ]
}

fn named() -> Vec<Row> {
    let named = history!(operators::whoever_promotes_or_approves_is_named_in_what_follows);
    vec![
        (
            MIGRATION,
            "Ask for approval",
            "an answer is not kept",
            Remove("/Assign/answers"),
            named,
        ),
        (
            MIGRATION,
            "Wait out the TTL",
            "the event of a step does not say who answered",
            Replace("'answers': [$answers]", "'answers': []"),
            named,
        ),
        (
            MIGRATION,
            "Ask for approval",
            "an answer of any type is taken for a text",
            Replace("$type($states.result.by) = 'string'", "true"),
            history!(operators::an_answer_without_a_text_names_nobody),
        ),
        (
            MIGRATION,
            "Check health once more",
            "answers are kept without a limit",
            Replace(" or $count($answers) >= 50", ""),
            history!(operators::answers_never_become_too_many_or_too_long_for_an_event),
        ),
        (
            MIGRATION,
            "Note the failure",
            "the reason does not say who answered before",
            Replace("$count($answers) > 0", "false"),
            history!(operators::whoever_holds_or_rolls_back_is_named_in_the_reason),
        ),
    ]
}

fn reaction() -> Vec<Row> {
    let state = "Hold or roll back?";
    vec![
        (
            MIGRATION,
            state,
            "`onFailure` decides about drift",
            Replace(
                "'Drift' ? $migration.onDrift",
                "'Drift' ? $migration.onFailure",
            ),
            history!(outcomes::a_bad_journal_during_a_bake_is_drift),
        ),
        (
            MIGRATION,
            state,
            "drift is always rolled back",
            Replace("'Drift' ? $migration.onDrift", "'Drift' ? 'rollback'"),
            history!(outcomes::a_bad_journal_during_a_shift_is_drift),
        ),
        (
            MIGRATION,
            state,
            "`onFailure` decides about a refusal",
            Replace("$migration.onRefusal", "$migration.onFailure"),
            history!(operators::on_refusal_decides_about_a_refusal),
        ),
        (
            MIGRATION,
            state,
            "`onFailure` decides about an approval that nobody gives",
            Replace(
                "['ApprovalRefused', 'ApprovalTimedOut']",
                "['ApprovalRefused']",
            ),
            history!(operators::on_refusal_decides_about_an_approval_that_nobody_gives),
        ),
        (
            MIGRATION,
            state,
            "`onDrift` decides about failed health",
            Replace(": $migration.onFailure)", ": $migration.onDrift)"),
            history!(outcomes::on_failure_decides_about_failed_health),
        ),
        (
            MIGRATION,
            state,
            "everything is held",
            Set("/Default", json!("Announce the hold")),
            history!(outcomes::on_failure_decides_about_failed_health),
        ),
        (
            MIGRATION,
            state,
            "an approval that nobody could be asked for is rolled back",
            Replace("['Hold', 'ApprovalNotRequested']", "['Hold']"),
            history!(outcomes::an_approval_that_nobody_could_be_asked_for_holds),
        ),
        (
            WATCH,
            "Healthy?",
            "it is not noticed that nobody could be asked",
            DropRule("$type($announcement)"),
            history!(outcomes::an_approval_that_nobody_could_be_asked_for_holds),
        ),
        (
            WATCH,
            "Healthy?",
            "an approval is awaited for ever",
            DropRule("$phase = 'approval' and $elapsedSeconds >= $seconds"),
            history!(operators::on_refusal_decides_about_an_approval_that_nobody_gives),
        ),
        (
            MIGRATION,
            "Complete the migration",
            "drift during the completion holds",
            DropCatch("Drift"),
            history!(outcomes::a_bad_journal_during_a_completion_is_drift),
        ),
        (
            MIGRATION,
            "Complete the migration",
            "a completion that fails is rolled back",
            Set("/Catch/1/Next", json!("Note the failure")),
            history!(outcomes::a_completion_that_fails_holds),
        ),
    ]
}

fn doubts() -> Vec<Row> {
    let bake = history!(doubt::an_observers_own_failure_during_a_bake_is_doubt);
    let before = history!(doubt::an_observers_own_failure_before_the_start_is_doubt);
    let last = history!(doubt::a_final_error_of_an_observer_ends_the_bake);
    let mut rows = vec![
        (
            WATCH,
            "Check alarms",
            "only errors of these names are doubt",
            Set(
                "/Catch/1/ErrorEquals",
                json!(["Lambda.Unknown", "States.Timeout"]),
            ),
            bake,
        ),
        (
            WATCH,
            "Check alarms",
            "doubt is a failure",
            Set("/Catch/1/Output/verdict", json!("fail")),
            bake,
        ),
        (
            WATCH,
            "Probe again",
            "doubt is a final error",
            Set(
                "/Catch/1/Output",
                json!({"observer": "probe", "verdict": "error", "error": "X", "reason": ""}),
            ),
            bake,
        ),
        (
            WATCH,
            "Healthy?",
            "a final error does not count",
            DropRule("'error'"),
            last,
        ),
    ];
    for state in ["Check alarms", "Probe again", "Confirm weights"] {
        rows.push((
            WATCH,
            state,
            "its failure ends the watch",
            DropCatch("States.ALL"),
            bake,
        ));
        rows.push((
            WATCH,
            state,
            "a final error is doubt",
            DropCatch("InvalidInput"),
            last,
        ));
    }
    for state in ["Probe the new side", "Check alarms before the start"] {
        rows.push((
            MIGRATION,
            state,
            "its failure ends the execution",
            DropCatch("States.ALL"),
            before,
        ));
    }
    rows
}

fn outage() -> Vec<Row> {
    let outlasts = history!(doubt::every_task_outlasts_three_minutes_of_any_error);
    let mut rows: Vec<Row> = [
        "Plan the migration",
        "Probe the new side",
        "Check alarms before the start",
        "Shift weight",
        "Complete the migration",
    ]
    .map(|state| {
        (
            MIGRATION,
            state,
            "no error is retried",
            DropRetry("States.ALL"),
            outlasts,
        )
    })
    .into();
    rows.push((
        MIGRATION,
        "Plan the migration",
        "retries stop after 122 seconds",
        Set("/Retry/1/MaxAttempts", json!(6)),
        outlasts,
    ));
    rows.push((
        MIGRATION,
        "Shift weight",
        "the delays have full jitter",
        Set("/Retry/2/JitterStrategy", json!("FULL")),
        outlasts,
    ));
    rows.push((
        ROLLBACK,
        "Roll back",
        "no error is retried",
        DropRetry("States.ALL"),
        history!(doubt::a_rollback_outlasts_forty_minutes_of_any_error),
    ));
    rows
}

fn events() -> Vec<Row> {
    let healthy = history!(outcomes::eventbridge_changes_no_outcome_of_a_healthy_migration);
    vec![
        (
            MIGRATION,
            "Announce the start",
            "its failure leads to a rollback",
            Set(
                "/Catch/0",
                json!({"ErrorEquals": ["States.ALL"], "Next": "Note the failure"}),
            ),
            healthy,
        ),
        (
            MIGRATION,
            "Announce the start",
            "its failure ends the execution",
            DropCatch("States.ALL"),
            healthy,
        ),
        (
            MIGRATION,
            "Announce the completion",
            "its failure ends the execution",
            DropCatch("States.ALL"),
            healthy,
        ),
        (
            WATCH,
            "Announce",
            "its failure ends the watch",
            DropCatch("States.ALL"),
            healthy,
        ),
        (
            MIGRATION,
            "Announce the hold",
            "its failure hides why it holds",
            DropCatch("States.ALL"),
            history!(outcomes::an_approval_that_nobody_could_be_asked_for_holds),
        ),
        (
            NOTIFICATION,
            "Publish the message",
            "a request that is not published is forgotten",
            Set("/Catch/0/Next", json!("Not published")),
            history!(outcomes::an_approval_whose_message_is_not_published_holds),
        ),
        (
            ROLLBACK,
            "Announce what was done",
            "its failure ends the rollback",
            DropCatch("States.ALL"),
            history!(outcomes::the_outcome_of_a_rollback_is_in_the_execution_without_eventbridge),
        ),
    ]
}

fn one() -> Vec<Row> {
    let failed = history!(outcomes::one_failed_rollback_is_one_status_event);
    vec![
        (
            WATCH,
            "Announce",
            "each look announces again",
            Remove("/Assign"),
            history!(start::a_healthy_migration_reaches_each_step_and_completes),
        ),
        (
            WATCH,
            "Anything to announce?",
            "nothing is announced",
            Replace("$type($announcement) = 'object'", "false"),
            history!(start::a_healthy_migration_reaches_each_step_and_completes),
        ),
        (
            MIGRATION,
            "Roll back",
            "the request does not say who announces a failure",
            Remove("/Arguments/Input/requestedBy"),
            failed,
        ),
        (
            ROLLBACK,
            "Does the migration announce it?",
            "the rollback announces what the migration announces",
            DropRule("requestedBy"),
            failed,
        ),
        (
            ROLLBACK,
            "Does the migration announce it?",
            "the rollback announces what was announced before",
            DropRule("RollbackFailed"),
            failed,
        ),
        (
            ROLLBACK,
            "Does the migration announce it?",
            "the rollback announces no failure",
            Set("/Default", json!("Rollback failed")),
            failed,
        ),
        (
            MIGRATION,
            "Roll back",
            "a retry does not say that it is one",
            Remove("/Arguments/Input/attempt"),
            history!(outcomes::a_retried_rollback_says_what_an_earlier_attempt_restored),
        ),
    ]
}

fn names() -> Vec<Row> {
    vec![(
        MIGRATION,
        "Note the failure",
        "an error of Step Functions keeps its name",
        Replace(
            "'StepFunctions.' & $substring($states.input.Error, 7)",
            "$states.input.Error",
        ),
        history!(watching::on_failure_decides_after_two_lost_watches),
    )]
}

fn request() -> Vec<Row> {
    let repeated = history!(requests::a_request_starts_one_migration_however_often_it_is_delivered);
    let state = "Start the migration";
    vec![
        (
            START,
            state,
            "the execution gets a generated name",
            Remove("/Arguments/Name"),
            repeated,
        ),
        (
            START,
            state,
            "a name that was used is a failure",
            DropCatch("StepFunctions.ExecutionAlreadyExists"),
            repeated,
        ),
        (
            START,
            state,
            "a name that was used is retried",
            DropRetry("StepFunctions.ExecutionAlreadyExists"),
            repeated,
        ),
        (
            START,
            "Take the request",
            "the key stays in the input",
            Replace("$field != 'request' or ", "true or "),
            repeated,
        ),
        (
            START,
            "Take the request",
            "the id of the event is no key",
            Replace("$states.input.id, ", ""),
            history!(requests::a_request_without_a_key_is_served_once_for_the_id_of_its_event),
        ),
        (
            START,
            state,
            "no error is retried",
            DropRetry("States.ALL"),
            history!(requests::a_request_outlasts_forty_minutes_of_any_error),
        ),
    ]
}

fn input() -> Vec<Row> {
    vec![(
        WATCH,
        "Take the input",
        "a field is required that version 1 does not have",
        Set("/Assign/colour", json!("{% $states.input.colour %}")),
        history!(watching::watch_accepts_the_input_of_earlier_migrations),
    )]
}

/// Each mutation makes its test fail. The tests pass with the definitions as they are.
#[test]
fn every_mutation_of_a_definition_is_found() {
    let mut problems = Vec::new();
    let mut table = String::new();
    for mutation in mutations() {
        let name = mutation.machine.rsplit("cutover-").next().unwrap();
        let Mutation {
            what,
            state,
            rule,
            history: (history, _),
            ..
        } = mutation;
        writeln!(
            table,
            "| `{name}`: {state} | {what} | {rule} | `{history}` |"
        )
        .unwrap();
        match mutation.play() {
            Ok(failure) => println!("{state}: {what}: {failure}"),
            Err(problem) => problems.push(format!("{name}: {state}: {what}: {problem}")),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let text = format!("{HEAD}{table}");
    expect_file!["mutations.md"].assert_eq(&text);
}

/// The head of the table.
const HEAD: &str = "\
Mutations of the definitions, each found by a test of a rule of the flow.

Each row is one change of one state. With it, the test in the last column fails. The table is written by
`UPDATE_EXPECT=1 cargo test --package simulation --lib mutations`.

Not in the table, because they change nothing that can be seen: the Catch of `Drift` in `Confirm
weights`, because a final error has the same end; and the order of the two rules of `Approval needed?`,
because both apply only to different answers.

| state | change | rule | test |
|---|---|---|---|
";

impl Mutation {
    /// Plays the history with the changed definition. Returns how it fails.
    fn play(&self) -> Result<String, String> {
        let (_, definition) = DEFINITIONS
            .iter()
            .find(|(machine, _)| *machine == self.machine)
            .unwrap();
        let mut definition: Value = serde_json::from_str(definition).unwrap();
        let before = definition.clone();
        let state = find(&mut definition, self.state).ok_or("there is no such state")?;
        self.edit.apply(state)?;
        if definition == before {
            return Err("it changes nothing".to_owned());
        }
        let text = definition.to_string();
        let parsed = machines::parse(&[(self.machine, &text)]).map_err(|it| it.to_string())?;
        let mut machines = machines::all();
        machines.extend(parsed);
        MUTATED.set(Some(machines));
        let outcome = catch_unwind(self.history.1);
        MUTATED.set(None);
        let panic = outcome.err().ok_or("it is not found")?;
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.unwrap_or_default();
        Ok(text.lines().take(2).collect::<Vec<_>>().join(" / "))
    }
}

impl Edit {
    fn apply(&self, state: &mut Value) -> Result<(), String> {
        match self {
            DropCatch(error) => drop_one(state, "Catch", |it| it["ErrorEquals"][0] == *error),
            DropRetry(error) => drop_one(state, "Retry", |it| it["ErrorEquals"][0] == *error),
            DropRule(part) => drop_one(state, "Choices", |it| has(it, part)),
            SwapRules(one, other) => {
                let rules = state["Choices"].as_array_mut().ok_or("it has no rules")?;
                let position = |part| {
                    let found = rules.iter().position(|rule| has(rule, part));
                    found.ok_or(format!("no rule has {part}"))
                };
                let (one, other) = (position(one)?, position(other)?);
                rules.swap(one, other);
                Ok(())
            }
            Remove(pointer) => {
                let (parent, field) = pointer.rsplit_once('/').ok_or("not a pointer")?;
                let parent = state.pointer_mut(parent).and_then(Value::as_object_mut);
                let removed = parent.and_then(|parent| parent.shift_remove(field));
                removed.map(|_| ()).ok_or(format!("there is no {pointer}"))
            }
            Set(pointer, value) => {
                if let Some(field) = state.pointer_mut(pointer) {
                    *field = value.clone();
                    return Ok(());
                }
                let (parent, field) = pointer.rsplit_once('/').ok_or("not a pointer")?;
                let parent = state.pointer_mut(parent).and_then(Value::as_object_mut);
                let parent = parent.ok_or(format!("there is nothing to set {pointer} in"))?;
                parent.insert(field.to_owned(), value.clone());
                Ok(())
            }
            Replace(from, to) => {
                let escaped = |text: &str| {
                    let text = json!(text).to_string();
                    text[1..text.len() - 1].to_owned()
                };
                let text = state.to_string().replace(&escaped(from), &escaped(to));
                *state = serde_json::from_str(&text).map_err(|error| error.to_string())?;
                Ok(())
            }
        }
    }
}

fn has(rule: &Value, part: &str) -> bool {
    let condition = rule["Condition"].as_str();
    condition.is_some_and(|condition| condition.contains(part))
}

/// Removes the one element of a list to which this applies.
fn drop_one(
    state: &mut Value,
    list: &str,
    is_dropped: impl Fn(&Value) -> bool,
) -> Result<(), String> {
    let list = state[list].as_array_mut().ok_or("it has no such list")?;
    let before = list.len();
    list.retain(|element| !is_dropped(element));
    match before - list.len() {
        1 => Ok(()),
        count => Err(format!("it applies to {count} elements, expected 1")),
    }
}

/// The state of this name, also in a branch.
fn find<'a>(level: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    let states = level["States"].as_object_mut()?;
    if states.contains_key(name) {
        return states.get_mut(name);
    }
    let branches = states
        .values_mut()
        .filter_map(|state| state.get_mut("Branches")?.as_array_mut());
    branches.flatten().find_map(|branch| find(branch, name))
}

/// Two rows with the same change would show nothing.
#[test]
fn no_mutation_is_listed_twice() {
    let mut listed = BTreeSet::new();
    for mutation in mutations() {
        let row = (mutation.machine, mutation.state, mutation.what);
        assert!(listed.insert(row), "{row:?}");
    }
}
