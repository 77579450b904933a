//! Deploys `infra/template.yaml` through CloudFormation, packaged as `sam package` does, or `infra/terraform`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use workspace::FUNCTIONS;

use crate::execution::POLL_INTERVAL;
use crate::functions::Function;
use crate::http;
use crate::terraform::Terraform;

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

/// What deploys a stack.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Tool {
    /// CloudFormation deploys `infra/template.yaml`.
    #[default]
    CloudFormation,
    /// Terraform deploys the example `minimal` of `infra/terraform`.
    Terraform,
}

pub(crate) struct Deployment {
    endpoint: SocketAddr,
    deployed: Deployed,
    /// The parameters of the template, or the variables of the module by the same names.
    pub(crate) parameters: Vec<(&'static str, String)>,
    /// The outputs, by their keys in the template.
    pub(crate) outputs: BTreeMap<String, String>,
    /// The ARN of each function's role, by the name of the function's crate.
    pub(crate) roles: BTreeMap<String, String>,
}

enum Deployed {
    ByCloudFormation {
        /// The id of the stack, by which a deleted one can be described.
        id: String,
    },
    ByTerraform(Terraform),
}

/// The deployed name of a function, from the name of its crate.
pub(crate) fn function_name(function: &str) -> String {
    format!("{STACK_NAME}-{function}")
}

impl Deployment {
    /// Creates the stack with these functions and parameters of the template. `directory` is for the tool's files.
    pub(crate) async fn create(
        tool: Tool,
        endpoint: SocketAddr,
        directory: &Path,
        functions: &[Function],
        parameters: Vec<(&'static str, String)>,
    ) -> Result<Self> {
        let (deployed, outputs) = match tool {
            Tool::CloudFormation => create_stack(endpoint, functions, &parameters).await?,
            Tool::Terraform => {
                let definitions = definitions()?;
                let terraform =
                    Terraform::apply(endpoint, directory, functions, &definitions, &parameters)
                        .await?;
                let outputs = terraform.outputs().await?;
                (Deployed::ByTerraform(terraform), outputs)
            }
        };
        let roles = roles(endpoint).await?;
        for writer in WRITERS {
            let role = roles.get(writer);
            let role = role.with_context(|| format!("the function {writer} has no role"))?;
            permit_get_change(endpoint, role).await?;
        }
        Ok(Self {
            endpoint,
            deployed,
            parameters,
            outputs,
            roles,
        })
    }

    /// Updates the stack with these functions. Nothing else changes.
    pub(crate) async fn update(&self, functions: &[Function]) -> Result<()> {
        if self.terraform().is_some() {
            bail!("updates are tested with CloudFormation only");
        }
        deploy(self.endpoint, "UpdateStack", functions, &self.parameters).await?;
        wait_until(self.endpoint, "UPDATE_COMPLETE").await?;
        Ok(())
    }

    /// Deletes everything that was deployed. If a resource refuses, returns the reasons.
    pub(crate) async fn delete(&self) -> Result<Result<(), String>> {
        match &self.deployed {
            Deployed::ByCloudFormation { id } => delete_stack(self.endpoint, id).await,
            Deployed::ByTerraform(terraform) => terraform.destroy().await,
        }
    }

    /// Terraform, if it has deployed the stack.
    pub(crate) fn terraform(&self) -> Option<&Terraform> {
        match &self.deployed {
            Deployed::ByTerraform(terraform) => Some(terraform),
            Deployed::ByCloudFormation { .. } => None,
        }
    }
}

/// Creates the stack, and returns its outputs as well.
async fn create_stack(
    endpoint: SocketAddr,
    functions: &[Function],
    parameters: &[(&'static str, String)],
) -> Result<(Deployed, BTreeMap<String, String>)> {
    // A PUT without a key creates the bucket.
    upload(endpoint, "", Vec::new()).await?;
    deploy(endpoint, "CreateStack", functions, parameters).await?;
    let description = wait_until(endpoint, "CREATE_COMPLETE").await?;
    let output = |member| {
        let key = http::element(member, "OutputKey")?;
        let value = http::element(member, "OutputValue")?;
        Some((key.to_owned(), value.to_owned()))
    };
    let outputs = http::elements(&description, "member").into_iter();
    let outputs = outputs.filter_map(output).collect();
    let id = http::element(&description, "StackId").context("the stack has no id")?;
    let id = id.to_owned();
    Ok((Deployed::ByCloudFormation { id }, outputs))
}

/// Deletes the stack. If a resource refuses, returns the reasons.
///
/// The emulator then goes on with the resources that this one depends on, which CloudFormation keeps.
async fn delete_stack(endpoint: SocketAddr, id: &str) -> Result<Result<(), String>> {
    http::query(endpoint, "cloudformation", &request("DeleteStack")).await?;
    let by_id = request_for("DescribeStacks", id);
    Ok(loop {
        let description = http::query(endpoint, "cloudformation", &by_id).await?;
        match http::element(&description, "StackStatus").unwrap_or_default() {
            "DELETE_COMPLETE" => break Ok(()),
            "DELETE_FAILED" => break Err(reasons(endpoint, "DescribeStackResources").await?),
            "DELETE_IN_PROGRESS" => tokio::time::sleep(POLL_INTERVAL).await,
            status => bail!("expected the stack to be deleted, found {status}"),
        }
    })
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
    for (name, definition) in definitions()? {
        let local = format!("../statemachine/{name}.asl.json");
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

/// The definitions of the state machines, by name.
fn definitions() -> Result<Vec<(&'static str, String)>> {
    let folder = workspace::root()?.join("statemachine");
    let read = |name| {
        let path = folder.join(format!("{name}.asl.json"));
        let definition = fs::read_to_string(&path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        Ok((name, for_the_emulator(&definition)))
    };
    STATE_MACHINES.into_iter().map(read).collect()
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

/// Creates a layer with nothing in it, for a parameter that is the ARN of its first version.
pub(crate) async fn create_layer(endpoint: SocketAddr, version_arn: &str) -> Result<()> {
    // A ZIP archive of no files.
    const EMPTY: &str = "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==";
    let name = version_arn.split(':').nth(6);
    let name = name.with_context(|| format!("{version_arn} is not the ARN of a layer"))?;
    let path = format!("/2018-10-31/layers/{name}/versions");
    let body = json!({ "Content": { "ZipFile": EMPTY } }).to_string();
    http::call(endpoint, "lambda", "POST", &path, &[], body).await?;
    Ok(())
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
