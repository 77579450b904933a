//! Access to a hosted zone: reading what concerns a migration, and writing by
//! compare-and-swap. [`Route53`] is the narrow interface underneath; AWS
//! implements it in [`crate::aws`], tests with a strict fake.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use crate::Error;
use crate::change::{NameChange, batches};
use crate::name::{HostedZoneId, RecordName};
use crate::record::RecordSet;
use crate::zone::Zone;

/// The most record sets that Route 53 lists in one page.
///
/// Source: Route 53 API Reference, `ListResourceRecordSets`.
pub const LARGEST_PAGE: usize = 300;
/// Enough for all record sets of a usual name.
const PAGE_OF_A_NAME: usize = 20;
/// The time in which Route 53 usually propagates a change to all its servers.
///
/// Source: Route 53 API Reference, `ChangeResourceRecordSets`.
pub const PROPAGATION_SECONDS: u32 = 60;

/// A change that Route 53 accepted.
pub type ChangeId = String;

/// The calls of Route 53's API that a migration needs.
pub trait Route53 {
    /// `GetHostedZone`.
    fn get_hosted_zone(
        &self,
        id: &HostedZoneId,
    ) -> impl Future<Output = Result<HostedZone, Error>> + Send;

    /// `ListResourceRecordSets`: record sets at or behind `start`, in Route 53's order.
    fn list_resource_record_sets(
        &self,
        id: &HostedZoneId,
        start: Option<&ListStart>,
        max_items: usize,
    ) -> impl Future<Output = Result<Page, Error>> + Send;

    /// `ChangeResourceRecordSets`: all of the changes, in this order, or none.
    /// [`Error::ChangeRefused`] is Route 53's `InvalidChangeBatch`.
    fn change_resource_record_sets(
        &self,
        id: &HostedZoneId,
        changes: &[Change<'_>],
    ) -> impl Future<Output = Result<ChangeId, Error>> + Send;

    /// `GetChange`: whether the change has reached all of Route 53's servers (`INSYNC`).
    fn is_in_sync(&self, change_id: &str) -> impl Future<Output = Result<bool, Error>> + Send;
}

/// What `GetHostedZone` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostedZone {
    /// The zone's name.
    pub name: RecordName,
    /// How many record sets it holds.
    pub record_set_count: usize,
}

/// Where a page begins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListStart {
    /// The name to begin with.
    pub name: RecordName,
    /// The type to begin with, as Route 53 writes it.
    pub record_type: Option<String>,
    /// The set identifier to begin with.
    pub set_identifier: Option<String>,
}

/// A page of record sets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// The record sets.
    pub record_sets: Vec<RecordSet>,
    /// Where the next page begins, if there is one.
    pub next: Option<ListStart>,
}

/// One change of a batch. There is no UPSERT: it would overwrite what another
/// writer did meanwhile.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change<'a> {
    /// Delete exactly this record set.
    Delete(&'a RecordSet),
    /// Create this record set, which must not exist.
    Create(&'a RecordSet),
}

/// What an applied list of changes leaves to wait for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Applied {
    /// The ids to ask [`Route53::is_in_sync`] about.
    pub change_ids: Vec<ChangeId>,
    /// Whether a change was applied whose answer, and so its id, was lost.
    /// Such a change is given [`PROPAGATION_SECONDS`].
    pub lost_an_answer: bool,
}

/// Reads the whole zone.
pub async fn read_zone(route53: &impl Route53, id: &HostedZoneId) -> Result<Zone, Error> {
    let hosted_zone = route53.get_hosted_zone(id).await?;
    scan(route53, id, hosted_zone).await
}

/// Reads the record sets at `wanted`, and at in-zone alias targets of theirs, by whichever takes
/// fewer calls: name by name, or the whole zone.
pub async fn read_names(
    route53: &impl Route53,
    id: &HostedZoneId,
    mut wanted: BTreeSet<RecordName>,
) -> Result<Zone, Error> {
    let hosted_zone = route53.get_hosted_zone(id).await?;
    if wanted.len() >= hosted_zone.record_set_count.div_ceil(LARGEST_PAGE) {
        return scan(route53, id, hosted_zone).await;
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

async fn scan(
    route53: &impl Route53,
    id: &HostedZoneId,
    hosted_zone: HostedZone,
) -> Result<Zone, Error> {
    let mut zone = Zone {
        id: id.clone(),
        name: hosted_zone.name,
        record_sets: BTreeMap::new(),
    };
    let mut start = None;
    loop {
        let page = route53
            .list_resource_record_sets(id, start.as_ref(), LARGEST_PAGE)
            .await?;
        for record_set in page.record_sets {
            zone.record_sets
                .entry(record_set.name.clone())
                .or_default()
                .push(record_set);
        }
        if page.next.is_none() {
            return Ok(zone);
        }
        start = page.next;
    }
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

/// Writes the changes, batch by batch.
///
/// A batch that is refused, or whose answer is lost, is looked up: if the zone
/// shows its result it was applied; if the zone shows something else than was
/// read, another writer was there ([`Error::Conflict`]); else the error stands.
/// After an error, earlier batches stay applied: every caller is idempotent and
/// goes on from what it reads.
pub async fn apply(
    route53: &impl Route53,
    id: &HostedZoneId,
    changes: Vec<NameChange>,
) -> Result<Applied, Error> {
    let mut applied = Applied::default();
    for batch in batches(changes) {
        let elements: Vec<_> = batch.iter().flat_map(elements).collect();
        match route53.change_resource_record_sets(id, &elements).await {
            Ok(change_id) => applied.change_ids.push(change_id),
            Err(error @ (Error::ChangeRefused(_) | Error::Unavailable(_))) => {
                let names = batch.iter().flat_map(NameChange::places).cloned().collect();
                let zone = read_names(route53, id, names).await?;
                if batch.iter().all(|change| change.is_applied_in(&zone)) {
                    tracing::warn!(%error, "a change was applied although its answer says otherwise");
                    applied.lost_an_answer = true;
                    continue;
                }
                let overtaken = batch.iter().find(|change| !change.is_current_in(&zone));
                return Err(match overtaken {
                    Some(change) => Error::Conflict(format!(
                        "{} was changed by another writer between reading and writing; nothing was overwritten ({error})",
                        change.name
                    )),
                    None => error,
                });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(applied)
}

/// The changes of a name in their order: all deletes, then all creates.
fn elements(change: &NameChange) -> impl Iterator<Item = Change<'_>> {
    let deletes = change.deletes.iter().map(Change::Delete);
    let creates = change.creates.iter().map(Change::Create);
    deletes.chain(creates)
}

/// The ids that have not yet reached all of Route 53's servers.
pub async fn still_pending(
    route53: &impl Route53,
    change_ids: Vec<ChangeId>,
) -> Result<Vec<ChangeId>, Error> {
    let mut pending = Vec::new();
    for change_id in change_ids {
        if !route53.is_in_sync(&change_id).await? {
            pending.push(change_id);
        }
    }
    Ok(pending)
}
