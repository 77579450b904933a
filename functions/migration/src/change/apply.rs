//! Writing the changes batch by batch.

use std::collections::{BTreeMap, BTreeSet};

use super::name_change::{NameChange, batches};
use crate::Error;
use crate::dns::{HostedZoneId, RecordName, Zone};
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
    /// The names of `applied` for which the alternative was written, each with the refusal of its change.
    pub by_alternative: BTreeMap<RecordName, Error>,
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
    /// name is written before any other batch. If it is refused alone, it is read again at once.
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
/// halves of a refused half. A name is read again only when it is left alone, and only in the last part. The
/// first name is an exception, see [`Part::is_first`].
///
/// `suspected` are changes that an earlier call found in a refused batch. They come last, and in halves.
///
/// `alternatives` are written in the place of changes that Route 53 refuses when they are alone: at once, if
/// the refusal names the target of an alias that only the change creates; otherwise, because AWS does not
/// document these texts, in the last part after everything else, and only if the change is refused a second
/// time. An accepted alternative shows that such a target is gone, and then it is left out of all refused
/// batches without bisecting them.
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
    alternatives: &BTreeMap<RecordName, NameChange>,
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
    let mut writer = BatchWriter {
        alternatives: Some(alternatives),
        ..BatchWriter::new(route53, id, comment)
    };
    let mut in_part = AppliedInPart::default();
    let written = writer.write_in_part(all, part, &mut in_part.refused).await;
    let unsettled = writer.refused.iter().flat_map(|(batch, _)| batch);
    let unsettled = unsettled.chain(writer.alone.iter().map(|(change, _)| change));
    in_part.suspected = unsettled.map(|change| change.name.clone()).collect();
    in_part.applied = writer.applied;
    in_part.by_alternative = writer.by_alternative;
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
    alternatives: Option<&'a BTreeMap<RecordName, NameChange>>,
    by_alternative: BTreeMap<RecordName, Error>,
    /// The names whose alternative is refused too.
    has_no_alternative: BTreeSet<RecordName>,
    /// The targets of aliases that Route 53 refuses to create.
    gone_targets: BTreeSet<String>,
    /// The changes that are refused also alone, each with its refusal.
    alone: Vec<(NameChange, Error)>,
}

