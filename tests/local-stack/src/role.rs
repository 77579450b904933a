//! The policies of a role in the emulator.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use wildmatch::WildMatch;

use crate::http;
use crate::policy::Policy;

const VERSION: (&str, &str) = ("Version", "2010-05-08");

/// A role in the emulator.
pub(crate) struct Role<'a> {
    emulator: SocketAddr,
    name: &'a str,
}

/// A policy as the emulator has it.
struct Document {
    name: String,
    /// Of a managed policy.
    arn: Option<String>,
    json: String,
}

impl<'a> Role<'a> {
    /// `arn` is the role's ARN.
    pub(crate) fn new(emulator: SocketAddr, arn: &'a str) -> Result<Self> {
        let name = arn
            .split_once(":role/")
            .and_then(|(_, path)| path.rsplit('/').next())
            .with_context(|| format!("{arn} is not the ARN of a role"))?;
        Ok(Self { emulator, name })
    }

    /// Its inline and its managed policies.
    pub(crate) async fn policies(&self) -> Result<Vec<Policy>> {
        parse(&self.documents().await?)
    }

    /// The same without the policies that AWS manages.
    pub(crate) async fn own_policies(&self) -> Result<Vec<Policy>> {
        let mut documents = self.documents().await?;
        let is_of_aws = |arn: &String| arn.contains(":iam::aws:policy/");
        documents.retain(|document| !document.arn.as_ref().is_some_and(is_of_aws));
        parse(&documents)
    }

    /// Takes the permission for `action` away from this role only: a managed policy that permits it is replaced by an
    /// inline policy with the rest of it.
    pub(crate) async fn revoke(&self, action: &str) -> Result<()> {
        let mut is_revoked = false;
        for document in self.documents().await? {
            let mut json: Value = serde_json::from_str(&document.json)?;
            if !remove_action(&mut json, action)? {
                continue;
            }
            is_revoked = true;
            let (removal, policy) = match &document.arn {
                Some(arn) => ("DetachRolePolicy", ("PolicyArn", arn.as_str())),
                None => ("DeleteRolePolicy", ("PolicyName", document.name.as_str())),
            };
            self.call(removal, &[policy]).await?;
            let has_statements = json.pointer("/Statement/0").is_some();
            if has_statements {
                self.put(&document.name, &json).await?;
            }
        }
        ensure!(
            is_revoked,
            "no policy of the role {} permits {action}",
            self.name
        );
        Ok(())
    }

    /// Adds or replaces an inline policy.
    pub(crate) async fn put(&self, name: &str, policy: &Value) -> Result<()> {
        let json = policy.to_string();
        let policy = [("PolicyName", name), ("PolicyDocument", json.as_str())];
        self.call("PutRolePolicy", &policy).await?;
        Ok(())
    }

    async fn documents(&self) -> Result<Vec<Document>> {
        let mut documents = Vec::new();
        let listed = self.call("ListRolePolicies", &[]).await?;
        for name in http::elements(&listed, "member") {
            let policy = self.call("GetRolePolicy", &[("PolicyName", name)]).await?;
            documents.push(Document {
                name: name.to_owned(),
                arn: None,
                json: document(&policy, "PolicyDocument")?,
            });
        }
        let listed = self.call("ListAttachedRolePolicies", &[]).await?;
        for member in http::elements(&listed, "member") {
            let name = http::element(member, "PolicyName").context("a policy without a name")?;
            let arn = http::element(member, "PolicyArn").context("a policy without an ARN")?;
            let policy = self.call("GetPolicy", &[("PolicyArn", arn)]).await?;
            let version = http::element(&policy, "DefaultVersionId");
            let version = version.with_context(|| format!("{arn} has no default version"))?;
            let version = [("PolicyArn", arn), ("VersionId", version)];
            let version = self.call("GetPolicyVersion", &version).await?;
            documents.push(Document {
                name: name.to_owned(),
                arn: Some(arn.to_owned()),
                json: document(&version, "Document")?,
            });
        }
        Ok(documents)
    }

    async fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        let mut form = vec![("Action", action), VERSION, ("RoleName", self.name)];
        form.extend(parameters);
        http::query(self.emulator, "iam", &form).await
    }
}

fn parse(documents: &[Document]) -> Result<Vec<Policy>> {
    let documents = documents.iter();
    documents
        .map(|document| Policy::parse(&document.name, &document.json))
        .collect()
}

/// The policy document in an element of an answer. IAM percent-encodes it.
fn document(answer: &str, element: &str) -> Result<String> {
    let encoded = http::element(answer, element);
    let encoded = encoded.with_context(|| format!("the answer has no {element}"))?;
    Ok(percent_decode_str(encoded).decode_utf8()?.into_owned())
}

/// Removes an action from the statements of a policy that allow it, and the statements without an action left.
/// Returns whether there was one.
fn remove_action(policy: &mut Value, action: &str) -> Result<bool> {
    let statements = policy.get_mut("Statement").map(Value::take);
    let statements = match statements.context("a policy without statements")? {
        Value::Array(statements) => statements,
        statement => vec![statement],
    };
    let mut is_removed = false;
    let mut kept = Vec::new();
    for mut statement in statements {
        let actions = match statement.get("Action") {
            Some(Value::Array(actions)) => actions.clone(),
            Some(action) => vec![action.clone()],
            None => bail!("a statement without actions"),
        };
        let mut others = actions.clone();
        if statement.get("Effect") == Some(&Value::from("Allow")) {
            let is_it = |other: &str| other.eq_ignore_ascii_case(action);
            others.retain(|other| !other.as_str().is_some_and(is_it));
            let mut patterns = others.iter().filter_map(Value::as_str);
            if let Some(pattern) = patterns.find(|other| WildMatch::new(other).matches(action)) {
                bail!("{pattern} permits {action}, too");
            }
        }
        if others.len() < actions.len() {
            is_removed = true;
            if let Some(actions) = statement.get_mut("Action") {
                *actions = Value::Array(others.clone());
            }
        }
        if !others.is_empty() {
            kept.push(statement);
        }
    }
    if let Some(statements) = policy.get_mut("Statement") {
        *statements = Value::Array(kept);
    }
    Ok(is_removed)
}
