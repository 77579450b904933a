//! Deploys `infra/template.yaml` through CloudFormation, packaged as `sam package` does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::execution::POLL_INTERVAL;
use crate::functions::{FUNCTIONS, Function};
use crate::http;
use crate::workspace;

const BUCKET: &str = "code";
const TEMPLATE: &str = "template.yaml";
const STACK_NAME: &str = "cutover";
/// The functions that may change records.
const WRITERS: [&str; 2] = ["shift-weight", "rollback"];
const STATE_MACHINES: [&str; 7] = [
    "migration",
    "notification",
    "release",
    "rollback",
    "rolled-back",
    "start",
    "watch",
];

pub(crate) struct Deployment {
    endpoint: SocketAddr,
    /// The id of the stack, by which a deleted one can be described.
    id: String,
    /// The parameters of the template.
    parameters: Vec<(&'static str, String)>,
    /// The outputs of the template, by key.
    pub(crate) outputs: BTreeMap<String, String>,
    /// The ARN of each function's role, by the name of the function's crate.
    pub(crate) roles: BTreeMap<String, String>,
}

/// The deployed name of a function, from the name of its crate.
pub(crate) fn function_name(function: &str) -> String {
    format!("{STACK_NAME}-{function}")
}

impl Deployment {
    /// Creates the stack with these functions and parameters.
    pub(crate) async fn create(
        endpoint: SocketAddr,
        functions: &[Function],
        parameters: Vec<(&'static str, String)>,
    ) -> Result<Self> {
        // A PUT without a key creates the bucket.
        upload(endpoint, "", Vec::new()).await?;
        deploy(endpoint, "CreateStack", functions, &parameters).await?;
        let description = wait_until(endpoint, "CREATE_COMPLETE").await?;
        let roles = roles(endpoint).await?;
        for writer in WRITERS {
            let role = roles.get(writer);
            let role = role.with_context(|| format!("the function {writer} has no role"))?;
            permit_get_change(endpoint, role).await?;
        }
        let outputs = http::elements(&description, "member")
            .into_iter()
            .filter_map(|member| {
                let key = http::element(member, "OutputKey")?;
                Some((
                    key.to_owned(),
                    http::element(member, "OutputValue")?.to_owned(),
                ))
            })
            .collect();
        let id = http::element(&description, "StackId").context("the stack has no id")?;
        Ok(Self {
            endpoint,
            id: id.to_owned(),
            parameters,
            outputs,
            roles,
        })
    }

    /// Updates the stack with these functions. Nothing else changes.
    pub(crate) async fn update(&self, functions: &[Function]) -> Result<()> {
        deploy(self.endpoint, "UpdateStack", functions, &self.parameters).await?;
        wait_until(self.endpoint, "UPDATE_COMPLETE").await?;
        Ok(())
    }

    /// Deletes the stack. If a resource refuses, returns the reasons.
    ///
    /// The emulator then goes on with the resources that this one depends on, which CloudFormation keeps.
    pub(crate) async fn delete(&self) -> Result<Result<(), String>> {
        http::query(self.endpoint, "cloudformation", &request("DeleteStack")).await?;
        let by_id = request_for("DescribeStacks", &self.id);
        Ok(loop {
            let description = http::query(self.endpoint, "cloudformation", &by_id).await?;
            match http::element(&description, "StackStatus").unwrap_or_default() {
                "DELETE_COMPLETE" => break Ok(()),
                "DELETE_FAILED" => {
                    break Err(reasons(self.endpoint, "DescribeStackResources").await?);
                }
                "DELETE_IN_PROGRESS" => tokio::time::sleep(POLL_INTERVAL).await,
                status => bail!("expected the stack to be deleted, found {status}"),
            }
        })
    }
}

/// Packages the template with these functions, and begins to create or update the stack.
async fn deploy(
    endpoint: SocketAddr,
    action: &str,
    functions: &[Function],
    parameters: &[(&str, String)],
) -> Result<()> {
    let template = package(endpoint, functions).await?;
    // Through S3, as `sam deploy` does: it is larger than a request may be.
    upload(endpoint, TEMPLATE, template.into_bytes()).await?;
    let mut form = request(action)
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
    let url = format!("https://s3.amazonaws.com/{BUCKET}/{TEMPLATE}");
    form.push(("TemplateURL".to_owned(), url));
    for (index, capability) in ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
        .iter()
        .enumerate()
    {
        form.push((
            format!("Capabilities.member.{}", index + 1),
            (*capability).to_owned(),
        ));
    }
    for (index, (key, value)) in parameters.iter().enumerate() {
        let member = format!("Parameters.member.{}", index + 1);
        form.push((format!("{member}.ParameterKey"), (*key).to_owned()));
        form.push((format!("{member}.ParameterValue"), value.clone()));
    }
    http::query(endpoint, "cloudformation", &form).await?;
    Ok(())
}

fn request(action: &str) -> [(&str, &str); 3] {
    request_for(action, STACK_NAME)
}

/// `stack` is a name or an id.
fn request_for<'a>(action: &'a str, stack: &'a str) -> [(&'a str, &'a str); 3] {
    [
        ("Action", action),
        ("Version", "2010-05-15"),
        ("StackName", stack),
    ]
}

/// Uploads the local files that the template names, and returns the template with their S3 URIs
/// in place of the paths.
async fn package(endpoint: SocketAddr, functions: &[Function]) -> Result<String> {
    let root = workspace::root()?;
    let mut artifacts = Vec::new();
    for function in functions {
        let local = format!("../functions/{}", function.name);
        artifacts.push((local, function.name, "zip", function.package()?));
    }
    for name in STATE_MACHINES {
        let file = format!("{name}.asl.json");
        let path = root.join("statemachine").join(&file);
        let definition = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let definition = for_the_emulator(&definition);
        let local = format!("../statemachine/{file}");
        artifacts.push((local, name, "asl.json", definition.into_bytes()));
    }
    let path = root.join("infra").join("template.yaml");
    let mut template =
        fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    for (local, name, extension, content) in artifacts {
        // A changed content has a new key: the key is what CloudFormation compares.
        let key = format!("{name}-{:08x}.{extension}", crc32fast::hash(&content));
        upload(endpoint, &key, content).await?;
        let count = template.matches(&local).count();
        ensure!(
            count == 1,
            "the template names {local} {count} times, expected 1"
        );
        template = template.replace(&local, &format!("s3://{BUCKET}/{key}"));
    }
    Ok(template)
}

/// Replaces the number of redrives with 0, because the emulator can't redrive an execution and has no
/// such field in the context. Replaces the name of an error that the emulator raises without the prefix
/// for the service.
fn for_the_emulator(definition: &str) -> String {
    definition
        .replace("$states.context.Execution.RedriveCount", "0")
        .replace(
            "\"StepFunctions.ExecutionAlreadyExists\"",
            "\"ExecutionAlreadyExists\"",
        )
}

async fn upload(endpoint: SocketAddr, key: &str, content: Vec<u8>) -> Result<()> {
    http::call(
        endpoint,
        "s3",
        "PUT",
        &format!("/{BUCKET}/{key}"),
        &[],
        content,
    )
    .await?;
    Ok(())
}

/// Waits until the stack has a status, and returns its description, an XML document.
async fn wait_until(endpoint: SocketAddr, expected: &str) -> Result<String> {
    loop {
        let description =
            http::query(endpoint, "cloudformation", &request("DescribeStacks")).await?;
        let status = http::element(&description, "StackStatus").unwrap_or_default();
        if status == expected {
            return Ok(description);
        }
        if !status.ends_with("_IN_PROGRESS") || status.contains("ROLLBACK") {
            let reasons = reasons(endpoint, "DescribeStackEvents").await?;
            bail!("failed to deploy the template ({status}): {reasons}");
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// The reasons in the answer of an action, each with its resource.
async fn reasons(endpoint: SocketAddr, action: &str) -> Result<String> {
    let answer = http::query(endpoint, "cloudformation", &request(action)).await?;
    let reasons: Vec<_> = http::elements(&answer, "member")
        .into_iter()
        .filter_map(|member| {
            let reason = http::element(member, "ResourceStatusReason");
            let reason = reason.filter(|reason| !reason.is_empty())?;
            let resource = http::element(member, "LogicalResourceId")?;
            Some(format!("{resource}: {reason}"))
        })
        .collect();
    Ok(reasons.join("; "))
}

/// The ARNs of the functions' roles, by function name without the stack's prefix. Fails if a
/// function was deployed without code.
async fn roles(endpoint: SocketAddr) -> Result<BTreeMap<String, String>> {
    let path = "/2015-03-31/functions/";
    let answer = http::call(endpoint, "lambda", "GET", path, &[], "").await?;
    let answer: Value = serde_json::from_str(&answer)?;
    let mut roles = BTreeMap::new();
    for function in answer
        .get("Functions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |key: &str| {
            function
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        // The emulator accepts a function without code and answers its invocations by itself.
        let size = function.get("CodeSize").and_then(Value::as_u64);
        ensure!(
            size > Some(0),
            "{} was deployed without code",
            text("FunctionName")
        );
        let name = text("FunctionName").trim_start_matches("cutover-");
        roles.insert(name.to_owned(), text("Role").to_owned());
    }
    ensure!(
        roles.keys().eq(FUNCTIONS.iter().collect::<BTreeSet<_>>()),
        "expected the functions {FUNCTIONS:?}, deployed are {roles:?}"
    );
    Ok(roles)
}

/// Permits `GetChange` on every resource. AWS checks it on `change/*`, as the template permits it;
/// the emulator checks it on `*`.
async fn permit_get_change(endpoint: SocketAddr, role_arn: &str) -> Result<()> {
    let statement = json!({ "Effect": "Allow", "Action": "route53:GetChange", "Resource": "*" });
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
    let form = [
        ("Action", "PutRolePolicy"),
        ("Version", "2010-05-08"),
        ("RoleName", role_arn.rsplit('/').next().unwrap_or_default()),
        ("PolicyName", "get-change"),
        ("PolicyDocument", &policy),
    ];
    http::query(endpoint, "iam", &form).await?;
    Ok(())
}
