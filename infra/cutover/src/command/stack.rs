//! A deployed Cutover: its account, Region and name, and the calls of Step Functions.

use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sfn::config::SharedCredentialsProvider;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
use aws_sdk_sfn::types::{ExecutionListItem, ExecutionStatus};
use cutover::Execution;

use super::arguments::Account;
use super::exit::{Exit, Failure};

/// Attempts of one call, the first included: operators and the functions share the account's limits.
const MOST_ATTEMPTS: u32 = 5;
/// The time between two looks at an execution that only its end is awaited of.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The state machines that a person starts, and the one that has the answers of a migration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Machine {
    Migration,
    Watch,
    Rollback,
    Release,
}

impl Machine {
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Migration => "migration",
            Self::Watch => "watch",
            Self::Rollback => "rollback",
            Self::Release => "release",
        }
    }
}

/// A deployed Cutover, and the client that reaches it.
pub(crate) struct Stack {
    account: Account,
    partition: String,
    account_id: String,
    region: String,
    sdk_config: SdkConfig,
    step_functions: aws_sdk_sfn::Client,
}

impl Stack {
    /// Finds account and Region as the AWS CLI does. Whether there is a stack of this name, the first call of
    /// Step Functions finds out.
    pub(crate) async fn find(account: &Account) -> Result<Self, Failure> {
        let config = sdk_config(account).await;
        let Some(region) = config.region().map(ToString::to_string) else {
            let message =
                "found no Region: give --region, or set AWS_REGION or the region of the profile";
            return Err(Failure::new(Exit::Failed, message));
        };
        let identity = aws_sdk_sts::Client::new(&config)
            .get_caller_identity()
            .send()
            .await;
        let identity = identity.map_err(|error| {
            let error = format!("{:#}", anyhow::Error::new(error));
            let profile = account.profile.as_ref();
            let profile = profile.map(|name| format!(", profile {name}"));
            let profile = profile.unwrap_or_default();
            let message = format!(
                "failed to find the account (sts:GetCallerIdentity in {region}{profile}): {error}. \
                 The credentials are taken as the AWS CLI takes them; `aws sts get-caller-identity` has to work."
            );
            Failure::new(Exit::Failed, message)
        })?;
        // Such as arn:aws-cn:iam::111122223333:user/ann.
        let arn = identity.arn().unwrap_or_default();
        Ok(Self {
            account: account.clone(),
            partition: arn.split(':').nth(1).unwrap_or("aws").to_owned(),
            account_id: identity.account().unwrap_or_default().to_owned(),
            region,
            step_functions: aws_sdk_sfn::Client::new(&config),
            sdk_config: config,
        })
    }

    /// For the clients of single commands.
    pub(crate) fn sdk_config(&self) -> &SdkConfig {
        &self.sdk_config
    }

    /// `cutover in account 111122223333, Region eu-west-1`.
    pub(crate) fn title(&self) -> String {
        let (name, place) = (&self.account.name, self.place());
        format!("{name} in {place}")
    }

    fn place(&self) -> String {
        format!("account {}, Region {}", self.account_id, self.region)
    }

    pub(crate) fn name(&self) -> &str {
        &self.account.name
    }

