//! A running stack: emulator, functions, load balancers, zone and what was deployed.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_cloudwatch::types::{ComparisonOperator, StateValue, Statistic};
use aws_sdk_route53::config::{Credentials, SharedCredentialsProvider};
use migration::dns::RecordSet;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::deployment::{self, Deployment, Tool};
use crate::emulator::Emulator;
use crate::events::alarm_event;
use crate::execution::Execution;
use crate::functions::{self, Function};
use crate::http;
use crate::load_balancer::{Authority, LoadBalancer};
use crate::name_server::NameServer;
use crate::policy::Policy;
use crate::policy_simulator::PolicySimulator;
use crate::role::Role;
use crate::route53_proxy::Route53Proxy;
use crate::terraform::{self, Terraform};
use crate::virtual_environment;
use crate::zone::Zone;

/// CloudWatch's reason for a state change to ALARM.
const THRESHOLD_CROSSED: &str =
    "Threshold Crossed: 1 datapoint [42.0] was greater than the threshold (5.0).";

/// Settings of a stack.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Additional parameters of the template. `$ZONE` in a value is replaced with the zone's id.
    pub parameters: Vec<(&'static str, String)>,
    /// What deploys it. Terraform gets the parameters as variables of the same names.
    pub tool: Tool,
}

/// Cutover deployed on this machine. The stack is stopped on drop.
pub struct Stack {
    /// Answers for every target with `blue` but not `green` in its name, and for 192.0.2.18.
    pub blue: LoadBalancer,
    /// Answers for every target with `green` in its name, and for 192.0.2.19.
    pub green: LoadBalancer,
    pub zone: Zone,
    /// The Python interpreter that runs the emulator.
    python: PathBuf,
    functions: Vec<Function>,
    deployment: Deployment,
    pub(crate) step_functions: aws_sdk_sfn::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    /// In front of Route 53.
    pub route53_proxy: Route53Proxy,
    /// Answers the functions' look-ups of name servers.
    pub name_server: NameServer,
    /// In front of IAM, for the command line only: the functions do not call IAM.
    policy_simulator: PolicySimulator,
    // The last field, so that it is dropped after everything that uses it.
    emulator: Emulator,
}

impl Stack {
    /// Builds the functions, then starts and deploys a stack whose zone has these record sets.
    pub async fn start(record_sets: &[RecordSet]) -> Result<Self> {
        Self::start_with(record_sets, Settings::default()).await
    }

