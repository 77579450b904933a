//! A server on the loopback address that stands in for a load balancer, with a reply
//! and a certificate of the test's choice.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{HandshakeKind, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A private certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// A server's certificate for `name`.
    pub(crate) fn issue(&self, name: &str) -> Arc<ServerConfig> {
        self.sign(&CertificateParams::new([name.to_owned()]).unwrap())
    }

    pub(crate) fn issue_expired(&self, name: &str) -> Arc<ServerConfig> {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.sign(&params)
    }

    fn sign(&self, params: &CertificateParams) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}

/// What a server does with a connection.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Reads the request, sends this text and closes the connection.
    Text(String),
    /// Reads the request, sends the first text once, and the second until the client closes.
    Endless(&'static str, &'static str),
    /// Reads the request, sends nothing and keeps the connection open.
    Silence,
    /// Closes the connection at once.
    Close,
}

impl Reply {
    pub(crate) fn status(status: &str) -> Self {
        Self::with_body(status, "")
    }

    pub(crate) fn with_body(status: &str, body: &str) -> Self {
        let length = body.len();
        Self::Text(format!(
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nLocation: /elsewhere\r\n\r\n{body}"
        ))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ReceivedRequest {
    pub(crate) server_name: Option<String>,
    pub(crate) handshake: Option<HandshakeKind>,
    pub(crate) head: String,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
}

impl Server {
    /// The n-th connection gets the n-th of `replies`, all later connections the last one.
    pub(crate) async fn start(tls: Option<Arc<ServerConfig>>, replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
        };
        let received = server.received.clone();
        let replies = replies.to_vec();
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let reply = replies[number.min(replies.len() - 1)].clone();
                tokio::spawn(serve(stream, tls.clone(), reply, received.clone()));
            }
        });
        server
    }

    /// The requests received so far.
    pub(crate) fn received(&self) -> Vec<ReceivedRequest> {
        self.received.lock().unwrap().clone()
    }

    /// The value of `PROBE_CONNECT_TO` that replaces every target by this server.
    pub(crate) fn connect_to(&self) -> String {
        format!("*={}", self.address)
    }
}

async fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    reply: Reply,
    received: Arc<Mutex<Vec<ReceivedRequest>>>,
) {
    if matches!(reply, Reply::Close) {
        return;
    }
    match tls {
        None => reply_to_request(stream, None, None, reply, &received).await,
        Some(config) => {
            // In some tests the client refuses the certificate.
            if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                let session = stream.get_ref().1;
                let server_name = session.server_name().map(str::to_owned);
                let handshake = session.handshake_kind();
                reply_to_request(stream, server_name, handshake, reply, &received).await;
            }
        }
    }
}

async fn reply_to_request(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    server_name: Option<String>,
    handshake: Option<HandshakeKind>,
    reply: Reply,
    received: &Mutex<Vec<ReceivedRequest>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    received.lock().unwrap().push(ReceivedRequest {
        server_name,
        handshake,
        head: String::from_utf8(head).unwrap(),
    });
    // The client may close the connection at any time.
    match reply {
        Reply::Text(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
        Reply::Endless(head, tail) => {
            let mut written = stream.write_all(head.as_bytes()).await;
            while written.is_ok() {
                written = stream.write_all(tail.as_bytes()).await;
            }
        }
        Reply::Silence | Reply::Close => std::future::pending().await,
    }
}
