//! A strict, stateful stand-in for Route 53 and Step Functions, for tests.
//!
//! It refuses what Route 53 refuses: a stale DELETE, a CREATE of what exists,
//! mixed routing, differing TTLs in a weighted group, a CNAME beside other
//! types, names outside the zone, malformed TXT, batches that are empty or over
//! the limits. A weight over 255 it can't even be given. On demand a call
//! fails, loses its answer after the change was applied, meets another writer,
//! or is the last one of its process; see [`Line`].

#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a test's fixture that can't be read shall panic; locks are never poisoned"
)]

use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
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
    /// AWS asks to slow down; nothing is applied.
    Throttled,
    /// An earlier request for the zone is still being processed; nothing is applied.
    PriorRequestNotComplete,
    /// The call never arrives.
    Unavailable,
    /// The call is carried out, its answer gets lost.
    AnswerLost,
    /// AWS refuses the call for a reason of its own: a protected record, a permission taken away.
    Refused,
    /// Another writer changes the zone just before the call arrives.
    OtherWriter(Edit),
    /// The process dies before it has sent the call.
    KilledBefore,
    /// The process dies once the call is carried out, before it has read the answer.
    KilledAfter,
}

/// What another writer does to the record sets.
pub type Edit = Box<dyn FnOnce(&mut Vec<RecordSet>) + Send>;

/// Time as the fakes see it.
pub trait Time: Send + Sync {
    /// The time.
    fn now(&self) -> SystemTime;

    /// Lets the time pass that a call takes to arrive.
    fn pass(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The clock of the machine, on which calls take no time.
struct MachineTime;

impl Time for MachineTime {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn pass(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(ready(()))
    }
}

/// The line to AWS: it numbers the calls of all fakes that share it, in the order in which they
/// arrive, and lets happen to each what a test wants.
pub struct Line {
    time: Box<dyn Time>,
    state: Mutex<LineState>,
}

#[derive(Default)]
struct LineState {
    actions: Vec<&'static str>,
    faults: BTreeMap<usize, Fault>,
    injected: usize,
    killed: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self::new(MachineTime)
    }
}

impl Line {
    /// A line on which calls take their time.
    pub fn new(time: impl Time + 'static) -> Self {
        Self {
            time: Box::new(time),
            state: Mutex::default(),
        }
    }

    /// Lets `fault` happen to the call with this number, the first of all being 0.
    pub fn on_call(&self, number: usize, fault: Fault) {
        self.lock().faults.insert(number, fault);
    }

    /// No more faults from here on.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// How many calls there were.
    pub fn calls(&self) -> usize {
        self.lock().actions.len()
    }

    /// The action of a call.
    pub fn action(&self, number: usize) -> Option<&'static str> {
        self.lock().actions.get(number).copied()
    }

    /// How many faults have happened.
    pub fn injected(&self) -> usize {
        self.lock().injected
    }

    /// The time.
    pub fn now(&self) -> SystemTime {
        self.time.now()
    }

    /// Whether the process whose call was polled last has died since this was asked last.
    pub fn take_killed(&self) -> bool {
        std::mem::take(&mut self.lock().killed)
    }

    fn lock(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap()
    }

