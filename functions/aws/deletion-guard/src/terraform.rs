//! The provider's calls for the resource `aws_lambda_invocation` with the `lifecycle_scope` `CRUD`.
//!
//! It invokes the function when the resource is created, changed and destroyed, with the input of the resource and
//! what it is doing in `tf`. If the function fails, Terraform reports the function's error and destroys nothing that
//! the resource depends on.
//!
//! Source: documentation of the AWS provider, "Resource: `aws_lambda_invocation`".

use lambda_runtime::Diagnostic;
use migration::Error;
use migration::dns::HostedZoneId;
use migration::json::from_json;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::zones::ids;

/// The input of the resource in the module, and what the provider adds to it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvocationRequest {
    /// The zones in which the stack may change records.
    #[serde(rename = "hostedZoneArns", deserialize_with = "ids")]
    pub(crate) hosted_zones: Vec<HostedZoneId>,
    pub(crate) tf: Lifecycle,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Lifecycle {
    pub(crate) action: Action,
}

/// What Terraform is doing with the resource.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Create,
    Update,
    Delete,
}

/// Whether the provider has sent an event.
pub(crate) fn is_request(event: &Value) -> bool {
    event.pointer("/tf/action").is_some()
}

impl InvocationRequest {
    /// # Errors
    /// [`Error::InvalidInput`] if a field is missing or has another shape.
    pub(crate) fn parse(event: &Value) -> Result<Self, Error> {
        from_json(event)
    }
}

/// The answer to the provider, which keeps it in the state.
///
/// # Errors
/// A refusal, because only an error of the function ends a destruction.
pub(crate) fn answer(refusal: Option<&str>) -> Result<Value, Diagnostic> {
    match refusal {
        None => Ok(json!({ "refused": false })),
        Some(reason) => Err(Diagnostic {
            error_type: "StillNeeded".to_owned(),
            error_message: reason.to_owned(),
        }),
    }
}
