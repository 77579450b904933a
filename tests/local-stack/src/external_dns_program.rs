//! The real ExternalDNS of a cluster, which runs in the stack's zone.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use external_dns::{Endpoint, Settings, Version, source_endpoints};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::route53_proxy::Route53Proxy;
use crate::stack::Stack;

/// Far longer than a pass takes, even on a loaded machine.
const MAX_WAIT: Duration = Duration::from_mins(2);

/// One pass of ExternalDNS.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub struct Pass {
    /// What it planned to change.
    pub changes: Vec<String>,
    /// Why it failed; empty if it did not.
    pub error: String,
}

impl Pass {
    fn is_quiet(&self) -> bool {
        self.changes.is_empty() && self.error.is_empty()
    }
}

/// A process of ExternalDNS with endpoints in place of a cluster. It is ended on drop, and with
/// this process.
pub struct ExternalDnsProgram {
    version: Version,
    /// The file that each pass reads the endpoints from.
    file: PathBuf,
    endpoints: Vec<Endpoint>,
    command: Command,
    child: Child,
    sender: watch::Sender<Vec<Pass>>,
    passes: watch::Receiver<Vec<Pass>>,
    _proxy: Route53Proxy,
}

impl ExternalDnsProgram {
    /// Starts ExternalDNS with these flags; `None` where there is no Go to build it with.
    pub async fn start(
        stack: &Stack,
        version: Version,
        settings: &Settings,
        endpoints: Vec<Endpoint>,
        interval: Duration,
    ) -> Result<Option<Self>> {
        let build = move || {
            version
                .build(&workspace::target()?)
                .map_err(anyhow::Error::msg)
        };
        let Some(program) = tokio::task::spawn_blocking(build).await?? else {
            return Ok(None);
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let proxy = Route53Proxy::start(listener, stack.endpoint());
        let file = stack
            .directory()
            .join(format!("external-dns-{}.json", settings.owner));
        write(&file, version, &endpoints)?;
        let (sender, passes) = watch::channel(Vec::new());
        let mut command = Command::new(program);
        command
            .arg("control")
            .arg(&file)
            .arg(format!("{}ms", interval.as_millis()))
            .args(settings.flags())
            // Without the caller's AWS credentials and settings.
            .env_clear()
            .envs(stack.environment())
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("HOME", stack.directory())
            // It ends with its standard input.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let child = spawn(&mut command, &sender)?;
        Ok(Some(Self {
            version,
            file,
            endpoints,
            command,
            child,
            sender,
            passes,
            _proxy: proxy,
        }))
    }

    /// Ends the process and starts it again with the same flags. It has no cache then.
    pub fn restart(&mut self) -> Result<()> {
        self.end();
        self.child = spawn(&mut self.command, &self.sender)?;
        Ok(())
    }

    /// Changes what the cluster's annotated objects ask for.
    pub fn edit(&mut self, edit: impl FnOnce(&mut Vec<Endpoint>)) -> Result<()> {
        edit(&mut self.endpoints);
        write(&self.file, self.version, &self.endpoints)
    }

    /// The passes that planned changes or failed.
    pub fn history(&self) -> Vec<Pass> {
        let passes = self.passes.borrow();
        passes
            .iter()
            .filter(|pass| !pass.is_quiet())
            .cloned()
            .collect()
    }

    /// Waits for `more` passes. With 2, the second has read the zone and the endpoints after this
    /// call: the first one may have started before it.
    pub async fn wait_for_passes(&self, more: usize) -> Result<()> {
        let mut passes = self.passes.clone();
        let goal = passes.borrow().len() + more;
        let wait = passes.wait_for(|passes| passes.len() >= goal);
        tokio::time::timeout(MAX_WAIT, wait)
            .await
            .with_context(|| format!("no {more} passes within {MAX_WAIT:?}"))??;
        Ok(())
    }

    fn end(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for ExternalDnsProgram {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts the process, and adds its passes to `passes` until it ends.
fn spawn(command: &mut Command, passes: &watch::Sender<Vec<Pass>>) -> Result<Child> {
    let mut child = command.spawn().context("failed to run ExternalDNS")?;
    let output = child.stdout.take().context("ExternalDNS has no output")?;
    let passes = passes.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let pass = serde_json::from_str(&line).unwrap_or_else(|error| Pass {
                changes: Vec::new(),
                error: format!("it printed {line:?}: {error}"),
            });
            passes.send_modify(|passes| passes.push(pass));
        }
    });
    Ok(child)
}

/// Replaces the file, so that no pass reads a part of it.
fn write(file: &Path, version: Version, endpoints: &[Endpoint]) -> Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, source_endpoints(version, endpoints).to_string())
        .and_then(|()| fs::rename(&new, file))
        .with_context(|| format!("failed to write {}", file.display()))
}
