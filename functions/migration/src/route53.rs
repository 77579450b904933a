//! The interface to Route 53, and reading through it the records that a migration needs.
//!
//! There is no UPSERT in this interface: it would overwrite what another writer did in the meantime.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use crate::Error;
use crate::dns::{HostedZoneId, RecordName, RecordSet, Zone};
use crate::error::Unavailable;

/// The maximum number of record sets in one page.
///
/// Source: Route 53 API Reference, `ListResourceRecordSets`.
pub const LARGEST_PAGE: usize = 300;
/// The number of record sets in a request for one name. A usual name has 6 at most: A and AAAA records
/// of two sides, and a registry TXT of each side. Route 53 fills the page with the names that follow, so
/// most of a page of 300 would be discarded. A name with more than 20 is read in several pages.
const PAGE_OF_A_NAME: usize = 20;
/// The time within which Route 53 usually propagates a change to all of its servers, in seconds.
///
/// Source: Route 53 API Reference, `ChangeResourceRecordSets`.
pub const PROPAGATION_SECONDS: u32 = 60;

/// The id of a change that Route 53 accepted.
pub type ChangeId = String;

/// The calls of Route 53's API that a migration needs.
pub trait Route53 {
    /// `GetHostedZone`.
    fn get_hosted_zone(
        &self,
        id: &HostedZoneId,
    ) -> impl Future<Output = Result<HostedZone, Error>> + Send;

    /// `ListHostedZonesByName`: the zones of this account with exactly this name.
    fn hosted_zones_by_name(
        &self,
        name: &RecordName,
    ) -> impl Future<Output = Result<Vec<HostedZoneId>, Error>> + Send;

    /// `GetHostedZoneLimit` of `MAX_RRSETS_BY_ZONE`.
    fn record_limit(
        &self,
        id: &HostedZoneId,
    ) -> impl Future<Output = Result<RecordLimit, Error>> + Send;

    /// `ListResourceRecordSets`: the record sets from `start` on, in Route 53's order.
    fn list_resource_record_sets(
        &self,
        id: &HostedZoneId,
        start: Option<&ListStart>,
        max_items: usize,
    ) -> impl Future<Output = Result<Page, Error>> + Send;

    /// `ChangeResourceRecordSets`: applies all of the changes, in this order, or none. `comment` says who
    /// makes them and why, for the readers of `CloudTrail`.
    ///
    /// # Errors
    /// [`Error::ChangeRefused`] for Route 53's `InvalidChangeBatch`.
    fn change_resource_record_sets(
        &self,
        id: &HostedZoneId,
        comment: &str,
        changes: &[Change<'_>],
    ) -> impl Future<Output = Result<ChangeId, Error>> + Send;

    /// `GetChange`.
    fn change_status(
        &self,
        change_id: &str,
    ) -> impl Future<Output = Result<ChangeStatus, Error>> + Send;
}

/// How far a change is that Route 53 has accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChangeStatus {
    /// `PENDING`.
    Pending,
    /// `INSYNC`: all of Route 53's servers have it.
    InSync,
    /// Route 53 does not know it any more (`NoSuchChange`), although it has accepted it: it was not copied
    /// before the control plane failed over to another Region. Route 53 advises to make such a change again.
    ///
    /// Source: Route 53 Developer Guide, "Accelerated recovery for managing public DNS records".
    Lost,
}

/// The answer of `GetHostedZone`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostedZone {
    pub name: RecordName,
    pub record_set_count: usize,
    pub is_private: bool,
    /// The names of its delegation set; empty for a private zone.
    pub name_servers: BTreeSet<RecordName>,
}

/// How many record sets a zone has, and how many it may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordLimit {
    pub count: usize,
    pub limit: usize,
}

/// The position at which a page begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListStart {
    pub name: RecordName,
    /// The type in Route 53's spelling.
    pub record_type: Option<String>,
    pub set_identifier: Option<String>,
}

/// A page of record sets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    pub record_sets: Vec<RecordSet>,
    /// The beginning of the next page; none on the last page.
    pub next: Option<ListStart>,
}

