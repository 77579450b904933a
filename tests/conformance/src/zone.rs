//! A zone to ask, and what is usually asked of it.

use anyhow::{Context, Result, bail, ensure};
use migration::record::{Answer, RecordSet};
use migration::route53::{Change, ChangeId, LARGEST_PAGE, ListStart, Page, Route53};
use migration::{Error, HostedZoneId};

use crate::records::name;

/// No check makes a larger one.
const LARGEST_ZONE: usize = 1_100;

/// A hosted zone of Route 53, or of what stands for it.
#[derive(Debug)]
pub struct Zone<R> {
    /// The service.
    pub route53: R,
    /// The zone.
    pub id: HostedZoneId,
}

impl<R: Route53> Zone<R> {
    /// Everything, as it is listed.
    pub(crate) async fn list(&self) -> Result<Vec<RecordSet>> {
        self.list_by(LARGEST_PAGE).await
    }

    /// Everything, by pages of this size.
    pub(crate) async fn list_by(&self, max_items: usize) -> Result<Vec<RecordSet>> {
        let mut listed = Vec::new();
        let mut start = None;
        loop {
            let page = self.page(start.as_ref(), max_items).await?;
            ensure!(
                page.next.is_none() || !page.record_sets.is_empty(),
                "a page is empty, but not the last one"
            );
            listed.extend(page.record_sets);
            ensure!(
                listed.len() <= LARGEST_ZONE,
                "the pages go on from {start:?} without an end"
            );
            if page.next.is_none() {
                return Ok(listed);
            }
            start = page.next;
        }
    }

    /// Names and types, as they are listed.
    pub(crate) async fn listed(&self) -> Result<Vec<String>> {
        Ok(self.list().await?.iter().map(shown).collect())
    }

    pub(crate) async fn page(&self, start: Option<&ListStart>, max_items: usize) -> Result<Page> {
        let page = self
            .route53
            .list_resource_record_sets(&self.id, start, max_items);
        page.await.context("ListResourceRecordSets failed")
    }

    /// Names and types of what is listed from a start: a name, a type, a set identifier.
    pub(crate) async fn listed_from(&self, start: &[&str]) -> Result<Vec<String>> {
        let page = self.page(Some(&list_start(start)?), LARGEST_PAGE).await?;
        Ok(page.record_sets.iter().map(shown).collect())
    }

    pub(crate) async fn change(&self, changes: &[Change<'_>]) -> Result<ChangeId, Error> {
        self.route53
            .change_resource_record_sets(&self.id, changes)
            .await
    }

    /// The changes are accepted, and the zone is then as they say.
    pub(crate) async fn accepts(&self, changes: &[Change<'_>]) -> Result<()> {
        let mut expected = self.list().await?;
        if let Err(error) = self.change(changes).await {
            bail!("refused: {error}");
        }
        for change in changes {
            match change {
                Change::Delete(deleted) => {
                    let deleted = in_any_order(deleted);
                    expected.retain(|record_set| in_any_order(record_set) != deleted);
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

    /// The changes are refused as an `InvalidChangeBatch` or `InvalidInput`, and the zone is then
    /// as it was.
    pub(crate) async fn refuses(&self, changes: &[Change<'_>]) -> Result<()> {
        let before = self.list().await?;
        match self.change(changes).await {
            Err(Error::ChangeRefused(_)) => {}
            Err(error) => bail!("refused as something else: {error:?}"),
            Ok(_) => bail!("accepted"),
        }
        ensure!(self.list().await? == before, "refused, but applied in part");
        Ok(())
    }

    /// The record set may be created.
    pub(crate) async fn accepts_new(&self, record_set: &RecordSet) -> Result<()> {
        self.accepts(&[Change::Create(record_set)]).await
    }

    /// The record set may not be created.
    pub(crate) async fn refuses_new(&self, record_set: &RecordSet) -> Result<()> {
        self.refuses(&[Change::Create(record_set)]).await
    }

    /// Record sets that a behaviour begins with, beside those that are known.
    pub(crate) async fn given(&self, record_sets: &[RecordSet]) -> Result<()> {
        let creates: Vec<_> = record_sets.iter().map(Change::Create).collect();
        self.accepts(&creates).await.context("at the beginning")
    }
}

/// A start: a name, a type, a set identifier, as many of them as there are.
pub(crate) fn list_start(parts: &[&str]) -> Result<ListStart> {
    let part = |index| parts.get(index).map(ToString::to_string);
    Ok(ListStart {
        name: name(parts.first().context("a start without a name")?),
        record_type: part(1),
        set_identifier: part(2),
    })
}

/// `name type` or `name type set-identifier`.
pub(crate) fn shown(record_set: &RecordSet) -> String {
    let RecordSet {
        name, record_type, ..
    } = record_set;
    match record_set.weighted() {
        Some((set_identifier, _)) => format!("{name} {record_type} {set_identifier}"),
        None => format!("{name} {record_type}"),
    }
}

fn sorted(record_sets: &[RecordSet]) -> Vec<RecordSet> {
    let mut sorted: Vec<_> = record_sets.iter().map(in_any_order).collect();
    sorted.sort_by_key(shown);
    sorted
}

fn in_any_order(record_set: &RecordSet) -> RecordSet {
    let mut sorted = record_set.clone();
    if let Answer::Values { values, .. } = &mut sorted.answer {
        values.sort();
    }
    sorted
}
