//! What the proxies in front of the emulator have in common: they read a request whole, and close the connection
//! after its response.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The request of the largest batch is far smaller.
const MAX_REQUEST_BYTES: usize = 1024 * 1024;

/// Reads one request unchanged; `None` if the connection closes before the request is complete.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Result<Option<Vec<u8>>> {
    let mut request = Vec::new();
    loop {
        if let Some(length) = length(&request)
            && request.len() >= length
        {
            return Ok(Some(request));
        }
        ensure!(
            request.len() <= MAX_REQUEST_BYTES,
            "the request is longer than {MAX_REQUEST_BYTES} bytes"
        );
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(None);
        }
    }
}

/// The length of a request in bytes, once its headers are complete.
fn length(request: &[u8]) -> Option<usize> {
    let head = request.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let lines = String::from_utf8_lossy(request.get(..head)?).into_owned();
    let body = lines
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok());
    Some(head + body.unwrap_or(0))
}

/// Forwards a request unchanged except for an added `Connection: close`, which makes the end of
/// the response the end of the stream. Returns the response unchanged.
pub(crate) async fn forward(request: &[u8], emulator: SocketAddr) -> Result<Vec<u8>> {
    let end_of_line = request.windows(2).position(|end| end == b"\r\n");
    let (line, rest) = request
        .split_at_checked(end_of_line.context("the request has no request line")? + 2)
        .context("the request has no request line")?;
    let mut stream = TcpStream::connect(emulator).await?;
    for part in [line, b"Connection: close\r\n", rest] {
        stream.write_all(part).await?;
    }
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await?;
    Ok(response)
}

/// A response with an XML document, whose end is the end of the connection.
pub(crate) fn response(status: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
