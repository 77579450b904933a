//! Route 53 through its SDK.

use aws::classify;
use aws_config::SdkConfig;
use aws_sdk_route53::config::http::HttpResponse;
use aws_sdk_route53::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_route53::types as sdk;
use migration::Error;
use migration::dns::{HostedZoneId, RecordData, RecordName, RecordSet, RecordType, Routing};
use migration::error::{
    ChangeRefused, NoSuchHostedZone, NotPermitted, Unavailable, UnsupportedRouting,
};
use migration::route53::{
    Change, ChangeId, ChangeStatus, HostedZone, ListStart, Page, RecordLimit, Route53,
};
use migration::text::shortened;

/// The error codes with which Route 53 refuses a change that is not valid for the zone.
///
/// Source: Route 53 API Reference, `ChangeResourceRecordSets`, "Errors".
const REFUSAL_CODES: [&str; 3] = ["InvalidChangeBatch", "InvalidInput", "NoSuchHealthCheck"];

/// The maximum length of a batch's comment, in characters.
///
/// Source: Route 53 API Reference, `ChangeBatch`.
const LONGEST_COMMENT: usize = 256;

#[derive(Clone, Debug)]
pub struct Route53Client(aws_sdk_route53::Client);

impl Route53Client {
    pub fn new(config: &SdkConfig) -> Self {
        Self(aws_sdk_route53::Client::new(config))
    }

    /// The SDK's client, for calls that [`Route53`] does not have.
    pub fn sdk(&self) -> &aws_sdk_route53::Client {
        &self.0
    }
}

impl From<aws_sdk_route53::Client> for Route53Client {
    fn from(client: aws_sdk_route53::Client) -> Self {
        Self(client)
    }
}

impl Route53 for Route53Client {
    async fn get_hosted_zone(&self, id: &HostedZoneId) -> Result<HostedZone, Error> {
        let output = self
            .0
            .get_hosted_zone()
            .id(id.as_str())
            .send()
            .await
            .map_err(|error| zone_error("route53:GetHostedZone", id, &error))?;
        let zone = output.hosted_zone().ok_or_else(|| {
            unusable(
                "route53:GetHostedZone",
                format!("it does not contain the zone {id}"),
            )
        })?;
        Ok(HostedZone {
            name: zone
                .name()
                .parse()
                .map_err(|problem| unusable("route53:GetHostedZone", problem))?,
            record_set_count: zone
                .resource_record_set_count()
                .and_then(|count| usize::try_from(count).ok())
                // The count only chooses between reading the whole zone and reading name by name. Without
                // it, name by name is right for few names.
                .unwrap_or(usize::MAX),
            is_private: zone
                .config()
                .is_some_and(sdk::HostedZoneConfig::private_zone),
            name_servers: output
                .delegation_set()
                .map(sdk::DelegationSet::name_servers)
                .unwrap_or_default()
                .iter()
                .filter_map(|name| name.parse().ok())
                .collect(),
        })
    }

    async fn hosted_zones_by_name(&self, name: &RecordName) -> Result<Vec<HostedZoneId>, Error> {
        // The zones come in the order of their names, so those with this one come first.
        let output = self
            .0
            .list_hosted_zones_by_name()
            .dns_name(name.fully_qualified())
            .send()
            .await
            .map_err(|error| classify("route53:ListHostedZonesByName", &error))?;
        let is_named = |zone: &&sdk::HostedZone| zone.name().parse().as_ref() == Ok(name);
        let zones = output.hosted_zones().iter().filter(is_named);
        Ok(zones.filter_map(|zone| zone.id().parse().ok()).collect())
    }

    async fn record_limit(&self, id: &HostedZoneId) -> Result<RecordLimit, Error> {
        const ACTION: &str = "route53:GetHostedZoneLimit";
        let output = self
            .0
            .get_hosted_zone_limit()
            .hosted_zone_id(id.as_str())
            .r#type(sdk::HostedZoneLimitType::MaxRrsetsByZone)
            .send()
            .await
            .map_err(|error| zone_error(ACTION, id, &error))?;
        let limit = output.limit().map(sdk::HostedZoneLimit::value);
        let number = |number: Option<i64>| number.and_then(|number| usize::try_from(number).ok());
        match (number(Some(output.count())), number(limit)) {
            (Some(count), Some(limit)) => Ok(RecordLimit { count, limit }),
            _ => Err(unusable(ACTION, "it does not contain the limit".to_owned())),
        }
    }

