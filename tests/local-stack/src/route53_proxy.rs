//! A proxy in front of the emulator's Route 53 in which a test can hold a call.
//!
//! It escapes a `*` in the names of changes as Route 53 does, because the emulator keeps names as
//! they came: ExternalDNS writes `*.example.com`, and the functions write `\052.example.com`. It answers
//! `GetHostedZoneLimit`, which the emulator does not know.
//!
//! A change of records is held before Route 53 receives it or before its response is returned. If
//! the caller dies at either point, it cannot know whether the change was applied. A listing of the
//! zone is held between two pages.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::proxy::{forward, read_request, response};

/// Far longer than it takes until the call is made, even on a loaded machine.
const MAX_WAIT: Duration = Duration::from_mins(5);
const REFUSAL: &str = "<?xml version=\"1.0\"?>\n\
    <ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Error>\
    <Type>Sender</Type><Code>AccessDenied</Code><Message>Refused by the proxy</Message>\
    </Error><RequestId>proxy</RequestId></ErrorResponse>";

const RECORD_LIMIT: &str = "<?xml version=\"1.0\"?>\n\
    <GetHostedZoneLimitResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Limit>\
    <Type>MAX_RRSETS_BY_ZONE</Type><Value>10000</Value></Limit><Count>100</Count>\
    </GetHostedZoneLimitResponse>";

/// When a call is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HoldPoint {
    /// Before Route 53 receives the request.
    Request,
    /// After Route 53 has applied the request, before the caller receives the response.
    Response,
}

/// Forwards every call except those that it was asked to hold.
pub struct Route53Proxy {
    rules: Arc<Mutex<Vec<HoldRule>>>,
    server: AbortHandle,
}

/// Which call to hold.
struct HoldRule {
    call: Call,
    /// The number of such calls to forward first.
    remaining: usize,
    point: HoldPoint,
    held: oneshot::Sender<HeldCall>,
}

/// The kinds of calls that can be held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Call {
    /// `ChangeResourceRecordSets`.
    Change,
    /// `ListResourceRecordSets` with a start name: any page but the first.
    LaterPage,
}

/// A hold whose call has not been made yet.
pub struct PendingHold(oneshot::Receiver<HeldCall>);

/// A call that is held. Dropping it closes the caller's connection without a response.
pub struct HeldCall(oneshot::Sender<Action>);

/// How to continue a held call.
enum Action {
    Release,
    Refuse,
}

impl Route53Proxy {
    /// Accepts calls at `listener` and forwards them to `emulator`.
    pub(crate) fn start(listener: TcpListener, emulator: SocketAddr) -> Self {
        let rules = Arc::default();
        let server = tokio::spawn(serve(listener, emulator, Arc::clone(&rules)));
        Self {
            rules,
            server: server.abort_handle(),
        }
    }

    /// Holds the `nth` change from now on; the next one is 1.
    pub fn hold(&self, nth: usize, point: HoldPoint) -> PendingHold {
        self.add_rule(Call::Change, nth, point)
    }

    /// Holds the next request for a page of the zone that is not the first page.
    pub fn hold_later_page(&self) -> PendingHold {
        self.add_rule(Call::LaterPage, 1, HoldPoint::Request)
    }

    fn add_rule(&self, call: Call, nth: usize, point: HoldPoint) -> PendingHold {
        let (held, pending) = oneshot::channel();
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.retain(|rule| rule.call != call);
        rules.push(HoldRule {
            call,
            remaining: nth.saturating_sub(1),
            point,
            held,
        });
        PendingHold(pending)
    }
}

impl Drop for Route53Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl PendingHold {
    /// Waits until the call is made and held.
    pub async fn held(self) -> Result<HeldCall> {
        let held = tokio::time::timeout(MAX_WAIT, self.0).await;
        held.with_context(|| format!("the call was not made within {MAX_WAIT:?}"))?
            .context("a later hold replaced this one")
    }
}

impl HeldCall {
    /// Continues the call.
    pub fn release(self) {
        // The proxy no longer waits if the connection broke, which a test may do on purpose.
        let _ = self.0.send(Action::Release);
    }

    /// Answers `AccessDenied`, as Route 53 does when a policy denies the call.
    pub fn refuse(self) {
        let _ = self.0.send(Action::Refuse);
    }

    /// Discards the request, or its response if the request has been applied.
    pub fn lose(self) {
        drop(self.0);
    }
}