/// One change of a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change<'a> {
    /// Deletes the record set if it is exactly this one.
    Delete(&'a RecordSet),
    /// Creates the record set if its name, type and set identifier do not exist.
    Create(&'a RecordSet),
}

/// Reads the whole zone.
///
/// It does not need `GetHostedZone`, which is not among the calls that work during the accelerated recovery
/// of Route 53's control plane.
///
/// Source: Route 53 Developer Guide, "Accelerated recovery for managing public DNS records".
pub async fn read_zone(route53: &impl Route53, id: &HostedZoneId) -> Result<Zone, Error> {
    let mut record_sets: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut name = None;
    let mut start = None;
    loop {
        let page = route53
            .list_resource_record_sets(id, start.as_ref(), LARGEST_PAGE)
            .await?;
        for record_set in page.record_sets {
            // Only the apex has one, and every zone has it.
            if record_set.record_type.as_str() == "SOA" {
                name = Some(record_set.name.clone());
            }
            let at_name = record_sets.entry(record_set.name.clone()).or_default();
            at_name.push(record_set);
        }
        if page.next.is_none() {
            break;
        }
        start = page.next;
    }
    let name = name.ok_or_else(|| Unavailable::Unusable {
        action: "route53:ListResourceRecordSets".to_owned(),
        problem: format!("expected the SOA record of the zone {id}, found none"),
    })?;
    Ok(Zone {
        id: id.clone(),
        name,
        record_sets,
    })
}

/// Reads the record sets at the names `wanted`, and at the names of this zone that they are aliases of.
/// It reads name by name, or the whole zone if that takes fewer calls, or if Route 53 does not say how many
/// record sets the zone has.
pub async fn read_names(
    route53: &impl Route53,
    id: &HostedZoneId,
    mut wanted: BTreeSet<RecordName>,
) -> Result<Zone, Error> {
    let hosted_zone = match route53.get_hosted_zone(id).await {
        Ok(hosted_zone) => hosted_zone,
        Err(Error::Unavailable(problem)) => {
            tracing::warn!(%problem, "reads the whole zone instead");
            return read_zone(route53, id).await;
        }
        Err(error) => return Err(error),
    };
    if wanted.len() >= hosted_zone.record_set_count.div_ceil(LARGEST_PAGE) {
        return read_zone(route53, id).await;
    }
    let mut zone = Zone {
        id: id.clone(),
        name: hosted_zone.name,
        record_sets: BTreeMap::new(),
    };
    while let Some(name) = wanted.pop_first() {
        let record_sets = read_name(route53, id, &name).await?;
        wanted.extend(
            record_sets
                .iter()
                .filter_map(|record_set| zone.alias_target_in_zone(record_set))
                .filter(|target| *target != name && !zone.record_sets.contains_key(target)),
        );
        zone.record_sets.insert(name, record_sets);
    }
    Ok(zone)
}

async fn read_name(
    route53: &impl Route53,
    id: &HostedZoneId,
    name: &RecordName,
) -> Result<Vec<RecordSet>, Error> {
    let mut found = Vec::new();
    let mut start = Some(ListStart {
        name: name.clone(),
        record_type: None,
        set_identifier: None,
    });
    while let Some(next) = start {
        let page = route53
            .list_resource_record_sets(id, Some(&next), PAGE_OF_A_NAME)
            .await?;
        found.extend(
            page.record_sets
                .into_iter()
                .filter(|record_set| record_set.name == *name),
        );
        start = page.next.filter(|next| next.name == *name);
    }
    Ok(found)
}

/// Changes of which not all of Route 53's servers are known to have them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OpenChanges {
    pub pending: Vec<ChangeId>,
    pub lost: Vec<ChangeId>,
}

/// Which of these changes are not in sync.
///
/// After the answer that a change is lost, only records that are read anew show whether it was made.
pub async fn open_changes(
    route53: &impl Route53,
    change_ids: &[ChangeId],
) -> Result<OpenChanges, Error> {
    let mut open = OpenChanges::default();
    for change_id in change_ids {
        match route53.change_status(change_id).await? {
            ChangeStatus::InSync => {}
            ChangeStatus::Pending => open.pending.push(change_id.clone()),
            ChangeStatus::Lost => open.lost.push(change_id.clone()),
        }
    }
    Ok(open)
}
