//! The release of a migration that has completed: its names are given back to ExternalDNS, the
//! first one alone, and watched.

use std::collections::{BTreeMap, BTreeSet};

use migration::change::{Journaled, close};
use migration::executions::{Executions, Status, execution_name, zone_of};
use migration::input::from_json;
use migration::journal::Journal;
use migration::lease;
use migration::record::RecordSet;
use migration::registry::{ExternalDns, Mode};
use migration::route53::{Route53, apply, read_names, read_zone};
use migration::weights::count_weights;
use migration::zone::Zone;
use migration::{
    Error, HostedZoneId, Percent, RecordName, SetIdentifier, Whole, ZoneNames, shortened,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::take_journals_away;

/// What an operator writes to release a migration.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "camelCase",
    expecting = "an object with the migration's execution, by name or ARN"
)]
struct Input {
    execution: String,
    hosted_zone_id: Option<HostedZoneId>,
    #[serde(default = "external_dns_interval_seconds")]
    external_dns_interval_seconds: Whole<1, 3_600>,
}

/// ExternalDNS's `--interval`, by default.
fn external_dns_interval_seconds() -> Whole<1, 3_600> {
    Whole::new(60)
}

/// How many intervals a name is watched after it was given back.
const INTERVALS: u32 = 2;
/// How often it is looked at meanwhile, at least.
const LOOKS: u32 = 12;
/// The longest time for which weights that snapped back stay unseen.
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

/// A release that can be carried out.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Release {
    /// The id of the hosted zone.
    pub hosted_zone_id: HostedZoneId,
    /// The name of the migration's execution.
    pub execution: String,
    /// Its ARN.
    pub execution_arn: String,
    /// The side that served before the migration.
    pub from: SetIdentifier,
    /// The side that serves now.
    pub to: SetIdentifier,
    /// The zone, and its names with a journal: those that are leased first, to be given back in this
    /// order.
    pub names: ZoneNames,
    /// How many of them are leased.
    pub leased: usize,
    /// Whether all were given back and watched before, and only their journals are left.
    pub closing: bool,
    /// How each side's ExternalDNS names its registry TXT records.
    pub external_dns: ExternalDns,
    /// For how long names are watched after they were given back: two intervals of ExternalDNS.
    pub watch_seconds: u32,
    /// How often they are looked at meanwhile.
    pub check_seconds: u32,
}

/// A release, or why there is nothing to be released.
#[derive(Debug, PartialEq, Serialize)]
pub struct ReleasePlanned {
    /// To be handed to the other operations; null if no journal of the execution is left.
    pub release: Option<Release>,
    /// The weights `from/to`, and how many pairs of records have them.
    pub weights: BTreeMap<String, usize>,
    /// One sentence for people.
    pub message: String,
}

/// What was given back.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GivenBack {
    /// How many names were given back by this call; the others were before.
    pub given_back: usize,
}

/// What was leased again.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TakenAgain {
    /// How many names were leased again.
    pub taken_again: usize,
    /// What that means, as the end of a sentence.
    pub message: String,
}

/// How a release ended.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Released {
    /// How many journals were taken away.
    pub journals: usize,
}

/// The journals of one execution in a zone.
struct Journals<'z>(Vec<(RecordName, &'z RecordSet, Journal)>);

impl<'z> Journals<'z> {
    /// Those at `names`, in their order; names that have none any more are left out.
    fn of(execution: &str, zone: &'z Zone, names: &[RecordName]) -> Result<Self, Error> {
        let mut journals = Self(Vec::with_capacity(names.len()));
        for name in names {
            journals.add(execution, zone, name)?;
        }
        Ok(journals)
    }

