//! One attempt in four phases: resolve, connect, TLS, HTTP. A problem names its phase.
//!
//! Problems never quote the server's response: the function's reports are logged, and
//! bodies and headers may contain secrets.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONNECTION, HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use migration::input::{Probe, Scheme};
use rustls::pki_types::ServerName;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::address::forbidden_kind;
use crate::prober::Prober;
use crate::target::Target;

/// Maximum bytes of the headers, and of the body, that are read. An endless response
/// must not exhaust the function's memory.
const MAX_READ_BYTES: usize = 64 * 1024;

/// The phase in which an attempt failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Phase {
    /// Finding the addresses, from reading the records to resolving their targets.
    #[serde(rename = "resolve")]
    Resolve,
    /// Connecting to one of the addresses.
    #[serde(rename = "connect")]
    Connect,
    /// The TLS handshake, with the verification of the certificate.
    #[serde(rename = "TLS")]
    Tls,
    /// Request and response.
    #[serde(rename = "HTTP")]
    Http,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "TLS",
            Self::Http => "HTTP",
        })
    }
}

/// Why an attempt failed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    pub(crate) phase: Phase,
    pub(crate) target: Option<String>,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) text: String,
}

/// The parameters of all attempts for one name.
pub(crate) struct NameProbe<'a> {
    /// The TLS server name and HTTP Host.
    pub(crate) host: &'a str,
    /// The targets of the name's records.
    pub(crate) targets: &'a BTreeSet<Target>,
    pub(crate) settings: &'a Probe,
    /// The time for one whole attempt.
    pub(crate) timeout: Duration,
}

/// An address to connect to, and its origin.
#[derive(Clone, Copy)]
struct Endpoint<'a> {
    target: &'a Target,
    address: SocketAddr,
    /// From `PROBE_CONNECT_TO`, where the address was checked.
    is_override: bool,
}

#[derive(Clone, Copy)]
struct TimeLimit {
    timeout: Duration,
    end: Instant,
}

impl TimeLimit {
    /// The result of `step`, or its phase and problem. The end of the time is a problem.
    async fn run<T>(
        self,
        phase: Phase,
        step: impl Future<Output = Result<T, String>>,
    ) -> Result<T, (Phase, String)> {
        match timeout_at(self.end, step).await {
            Ok(result) => result.map_err(|text| (phase, text)),
            Err(_) => Err((
                phase,
                format!(
                    "timed out after {:?} (probe.attemptTimeoutSeconds)",
                    self.timeout
                ),
            )),
        }
    }
}

impl Prober {
    /// Makes one attempt. Attempts with consecutive numbers use the addresses in turn.
    pub(crate) async fn attempt(
        &self,
        name_probe: &NameProbe<'_>,
        number: u32,
    ) -> Result<(), Problem> {
        let limit = TimeLimit {
            timeout: name_probe.timeout,
            end: Instant::now() + name_probe.timeout,
        };
        let endpoint = self.endpoint(name_probe, number, limit).await?;
        self.request(name_probe, endpoint, limit)
            .await
            .map_err(|(phase, text)| Problem {
                phase,
                target: Some(endpoint.target.to_string()),
                address: Some(endpoint.address),
                text,
            })
    }