impl HoldRule {
    async fn hold(self) -> Option<Action> {
        let (sender, action) = oneshot::channel();
        // The test may no longer wait for the call.
        let _ = self.held.send(HeldCall(sender));
        action.await.ok()
    }
}

async fn serve(listener: TcpListener, emulator: SocketAddr, rules: Arc<Mutex<Vec<HoldRule>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let rules = Arc::clone(&rules);
        // A broken connection ends its own task only.
        tokio::spawn(async move { proxy(stream, emulator, &rules).await });
    }
}

/// Forwards one request and its response, then closes the connection.
async fn proxy(
    mut stream: TcpStream,
    emulator: SocketAddr,
    rules: &Mutex<Vec<HoldRule>>,
) -> Result<()> {
    let Some(request) = read_request(&mut stream).await? else {
        return Ok(());
    };
    let request = match call(&request) {
        Some(Call::Change) => with_escaped_names(&request)?,
        _ => request,
    };
    if is_limit(&request) {
        stream.write_all(&record_limit()).await?;
        return Ok(stream.shutdown().await?);
    }
    let response = match call(&request).and_then(|call| take_due_rule(rules, call)) {
        None => forward(&request, emulator).await?,
        Some(rule) => {
            let applied = match rule.point {
                HoldPoint::Request => None,
                HoldPoint::Response => Some(forward(&request, emulator).await?),
            };
            match (rule.hold().await, applied) {
                (None, _) => return Ok(()),
                (Some(Action::Refuse), _) => refusal(),
                (Some(Action::Release), Some(response)) => response,
                (Some(Action::Release), None) => forward(&request, emulator).await?,
            }
        }
    };
    stream.write_all(&response).await?;
    stream.shutdown().await?;
    Ok(())
}

/// Removes and returns the rule that holds this call; otherwise counts the call.
fn take_due_rule(rules: &Mutex<Vec<HoldRule>>, call: Call) -> Option<HoldRule> {
    let mut rules = rules.lock().unwrap_or_else(PoisonError::into_inner);
    let index = rules.iter().position(|rule| rule.call == call)?;
    let rule = rules.get_mut(index)?;
    if rule.remaining == 0 {
        return Some(rules.swap_remove(index));
    }
    rule.remaining -= 1;
    None
}

/// The method, the path and the query of a request.
fn target(request: &[u8]) -> Option<(String, String, String)> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let line = String::from_utf8_lossy(line);
    let mut parts = line.split(' ');
    let (method, target) = (parts.next()?, parts.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some((method.to_owned(), path.to_owned(), query.to_owned()))
}

/// Whether it is a request of `GetHostedZoneLimit`.
fn is_limit(request: &[u8]) -> bool {
    target(request).is_some_and(|(_, path, _)| path.contains("/hostedzonelimit/"))
}

fn call(request: &[u8]) -> Option<Call> {
    let (method, path, query) = target(request)?;
    if !path.trim_end_matches('/').ends_with("/rrset") {
        return None;
    }
    let is_later = query.split('&').any(|field| field.starts_with("name="));
    match method.as_str() {
        "POST" => Some(Call::Change),
        "GET" if is_later => Some(Call::LaterPage),
        _ => None,
    }
}

/// The request for a change with every `*` in a name escaped.
///
/// Source: Route 53 Developer Guide, "DNS domain name format".
fn with_escaped_names(request: &[u8]) -> Result<Vec<u8>> {
    const NAME: &str = "<Name>";
    let text = std::str::from_utf8(request).context("the request is not UTF-8")?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .context("the request has no end of its headers")?;
    let mut parts = body.split(NAME);
    let mut escaped = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('<').context("a name has no end")?;
        escaped.push_str(NAME);
        escaped.push_str(&name.replace('*', "\\052"));
        escaped.push('<');
        escaped.push_str(rest);
    }
    let headers: Vec<String> = head
        .split("\r\n")
        .map(|line| match line.split_once(':') {
            Some((name, _)) if name.eq_ignore_ascii_case("content-length") => {
                format!("{name}: {}", escaped.len())
            }
            _ => line.to_owned(),
        })
        .collect();
    Ok(format!("{}\r\n\r\n{escaped}", headers.join("\r\n")).into_bytes())
}

fn refusal() -> Vec<u8> {
    response("403 Forbidden", REFUSAL)
}

/// The answer of `GetHostedZoneLimit` for a zone far from its limit.
fn record_limit() -> Vec<u8> {
    response("200 OK", RECORD_LIMIT)
}
