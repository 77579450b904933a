//! The release of a completed migration: its names are given back to ExternalDNS, the first one
//! alone, and watched before the journals are deleted.

use std::collections::{BTreeMap, BTreeSet};

use migration::Error;
use migration::change::{self, Allowance, Applied, Closed, NameChange, apply, complete};
use migration::dns::{
    HostedZoneId, Percent, RecordName, RecordSet, SetIdentifier, SetIdentifierTemplate, Sides,
    TemplateTexts, Zone, ZoneNames, count_weights,
};
use migration::error::{Busy, Conflict, Drift, InvalidInput, UntrustedJournal};
use migration::executions::{ExecutionName, Executions, Status, zone_of};
use migration::external_dns::{ExternalDns, Mode};
use migration::input::BoundedInteger;
use migration::journal::{ExecutionIdentity, JournalEntry, Journals, SigningKey, SigningKeys};
use migration::json::from_json;
use migration::route53::{Route53, read_names, read_zone};
use migration::text::shortened;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an operator writes to release a migration.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "an object with the migration's execution, by name or ARN"
)]
struct Input {
    execution: ExecutionName,
    hosted_zone_id: Option<HostedZoneId>,
    #[serde(default = "external_dns_interval_seconds")]
    external_dns_interval_seconds: BoundedInteger<1, 3_600>,
}

/// The default of ExternalDNS's `--interval`.
fn external_dns_interval_seconds() -> BoundedInteger<1, 3_600> {
    BoundedInteger::new(60)
}

/// How many intervals of ExternalDNS a name is watched after it was given back: in one interval a
/// reconciliation may just have ended, and in two at least one has begun and ended.
const WATCHED_INTERVALS: u32 = 2;
/// How often a name is checked while it is watched, at least.
const LEAST_CHECKS: u32 = 12;
/// The longest time between two checks, and so for which traffic follows weights that snapped back.
const LONGEST_CHECK_SECONDS: u32 = 30;
/// Characters of the names that a message lists.
const LONGEST_LIST: usize = 1_000;

#[derive(Deserialize)]
pub(crate) struct PlanRequest {
    input: Value,
}

#[derive(Deserialize)]
pub(crate) struct GiveBackRequest {
    release: Release,
    names: usize,
}

#[derive(Deserialize)]
pub(crate) struct ReleaseRequest {
    release: Release,
}

/// What the operations of a release need.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Release {
    pub hosted_zone_id: HostedZoneId,
    /// The name of the migration's execution.
    pub execution: String,
    pub execution_arn: String,
    /// The execution in the journals.
    pub identity: ExecutionIdentity,
    /// The set identifiers of the two sides, or templates for them, as in the migration's input.
    pub from: SetIdentifierTemplate,
    pub to: SetIdentifierTemplate,
    /// The names with a journal, in the order in which they are given back: the leased ones first.
    pub names: ZoneNames,
    /// What the `*` of the templates stands for at each name.
    #[serde(default, skip_serializing_if = "TemplateTexts::is_empty")]
    pub template_texts: TemplateTexts,
    /// How many of them are leased.
    pub leased: usize,
    /// Whether all names have been given back and watched by an earlier release, and only journals
    /// remain to be deleted.
    pub closing: bool,
    pub external_dns: ExternalDns,
    /// For how long names are watched after they were given back.
    pub watch_seconds: u32,
    /// The time between two checks of the watched names.
    pub check_seconds: u32,
}

