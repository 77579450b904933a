//! Start-up of every `main.rs`: logging, configuration of the SDKs.

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use tracing_subscriber::EnvFilter;

/// Attempts of the SDK for one call, the first included.
///
/// Route 53 throttles by account, so ExternalDNS, Terraform and other migrations can cause throttling
/// here. With the SDK's default of 3 attempts, a throttled call fails after at most 1 + 2 seconds; with 5
/// after 1 + 2 + 4 + 8 seconds, in which Route 53 allows 150 more requests. Still more attempts would
/// use up the function's timeout (120 seconds) by waiting; the state machine retries throttled calls
/// after that.
///
/// Source: Route 53 Developer Guide, "Throttling API requests"; `RetryConfig` of the SDK.
const MOST_ATTEMPTS: u32 = 5;

/// Logs as JSON lines, at the level in `RUST_LOG` (default: `info`).
pub fn init_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_current_span(false)
        // Lambda adds the time to every log entry.
        .without_time()
        .init();
}

/// The SDKs' configuration; Lambda sets region and credentials in the environment.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(MOST_ATTEMPTS))
        .load()
        .await
}
