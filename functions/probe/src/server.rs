//! A load balancer on the loopback address, as good or as bad as a test needs it.

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

/// What a server does once it has read a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Sends this and closes the connection.
    Text(String),
    /// Sends the first text, and then the second without end.
    Endless(&'static str, &'static str),
    /// Sends nothing and keeps the connection open.
    Silence,
    /// Closes the connection when it is opened.
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

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) server_name: Option<String>,
    pub(crate) handshake: Option<HandshakeKind>,
    pub(crate) head: String,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Replies to the first connection with the first of `replies`, and so on; to
    /// those after the last with the last.
    pub(crate) async fn start(tls: Option<Arc<ServerConfig>>, replies: &[Reply]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let seen = server.seen.clone();
        let replies = replies.to_vec();
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let reply = replies[number.min(replies.len() - 1)].clone();
                tokio::spawn(serve(stream, tls.clone(), reply, seen.clone()));
            }
        });
        server
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// The setting that leads every load balancer here.
    pub(crate) fn connect_to(&self) -> String {
        format!("*={}", self.address)
    }
}

async fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    reply: Reply,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    if matches!(reply, Reply::Close) {
        return;
    }
    match tls {
        None => answer(stream, None, None, reply, &seen).await,
        Some(config) => {
            // A client that refuses the certificate is what some tests are for.
            if let Ok(stream) = TlsAcceptor::from(config).accept(stream).await {
                let session = stream.get_ref().1;
                let server_name = session.server_name().map(str::to_owned);
                let handshake = session.handshake_kind();
                answer(stream, server_name, handshake, reply, &seen).await;
            }
        }
    }
}

async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    server_name: Option<String>,
    handshake: Option<HandshakeKind>,
    reply: Reply,
    seen: &Mutex<Vec<Seen>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    seen.lock().unwrap().push(Seen {
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