    pub(crate) fn partition(&self) -> &str {
        &self.partition
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    pub(crate) fn account_id(&self) -> &str {
        &self.account_id
    }

    /// Region and account as ARNs have them, such as `eu-west-1:111122223333`.
    pub(crate) fn place_in_arns(&self) -> String {
        format!("{}:{}", self.region, self.account_id)
    }

    /// The name of a resource of the stack, such as a function.
    pub(crate) fn resource_name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.account.name)
    }

    /// The beginning of the ARNs of Step Functions, such as `arn:aws:states:eu-west-1:111122223333`.
    fn states_arn_prefix(&self) -> String {
        format!("arn:{}:states:{}", self.partition, self.place_in_arns())
    }

    /// The ARN of a state machine by the end of its name.
    pub(crate) fn arn_of_state_machine(&self, suffix: &str) -> String {
        let (prefix, name) = (self.states_arn_prefix(), self.resource_name(suffix));
        format!("{prefix}:stateMachine:{name}")
    }

    /// A command with the options of this one, such as `cutover --region eu-west-1 hold`.
    pub(crate) fn command(&self, command: &str) -> String {
        command_with(&self.account, command)
    }

    pub(crate) fn state_machine_arn(&self, machine: Machine) -> String {
        self.arn_of_state_machine(machine.suffix())
    }

    /// An execution by its name or ARN.
    pub(crate) fn execution(&self, machine: Machine, name_or_arn: &str) -> Execution {
        let arn = if name_or_arn.starts_with("arn:") {
            name_or_arn.to_owned()
        } else {
            let (prefix, name) = (self.states_arn_prefix(), self.state_machine(machine));
            format!("{prefix}:execution:{name}:{name_or_arn}")
        };
        Execution::new(self.step_functions.clone(), arn)
    }

    fn state_machine(&self, machine: Machine) -> String {
        self.resource_name(machine.suffix())
    }

    /// Starts an execution. Without a name, Step Functions chooses one.
    pub(crate) async fn start(
        &self,
        machine: Machine,
        name: Option<&str>,
        input: String,
    ) -> Result<Execution, Failure> {
        let start = self
            .step_functions
            .start_execution()
            .state_machine_arn(self.state_machine_arn(machine))
            .set_name(name.map(str::to_owned))
            .input(input)
            .send()
            .await;
        match start {
            Ok(started) => Ok(self.execution(machine, started.execution_arn())),
            Err(error) if error.code() == Some("ExecutionAlreadyExists") => {
                let message = format!(
                    "there is an execution {} of {} already, with another input or ended. Choose another name: Step \
                     Functions accepts a name once in 90 days. No execution was started.",
                    name.unwrap_or_default(),
                    self.state_machine(machine)
                );
                Err(Failure::new(Exit::NotStarted, message))
            }
            Err(error) => Err(self.failure("states:StartExecution", machine, error)),
        }
    }

    /// The executions that started last, newest first, at most 1,000.
    pub(crate) async fn executions(
        &self,
        machine: Machine,
        status: Option<ExecutionStatus>,
        most: i32,
    ) -> Result<Vec<ExecutionListItem>, Failure> {
        let listed = self
            .step_functions
            .list_executions()
            .state_machine_arn(self.state_machine_arn(machine))
            .set_status_filter(status)
            .max_results(most)
            .send()
            .await;
        let listed =
            listed.map_err(|error| self.failure("states:ListExecutions", machine, error))?;
        Ok(listed.executions)
    }

    /// Describes an execution of this state machine.
    pub(crate) async fn describe(
        &self,
        machine: Machine,
        execution: &Execution,
    ) -> Result<DescribeExecutionOutput, Failure> {
        let describe = self.step_functions.describe_execution();
        let described = describe.execution_arn(execution.arn()).send().await;
        described.map_err(|error| match error.code() {
            Some("ExecutionDoesNotExist") => {
                let message = format!(
                    "there is no execution {} of {} in {} ({}). `{}` lists those that there are; Step Functions \
                     forgets an execution 90 days after its end.",
                    execution.name(),
                    self.state_machine(machine),
                    self.place(),
                    execution.arn(),
                    self.command("status")
                );
                Failure::new(Exit::Failed, message)
            }
            _ => self.failure("states:DescribeExecution", machine, error),
        })
    }

    /// Waits for the end of an execution that this process has started.
    pub(crate) async fn wait(
        &self,
        execution: &Execution,
    ) -> Result<cutover::ExecutionResult, Failure> {
        loop {
            if let Some(ended) = execution.ended().await? {
                return Ok(ended);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    pub(crate) fn step_functions(&self) -> &aws_sdk_sfn::Client {
        &self.step_functions
    }

    /// What an error of Step Functions means here.
    pub(crate) fn failure<E>(
        &self,
        permission: &str,
        machine: Machine,
        error: SdkError<E>,
    ) -> Failure
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let message = match error.code() {
            Some("StateMachineDoesNotExist") => format!(
                "there is no state machine {} in {} ({}), so Cutover is not deployed there with the name {:?}. Give \
                 its name with --name or CUTOVER_NAME, its Region with --region, its account with --profile.",
                self.state_machine(machine),
                self.place(),
                self.state_machine_arn(machine),
                self.account.name
            ),
            Some("AccessDeniedException") => format!(
                "{permission} of {} is not permitted in {}: {}",
                self.state_machine(machine),
                self.place(),
                error.message().unwrap_or("AWS gave no reason")
            ),
            _ => format!("{permission} failed: {:#}", anyhow::Error::new(error)),
        };
        Failure::new(Exit::Failed, message)
    }
}

/// The configuration of the SDKs. As in the AWS CLI, a profile that was asked for goes before credentials in
/// the environment, which go before that of `AWS_PROFILE`; the SDK's own chain begins with the environment.
///
/// Source: AWS CLI User Guide, "Configuration settings and precedence".
async fn sdk_config(account: &Account) -> SdkConfig {
    let mut config = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(MOST_ATTEMPTS))
        .timeout_config(aws::timeouts());
    if let Some(region) = &account.region {
        config = config.region(Region::new(region.clone()));
    }
    let Some(profile) = &account.profile else {
        return config.load().await;
    };
    let config = config.profile_name(profile).load().await;
    let provider = ProviderConfig::without_region().with_region(config.region().cloned());
    let provider = ProfileFileCredentialsProvider::builder()
        .configure(&provider)
        .profile_name(profile)
        .build();
    let builder = config.into_builder();
    builder
        .credentials_provider(SharedCredentialsProvider::new(provider))
        .build()
}

fn command_with(account: &Account, command: &str) -> String {
    let mut text = "cutover".to_owned();
    let name = (account.name != Account::DEFAULT_NAME).then_some(&account.name);
    let options = [
        ("name", name),
        ("region", account.region.as_ref()),
        ("profile", account.profile.as_ref()),
    ];
    for (option, value) in options {
        if let Some(value) = value {
            text = format!("{text} --{option} {value}");
        }
    }
    format!("{text} {command}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_repeat_the_options_that_are_not_the_default() {
        let mut account = Account {
            name: "cutover".into(),
            region: None,
            profile: None,
        };
        assert_eq!(command_with(&account, "status"), "cutover status");
        account.name = "edge".into();
        account.profile = Some("ops".into());
        assert_eq!(
            command_with(&account, "status"),
            "cutover --name edge --profile ops status"
        );
    }
}
