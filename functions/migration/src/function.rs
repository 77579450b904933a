//! What every function's `main.rs` does before it takes its first event.

use std::env;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use tracing_subscriber::EnvFilter;

use crate::aws::StepFunctions;

/// Attempts of the SDK for one call, the first included. Route 53 throttles an
/// account, not a client, so a few more than the SDK's own 3.
const ATTEMPTS: u32 = 5;

const STATE_MACHINE_VARIABLE: &str = "MIGRATION_STATE_MACHINE_ARN";

/// Logs as JSON lines, at the level in `RUST_LOG` (default: `info`).
pub fn init_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_current_span(false)
        // Lambda's log entries carry a time of their own.
        .without_time()
        .init();
}

/// Region, credentials and endpoint from the environment, as Lambda sets it.
pub async fn aws_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .load()
        .await
}

/// What the functions that change records work with: Route 53, and the executions of the state
/// machine that `MIGRATION_STATE_MACHINE_ARN` names.
///
/// # Errors
/// Names the variable where it is missing.
pub async fn changers_clients() -> Result<(aws_sdk_route53::Client, StepFunctions), String> {
    let state_machine = env::var(STATE_MACHINE_VARIABLE).map_err(|_| {
        format!(
            "the environment variable {STATE_MACHINE_VARIABLE} is not set; the template sets it"
        )
    })?;
    let config = aws_config().await;
    let executions = StepFunctions::new(aws_sdk_sfn::Client::new(&config), &state_machine);
    Ok((aws_sdk_route53::Client::new(&config), executions))
}
