//! The function `probe`: asks the `to` side for every name of a migration, at
//! its own load balancer, before and while weights lead there.
//!
//! The event is `{"migration": …}`, the migration as `shift-weight` planned it.
//! For each name the records of `to` say where to connect, never the event: an
//! alias' or CNAME's target, or plain addresses. TLS server name and Host are
//! the name, so that an answer proves certificate, listener rule and host
//! routing. It reads the zone and changes nothing.
//!
//! A name is healthy when enough attempts were answered as the input's `probe`
//! expects. A name that is not is a failure, not an error, also when its record
//! is gone; what could not be asked before the deadline is inconclusive.
//!
//! What may not happen in here: a connection to an address of the `address`
//! module's list, a redirect followed, an answer repeated in output or logs.
//!
//! | environment variable | meaning |
//! |---|---|
//! | `PROBE_CA_CERTIFICATES` | certificates (PEM) of authorities to trust besides the operating system's; line breaks may be spaces; empty by default |
//! | `PROBE_CONNECT_TO` | for local runs: `HOST_PATTERN=ADDRESS:PORT` entries, separated by commas, that replace resolution and port for the load balancers whose name or address in the zone matches (`*`: any characters); loopback is permitted for these alone; empty by default |
//! | `RUST_LOG` | log level, `info` by default |

mod address;
mod any_certificate;
mod attempt;
mod connect_to;
mod schedule;
#[cfg(test)]
mod server;
mod target;
#[cfg(test)]
mod tests;
mod tls;

use std::env;
use std::time::Duration;

use migration::input::{Probe, from_json};
use migration::plan::Migration;
use migration::route53::{Route53, read_names};
use migration::zone::Zone;
use migration::{Error, RecordName, SetIdentifier, Verdict, shortened};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

pub use crate::attempt::Phase;
use crate::attempt::{Problem, Question};
use crate::connect_to::ConnectTo;
use crate::schedule::{enough, until};
use crate::target::targets;
use crate::tls::{Tls, roots};

/// How many failures an answer lists.
const LISTED: usize = 10;
/// Characters of a problem; certificates may list hundreds of names.
const LONGEST_PROBLEM: usize = 300;

/// How the network is reached: the function's settings.
#[derive(Clone, Debug)]
pub struct Prober {
    connect_to: ConnectTo,
    tls: Tls,
}

impl Prober {
    /// From the environment variables; see the crate's documentation.
    ///
    /// # Errors
    /// Names the variable and the part of it that can't be read.
    pub fn from_env() -> Result<Self, String> {
        let variable = |name| env::var(name).unwrap_or_default();
        Self::new(&variable(connect_to::VARIABLE), &variable(tls::VARIABLE))
    }

    /// From the values of `PROBE_CONNECT_TO` and `PROBE_CA_CERTIFICATES`.
    ///
    /// # Errors
    /// Names the variable and the part of it that can't be read.
    pub fn new(connect_to: &str, ca_certificates: &str) -> Result<Self, String> {
        Ok(Self {
            connect_to: ConnectTo::parse(connect_to)?,
            tls: Tls::new(roots(ca_certificates)?)
                .map_err(|error| format!("failed to set up TLS: {error}"))?,
        })
    }

    /// Whether `name` is healthy on side `to`.
    async fn probe_name(
        &self,
        zone: &Zone,
        name: &RecordName,
        to: &SetIdentifier,
        probe: &Probe,
    ) -> Result<(), Failure> {
        let targets = targets(zone, name, to).map_err(|text| {
            let problem = Problem {
                phase: Phase::Resolve,
                target: None,
                address: None,
                text,
            };
            Failure::new(name, problem)
        })?;
        let question = Question {
            host: &name.host(probe.wildcard_label.as_str()),
            targets: &targets,
            probe,
            timeout: seconds(probe.attempt_timeout_seconds.get()),
        };
        enough(
            probe.attempts.get(),
            probe.successes.get(),
            async |number| self.attempt(&question, number).await,
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

/// What the function answers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// `pass` if all names are healthy, `fail` if one is not.
    pub verdict: Verdict,
    /// One sentence for people.
    pub reason: String,
    /// How many names are healthy.
    pub healthy: usize,
    /// How many names there are.
    pub names: usize,
    /// The names that are not healthy, at most 10.
    pub failures: Vec<Failure>,
}

/// A name that is not healthy, and the last problem it had.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Failure {
    /// The name.
    pub name: String,
    /// What its record points to, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The address and port that was asked, if it came to that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Where it failed.
    pub phase: Phase,
    /// How it failed.
    pub problem: String,
}

impl Failure {
    fn new(name: &RecordName, problem: Problem) -> Self {
        Self {
            name: name.to_string(),
            target: problem.target,
            address: problem.address.map(|address| address.to_string()),
            phase: problem.phase,
            problem: shortened(&problem.text, LONGEST_PROBLEM),
        }
    }
}

/// Probes every name of the event's migration.
pub async fn handle(
    event: &Value,
    route53: &impl Route53,
    prober: &Prober,
) -> Result<Answer, Error> {
    let began = Instant::now();
    let Request { migration } = from_json(event)?;
    let Migration {
        names, to, probe, ..
    } = &migration;
    if names.is_empty() {
        return Err(Error::InvalidInput(
            "migration.names: expected at least one name, found none".to_owned(),
        ));
    }
    if !probe.enabled {
        return Ok(Answer {
            verdict: Verdict::Pass,
            reason: "nothing was probed: the probe is switched off (probe.enabled)".to_owned(),
            healthy: 0,
            names: names.len(),
            failures: Vec::new(),
        });
    }
    let zone = read_names(
        route53,
        &migration.hosted_zone_id,
        names.iter().cloned().collect(),
    )
    .await?;
    let outcomes = until(
        began + seconds(probe.deadline_seconds.get()),
        usize::try_from(probe.concurrency.get()).unwrap_or(1),
        names
            .iter()
            .map(|name| prober.probe_name(&zone, name, to, probe)),
    )
    .await;
    Ok(answer(outcomes, &migration))
}

fn answer(outcomes: Vec<Result<(), Failure>>, migration: &Migration) -> Answer {
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
                "{} of {names} names could not be probed on {to} within {} seconds; the others are healthy",
                names - finished,
                migration.probe.deadline_seconds.get()
            ),
        ),
        None => (
            Verdict::Pass,
            format!("{names} of {names} names are healthy on {to}"),
        ),
    };
    failures.truncate(LISTED);
    Answer {
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
