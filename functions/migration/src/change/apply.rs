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
    /// The names that were changed.
    pub names: BTreeSet<RecordName>,
    /// The ids for [`Route53::change_status`].
    pub change_ids: Vec<ChangeId>,
    /// Whether the answer of an applied change was lost, and its id with it. Such a change is given
    /// [`PROPAGATION_SECONDS`](crate::route53::PROPAGATION_SECONDS) instead.
    pub lost_an_answer: bool,
}

/// Changes that were written up to an error.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct AppliedInOrder {
    pub applied: Applied,
    /// Why the changes after these were not written.
    pub error: Option<Error>,
}

/// Changes of which some may be refused.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[must_use]
pub struct AppliedInPart {
    pub applied: Applied,
    /// The names that Route 53 refuses to change, each with the refusal.
    pub refused: Vec<(RecordName, Error)>,
    /// The names of refused batches for which the error came before it was found which of them Route 53
    /// refuses.
    pub suspected: Vec<RecordName>,
    /// Why the changes that are in none of these were not written.
    pub error: Option<Error>,
}

impl AppliedInOrder {
    /// What was applied.
    ///
    /// # Errors
    /// The error, if nothing was applied. Otherwise the caller is called again, and either gets on or meets
    /// the error again.
    pub fn or_error(self) -> Result<Applied, Error> {
        match self.error {
            Some(error) if self.applied.names.is_empty() => Err(error),
            Some(error) => {
                tracing::warn!(%error, "only a part of the changes was written");
                Ok(self.applied)
            }
            None => Ok(self.applied),
        }
    }
}

/// Which part of a rollback a call writes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part {
    /// It writes the first name, which decides whether anything is written: a completion marks that name, so
    /// that a rollback and a completion do not each change a part of the names. If its batch is refused, the
    /// name is read again before any other change.
    pub is_first: bool,
    /// No call with other names follows, so that nothing waits while refused names are read again.
    pub is_last: bool,
}

/// Writes the changes, batch by batch, each with this comment, up to the first error.
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
) -> AppliedInOrder {
    let mut writer = BatchWriter::new(route53, id, comment);
    let error = writer.write_in_order(batches(changes)).await.err();
    AppliedInOrder {
        applied: writer.applied,
        error,
    }
}

/// Writes the changes, batch by batch, each with this comment. A name whose change is refused does not
/// delay the others: first the other batches are written, then the halves of each refused batch, then the
/// halves of a refused half. A name is read again only when it is left alone, and only in the last part.
///
/// `suspected` are changes that an earlier call found in a refused batch. They come last, and in halves.
///
/// It stops at [`Error::Conflict`] for the first name, and at every error that is neither a refusal nor a
/// conflict. If another writer changed one of the other names, the conflict is the error after all others
/// are written.
pub async fn apply_in_part(
    route53: &impl Route53,
    id: &HostedZoneId,
    comment: &str,
    changes: Vec<NameChange>,
    suspected: Vec<NameChange>,
    part: Part,
) -> AppliedInPart {
    let mut all = batches(changes);
    for mut batch in batches(suspected) {
        let second_half = batch.split_off(batch.len().div_ceil(2));
        all.push(batch);
        if !second_half.is_empty() {
            all.push(second_half);
        }
    }
    let mut writer = BatchWriter::new(route53, id, comment);
    let mut in_part = AppliedInPart::default();
    let written = writer.write_in_part(all, part, &mut in_part.refused).await;
    let unsettled = writer.refused.iter().flat_map(|(batch, _)| batch);
    in_part.suspected = unsettled.map(|change| change.name.clone()).collect();
    in_part.applied = writer.applied;
    in_part.error = written.err();
    in_part
}

/// Sends batches, and collects what was applied and what was refused.
struct BatchWriter<'a, R> {
    route53: &'a R,
    id: &'a HostedZoneId,
    comment: &'a str,
    applied: Applied,
    /// Refused batches that are not settled yet, each with its refusal.
    refused: Vec<(Vec<NameChange>, Error)>,
}

impl<'a, R: Route53> BatchWriter<'a, R> {
    fn new(route53: &'a R, id: &'a HostedZoneId, comment: &'a str) -> Self {
        Self {
            route53,
            id,
            comment,
            applied: Applied::default(),
            refused: Vec::new(),
        }
    }

    async fn write_in_order(&mut self, batches: Vec<Vec<NameChange>>) -> Result<(), Error> {
        for batch in batches {
            if let Some(refusal) = self.send(&batch).await? {
                self.settle(&batch, refusal).await?;
            }
        }
        Ok(())
    }

