//! Turns errors of the SDKs into errors of the domain, and those into Lambda's error response.

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::display::DisplayErrorContext;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use lambda_runtime::Diagnostic;
use migration::Error;
use migration::error::{InvalidInput, NotPermitted, Throttled, Unavailable};

/// The error codes of throttled calls.
const THROTTLING_CODES: [&str; 5] = [
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];
/// The error codes of invalid requests, which fail on every retry.
const REQUEST_CODES: [&str; 4] = [
    "InvalidInput",
    "InvalidParameterValue",
    "ValidationError",
    "ValidationException",
];
/// The error codes of denied access.
const ACCESS_CODES: [&str; 4] = [
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredTokenException",
    "UnrecognizedClientException",
];

/// Turns an error of an SDK that the adapter does not handle itself into an error of the domain.
/// `action` is the API call, in IAM's spelling.
pub fn classify<E>(action: &str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let action = action.to_owned();
    let code = error.code().unwrap_or_default();
    let answer = match (code, error.message().unwrap_or_default()) {
        ("", "") => "no reason was given".to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    if THROTTLING_CODES.contains(&code) {
        return Error::from(Throttled { action, answer });
    }
    // Some denials have no code that can be parsed, but all have this status.
    let is_forbidden = error
        .raw_response()
        .is_some_and(|response| response.status().as_u16() == 403);
    if ACCESS_CODES.contains(&code) || is_forbidden {
        return Error::from(NotPermitted::Action { action, answer });
    }
    if REQUEST_CODES.contains(&code) {
        return Error::from(InvalidInput::RefusedByAws { action, answer });
    }
    Error::from(match error {
        SdkError::ServiceError(_) => Unavailable::Failed { action, answer },
        other => Unavailable::NoAnswer {
            action,
            problem: DisplayErrorContext(other).to_string(),
        },
    })
}

/// Lambda's error response: `errorType` is the name that Retry and Catch match.
#[expect(
    clippy::needless_pass_by_value,
    reason = "every `main.rs` passes it to `map_err`"
)]
pub fn diagnostic(error: Error) -> Diagnostic {
    Diagnostic {
        error_type: error.name().to_owned(),
        error_message: error.message(),
    }
}
