//! Writing the changes batch by batch.

use std::collections::BTreeSet;

use super::name_change::{NameChange, batches};
use crate::Error;
use crate::dns::{HostedZoneId, RecordName};
use crate::error::Conflict;
use crate::route53::{Change, ChangeId, Route53, read_names};

/// Changes that Route 53 has accepted, and what is needed to wait until all of its servers have them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Applied {
    /// The ids for [`Route53::is_in_sync`].
    pub change_ids: Vec<ChangeId>,
    /// Whether the answer of an applied change was lost, and its id with it. Such a change is given
    /// [`PROPAGATION_SECONDS`](crate::route53::PROPAGATION_SECONDS) instead.
    pub lost_an_answer: bool,
}

/// Changes of which some may be refused.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct AppliedInPart {
    pub applied: Applied,
    /// The names that Route 53 refuses to change, each with the refusal.
    pub refused: Vec<(RecordName, Error)>,
}

/// Writes the changes, batch by batch, each with this comment.
///
/// After a refusal or a lost answer, the names of the batch are read again:
///
/// - If the zone has the new records, the batch was applied.
/// - If the zone no longer has the old records, another writer changed them: [`Error::Conflict`].
/// - Otherwise the error is returned.
///
/// After an error, earlier batches stay applied. Every caller is idempotent and continues from what it
/// reads.
pub async fn apply(
    route53: &impl Route53,
    id: &HostedZoneId,
    comment: &str,
    changes: Vec<NameChange>,
) -> Result<Applied, Error> {
    let mut applied = Applied::default();
    for batch in batches(changes) {
        if let Some(refusal) = applied.send(route53, id, comment, &batch).await? {
            applied.settle(route53, id, &batch, refusal).await?;
        }
    }
    Ok(applied)
}

/// Writes the changes, batch by batch, each with this comment. A name whose change is refused does not
/// delay the others: first the other batches are written, then the halves of each refused batch, then the
/// halves of a refused half. A name is read again only when it is left alone.
///
/// The first name decides whether anything is written: a completion marks it, so that a rollback and a
/// completion do not each change a part of the names. If its batch is refused, it is read again before any
/// other change.
///
/// # Errors
/// [`Error::Conflict`] if another writer changed a name, after all others are written, or at once for the
/// first name; every other error that is no refusal, at once. What was applied stays applied.
pub async fn apply_in_part(
    route53: &impl Route53,
    id: &HostedZoneId,
    comment: &str,
    changes: Vec<NameChange>,
) -> Result<AppliedInPart, Error> {
    let mut applied = Applied::default();
    let mut refused = Vec::new();
    for (number, batch) in batches(changes).into_iter().enumerate() {
        let Some(refusal) = applied.send(route53, id, comment, &batch).await? else {
            continue;
        };
        // A batch is applied as a whole, so its first name tells whether it was.
        let first = batch.get(..1).unwrap_or_default();
        if number == 0 && is_applied(route53, id, first, &refusal).await? {
            applied.lost_an_answer = true;
        } else {
            refused.push((batch, refusal));
        }
    }

    let mut alone = Vec::new();
    while let Some((mut batch, refusal)) = refused.pop() {
        if batch.len() < 2 {
            alone.push((batch, refusal));
            continue;
        }
        let second_half = batch.split_off(batch.len().div_ceil(2));
        let mut refused_halves = Vec::new();
        for half in [batch, second_half] {
            if let Some(refusal) = applied.send(route53, id, comment, &half).await? {
                refused_halves.push((half, refusal));
            }
        }
        // If one half was accepted, the whole was not applied. If both are refused, it may have been, and
        // its answer was lost.
        if let [(half, refusal), _] = refused_halves.as_slice() {
            let first = half.get(..1).unwrap_or_default();
            if is_applied(route53, id, first, refusal)
                .await
                .unwrap_or(false)
            {
                applied.lost_an_answer = true;
                continue;
            }
        }
        refused.extend(refused_halves);
    }

    let mut in_part = AppliedInPart::default();
    let mut conflict = None;
    for (change, refusal) in alone {
        match applied.settle(route53, id, &change, refusal).await {
            Ok(()) => {}
            Err(error @ Error::ChangeRefused(_)) => {
                let names = change.iter().map(|change| change.name.clone());
                in_part
                    .refused
                    .extend(names.map(|name| (name, error.clone())));
            }
            Err(error) => conflict = conflict.or(Some(error)),
        }
    }
    in_part.applied = applied;
    conflict.map_or(Ok(in_part), Err)
}

impl Applied {
    /// Sends a batch. Returns the refusal of Route 53, if it refuses the batch.
    ///
    /// # Errors
    /// Every error but a refusal, unless the batch was applied and only its answer was lost.
    async fn send(
        &mut self,
        route53: &impl Route53,
        id: &HostedZoneId,
        comment: &str,
        batch: &[NameChange],
    ) -> Result<Option<Error>, Error> {
        let elements: Vec<_> = batch.iter().flat_map(elements).collect();
        let sent = route53.change_resource_record_sets(id, comment, &elements);
        match sent.await {
            Ok(change_id) => self.change_ids.push(change_id),
            Err(refusal @ Error::ChangeRefused(_)) => return Ok(Some(refusal)),
            Err(error @ Error::Unavailable(_)) => self.settle(route53, id, batch, error).await?,
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Reads the names of a batch again that was refused, or whose answer was lost.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another writer changed one of them; `error` if the batch was not applied.
    async fn settle(
        &mut self,
        route53: &impl Route53,
        id: &HostedZoneId,
        batch: &[NameChange],
        error: Error,
    ) -> Result<(), Error> {
        if is_applied(route53, id, batch, &error).await? {
            self.lost_an_answer = true;
            return Ok(());
        }
        Err(error)
    }
}

/// Whether changes were applied although `error` says otherwise.
///
/// # Errors
/// [`Error::Conflict`] if another writer changed one of the names, and the errors of reading them.
async fn is_applied(
    route53: &impl Route53,
    id: &HostedZoneId,
    changes: &[NameChange],
    error: &Error,
) -> Result<bool, Error> {
    let names: BTreeSet<_> = changes
        .iter()
        .flat_map(NameChange::record_names)
        .cloned()
        .collect();
    let zone = read_names(route53, id, names).await?;
    if changes.iter().all(|change| change.is_applied_in(&zone)) {
        tracing::warn!(%error, "a change was applied although its answer says otherwise");
        return Ok(true);
    }
    match changes.iter().find(|change| !change.is_current_in(&zone)) {
        Some(change) => Err(Error::from(Conflict::Overtaken {
            name: change.name.clone(),
            problem: error.to_string(),
        })),
        None => Ok(false),
    }
}

/// The changes of a name in order. Route 53 needs each DELETE before the CREATE of the same record.
fn elements(change: &NameChange) -> impl Iterator<Item = Change<'_>> {
    let deletes = change.deletes.iter().map(Change::Delete);
    let creates = change.creates.iter().map(Change::Create);
    deletes.chain(creates)
}