    /// Makes one call: `carry_out` is what it does where it arrives, after the edit of another
    /// writer if there is one.
    pub async fn call<T>(
        &self,
        action: &'static str,
        carry_out: impl FnOnce(Option<Edit>) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        self.time.pass().await;
        let fault = {
            let mut state = self.lock();
            let number = state.actions.len();
            state.actions.push(action);
            let fault = state.faults.remove(&number);
            state.injected += usize::from(fault.is_some());
            state.killed = matches!(fault, Some(Fault::KilledBefore | Fault::KilledAfter));
            fault
        };
        match fault {
            None => carry_out(None),
            Some(Fault::AnswerLost) => {
                carry_out(None)?;
                Err(Error::Unavailable("the answer was lost".into()))
            }
            Some(Fault::OtherWriter(edit)) => carry_out(Some(edit)),
            Some(Fault::Throttled) => Err(Error::Throttled("Rate exceeded".into())),
            Some(Fault::PriorRequestNotComplete) => Err(Error::Throttled(
                "The request was rejected because Route 53 was still processing a prior request"
                    .into(),
            )),
            Some(Fault::Unavailable) => Err(Error::Unavailable("no answer".into())),
            Some(Fault::Refused) if action == CHANGE => {
                Err(Error::ChangeRefused("the record is protected".into()))
            }
            Some(Fault::Refused) => Err(Error::NotPermitted(format!(
                "{action} is not permitted (AccessDenied)"
            ))),
            Some(Fault::KilledBefore) => pending().await,
            Some(Fault::KilledAfter) => {
                drop(carry_out(None));
                pending().await
            }
        }
    }
}

/// The one action that changes a zone.
const CHANGE: &str = "ChangeResourceRecordSets";

/// The record sets of a zone, in Route 53's order.
///
/// Route 53 lists by the labels from the right, then by type and set identifier. Source: Route 53
/// API Reference, `ListResourceRecordSets`, "Sort order".
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecordSets(BTreeMap<Vec<String>, Vec<RecordSet>>);

impl RecordSets {
    /// The record sets at `name`.
    pub fn at(&self, name: &RecordName) -> &[RecordSet] {
        self.0.get(&labels(name)).map_or(&[], Vec::as_slice)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &RecordSet> {
        self.0.values().flatten()
    }

    fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn insert(&mut self, record_set: RecordSet) {
        let group = self.0.entry(labels(&record_set.name)).or_default();
        let position = group.partition_point(|other| place(other) <= place(&record_set));
        group.insert(position, record_set);
    }

    fn remove(&mut self, record_set: &RecordSet) -> bool {
        let labels = labels(&record_set.name);
        let Some(group) = self.0.get_mut(&labels) else {
            return false;
        };
        let Some(position) = group.iter().position(|live| live == record_set) else {
            return false;
        };
        group.remove(position);
        if group.is_empty() {
            self.0.remove(&labels);
        }
        true
    }

    /// Those at or behind `start`.
    fn from(&self, start: &ListStart) -> impl Iterator<Item = &RecordSet> {
        let first = labels(&start.name);
        let begin = (
            start.record_type.clone().unwrap_or_default(),
            start.set_identifier.clone().unwrap_or_default(),
        );
        self.0
            .range(first.clone()..)
            .flat_map(move |(labels, group)| {
                let skipped = if *labels == first {
                    group.partition_point(|record_set| {
                        let (record_type, set_identifier) = place(record_set);
                        (record_type, set_identifier) < (begin.0.as_str(), begin.1.as_str())
                    })
                } else {
                    0
                };
                group.iter().skip(skipped)
            })
    }
}

impl FromIterator<RecordSet> for RecordSets {
    fn from_iter<T: IntoIterator<Item = RecordSet>>(record_sets: T) -> Self {
        let mut collected = Self::default();
        for record_set in record_sets {
            collected.insert(record_set);
        }
        collected
    }
}

/// The place of a record set among those of its name.
fn place(record_set: &RecordSet) -> (&str, &str) {
    let set_identifier = record_set
        .weighted()
        .map_or("", |(identifier, _)| identifier.as_str());
    (record_set.record_type.as_str(), set_identifier)
}

fn labels(name: &RecordName) -> Vec<String> {
    name.as_str().rsplit('.').map(str::to_owned).collect()
}

/// An action of a batch, and the record set that it is about.
pub type Written = (String, RecordSet);

/// Sees each batch that was accepted, and the zone behind it.
pub type Observer = Box<dyn Fn(&[Written], &RecordSets) + Send + Sync>;

/// Route 53 with one hosted zone.
pub struct FakeRoute53 {
    id: HostedZoneId,
    name: RecordName,
    line: Arc<Line>,
    observer: Option<Observer>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    record_sets: RecordSets,
    batches: Vec<Vec<Written>>,
    polls: BTreeMap<ChangeId, usize>,
}

impl FakeRoute53 {
    /// A zone with the record sets of `aws route53 list-resource-record-sets`,
    /// named by its SOA record.
    pub fn from_cli_json(id: &str, text: &str) -> Self {
        Self::new(id, record_sets_from_cli_json(text))
    }

