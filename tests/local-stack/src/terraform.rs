//! Deploys `infra/terraform` with Terraform: its example `minimal`, with other arguments.
//!
//! The files are copied, because Terraform writes beside them, and because the definitions of the state machines are
//! changed for the emulator. The provider reaches the emulator by the environment; nothing else says that it is one.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Once;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::functions::Function;
use crate::http;

const EXAMPLE: &str = "examples/minimal";
/// The output that has all outputs of the module.
const OUTPUT: &str = "local_stack";
/// The variables that are lists. The template has a text with commas for each.
const LISTS: [&str; 3] = [
    "hosted_zone_arns",
    "probe_security_group_ids",
    "probe_subnet_ids",
];

/// Whether Terraform is installed. If not, this is said once.
///
/// # Errors
/// With `CI=true` in the environment, that it is not installed.
pub fn terraform_is_installed() -> Result<bool> {
    const LEFT_OUT: &str = "terraform was not found: the tests with Terraform";
    static SAID: Once = Once::new();
    let version = Command::new("terraform")
        .arg("version")
        .stdin(Stdio::null())
        .output();
    match version {
        Ok(output) => {
            ensure!(output.status.success(), "terraform version failed");
            return Ok(true);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).context("failed to run terraform"),
    }
    if std::env::var_os("CI").is_some_and(|value| value == "true") {
        bail!("{LEFT_OUT} need Terraform 1.5.7 or later");
    }
    SAID.call_once(|| {
        // Unlike eprintln!, this is shown for tests that pass. If it fails, there is nobody to tell.
        let _ = writeln!(std::io::stderr(), "{LEFT_OUT} were left out");
    });
    Ok(false)
}

/// What Terraform has deployed.
#[derive(Clone, Debug)]
pub struct Terraform {
    endpoint: SocketAddr,
    /// The folder of the example.
    root: PathBuf,
}

impl Terraform {
    /// Applies the example with these functions, definitions and parameters of the template. The files are copied
    /// into `directory`.
    pub(crate) async fn apply(
        endpoint: SocketAddr,
        directory: &Path,
        functions: &[Function],
        definitions: &[(&str, String)],
        parameters: &[(&str, String)],
    ) -> Result<Self> {
        let copy = directory.join("terraform");
        copy_folder(
            &workspace::root()?.join("infra/terraform"),
            &copy.join("infra/terraform"),
        )?;
        let folder = copy.join("statemachine");
        fs::create_dir_all(&folder)?;
        for (name, definition) in definitions {
            fs::write(folder.join(format!("{name}.asl.json")), definition)?;
        }
        let packages = copy.join("packages");
        fs::create_dir_all(&packages)?;
        for function in functions {
            let package = packages.join(format!("{}.zip", function.name));
            fs::write(package, function.package()?)?;
        }
        let root = copy.join("infra/terraform").join(EXAMPLE);
        let terraform = Self { endpoint, root };
        let arguments = override_file(&packages, parameters);
        terraform.write("local_stack_override.tf.json", &arguments)?;
        let output = json!({ "output": { OUTPUT: { "value": "${module.cutover}" } } });
        terraform.write("local_stack.tf.json", &output)?;
        terraform.run(&["init", "-no-color"]).await?;
        // Half of Terraform's default, because the emulator is one process.
        let apply = ["apply", "-auto-approve", "-no-color", "-parallelism=5"];
        terraform.run(&apply).await?;
        Ok(terraform)
    }

    /// The module's outputs, by their keys in the template.
    pub(crate) async fn outputs(&self) -> Result<BTreeMap<String, String>> {
        let outputs = self.run(&["output", "-json", OUTPUT]).await?;
        let outputs: BTreeMap<String, String> = serde_json::from_str(&outputs)?;
        let by_key = outputs.into_iter();
        Ok(by_key
            .map(|(key, value)| (camel_case(&key), value))
            .collect())
    }

    /// The folder of the definitions that were applied.
    pub fn definitions(&self) -> Result<PathBuf> {
        let copy = self.root.ancestors().nth(4);
        Ok(copy.context("the copy has no root")?.join("statemachine"))
    }

