//! A gate in front of the emulator's Route 53, at which a test can stop a call. A change of records
//! is stopped on its way there or back: the two moments at which whoever makes it can die and leave
//! in doubt whether it was made. The reading of a zone is stopped between two pages.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// A batch's largest request is far smaller.
const LARGEST_REQUEST: usize = 1024 * 1024;
/// Far longer than any change is waited for, also on a loaded machine.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
const REFUSAL: &str = "<?xml version=\"1.0\"?>\n\
    <ErrorResponse xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\"><Error>\
    <Type>Sender</Type><Code>AccessDenied</Code><Message>Refused at the gate</Message>\
    </Error><RequestId>gate</RequestId></ErrorResponse>";

/// Where a call is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// Route 53 knows nothing of it yet.
    There,
    /// It is done, and who asked for it does not know.
    Back,
}

/// The gate; it passes everything but the calls that it is to hold.
pub struct Gate {
    orders: Arc<Mutex<Vec<Order>>>,
    server: AbortHandle,
}

/// What is to be held.
struct Order {
    call: Call,
    /// How many such calls pass before.
    passing: usize,
    way: Way,
    held: oneshot::Sender<Held>,
}

/// A call that is recognised.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Call {
    /// `ChangeResourceRecordSets`.
    Change,
    /// `ListResourceRecordSets` from somewhere in the zone.
    LaterPage,
}

/// A call that is to be held.
pub struct Holding(oneshot::Receiver<Held>);

/// A call that is held. If this is dropped, the call is lost, or its answer is.
pub struct Held(oneshot::Sender<Verdict>);

enum Verdict {
    Release,
    Refuse,
}

impl Gate {
    /// A gate that listens at `listener`.
    pub(crate) fn open(listener: TcpListener, emulator: SocketAddr) -> Self {
        let orders = Arc::default();
        let server = tokio::spawn(serve(listener, emulator, Arc::clone(&orders)));
        Self {
            orders,
            server: server.abort_handle(),
        }
    }

    /// Holds one change, the `nth` from now on; the first is 1.
    pub fn hold(&self, nth: usize, way: Way) -> Holding {
        self.order(Call::Change, nth, way)
    }

    /// Holds, on its way there, the next reading of a page of the zone but the first.
    pub fn hold_later_page(&self) -> Holding {
        self.order(Call::LaterPage, 1, Way::There)
    }

    fn order(&self, call: Call, nth: usize, way: Way) -> Holding {
        let (held, holding) = oneshot::channel();
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.retain(|order| order.call != call);
        orders.push(Order {
            call,
            passing: nth.saturating_sub(1),
            way,
            held,
        });
        Holding(holding)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Holding {
    /// Waits until the call is held.
    pub async fn held(self) -> Result<Held> {
        let held = tokio::time::timeout(LONGEST_WAIT, self.0).await;
        held.with_context(|| format!("the call was not made within {LONGEST_WAIT:?}"))?
            .context("something else is held instead")
    }
}

impl Held {
    /// Lets it go on.
    pub fn release(self) {
        // Nobody waits for it any more if its connection broke; that is what a test may be about.
        let _ = self.0.send(Verdict::Release);
    }

    /// Lets it be answered as by a policy that denies it.
    pub fn refuse(self) {
        let _ = self.0.send(Verdict::Refuse);
    }

    /// Lets it vanish: a change that never gets there, or its answer.
    pub fn lose(self) {
        drop(self.0);
    }
}

impl Order {
    async fn hold(self) -> Option<Verdict> {
        let (sender, verdict) = oneshot::channel();
        // Whoever asked for it may have given up.
        let _ = self.held.send(Held(sender));
        verdict.await.ok()
    }
}

async fn serve(listener: TcpListener, emulator: SocketAddr, orders: Arc<Mutex<Vec<Order>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let orders = Arc::clone(&orders);
        // A client that breaks off is its own business.
        tokio::spawn(async move { pass(stream, emulator, &orders).await });
    }
}

/// Passes one request and its answer, and closes.
async fn pass(
    mut stream: TcpStream,
    emulator: SocketAddr,
    orders: &Mutex<Vec<Order>>,
) -> Result<()> {
    let Some(request) = read_request(&mut stream).await? else {
        return Ok(());
    };
    let answer = match call(&request).and_then(|call| next(orders, call)) {
        None => forward(&request, emulator).await?,
        Some(order) => {
            let applied = match order.way {
                Way::There => None,
                Way::Back => Some(forward(&request, emulator).await?),
            };
            match (order.hold().await, applied) {
                (None, _) => return Ok(()),
                (Some(Verdict::Refuse), _) => refusal(),
                (Some(Verdict::Release), Some(answer)) => answer,
                (Some(Verdict::Release), None) => forward(&request, emulator).await?,
            }
        }
    };
    stream.write_all(&answer).await?;
    stream.shutdown().await?;
    Ok(())
}

/// The order that is for the call that comes now.
fn next(orders: &Mutex<Vec<Order>>, call: Call) -> Option<Order> {
    let mut orders = orders.lock().unwrap_or_else(PoisonError::into_inner);
    let index = orders.iter().position(|order| order.call == call)?;
    let order = orders.get_mut(index)?;
    if order.passing == 0 {
        return Some(orders.swap_remove(index));
    }
    order.passing -= 1;
    None
}

fn call(request: &[u8]) -> Option<Call> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let line = String::from_utf8_lossy(line);
    let mut parts = line.split(' ');
    let (method, target) = (parts.next()?, parts.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if !path.trim_end_matches('/').ends_with("/rrset") {
        return None;
    }
    let is_later = query.split('&').any(|field| field.starts_with("name="));
    match method {
        "POST" => Some(Call::Change),
        "GET" if is_later => Some(Call::LaterPage),
        _ => None,
    }
}

/// Reads a request as it comes; none if there is none.
async fn read_request(stream: &mut TcpStream) -> Result<Option<Vec<u8>>> {
    let mut request = Vec::new();
    loop {
        if let Some(length) = length(&request)
            && request.len() >= length
        {
            return Ok(Some(request));
        }
        ensure!(request.len() <= LARGEST_REQUEST, "a request without an end");
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(None);
        }
    }
}

/// The length of a request once its head is there.
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

/// Sends a request on, as it came but for one header, and gives the answer as it comes.
async fn forward(request: &[u8], emulator: SocketAddr) -> Result<Vec<u8>> {
    let end_of_line = request.windows(2).position(|end| end == b"\r\n");
    let (line, rest) = request
        .split_at_checked(end_of_line.context("a request without a line")? + 2)
        .context("a request without a line")?;
    let mut stream = TcpStream::connect(emulator).await?;
    for part in [line, b"Connection: close\r\n", rest] {
        stream.write_all(part).await?;
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    Ok(answer)
}

fn refusal() -> Vec<u8> {
    format!(
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{REFUSAL}",
        REFUSAL.len()
    )
    .into_bytes()
}
