//! HTTPS servers in place of the clusters' load balancers.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use anyhow::Result;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// A certificate authority that only this stack's functions trust.
pub struct Authority {
    /// The authority's certificate in PEM.
    pub certificate: String,
    pub acceptor: TlsAcceptor,
}

impl Authority {
    /// Creates an authority and a server certificate for all `hosts`.
    pub fn new(hosts: Vec<String>) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // With the name of the server's certificate, OpenSSL would take that for a self-signed one.
        params
            .distinguished_name
            .push(DnType::CommonName, "local stack");
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let issuer = Issuer::new(params, key);

        let key = KeyPair::generate()?;
        let server_certificate = CertificateParams::new(hosts)?.signed_by(&key, &issuer)?;
        let private_key =
            PrivateKeyDer::try_from(key.serialize_der()).map_err(anyhow::Error::msg)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![server_certificate.der().clone()], private_key)?;
        Ok(Self {
            certificate: certificate.pem(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })
    }
}

/// A server that answers every request like the sample application of the EKS Blueprints.
pub struct LoadBalancer {
    address: SocketAddr,
    state: Arc<State>,
    server: AbortHandle,
}

struct State {
    cluster: String,
    is_healthy: AtomicBool,
    requests: AtomicUsize,
}

impl LoadBalancer {
    pub async fn start(cluster: &str, authority: &Authority) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            cluster: cluster.to_owned(),
            is_healthy: AtomicBool::new(true),
            requests: AtomicUsize::new(0),
        });
        let server = tokio::spawn(serve(
            listener,
            authority.acceptor.clone(),
            Arc::clone(&state),
        ));
        Ok(Self {
            address,
            state,
            server: server.abort_handle(),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the status of its answers: 200 if healthy, else 500.
    pub fn set_healthy(&self, is_healthy: bool) {
        self.state.is_healthy.store(is_healthy, Ordering::Relaxed);
    }

    /// The number of requests that it has received.
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }
}

impl Drop for LoadBalancer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        // A broken connection ends its own task only.
        tokio::spawn(async move { answer(stream, acceptor, &state).await });
    }
}

/// Answers one request and closes the connection.
async fn answer(stream: TcpStream, acceptor: TlsAcceptor, state: &State) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if request.len() > MAX_REQUEST_BYTES || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    state.requests.fetch_add(1, Ordering::Relaxed);
    let response = respond(&String::from_utf8_lossy(&request), state);
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

fn respond(request: &str, state: &State) -> String {
    let path = request.split(' ').nth(1).unwrap_or("/");
    let host = request
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map_or("", |(_, value)| value.trim());
    let application = host.split('.').next().unwrap_or_default();
    let (status, body) = if state.is_healthy.load(Ordering::Relaxed) {
        let body = format!(
            "Hello EKS Blueprint Version 1.4\nServer address:\nServer name: {application}-665d4fb487-fc6w9\n\
             Date: {}\nURI: {path}\nCLUSTER_NAME: {}\n",
            now(),
            state.cluster
        );
        ("200 OK", body)
    } else {
        (
            "500 Internal Server Error",
            "Internal Server Error\n".to_owned(),
        )
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The current time in the sample application's format: `2023.10.06 16:24:14`.
fn now() -> String {
    let date_time = DateTime::from(SystemTime::now())
        .fmt(Format::DateTime)
        .unwrap_or_default();
    date_time
        .chars()
        .take(19)
        .collect::<String>()
        .replace('-', ".")
        .replace('T', " ")
}
