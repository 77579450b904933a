//! Makes the first call of `check-alarms`.

use aws_config::BehaviorVersion;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let cloudwatch = &aws_sdk_cloudwatch::Client::new(&config);
    run(service_fn(|_: LambdaEvent<Value>| async move {
        let output = cloudwatch.describe_alarms().send().await?;
        Ok::<_, Error>(json!(output.metric_alarms().len()))
    }))
    .await
}
