//! A strict, stateful stand-in for Route 53 and Step Functions, for tests.
//!
//! It refuses what Route 53 refuses: a stale DELETE, a CREATE of what exists,
//! mixed routing, differing TTLs in a weighted group, a CNAME beside other
//! types, names outside the zone, malformed TXT, batches that are empty or over
//! the limits. A weight over 255 it can't even be given. On demand a call
//! fails, loses its answer after the change was applied, or meets another
//! writer; see [`FakeRoute53::on_call`].

#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a test's fixture that can't be read shall panic; locks are never poisoned"
)]

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::Error;
use crate::change::{LARGEST_BATCH_CHARACTERS, LARGEST_BATCH_RECORDS};
use crate::executions::{Execution, Executions, Listed, Status};
use crate::name::{HostedZoneId, RecordName};
use crate::record::{Answer, RecordSet, RecordType, Routing};
use crate::route53::{Change, ChangeId, HostedZone, ListStart, Page, Route53};

/// What happens to one call.
pub enum Fault {
    /// Route 53 asks to slow down; nothing is applied.
    Throttled,
    /// An earlier request for the zone is still being processed; nothing is applied.
    PriorRequestNotComplete,
    /// The call never arrives.
    Unavailable,
    /// The call is carried out, its answer gets lost.
    AnswerLost,
    /// Route 53 refuses the change for a reason of its own, such as a protected record.
    Refused,
    /// Another writer changes the zone just before the call arrives.
    OtherWriter(Edit),
}

/// What another writer does to the record sets.
pub type Edit = Box<dyn FnOnce(&mut Vec<RecordSet>) + Send>;

/// Route 53 with one hosted zone.
pub struct FakeRoute53 {
    id: HostedZoneId,
    name: RecordName,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    record_sets: Vec<RecordSet>,
    faults: BTreeMap<usize, Fault>,
    calls: usize,
    batches: Vec<Vec<(String, RecordSet)>>,
    polls: BTreeMap<ChangeId, usize>,
}

impl FakeRoute53 {
    /// A zone with the record sets of `aws route53 list-resource-record-sets`,
    /// named by its SOA record.
    pub fn from_cli_json(id: &str, text: &str) -> Self {
        let record_sets = record_sets_from_cli_json(text);
        let soa = record_sets
            .iter()
            .find(|record_set| record_set.record_type.as_str() == "SOA")
            .unwrap();
        Self {
            id: id.parse().unwrap(),
            name: soa.name.clone(),
            state: Mutex::new(State {
                record_sets,
                ..State::default()
            }),
        }
    }

    /// The zone's id.
    pub fn id(&self) -> &HostedZoneId {
        &self.id
    }

    /// Lets `fault` happen to the call with this number, the first of all being 0.
    pub fn on_call(&self, number: usize, fault: Fault) {
        self.state.lock().unwrap().faults.insert(number, fault);
    }

    /// How many calls there were.
    pub fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    /// The batches that were accepted: action and record set of each change.
    pub fn batches(&self) -> Vec<Vec<(String, RecordSet)>> {
        self.state.lock().unwrap().batches.clone()
    }

    /// Changes the zone as another writer would.
    pub fn edit(&self, edit: impl FnOnce(&mut Vec<RecordSet>)) {
        edit(&mut self.state.lock().unwrap().record_sets);
    }

