//! The zones of a request.

use migration::dns::HostedZoneId;
use serde::{Deserialize, Deserializer};

/// The ids of zones, from their ARNs.
pub(crate) fn ids<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<HostedZoneId>, D::Error> {
    let arns = Vec::<String>::deserialize(deserializer)?;
    let ids = arns.iter().map(|arn| arn.rsplit('/').next().unwrap_or(arn));
    ids.map(|id| id.parse().map_err(serde::de::Error::custom))
        .collect()
}
