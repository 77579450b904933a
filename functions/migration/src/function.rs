//! What every function's `main.rs` does before it takes its first event.

use std::env;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use tracing_subscriber::EnvFilter;

/// Attempts of the SDK for one call, the first included. Route 53 throttles an
/// account, not a client, so a few more than the SDK's own 3.
const ATTEMPTS: u32 = 5;

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

/// An environment variable of the function.
///
/// # Errors
/// Names the variable where it is missing.
pub fn required_variable(name: &str) -> Result<String, String> {
    env::var(name)
        .map_err(|_| format!("the environment variable {name} is not set; the template sets it"))
}