    /// Chooses an address: all addresses in a fixed order, in turn. IPv6 addresses are
    /// used only if there is no IPv4 address, because a function outside a VPC, or in
    /// an IPv4-only subnet, can't reach them.
    async fn endpoint<'a>(
        &self,
        name_probe: &NameProbe<'a>,
        number: u32,
        limit: TimeLimit,
    ) -> Result<Endpoint<'a>, Problem> {
        let mut endpoints = Vec::new();
        for target in name_probe.targets {
            let found = limit.run(Phase::Resolve, self.resolve(target, name_probe.settings));
            let found = found.await.map_err(|(phase, text)| Problem {
                phase,
                target: Some(target.to_string()),
                address: None,
                text,
            })?;
            endpoints.extend(found);
        }
        if endpoints.iter().any(|found| found.address.is_ipv4()) {
            endpoints.retain(|found| found.address.is_ipv4());
        }
        endpoints.sort_by_key(|found| found.address);
        endpoints.dedup_by_key(|found| found.address);
        let number = usize::try_from(number).unwrap_or_default();
        number
            .checked_rem(endpoints.len())
            .and_then(|index| endpoints.get(index))
            .copied()
            .ok_or_else(|| Problem {
                phase: Phase::Resolve,
                target: name_probe.targets.first().map(Target::to_string),
                address: None,
                text: "its target has no address".to_owned(),
            })
    }

    async fn resolve<'a>(
        &self,
        target: &'a Target,
        probe: &Probe,
    ) -> Result<Vec<Endpoint<'a>>, String> {
        let endpoint = |address, is_override| Endpoint {
            target,
            address,
            is_override,
        };
        if let Some(address) = self.connect_to.override_for(&target.to_string()) {
            return Ok(vec![endpoint(address, true)]);
        }
        let port = port(probe);
        let addresses = self.lookup(target).await?.into_iter();
        Ok(addresses
            .map(|address| endpoint(SocketAddr::new(address, port), false))
            .collect())
    }

    /// The IP addresses of a target, of both versions.
    pub(crate) async fn lookup(&self, target: &Target) -> Result<BTreeSet<IpAddr>, String> {
        if let Some(address) = self.connect_to.override_for(&target.to_string()) {
            return Ok(BTreeSet::from([address.ip()]));
        }
        match target {
            Target::Address(address) => Ok(BTreeSet::from([*address])),
            Target::Host(host) => {
                // The trailing dot stops the resolver from trying its search domains.
                let addresses = lookup_host((format!("{host}."), 0)).await;
                let addresses = addresses.map_err(|error| error_chain(&error))?;
                Ok(addresses.map(|address| address.ip()).collect())
            }
        }
    }

    async fn request(
        &self,
        name_probe: &NameProbe<'_>,
        endpoint: Endpoint<'_>,
        limit: TimeLimit,
    ) -> Result<(), (Phase, String)> {
        let Endpoint { address, .. } = endpoint;
        if let Some(kind) = forbidden_kind(address.ip())
            && !endpoint.is_override
        {
            let text = format!("its target has {kind}, to which the probe never connects");
            return Err((Phase::Resolve, text));
        }
        let connecting = with_error_chain(TcpStream::connect(address));
        let stream = limit.run(Phase::Connect, connecting).await?;
        match name_probe.settings.scheme {
            Scheme::Http => limit.run(Phase::Http, exchange(stream, name_probe)).await,
            Scheme::Https => {
                let stream = limit
                    .run(Phase::Tls, self.tls_handshake(stream, name_probe))
                    .await?;
                limit.run(Phase::Http, exchange(stream, name_probe)).await
            }
        }
    }

    async fn tls_handshake(
        &self,
        stream: TcpStream,
        name_probe: &NameProbe<'_>,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>, String> {
        let server_name = ServerName::try_from(name_probe.host.to_owned())
            .map_err(|_| "the name is not a valid TLS server name".to_owned())?;
        let config = if name_probe.settings.verify_certificate {
            &self.tls.verifying
        } else {
            &self.tls.accepting_any
        };
        with_error_chain(TlsConnector::from(config.clone()).connect(server_name, stream)).await
    }
}

fn port(probe: &Probe) -> u16 {
    let default = match probe.scheme {
        Scheme::Https => 443,
        Scheme::Http => 80,
    };
    probe
        .port
        .and_then(|port| u16::try_from(port.get()).ok())
        .unwrap_or(default)
}

/// Sends the request and checks the response.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    name_probe: &NameProbe<'_>,
) -> Result<(), String> {
    let request = Request::get(name_probe.settings.path.as_str())
        .header(HOST, name_probe.host)
        .header(USER_AGENT, "cutover-probe")
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error_chain(&error))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_READ_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error_chain(&error))?;
    let checked = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| error_chain(&error))?;
        let status = response.status().as_u16();
        let expected = name_probe.settings.expected_status;
        if !expected.range().contains(&status) {
            return Err(format!(
                "status {status}, expected {expected} (probe.expectedStatus)"
            ));
        }
        match &name_probe.settings.expected_body {
            Some(text) => expect_text(response.into_body(), text).await,
            None => Ok(()),
        }
    };
    // Polling the connection transfers the bytes. Its result is not needed: `checked` fails as well
    // if the connection does.
    let transfer = async {
        let _: Result<(), hyper::Error> = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        result = checked => result,
        never = transfer => never,
    }
}

async fn expect_text(mut body: Incoming, text: &str) -> Result<(), String> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error_chain(&error))?;
        read.extend_from_slice(frame.data_ref().map_or(&[], Bytes::as_ref));
        if read.len() >= MAX_READ_BYTES {
            read.truncate(MAX_READ_BYTES);
            break;
        }
    }
    if String::from_utf8_lossy(&read).contains(text) {
        Ok(())
    } else {
        Err(format!(
            "the first {} bytes of the body do not contain {text:?} (probe.expectedBody)",
            read.len()
        ))
    }
}

async fn with_error_chain<T>(step: impl Future<Output = io::Result<T>>) -> Result<T, String> {
    step.await.map_err(|error| error_chain(&error))
}

/// The messages of the error and its sources, outermost first.
fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
