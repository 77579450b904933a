//! Lambda's runtime API, for one invocation of one process.
//!
//! Source: Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// Far later than any invocation ends.
///
/// In milliseconds since 1970: the year 2100.
const DEADLINE: &str = "4102444800000";

/// Hands one event out, and then waits. It ends on drop.
pub(crate) struct RuntimeApi {
    pub(crate) address: SocketAddr,
    answer: oneshot::Receiver<(String, Bytes)>,
    server: AbortHandle,
}

struct State {
    event: Mutex<Option<Value>>,
    answered: Mutex<Option<oneshot::Sender<(String, Bytes)>>>,
}

impl RuntimeApi {
    pub(crate) async fn start(event: Value) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (answered, answer) = oneshot::channel();
        let state = Arc::new(State {
            event: Mutex::new(Some(event)),
            answered: Mutex::new(Some(answered)),
        });
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                let service = service_fn(move |request| respond(request, Arc::clone(&state)));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Ok(Self {
            address,
            answer,
            server: server.abort_handle(),
        })
    }

    /// Waits for the function's answer.
    ///
    /// # Errors
    /// If the function answers with an error.
    pub(crate) async fn answer(&mut self) -> Result<()> {
        let (path, body) = (&mut self.answer).await?;
        ensure!(
            path.ends_with("/response"),
            "the function has failed: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn respond(request: Request<Incoming>, state: Arc<State>) -> Result<Response<Full<Bytes>>> {
    if request.method() == Method::GET {
        let event = lock(&state.event).take();
        let Some(event) = event else {
            // There is no second event: the process waits.
            return std::future::pending().await;
        };
        return Ok(Response::builder()
            .header("Lambda-Runtime-Aws-Request-Id", "1")
            .header("Lambda-Runtime-Deadline-Ms", DEADLINE)
            .header(
                "Lambda-Runtime-Invoked-Function-Arn",
                "arn:aws:lambda:eu-west-3:111122223333:function:benchmark",
            )
            .body(Full::from(event.to_string()))?);
    }
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await?.to_bytes();
    let answered = lock(&state.answered).take();
    let answered = answered.context("the function has answered before")?;
    // The receiver is gone if the benchmark has ended.
    let _ = answered.send((path, body));
    Ok(Response::builder().status(202).body(Full::default())?)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