/// A release, or why there is nothing to release.
#[derive(Debug, PartialEq, Serialize)]
pub struct ReleasePlanned {
    /// The input of the other operations; null if the execution has no journal in the zone.
    pub release: Option<Release>,
    /// The weights `from/to`, and how many pairs of records have them.
    pub weights: BTreeMap<String, usize>,
    /// One sentence for people.
    pub message: String,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenBack {
    /// How many names this call gave back; earlier calls gave back the others.
    pub given_back: usize,
    /// How many names are left to the next call.
    pub remaining: usize,
    /// The time from the start of this call to that of the next one, in seconds.
    pub pause_seconds: u32,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseReacquired {
    /// How many names this call has leased again.
    pub reacquired: usize,
    /// How many names are left to the next call.
    pub remaining: usize,
    /// The time from the start of this call to that of the next one, in seconds.
    pub pause_seconds: u32,
    /// The result for people, as the last part of a sentence.
    pub message: String,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Released {
    /// How many journals this call has deleted.
    pub journals: usize,
    /// How many journals are left to the next call.
    pub remaining: usize,
    /// The time from the start of this call to that of the next one, in seconds.
    pub pause_seconds: u32,
}

/// The journals of one execution in a zone.
struct OwnJournals<'z>(Vec<JournalEntry<'z>>);

impl<'z> OwnJournals<'z> {
    /// The journals at `names`, in their order; names without a journal are left out.
    fn at(
        execution: &ExecutionIdentity,
        journals: &Journals<'z>,
        names: &[RecordName],
    ) -> Result<Self, Error> {
        let mut own = Self(Vec::with_capacity(names.len()));
        for name in names {
            own.add(journals, name, |found| found == execution)
                .map_err(
                    |UntrustedJournal { problem, .. }| Drift::ReleasedJournalUntrusted {
                        name: name.clone(),
                        problem,
                    },
                )?;
        }
        Ok(own)
    }

    /// The trusted journals of the execution, and the names with untrusted ones, which may belong to any
    /// execution.
    fn trusted_at<'n>(
        is_execution: impl Fn(&ExecutionIdentity) -> bool,
        journals: &Journals<'z>,
        names: impl IntoIterator<Item = &'n RecordName>,
    ) -> (Self, Vec<&'n RecordName>) {
        let mut own = Self(Vec::new());
        let mut is_untrusted = |name: &&RecordName| own.add(journals, name, &is_execution).is_err();
        let untrusted = names.into_iter().filter(&mut is_untrusted).collect();
        (own, untrusted)
    }

    fn add(
        &mut self,
        journals: &Journals<'z>,
        name: &RecordName,
        is_execution: impl Fn(&ExecutionIdentity) -> bool,
    ) -> Result<(), UntrustedJournal> {
        let is_own = |entry: &JournalEntry<'_>| is_execution(&entry.journal.execution);
        self.0.extend(journals.at(name)?.filter(is_own));
        Ok(())
    }

    /// Whether all names have been given back and watched, and the deletion of the journals has begun.
    fn has_deletion_begun(&self) -> bool {
        self.0.iter().any(|entry| entry.journal.completed)
    }

    /// The first of `names` without a journal, unless the deletion of the journals has begun.
    fn first_missing<'n>(&self, names: &'n [RecordName]) -> Option<&'n RecordName> {
        let journaled: BTreeSet<_> = self.0.iter().map(|entry| &entry.name).collect();
        let missing = names.iter().find(|name| !journaled.contains(name));
        missing.filter(|_| !self.has_deletion_begun())
    }

    /// Those of one execution.
    fn of(mut self, execution: Option<&ExecutionIdentity>) -> Self {
        self.0
            .retain(|entry| Some(&entry.journal.execution) == execution);
        self
    }

    fn weights(&self) -> BTreeMap<String, usize> {
        let mut weights = BTreeMap::new();
        for entry in &self.0 {
            count_weights(&mut weights, &entry.journal.written);
        }
        weights
    }
}

