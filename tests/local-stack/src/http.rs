//! Plain HTTP calls of the emulator, for services without an SDK in this crate's dependencies.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::net::TcpStream;

/// The credentials of the emulator's root account. The emulator does not check its signatures.
pub(crate) const ACCESS_KEY: &str = "test";
pub(crate) const SECRET_KEY: &str = "test";
pub(crate) const REGION: &str = "us-east-1";

/// Calls `service` as the root account and returns the body of the response. Any status but success
/// is an error that contains the body.
pub(crate) async fn call(
    endpoint: SocketAddr,
    service: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes> + Send,
) -> Result<String> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", endpoint.to_string())
        .header(
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/{REGION}/{service}/aws4_request, \
                 SignedHeaders=host, Signature=root"
            ),
        );
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (status, body) = send(endpoint, request.body(Full::new(body.into()))?).await?;
    ensure!(
        status.is_success(),
        "{service} answered {status} to {method} {path}: {body}"
    );
    Ok(body)
}

/// Calls an API that uses AWS's query protocol: `Action` and its parameters as a form.
pub(crate) async fn query<K: AsRef<str>, V: AsRef<str>>(
    endpoint: SocketAddr,
    service: &str,
    parameters: &[(K, V)],
) -> Result<String> {
    let encoded = |(key, value): &(K, V)| {
        format!(
            "{}={}",
            utf8_percent_encode(key.as_ref(), NON_ALPHANUMERIC),
            utf8_percent_encode(value.as_ref(), NON_ALPHANUMERIC)
        )
    };
    let form = parameters.iter().map(encoded).collect::<Vec<_>>().join("&");
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    call(endpoint, service, "POST", "/", &headers, form).await
}

async fn send(endpoint: SocketAddr, request: Request<Full<Bytes>>) -> Result<(StatusCode, String)> {
    let stream = TcpStream::connect(endpoint)
        .await
        .with_context(|| format!("failed to connect to {endpoint}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The contents of all elements `<tag>` in `xml`. Elements of the same name must not be nested.
pub(crate) fn elements<'a>(xml: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    xml.split(open.as_str())
        .skip(1)
        .filter_map(|rest| rest.split_once(close.as_str()).map(|(content, _)| content))
        .collect()
}

/// The content of the first element `<tag>` in `xml`.
pub(crate) fn element<'a>(xml: &'a str, tag: &str) -> Option<&'a str> {
    elements(xml, tag).into_iter().next()
}
