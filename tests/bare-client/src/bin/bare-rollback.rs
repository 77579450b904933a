//! Makes the calls that `rollback` begins with, both at once.

use aws_config::BehaviorVersion;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::MacAlgorithmSpec;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let kms = &aws_sdk_kms::Client::new(&config);
    let step_functions = &aws_sdk_sfn::Client::new(&config);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let text = |key: &str| {
            event
                .payload
                .get(key)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let (described, mac) = tokio::join!(
            step_functions
                .describe_execution()
                .set_execution_arn(text("execution"))
                .send(),
            kms.generate_mac()
                .set_key_id(text("key"))
                .mac_algorithm(MacAlgorithmSpec::HmacSha256)
                .message(Blob::new("message"))
                .send(),
        );
        mac?;
        Ok::<_, Error>(json!(described?.status().as_str()))
    }))
    .await
}