    /// The same, and the names whose journals can't be read, whoever's they are.
    fn readable<'n>(
        execution: &str,
        zone: &'z Zone,
        names: impl IntoIterator<Item = &'n RecordName>,
    ) -> (Self, Vec<&'n RecordName>) {
        let mut journals = Self(Vec::new());
        let mut is_unreadable = |name: &&RecordName| journals.add(execution, zone, name).is_err();
        let unreadable = names.into_iter().filter(&mut is_unreadable).collect();
        (journals, unreadable)
    }

    fn add(&mut self, execution: &str, zone: &'z Zone, name: &RecordName) -> Result<(), Error> {
        let journal = zone.journal(name)?;
        let own = journal.filter(|(_, journal)| journal.execution == execution);
        self.0
            .extend(own.map(|(read, journal)| (name.clone(), read, journal)));
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = Journaled<'_>> {
        self.0
            .iter()
            .map(|(name, read, journal)| (name, *read, journal))
    }

    /// Whether only the journals are still to be taken away.
    fn are_closing(&self) -> bool {
        self.iter().any(|(_, _, journal)| journal.completed)
    }

    /// The first of `names` without a journal, unless journals are being taken away.
    fn first_gone<'n>(&self, names: &'n [RecordName]) -> Option<&'n RecordName> {
        let journaled: BTreeSet<_> = self.iter().map(|(name, _, _)| name).collect();
        let gone = names.iter().find(|name| !journaled.contains(name));
        gone.filter(|_| !self.are_closing())
    }

    fn weights(&self) -> BTreeMap<String, usize> {
        let mut weights = BTreeMap::new();
        for (_, _, journal) in &self.0 {
            count_weights(&mut weights, &journal.written);
        }
        weights
    }
}

pub(crate) async fn plan(
    request: PlanRequest,
    route53: &impl Route53,
    executions: &impl Executions,
) -> Result<ReleasePlanned, Error> {
    let input: Input = from_json(&request.input)?;
    let name = execution_name(&input.execution);
    let execution = executions.describe(name).await?;
    let hosted_zone_id = zone_of(name, input.hosted_zone_id, execution.as_ref())?;
    let zone = read_zone(route53, &hosted_zone_id).await?;
    let journaled: BTreeSet<_> = zone.journaled_names().collect();
    let (journals, unreadable) = Journals::readable(name, &zone, &journaled);
    let Some((_, _, first)) = journals.iter().next() else {
        return Ok(ReleasePlanned {
            release: None,
            weights: BTreeMap::new(),
            message: format!(
                "nothing to release: the zone {} has no journal of execution {name}",
                zone.name
            ),
        });
    };
    let lowest = journals.iter().map(|(_, _, journal)| journal.percent).min();
    match execution.map(|execution| execution.status) {
        Some(Status::Succeeded) => {}
        // It ended long ago.
        None if lowest == Some(Percent::ALL) => {}
        status => {
            let what = match status {
                Some(Status::Running) => "is still running",
                _ => "has not completed",
            };
            return Err(Error::Busy(format!(
                "the execution {name} {what}, and its names are at {} percent; only a completed migration is released: \
                 finish it with an execution from {} to {}, or roll it back",
                lowest.unwrap_or_default(),
                first.from,
                first.to
            )));
        }
    }
    let watch_seconds = INTERVALS * input.external_dns_interval_seconds.get();
    let mut journaled: Vec<_> = journals.iter().collect();
    journaled.sort_by_key(|(_, _, journal)| !journal.is_leased());
    let leased = journaled.partition_point(|(_, _, journal)| journal.is_leased());
    let names: Vec<_> = journaled
        .iter()
        .map(|(name, _, _)| (*name).clone())
        .collect();
    let mut message = format!(
        "{leased} names are given back to ExternalDNS, the first one alone: {}",
        names.first().map_or("", RecordName::as_str)
    );
    message.push_str(&unreadable_stay(&unreadable));
    Ok(ReleasePlanned {
        message,
        weights: journals.weights(),
        release: Some(Release {
            hosted_zone_id,
            execution: name.to_owned(),
            execution_arn: executions.arn(name),
            from: first.from.clone(),
            to: first.to.clone(),
            names: ZoneNames::new(zone.name.clone(), names),
            leased,
            closing: journals.are_closing(),
            external_dns: ExternalDns {
                mode: Mode::Lease,
                from: first.registry.from.names.clone(),
                to: first.registry.to.names.clone(),
            },
            watch_seconds,
            check_seconds: watch_seconds.div_ceil(LOOKS).min(LONGEST_CHECK_SECONDS),
        }),
    })
}

