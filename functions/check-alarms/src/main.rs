//! Entry point of the Lambda function `check-alarms`; the library documents the function.

use aws_sdk_cloudwatch::Client as CloudWatch;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use migration::function::{aws_config, init_logging};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    init_logging();
    let cloudwatch = &CloudWatch::new(&aws_config().await);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        check_alarms::handle(&event.payload, cloudwatch).await
    }))
    .await
}
