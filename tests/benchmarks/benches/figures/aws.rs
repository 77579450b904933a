//! AWS on one HTTPS port of this machine: what the functions' first invocations read.
//!
//! The answers are in memory, so a call takes no longer than TLS and HTTP do.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use fakes::record_set_to_cli_json;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use local_stack::{Authority, NameServer};
use migration::dns::RecordSet;
use migration::executions::Execution;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::formats::{cbor, xml};

/// The signing key of the simulation, in Base64: 32 bytes of 0.
const MAC: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
/// Route 53's largest page.
const PAGE: usize = 300;

/// What there is in the account.
pub(crate) struct Account {
    pub(crate) zone_id: &'static str,
    pub(crate) record_sets: Vec<RecordSet>,
    /// The ARN of the one execution, and the execution.
    pub(crate) execution: (String, Execution),
    pub(crate) alarm: &'static str,
}

/// The SDKs' variables for the endpoints of the services. Each has a port of its own, because a service of AWS has
/// a host of its own: no two share a connection.
///
/// Source: AWS SDKs and Tools Reference Guide, "Service-specific endpoints".
const ENDPOINTS: [&str; 4] = [
    "AWS_ENDPOINT_URL_CLOUDWATCH",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_ENDPOINT_URL_ROUTE_53",
    "AWS_ENDPOINT_URL_SFN",
];

/// When the calls were answered.
type Answers = Arc<Mutex<Vec<Instant>>>;

/// The running servers. They end on drop.
pub(crate) struct Aws {
    /// The SDKs' variables.
    pub(crate) endpoints: Vec<(&'static str, String)>,
    answers: Answers,
    servers: Vec<AbortHandle>,
}

impl Aws {
    pub(crate) async fn start(account: Account, authority: &Authority) -> Result<Self> {
        let mut aws = Self {
            endpoints: Vec::new(),
            answers: Arc::default(),
            servers: Vec::new(),
        };
        let account = Arc::new(account);
        for variable in ENDPOINTS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            let port = listener.local_addr()?.port();
            aws.endpoints
                .push((variable, format!("https://localhost:{port}")));
            let (acceptor, account) = (authority.acceptor.clone(), Arc::clone(&account));
            let answers = Arc::clone(&aws.answers);
            let server = tokio::spawn(serve(listener, acceptor, account, answers));
            aws.servers.push(server.abort_handle());
        }
        Ok(aws)
    }

    /// Forgets the calls so far.
    pub(crate) fn forget_calls(&self) {
        lock(&self.answers).clear();
    }

    /// When the call with this number since then was answered, counted from 1.
    pub(crate) fn answered_at(&self, number: usize) -> Option<Instant> {
        lock(&self.answers).get(number.checked_sub(1)?).copied()
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.servers.iter().for_each(AbortHandle::abort);
    }
}

fn lock(answers: &Mutex<Vec<Instant>>) -> MutexGuard<'_, Vec<Instant>> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    account: Arc<Account>,
    answers: Answers,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, account, answers) =
            (acceptor.clone(), Arc::clone(&account), Arc::clone(&answers));
        tokio::spawn(async move {
            // Else the client's delayed acknowledgement would hold a second answer back for 40 ms.
            stream.set_nodelay(true)?;
            let stream = TokioIo::new(acceptor.accept(stream).await?);
            let service = service_fn(move |request| {
                answer(request, Arc::clone(&account), Arc::clone(&answers))
            });
            anyhow::Ok(
                http1::Builder::new()
                    .serve_connection(stream, service)
                    .await?,
            )
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    account: Arc<Account>,
    answers: Answers,
) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let header = |name: &str| head.headers.get(name).and_then(|it| it.to_str().ok());
    let format = header("content-type")
        .unwrap_or("application/xml")
        .to_owned();
    let path = head.uri.path();
    let (call, output) = match header("x-amz-target") {
        Some(target) => {
            let call = target.rsplit('.').next().unwrap_or_default();
            (call, account.by_target(call, &body)?)
        }
        None if path.starts_with("/service/") => {
            let call = path.rsplit('/').next().unwrap_or_default();
            (call, account.by_target(call, &body)?)
        }
        None => account.route53(&head.method, path, head.uri.query().unwrap_or_default())?,
    };
    let status = if output.get("__type").is_some() {
        400
    } else {
        200
    };
    let mut response = Response::builder()
        .status(status)
        .header("content-type", &format);
    let body = if format.contains("cbor") {
        response = response.header("smithy-protocol", "rpc-v2-cbor");
        cbor(&output)
    } else if format.contains("json") {
        output.to_string().into_bytes()
    } else {
        let namespace = "https://route53.amazonaws.com/doc/2013-04-01/";
        let content = xml(&output);
        format!("<?xml version=\"1.0\"?>\n<{call}Response xmlns=\"{namespace}\">{content}</{call}Response>")
            .into_bytes()
    };
    lock(&answers).push(Instant::now());
    Ok(response.body(Full::from(body))?)
}