pub(crate) async fn give_back(
    request: GiveBackRequest,
    route53: &impl Route53,
) -> Result<GivenBack, Error> {
    let GiveBackRequest { release, names } = request;
    let names = release.names.get(..names).unwrap_or(&release.names);
    let zone = release.read(names, route53).await?;
    let journals = Journals::of(&release.execution, &zone, names)?;
    if let Some(gone) = journals.first_gone(names) {
        return Err(is_gone(gone));
    }
    let mut changes = Vec::new();
    for journaled in journals.iter() {
        changes.extend(lease::give_back(&zone, journaled)?);
    }
    let given_back = changes.len();
    apply(route53, &release.hosted_zone_id, changes).await?;
    tracing::info!(
        execution = release.execution,
        given_back,
        "gave names back to ExternalDNS"
    );
    Ok(GivenBack { given_back })
}

pub(crate) async fn take_again(
    request: ReleaseRequest,
    route53: &impl Route53,
) -> Result<TakenAgain, Error> {
    let ReleaseRequest { release } = request;
    let zone = release.read(&release.names, route53).await?;
    let (journals, unreadable) =
        Journals::readable(&release.execution, &zone, release.names.iter());
    let is_closing = journals.are_closing();
    let changes: Vec<_> = journals
        .iter()
        .filter(|_| !is_closing)
        .filter_map(|journaled| lease::take_again(&zone, journaled))
        .collect();
    let taken_again = changes.len();
    let mut message = if is_closing {
        "all its names were given back and watched, and only their journals are left to be taken away: release again"
    } else if journals.0.is_empty() {
        "no journal of it is left, so none of its names is leased"
    } else {
        "what was given back is leased again, at the weights that the migration reached"
    }
    .to_owned();
    message.push_str(&unreadable_stay(&unreadable));
    apply(route53, &release.hosted_zone_id, changes).await?;
    tracing::info!(
        execution = release.execution,
        taken_again,
        "leased names again"
    );
    Ok(TakenAgain {
        taken_again,
        message,
    })
}

pub(crate) async fn end(
    request: ReleaseRequest,
    route53: &impl Route53,
) -> Result<Released, Error> {
    let ReleaseRequest { release } = request;
    let zone = release.read(&release.names, route53).await?;
    let journals = Journals::of(&release.execution, &zone, &release.names)?;
    // An earlier attempt whose answer got lost leaves none.
    let gone = journals.first_gone(&release.names);
    if let Some(gone) = gone.filter(|_| !journals.0.is_empty() || release.is_undone_in(&zone)) {
        return Err(is_gone(gone));
    }
    for journaled in journals.iter().filter(|_| !journals.are_closing()) {
        if lease::give_back(&zone, journaled)?.is_some() {
            return Err(Error::Conflict(format!(
                "{} was leased again, by another release of the execution {}",
                journaled.0, release.execution
            )));
        }
    }
    let mut journaled: Vec<_> = journals.iter().collect();
    // A rollback begins with the first name as well, see `close`.
    journaled.sort_by_key(|(name, _, _)| *name);
    let journals =
        take_journals_away(close(&zone, journaled), &release.hosted_zone_id, route53).await?;
    tracing::info!(
        execution = release.execution,
        journals,
        "released the migration"
    );
    Ok(Released { journals })
}

/// What is said of names whose journals can't be read.
fn unreadable_stay(names: &[&RecordName]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
    format!(
        "; the journals of these names can't be read, and whoever's they are, they stay as they are: {}",
        shortened(&names.join(", "), LONGEST_LIST)
    )
}

fn is_gone(name: &RecordName) -> Error {
    Error::Drift(format!(
        "the journal {} is gone: somebody deleted it, rolled {name} back, or released it with another execution",
        name.journal()
    ))
}

impl Release {
    /// Whether a name has no traffic on `to` any more.
    fn is_undone_in(&self, zone: &Zone) -> bool {
        let serves = |name: &RecordName| {
            let mut live = zone.at(name).iter().filter_map(RecordSet::weighted);
            live.any(|(side, weight)| *side == self.to && weight > 0)
        };
        !self.names.iter().all(serves)
    }

    async fn read(&self, names: &[RecordName], route53: &impl Route53) -> Result<Zone, Error> {
        let places = |name| self.external_dns.places(name);
        let places = names.iter().flat_map(places).collect();
        read_names(route53, &self.hosted_zone_id, places).await
    }
}