    /// Like [`Stack::start`], with settings.
    pub async fn start_with(record_sets: &[RecordSet], settings: Settings) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::start_once(record_sets, settings.clone()).await {
                Err(error) if terraform::may_repeat(attempt, &format!("{error:#}")) => attempt += 1,
                started => return started,
            }
        }
    }

    async fn start_once(record_sets: &[RecordSet], settings: Settings) -> Result<Self> {
        let (functions, python) = tokio::task::spawn_blocking(|| {
            anyhow::Ok((functions::build()?, virtual_environment::python()?))
        })
        .await??;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let name_server = NameServer::start().await?;
        let environment = [
            (
                "AWS_ENDPOINT_URL_ROUTE_53",
                format!("http://{}", listener.local_addr()?),
            ),
            ("DNS_SERVER", name_server.address().to_string()),
        ];
        let emulator = Emulator::start(&python, &environment).await?;
        let endpoint = emulator.endpoint;
        let route53_proxy = Route53Proxy::start(listener, endpoint);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let policy_simulator = PolicySimulator::start(listener, endpoint)?;
        let sdk = sdk_config(
            endpoint,
            Credentials::new(
                http::ACCESS_KEY,
                http::SECRET_KEY,
                None,
                None,
                "local-stack",
            ),
        );
        let zone = Zone::load(aws_sdk_route53::Client::new(&sdk), record_sets).await?;

        let authority = Authority::new(host_names(record_sets))?;
        let blue = LoadBalancer::start(crate::BLUE, &authority).await?;
        let green = LoadBalancer::start(crate::GREEN, &authority).await?;
        let (blue_at, green_at) = (blue.address(), green.address());
        let mut parameters = vec![
            (
                "HostedZoneArns",
                format!("arn:aws:route53:::hostedzone/{}", zone.id()),
            ),
            (
                "ProbeConnectTo",
                // Green first: every name of the blueprint contains "blue".
                format!(
                    "*green*={green_at},*blue*={blue_at},192.0.2.18={blue_at},192.0.2.19={green_at}"
                ),
            ),
            ("ProbeCaCertificates", authority.certificate),
        ];
        let with_zone = |value: String| value.replace("$ZONE", zone.id());
        let additional = settings.parameters.into_iter();
        parameters.extend(additional.map(|(key, value)| (key, with_zone(value))));
        for (key, value) in &parameters {
            if *key == "ProbeCaCertificatesLayerArn" {
                deployment::create_layer(endpoint, value).await?;
            }
        }
        let directory = emulator.directory();
        let tool = settings.tool;
        let deployment = Deployment::create(tool, endpoint, directory, &functions, parameters)
            .await
            .with_context(|| format!("the emulator's log:\n{}", emulator.log()))?;
        let stack = Self {
            blue,
            green,
            zone,
            python,
            functions,
            deployment,
            step_functions: aws_sdk_sfn::Client::new(&sdk),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&sdk),
            route53_proxy,
            name_server,
            policy_simulator,
            emulator,
        };
        stack.subscribe().await?;
        Ok(stack)
    }

    /// Deletes everything that was deployed. The inner error has the reasons if a resource refuses.
    pub async fn delete(&self) -> Result<Result<(), String>> {
        self.deployment.delete().await
    }

    /// The parameters of the template with which the stack was deployed.
    pub fn parameters(&self) -> &[(&'static str, String)] {
        &self.deployment.parameters
    }

    /// Terraform, which has to have deployed the stack.
    pub fn terraform(&self) -> Result<&Terraform> {
        let terraform = self.deployment.terraform();
        terraform.context("the stack was not deployed by Terraform")
    }

    /// Starts a migration, as the console does.
    pub async fn start_migration(&self, name: &str, input: &Value) -> Result<Execution> {
        let arn = self.migration_state_machine_arn()?;
        Execution::start(self.step_functions.clone(), arn, name, input).await
    }

    /// Starts a rollback, as the console does.
    pub async fn start_rollback(&self, name: &str, input: &Value) -> Result<Execution> {
        let arn = self.rollback_state_machine_arn()?;
        Execution::start(self.step_functions.clone(), arn, name, input).await
    }

    /// Starts a release, as the console does.
    pub async fn start_release(&self, name: &str, input: &Value) -> Result<Execution> {
        let arn = self.release_state_machine_arn()?;
        Execution::start(self.step_functions.clone(), arn, name, input).await
    }

    /// All executions of the migration state machine.
    pub async fn migrations(&self) -> Result<Vec<Execution>> {
        self.executions(self.migration_state_machine_arn()?).await
    }

    /// All executions of the rollback state machine.
    pub async fn rollbacks(&self) -> Result<Vec<Execution>> {
        self.executions(self.rollback_state_machine_arn()?).await
    }

    /// All executions of the state machine that starts migrations.
    pub async fn starts(&self) -> Result<Vec<Execution>> {
        self.executions(self.output("StartStateMachineArn")?).await
    }

    /// All executions of the watch state machine, newest first.
    pub async fn watches(&self) -> Result<Vec<Execution>> {
        self.executions(self.watch_state_machine_arn()?).await
    }

    async fn executions(&self, state_machine_arn: &str) -> Result<Vec<Execution>> {
        let listed = self
            .step_functions
            .list_executions()
            .state_machine_arn(state_machine_arn)
            .send()
            .await?;
        let execution = |arn| Execution::from_arn(self.step_functions.clone(), arn);
        let arns = listed.executions.into_iter().map(|item| item.execution_arn);
        Ok(arns.map(execution).collect())
    }

    pub fn migration_state_machine_arn(&self) -> Result<&str> {
        self.output("MigrationStateMachineArn")
    }

    pub fn watch_state_machine_arn(&self) -> Result<&str> {
        self.output("WatchStateMachineArn")
    }

    pub fn rollback_state_machine_arn(&self) -> Result<&str> {
        self.output("RollbackStateMachineArn")
    }

    pub fn release_state_machine_arn(&self) -> Result<&str> {
        self.output("ReleaseStateMachineArn")
    }

    /// An output of what was deployed, by its key in the template.
    pub fn output(&self, key: &str) -> Result<&str> {
        self.deployment
            .outputs
            .get(key)
            .map(String::as_str)
            .with_context(|| format!("there is no output {key}"))
    }

    /// The environment variables with which the AWS CLI and the command line reach the stack.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            (
                "AWS_ENDPOINT_URL",
                format!("http://{}", self.emulator.endpoint),
            ),
            ("AWS_ENDPOINT_URL_IAM", self.iam_endpoint()),
            ("AWS_REGION", http::REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", http::ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", http::SECRET_KEY.to_owned()),
        ]
    }

    /// The same for a new role that has this policy and nothing else.
    pub async fn environment_with_policy(
        &self,
        role: &str,
        policy: &Value,
    ) -> Result<Vec<(&'static str, String)>> {
        let trust = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Principal": { "AWS": "*" }, "Action": "sts:AssumeRole" }] });
        let (trust, policy) = (trust.to_string(), policy.to_string());
        let version = ("Version", "2010-05-08");
        let create = [
            ("Action", "CreateRole"),
            version,
            ("RoleName", role),
            ("AssumeRolePolicyDocument", &trust),
        ];
        let created = http::query(self.endpoint(), "iam", &create).await?;
        let put = [
            ("Action", "PutRolePolicy"),
            version,
            ("RoleName", role),
            ("PolicyName", "policy"),
            ("PolicyDocument", &policy),
        ];
        http::query(self.endpoint(), "iam", &put).await?;
        let arn = http::element(&created, "Arn").context("the new role has no ARN")?;
        let credentials = self.credentials_of_role(arn).await?;
        let mut environment = Vec::from(self.environment());
        for (name, value) in &mut environment {
            match *name {
                "AWS_ACCESS_KEY_ID" => credentials.access_key_id().clone_into(value),
                "AWS_SECRET_ACCESS_KEY" => credentials.secret_access_key().clone_into(value),
                _ => {}
            }
        }
        let token = credentials.session_token().unwrap_or_default();
        environment.push(("AWS_SESSION_TOKEN", token.to_owned()));
        Ok(environment)
    }

    /// Multiplies every Wait and every delay before a retry of the state machines by `scale`. It
    /// changes neither timeouts nor the duration of the functions' calls.
    pub async fn scale_waits(&self, scale: f64) -> Result<()> {
        self.emulator.scale_waits(scale).await
    }

    /// Creates a metric alarm in the state OK.
    pub async fn create_alarm(&self, name: &str) -> Result<()> {
        self.cloudwatch
            .put_metric_alarm()
            .alarm_name(name)
            .namespace("AWS/ApplicationELB")
            .metric_name("HTTPCode_Target_5XX_Count")
            .statistic(Statistic::Sum)
            .period(60)
            .evaluation_periods(1)
            .threshold(5.0)
            .comparison_operator(ComparisonOperator::GreaterThanThreshold)
            .send()
            .await?;
        self.clear_alarm(name).await
    }

    /// Sets an alarm to OK, without an event.
    pub async fn clear_alarm(&self, name: &str) -> Result<()> {
        self.set_alarm(name, StateValue::Ok, "OK").await
    }

    /// Sets an alarm to ALARM without an event, like an alarm whose name does not begin with the
    /// stack's `AlarmNamePrefix`.
    pub async fn fire_alarm(&self, name: &str) -> Result<()> {
        self.set_alarm(name, StateValue::Alarm, THRESHOLD_CROSSED)
            .await
    }

    /// Sets an alarm to ALARM and delivers its event. Returns the executions that the event started.
    pub async fn fire_alarm_with_event(&self, name: &str) -> Result<Vec<Execution>> {
        self.fire_alarm(name).await?;
        self.deliver_alarm_event(name).await
    }

    /// Delivers the event of an alarm whose state stays OK, so that only the event can stop a
    /// migration. Returns the executions that the event started.
    pub async fn deliver_alarm_event(&self, name: &str) -> Result<Vec<Execution>> {
        self.deliver(&alarm_event(name, THRESHOLD_CROSSED)?).await
    }

    /// The names of all metric alarms.
    pub async fn alarm_names(&self) -> Result<Vec<String>> {
        let described = self.cloudwatch.describe_alarms().send().await?;
        let alarms = described.metric_alarms().iter();
        Ok(alarms
            .filter_map(|alarm| alarm.alarm_name().map(str::to_owned))
            .collect())
    }

    /// The metric alarms in the state ALARM.
    pub(crate) async fn firing_alarms(&self) -> Result<Vec<String>> {
        let described = self.cloudwatch.describe_alarms();
        let described = described.state_value(StateValue::Alarm).send().await?;
        let alarms = described.metric_alarms().iter();
        Ok(alarms
            .filter_map(|alarm| alarm.alarm_name().map(str::to_owned))
            .collect())
    }

    async fn set_alarm(&self, name: &str, state: StateValue, reason: &str) -> Result<()> {
        self.cloudwatch
            .set_alarm_state()
            .alarm_name(name)
            .state_value(state)
            .state_reason(reason)
            .send()
            .await?;
        Ok(())
    }

    /// The deployed definition of the migration state machine.
    pub async fn migration_definition(&self) -> Result<Value> {
        let described = self
            .step_functions
            .describe_state_machine()
            .state_machine_arn(self.migration_state_machine_arn()?)
            .send()
            .await?;
        Ok(serde_json::from_str(described.definition())?)
    }

    /// Replaces the definition of the migration state machine. Running executions keep theirs.
    pub async fn set_migration_definition(&self, definition: &Value) -> Result<()> {
        self.step_functions
            .update_state_machine()
            .state_machine_arn(self.migration_state_machine_arn()?)
            .definition(definition.to_string())
            .send()
            .await?;
        Ok(())
    }

    /// Starts or stops throttling all calls of the function in the crate `function`.
    pub async fn throttle(&self, function: &str, is_throttled: bool) -> Result<()> {
        let path = format!(
            "/2017-10-31/functions/{}/concurrency",
            deployment::function_name(function)
        );
        let (method, body) = if is_throttled {
            let body = json!({ "ReservedConcurrentExecutions": 0 });
            ("PUT", body.to_string())
        } else {
            ("DELETE", String::new())
        };
        http::call(self.endpoint(), "lambda", method, &path, &[], body).await?;
        Ok(())
    }

    /// Kills the processes of the function in the crate `function` with SIGKILL, and returns how
    /// many there were. Linux only.
    pub async fn kill(&self, function: &str) -> Result<usize> {
        let name = deployment::function_name(function);
        self.emulator.kill(&name).await
    }

    pub async fn delete_alarm(&self, name: &str) -> Result<()> {
        self.cloudwatch
            .delete_alarms()
            .alarm_names(name)
            .send()
            .await?;
        Ok(())
    }

    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Updates the stack to newer versions of the functions that the state machine migration invokes.
    /// In these versions a migration has another format: they add the field `format` to a plan, and
    /// refuse a migration that does not have it, as the original functions refuse one that has it.
    pub async fn deploy_another_format(&self) -> Result<()> {
        let functions = self.functions.iter().map(|function| {
            let is_invoked = function.name != "rollback";
            if is_invoked {
                function.with_another_format(&self.python, self.emulator.directory())
            } else {
                Ok(function.clone())
            }
        });
        let functions = functions.collect::<Result<Vec<_>>>()?;
        self.deployment.update(&functions).await
    }

    /// The URL of an IAM that simulates policies with their conditions, which the emulator does not.
    pub fn iam_endpoint(&self) -> String {
        format!("http://{}", self.policy_simulator.endpoint)
    }

    /// The ARN of the role of the function in the crate `function`.
    pub fn role_of(&self, function: &str) -> Result<&str> {
        let role = self.deployment.roles.get(function);
        let role = role.with_context(|| format!("{function} has no role"))?;
        Ok(role)
    }

    /// The actions that the stack's own policies allow a role, as they are written. The role is given by its ARN.
    pub async fn allowed_actions(&self, role: &str) -> Result<BTreeSet<String>> {
        let policies = Role::new(self.endpoint(), role)?.own_policies().await?;
        let actions = policies.iter().flat_map(Policy::allowed_actions);
        Ok(actions.map(str::to_owned).collect())
    }

    /// Adds an inline policy to a role, which is given by its ARN.
    pub async fn permit(&self, role: &str, name: &str, policy: &Value) -> Result<()> {
        Role::new(self.endpoint(), role)?.put(name, policy).await
    }

    /// Changes settings of the unpublished version of the function in the crate `function`, as the console does: the
    /// fields of `UpdateFunctionConfiguration`.
    pub async fn change_function(&self, function: &str, settings: &Value) -> Result<()> {
        let name = deployment::function_name(function);
        let path = format!("/2015-03-31/functions/{name}/configuration");
        let body = settings.to_string();
        http::call(self.endpoint(), "lambda", "PUT", &path, &[], body).await?;
        Ok(())
    }

    /// Takes the permission for `action` away from a role, which is given by its ARN. Other roles with the same
    /// managed policy keep it.
    ///
    /// # Errors
    /// If no policy of the role permits the action by its name.
    pub async fn revoke(&self, role: &str, action: &str) -> Result<()> {
        Role::new(self.endpoint(), role)?.revoke(action).await
    }

    /// A Route 53 client with the role of the function in the crate `function`.
    pub async fn route53_with_role_of(&self, function: &str) -> Result<aws_sdk_route53::Client> {
        Ok(aws_sdk_route53::Client::new(
            &self.sdk_with_role(self.role_of(function)?).await?,
        ))
    }

    /// A Step Functions client with a role.
    pub(crate) async fn step_functions_with_role(&self, role: &str) -> Result<aws_sdk_sfn::Client> {
        Ok(aws_sdk_sfn::Client::new(&self.sdk_with_role(role).await?))
    }

    /// The directory of the emulator's files, which is deleted with it.
    pub(crate) fn directory(&self) -> &Path {
        self.emulator.directory()
    }

    /// The address of the emulator.
    pub(crate) fn endpoint(&self) -> SocketAddr {
        self.emulator.endpoint
    }

    async fn sdk_with_role(&self, role: &str) -> Result<SdkConfig> {
        let credentials = self.credentials_of_role(role).await?;
        Ok(sdk_config(self.emulator.endpoint, credentials))
    }

    async fn credentials_of_role(&self, role: &str) -> Result<Credentials> {
        let endpoint = self.emulator.endpoint;
        let form = [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", role),
            ("RoleSessionName", "local-stack"),
        ];
        let session = http::query(endpoint, "sts", &form).await?;
        let part = |tag: &str| {
            http::element(&session, tag)
                .map(str::to_owned)
                .with_context(|| format!("the answer to AssumeRole has no {tag}"))
        };
        Ok(Credentials::new(
            part("AccessKeyId")?,
            part("SecretAccessKey")?,
            Some(part("SessionToken")?),
            None,
            "local-stack",
        ))
    }

    /// The output of the emulator and the logs of the functions.
    pub fn log(&self) -> String {
        self.emulator.log()
    }

    /// The resident memory of the emulator and the functions. Linux only.
    pub fn resident_kilobytes(&self) -> Result<u64> {
        self.emulator.resident_kilobytes()
    }
}

pub(crate) fn sdk_config(endpoint: SocketAddr, credentials: Credentials) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(format!("http://{endpoint}"))
        .region(Region::from_static(http::REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// The names of the zone's weighted records, as host names for a certificate.
fn host_names(record_sets: &[RecordSet]) -> Vec<String> {
    let mut hosts: Vec<_> = record_sets
        .iter()
        .filter(|record_set| record_set.record_type.moves() && record_set.weighted().is_some())
        .map(|record_set| record_set.name.host("*"))
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
}
