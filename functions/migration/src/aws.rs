//! AWS's own clients behind this crate's narrow interfaces: the only place that
//! knows the SDK's types, and where its errors become [`Error`]s.

use std::time::SystemTime;

use aws_sdk_route53::config::http::HttpResponse;
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_route53::types as sdk;
use aws_sdk_sfn::types::ExecutionStatus;
use aws_smithy_types::DateTime;
use aws_smithy_types::error::display::DisplayErrorContext;
use serde_json::Value;

use crate::executions::{Execution, Executions, Listed, Status};
use crate::name::HostedZoneId;
use crate::record::{Answer, RecordSet, RecordType, Routing};
use crate::route53::{Change, ChangeId, HostedZone, ListStart, Page, Route53};
use crate::{Error, shortened};

/// The codes by which AWS's services ask to slow down.
const THROTTLING_CODES: [&str; 5] = [
    "PriorRequestNotComplete",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];
/// The codes by which they say that a request makes no sense, however often it is made.
const REQUEST_CODES: [&str; 4] = [
    "InvalidInput",
    "InvalidParameterValue",
    "ValidationError",
    "ValidationException",
];
/// The codes by which Route 53 refuses a change that makes no sense in this zone.
///
/// Source: Route 53 API Reference, `ChangeResourceRecordSets`, "Errors".
const REFUSAL_CODES: [&str; 3] = ["InvalidChangeBatch", "InvalidInput", "NoSuchHealthCheck"];
/// More events than there are in a state that is not a Parallel, with a few retries.
const EVENTS_OF_A_STATE: i32 = 50;
/// Characters of the cause with which an execution is stopped.
///
/// Source: Step Functions API Reference, `StopExecution`.
const LONGEST_CAUSE: usize = 32_000;
const ACCESS_CODES: [&str; 4] = [
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredTokenException",
    "UnrecognizedClientException",
];

