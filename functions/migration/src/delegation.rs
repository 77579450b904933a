//! Whether the world asks a zone: whether its name servers are those that answer for its name.
//!
//! Anybody can create a hosted zone of any name. If another one is delegated, or none, its weights have no effect.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;

use crate::Error;
use crate::dns::{HostedZoneId, RecordName};
use crate::error::Unavailable;
use crate::route53::Route53;

/// Recursive look-ups, as the clients of the names make them.
pub trait Resolver {
    /// The names of the servers that answer for `zone` (NS records); empty if it has none.
    fn name_servers(
        &self,
        zone: &RecordName,
    ) -> impl Future<Output = Result<BTreeSet<RecordName>, Error>> + Send;

    /// The IP addresses of `host`; empty if it has none.
    fn addresses(
        &self,
        host: &RecordName,
    ) -> impl Future<Output = Result<BTreeSet<IpAddr>, Error>> + Send;
}

/// Which zone the world asks for a zone's name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Delegation {
    /// This zone.
    Here,
    /// The zone is private: the resolvers of its VPCs ask it, whatever is delegated.
    Private,
    /// No zone: the name has no NS records.
    Nowhere,
    /// Other name servers than those of this zone.
    Elsewhere {
        name_servers: BTreeSet<RecordName>,
        /// The public zone of the same name in this account whose name servers they are.
        zone: Option<HostedZoneId>,
    },
}

/// Finds out which zone the world asks for the name of the zone `id`.
///
/// The servers are compared by their addresses, because white-label name servers have names of their own.
///
/// # Errors
/// If Route 53 or the resolver did not answer.
///
/// Source: Route 53 API Reference, `DelegationSet`; Route 53 Developer Guide, "Configuring white-label name servers".
pub async fn delegation(
    route53: &impl Route53,
    resolver: &impl Resolver,
    id: &HostedZoneId,
) -> Result<Delegation, Error> {
    let hosted_zone = route53.get_hosted_zone(id).await?;
    if hosted_zone.is_private {
        return Ok(Delegation::Private);
    }
    let delegated = resolver.name_servers(&hosted_zone.name).await?;
    if delegated.is_empty() {
        return Ok(Delegation::Nowhere);
    }
    if serve_together(resolver, &delegated, &hosted_zone.name_servers).await? {
        return Ok(Delegation::Here);
    }
    let zone = delegated_zone(route53, resolver, id, &hosted_zone.name, &delegated).await;
    Ok(Delegation::Elsewhere {
        name_servers: delegated,
        // It only helps to find the right zone.
        zone: zone.unwrap_or_default(),
    })
}

/// Whether some of the `delegated` servers are among those of a zone.
async fn serve_together(
    resolver: &impl Resolver,
    delegated: &BTreeSet<RecordName>,
    of_zone: &BTreeSet<RecordName>,
) -> Result<bool, Error> {
    if !delegated.is_disjoint(of_zone) {
        return Ok(true);
    }
    let mut addresses = BTreeSet::new();
    for host in of_zone {
        addresses.extend(resolver.addresses(host).await?);
    }
    if addresses.is_empty() {
        return Err(Error::from(Unavailable::Unusable {
            action: "the look-up of the zone's name servers".to_owned(),
            problem: "they have no addresses".to_owned(),
        }));
    }
    for host in delegated {
        if !addresses.is_disjoint(&resolver.addresses(host).await?) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The public zone with the `name`, other than `id`, that has the `delegated` servers.
async fn delegated_zone(
    route53: &impl Route53,
    resolver: &impl Resolver,
    id: &HostedZoneId,
    name: &RecordName,
    delegated: &BTreeSet<RecordName>,
) -> Result<Option<HostedZoneId>, Error> {
    for other in route53.hosted_zones_by_name(name).await? {
        if other == *id {
            continue;
        }
        let hosted_zone = route53.get_hosted_zone(&other).await?;
        if !hosted_zone.is_private
            && serve_together(resolver, delegated, &hosted_zone.name_servers).await?
        {
            return Ok(Some(other));
        }
    }
    Ok(None)
}
