//! Entry point of the Lambda function `check-alarms`; the library documents the function.

use aws::{diagnostic, init_logging, sdk_config};
use cloudwatch_adapter::CloudWatchClient;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    init_logging();
    let cloudwatch = &CloudWatchClient::new(&sdk_config().await);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        check_alarms::handle(&event.payload, cloudwatch)
            .await
            .map_err(diagnostic)
    }))
    .await
}
