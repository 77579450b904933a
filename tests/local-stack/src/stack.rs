//! Everything that a migration needs, running.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_cloudwatch::types::{ComparisonOperator, StateValue, Statistic};
use aws_sdk_route53::config::{Credentials, SharedCredentialsProvider};
use migration::record::RecordSet;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::deployment::{self, Deployment};
use crate::emulator::Emulator;
use crate::events::alarm_event;
use crate::execution::Execution;
use crate::functions::{self, Function};
use crate::gate::Gate;
use crate::http;
use crate::load_balancer::{Authority, LoadBalancer};
use crate::virtual_environment;
use crate::zone::Zone;

/// Why CloudWatch says that an alarm fires.
const THRESHOLD_CROSSED: &str =
    "Threshold Crossed: 1 datapoint [42.0] was greater than the threshold (5.0).";

/// How a stack differs from the usual one.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For how long, in real time, an approval is waited for, whatever the input says.
    pub approval_timeout_seconds: u32,
    /// Further parameters of the template; `$ZONE` in a value is the id of the zone.
    pub parameters: Vec<(&'static str, String)>,
    /// Whether the functions reach Route 53 through a [`Gate`].
    pub gates_route53: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            approval_timeout_seconds: 300,
            parameters: Vec::new(),
            gates_route53: false,
        }
    }
}

/// Cutover, deployed and running on this machine. It is stopped on drop.
pub struct Stack {
    /// The load balancer of the cluster whose targets' names have `blue` in them.
    pub blue: LoadBalancer,
    /// The load balancer of the cluster whose targets' names have `green` in them.
    pub green: LoadBalancer,
    /// The zone.
    pub zone: Zone,
    functions: Vec<Function>,
    deployment: Deployment,
    pub(crate) step_functions: aws_sdk_sfn::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    gate: Option<Gate>,
    // Last: it is dropped after those that use it.
    emulator: Emulator,
}

impl Stack {
    /// Builds, starts and deploys everything, with a zone of these record sets.
    pub async fn start(record_sets: &[RecordSet]) -> Result<Self> {
        Self::start_with(record_sets, Settings::default()).await
    }

