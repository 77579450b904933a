//! Entry point of the Lambda function `shift-weight`; the library documents the function.

use aws::{diagnostic, init_logging, sdk_config};
use kms_adapter::KmsSigningKeys;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use route53_adapter::Route53Client;
use serde_json::Value;
use shift_weight::DnsResolver;
use step_functions_adapter::StepFunctionsClient;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    init_logging();
    let config = sdk_config().await;
    let route53 = &Route53Client::new(&config);
    let resolver = &DnsResolver::from_env()?;
    let executions = &StepFunctionsClient::from_env(&config)?;
    let keys = &KmsSigningKeys::from_env(&config)?;
    let settings = &shift_weight::stack_settings(|name| std::env::var(name).ok())?;
    run(service_fn(|event: LambdaEvent<Value>| async move {
        // On the heap, because the futures of the SDKs in it are large.
        Box::pin(shift_weight::handle(
            &event.payload,
            route53,
            resolver,
            executions,
            keys,
            settings,
        ))
        .await
        .map_err(diagnostic)
    }))
    .await
}