    async fn list_resource_record_sets(
        &self,
        id: &HostedZoneId,
        start: Option<&ListStart>,
        max_items: usize,
    ) -> Result<Page, Error> {
        let output = self
            .0
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
                name: name
                    .parse()
                    .map_err(|problem| unusable("route53:ListResourceRecordSets", problem))?,
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
                // A record that no migration reads must not make one fail.
                Err(_) if !is_read_by_migrations(record_set) => None,
                Err(problem) => Some(Err(Error::from(UnsupportedRouting::Unreadable {
                    name: record_set.name().to_owned(),
                    record_type: record_set.r#type().as_str().to_owned(),
                    problem,
                }))),
            })
            .collect::<Result<_, _>>()?;
        Ok(Page { record_sets, next })
    }

    async fn change_resource_record_sets(
        &self,
        id: &HostedZoneId,
        comment: &str,
        changes: &[Change<'_>],
    ) -> Result<ChangeId, Error> {
        let changes = changes
            .iter()
            .map(change_to_sdk)
            .collect::<Result<_, _>>()?;
        let batch = sdk::ChangeBatch::builder()
            .set_changes(Some(changes))
            .comment(shortened(comment, LONGEST_COMMENT - 1))
            .build()
            .map_err(|error| refused(&error))?;
        let output = self
            .0
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
                unusable(
                    "route53:ChangeResourceRecordSets",
                    "it does not contain the id of the change".to_owned(),
                )
            })
    }

    async fn change_status(&self, change_id: &str) -> Result<ChangeStatus, Error> {
        let output = match self.0.get_change().id(change_id).send().await {
            Ok(output) => output,
            Err(error) => return lost_or_error(&error),
        };
        let is_in_sync = output
            .change_info()
            .is_some_and(|info| *info.status() == sdk::ChangeStatus::Insync);
        Ok(if is_in_sync {
            ChangeStatus::InSync
        } else {
            ChangeStatus::Pending
        })
    }
}

/// What an error of `GetChange` says.
fn lost_or_error<E>(error: &SdkError<E, HttpResponse>) -> Result<ChangeStatus, Error>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    // Source: Route 53 API Reference, `GetChange`, "Errors".
    if error.code() == Some("NoSuchChange") {
        return Ok(ChangeStatus::Lost);
    }
    Err(classify("route53:GetChange", error))
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
        return Error::from(ChangeRefused {
            reason: error.message().unwrap_or("without a reason").to_owned(),
        });
    }
    zone_error("route53:ChangeResourceRecordSets", id, error)
}

fn zone_error<E>(action: &str, id: &HostedZoneId, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if error.code() == Some("NoSuchHostedZone") {
        return Error::from(NoSuchHostedZone { id: id.clone() });
    }
    match classify(action, error) {
        Error::NotPermitted(denial) => match *denial {
            NotPermitted::Action { action, answer } => Error::from(NotPermitted::HostedZone {
                id: id.clone(),
                action,
                answer,
            }),
            other @ NotPermitted::HostedZone { .. } => Error::from(other),
        },
        other => other,
    }
}

fn unusable(action: &str, problem: String) -> Error {
    Error::from(Unavailable::Unusable {
        action: action.to_owned(),
        problem,
    })
}

/// A change that the SDK itself refuses to build.
fn refused(error: &BuildError) -> Error {
    Error::from(ChangeRefused {
        reason: error.to_string(),
    })
}

fn is_read_by_migrations(record_set: &sdk::ResourceRecordSet) -> bool {
    let record_type = RecordType::from(record_set.r#type().as_str());
    record_type.moves() || record_type == RecordType::Txt
}

/// The whole record set of the SDK, or an error that says which part [`RecordSet`] can't represent.
pub fn from_sdk(record_set: &sdk::ResourceRecordSet) -> Result<RecordSet, String> {
    let routing = match (record_set.weight(), record_set.set_identifier()) {
        (Some(weight), Some(set_identifier)) => Routing::Weighted {
            set_identifier: set_identifier.parse()?,
            weight: u8::try_from(weight)
                .map_err(|_| format!("expected a weight from 0 to 255, found {weight}"))?,
        },
        (None, None) => Routing::Simple,
        _ => Routing::Other(routing_policy(record_set)),
    };
    let data = match record_set.alias_target() {
        Some(alias) => RecordData::Alias {
            hosted_zone_id: alias.hosted_zone_id().to_owned(),
            dns_name: alias.dns_name().to_owned(),
            evaluate_target_health: alias.evaluate_target_health(),
        },
        None => RecordData::Values {
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
        data,
        health_check_id: record_set.health_check_id().map(str::to_owned),
        traffic_policy_instance_id: record_set.traffic_policy_instance_id().map(str::to_owned),
    })
}

fn routing_policy(record_set: &sdk::ResourceRecordSet) -> &'static str {
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
        .map_err(|error| refused(&error))
}