pub(crate) async fn plan(
    request: PlanRequest,
    route53: &impl Route53,
    executions: &impl Executions,
    keys: &impl SigningKeys,
) -> Result<ReleasePlanned, Error> {
    let input: Input = from_json(&request.input)?;
    let name = &*input.execution;
    let execution = executions.describe(name).await?;
    let hosted_zone_id = zone_of(name, input.hosted_zone_id, execution.as_ref())?;
    let (zone, key) = tokio::try_join!(read_zone(route53, &hosted_zone_id), keys.signing_key())?;
    let all = Journals::new(&zone, &key);
    let journaled: BTreeSet<_> = zone.journaled_names().collect();
    let identity = execution
        .as_ref()
        .map(|described| key.identity(name, &executions.arn(name), described.started_at));
    // Without the start of the execution, which Step Functions forgets 90 days after its end, its name has to
    // do. Another execution of that name is released by a second release.
    let (journals, untrusted) = OwnJournals::trusted_at(
        |found| {
            identity
                .as_ref()
                .map_or(found.name() == name, |identity| found == identity)
        },
        &all,
        &journaled,
    );
    let first = journals
        .0
        .first()
        .map(|entry| entry.journal.execution.clone());
    let journals = journals.of(first.as_ref());

    let Some(JournalEntry { journal: first, .. }) = journals.0.first() else {
        return Ok(ReleasePlanned {
            release: None,
            weights: BTreeMap::new(),
            message: format!(
                "nothing to release: the zone {} has no journal of execution {name}",
                zone.name
            ),
        });
    };
    let lowest = journals.0.iter().map(|entry| entry.journal.percent).min();
    match execution.map(|execution| execution.status) {
        Some(Status::Succeeded) => {}
        // Step Functions forgets an execution 90 days after its end; the journals show that it completed.
        None if lowest == Some(Percent::ALL) => {}
        status => {
            return Err(Error::from(Busy::NotCompleted {
                execution: name.to_owned(),
                is_running: status == Some(Status::Running),
                percent: lowest.unwrap_or_default(),
                from: first.templates.from.clone(),
                to: first.templates.to.clone(),
            }));
        }
    }
    let watch_seconds = WATCHED_INTERVALS * input.external_dns_interval_seconds.get();
    let mut entries: Vec<_> = journals.0.iter().collect();
    entries.sort_by_key(|entry| !entry.journal.is_leased());
    let leased = entries.partition_point(|entry| entry.journal.is_leased());
    let names: Vec<_> = entries.iter().map(|entry| entry.name.clone()).collect();
    let identifiers = entries.iter().map(|entry| Sides {
        from: &entry.journal.from,
        to: &entry.journal.to,
    });
    let identifiers: Vec<_> = identifiers.collect();
    let mut message = format!(
        "{leased} names will be given back to ExternalDNS, the first one alone: {}",
        names.first().map_or("", RecordName::as_str)
    );
    message.push_str(&describe_untrusted(&untrusted));

    Ok(ReleasePlanned {
        message,
        weights: journals.weights(),
        release: Some(Release {
            hosted_zone_id,
            execution: name.to_owned(),
            execution_arn: executions.arn(name),
            identity: first.execution.clone(),
            template_texts: TemplateTexts::new(first.templates.as_ref(), &identifiers),
            from: first.templates.from.clone(),
            to: first.templates.to.clone(),
            names: ZoneNames::new(zone.name.clone(), names),
            leased,
            closing: journals.has_deletion_begun(),
            external_dns: ExternalDns {
                mode: Mode::Lease,
                from: first.saved_owners.from.names.clone(),
                to: first.saved_owners.to.names.clone(),
            },
            watch_seconds,
            check_seconds: watch_seconds
                .div_ceil(LEAST_CHECKS)
                .min(LONGEST_CHECK_SECONDS),
        }),
    })
}

pub(crate) async fn give_back(
    request: GiveBackRequest,
    route53: &impl Route53,
    keys: &impl SigningKeys,
) -> Result<GivenBack, Error> {
    let GiveBackRequest { release, names } = request;
    let names = release.names.get(..names).unwrap_or(&release.names);
    let (zone, key) = read(&release, names, route53, keys).await?;
    let all = Journals::new(&zone, &key);
    let journals = OwnJournals::at(&release.identity, &all, names)?;

    if let Some(missing) = journals.first_missing(names) {
        return Err(journal_gone(missing));
    }
    let mut changes = Vec::new();
    for entry in &journals.0 {
        changes.extend(change::give_back(&all, entry)?);
    }

    let comment = format!("Cutover: release of execution {}", release.execution);
    let Written {
        names: given_back,
        remaining,
        pause_seconds,
    } = write(route53, &release, &comment, changes).await?;

    tracing::info!(
        execution = release.execution,
        given_back,
        remaining,
        "gave names back to ExternalDNS"
    );
    Ok(GivenBack {
        given_back,
        remaining,
        pause_seconds,
    })
}

pub(crate) async fn reacquire_lease(
    request: ReleaseRequest,
    route53: &impl Route53,
    keys: &impl SigningKeys,
) -> Result<LeaseReacquired, Error> {
    let ReleaseRequest { release } = request;
    let (zone, key) = read(&release, &release.names, route53, keys).await?;
    let all = Journals::new(&zone, &key);
    let is_own = |found: &ExecutionIdentity| *found == release.identity;
    let (journals, untrusted) = OwnJournals::trusted_at(is_own, &all, release.names.iter());

    let has_deletion_begun = journals.has_deletion_begun();
    let changes: Vec<_> = journals
        .0
        .iter()
        .filter(|_| !has_deletion_begun)
        .filter_map(|entry| change::reacquire_lease(&all, entry))
        .collect();
    let mut message = if has_deletion_begun {
        "all its names have been given back and watched, and only journals remain to be deleted: start the release again"
    } else if journals.0.is_empty() {
        "it has no journal left, so none of its names is leased"
    } else {
        "the names that were given back are leased again, with the weights that the migration reached"
    }
    .to_owned();
    message.push_str(&describe_untrusted(&untrusted));

    let comment = format!(
        "Cutover: release of execution {} leases again",
        release.execution
    );
    let Written {
        names: reacquired,
        remaining,
        pause_seconds,
    } = write(route53, &release, &comment, changes).await?;

    tracing::info!(
        execution = release.execution,
        reacquired,
        remaining,
        "leased names again"
    );
    Ok(LeaseReacquired {
        reacquired,
        remaining,
        pause_seconds,
        message,
    })
}