    /// Changes the zone as another writer does with one batch: as strictly as Route 53, but neither
    /// a call that can fail nor among [`Self::batches`].
    pub fn change_by_another(&self, changes: &[Change<'_>]) -> Result<(), String> {
        let mut state = self.state.lock().unwrap();
        let mut record_sets = state.record_sets.clone();
        self.apply(&mut record_sets, changes)?;
        state.record_sets = record_sets;
        Ok(())
    }

    /// The record sets in Route 53's order.
    pub fn record_sets(&self) -> Vec<RecordSet> {
        let mut record_sets = self.state.lock().unwrap().record_sets.clone();
        record_sets.sort_by(|a, b| order(&key(a), &key(b)));
        record_sets
    }

    /// The zone as `aws route53 list-resource-record-sets` prints it.
    pub fn to_cli_json(&self) -> String {
        let record_sets: Vec<_> = self
            .record_sets()
            .iter()
            .map(record_set_to_cli_json)
            .collect();
        format!("{:#}", json!({ "ResourceRecordSets": record_sets }))
    }

    fn begin_call(&self) -> Result<(std::sync::MutexGuard<'_, State>, bool), Error> {
        let mut state = self.state.lock().unwrap();
        let number = state.calls;
        state.calls += 1;
        match state.faults.remove(&number) {
            None => Ok((state, false)),
            Some(Fault::AnswerLost) => Ok((state, true)),
            Some(Fault::OtherWriter(edit)) => {
                edit(&mut state.record_sets);
                Ok((state, false))
            }
            Some(Fault::Throttled) => Err(Error::Throttled("Rate exceeded".into())),
            Some(Fault::PriorRequestNotComplete) => Err(Error::Throttled(
                "The request was rejected because Route 53 was still processing a prior request"
                    .into(),
            )),
            Some(Fault::Unavailable) => Err(Error::Unavailable("no answer".into())),
            Some(Fault::Refused) => Err(Error::ChangeRefused("the record is protected".into())),
        }
    }

    fn check_zone(&self, id: &HostedZoneId) -> Result<(), Error> {
        if *id == self.id {
            Ok(())
        } else {
            Err(Error::NoSuchHostedZone(format!("no hosted zone {id}")))
        }
    }

    fn apply(
        &self,
        record_sets: &mut Vec<RecordSet>,
        changes: &[Change<'_>],
    ) -> Result<(), String> {
        let records: usize = changes
            .iter()
            .map(|change| values_of(change).len().max(1))
            .sum();
        let characters: usize = changes.iter().flat_map(values_of).map(String::len).sum();
        if changes.is_empty()
            || records > LARGEST_BATCH_RECORDS
            || characters > LARGEST_BATCH_CHARACTERS
        {
            return Err(format!(
                "a batch of {records} records with {characters} characters"
            ));
        }
        for change in changes {
            match change {
                Change::Delete(deleted) => {
                    let position = record_sets.iter().position(|live| live == *deleted).ok_or_else(|| {
                        format!(
                            "Tried to delete resource record set [name='{}', type='{}'] but it was not found, \
                             or the values provided do not match the current values",
                            deleted.name.fully_qualified(),
                            deleted.record_type
                        )
                    })?;
                    record_sets.remove(position);
                }
                Change::Create(created) => {
                    self.check_create(record_sets, created)?;
                    record_sets.push((*created).clone());
                }
            }
        }
        Ok(())
    }

    fn check_create(&self, live: &[RecordSet], created: &RecordSet) -> Result<(), String> {
        let shown = format!(
            "[name='{}', type='{}']",
            created.name.fully_qualified(),
            created.record_type
        );
        if !created.name.is_in(&self.name) {
            return Err(format!("{shown} is not permitted in zone {}", self.name));
        }
        if created.record_type == RecordType::Txt {
            for value in created.values() {
                check_text(value)?;
            }
        }
        for other in live.iter().filter(|other| other.name == created.name) {
            let cname_beside_others = (other.record_type == RecordType::Cname)
                != (created.record_type == RecordType::Cname);
            if cname_beside_others {
                return Err(format!("{shown} conflicts with other records of the name"));
            }
            if other.record_type != created.record_type {
                continue;
            }
            match (other.weighted(), created.weighted()) {
                (Some((other_identifier, _)), Some((identifier, _))) => {
                    if other_identifier == identifier {
                        return Err(format!(
                            "Tried to create resource record set {shown} but it already exists"
                        ));
                    }
                    let ttls = (ttl(other), ttl(created));
                    if let (Some(other_ttl), Some(created_ttl)) = ttls
                        && other_ttl != created_ttl
                    {
                        return Err(format!("{shown} has another TTL than its weighted group"));
                    }
                }
                (None, None) if other.routing == Routing::Simple => {
                    return Err(format!(
                        "Tried to create resource record set {shown} but it already exists"
                    ));
                }
                _ => return Err(format!("{shown} would mix routing policies")),
            }
        }
        Ok(())
    }
}

impl Route53 for FakeRoute53 {
    async fn get_hosted_zone(&self, id: &HostedZoneId) -> Result<HostedZone, Error> {
        let (state, lost) = self.begin_call()?;
        self.check_zone(id)?;
        answer(
            lost,
            HostedZone {
                name: self.name.clone(),
                record_set_count: state.record_sets.len(),
            },
        )
    }

    async fn list_resource_record_sets(
        &self,
        id: &HostedZoneId,
        start: Option<&ListStart>,
        max_items: usize,
    ) -> Result<Page, Error> {
        let (state, lost) = self.begin_call()?;
        self.check_zone(id)?;
        drop(state);
        let start = start.map(|start| {
            (
                labels(&start.name),
                start.record_type.clone().unwrap_or_default(),
                start.set_identifier.clone().unwrap_or_default(),
            )
        });
        let mut record_sets = self.record_sets();
        if let Some(start) = start {
            record_sets.retain(|record_set| order(&key(record_set), &start) != Ordering::Less);
        }
        let rest = record_sets.split_off(record_sets.len().min(max_items));
        answer(
            lost,
            Page {
                record_sets,
                next: rest.first().map(|next| ListStart {
                    name: next.name.clone(),
                    record_type: Some(next.record_type.to_string()),
                    set_identifier: next
                        .weighted()
                        .map(|(identifier, _)| identifier.to_string()),
                }),
            },
        )
    }

    async fn change_resource_record_sets(
        &self,
        id: &HostedZoneId,
        changes: &[Change<'_>],
    ) -> Result<ChangeId, Error> {
        let (mut state, lost) = self.begin_call()?;
        self.check_zone(id)?;
        let mut record_sets = state.record_sets.clone();
        self.apply(&mut record_sets, changes)
            .map_err(Error::ChangeRefused)?;
        state.record_sets = record_sets;
        let batch = changes
            .iter()
            .map(|change| match change {
                Change::Delete(record_set) => ("DELETE".to_owned(), (*record_set).clone()),
                Change::Create(record_set) => ("CREATE".to_owned(), (*record_set).clone()),
            })
            .collect();
        state.batches.push(batch);
        let change_id = format!("C{}", state.batches.len());
        answer(lost, change_id)
    }

    /// Pending when first asked about, in sync from then on.
    async fn is_in_sync(&self, change_id: &str) -> Result<bool, Error> {
        let (mut state, lost) = self.begin_call()?;
        let polls = state.polls.entry(change_id.to_owned()).or_default();
        *polls += 1;
        answer(lost, *polls > 1)
    }
}

fn answer<T>(lost: bool, answer: T) -> Result<T, Error> {
    if lost {
        Err(Error::Unavailable("the answer was lost".into()))
    } else {
        Ok(answer)
    }
}

fn values_of<'a>(change: &Change<'a>) -> &'a [String] {
    match change {
        Change::Delete(record_set) | Change::Create(record_set) => record_set.values(),
    }
}

fn ttl(record_set: &RecordSet) -> Option<u32> {
    match &record_set.answer {
        Answer::Values { ttl_seconds, .. } => Some(*ttl_seconds),
        Answer::Alias { .. } => None,
    }
}

/// A TXT value is one or more quoted strings of at most 255 characters.
fn check_text(value: &str) -> Result<(), String> {
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    let strings = quoted
        .ok_or_else(|| format!("InvalidCharacterString in {value}"))?
        .split("\" \"");
    for string in strings {
        if string.len() > 255 || string.contains('"') {
            return Err(format!("InvalidCharacterString in {value}"));
        }
    }
    Ok(())
}

type Key = (Vec<String>, String, String);

/// Route 53 lists by the labels from the right, then by type and set identifier.
///
/// Source: Route 53 API Reference, `ListResourceRecordSets`, "Sort order".
fn order(a: &Key, b: &Key) -> Ordering {
    a.cmp(b)
}

fn key(record_set: &RecordSet) -> Key {
    (
        labels(&record_set.name),
        record_set.record_type.to_string(),
        record_set
            .weighted()
            .map(|(identifier, _)| identifier.to_string())
            .unwrap_or_default(),
    )
}

fn labels(name: &RecordName) -> Vec<String> {
    name.as_str().rsplit('.').map(str::to_owned).collect()
}

/// The record sets that `aws route53 list-resource-record-sets` prints.
pub fn record_sets_from_cli_json(text: &str) -> Vec<RecordSet> {
    let listing: Value = serde_json::from_str(text).unwrap();
    let record_sets = listing
        .get("ResourceRecordSets")
        .and_then(Value::as_array)
        .unwrap();
    record_sets.iter().map(record_set_from_cli_json).collect()
}

fn record_set_from_cli_json(value: &Value) -> RecordSet {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let number = |key: &str| value.get(key).and_then(Value::as_u64);
    let routing = match (number("Weight"), text("SetIdentifier")) {
        (Some(weight), Some(identifier)) => Routing::Weighted {
            set_identifier: identifier.parse().unwrap(),
            weight: weight.try_into().unwrap(),
        },
        (None, None) => Routing::Simple,
        _ => Routing::Other("another"),
    };
    let answer = match value.get("AliasTarget") {
        Some(alias) => Answer::Alias {
            hosted_zone_id: alias
                .get("HostedZoneId")
                .and_then(Value::as_str)
                .unwrap()
                .into(),
            dns_name: alias.get("DNSName").and_then(Value::as_str).unwrap().into(),
            evaluate_target_health: alias
                .get("EvaluateTargetHealth")
                .and_then(Value::as_bool)
                .unwrap(),
        },
        None => Answer::Values {
            ttl_seconds: number("TTL").unwrap().try_into().unwrap(),
            values: value
                .get("ResourceRecords")
                .and_then(Value::as_array)
                .unwrap()
                .iter()
                .map(|record| {
                    record
                        .get("Value")
                        .and_then(Value::as_str)
                        .unwrap()
                        .to_owned()
                })
                .collect(),
        },
    };
    RecordSet {
        name: text("Name").unwrap().parse().unwrap(),
        record_type: text("Type").unwrap().into(),
        routing,
        answer,
        health_check_id: text("HealthCheckId").map(str::to_owned),
        traffic_policy_instance_id: text("TrafficPolicyInstanceId").map(str::to_owned),
    }
}

/// A record set as `aws route53 list-resource-record-sets` prints it.
pub fn record_set_to_cli_json(record_set: &RecordSet) -> Value {
    let mut fields = Map::new();
    fields.insert("Name".into(), record_set.name.fully_qualified().into());
    fields.insert("Type".into(), record_set.record_type.as_str().into());
    if let Some((identifier, weight)) = record_set.weighted() {
        fields.insert("SetIdentifier".into(), identifier.as_str().into());
        fields.insert("Weight".into(), weight.into());
    }
    match &record_set.answer {
        Answer::Values {
            ttl_seconds,
            values,
        } => {
            fields.insert("TTL".into(), (*ttl_seconds).into());
            let records: Vec<_> = values
                .iter()
                .map(|value| json!({ "Value": value }))
                .collect();
            fields.insert("ResourceRecords".into(), records.into());
        }
        Answer::Alias {
            hosted_zone_id,
            dns_name,
            evaluate_target_health,
        } => {
            let alias = json!({
                "HostedZoneId": hosted_zone_id,
                "DNSName": dns_name,
                "EvaluateTargetHealth": evaluate_target_health,
            });
            fields.insert("AliasTarget".into(), alias);
        }
    }
    for (key, value) in [
        ("HealthCheckId", &record_set.health_check_id),
        (
            "TrafficPolicyInstanceId",
            &record_set.traffic_policy_instance_id,
        ),
    ] {
        if let Some(value) = value {
            fields.insert(key.into(), value.as_str().into());
        }
    }
    fields.into()
}

/// The migration state machine's executions.
#[derive(Default)]
pub struct FakeExecutions {
    executions: Mutex<BTreeMap<String, FakeExecution>>,
}

struct FakeExecution {
    described: Execution,
    state: Option<String>,
    unseen_error: Option<String>,
    started_at: SystemTime,
    aborted_at: Option<SystemTime>,
}

impl FakeExecutions {
    /// Lets an execution run.
    pub fn start(&self, name: &str, input: Value) {
        let execution = FakeExecution {
            described: Execution {
                status: Status::Running,
                redriven_at: None,
                error: None,
                cause: None,
                input,
            },
            state: None,
            unseen_error: None,
            started_at: SystemTime::now(),
            aborted_at: None,
        };
        self.executions
            .lock()
            .unwrap()
            .insert(name.to_owned(), execution);
    }

