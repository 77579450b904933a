//! Entry point of the Lambda function `probe`; the library documents the function.

use aws::{diagnostic, init_logging, sdk_config};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use probe::Prober;
use route53_adapter::Route53Client;
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    init_logging();
    let prober = &Prober::from_env()?;
    let route53 = &Route53Client::new(&sdk_config().await);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        probe::handle(&event.payload, route53, prober)
            .await
            .map_err(diagnostic)
    }))
    .await
}
