//! The Lambda function `shift-weight`; see the library's documentation.

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use migration::function::{changers_clients, init_logging};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    init_logging();
    let (route53, executions) = &changers_clients().await?;
    run(service_fn(|event: LambdaEvent<Value>| async move {
        shift_weight::handle(&event.payload, route53, executions).await
    }))
    .await
}
