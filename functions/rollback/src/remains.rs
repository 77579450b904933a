//! What a stack leaves behind if it is deleted now: executions that run, and names with journals, which only this
//! stack's key verifies.

use std::collections::BTreeMap;

use migration::Error;
use migration::dns::HostedZoneId;
use migration::executions::Executions;
use migration::journal::{Journals, SigningKeys};
use migration::route53::{Route53, read_zone};
use migration::text::first_of;

/// The most names or executions that are listed.
const MOST_LISTED: usize = 3;

/// Why the stack with these zones must not be deleted; none if it may.
///
/// Journals count that this stack's key has signed, whichever stack has written them: with the key of an earlier
/// stack, its journals as well.
///
/// # Errors
/// The first of a call: it is not known then what the stack would leave behind. A zone that is gone counts as
/// empty.
pub async fn remains(
    zones: &[HostedZoneId],
    route53: &impl Route53,
    executions: &impl Executions,
    keys: &impl SigningKeys,
) -> Result<Option<String>, Error> {
    let key = keys.signing_key().await?;
    let running = executions.list_running().await?;
    let running: Vec<_> = running.into_iter().map(|it| it.name).collect();
    let mut journaled = BTreeMap::new();
    for id in zones {
        let zone = match read_zone(route53, id).await {
            Ok(zone) => zone,
            Err(Error::NoSuchHostedZone(_)) => continue,
            Err(error) => return Err(error),
        };
        let journals = Journals::new(&zone, &key);
        for name in zone.journaled_names() {
            if let Ok(Some(entry)) = journals.at(&name) {
                let execution = entry.journal.execution.name();
                let percent = entry.journal.percent;
                journaled.insert(name, format!("execution {execution}, {percent} percent"));
            }
        }
    }
    let names = journaled.iter().map(|(name, of)| format!("{name} ({of})"));
    let reasons: Vec<_> = [
        list("running executions", &running),
        list("names with a journal", &names.collect::<Vec<_>>()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if reasons.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "the stack is still needed: without it, nothing watches or restores what its migrations have shifted; release \
         them or roll them back, then delete the stack again; {}",
        reasons.join("; ")
    )))
}

/// The first of the items and the number of the others; none without items.
fn list(what: &str, items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| format!("{what}: {}", first_of(items, MOST_LISTED)))
}
