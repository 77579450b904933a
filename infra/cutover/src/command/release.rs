//! `cutover release`: starts the state machine release.

use serde_json::json;

use super::arguments::Release;
use super::exit::{Exit, Failure};
use super::input::of_given;
use super::output::Output;
use super::stack::{Machine, Stack};
use super::start::started;

pub(crate) async fn run(release: &Release, stack: &Stack, output: Output) -> Result<Exit, Failure> {
    let interval = release.external_dns_interval;
    let input = of_given([
        ("execution", Some(json!(release.execution))),
        (
            "externalDnsIntervalSeconds",
            interval.map(|seconds| json!(seconds)),
        ),
        ("hostedZoneId", release.zone.as_ref().map(|id| json!(id))),
    ]);
    let execution = stack
        .start(Machine::Release, None, input.to_string())
        .await?;
    let next = "One name is given back and watched first, then all others; its notification says when they are \
                released. With --wait this command says it.";
    started(
        stack,
        Machine::Release,
        execution,
        next,
        &release.wait,
        output,
    )
    .await
}
