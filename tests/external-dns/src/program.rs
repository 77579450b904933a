//! The real ExternalDNS, without Kubernetes: Go programs around its published module, in
//! `program/`. The model is compared with them, and the local stack runs them.
//!
//! Each has ExternalDNS's own TXT registry, planner, AWS provider and command line flags, and
//! takes the endpoints from its input. The rest of ExternalDNS is left out: it depends on the
//! clients of all DNS providers and sources, some of which are not published any more. There is
//! one Go module for each version, because one module can only depend on one.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Once;

use migration::dns::{RecordData, RecordType, Routing, SetIdentifier};
use serde_json::{Map, Value, json};

use crate::names::{Affix, unescaped};
use crate::planner::Endpoint;
use crate::settings::{Generation, Policy, Settings};

/// A version of ExternalDNS that has a program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    /// v0.15.1, from December 2024: the last one whose AAAA aliases have no TXT of their own.
    V0_15,
    /// v0.21.0, from April 2026: the last one whose TXT of an alias A has the name of a CNAME's.
    V0_21,
    /// v0.22.0, from August 2026.
    V0_22,
}

impl Version {
    /// The generation that the model has of it.
    pub fn generation(self) -> Generation {
        match self {
            Self::V0_15 => Generation::DualstackLabel,
            Self::V0_21 => Generation::CnameForAlias,
            Self::V0_22 => Generation::OwnType,
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::V0_15 => "v0.15",
            Self::V0_21 => "v0.21",
            Self::V0_22 => "v0.22",
        }
    }

    /// Builds the program in the workspace's `target` folder and returns its path; `None`
    /// where there is no Go, which is then said once. Later builds take a second.
    ///
    /// # Errors
    /// The output of `go build`; with `CI=true` in the environment also that there is no Go.
    pub fn build(self, target: &Path) -> Result<Option<PathBuf>, String> {
        let folder = target.join("external-dns");
        let at = |path: &Path| {
            let path = path.display().to_string();
            move |error: io::Error| format!("failed to write {path}: {error}")
        };
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        // Test binaries may start at the same time: one builds, the others wait.
        let lock = folder.join("lock");
        let lock = File::create(&lock)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(at(&lock))?;
        let program = folder.join(self.folder());
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("program")
            .join(self.folder());
        let built = Command::new("go")
            .args(["build", "-buildvcs=false", "-trimpath"])
            // Without optimization and debug information it is built in two thirds of the time.
            .args(["-gcflags=all=-N -l -dwarf=false", "-ldflags=-s -w", "-o"])
            .arg(&program)
            .arg(".")
            .current_dir(&source)
            // Without a C compiler.
            .env("CGO_ENABLED", "0")
            .stdin(Stdio::null())
            .output();
        drop(lock);
        match built {
            Err(error) if error.kind() == io::ErrorKind::NotFound => without_go(),
            Err(error) => Err(format!("failed to run go: {error}")),
            Ok(output) if output.status.success() => Ok(Some(program)),
            Ok(output) => Err(format!(
                "go build failed in {} (it needs Go 1.21 or later and access to Go's modules):\n{}",
                source.display(),
                String::from_utf8_lossy(&output.stderr)
            )),
        }
    }
}

fn without_go() -> Result<Option<PathBuf>, String> {
    const LEFT_OUT: &str = "go was not found: the tests with the real ExternalDNS";
    static SAID: Once = Once::new();
    if std::env::var_os("CI").is_some_and(|value| value == "true") {
        return Err(format!("{LEFT_OUT} need Go 1.21 or later"));
    }
    SAID.call_once(|| {
        // Unlike eprintln!, this is shown for tests that pass. If it fails, there is nobody to tell.
        let _ = writeln!(io::stderr(), "{LEFT_OUT} were left out");
    });
    Ok(None)
}

impl Settings {
    /// The flags as ExternalDNS takes them.
    ///
    /// A cache never expires, because the program counts its age in real time. A new instance
    /// reads the zone as one does whose cache has expired.
    pub fn flags(&self) -> Vec<String> {
        let policy = match self.policy {
            Policy::Sync => "sync",
            Policy::UpsertOnly => "upsert-only",
            Policy::CreateOnly => "create-only",
        };
        let affix = match &self.affix {
            Affix::None => None,
            Affix::Prefix(prefix) => Some(format!("--txt-prefix={prefix}")),
            Affix::Suffix(suffix) => Some(format!("--txt-suffix={suffix}")),
        };
        let wildcard = &self.wildcard_replacement;
        let wildcard =
            (!wildcard.is_empty()).then(|| format!("--txt-wildcard-replacement={wildcard}"));
        let cache = (self.cached_passes > 0).then(|| "--txt-cache-interval=24h".to_owned());
        [
            format!("--txt-owner-id={}", self.owner),
            format!("--policy={policy}"),
            // It also waits after the last batch.
            "--aws-batch-change-interval=0s".to_owned(),
        ]
        .into_iter()
        .chain(affix)
        .chain(wildcard)
        .chain(cache)
        .collect()
    }
}

