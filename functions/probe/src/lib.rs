//! The function `probe`: sends requests for every name of a migration to the load
//! balancers of the `to` side, before it receives traffic and while it does.
//!
//! The event is `{"migration": …}`, the migration as `shift-weight` planned it.
//! The target to connect to comes from the name's records of `to` in the zone, never
//! from the event: the target of an alias or CNAME, or an A or AAAA record's values.
//! The name is sent as TLS server name and as Host, so a good response proves
//! certificate, listener rule and host routing. The function only reads the zone.
//!
//! A name is healthy if enough attempts got the response that the input's `probe`
//! expects. An unhealthy name, or one without a record, gives the verdict fail, not an
//! error. If the deadline passes before all names are probed and none has failed, the
//! verdict is inconclusive.
//!
//! The function never connects to an address that the module `address` forbids, never
//! follows a redirect, and never quotes a response in its report or logs.
//!
//! | environment variable | meaning |
//! |---|---|
//! | `PROBE_CA_CERTIFICATES` | PEM certificates of authorities to trust in addition to the operating system's; line breaks may be replaced by spaces; empty by default |
//! | `PROBE_CA_CERTIFICATES_DIRECTORY` | a directory whose files `*.pem` have further certificates of authorities to trust, such as one of a Lambda layer; none by default |
//! | `PROBE_CONNECT_TO` | for local runs: `HOST_PATTERN=ADDRESS:PORT` entries, separated by commas. For a target in the zone (host or address) that matches the pattern (`*`: any characters), the probe connects to this address and port. Only these addresses may be loopback addresses. Empty by default |
//! | `RUST_LOG` | log level, `info` by default |

mod address;
mod any_certificate;
mod attempt;
mod connect_to;
mod one_sided;
mod prober;
mod schedule;
#[cfg(test)]
mod server;
mod target;
#[cfg(test)]
mod tests;
mod tls;

use std::time::Duration;

use migration::Error;
use migration::dns::{RecordName, SetIdentifier, Sides, Zone};
use migration::error::InvalidInput;
use migration::health::Verdict;
use migration::json::from_json;
use migration::plan::Migration;
use migration::route53::{Route53, read_names};
use migration::text::shortened;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

pub use crate::attempt::Phase;
use crate::attempt::{NameProbe, Problem};
pub use crate::prober::Prober;
use crate::schedule::{finished_before, try_until_decided};
use crate::target::targets;

/// Maximum number of failures in a report. A migration may have thousands of names, and
/// Step Functions limits the data between states to 256 KiB.
const MAX_FAILURES: usize = 10;
/// Maximum characters of a problem. The error for a wrong certificate lists the names in
/// it, which may be hundreds.
const MAX_PROBLEM_CHARACTERS: usize = 600;

impl Prober {
    /// Succeeds if `name` is healthy on side `to`.
    async fn probe_name(
        &self,
        zone: &Zone,
        name: &RecordName,
        identifiers: &Sides<SetIdentifier>,
        migration: &Migration,
    ) -> Result<(), Failure> {
        let settings = &migration.probe;
        self.reject_one_sided(zone, name, identifiers, migration)
            .await
            .map_err(|problem| Failure::new(name, problem))?;
        let targets = targets(zone, name, &identifiers.to).map_err(|text| {
            let problem = Problem {
                phase: Phase::Resolve,
                target: None,
                address: None,
                text,
            };
            Failure::new(name, problem)
        })?;
        let name_probe = NameProbe {
            host: &name.host(settings.wildcard_label.as_str()),
            targets: &targets,
            settings,
            timeout: seconds(settings.attempt_timeout_seconds.get()),
        };
        try_until_decided(
            settings.attempts.get(),
            settings.successes.get(),
            async |number| self.attempt(&name_probe, number).await,
        )
        .await
        .map_err(|problem| Failure::new(name, problem))
    }
}

#[derive(Deserialize)]
#[serde(expecting = "an object with migration")]
struct Request {
    migration: Migration,
}

/// The function's result.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ProbeReport {
    /// In order of precedence: `fail` if a name is not healthy, `inconclusive` if a name
    /// was not probed before the deadline, `pass`.
    pub verdict: Verdict,
    /// One sentence for notifications and logs.
    pub reason: String,
    /// The number of healthy names.
    pub healthy: usize,
    /// The number of names in the migration.
    pub names: usize,
    /// At most 10 names that are not healthy, in alphabetical order.
    pub failures: Vec<Failure>,
}

/// A name that is not healthy, with the problem of its last failed attempt.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Failure {
    pub name: String,
    /// The target of its record, if it has a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The address and port of the attempt, if an address was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The phase that failed.
    pub phase: Phase,
    /// What was found and what was expected.
    pub problem: String,
}

impl Failure {
    fn new(name: &RecordName, problem: Problem) -> Self {
        Self {
            name: name.to_string(),
            target: problem.target,
            address: problem.address.map(|address| address.to_string()),
            phase: problem.phase,
            problem: shortened(&problem.text, MAX_PROBLEM_CHARACTERS),
        }
    }
}

/// Probes every name of the event's migration.
pub async fn handle(
    event: &Value,
    route53: &impl Route53,
    prober: &Prober,
) -> Result<ProbeReport, Error> {
    let start = Instant::now();
    let Request { migration } = from_json(event)?;
    let Migration { names, probe, .. } = &migration;
    if names.is_empty() {
        return Err(Error::from(InvalidInput::NoNamesToProbe));
    }
    if !probe.enabled {
        return Ok(ProbeReport {
            verdict: Verdict::Pass,
            reason: "nothing was probed: probe.enabled is false".to_owned(),
            healthy: 0,
            names: names.len(),
            failures: Vec::new(),
        });
    }
    let identifiers = migration.identifiers()?;
    let zone = read_names(
        route53,
        &migration.hosted_zone_id,
        names.iter().cloned().collect(),
    )
    .await?;
    let outcomes = finished_before(
        start + seconds(probe.deadline_seconds.get()),
        usize::try_from(probe.concurrency.get()).unwrap_or(1),
        names
            .iter()
            .zip(&identifiers)
            .map(|(name, identifiers)| prober.probe_name(&zone, name, identifiers, &migration)),
    )
    .await;
    Ok(report(outcomes, &migration))
}

fn report(outcomes: Vec<Result<(), Failure>>, migration: &Migration) -> ProbeReport {
    let names = migration.names.len();
    let to = &migration.to;
    let finished = outcomes.len();
    let mut failures: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    failures.sort_by(|a, b| a.name.cmp(&b.name));
    let healthy = finished - failures.len();
    let (verdict, reason) = match failures.first() {
        Some(first) => (
            Verdict::Fail,
            format!(
                "{} of {names} names are not healthy on {to}: {}{} ({}): {}",
                failures.len(),
                first.name,
                first
                    .address
                    .as_ref()
                    .map(|address| format!(" at {address}"))
                    .unwrap_or_default(),
                first.phase,
                first.problem
            ),
        ),
        None if finished < names => (
            Verdict::Inconclusive,
            format!(
                "{} of {names} names were not probed on {to} within {} seconds (probe.deadlineSeconds); the others \
                 are healthy",
                names - finished,
                migration.probe.deadline_seconds.get()
            ),
        ),
        None => (
            Verdict::Pass,
            format!("{names} of {names} names are healthy on {to}"),
        ),
    };
    failures.truncate(MAX_FAILURES);
    ProbeReport {
        verdict,
        reason,
        healthy,
        names,
        failures,
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}