    /// The same, set otherwise.
    pub async fn start_with(record_sets: &[RecordSet], settings: Settings) -> Result<Self> {
        let (functions, python) = tokio::task::spawn_blocking(|| {
            anyhow::Ok((functions::build()?, virtual_environment::python()?))
        })
        .await??;
        let gate = if settings.gates_route53 {
            Some(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?)
        } else {
            None
        };
        let gate_address = gate.as_ref().map(TcpListener::local_addr).transpose()?;
        let emulator = Emulator::start(&python, gate_address).await?;
        let endpoint = emulator.endpoint;
        let gate = gate.map(|listener| Gate::open(listener, endpoint));
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
                // Green first: all names of the blueprint have blue in them.
                format!(
                    "*green*={green_at},*blue*={blue_at},192.0.2.18={blue_at},192.0.2.19={green_at}"
                ),
            ),
            ("ProbeCaCertificates", authority.certificate),
        ];
        let with_zone = |value: String| value.replace("$ZONE", zone.id());
        let further = settings.parameters.into_iter();
        parameters.extend(further.map(|(key, value)| (key, with_zone(value))));
        let deployment = deployment::deploy(
            endpoint,
            &functions,
            &parameters,
            settings.approval_timeout_seconds,
        )
        .await
        .with_context(|| format!("the emulator said:\n{}", emulator.log()))?;
        let stack = Self {
            blue,
            green,
            zone,
            functions,
            deployment,
            step_functions: aws_sdk_sfn::Client::new(&sdk),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&sdk),
            gate,
            emulator,
        };
        stack.subscribe().await?;
        Ok(stack)
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

    async fn executions(&self, state_machine_arn: &str) -> Result<Vec<Execution>> {
        let listed = self
            .step_functions
            .list_executions()
            .state_machine_arn(state_machine_arn)
            .send()
            .await?;
        let known = |arn| Execution::known(self.step_functions.clone(), arn);
        let arns = listed.executions.into_iter().map(|item| item.execution_arn);
        Ok(arns.map(known).collect())
    }

    /// The state machine of migrations.
    pub fn migration_state_machine_arn(&self) -> Result<&str> {
        self.output("MigrationStateMachineArn")
    }

    /// The state machine of rollbacks.
    pub fn rollback_state_machine_arn(&self) -> Result<&str> {
        self.output("RollbackStateMachineArn")
    }

    /// The state machine of releases.
    pub fn release_state_machine_arn(&self) -> Result<&str> {
        self.output("ReleaseStateMachineArn")
    }

    /// An output of the template.
    pub fn output(&self, key: &str) -> Result<&str> {
        self.deployment
            .outputs
            .get(key)
            .map(String::as_str)
            .with_context(|| format!("the template has no output {key}"))
    }

    /// The environment in which the AWS CLI reaches the stack.
    pub fn environment(&self) -> [(&'static str, String); 4] {
        [
            (
                "AWS_ENDPOINT_URL",
                format!("http://{}", self.emulator.endpoint),
            ),
            ("AWS_REGION", http::REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", http::ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", http::SECRET_KEY.to_owned()),
        ]
    }

    /// Lets every wait of the state machines take `scale` times as long as it says.
    /// Timeouts and the functions' own work take as long as they take.
    pub async fn scale_waits(&self, scale: f64) -> Result<()> {
        self.emulator.scale_waits(scale).await
    }

    /// Creates a metric alarm that is quiet.
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
        self.quiet_alarm(name).await
    }

    /// Lets an alarm be quiet again.
    pub async fn quiet_alarm(&self, name: &str) -> Result<()> {
        self.set_alarm(name, StateValue::Ok, "quiet").await
    }

    /// Lets an alarm fire that sends no event, as one whose name does not begin with the stack's
    /// `AlarmNamePrefix`.
    pub async fn fire_alarm(&self, name: &str) -> Result<()> {
        self.set_alarm(name, StateValue::Alarm, THRESHOLD_CROSSED)
            .await
    }

    /// Lets an alarm fire, and delivers its event. Returns the executions that it started.
    pub async fn fire_alarm_with_event(&self, name: &str) -> Result<Vec<Execution>> {
        self.fire_alarm(name).await?;
        self.deliver(&alarm_event(name, THRESHOLD_CROSSED)?).await
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

    /// The gate in front of Route 53, where the settings ask for one.
    pub fn gate(&self) -> Result<&Gate> {
        self.gate.as_ref().context("the stack has no gate")
    }

    /// The definition of the migration state machine, as it is deployed.
    pub async fn migration_definition(&self) -> Result<Value> {
        let described = self
            .step_functions
            .describe_state_machine()
            .state_machine_arn(self.migration_state_machine_arn()?)
            .send()
            .await?;
        Ok(serde_json::from_str(described.definition())?)
    }

    /// Gives the migration state machine another definition; what runs keeps the one it has.
    pub async fn set_migration_definition(&self, definition: &Value) -> Result<()> {
        self.step_functions
            .update_state_machine()
            .state_machine_arn(self.migration_state_machine_arn()?)
            .definition(definition.to_string())
            .send()
            .await?;
        Ok(())
    }

    /// Lets every call of the function that the crate `function` is be throttled, or none.
    pub async fn throttle(&self, function: &str, is_throttled: bool) -> Result<()> {
        let path = format!(
            "/2017-10-31/functions/{}/concurrency",
            deployment::function_name(function)
        );
        let (method, body) = if is_throttled {
            let none_at_once = json!({ "ReservedConcurrentExecutions": 0 });
            ("PUT", none_at_once.to_string())
        } else {
            ("DELETE", String::new())
        };
        http::call(self.endpoint(), "lambda", method, &path, &[], body).await?;
        Ok(())
    }

    /// Kills the processes of the function that the crate `function` is, whatever they do, and
    /// returns how many there were; on Linux only.
    pub async fn kill(&self, function: &str) -> Result<usize> {
        let name = deployment::function_name(function);
        self.emulator.kill(&name).await
    }

    /// Deletes an alarm.
    pub async fn delete_alarm(&self, name: &str) -> Result<()> {
        self.cloudwatch
            .delete_alarms()
            .alarm_names(name)
            .send()
            .await?;
        Ok(())
    }

    /// The functions' binaries.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The zone, reached with the role of the function that the crate `function` is.
    pub async fn zone_as(&self, function: &str) -> Result<aws_sdk_route53::Client> {
        let role = self.deployment.roles.get(function);
        let role = role.with_context(|| format!("{function} has no role"))?;
        Ok(aws_sdk_route53::Client::new(&self.sdk_as(role).await?))
    }

    /// Step Functions, reached with a role.
    pub(crate) async fn step_functions_as(&self, role: &str) -> Result<aws_sdk_sfn::Client> {
        Ok(aws_sdk_sfn::Client::new(&self.sdk_as(role).await?))
    }

    /// Where the emulator listens.
    pub(crate) fn endpoint(&self) -> SocketAddr {
        self.emulator.endpoint
    }

    async fn sdk_as(&self, role: &str) -> Result<SdkConfig> {
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
                .with_context(|| format!("no {tag}"))
        };
        let credentials = Credentials::new(
            part("AccessKeyId")?,
            part("SecretAccessKey")?,
            Some(part("SessionToken")?),
            None,
            "local-stack",
        );
        Ok(sdk_config(endpoint, credentials))
    }

    /// What the emulator and the functions have printed, the latter's logs included.
    pub fn log(&self) -> String {
        self.emulator.log()
    }

    /// The memory that the emulator and the functions have resident; on Linux only.
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

/// The hosts that the weighted records of a zone answer for, for a certificate.
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
