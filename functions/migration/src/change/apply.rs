//! Writing the changes batch by batch.

use super::name_change::{NameChange, batches};
use crate::Error;
use crate::dns::HostedZoneId;
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

/// Writes the changes, batch by batch.
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
    changes: Vec<NameChange>,
) -> Result<Applied, Error> {
    let mut applied = Applied::default();
    for batch in batches(changes) {
        let elements: Vec<_> = batch.iter().flat_map(elements).collect();
        match route53.change_resource_record_sets(id, &elements).await {
            Ok(change_id) => applied.change_ids.push(change_id),
            Err(error @ (Error::ChangeRefused(_) | Error::Unavailable(_))) => {
                let names = batch
                    .iter()
                    .flat_map(NameChange::record_names)
                    .cloned()
                    .collect();
                let zone = read_names(route53, id, names).await?;
                if batch.iter().all(|change| change.is_applied_in(&zone)) {
                    tracing::warn!(%error, "a change was applied although its answer says otherwise");
                    applied.lost_an_answer = true;
                    continue;
                }
                let changed_by_other = batch.iter().find(|change| !change.is_current_in(&zone));
                return Err(match changed_by_other {
                    Some(change) => Error::from(Conflict::Overtaken {
                        name: change.name.clone(),
                        problem: error.to_string(),
                    }),
                    None => error,
                });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(applied)
}

/// The changes of a name in order. Route 53 needs each DELETE before the CREATE of the same record.
fn elements(change: &NameChange) -> impl Iterator<Item = Change<'_>> {
    let deletes = change.deletes.iter().map(Change::Delete);
    let creates = change.creates.iter().map(Change::Create);
    deletes.chain(creates)
}
