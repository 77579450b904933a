//! One attempt: resolve, connect, TLS, HTTP, each with its own kind of problem.
//!
//! What the server says is measured and compared, never repeated: bodies and
//! headers may hold anything, and answers of the function are logged.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::SocketAddr;
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

use crate::Prober;
use crate::address::refusal;
use crate::target::Target;

/// Bytes of headers, and of a body, that are read.
const LARGEST_READ: usize = 64 * 1024;

/// How far an attempt came.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Phase {
    /// Finding the addresses, from the records on.
    #[serde(rename = "resolve")]
    Resolve,
    /// Connecting to one of them.
    #[serde(rename = "connect")]
    Connect,
    /// The TLS handshake, the certificate included.
    #[serde(rename = "TLS")]
    Tls,
    /// Request and answer.
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

/// What is asked, of whom.
pub(crate) struct Question<'a> {
    /// The TLS server name and HTTP Host.
    pub(crate) host: &'a str,
    /// Where the records lead.
    pub(crate) targets: &'a BTreeSet<Target>,
    pub(crate) probe: &'a Probe,
    /// For the whole attempt.
    pub(crate) timeout: Duration,
}

/// An address to connect to, and how it was come by.
#[derive(Clone, Copy)]
struct Endpoint<'a> {
    target: &'a Target,
    address: SocketAddr,
    /// Given by `PROBE_CONNECT_TO` and checked there.
    is_given: bool,
}

/// The end of an attempt's time.
#[derive(Clone, Copy)]
struct Limit {
    timeout: Duration,
    end: Instant,
}

impl Limit {
    /// What `step` gives, or why it failed, its time being up among the reasons.
    async fn step<T>(
        self,
        phase: Phase,
        step: impl Future<Output = Result<T, String>>,
    ) -> Result<T, (Phase, String)> {
        match timeout_at(self.end, step).await {
            Ok(result) => result.map_err(|text| (phase, text)),
            Err(_) => Err((phase, format!("timed out after {:?}", self.timeout))),
        }
    }
}

impl Prober {
    /// Asks once; `number` chooses among the addresses.
    pub(crate) async fn attempt(
        &self,
        question: &Question<'_>,
        number: u32,
    ) -> Result<(), Problem> {
        let limit = Limit {
            timeout: question.timeout,
            end: Instant::now() + question.timeout,
        };
        let endpoint = self.endpoint(question, number, limit).await?;
        self.ask(question, endpoint, limit)
            .await
            .map_err(|(phase, text)| Problem {
                phase,
                target: Some(endpoint.target.to_string()),
                address: Some(endpoint.address),
                text,
            })
    }

    /// The addresses in a fixed order, taken in turn. IPv4 ones if there are
    /// any: a function outside of a dual-stack VPC has no way to IPv6 ones.
    async fn endpoint<'a>(
        &self,
        question: &Question<'a>,
        number: u32,
        limit: Limit,
    ) -> Result<Endpoint<'a>, Problem> {
        let mut endpoints = Vec::new();
        for target in question.targets {
            let found = limit.step(Phase::Resolve, self.resolve(target, question.probe));
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
                target: question.targets.first().map(Target::to_string),
                address: None,
                text: "it has no address".to_owned(),
            })
    }

    async fn resolve<'a>(
        &self,
        target: &'a Target,
        probe: &Probe,
    ) -> Result<Vec<Endpoint<'a>>, String> {
        let endpoint = |address, is_given| Endpoint {
            target,
            address,
            is_given,
        };
        if let Some(address) = self.connect_to.instead_of(&target.to_string()) {
            return Ok(vec![endpoint(address, true)]);
        }
        let port = port(probe);
        match target {
            Target::Address(address) => {
                let address = SocketAddr::new(*address, port);
                Ok(vec![endpoint(address, false)])
            }
            Target::Host(host) => {
                // The dot at the end keeps resolvers from trying their search domains.
                let addresses = lookup_host((format!("{host}."), port))
                    .await
                    .map_err(|error| explain(&error))?;
                Ok(addresses.map(|address| endpoint(address, false)).collect())
            }
        }
    }

    async fn ask(
        &self,
        question: &Question<'_>,
        endpoint: Endpoint<'_>,
        limit: Limit,
    ) -> Result<(), (Phase, String)> {
        let Endpoint { address, .. } = endpoint;
        if let Some(kind) = refusal(address.ip())
            && !endpoint.is_given
        {
            let text = format!("it leads to {kind}, which is never connected to");
            return Err((Phase::Resolve, text));
        }
        let connecting = explained(TcpStream::connect(address));
        let stream = limit.step(Phase::Connect, connecting).await?;
        match question.probe.scheme {
            Scheme::Http => limit.step(Phase::Http, exchange(stream, question)).await,
            Scheme::Https => {
                let stream = limit
                    .step(Phase::Tls, self.encrypt(stream, question))
                    .await?;
                limit.step(Phase::Http, exchange(stream, question)).await
            }
        }
    }

    async fn encrypt(
        &self,
        stream: TcpStream,
        question: &Question<'_>,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>, String> {
        let server_name = ServerName::try_from(question.host.to_owned())
            .map_err(|_| "the name can't be a TLS server name".to_owned())?;
        let config = if question.probe.verify_certificate {
            &self.tls.verifying
        } else {
            &self.tls.trusting
        };
        explained(TlsConnector::from(config.clone()).connect(server_name, stream)).await
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

/// Sends the request and judges the answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    question: &Question<'_>,
) -> Result<(), String> {
    let request = Request::get(question.probe.path.as_str())
        .header(HOST, question.host)
        .header(USER_AGENT, "cutover-probe")
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| explain(&error))?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(LARGEST_READ)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| explain(&error))?;
    let judging = async {
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| explain(&error))?;
        let status = response.status().as_u16();
        let expected = question.probe.expected_status;
        if !expected.range().contains(&status) {
            return Err(format!(
                "the answer has status {status}, expected {expected}"
            ));
        }
        match &question.probe.expected_body {
            Some(text) => expect_text(response.into_body(), text).await,
            None => Ok(()),
        }
    };
    // The connection moves the bytes; its end and its errors reach the answer as well.
    let moving = async {
        let _: Result<(), hyper::Error> = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        judged = judging => judged,
        never = moving => never,
    }
}

async fn expect_text(mut body: Incoming, text: &str) -> Result<(), String> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| explain(&error))?;
        read.extend_from_slice(frame.data_ref().map_or(&[], Bytes::as_ref));
        if read.len() >= LARGEST_READ {
            read.truncate(LARGEST_READ);
            break;
        }
    }
    if String::from_utf8_lossy(&read).contains(text) {
        Ok(())
    } else {
        Err(format!(
            "the body does not contain the expected text {text:?} in its first {} bytes",
            read.len()
        ))
    }
}

async fn explained<T>(step: impl Future<Output = io::Result<T>>) -> Result<T, String> {
    step.await.map_err(|error| explain(&error))
}

/// The error and what is behind it, outermost first.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