fn contains(input: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(input).contains(text)
}

impl Account {
    /// The output of a call to KMS, Step Functions or CloudWatch.
    fn by_target(&self, call: &str, input: &[u8]) -> Result<Value> {
        let (arn, execution) = &self.execution;
        let started_at = execution
            .started_at
            .duration_since(UNIX_EPOCH)?
            .as_secs_f64();
        Ok(match call {
            "GenerateMac" => json!({"KeyId": "key", "Mac": MAC, "MacAlgorithm": "HMAC_SHA_256"}),
            // The other one would be the record of a rollback.
            "DescribeExecution" if !contains(input, arn) => json!({
                "__type": "ExecutionDoesNotExist", "message": "Execution Does Not Exist",
            }),
            "DescribeExecution" => json!({
                "executionArn": arn, "stateMachineArn": arn, "startDate": started_at,
                "status": "FAILED", "input": execution.input.to_string(),
            }),
            "ListExecutions" => json!({"executions": []}),
            "StartExecution" => json!({"executionArn": arn, "startDate": started_at}),
            "DescribeAlarms" => json!({"MetricAlarms": [
                {"AlarmName": self.alarm, "StateValue": "OK", "StateReason": "below the threshold"},
            ]}),
            other => bail!("the benchmark has no answer to {other}"),
        })
    }

    fn route53<'a>(&self, method: &Method, path: &'a str, query: &str) -> Result<(&'a str, Value)> {
        let change = || json!({"ChangeInfo": {"Id": "/change/C1", "Status": "INSYNC", "SubmittedAt": "2026-01-01T00:00:00Z"}});
        let parts: Vec<_> = path.trim_matches('/').split('/').skip(1).collect();
        Ok(match parts.as_slice() {
            ["hostedzone", _] => (
                "GetHostedZone",
                json!({
                    "HostedZone": {
                        "Id": format!("/hostedzone/{}", self.zone_id), "Name": "example.com.",
                        "CallerReference": "benchmark", "Config": {"PrivateZone": false},
                        "ResourceRecordSetCount": self.record_sets.len(),
                    },
                    "DelegationSet": {"NameServers": NameServer::EMULATED},
                }),
            ),
            ["hostedzone", _, "rrset"] if method == Method::POST => {
                ("ChangeResourceRecordSets", change())
            }
            ["hostedzone", _, "rrset"] => ("ListResourceRecordSets", self.page(query)?),
            ["hostedzonelimit", ..] => (
                "GetHostedZoneLimit",
                json!({
                    "Limit": {"Type": "MAX_RRSETS_BY_ZONE", "Value": 100_000},
                    "Count": self.record_sets.len(),
                }),
            ),
            ["change", _] => ("GetChange", change()),
            _ => bail!("the benchmark has no answer to {method} {path}"),
        })
    }

    /// A page of the zone, from the name and type in the query on.
    fn page(&self, query: &str) -> Result<Value> {
        let parameter = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find_map(|(found, value)| (found == key).then_some(value))
        };
        let is_start = |it: &RecordSet| {
            let is_named = parameter("name").is_none_or(|name| it.name.fully_qualified() == name);
            let is_typed = parameter("type").is_none_or(|kind| it.record_type.as_str() == kind);
            let side = it.weighted().map(|(side, _)| side.as_str());
            let is_side = parameter("identifier").is_none_or(|identifier| side == Some(identifier));
            is_named && is_typed && is_side
        };
        let start = self
            .record_sets
            .iter()
            .position(is_start)
            .context("no such record set")?;
        let rest = self.record_sets.get(start..).unwrap_or_default();
        let wanted: usize = parameter("maxitems").map_or(Ok(PAGE), str::parse)?;
        let (page, next) = rest.split_at(rest.len().min(wanted));
        let listed: Vec<_> = page.iter().map(record_set_to_cli_json).collect();
        let mut output = Map::new();
        output.insert("ResourceRecordSets".to_owned(), json!(listed));
        output.insert("IsTruncated".to_owned(), json!(!next.is_empty()));
        output.insert("MaxItems".to_owned(), json!(wanted));
        if let Some(next) = next.first() {
            output.insert(
                "NextRecordName".to_owned(),
                json!(next.name.fully_qualified()),
            );
            output.insert(
                "NextRecordType".to_owned(),
                json!(next.record_type.as_str()),
            );
            if let Some((side, _)) = next.weighted() {
                output.insert("NextRecordIdentifier".to_owned(), json!(side.as_str()));
            }
        }
        Ok(output.into())
    }
}