/// The record set for the SDK, with every field as it was read: Route 53 deletes a record set only if
/// all of its values match.
pub fn to_sdk(record_set: &RecordSet) -> Result<sdk::ResourceRecordSet, BuildError> {
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
    match &record_set.data {
        RecordData::Values {
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
        RecordData::Alias {
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

#[cfg(test)]
mod tests {
    use aws_sdk_route53::error::ErrorMetadata;
    use aws_sdk_route53::operation::change_resource_record_sets::ChangeResourceRecordSetsError;
    use aws_sdk_route53::operation::get_change::GetChangeError;
    use aws_smithy_types::body::SdkBody;

    use super::*;
    use fakes::record_sets_from_cli_json;

    const BLUEPRINT: &str = include_str!("../../../../tests/zone-blueprint.json");

    #[test]
    fn record_sets_convert_to_the_sdk_and_back_without_loss() {
        for record_set in record_sets_from_cli_json(BLUEPRINT) {
            assert_eq!(from_sdk(&to_sdk(&record_set).unwrap()), Ok(record_set));
        }
    }

    #[test]
    fn changes_convert_to_delete_and_create() {
        for record_set in &record_sets_from_cli_json(BLUEPRINT) {
            for (change, action) in [
                (Change::Delete(record_set), sdk::ChangeAction::Delete),
                (Change::Create(record_set), sdk::ChangeAction::Create),
            ] {
                assert_eq!(*change_to_sdk(&change).unwrap().action(), action);
            }
        }
    }

    /// Time advances only when nothing else can continue, so this takes none.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_gets_no_answer_ends_within_half_of_the_functions_timeout() {
        // It accepts connections, and never answers.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let config = aws_sdk_route53::Config::builder()
            .behavior_version(aws_config::BehaviorVersion::latest())
            .region(aws_sdk_route53::config::Region::new("us-east-1"))
            .credentials_provider(aws_sdk_route53::config::Credentials::new(
                "id", "key", None, None, "test",
            ))
            .timeout_config(aws::timeouts())
            .endpoint_url(endpoint)
            .build();
        let client = Route53Client(aws_sdk_route53::Client::from_conf(config));
        let start = tokio::time::Instant::now();
        let error = client.change_status("C1").await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        let took = start.elapsed().as_secs();
        assert!((15..=60).contains(&took), "{took} seconds");
    }

    #[test]
    fn an_unknown_change_is_lost() {
        let status = |code: &str, http_status: u16| {
            let metadata = ErrorMetadata::builder().code(code).build();
            let error = GetChangeError::generic(metadata);
            let response = HttpResponse::new(http_status.try_into().unwrap(), SdkBody::empty());
            lost_or_error(&SdkError::service_error(error, response))
        };
        assert_eq!(status("NoSuchChange", 404), Ok(ChangeStatus::Lost));
        let unavailable = status("ServiceUnavailable", 503);
        assert!(matches!(unavailable, Err(Error::Unavailable(_))));
    }

    #[test]
    fn missing_health_check_is_a_refused_change() {
        let metadata = ErrorMetadata::builder()
            .code("NoSuchHealthCheck")
            .message("A health check with id 6c9c7e2f does not exist.")
            .build();
        let error = ChangeResourceRecordSetsError::generic(metadata);
        let response = HttpResponse::new(404.try_into().unwrap(), SdkBody::empty());
        let error = SdkError::service_error(error, response);
        assert_eq!(
            change_error(&"Z0EXAMPLE".parse().unwrap(), &error),
            Error::from(ChangeRefused {
                reason: "A health check with id 6c9c7e2f does not exist.".into()
            })
        );
    }

    #[test]
    fn other_routing_policies_are_named_and_a_weight_over_255_is_an_error() {
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