    async fn write_in_part(
        &mut self,
        batches: Vec<Vec<NameChange>>,
        part: Part,
        refused: &mut Vec<(RecordName, Error)>,
    ) -> Result<(), Error> {
        for (number, batch) in batches.into_iter().enumerate() {
            let Some(refusal) = self.send(&batch).await? else {
                continue;
            };
            // A batch is applied as a whole, so its first name tells whether it was.
            let first = batch.get(..1).unwrap_or_default();
            if part.is_first && number == 0 && self.is_applied(first, &refusal).await? {
                self.note_lost_answer(&batch);
            } else {
                self.refused.push((batch, refusal));
            }
        }
        self.bisect().await?;

        let mut conflict = None;
        for (change, refusal) in std::mem::take(&mut self.refused) {
            let settled = if part.is_last {
                self.settle(&change, refusal).await
            } else {
                Err(refusal)
            };
            match settled {
                Ok(()) => {}
                Err(error @ Error::ChangeRefused(_)) => {
                    let names = change.iter().map(|change| change.name.clone());
                    refused.extend(names.map(|name| (name, error.clone())));
                }
                Err(error) => conflict = conflict.or(Some(error)),
            }
        }
        conflict.map_or(Ok(()), Err)
    }

    /// Sends the halves of the refused batches, and the halves of these, until each name that is left among
    /// them is alone.
    async fn bisect(&mut self) -> Result<(), Error> {
        let mut alone = Vec::new();
        while let Some((mut batch, whole)) = self.refused.pop() {
            if batch.len() < 2 {
                alone.push((batch, whole));
                continue;
            }
            let second_half = batch.split_off(batch.len().div_ceil(2));
            let mut refused_halves = Vec::new();
            let mut error = None;
            for half in [batch, second_half] {
                let sent = match error {
                    None => self.send(&half).await,
                    Some(_) => Ok(Some(whole.clone())),
                };
                match sent {
                    Ok(None) => {}
                    Ok(Some(refusal)) => refused_halves.push((half, refusal)),
                    Err(problem) => {
                        error = Some(problem);
                        refused_halves.push((half, whole.clone()));
                    }
                }
            }
            if let Some(error) = error {
                self.refused.extend(refused_halves);
                self.refused.append(&mut alone);
                return Err(error);
            }
            // If one half was accepted, the whole was not applied. If both are refused, it may have been,
            // and its answer was lost.
            if let [(half, refusal), (other, _)] = refused_halves.as_slice() {
                let first = half.get(..1).unwrap_or_default();
                if self.is_applied(first, refusal).await.unwrap_or(false) {
                    self.note_lost_answer(half);
                    self.note_lost_answer(other);
                    continue;
                }
            }
            self.refused.extend(refused_halves);
        }
        self.refused = alone;
        Ok(())
    }

    /// Sends a batch. Returns the refusal of Route 53, if it refuses the batch.
    ///
    /// # Errors
    /// Every error but a refusal, unless the batch was applied and only its answer was lost.
    async fn send(&mut self, batch: &[NameChange]) -> Result<Option<Error>, Error> {
        let elements: Vec<_> = batch.iter().flat_map(elements).collect();
        let sent = self
            .route53
            .change_resource_record_sets(self.id, self.comment, &elements);
        match sent.await {
            Ok(change_id) => {
                self.applied.change_ids.push(change_id);
                self.note_applied(batch);
            }
            Err(refusal @ Error::ChangeRefused(_)) => return Ok(Some(refusal)),
            Err(error @ Error::Unavailable(_)) => self.settle(batch, error).await?,
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// Reads the names of a batch again that was refused, or whose answer was lost.
    ///
    /// # Errors
    /// [`Error::Conflict`] if another writer changed one of them; `error` if the batch was not applied.
    async fn settle(&mut self, batch: &[NameChange], error: Error) -> Result<(), Error> {
        if self.is_applied(batch, &error).await? {
            self.note_lost_answer(batch);
            return Ok(());
        }
        Err(error)
    }

    async fn is_applied(&self, changes: &[NameChange], error: &Error) -> Result<bool, Error> {
        is_applied(self.route53, self.id, changes, error).await
    }

    fn note_lost_answer(&mut self, batch: &[NameChange]) {
        self.applied.lost_an_answer = true;
        self.note_applied(batch);
    }

    fn note_applied(&mut self, batch: &[NameChange]) {
        let names = batch.iter().map(|change| change.name.clone());
        self.applied.names.extend(names);
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
