//! CloudFormation's requests for a custom resource, and the answers to them.
//!
//! CloudFormation invokes the function when the resource is created, changed and deleted. It goes on when it
//! finds an answer at a presigned URL of S3, and gives up after the resource's `ServiceTimeout`.
//!
//! Source: CloudFormation User Guide, "Custom resource request objects" and "Custom resource response objects".

use aws::timeouts;
use aws_smithy_http_client::default_connector;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use migration::Error;
use migration::dns::HostedZoneId;
use migration::error::Unavailable;
use migration::json::from_json;
use migration::text::shortened;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::zones::ids;

const ACTION: &str = "the answer to CloudFormation";
/// The longest reason, in characters. An answer has at most 4,096 bytes, and a character up to six of them in
/// JSON.
const LONGEST_REASON: usize = 600;

/// A request for the custom resource that guards the stack's deletion.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CustomResourceRequest {
    pub(crate) request_type: RequestType,
    #[serde(rename = "ResponseURL")]
    response_url: String,
    stack_id: String,
    request_id: String,
    logical_resource_id: String,
    /// None before the resource was created.
    physical_resource_id: Option<String>,
    pub(crate) resource_properties: Properties,
}

/// What CloudFormation is doing with the resource.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub(crate) enum RequestType {
    Create,
    Update,
    Delete,
}

/// The properties of the resource in the template.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Properties {
    /// The zones in which the stack may change records.
    #[serde(rename = "HostedZoneArns", deserialize_with = "ids")]
    pub(crate) hosted_zones: Vec<HostedZoneId>,
}

/// Whether CloudFormation has sent an event.
pub(crate) fn is_request(event: &Value) -> bool {
    event.get("ResponseURL").is_some()
}

impl CustomResourceRequest {
    /// # Errors
    /// [`Error::InvalidInput`] if a field is missing or has another shape.
    pub(crate) fn parse(event: &Value) -> Result<Self, Error> {
        from_json(event)
    }

    /// Sends the answer: success, or the reason for which CloudFormation shall go no further. Returns what
    /// was sent.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if S3 can't be reached or refuses the answer. Lambda repeats a call that
    /// CloudFormation makes and that fails.
    pub(crate) async fn answer(&self, refusal: Option<&str>) -> Result<Value, Error> {
        // The id of the resource stays the same for ever: a changed one would make CloudFormation delete the
        // earlier resource.
        let resource = self.physical_resource_id.as_ref();
        let answer = json!({
            "Status": if refusal.is_some() { "FAILED" } else { "SUCCESS" },
            "Reason": shortened(refusal.unwrap_or("nothing needs the stack"), LONGEST_REASON),
            "PhysicalResourceId": resource.unwrap_or(&self.logical_resource_id),
            "StackId": self.stack_id,
            "RequestId": self.request_id,
            "LogicalResourceId": self.logical_resource_id,
        });
        put(&self.response_url, answer.to_string())
            .await
            .map_err(|problem| {
                Error::from(Unavailable::NoAnswer {
                    action: ACTION.to_owned(),
                    problem,
                })
            })?;
        Ok(answer)
    }
}

async fn put(url: &str, body: String) -> Result<(), String> {
    let timeouts = timeouts();
    let mut settings = HttpConnectorSettings::builder();
    settings.set_connect_timeout(timeouts.connect_timeout());
    settings.set_read_timeout(timeouts.read_timeout());
    let connector =
        default_connector(&settings.build(), None).ok_or("the SDK was built without TLS")?;
    // Without a content type, because the URL is signed without one.
    let mut request = HttpRequest::new(SdkBody::from(body));
    request
        .set_method("PUT")
        .map_err(|error| error.to_string())?;
    request.set_uri(url).map_err(|error| error.to_string())?;
    let response = connector
        .call(request)
        .await
        .map_err(|error| format!("{error:?}"))?;
    let status = response.status();
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("expected a status of 2xx, found {status}"))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    fn event(kind: &str, url: &str) -> Value {
        json!({
            "RequestType": kind,
            "ResponseURL": url,
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/cutover/1",
            "RequestId": "2",
            "ResourceType": "Custom::DeletionGuard",
            "LogicalResourceId": "DeletionGuard",
            "ResourceProperties": {
                "ServiceToken": "arn:aws:lambda:eu-west-1:123456789012:function:cutover-rollback",
                "HostedZoneArns": ["arn:aws:route53:::hostedzone/Z1", "arn:aws:route53:::hostedzone/Z2"],
            },
        })
    }

    /// What a server gets that answers with this status, and what the function makes of it.
    async fn answered(status: &str, refusal: Option<&str>) -> (Result<Value, Error>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/answer?signed", listener.local_addr().unwrap());
        let request = CustomResourceRequest::parse(&event("Delete", &url)).unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut received = String::new();
            while !received.ends_with('}') {
                let mut part = [0; 4_096];
                let length = stream.read(&mut part).await.unwrap();
                received.push_str(&String::from_utf8_lossy(&part[..length]));
            }
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            received
        };
        tokio::join!(request.answer(refusal), server)
    }

    #[tokio::test]
    async fn a_refusal_is_put_to_the_url_with_its_reason() {
        let (answer, received) = answered("200 OK", Some("a migration holds")).await;
        let (head, body) = received.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("PUT /answer?signed HTTP/1.1\r\n"),
            "{head}"
        );
        assert!(!head.to_lowercase().contains("content-type"), "{head}");
        assert_eq!(
            serde_json::from_str::<Value>(body).unwrap(),
            answer.unwrap()
        );
        let expected = json!({
            "Status": "FAILED",
            "Reason": "a migration holds",
            "PhysicalResourceId": "DeletionGuard",
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/cutover/1",
            "RequestId": "2",
            "LogicalResourceId": "DeletionGuard",
        });
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), expected);
    }

    #[tokio::test]
    async fn an_answer_is_never_longer_than_cloudformation_reads() {
        for character in ["é", "\"", "\u{1}", "😀"] {
            let (answer, received) = answered("200 OK", Some(&character.repeat(5_000))).await;
            assert_eq!(answer.unwrap()["Status"], "FAILED");
            let (_, body) = received.split_once("\r\n\r\n").unwrap();
            assert!(body.len() <= 4_096, "{character}: {}", body.len());
        }
    }

    #[tokio::test]
    async fn an_answer_that_s3_refuses_is_an_error() {
        let (answer, _) = answered("403 Forbidden", None).await;
        let error = answer.unwrap_err();
        assert_eq!(error.name(), "Unavailable");
        assert!(error.message().contains("403"), "{}", error.message());
    }

    #[test]
    fn the_zones_are_those_of_the_arns() {
        let request = CustomResourceRequest::parse(&event("Create", "https://s3")).unwrap();
        let zones = request.resource_properties.hosted_zones;
        let zones: Vec<_> = zones.iter().map(HostedZoneId::as_str).collect();
        assert_eq!(zones, ["Z1", "Z2"]);
    }

    #[test]
    fn only_events_with_a_response_url_are_requests() {
        assert!(is_request(&event("Create", "https://s3")));
        assert!(!is_request(
            &json!({"sweep": {"at": "2026-11-23T00:00:00Z"}})
        ));
    }
}
