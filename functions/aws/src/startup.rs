//! Start-up of every `main.rs`: logging, configuration of the SDKs.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

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

/// How long a call of a function or of the command line may take, so that one that hangs does not use up the function's
/// timeout (120 seconds), after which Step Functions can only guess what was done.
///
/// A page of 300 record sets and a batch of 1,000 records take about a second. An attempt that hangs is
/// repeated by the SDK, which has no timeout of its own but that of connecting.
///
/// Source: AWS SDK for Rust Developer Guide, "Configuring timeouts".
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(3))
        .read_timeout(Duration::from_secs(10))
        .operation_attempt_timeout(Duration::from_secs(15))
        .operation_timeout(Duration::from_mins(1))
        .build()
}

/// Logs as JSON lines, at the level in `RUST_LOG` (default: `info`; at most `debug`). It may have a level for each
/// module, too.
pub fn init_logging() {
    // Not an EnvFilter, whose regular expressions make each function half a megabyte larger.
    let level = std::env::var("RUST_LOG").ok();
    let level = level.and_then(|level| level.parse().ok());
    let filter = level.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    tracing_subscriber::fmt()
        .json()
        // More would log the answers of AWS with their bodies, and one of them is the key that signs the journals.
        .with_max_level(LevelFilter::DEBUG)
        .with_current_span(false)
        // Lambda adds the time to every log entry.
        .without_time()
        .finish()
        .with(filter)
        .init();
}

/// The SDKs' configuration; Lambda sets region and credentials in the environment.
pub async fn sdk_config() -> SdkConfig {
    let defaults = aws_config::defaults(BehaviorVersion::latest());
    with_settings(defaults).load().await
}

fn with_settings(loader: ConfigLoader) -> ConfigLoader {
    loader
        .http_client(http_client())
        .retry_config(RetryConfig::standard().with_max_attempts(MOST_ATTEMPTS))
        .timeout_config(timeouts())
}

/// The HTTP client of all SDKs, as each would make one for itself by default. A default one parses the
/// certificates of the operating system twice: to check the configuration, and for the timeouts of the first call.
///
/// Source: `default_https_client` in the source of `aws-smithy-runtime`.
fn http_client() -> SharedHttpClient {
    let timeouts = timeouts();
    let mut settings = HttpConnectorSettings::builder();
    settings.set_connect_timeout(timeouts.connect_timeout());
    settings.set_read_timeout(timeouts.read_timeout());
    let connector = Connector::builder()
        .proxy_config(ProxyConfig::from_env())
        .connector_settings(settings.build())
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build();
    let connector = SharedHttpConnector::new(connector);
    http_client_fn(move |_, _| connector.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::Region;

    /// A call that hangs would use up the timeout of the function.
    #[tokio::test]
    async fn the_calls_of_all_clients_have_timeouts() {
        // With a region, and without credentials, nothing is looked up.
        let defaults = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-3"))
            .no_credentials();
        let config = with_settings(defaults).load().await;
        let timeouts = config.timeout_config().unwrap();
        for timeout in [
            timeouts.connect_timeout(),
            timeouts.read_timeout(),
            timeouts.operation_attempt_timeout(),
            timeouts.operation_timeout(),
        ] {
            assert!(timeout.unwrap() <= Duration::from_mins(1));
        }
        assert_eq!(config.retry_config().unwrap().max_attempts(), MOST_ATTEMPTS);
    }
}
