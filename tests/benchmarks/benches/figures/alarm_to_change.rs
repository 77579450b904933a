//! The time from an alarm's event until Route 53 has accepted the original weights.
//!
//! The statistics leave out the first rollback, whose function starts cold. They do not contain the time that
//! EventBridge takes, about half a second according to AWS: the local stack delivers the event itself.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use local_stack::{BLUE, Execution, GREEN, NAMES, Stack, WAIT_SCALE, blueprint, without_registry};
use serde_json::json;

const ROUNDS: usize = 10;
const ALARM: &str = "eks-blueprint-green-5xx";
const CHECK_SECONDS: u32 = 60;
/// The benchmark fails if a warm rollback takes longer.
const MAX_TIME: Duration = Duration::from_secs(1);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Rolls migrations back by the event of an alarm, and describes how long that took.
///
/// # Errors
/// If a rollback does not restore the zone, or takes longer than it may.
pub(crate) async fn measure() -> Result<String> {
    let stack = Stack::start(&without_registry(blueprint())).await?;
    // It does not change the result, because a rollback restores before it waits.
    stack.scale_waits(WAIT_SCALE).await?;
    stack.create_alarm(ALARM).await?;
    let before = stack.zone.to_cli_json().await?;

    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        stack.clear_alarm(ALARM).await?;
        let (migration, time) = roll_back(&stack, round).await?;
        migration.wait().await?;
        for rollback in stack.rollbacks().await? {
            rollback.wait().await?;
        }
        ensure!(
            stack.zone.to_cli_json().await? == before,
            "the zone differs from before the migration"
        );
        if round > 0 {
            times.push(time);
        }
    }
    times.sort();
    let median = times.get(ROUNDS / 2).copied().unwrap_or_default();
    let longest = times.last().copied().unwrap_or_default();
    ensure!(
        longest <= MAX_TIME,
        "alarm event to accepted change: {longest:?}, but the goal is ≤ {MAX_TIME:?}"
    );
    Ok(format!(
        "From an alarm's event to the accepted change of {} names, on the local stack: median {} ms, longest {} ms \
         of {ROUNDS} rollbacks. Without the event, the next health check would find the alarm, {} s later on average \
         with the default of `checkSeconds`.",
        NAMES.len(),
        median.as_millis(),
        longest.as_millis(),
        CHECK_SECONDS / 2
    ))
}

/// Starts a migration, and rolls it back by the alarm's event during the bake of its first step.
/// Returns the time from the event until no journal is left.
async fn roll_back(stack: &Stack, round: usize) -> Result<(Execution, Duration)> {
    let input = json!({
        "hostedZoneId": stack.zone.id(), "from": BLUE, "to": GREEN, "names": NAMES,
        "steps": [10, 100], "bakeSeconds": 15_000, "checkSeconds": CHECK_SECONDS,
        "alarms": { "names": [ALARM] },
    });
    let migration = stack
        .start_migration(&format!("round-{round}"), &input)
        .await?;
    while stack.zone.journals().await?.len() < NAMES.len() {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    // While the migration's own function runs, the measured time would include a conflict with it.
    while migration.states().await?.last().map(String::as_str) != Some("Bake") {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let fired = Instant::now();
    stack.fire_alarm_with_event(ALARM).await?;
    while !stack.zone.journals().await?.is_empty() {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Ok((migration, fired.elapsed()))
}
