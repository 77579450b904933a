//! Entry point of the Lambda function `probe`; the library documents the function.

use aws_sdk_route53::Client as Route53;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use migration::function::{aws_config, init_logging};
use probe::Prober;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    init_logging();
    let prober = &Prober::from_env()?;
    let route53 = &Route53::new(&aws_config().await);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        probe::handle(&event.payload, route53, prober).await
    }))
    .await
}