pub(crate) async fn end(
    request: ReleaseRequest,
    route53: &impl Route53,
    keys: &impl SigningKeys,
) -> Result<Released, Error> {
    let ReleaseRequest { release } = request;
    let (zone, key) = read(&release, &release.names, route53, keys).await?;
    let all = Journals::new(&zone, &key);
    let journals = OwnJournals::at(&release.identity, &all, &release.names)?;

    let missing = journals.first_missing(&release.names);
    // Without any journal, either an earlier attempt has deleted them and its answer was lost, or a
    // rollback has.
    let is_rolled_back = journals.0.is_empty() && release.is_rolled_back_in(&zone)?;
    if let Some(missing) = missing.filter(|_| !journals.0.is_empty() || is_rolled_back) {
        return Err(journal_gone(missing));
    }
    for entry in journals.0.iter().filter(|_| !journals.has_deletion_begun()) {
        if change::give_back(&all, entry)?.is_some() {
            return Err(Error::from(Conflict::LeasedAgain {
                name: entry.name.clone(),
                execution: release.execution,
            }));
        }
    }
    let mut entries: Vec<_> = journals.0.iter().collect();
    // A rollback at the same time begins with the first name too; see `change::complete`.
    entries.sort_by_key(|entry| &entry.name);
    let closing = complete(&all, entries);

    let comment = format!("Cutover: release of execution {} ends", release.execution);
    let mut allowance = Allowance::default();
    let closed = closing.apply(route53, &release.hosted_zone_id, &comment, &mut allowance);
    let Closed { deleted, remaining } = closed.await?;

    tracing::info!(
        execution = release.execution,
        deleted,
        remaining,
        "deleted the journals of the release"
    );
    Ok(Released {
        journals: deleted,
        remaining,
        pause_seconds: allowance.pause_seconds(),
    })
}

/// What one call has written.
struct Written {
    names: usize,
    remaining: usize,
    pause_seconds: u32,
}

/// Writes as many of the changes as are allowed.
async fn write(
    route53: &impl Route53,
    release: &Release,
    comment: &str,
    mut changes: Vec<NameChange>,
) -> Result<Written, Error> {
    let all = changes.len();
    let mut allowance = Allowance::default();
    let allowed = allowance.take(&mut changes);
    let applied = apply(route53, &release.hosted_zone_id, comment, allowed).await;
    let Applied { names, .. } = applied.or_error()?;
    Ok(Written {
        names: names.len(),
        remaining: all - names.len(),
        pause_seconds: allowance.pause_seconds(),
    })
}

/// The part of a message about names with untrusted journals.
fn describe_untrusted(names: &[&RecordName]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
    format!(
        "; these names are unchanged, because their journals are not trusted: {}",
        shortened(&names.join(", "), LONGEST_LIST)
    )
}

fn journal_gone(name: &RecordName) -> Error {
    Error::from(Drift::ReleasedJournalGone { name: name.clone() })
}

impl Release {
    /// Whether a name no longer has traffic on `to`.
    fn is_rolled_back_in(&self, zone: &Zone) -> Result<bool, Error> {
        let serves = |(name, to): (&RecordName, &SetIdentifier)| {
            let mut live = zone.at(name).iter().filter_map(RecordSet::weighted);
            live.any(|(side, weight)| side == to && weight > 0)
        };
        let templates = Sides {
            from: &self.from,
            to: &self.to,
        };
        let identifiers = self.template_texts.identifiers(templates, self.names.len());
        let identifiers = identifiers.map_err(|problem| InvalidInput::TemplateTexts { problem })?;
        let of_to = identifiers.iter().map(|sides| &sides.to);
        Ok(!self.names.iter().zip(of_to).all(serves))
    }
}

/// Reads the zone at these names of a release, and the key.
async fn read(
    release: &Release,
    names: &[RecordName],
    route53: &impl Route53,
    keys: &impl SigningKeys,
) -> Result<(Zone, SigningKey), Error> {
    let record_names = release.external_dns.record_names(names);
    tokio::try_join!(
        read_names(route53, &release.hosted_zone_id, record_names),
        keys.signing_key(),
    )
}
