//! IAM's `SimulatePrincipalPolicy` for the roles of a stack, in front of the emulator's IAM.
//!
//! The emulator has this action, but evaluates it without the context entries and for the first resource only. So
//! it only checks the caller's permission for the call, and this module answers from the policies that the emulator
//! has of the role. Every other action goes to the emulator.
//!
//! The answer has the shape that the service model of IAM describes: a result for each action, with the results of
//! the single resources in `ResourceSpecificResults`, and without positions of the statements.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use percent_encoding::percent_decode_str;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::policy::{Context, Decision, Evaluation, Policy, Request, evaluate};
use crate::proxy::{forward, read_request, response};
use crate::role::Role;

const ACTION: &str = "SimulatePrincipalPolicy";
const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
/// The parameters that the simulation heeds. Others would change its result.
const PARAMETERS: [&str; 8] = [
    "Action",
    "Version",
    "PolicySourceArn",
    "ActionNames",
    "ResourceArns",
    "ContextEntries",
    "MaxItems",
    "Marker",
];

/// Answers simulations, and forwards every other call. It ends on drop.
pub(crate) struct PolicySimulator {
    pub(crate) endpoint: SocketAddr,
    server: AbortHandle,
}

impl PolicySimulator {
    /// Accepts calls at `listener`, for the roles in `emulator`.
    pub(crate) fn start(listener: TcpListener, emulator: SocketAddr) -> Result<Self> {
        let endpoint = listener.local_addr()?;
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A broken connection ends its own task only.
                tokio::spawn(async move { serve(stream, emulator).await });
            }
        });
        let server = server.abort_handle();
        Ok(Self { endpoint, server })
    }
}

impl Drop for PolicySimulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Answers one call.
async fn serve(mut stream: TcpStream, emulator: SocketAddr) -> Result<()> {
    let Some(request) = read_request(&mut stream).await? else {
        return Ok(());
    };
    let form = form(&request)?;
    let mut answer = forward(&request, emulator).await?;
    // A refusal of the emulator stays one: the caller lacks the permission, or the call is not valid.
    if form.get("Action").is_some_and(|action| action == ACTION) && is_success(&answer) {
        answer = match simulate(&form, emulator).await {
            Ok(result) => response("200 OK", &result),
            Err(error) => response("400 Bad Request", &invalid_input(&error)),
        };
    }
    stream.write_all(&answer).await?;
    Ok(stream.shutdown().await?)
}

fn is_success(answer: &[u8]) -> bool {
    let status = answer.split(|byte| *byte == b' ').nth(1);
    status == Some(b"200")
}

/// The parameters of a call by the query protocol.
fn form(request: &[u8]) -> Result<BTreeMap<String, String>> {
    let text = std::str::from_utf8(request).context("the request is not UTF-8")?;
    let (_, body) = text
        .split_once("\r\n\r\n")
        .context("the request has no end of its headers")?;
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| Ok((decode(key)?, decode(value)?)))
        .collect()
}

fn decode(text: &str) -> Result<String> {
    let text = text.replace('+', " ");
    Ok(percent_decode_str(&text).decode_utf8()?.into_owned())
}

/// The members of a list parameter, in their order.
fn members<'a>(form: &'a BTreeMap<String, String>, list: &str) -> Vec<&'a str> {
    let member = |number: usize| form.get(&format!("{list}.member.{number}"));
    (1..).map_while(member).map(String::as_str).collect()
}

