//! The alarm of a self-test.

use anyhow::{Context, Result, ensure};
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::types::{ComparisonOperator, StateValue, Statistic};

/// The longest name of an alarm.
///
/// Source: CloudWatch API Reference, `PutMetricAlarm`.
const LONGEST_NAME: usize = 255;
/// A metric without data.
const NAMESPACE: &str = "CutoverSelfTest";

pub(crate) struct TestAlarm {
    cloudwatch: Client,
    name: String,
}

impl TestAlarm {
    pub(crate) fn new(sdk_config: &aws_config::SdkConfig, name: String) -> Self {
        Self {
            cloudwatch: Client::new(sdk_config),
            name,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Creates the alarm in the state OK. Its metric has no data and it ignores that, so it keeps a state that is
    /// set.
    ///
    /// Source: CloudWatch User Guide, "Configuring how CloudWatch alarms treat missing data".
    pub(crate) async fn create(&self) -> Result<()> {
        ensure!(
            self.name.len() <= LONGEST_NAME,
            "the stack's parameter AlarmNamePrefix leaves no room for the alarm of the self-test: an alarm's name has at \
             most {LONGEST_NAME} characters, found {} in {}",
            self.name.len(),
            self.name
        );
        self.cloudwatch
            .put_metric_alarm()
            .alarm_name(&self.name)
            .alarm_description("Made by `cutover self-test`, which deletes it at its end.")
            .namespace(NAMESPACE)
            .metric_name("None")
            .statistic(Statistic::Sum)
            .period(60)
            .evaluation_periods(1)
            .threshold(0.0)
            .comparison_operator(ComparisonOperator::GreaterThanThreshold)
            .treat_missing_data("ignore")
            .send()
            .await
            .with_context(|| format!("cloudwatch:PutMetricAlarm of {}", self.name))?;
        self.set(StateValue::Ok).await
    }

    pub(crate) async fn fire(&self) -> Result<()> {
        self.set(StateValue::Alarm).await
    }

    async fn set(&self, state: StateValue) -> Result<()> {
        self.cloudwatch
            .set_alarm_state()
            .alarm_name(&self.name)
            .state_value(state)
            .state_reason("set by cutover self-test")
            .send()
            .await
            .with_context(|| format!("cloudwatch:SetAlarmState of {}", self.name))?;
        Ok(())
    }
}