/// The variant for an error that no caller handles by itself. `action` is the
/// API call, in IAM's spelling.
pub fn classify<E>(action: &str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.code().unwrap_or_default();
    let said = match (code, error.message().unwrap_or_default()) {
        ("", "") => "no reason was given".to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    if THROTTLING_CODES.contains(&code) {
        return Error::Throttled(format!("{action} is being throttled ({said})"));
    }
    // Not every denial can be parsed; its status is the same.
    let is_forbidden = error
        .raw_response()
        .is_some_and(|response| response.status().as_u16() == 403);
    if ACCESS_CODES.contains(&code) || is_forbidden {
        return Error::NotPermitted(format!(
            "{action} is not permitted ({said}); the stack's template grants it: deploy it anew, and look \
             for a service control policy that denies it"
        ));
    }
    if REQUEST_CODES.contains(&code) {
        return Error::InvalidInput(format!("{action} refused the request ({said})"));
    }
    match error {
        SdkError::ServiceError(_) => Error::Unavailable(format!("{action} failed ({said})")),
        other => Error::Unavailable(format!(
            "{action} got no answer: {}",
            DisplayErrorContext(other)
        )),
    }
}

impl Route53 for aws_sdk_route53::Client {
    async fn get_hosted_zone(&self, id: &HostedZoneId) -> Result<HostedZone, Error> {
        let output = self
            .get_hosted_zone()
            .id(id.as_str())
            .send()
            .await
            .map_err(|error| zone_error("route53:GetHostedZone", id, &error))?;
        let zone = output.hosted_zone().ok_or_else(|| {
            Error::Unavailable(format!("route53:GetHostedZone said nothing of {id}"))
        })?;
        Ok(HostedZone {
            name: zone.name().parse().map_err(Error::Unavailable)?,
            record_set_count: zone
                .resource_record_set_count()
                .and_then(|count| usize::try_from(count).ok())
                // Without a count, name by name is right for few names, and paging ends by itself.
                .unwrap_or(usize::MAX),
        })
    }

    async fn list_resource_record_sets(
        &self,
        id: &HostedZoneId,
        start: Option<&ListStart>,
        max_items: usize,
    ) -> Result<Page, Error> {
        let output = self
            .list_resource_record_sets()
            .hosted_zone_id(id.as_str())
            .set_start_record_name(start.map(|start| start.name.fully_qualified()))
            .set_start_record_type(
                start.and_then(|start| start.record_type.as_deref().map(sdk::RrType::from)),
            )
            .set_start_record_identifier(start.and_then(|start| start.set_identifier.clone()))
            .max_items(i32::try_from(max_items).unwrap_or(i32::MAX))
            .send()
            .await
            .map_err(|error| zone_error("route53:ListResourceRecordSets", id, &error))?;
        let next = match output.next_record_name() {
            Some(name) if output.is_truncated() => Some(ListStart {
                name: name.parse().map_err(Error::Unavailable)?,
                record_type: output
                    .next_record_type()
                    .map(|text| text.as_str().to_owned()),
                set_identifier: output.next_record_identifier().map(str::to_owned),
            }),
            _ => None,
        };
        let record_sets = output
            .resource_record_sets
            .iter()
            .filter_map(|record_set| match from_sdk(record_set) {
                Ok(record_set) => Some(Ok(record_set)),
                // A record that no migration looks at must not stand in its way.
                Err(_) if !concerns_migrations(record_set) => None,
                Err(problem) => Some(Err(Error::UnsupportedRouting(format!(
                    "the {} record {} can't be read: {problem}",
                    record_set.r#type().as_str(),
                    record_set.name()
                )))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Page { record_sets, next })
    }

    async fn change_resource_record_sets(
        &self,
        id: &HostedZoneId,
        changes: &[Change<'_>],
    ) -> Result<ChangeId, Error> {
        let changes = changes
            .iter()
            .map(change_to_sdk)
            .collect::<Result<_, _>>()?;
        let batch = sdk::ChangeBatch::builder()
            .set_changes(Some(changes))
            .comment("Cutover")
            .build()
            .map_err(|error| Error::ChangeRefused(error.to_string()))?;
        let output = self
            .change_resource_record_sets()
            .hosted_zone_id(id.as_str())
            .change_batch(batch)
            .send()
            .await
            .map_err(|error| change_error(id, &error))?;
        output
            .change_info()
            .map(|info| info.id().to_owned())
            .ok_or_else(|| {
                Error::Unavailable("route53:ChangeResourceRecordSets gave no change id".into())
            })
    }

    async fn is_in_sync(&self, change_id: &str) -> Result<bool, Error> {
        let output = self
            .get_change()
            .id(change_id)
            .send()
            .await
            .map_err(|error| classify("route53:GetChange", &error))?;
        Ok(output
            .change_info()
            .is_some_and(|info| *info.status() == sdk::ChangeStatus::Insync))
    }
}

fn change_error<E>(id: &HostedZoneId, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if error
        .code()
        .is_some_and(|code| REFUSAL_CODES.contains(&code))
    {
        // The SDK leaves `messages` empty; Route 53's text is in `message`.
        return Error::ChangeRefused(format!(
            "Route 53 refused the change: {}",
            error.message().unwrap_or("without a reason")
        ));
    }
    zone_error("route53:ChangeResourceRecordSets", id, error)
}

fn zone_error<E>(action: &str, id: &HostedZoneId, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if error.code() == Some("NoSuchHostedZone") {
        return Error::NoSuchHostedZone(format!(
            "hostedZoneId: this account has no hosted zone {id}; `aws route53 list-hosted-zones` lists those it has"
        ));
    }
    match classify(action, error) {
        Error::NotPermitted(problem) => Error::NotPermitted(format!(
            "hostedZoneId: either {id} is mistyped, or it is not among the HostedZoneArns that the stack was \
             deployed with: {problem}"
        )),
        other => other,
    }
}

fn concerns_migrations(record_set: &sdk::ResourceRecordSet) -> bool {
    let record_type = RecordType::from(record_set.r#type().as_str());
    record_type.moves() || record_type == RecordType::Txt
}

/// A record set as the SDK gives it, whole, or what of it this crate can't hold.
pub fn from_sdk(record_set: &sdk::ResourceRecordSet) -> Result<RecordSet, String> {
    let routing = match (record_set.weight(), record_set.set_identifier()) {
        (Some(weight), Some(set_identifier)) => Routing::Weighted {
            set_identifier: set_identifier.parse()?,
            weight: u8::try_from(weight)
                .map_err(|_| format!("expected a weight from 0 to 255, found {weight}"))?,
        },
        (None, None) => Routing::Simple,
        _ => Routing::Other(policy(record_set)),
    };
    let answer = match record_set.alias_target() {
        Some(alias) => Answer::Alias {
            hosted_zone_id: alias.hosted_zone_id().to_owned(),
            dns_name: alias.dns_name().to_owned(),
            evaluate_target_health: alias.evaluate_target_health(),
        },
        None => Answer::Values {
            ttl_seconds: record_set
                .ttl()
                .and_then(|ttl| u32::try_from(ttl).ok())
                .unwrap_or_default(),
            values: record_set
                .resource_records()
                .iter()
                .map(|record| record.value().to_owned())
                .collect(),
        },
    };
    Ok(RecordSet {
        name: record_set.name().parse()?,
        record_type: record_set.r#type().as_str().into(),
        routing,
        answer,
        health_check_id: record_set.health_check_id().map(str::to_owned),
        traffic_policy_instance_id: record_set.traffic_policy_instance_id().map(str::to_owned),
    })
}

fn policy(record_set: &sdk::ResourceRecordSet) -> &'static str {
    if record_set.region().is_some() {
        "latency"
    } else if record_set.failover().is_some() {
        "failover"
    } else if record_set.geo_location().is_some() {
        "geolocation"
    } else if record_set.geo_proximity_location().is_some() {
        "geoproximity"
    } else if record_set.cidr_routing_config().is_some() {
        "IP-based"
    } else if record_set.multi_value_answer().is_some() {
        "multivalue answer"
    } else {
        "an unknown"
    }
}

fn change_to_sdk(change: &Change<'_>) -> Result<sdk::Change, Error> {
    let (action, record_set) = match change {
        Change::Delete(record_set) => (sdk::ChangeAction::Delete, record_set),
        Change::Create(record_set) => (sdk::ChangeAction::Create, record_set),
    };
    to_sdk(record_set)
        .and_then(|record_set| {
            sdk::Change::builder()
                .action(action)
                .resource_record_set(record_set)
                .build()
        })
        .map_err(|error| Error::ChangeRefused(error.to_string()))
}

/// A record set for the SDK, every field as it was read.
pub fn to_sdk(
    record_set: &RecordSet,
) -> Result<sdk::ResourceRecordSet, aws_smithy_types::error::operation::BuildError> {
    let mut builder = sdk::ResourceRecordSet::builder()
        .name(record_set.name.fully_qualified())
        .r#type(sdk::RrType::from(record_set.record_type.as_str()))
        .set_health_check_id(record_set.health_check_id.clone())
        .set_traffic_policy_instance_id(record_set.traffic_policy_instance_id.clone());
    if let Some((set_identifier, weight)) = record_set.weighted() {
        builder = builder
            .set_identifier(set_identifier.as_str())
            .weight(i64::from(weight));
    }
    match &record_set.answer {
        Answer::Values {
            ttl_seconds,
            values,
        } => {
            builder = builder.ttl(i64::from(*ttl_seconds));
            for value in values {
                builder =
                    builder.resource_records(sdk::ResourceRecord::builder().value(value).build()?);
            }
            builder.build()
        }
        Answer::Alias {
            hosted_zone_id,
            dns_name,
            evaluate_target_health,
        } => builder
            .alias_target(
                sdk::AliasTarget::builder()
                    .hosted_zone_id(hosted_zone_id)
                    .dns_name(dns_name)
                    .evaluate_target_health(*evaluate_target_health)
                    .build()?,
            )
            .build(),
    }
}

/// Executions of the migration state machine, through Step Functions.
#[derive(Clone, Debug)]
pub struct StepFunctions {
    client: aws_sdk_sfn::Client,
    state_machine_arn: String,
    execution_arn_prefix: String,
}

impl StepFunctions {
    /// `state_machine_arn` is the migration state machine's.
    pub fn new(client: aws_sdk_sfn::Client, state_machine_arn: &str) -> Self {
        // arn:aws:states:REGION:ACCOUNT:stateMachine:NAME becomes arn:aws:states:REGION:ACCOUNT:execution:NAME:…
        let execution_arn_prefix =
            state_machine_arn.replacen(":stateMachine:", ":execution:", 1) + ":";
        Self {
            client,
            state_machine_arn: state_machine_arn.to_owned(),
            execution_arn_prefix,
        }
    }

    /// The executions of one status. Those that have ended are listed by when they stopped, the
    /// last one first.
    ///
    /// Source: Step Functions API Reference, `ListExecutions`.
    async fn list_by(
        &self,
        status: ExecutionStatus,
        stopped_since: Option<SystemTime>,
    ) -> Result<Vec<Listed>, Error> {
        let mut listed = Vec::new();
        let mut token = None;
        loop {
            let page = self
                .client
                .list_executions()
                .state_machine_arn(&self.state_machine_arn)
                .status_filter(status.clone())
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| classify("states:ListExecutions", &error))?;
            for item in page.executions {
                let stopped_at = item.stop_date.and_then(system_time);
                if stopped_since.is_some_and(|since| stopped_at.is_some_and(|at| at < since)) {
                    return Ok(listed);
                }
                listed.push(Listed {
                    started_at: system_time(item.start_date).unwrap_or(SystemTime::UNIX_EPOCH),
                    name: item.name,
                });
            }
            if page.next_token.is_none() {
                return Ok(listed);
            }
            token = page.next_token;
        }
    }
}

impl Executions for StepFunctions {
    fn arn(&self, name: &str) -> String {
        format!("{}{name}", self.execution_arn_prefix)
    }

    async fn describe(&self, name: &str) -> Result<Option<Execution>, Error> {
        let output = self
            .client
            .describe_execution()
            .execution_arn(self.arn(name))
            .send()
            .await;
        match output {
            Ok(output) => Ok(Some(Execution {
                status: match output.status() {
                    ExecutionStatus::Running => Status::Running,
                    ExecutionStatus::Succeeded => Status::Succeeded,
                    _ => Status::Unsuccessful,
                },
                redriven_at: output.redrive_date().copied().and_then(system_time),
                error: output.error().map(str::to_owned),
                cause: output.cause().map(str::to_owned),
                input: output
                    .input()
                    .and_then(|input| serde_json::from_str(input).ok())
                    .unwrap_or(Value::Null),
            })),
            Err(error) if matches!(error.code(), Some("ExecutionDoesNotExist" | "InvalidArn")) => {
                Ok(None)
            }
            Err(error) => Err(classify("states:DescribeExecution", &error)),
        }
    }

    async fn list(&self, aborted_since: Option<SystemTime>) -> Result<Vec<Listed>, Error> {
        let mut listed = self.list_by(ExecutionStatus::Running, None).await?;
        if aborted_since.is_some() {
            listed.extend(
                self.list_by(ExecutionStatus::Aborted, aborted_since)
                    .await?,
            );
        }
        Ok(listed)
    }

    async fn state(&self, name: &str) -> Result<Option<String>, Error> {
        let page = self
            .client
            .get_execution_history()
            .execution_arn(self.arn(name))
            .reverse_order(true)
            .max_results(EVENTS_OF_A_STATE)
            .include_execution_data(false)
            .send()
            .await
            .map_err(|error| classify("states:GetExecutionHistory", &error))?;
        let entered = page
            .events
            .iter()
            .find_map(|event| event.state_entered_event_details());
        Ok(entered.map(|state| state.name().to_owned()))
    }

    async fn stop(&self, name: &str, error: &str, cause: &str) -> Result<(), Error> {
        let stopped = self
            .client
            .stop_execution()
            .execution_arn(self.arn(name))
            .error(error)
            .cause(shortened(cause, LONGEST_CAUSE))
            .send()
            .await;
        match stopped {
            Ok(_) => Ok(()),
            // It may have ended since it was last asked about.
            Err(_)
                if self
                    .describe(name)
                    .await?
                    .is_some_and(|execution| !execution.is_running()) =>
            {
                Ok(())
            }
            Err(error) => Err(classify("states:StopExecution", &error)),
        }
    }
}

fn system_time(time: DateTime) -> Option<SystemTime> {
    time.try_into().ok()
}

#[cfg(test)]
mod tests {
    use aws_sdk_route53::error::ErrorMetadata;
    use aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError;
    use aws_smithy_types::body::SdkBody;

    use super::*;
    use crate::fake::record_sets_from_cli_json;

    const BLUEPRINT: &str = include_str!("../../../tests/zone-blueprint.json");

    #[test]
    fn record_sets_go_through_the_sdk_and_back_whole() {
        for record_set in record_sets_from_cli_json(BLUEPRINT) {
            assert_eq!(from_sdk(&to_sdk(&record_set).unwrap()), Ok(record_set));
        }
    }

    #[test]
    fn a_change_is_a_delete_or_a_create() {
        for record_set in &record_sets_from_cli_json(BLUEPRINT) {
            for (change, action) in [
                (Change::Delete(record_set), sdk::ChangeAction::Delete),
                (Change::Create(record_set), sdk::ChangeAction::Create),
            ] {
                assert_eq!(*change_to_sdk(&change).unwrap().action(), action);
            }
        }
    }

    #[test]
    fn a_change_without_its_health_check_is_refused_for_good() {
        let said = ErrorMetadata::builder()
            .code("NoSuchHealthCheck")
            .message("A health check with id 6c9c7e2f does not exist.")
            .build();
        let error = ChangeResourceRecordSetsError::generic(said);
        let response = HttpResponse::new(404.try_into().unwrap(), SdkBody::empty());
        let error = SdkError::service_error(error, response);
        assert_eq!(
            change_error(&"Z0EXAMPLE".parse().unwrap(), &error),
            Error::ChangeRefused(
                "Route 53 refused the change: A health check with id 6c9c7e2f does not exist."
                    .into()
            )
        );
    }

    #[test]
    fn other_routing_is_named_and_a_senseless_weight_refused() {
        let record_set = |builder: sdk::builders::ResourceRecordSetBuilder| {
            let builder = builder.name("a.example.com.").r#type(sdk::RrType::A);
            from_sdk(&builder.set_identifier("one").build().unwrap())
        };
        let latency = sdk::ResourceRecordSet::builder().region("eu-west-3".into());
        assert_eq!(
            record_set(latency).unwrap().routing,
            Routing::Other("latency")
        );
        let failover = sdk::ResourceRecordSet::builder().failover("PRIMARY".into());
        assert_eq!(
            record_set(failover).unwrap().routing,
            Routing::Other("failover")
        );
        let heavy = sdk::ResourceRecordSet::builder().weight(256);
        assert_eq!(
            record_set(heavy),
            Err("expected a weight from 0 to 255, found 256".into())
        );
    }
}