/// The answer to a simulation, an XML document.
async fn simulate(form: &BTreeMap<String, String>, emulator: SocketAddr) -> Result<String> {
    for key in form.keys() {
        let parameter = key.split('.').next().unwrap_or_default();
        ensure!(
            PARAMETERS.contains(&parameter),
            "the local stack simulates no {parameter}"
        );
    }
    let source = form.get("PolicySourceArn").context("no PolicySourceArn")?;
    let policies = Role::new(emulator, source)?.policies().await?;
    let context = context(form)?;
    let resources = match members(form, "ResourceArns") {
        resources if resources.is_empty() => vec!["*"],
        resources => resources,
    };
    let actions = members(form, "ActionNames");
    ensure!(!actions.is_empty(), "no ActionNames");
    let mut results = String::new();
    for action in actions {
        ensure!(
            action
                .split_once(':')
                .is_some_and(|(service, name)| !service.is_empty() && !name.is_empty()),
            "{action} is not the name of an action, such as iam:CreateUser"
        );
        let evaluations = resources.iter().map(|resource| {
            let request = Request {
                action,
                resource,
                context: &context,
            };
            Ok((*resource, evaluate(&policies, &request)?))
        });
        results.push_str(&result(action, &evaluations.collect::<Result<Vec<_>>>()?)?);
    }
    Ok(format!(
        "<{ACTION}Response xmlns=\"{NAMESPACE}\"><{ACTION}Result><IsTruncated>false</IsTruncated>\
         <EvaluationResults>{results}</EvaluationResults></{ACTION}Result></{ACTION}Response>"
    ))
}

fn context(form: &BTreeMap<String, String>) -> Result<Context> {
    let mut context = Context::default();
    for number in 1.. {
        let entry = format!("ContextEntries.member.{number}");
        let Some(key) = form.get(&format!("{entry}.ContextKeyName")) else {
            break;
        };
        let values = members(form, &format!("{entry}.ContextKeyValues"));
        let kind = form.get(&format!("{entry}.ContextKeyType"));
        let kind = kind.with_context(|| format!("{key} has no ContextKeyType"))?;
        match kind.as_str() {
            "stringList" => {}
            "string" | "boolean" if values.len() <= 1 => {}
            "string" | "boolean" => {
                bail!("{key} has {} values, and its type is {kind}", values.len())
            }
            _ => {
                bail!("the local stack simulates no context keys of the type {kind}, such as {key}")
            }
        }
        context.insert(key, values.into_iter().map(str::to_owned).collect());
    }
    Ok(context)
}

/// The `EvaluationResult` of an action on these resources. Of several resources, it has the strictest decision.
fn result(action: &str, evaluations: &[(&str, Evaluation)]) -> Result<String> {
    let strictest = evaluations
        .iter()
        .max_by_key(|(_, evaluation)| evaluation.decision);
    let (resource, strictest) = strictest.context("no resource")?;
    let mut xml = format!(
        "<member><EvalActionName>{}</EvalActionName><EvalResourceName>{}</EvalResourceName>\
         <EvalDecision>{}</EvalDecision>{}",
        escape(action),
        escape(resource),
        strictest.decision.as_str(),
        matched(strictest),
    );
    if let [("*", evaluation)] = evaluations {
        xml.push_str(&missing(evaluation));
    } else {
        xml.push_str("<ResourceSpecificResults>");
        for (resource, evaluation) in evaluations {
            write!(
                xml,
                "<member><EvalResourceName>{}</EvalResourceName>\
                 <EvalResourceDecision>{}</EvalResourceDecision>{}{}</member>",
                escape(resource),
                evaluation.decision.as_str(),
                matched(evaluation),
                missing(evaluation),
            )?;
        }
        xml.push_str("</ResourceSpecificResults>");
    }
    xml.push_str("</member>");
    Ok(xml)
}

fn matched(evaluation: &Evaluation) -> String {
    let statements = evaluation.matched.iter().map(|policy| statement(policy));
    format!(
        "<MatchedStatements>{}</MatchedStatements>",
        statements.collect::<String>()
    )
}

fn statement(policy: &Policy) -> String {
    format!(
        "<member><SourcePolicyId>{}</SourcePolicyId></member>",
        escape(&policy.name)
    )
}

fn missing(evaluation: &Evaluation) -> String {
    let keys = evaluation.missing.iter();
    let keys = keys.map(|key| format!("<member>{}</member>", escape(key)));
    format!(
        "<MissingContextValues>{}</MissingContextValues>",
        keys.collect::<String>()
    )
}

fn invalid_input(error: &anyhow::Error) -> String {
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>InvalidInput</Code>\
         <Message>{}</Message></Error><RequestId>local-stack</RequestId></ErrorResponse>",
        escape(&format!("{error:#}"))
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

impl Decision {
    fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::ImplicitDeny => "implicitDeny",
            Self::ExplicitDeny => "explicitDeny",
        }
    }
}
