//! Entry point of the Lambda function `rollback`; the library documents the function.

use aws::{diagnostic, init_logging, sdk_config};
use deletion_guard_adapter::{GuardRequest, is_guard_request};
use kms_adapter::KmsSigningKeys;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, run, service_fn};
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
        if is_guard_request(event) {
            return Box::pin(guard_deletion(event, route53, executions, keys)).await;
        }
        let answer = if has_messages(event) {
            Box::pin(handle_messages(event, queue)).await
        } else if is_sweep(event) {
            let rollbacks = queue.rollbacks;
            Box::pin(sweep(event, route53, executions, rollbacks, keys, memory)).await
        } else {
            Box::pin(handle(event, route53, executions, keys, memory)).await
        };
        answer.map_err(diagnostic)
    }))
    .await
}

/// The stack is not deleted while something remains, or while that is not known.
async fn guard_deletion(
    event: &Value,
    route53: &Route53Client,
    executions: &StepFunctionsClient,
    keys: &KmsSigningKeys,
) -> Result<Value, Diagnostic> {
    let request = GuardRequest::parse(event).map_err(diagnostic)?;
    let refusal = if request.is_deletion {
        remains(&request.hosted_zones, route53, executions, keys)
            .await
            .unwrap_or_else(|error| Some(error.message()))
    } else {
        None
    };
    request.answer(refusal.as_deref()).await
}
