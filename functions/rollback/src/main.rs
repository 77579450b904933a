//! Entry point of the Lambda function `rollback`; the library documents the function.

use aws::{diagnostic, init_logging, sdk_config};
use kms_adapter::KmsSigningKeys;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use route53_adapter::Route53Client;
use serde_json::Value;
use step_functions_adapter::StepFunctionsClient;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    init_logging();
    let config = sdk_config().await;
    let route53 = &Route53Client::new(&config);
    let executions = &StepFunctionsClient::from_env(&config)?;
    let keys = &KmsSigningKeys::from_env(&config)?;
    run(service_fn(|event: LambdaEvent<Value>| async move {
        // On the heap, because the futures of the SDKs in it are large.
        Box::pin(rollback::handle(&event.payload, route53, executions, keys))
            .await
            .map_err(diagnostic)
    }))
    .await
}
