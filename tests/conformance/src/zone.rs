//! A zone with the operations that the checks have in common.

use anyhow::{Context, Result, bail, ensure};
use migration::Error;
use migration::dns::HostedZoneId;
use migration::dns::{RecordData, RecordSet};
use migration::route53::{Change, ChangeId, LARGEST_PAGE, ListStart, Page, Route53};

use crate::records::name;

/// More record sets than any check creates. A longer listing means that paging does not end.
const LARGEST_ZONE: usize = 1_100;

/// A hosted zone in Route 53, the fake or the emulator.
#[derive(Debug)]
pub struct Zone<R> {
    pub route53: R,
    pub id: HostedZoneId,
}

impl<R: Route53> Zone<R> {
    pub(crate) async fn list(&self) -> Result<Vec<RecordSet>> {
        self.list_in_pages(LARGEST_PAGE).await
    }

    /// The whole listing, read in pages of this size.
    pub(crate) async fn list_in_pages(&self, max_items: usize) -> Result<Vec<RecordSet>> {
        let mut listed = Vec::new();
        let mut start = None;
        loop {
            let page = self.page(start.as_ref(), max_items).await?;
            ensure!(
                page.next.is_none() || !page.record_sets.is_empty(),
                "an empty page has a next page"
            );
            listed.extend(page.record_sets);
            ensure!(
                listed.len() <= LARGEST_ZONE,
                "the pages do not end; the last one started at {start:?}"
            );
            if page.next.is_none() {
                return Ok(listed);
            }
            start = page.next;
        }
    }

    /// The labels of the whole listing, see [`label`].
    pub(crate) async fn listed(&self) -> Result<Vec<String>> {
        Ok(self.list().await?.iter().map(label).collect())
    }

    pub(crate) async fn page(&self, start: Option<&ListStart>, max_items: usize) -> Result<Page> {
        let page = self
            .route53
            .list_resource_record_sets(&self.id, start, max_items);
        page.await.context("ListResourceRecordSets failed")
    }

    /// The labels of the listing from a start, see [`list_start`].
    pub(crate) async fn listed_from(&self, start: &[&str]) -> Result<Vec<String>> {
        let page = self.page(Some(&list_start(start)?), LARGEST_PAGE).await?;
        Ok(page.record_sets.iter().map(label).collect())
    }

    pub(crate) async fn change(&self, changes: &[Change<'_>]) -> Result<ChangeId, Error> {
        self.route53
            .change_resource_record_sets(&self.id, "conformance", changes)
            .await
    }

    /// Checks that the changes are accepted and applied.
    pub(crate) async fn accepts(&self, changes: &[Change<'_>]) -> Result<()> {
        let mut expected = self.list().await?;
        if let Err(error) = self.change(changes).await {
            bail!("refused: {error}");
        }
        for change in changes {
            match change {
                Change::Delete(deleted) => {
                    let deleted = with_sorted_values(deleted);
                    expected.retain(|record_set| with_sorted_values(record_set) != deleted);
                }
                Change::Create(created) => expected.push((*created).clone()),
            }
        }
        let (expected, found) = (sorted(&expected), sorted(&self.list().await?));
        ensure!(
            expected == found,
            "accepted, but the zone is {found:#?} instead of {expected:#?}"
        );
        Ok(())
    }

    /// Checks that the changes are refused with `InvalidChangeBatch` or `InvalidInput`, and that the
    /// zone has not changed.
    pub(crate) async fn refuses(&self, changes: &[Change<'_>]) -> Result<()> {
        let before = self.list().await?;
        match self.change(changes).await {
            Err(Error::ChangeRefused(_)) => {}
            Err(error) => bail!("refused with another error: {error:?}"),
            Ok(_) => bail!("accepted"),
        }
        ensure!(self.list().await? == before, "refused, but applied in part");
        Ok(())
    }

    /// Checks that CREATE of the record set is accepted.
    pub(crate) async fn accepts_new(&self, record_set: &RecordSet) -> Result<()> {
        self.accepts(&[Change::Create(record_set)]).await
    }

    /// Checks that CREATE of the record set is refused.
    pub(crate) async fn refuses_new(&self, record_set: &RecordSet) -> Result<()> {
        self.refuses(&[Change::Create(record_set)]).await
    }

    /// Creates record sets that a check needs in addition to the known ones.
    pub(crate) async fn set_up(&self, record_sets: &[RecordSet]) -> Result<()> {
        let creates: Vec<_> = record_sets.iter().map(Change::Create).collect();
        self.accepts(&creates).await.context("set-up of the check")
    }
}

/// The start of a listing, from one to three parts: name, type, set identifier.
pub(crate) fn list_start(parts: &[&str]) -> Result<ListStart> {
    let part = |index| parts.get(index).map(ToString::to_string);
    Ok(ListStart {
        name: name(parts.first().context("a start without a name")?),
        record_type: part(1),
        set_identifier: part(2),
    })
}

/// `name type` or `name type set-identifier`.
pub(crate) fn label(record_set: &RecordSet) -> String {
    let RecordSet {
        name, record_type, ..
    } = record_set;
    match record_set.weighted() {
        Some((set_identifier, _)) => format!("{name} {record_type} {set_identifier}"),
        None => format!("{name} {record_type}"),
    }
}

fn sorted(record_sets: &[RecordSet]) -> Vec<RecordSet> {
    let mut sorted: Vec<_> = record_sets.iter().map(with_sorted_values).collect();
    sorted.sort_by_key(label);
    sorted
}

fn with_sorted_values(record_set: &RecordSet) -> RecordSet {
    let mut sorted = record_set.clone();
    if let RecordData::Values { values, .. } = &mut sorted.data {
        values.sort();
    }
    sorted
}
