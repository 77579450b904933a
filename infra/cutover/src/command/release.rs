//! `cutover release`: starts the state machine release.

use serde_json::json;

use super::arguments::Release;
use super::exit::{Exit, Failure};
use super::output::Output;
use super::stack::{Machine, Stack};
use super::start::started;

pub(crate) async fn run(release: &Release, stack: &Stack, output: Output) -> Result<Exit, Failure> {
    let mut input = json!({ "execution": release.execution });
    if let Some(seconds) = release.external_dns_interval
        && let Some(fields) = input.as_object_mut()
    {
        fields.insert("externalDnsIntervalSeconds".to_owned(), json!(seconds));
    }
    if let Some(zone) = &release.zone
        && let Some(fields) = input.as_object_mut()
    {
        fields.insert("hostedZoneId".to_owned(), json!(zone));
    }
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
