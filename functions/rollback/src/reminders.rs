//! Finds the migrations that wait for an operator: those that ended some time ago and still have journals. They
//! hold, their rollback failed, or they have completed and are not released.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use migration::Error;
use migration::dns::{Zone, count_weights};
use migration::executions::{Execution, Executions, Listed, Status, recorded_rollbacks};
use migration::input;
use migration::journal::{Journal, Journals};
use migration::route53::Route53;
use migration::text::shortened;

use crate::candidates::{MOST_CANDIDATES, retain_latest};
use crate::pass::PassReport;
use crate::report::{MigrationReport, Outcome};
use crate::request::ReminderRequest;
use crate::services::Services;
use crate::targets::LONGEST_REASON;
use crate::zones::Zones;

/// The migrations to remind of, as the answer of a pass that restores nothing.
pub(crate) async fn remind<R: Route53, E: Executions>(
    request: &ReminderRequest,
    services: Services<'_, R, E>,
) -> Result<PassReport, Error> {
    let age = Duration::from_hours(request.older_than_hours.into());
    let until = request.at.checked_sub(age);
    let mut candidates = services.executions.list_latest().await?;
    candidates.retain(|it| it.stopped_at.is_some() && it.stopped_at <= until);
    retain_latest(&mut candidates, MOST_CANDIDATES);

    let mut zones = Zones::new(services.route53);
    let mut migrations = Vec::new();
    for candidate in &candidates {
        let described = services.executions.describe(&candidate.name).await?;
        let Some(execution) = described else { continue };
        // An input that can't be parsed was refused by the plan.
        let Ok(input) = input::parse(&execution.input) else {
            continue;
        };
        if input.dry_run {
            continue;
        }
        let zone = match zones.get(&input.hosted_zone_id).await {
            Ok(zone) => zone,
            // Its journals are gone with it.
            Err(Error::NoSuchHostedZone(_)) => continue,
            Err(error) => return Err(error),
        };
        let journals = current_journals(candidate, zone, services).await?;
        migrations.extend(report(candidate, &execution, zone, &journals, services));
    }
    let message = match migrations.len() {
        0 => "no migration waits for an operator".to_owned(),
        1 => "1 migration waits for an operator".to_owned(),
        count => format!("{count} migrations wait for an operator"),
    };
    Ok(PassReport {
        done: true,
        message,
        migrations,
        ..PassReport::default()
    })
}

/// The journals of an execution, without those that another writer has put back after its rollback.
async fn current_journals<R, E: Executions>(
    candidate: &Listed,
    zone: &Zone,
    services: Services<'_, R, E>,
) -> Result<Vec<Journal>, Error> {
    let identity = services.identity(&candidate.name, candidate.started_at);
    let journals = Journals::new(zone, services.key);
    let found = zone.journaled_names();
    let found = found.filter_map(|name| Some(journals.at(&name).ok()??.journal));
    let mut found: Vec<_> = found.filter(|it| it.execution == identity).collect();
    let records = found.iter().map(Journal::rollback_record).collect();
    let records = recorded_rollbacks(records, services.executions).await?;
    found.retain(|it| !records.contains(&it.rollback_record()));
    Ok(found)
}

/// What to say about an execution; none if it has no journals.
fn report<R, E: Executions>(
    candidate: &Listed,
    execution: &Execution,
    zone: &Zone,
    journals: &[Journal],
    services: Services<'_, R, E>,
) -> Option<MigrationReport> {
    let first = journals.first()?;
    let stopped_at = candidate.stopped_at.map(DateTime::from);
    let stopped_at = stopped_at.and_then(|it| it.fmt(Format::DateTime).ok());
    let (status, ended) = match candidate.status {
        Status::Succeeded => (Outcome::NotReleased, "completed"),
        Status::Running | Status::Unsuccessful(_) => (Outcome::StillHeld, "ended"),
    };
    let details = [
        Some(format!("{ended} at {}", stopped_at.unwrap_or_default())),
        execution.error.clone(),
        execution.cause.clone(),
    ];
    let details: Vec<_> = details.into_iter().flatten().collect();
    let mut weights = BTreeMap::new();
    for journal in journals {
        count_weights(&mut weights, &journal.written);
    }
    Some(MigrationReport {
        status,
        execution: candidate.name.clone(),
        execution_arn: services.executions.arn(&candidate.name),
        hosted_zone_id: zone.id.clone(),
        zone_name: zone.name.clone(),
        from: Some(first.templates.from.clone()),
        to: Some(first.templates.to.clone()),
        reason: shortened(&details.join(": "), LONGEST_REASON),
        stopped: false,
        percent_before: None,
        percent: journals.iter().map(|it| it.percent).max(),
        names: journals.len(),
        weights,
        found: Vec::new(),
    })
}