    /// Lets somebody stop an execution in the console.
    pub fn abort(&self, name: &str) {
        self.end(name, None, None, true);
    }

    /// Lets an execution fail.
    pub fn fail(&self, name: &str, error: &str, cause: &str) {
        self.end(name, Some(error), Some(cause), false);
    }

    /// Lets an execution fail, and be described as running until somebody wants to stop it.
    pub fn fail_behind_the_scenes(&self, name: &str, error: &str) {
        if let Some(execution) = self.executions.lock().unwrap().get_mut(name) {
            execution.unseen_error = Some(error.to_owned());
        }
    }

    /// Lets an execution enter a state.
    pub fn enter(&self, name: &str, state: &str) {
        if let Some(execution) = self.executions.lock().unwrap().get_mut(name) {
            execution.state = Some(state.to_owned());
        }
    }

    /// Lets an execution succeed.
    pub fn succeed(&self, name: &str) {
        self.end(name, None, None, false);
        if let Some(execution) = self.executions.lock().unwrap().get_mut(name) {
            execution.described.status = Status::Succeeded;
        }
    }

    /// Lets an execution that has ended run on.
    pub fn redrive(&self, name: &str) {
        if let Some(execution) = self.executions.lock().unwrap().get_mut(name) {
            execution.described.status = Status::Running;
            execution.described.redriven_at = Some(SystemTime::now());
        }
    }

