//! Requests of the resource that guards the stack's deletion, and the answers to them.
//!
//! The function is invoked when that resource is created, changed and deleted, and may refuse its deletion. The
//! template has a custom resource of CloudFormation for it, and the Terraform module an `aws_lambda_invocation`.

mod cloudformation;
mod terraform;
mod zones;

use aws::diagnostic;
use lambda_runtime::Diagnostic;
use migration::Error;
use migration::dns::HostedZoneId;
use serde_json::Value;

use crate::cloudformation::{CustomResourceRequest, RequestType};
use crate::terraform::{Action, InvocationRequest};

/// A request of the resource that guards the stack's deletion.
#[derive(Debug)]
pub struct GuardRequest {
    /// Whether the stack is to be deleted. Any other request has to be answered only.
    pub is_deletion: bool,
    /// The zones in which the stack may change records.
    pub hosted_zones: Vec<HostedZoneId>,
    sender: Sender,
}

/// Who has sent a request.
#[derive(Debug)]
enum Sender {
    CloudFormation(Box<CustomResourceRequest>),
    Terraform,
}

/// Whether an event is a request of this resource.
pub fn is_guard_request(event: &Value) -> bool {
    cloudformation::is_request(event) || terraform::is_request(event)
}

impl GuardRequest {
    /// # Errors
    /// [`Error::InvalidInput`] if a field is missing or has another shape.
    pub fn parse(event: &Value) -> Result<Self, Error> {
        if cloudformation::is_request(event) {
            let request = CustomResourceRequest::parse(event)?;
            return Ok(Self {
                is_deletion: request.request_type == RequestType::Delete,
                hosted_zones: request.resource_properties.hosted_zones.clone(),
                sender: Sender::CloudFormation(Box::new(request)),
            });
        }
        let request = InvocationRequest::parse(event)?;
        Ok(Self {
            is_deletion: request.tf.action == Action::Delete,
            hosted_zones: request.hosted_zones,
            sender: Sender::Terraform,
        })
    }

    /// Answers the request: success, or the reason for which nothing shall be deleted. Returns the function's result.
    ///
    /// # Errors
    /// For Terraform the refusal itself. For CloudFormation `Unavailable` if the answer can't be delivered.
    pub async fn answer(&self, refusal: Option<&str>) -> Result<Value, Diagnostic> {
        match &self.sender {
            Sender::CloudFormation(request) => request.answer(refusal).await.map_err(diagnostic),
            Sender::Terraform => terraform::answer(refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cloudformation(kind: &str) -> Value {
        json!({
            "RequestType": kind,
            "ResponseURL": "https://s3",
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/cutover/1",
            "RequestId": "2",
            "LogicalResourceId": "DeletionGuard",
            "ResourceProperties": { "HostedZoneArns": ["arn:aws:route53:::hostedzone/Z1"] },
        })
    }

    fn terraform(action: &str) -> Value {
        let input = json!({ "hostedZoneArns": ["arn:aws:route53:::hostedzone/Z1"] });
        let mut event = input.clone();
        event["tf"] = json!({ "action": action, "prev_input": input });
        event
    }

    #[test]
    fn only_a_deletion_is_one_whoever_asks() {
        for (event, is_deletion) in [
            (cloudformation("Create"), false),
            (cloudformation("Update"), false),
            (cloudformation("Delete"), true),
            (terraform("create"), false),
            (terraform("update"), false),
            (terraform("delete"), true),
        ] {
            assert!(is_guard_request(&event), "{event}");
            let request = GuardRequest::parse(&event).unwrap();
            assert_eq!(request.is_deletion, is_deletion, "{event}");
            let zones: Vec<_> = request
                .hosted_zones
                .iter()
                .map(HostedZoneId::as_str)
                .collect();
            assert_eq!(zones, ["Z1"], "{event}");
        }
    }

    #[test]
    fn requests_for_a_rollback_are_none_of_the_guard() {
        for event in [
            json!({ "sweep": { "at": "2026-11-23T00:00:00Z" } }),
            json!({ "execution": "2026-11-upgrade" }),
        ] {
            assert!(!is_guard_request(&event), "{event}");
        }
    }

    /// Terraform sees nothing but whether the function failed.
    #[tokio::test]
    async fn a_refusal_fails_the_call_of_terraform_with_its_reason() {
        let request = GuardRequest::parse(&terraform("delete")).unwrap();
        let refused = request.answer(Some("a migration holds")).await.unwrap_err();
        assert_eq!(refused.error_type, "StillNeeded");
        assert_eq!(refused.error_message, "a migration holds");
        let permitted = request.answer(None).await.unwrap();
        assert_eq!(permitted, json!({ "refused": false }));
    }

    #[test]
    fn an_action_that_terraform_does_not_have_is_invalid() {
        let error = GuardRequest::parse(&terraform("refresh")).unwrap_err();
        assert_eq!(error.name(), "InvalidInput");
        assert!(
            error.message().starts_with("tf.action: "),
            "{}",
            error.message()
        );
    }
}