    /// The addresses of what is deployed.
    pub async fn addresses(&self) -> Result<Vec<String>> {
        let list = self.run(&["state", "list"]).await?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// What another `apply` would do: `terraform show -json` of a plan.
    pub async fn plan(&self) -> Result<Value> {
        self.run(&["plan", "-no-color", "-out=plan"]).await?;
        self.shown_plan().await
    }

    /// The same for one address and what it depends on.
    pub async fn plan_for(&self, address: &str) -> Result<Value> {
        let target = format!("-target={address}");
        self.run(&["plan", "-no-color", "-out=plan", &target])
            .await?;
        self.shown_plan().await
    }

    async fn shown_plan(&self) -> Result<Value> {
        let plan = self.run(&["show", "-json", "plan"]).await?;
        Ok(serde_json::from_str(&plan)?)
    }

    /// Applies the last plan.
    pub async fn apply_plan(&self) -> Result<()> {
        self.run(&["apply", "-no-color", "plan"]).await?;
        Ok(())
    }

    /// Another example of the module, which is not applied yet.
    pub async fn example(&self, name: &str) -> Result<Self> {
        let examples = self.root.parent().context("the example has no parent")?;
        let terraform = Self {
            endpoint: self.endpoint,
            root: examples.join(name),
        };
        let region = json!({ "provider": { "aws": { "region": http::REGION } } });
        terraform.write("local_stack_override.tf.json", &region)?;
        terraform.run(&["init", "-no-color"]).await?;
        Ok(terraform)
    }

    fn write(&self, name: &str, content: &Value) -> Result<()> {
        let path = self.root.join(name);
        fs::write(&path, content.to_string())
            .with_context(|| format!("failed to write {}", path.display()))
    }

    /// Destroys everything. If a resource refuses, returns the reasons.
    pub(crate) async fn destroy(&self) -> Result<Result<(), String>> {
        let mut attempt = 1;
        loop {
            let output = self
                .output(&["destroy", "-auto-approve", "-no-color"])
                .await?;
            if output.status.success() {
                return Ok(Ok(()));
            }
            let errors = errors(&output);
            if !may_repeat(attempt, &errors) {
                return Ok(Err(errors));
            }
            attempt += 1;
        }
    }

    /// Runs a command that has to succeed, and returns its output.
    async fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments).await?;
        let command = arguments.first().unwrap_or(&"");
        ensure!(
            output.status.success(),
            "terraform {command} failed:\n{}",
            errors(&output)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn output(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new("terraform");
        command
            .args(arguments)
            .current_dir(&self.root)
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.endpoint))
            .env("AWS_ACCESS_KEY_ID", http::ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", http::SECRET_KEY)
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_IN_AUTOMATION", "1")
            .env("TF_INPUT", "0")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("TF_WORKSPACE")
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await?;
        output.context("failed to run terraform")
    }
}

/// What replaces arguments of the example. Terraform merges a file with this name into the others.
fn override_file(packages: &Path, parameters: &[(&str, String)]) -> Value {
    let mut arguments = Map::new();
    arguments.insert("packages".to_owned(), json!({ "directory": packages }));
    // The emulator runs the functions on this machine, whatever their architecture is said to be.
    for (key, value) in parameters {
        let name = snake_case(key);
        let value = if LISTS.contains(&name.as_str()) {
            json!(value.split(',').collect::<Vec<_>>())
        } else {
            json!(value)
        };
        arguments.insert(name, value);
    }
    json!({
        "provider": { "aws": { "region": http::REGION } },
        "module": { "cutover": arguments },
    })
}

/// `HostedZoneArns` as `hosted_zone_arns`.
fn snake_case(key: &str) -> String {
    let mut name = String::new();
    for character in key.chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(character.to_ascii_lowercase());
    }
    name
}

/// `start_state_machine_arn` as `StartStateMachineArn`.
fn camel_case(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at_checked(1).unwrap_or((word, ""));
        first.to_ascii_uppercase() + rest
    });
    words.collect()
}

/// Whether what Terraform could not do is to be done again. On a busy machine, the emulator closes some connections after
/// it has carried out a call and before it has answered. The provider repeats the call, and finds that what it wants to
/// create exists, or what it wants to delete does not.
pub(crate) fn may_repeat(attempt: usize, error: &str) -> bool {
    const MOST_ATTEMPTS: usize = 3;
    let parts = ["already exists", "DoesNotExist", "NotFound"];
    attempt < MOST_ATTEMPTS && parts.iter().any(|part| error.contains(part))
}

/// What Terraform reports. Its output has the whole plan.
fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Copies a folder without what Terraform has written into it.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("failed to read {}", from.display()))? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if name.as_encoded_bytes().starts_with(b".terraform") {
            continue;
        }
        if path.is_dir() {
            copy_folder(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