    fn end(&self, name: &str, error: Option<&str>, cause: Option<&str>, is_abort: bool) {
        if let Some(execution) = self.executions.lock().unwrap().get_mut(name)
            && execution.described.is_running()
        {
            execution.described.status = Status::Unsuccessful;
            execution.described.error = error.map(str::to_owned);
            execution.described.cause = cause.map(str::to_owned);
            execution.aborted_at = is_abort.then(SystemTime::now);
        }
    }

    /// Whether an execution is running.
    pub fn is_running(&self, name: &str) -> bool {
        self.executions
            .lock()
            .unwrap()
            .get(name)
            .is_some_and(|execution| execution.described.is_running())
    }

    /// The error with which an execution ended.
    pub fn error(&self, name: &str) -> Option<String> {
        let executions = self.executions.lock().unwrap();
        executions.get(name)?.described.error.clone()
    }
}

impl Executions for FakeExecutions {
    fn arn(&self, name: &str) -> String {
        format!("arn:aws:states:eu-west-3:111122223333:execution:cutover-migration:{name}")
    }

    async fn describe(&self, name: &str) -> Result<Option<Execution>, Error> {
        let executions = self.executions.lock().unwrap();
        Ok(executions
            .get(name)
            .map(|execution| execution.described.clone()))
    }

    async fn list(&self, aborted_since: Option<SystemTime>) -> Result<Vec<Listed>, Error> {
        let executions = self.executions.lock().unwrap();
        let is_listed = |execution: &FakeExecution| {
            execution.described.is_running()
                || aborted_since.is_some_and(|since| execution.aborted_at >= Some(since))
        };
        let listed = executions
            .iter()
            .filter(|(_, execution)| is_listed(execution))
            .map(|(name, execution)| Listed {
                name: name.clone(),
                started_at: execution.started_at,
            });
        Ok(listed.collect())
    }

    async fn state(&self, name: &str) -> Result<Option<String>, Error> {
        let executions = self.executions.lock().unwrap();
        Ok(executions
            .get(name)
            .and_then(|execution| execution.state.clone()))
    }

    async fn stop(&self, name: &str, error: &str, cause: &str) -> Result<(), Error> {
        let unseen_error = {
            let executions = self.executions.lock().unwrap();
            executions.get(name).and_then(|it| it.unseen_error.clone())
        };
        match unseen_error {
            Some(unseen_error) => self.fail(name, &unseen_error, ""),
            None => self.end(name, Some(error), Some(cause), true),
        }
        Ok(())
    }
}