    /// A zone with these record sets, named by their SOA record.
    pub fn new(id: &str, record_sets: Vec<RecordSet>) -> Self {
        let soa = record_sets
            .iter()
            .find(|record_set| record_set.record_type.as_str() == "SOA")
            .unwrap();
        Self {
            id: id.parse().unwrap(),
            name: soa.name.clone(),
            line: Arc::default(),
            observer: None,
            state: Mutex::new(State {
                record_sets: record_sets.into_iter().collect(),
                ..State::default()
            }),
        }
    }

    /// The same, whose calls come over `line`.
    #[must_use]
    pub fn over(self, line: Arc<Line>) -> Self {
        Self { line, ..self }
    }

    /// The same, with somebody who sees each batch that it accepts.
    #[must_use]
    pub fn observed_by(self, observer: Observer) -> Self {
        Self {
            observer: Some(observer),
            ..self
        }
    }

    /// The zone's id.
    pub fn id(&self) -> &HostedZoneId {
        &self.id
    }

    /// Lets `fault` happen to the call with this number, the first of all being 0.
    pub fn on_call(&self, number: usize, fault: Fault) {
        self.line.on_call(number, fault);
    }

    /// How many calls there were.
    pub fn calls(&self) -> usize {
        self.line.calls()
    }

    /// The batches that were accepted: action and record set of each change.
    pub fn batches(&self) -> Vec<Vec<Written>> {
        self.lock().batches.clone()
    }

    /// Changes the zone as another writer would.
    pub fn edit(&self, edit: impl FnOnce(&mut Vec<RecordSet>)) {
        let state = &mut *self.lock();
        edit_all(&mut state.record_sets, edit);
    }