impl<'a, R: Route53> BatchWriter<'a, R> {
    fn new(route53: &'a R, id: &'a HostedZoneId, comment: &'a str) -> Self {
        Self {
            route53,
            id,
            comment,
            applied: Applied::default(),
            refused: Vec::new(),
            alternatives: None,
            by_alternative: BTreeMap::new(),
            has_no_alternative: BTreeSet::new(),
            gone_targets: BTreeSet::new(),
            alone: Vec::new(),
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
        let mut batches = batches.into_iter();
        let mut others_of_first = Vec::new();
        if part.is_first
            && let Some(batch) = batches.next()
            && let Some(refusal) = self.send(&batch).await?
        {
            others_of_first = self.write_first_name(batch, refusal).await?;
        }
        for batch in batches.chain(others_of_first) {
            if let Some(refusal) = self.send(&batch).await? {
                self.refused.push((batch, refusal));
            }
        }
        self.bisect().await?;
        if part.is_last {
            self.write_alternatives().await?;
        }

        let mut conflict = None;
        for (change, refusal) in std::mem::take(&mut self.alone) {
            let settled = if part.is_last {
                self.settle_alone(&change, refusal).await
            } else {
                Err(refusal)
            };
            match settled {
                Ok(()) => {}
                Err(error @ Error::ChangeRefused(_)) => {
                    refused.push((change.name, error));
                }
                Err(error) => conflict = conflict.or(Some(error)),
            }
        }
        conflict.map_or(Ok(()), Err)
    }

    /// Sends the first half of a refused batch, and the first half of that, until the first name is written or
    /// alone. Returns the other halves that are still to be sent.
    async fn write_first_name(
        &mut self,
        mut batch: Vec<NameChange>,
        mut refusal: Error,
    ) -> Result<Vec<Vec<NameChange>>, Error> {
        let mut others = Vec::new();
        while batch.len() > 1 {
            others.push(batch.split_off(batch.len().div_ceil(2)));
            match self.send(&batch).await? {
                None => return Ok(others),
                Some(of_half) => refusal = of_half,
            }
        }
        // A batch is applied as a whole, so its first name tells whether it was.
        if self.is_applied(&batch, &refusal).await? {
            for names in others.iter().chain([&batch]) {
                self.note_lost_answer(names);
            }
            return Ok(Vec::new());
        }
        for change in batch {
            self.leave_alone(change, refusal.clone()).await?;
        }
        let mut unsent = Vec::new();
        for names in others {
            unsent.extend(self.leave_out_gone_targets(names, &refusal).await?);
        }
        Ok(unsent)
    }

    /// Sends the halves of the refused batches, and the halves of these, until each name that is left among
    /// them is alone.
    async fn bisect(&mut self) -> Result<(), Error> {
        while let Some((batch, whole)) = self.refused.pop() {
            let Some(mut batch) = self.leave_out_gone_targets(batch, &whole).await? else {
                continue;
            };
            if batch.len() < 2 {
                for change in batch {
                    self.leave_alone(change, whole.clone()).await?;
                }
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
        Ok(())
    }

    /// A change that is refused also alone. If the refusal names a target that its alternative leaves out,
    /// and the alternative is accepted, the target is gone.
    async fn leave_alone(&mut self, change: NameChange, refusal: Error) -> Result<(), Error> {
        let targets = self.left_out_targets(&change);
        let is_named = |target: &String| match &refusal {
            Error::ChangeRefused(refusal) => refusal.names_target(target),
            _ => false,
        };
        if !targets.iter().any(is_named) {
            self.alone.push((change, refusal));
            return Ok(());
        }
        let name = change.name.clone();
        self.write_by_alternative(vec![change], &refusal).await?;
        // Of two targets, it is not known which one is gone.
        if targets.len() == 1 && self.by_alternative.contains_key(&name) {
            self.gone_targets.extend(targets);
        }
        Ok(())
    }

    /// Writes the alternatives of those changes in a refused batch whose targets are gone, and the others of
    /// that batch without them. Returns the batch if it has none of them.
    async fn leave_out_gone_targets(
        &mut self,
        batch: Vec<NameChange>,
        whole: &Error,
    ) -> Result<Option<Vec<NameChange>>, Error> {
        let is_gone = |change: &NameChange| {
            let targets = self.left_out_targets(change);
            !targets.is_empty() && targets.is_subset(&self.gone_targets)
        };
        let (gone, others): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_gone);
        if gone.is_empty() {
            return Ok(Some(others));
        }
        if !others.is_empty() {
            match self.send(&others).await {
                Ok(None) => {}
                Ok(Some(refusal)) => self.refused.push((others, refusal)),
                Err(error) => {
                    let unsent = [gone, others].map(|batch| (batch, whole.clone()));
                    self.refused.extend(unsent);
                    return Err(error);
                }
            }
        }
        self.write_by_alternative(gone, whole).await?;
        Ok(None)
    }

    /// Writes the alternatives of the changes that are alone and have an untried one, if they are refused once
    /// more. A refusal that passes must not delete a record.
    async fn write_alternatives(&mut self) -> Result<(), Error> {
        let mut alone = std::mem::take(&mut self.alone);
        while let Some((change, refusal)) = alone.pop() {
            if self.alternative(&change).is_none() {
                self.alone.push((change, refusal));
                continue;
            }
            let written = match self.send(std::slice::from_ref(&change)).await {
                Ok(None) => Ok(()),
                Ok(Some(refusal)) => self.write_by_alternative(vec![change], &refusal).await,
                Err(error) => {
                    self.alone.push((change, refusal));
                    Err(error)
                }
            };
            if let Err(error) = written {
                self.alone.append(&mut alone);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Writes the alternatives of refused changes, in halves if they are refused too.
    async fn write_by_alternative(
        &mut self,
        batch: Vec<NameChange>,
        whole: &Error,
    ) -> Result<(), Error> {
        let mut unsent = vec![batch];
        while let Some(mut batch) = unsent.pop() {
            let alternatives = batch.iter().filter_map(|change| self.alternative(change));
            let alternatives: Vec<_> = alternatives.cloned().collect();
            match self.send(&alternatives).await {
                Ok(None) => {
                    let names = batch.into_iter().map(|change| (change.name, whole.clone()));
                    self.by_alternative.extend(names);
                }
                Ok(Some(refusal)) if batch.len() < 2 => {
                    for change in batch {
                        self.has_no_alternative.insert(change.name.clone());
                        self.alone.push((change, refusal.clone()));
                    }
                }
                Ok(Some(_)) => {
                    let second_half = batch.split_off(batch.len().div_ceil(2));
                    unsent.extend([second_half, batch]);
                }
                Err(error) => {
                    unsent.push(batch);
                    let unsent = unsent.into_iter().map(|batch| (batch, whole.clone()));
                    self.refused.extend(unsent);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The alternative of a change, if it is not refused.
    fn alternative(&self, change: &NameChange) -> Option<&'a NameChange> {
        let alternative = self.alternatives?.get(&change.name);
        alternative.filter(|_| !self.has_no_alternative.contains(&change.name))
    }

    /// The targets of aliases that a change creates, and its alternative does not.
    fn left_out_targets(&self, change: &NameChange) -> BTreeSet<String> {
        let Some(alternative) = self.alternative(change) else {
            return BTreeSet::new();
        };
        let kept = alternative.alias_targets();
        let all = change.alias_targets().into_iter();
        let left_out = all.filter(|target| !kept.contains(target));
        left_out.map(str::to_owned).collect()
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

    /// The same for a change that is refused also alone. It, or its alternative, may have been applied.
    async fn settle_alone(&mut self, change: &NameChange, refusal: Error) -> Result<(), Error> {
        let changes = std::slice::from_ref(change);
        let zone = read_again(self.route53, self.id, changes).await?;
        let alternative = self.alternatives.and_then(|all| all.get(&change.name));
        let is_by_alternative = !change.is_applied_in(&zone)
            && alternative.is_some_and(|alternative| alternative.is_applied_in(&zone));
        if is_by_alternative {
            self.note_lost_answer(changes);
            self.by_alternative.insert(change.name.clone(), refusal);
        } else if is_applied_in(&zone, changes, &refusal)? {
            self.note_lost_answer(changes);
        } else {
            return Err(refusal);
        }
        Ok(())
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
    let zone = read_again(route53, id, changes).await?;
    is_applied_in(&zone, changes, error)
}

async fn read_again(
    route53: &impl Route53,
    id: &HostedZoneId,
    changes: &[NameChange],
) -> Result<Zone, Error> {
    let names = changes.iter().flat_map(NameChange::record_names);
    read_names(route53, id, names.cloned().collect()).await
}

fn is_applied_in(zone: &Zone, changes: &[NameChange], error: &Error) -> Result<bool, Error> {
    if changes.iter().all(|change| change.is_applied_in(zone)) {
        tracing::warn!(%error, "a change was applied although its answer says otherwise");
        return Ok(true);
    }
    match changes.iter().find(|change| !change.is_current_in(zone)) {
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