/// The endpoints of the sources that a version plans as these, in the JSON that ExternalDNS
/// defines for its Endpoint.
///
/// A source gives the host name of a load balancer as a CNAME, and the AWS provider makes it an
/// alias: up to v0.15 an A, with the label `dualstack` an AAAA as well; later both. Where one of them
/// is wanted, the annotation `alias` says so from v0.22; before, it is given with its type. An alias
/// AAAA alone cannot be said to v0.15 and is left out.
///
/// Source: `AdjustEndpoints` of `provider/aws/aws.go`.
pub fn source_endpoints(version: Version, endpoints: &[Endpoint]) -> Value {
    let beside = |endpoint: &Endpoint| endpoints.iter().find(|other| endpoint.is_beside(other));
    // Both types as one endpoint.
    let is_joined = |a: &Endpoint, aaaa: &Endpoint| {
        a.data == aaaa.data
            && a.routing == aaaa.routing
            && a.health_check_id == aaaa.health_check_id
    };
    let mut source = Vec::new();
    for endpoint in endpoints {
        let mut labels = Map::new();
        if !endpoint.resource.is_empty() {
            labels.insert("resource".to_owned(), endpoint.resource.as_str().into());
        }
        let mut properties = properties(endpoint);
        let mut record_type = endpoint.record_type.as_str();
        if endpoint.is_alias() {
            let is_a = endpoint.record_type == RecordType::A;
            let is_pair = if is_a {
                beside(endpoint).is_some_and(|aaaa| is_joined(endpoint, aaaa))
            } else {
                endpoints.iter().any(|a| {
                    a.record_type == RecordType::A
                        && a.is_alias()
                        && beside(a) == Some(endpoint)
                        && is_joined(a, endpoint)
                })
            };
            match version {
                Version::V0_15 if is_a => {
                    if beside(endpoint).is_some() {
                        labels.insert("dualstack".to_owned(), "true".into());
                    }
                    record_type = "CNAME";
                }
                Version::V0_15 => continue,
                Version::V0_21 | Version::V0_22 if is_pair && !is_a => continue,
                Version::V0_21 | Version::V0_22 if is_pair => record_type = "CNAME",
                Version::V0_21 => properties.push(("alias", "true".to_owned())),
                Version::V0_22 => {
                    properties.push(("alias", record_type.to_owned()));
                    record_type = "CNAME";
                }
            }
        }
        let (targets, ttl_seconds) = match &endpoint.data {
            RecordData::Values {
                ttl_seconds,
                values,
            } => (values.clone(), *ttl_seconds),
            RecordData::Alias { dns_name, .. } => {
                let name = dns_name.strip_suffix('.').unwrap_or(dns_name);
                (vec![name.to_owned()], 0)
            }
        };
        let set_identifier = endpoint.set_identifier();
        let properties: Vec<Value> = properties
            .into_iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        source.push(json!({
            "dnsName": unescaped(&endpoint.name),
            "recordType": record_type,
            "targets": targets,
            "recordTTL": ttl_seconds,
            "setIdentifier": set_identifier.map_or("", SetIdentifier::as_str),
            "labels": labels,
            "providerSpecific": properties,
        }));
    }
    source.into()
}

/// The annotations of an endpoint, by the names that the AWS provider has for them.
fn properties(endpoint: &Endpoint) -> Vec<(&'static str, String)> {
    let mut properties = Vec::new();
    if let Routing::Weighted { weight, .. } = &endpoint.routing {
        properties.push(("aws/weight", weight.to_string()));
    }
    if let RecordData::Alias {
        evaluate_target_health,
        ..
    } = &endpoint.data
    {
        properties.push((
            "aws/evaluate-target-health",
            evaluate_target_health.to_string(),
        ));
    }
    if let Some(id) = &endpoint.health_check_id {
        properties.push(("aws/health-check-id", id.clone()));
    }
    properties
}
