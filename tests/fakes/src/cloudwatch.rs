//! CloudWatch with alarms that change their states.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::network::Network;
use migration::Error;
use migration::error::InvalidInput;
use migration::health::cloudwatch::{Alarm, CloudWatch, LARGEST_PAGE, Page, Selection};
use serde_json::json;

/// Alarms by name, each with its history of states. Like CloudWatch, it refuses more than
/// [`LARGEST_PAGE`] alarm names in one call, and leaves unknown names out of the answer without an
/// error.
pub struct FakeCloudWatch {
    network: Arc<Network>,
    alarms: Mutex<BTreeMap<String, Vec<(SystemTime, &'static str)>>>,
}

impl FakeCloudWatch {
    /// Alarms that have been `OK` since 1970.
    pub fn new(network: Arc<Network>, alarms: &[&str]) -> Self {
        let alarms = alarms
            .iter()
            .map(|name| ((*name).to_owned(), vec![(SystemTime::UNIX_EPOCH, "OK")]));
        Self {
            network,
            alarms: Mutex::new(alarms.collect()),
        }
    }

    /// Sets the state of an alarm from now on.
    pub fn set(&self, name: &str, state: &'static str) {
        if let Some(updates) = self.lock().get_mut(name) {
            updates.push((self.network.now(), state));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<(SystemTime, &'static str)>>> {
        self.alarms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CloudWatch for FakeCloudWatch {
    async fn describe_alarms(
        &self,
        selection: Selection<'_>,
        _next_token: Option<String>,
    ) -> Result<Page<Alarm>, Error> {
        let describe = |_| {
            if let Selection::Names(names) = selection
                && names.len() > LARGEST_PAGE
            {
                return Err(Error::from(InvalidInput::RefusedByAws {
                    action: "DescribeAlarms".to_owned(),
                    answer: format!("{} alarm names", names.len()),
                }));
            }
            let alarms = self.lock();
            let selected = alarms.iter().filter(|(name, _)| match selection {
                Selection::Names(names) => names.contains(&name.as_str()),
                Selection::Prefix(prefix) => name.starts_with(prefix),
            });
            let items = selected.filter_map(|(name, updates)| {
                let (since, state) = updates.last()?;
                Some(Alarm {
                    name: name.clone(),
                    state: (*state).to_owned(),
                    reason: "Threshold Crossed".to_owned(),
                    evaluation_state: None,
                    changed_at: Some(*since),
                })
            });
            Ok(Page {
                items: items.collect(),
                next_token: None,
            })
        };
        self.network.call("DescribeAlarms", describe).await
    }

    async fn describe_alarm_history(
        &self,
        name: &str,
        since: SystemTime,
        _next_token: Option<String>,
    ) -> Result<Page<String>, Error> {
        let describe = |_| {
            let alarms = self.lock();
            let updates = alarms.get(name).into_iter().flatten();
            let items = updates
                .rev()
                .filter(|(at, _)| *at >= since)
                .map(|(_, state)| json!({"newState": {"stateValue": state}}).to_string());
            Ok(Page {
                items: items.collect(),
                next_token: None,
            })
        };
        self.network.call("DescribeAlarmHistory", describe).await
    }
}
