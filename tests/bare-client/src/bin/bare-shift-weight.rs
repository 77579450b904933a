//! Makes the calls that the operation `plan` of `shift-weight` begins with, all at once.

use aws_config::BehaviorVersion;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::MacAlgorithmSpec;
use aws_sdk_route53::types::HostedZoneLimitType;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let kms = &aws_sdk_kms::Client::new(&config);
    let route53 = &aws_sdk_route53::Client::new(&config);
    let step_functions = &aws_sdk_sfn::Client::new(&config);
    run(service_fn(|event: LambdaEvent<Value>| async move {
        let text = |key: &str| {
            event
                .payload
                .get(key)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        // On the heap, because the futures of the SDKs are large.
        let (listed, described, mac, zone, limit) = tokio::join!(
            Box::pin(
                route53
                    .list_resource_record_sets()
                    .set_hosted_zone_id(text("zone"))
                    .send()
            ),
            Box::pin(
                step_functions
                    .describe_execution()
                    .set_execution_arn(text("execution"))
                    .send()
            ),
            Box::pin(
                kms.generate_mac()
                    .set_key_id(text("key"))
                    .mac_algorithm(MacAlgorithmSpec::HmacSha256)
                    .message(Blob::new("message"))
                    .send()
            ),
            Box::pin(route53.get_hosted_zone().set_id(text("zone")).send()),
            Box::pin(
                route53
                    .get_hosted_zone_limit()
                    .set_hosted_zone_id(text("zone"))
                    .r#type(HostedZoneLimitType::MaxRrsetsByZone)
                    .send()
            ),
        );
        described?;
        mac?;
        zone?;
        limit?;
        Ok::<_, Error>(json!(listed?.resource_record_sets().len()))
    }))
    .await
}
