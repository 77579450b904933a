//! The Lambda function `shift-weight`; see the library's documentation.

use aws_sdk_route53::Client as Route53;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use migration::aws::StepFunctions;
use migration::function::{aws_config, init_logging, required_variable};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    init_logging();
    let config = aws_config().await;
    let route53 = &Route53::new(&config);
    let state_machine = required_variable("MIGRATION_STATE_MACHINE_ARN")?;
    let executions = &StepFunctions::new(aws_sdk_sfn::Client::new(&config), &state_machine);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        shift_weight::handle(&event.payload, route53, executions).await
    }))
    .await
}
