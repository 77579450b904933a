//! Entry point of the Lambda function `rollback`; the library documents the function.

use aws::{diagnostic, init_logging, sdk_config};
use cloudformation_adapter::{CustomResourceRequest, RequestType, is_custom_resource_request};
use kms_adapter::KmsSigningKeys;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use rollback::{
    Memory, Queue, SystemClock, handle, handle_messages, has_messages, is_sweep, remains, sweep,
};
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
    let memory = &Memory::default();
    let queue = Queue {
        executions,
        rollbacks: &executions.rollbacks_from_env()?,
        clock: &SystemClock,
        memory,
    };
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let event = &event.payload;
        // On the heap, because the futures of the SDKs in them are large.
        let answer = if has_messages(event) {
            Box::pin(handle_messages(event, queue)).await
        } else if is_sweep(event) {
            let rollbacks = queue.rollbacks;
            Box::pin(sweep(event, route53, executions, rollbacks, keys, memory)).await
        } else if is_custom_resource_request(event) {
            Box::pin(guard_deletion(event, route53, executions, keys)).await
        } else {
            Box::pin(handle(event, route53, executions, keys, memory)).await
        };
        answer.map_err(diagnostic)
    }))
    .await
}

/// Answers CloudFormation: the stack is not deleted while something remains, or while that is not known.
async fn guard_deletion(
    event: &Value,
    route53: &Route53Client,
    executions: &StepFunctionsClient,
    keys: &KmsSigningKeys,
) -> Result<Value, migration::Error> {
    let request = CustomResourceRequest::parse(event)?;
    let zones = &request.resource_properties.hosted_zones;
    let refusal = match request.request_type {
        RequestType::Create | RequestType::Update => None,
        RequestType::Delete => remains(zones, route53, executions, keys)
            .await
            .unwrap_or_else(|error| Some(error.message())),
    };
    request.answer(refusal.as_deref()).await
}