    /// Changes the zone as another writer does with one batch: as strictly as Route 53, but neither
    /// a call that can fail nor among [`Self::batches`].
    pub fn change_by_another(&self, changes: &[Change<'_>]) -> Result<(), String> {
        self.apply(&mut self.lock().record_sets, changes)
    }

    /// The record sets in Route 53's order.
    pub fn record_sets(&self) -> Vec<RecordSet> {
        self.lock().record_sets.iter().cloned().collect()
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

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn call<T>(
        &self,
        action: &'static str,
        id: Option<&HostedZoneId>,
        carry_out: impl FnOnce(&mut State) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let carry_out = |edit: Option<Edit>| {
            let mut state = self.lock();
            if let Some(edit) = edit {
                edit_all(&mut state.record_sets, edit);
            }
            match id {
                Some(id) if *id != self.id => {
                    Err(Error::NoSuchHostedZone(format!("no hosted zone {id}")))
                }
                _ => carry_out(&mut state),
            }
        };
        self.line.call(action, carry_out).await
    }

    /// Applies all of the changes, or none.
    fn apply(&self, record_sets: &mut RecordSets, changes: &[Change<'_>]) -> Result<(), String> {
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
        let mut applied = Vec::with_capacity(changes.len());
        for change in changes {
            if let Err(problem) = self.apply_one(record_sets, change) {
                for change in applied.into_iter().rev() {
                    match change {
                        Change::Delete(deleted) => record_sets.insert(RecordSet::clone(deleted)),
                        Change::Create(created) => {
                            record_sets.remove(created);
                        }
                    }
                }
                return Err(problem);
            }
            applied.push(*change);
        }
        Ok(())
    }

    fn apply_one(&self, record_sets: &mut RecordSets, change: &Change<'_>) -> Result<(), String> {
        match change {
            Change::Delete(deleted) => {
                if !record_sets.remove(deleted) {
                    return Err(format!(
                        "Tried to delete resource record set [name='{}', type='{}'] but it was not found, \
                         or the values provided do not match the current values",
                        deleted.name.fully_qualified(),
                        deleted.record_type
                    ));
                }
            }
            Change::Create(created) => {
                self.check_create(record_sets.at(&created.name), created)?;
                record_sets.insert(RecordSet::clone(created));
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
        for other in live {
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
        self.call("GetHostedZone", Some(id), |state| {
            Ok(HostedZone {
                name: self.name.clone(),
                record_set_count: state.record_sets.len(),
            })
        })
        .await
    }

    async fn list_resource_record_sets(
        &self,
        id: &HostedZoneId,
        start: Option<&ListStart>,
        max_items: usize,
    ) -> Result<Page, Error> {
        self.call("ListResourceRecordSets", Some(id), |state| {
            let start = start.cloned().unwrap_or_else(|| ListStart {
                name: self.name.clone(),
                record_type: None,
                set_identifier: None,
            });
            let mut listed = state.record_sets.from(&start);
            let record_sets = listed.by_ref().take(max_items).cloned().collect();
            Ok(Page {
                record_sets,
                next: listed.next().map(|next| ListStart {
                    name: next.name.clone(),
                    record_type: Some(next.record_type.to_string()),
                    set_identifier: next
                        .weighted()
                        .map(|(identifier, _)| identifier.to_string()),
                }),
            })
        })
        .await
    }

    async fn change_resource_record_sets(
        &self,
        id: &HostedZoneId,
        changes: &[Change<'_>],
    ) -> Result<ChangeId, Error> {
        self.call(CHANGE, Some(id), |state| {
            self.apply(&mut state.record_sets, changes)
                .map_err(Error::ChangeRefused)?;
            let batch: Vec<Written> = changes
                .iter()
                .map(|change| match change {
                    Change::Delete(record_set) => ("DELETE".to_owned(), (*record_set).clone()),
                    Change::Create(record_set) => ("CREATE".to_owned(), (*record_set).clone()),
                })
                .collect();
            if let Some(observer) = &self.observer {
                observer(&batch, &state.record_sets);
            }
            state.batches.push(batch);
            Ok(format!("C{}", state.batches.len()))
        })
        .await
    }

    /// Pending when first asked about, in sync from then on.
    async fn is_in_sync(&self, change_id: &str) -> Result<bool, Error> {
        self.call("GetChange", None, |state| {
            let polls = state.polls.entry(change_id.to_owned()).or_default();
            *polls += 1;
            Ok(*polls > 1)
        })
        .await
    }
}

fn edit_all(record_sets: &mut RecordSets, edit: impl FnOnce(&mut Vec<RecordSet>)) {
    let mut edited: Vec<_> = record_sets.iter().cloned().collect();
    edit(&mut edited);
    *record_sets = edited.into_iter().collect();
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

/// Is told which execution has ended, and its status in Step Functions' words.
pub type OnEnd = Box<dyn Fn(&str, &str) + Send + Sync>;

/// The migration state machine's executions.
#[derive(Default)]
pub struct FakeExecutions {
    line: Arc<Line>,
    on_end: Option<OnEnd>,
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
    /// Executions whose calls come over `line`, and of whose ends somebody is told.
    pub fn over(line: Arc<Line>, on_end: OnEnd) -> Self {
        Self {
            line,
            on_end: Some(on_end),
            ..Self::default()
        }
    }

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
            started_at: self.line.now(),
            aborted_at: None,
        };
        self.lock().insert(name.to_owned(), execution);
    }

    /// Lets somebody stop an execution in the console.
    pub fn abort(&self, name: &str) {
        self.end(name, "ABORTED", None, None);
    }

    /// Lets an execution reach the end of its time.
    pub fn time_out(&self, name: &str) {
        self.end(name, "TIMED_OUT", None, None);
    }

    /// Lets an execution fail.
    pub fn fail(&self, name: &str, error: &str, cause: &str) {
        self.end(name, "FAILED", Some(error), Some(cause));
    }

    /// Lets an execution fail, and be described as running until somebody wants to stop it.
    pub fn fail_behind_the_scenes(&self, name: &str, error: &str) {
        if let Some(execution) = self.lock().get_mut(name) {
            execution.unseen_error = Some(error.to_owned());
        }
    }

    /// Lets an execution enter a state.
    pub fn enter(&self, name: &str, state: &str) {
        if let Some(execution) = self.lock().get_mut(name) {
            execution.state = Some(state.to_owned());
        }
    }

    /// Lets an execution succeed.
    pub fn succeed(&self, name: &str) {
        self.end(name, "SUCCEEDED", None, None);
    }

    /// Lets an execution that has ended run on.
    pub fn redrive(&self, name: &str) {
        if let Some(execution) = self.lock().get_mut(name) {
            execution.described.status = Status::Running;
            execution.described.redriven_at = Some(self.line.now());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, FakeExecution>> {
        self.executions.lock().unwrap()
    }

    fn end(&self, name: &str, status: &str, error: Option<&str>, cause: Option<&str>) {
        if let Some(execution) = self.lock().get_mut(name)
            && execution.described.is_running()
        {
            execution.described.status = match status {
                "SUCCEEDED" => Status::Succeeded,
                _ => Status::Unsuccessful,
            };
            execution.described.error = error.map(str::to_owned);
            execution.described.cause = cause.map(str::to_owned);
            execution.aborted_at = (status == "ABORTED").then(|| self.line.now());
        } else {
            return;
        }
        if let Some(on_end) = &self.on_end {
            on_end(name, status);
        }
    }

    /// Whether an execution is running.
    pub fn is_running(&self, name: &str) -> bool {
        self.lock()
            .get(name)
            .is_some_and(|execution| execution.described.is_running())
    }

    /// Whether an execution has succeeded.
    pub fn has_succeeded(&self, name: &str) -> bool {
        self.lock()
            .get(name)
            .is_some_and(|execution| execution.described.status == Status::Succeeded)
    }

    /// The error with which an execution ended.
    pub fn error(&self, name: &str) -> Option<String> {
        self.lock().get(name)?.described.error.clone()
    }
}

impl Executions for FakeExecutions {
    fn arn(&self, name: &str) -> String {
        format!("arn:aws:states:eu-west-3:111122223333:execution:cutover-migration:{name}")
    }

    async fn describe(&self, name: &str) -> Result<Option<Execution>, Error> {
        let describe = |_| Ok(self.lock().get(name).map(|it| it.described.clone()));
        self.line.call("DescribeExecution", describe).await
    }

    async fn list(&self, aborted_since: Option<SystemTime>) -> Result<Vec<Listed>, Error> {
        let is_listed = |execution: &FakeExecution| {
            execution.described.is_running()
                || aborted_since.is_some_and(|since| execution.aborted_at >= Some(since))
        };
        let list = |_| {
            let executions = self.lock();
            let listed = executions
                .iter()
                .filter(|(_, execution)| is_listed(execution))
                .map(|(name, execution)| Listed {
                    name: name.clone(),
                    started_at: execution.started_at,
                });
            Ok(listed.collect())
        };
        self.line.call("ListExecutions", list).await
    }

    async fn state(&self, name: &str) -> Result<Option<String>, Error> {
        let state = |_| Ok(self.lock().get(name).and_then(|it| it.state.clone()));
        self.line.call("GetExecutionHistory", state).await
    }

    async fn stop(&self, name: &str, error: &str, cause: &str) -> Result<(), Error> {
        let stop = |_| {
            let unseen_error = self.lock().get(name).and_then(|it| it.unseen_error.clone());
            match unseen_error {
                Some(unseen_error) => self.fail(name, &unseen_error, ""),
                None => self.end(name, "ABORTED", Some(error), Some(cause)),
            }
            Ok(())
        };
        self.line.call("StopExecution", stop).await
    }
}
