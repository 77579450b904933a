//! A strict, stateful stand-in for Route 53 and Step Functions, for tests.
//!
//! It refuses what Route 53 refuses: a stale DELETE, a CREATE of what exists,
//! mixed routing, differing TTLs in a weighted group, a CNAME beside other
//! types or at the apex, names outside the zone, aliases without a target,
//! malformed values, batches that are empty or over the limits, the loss of the
//! zone's own NS and SOA records. A weight over 255 it can't even be given. The
//! crate `conformance` holds it to Route 53's behaviour. On demand a call
//! fails, loses its answer after the change was applied, meets another writer,
//! or is the last one of its process; see [`Line`].

#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a test's fixture that can't be read shall panic; locks are never poisoned"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::future::{pending, ready};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::Error;
use crate::change::{LARGEST_BATCH_CHARACTERS, LARGEST_BATCH_RECORDS};
use crate::executions::{Execution, Executions, Listed, Status};
use crate::name::{HostedZoneId, RecordName};
use crate::record::{Answer, RecordSet, RecordType, Routing};
use crate::route53::{Change, ChangeId, HostedZone, LARGEST_PAGE, ListStart, Page, Route53};

/// What stands before a change's id. Source: Route 53 API Reference, `ChangeInfo`.
const CHANGE_ID_PREFIX: &str = "/change/";
/// The most weighted record sets of one name and type.
///
/// Source: Route 53 API Reference, `ResourceRecordSet`, `Weight`.
const LARGEST_WEIGHTED_GROUP: usize = 100;
/// Characters of one value. Source: Route 53 API Reference, `ResourceRecord`.
const LONGEST_VALUE: usize = 4_000;
/// Characters of one string of a TXT value, an escape being one.
///
/// Source: Route 53 Developer Guide, "TXT record type".
const LONGEST_STRING: usize = 255;
/// Seconds. Source: Route 53 API Reference, `ResourceRecordSet`, `TTL`.
const LONGEST_TTL: u32 = i32::MAX.unsigned_abs();

/// What happens to one call.
pub enum Fault {
    /// AWS asks to slow down; nothing is applied.
    Throttled,
    /// The call never arrives.
    Unavailable,
    /// The call is carried out, its answer gets lost.
    AnswerLost,
    /// AWS refuses the call for a reason of its own: a protected record, a permission taken away.
    Refused,
    /// Another writer changes the zone just before the call arrives.
    OtherWriter(Edit),
    /// The call arrives late: after so many times the usual time.
    Late(usize),
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
            Some(Fault::Late(times)) => {
                for _ in 0..times {
                    self.time.pass().await;
                }
                carry_out(None)
            }
            Some(Fault::Throttled) => Err(Error::Throttled("Rate exceeded".into())),
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

/// How a change is taken back.
enum Undo<'c> {
    Insert(RecordSet),
    Remove(&'c RecordSet),
}

/// The one action that changes a zone.
pub const CHANGE: &str = "ChangeResourceRecordSets";

/// The record sets of a zone, in Route 53's order.
///
/// Route 53 lists by the name with its labels reversed, then by type and set identifier. Source:
/// Route 53 API Reference, `ListResourceRecordSets`, "Sort order".
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RecordSets(BTreeMap<Reversed, Vec<RecordSet>>);

impl RecordSets {
    /// The record sets at `name`.
    pub fn at(&self, name: &RecordName) -> &[RecordSet] {
        self.0.get(&reversed(name)).map_or(&[], Vec::as_slice)
    }

    fn has(&self, name: &RecordName, record_type: &RecordType) -> bool {
        let mut group = self.at(name).iter();
        group.any(|record_set| record_set.record_type == *record_type)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &RecordSet> {
        self.0.values().flatten()
    }

    fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn insert(&mut self, record_set: RecordSet) {
        let group = self.0.entry(reversed(&record_set.name)).or_default();
        let position = group.partition_point(|other| place(other) <= place(&record_set));
        group.insert(position, record_set);
    }

    /// Takes out exactly this record set, and gives it as it stood there.
    fn remove(&mut self, record_set: &RecordSet) -> Option<RecordSet> {
        let reversed = reversed(&record_set.name);
        let group = self.0.get_mut(&reversed)?;
        let wanted = in_any_order(record_set);
        let position = group.iter().position(|live| in_any_order(live) == wanted)?;
        let removed = group.remove(position);
        if group.is_empty() {
            self.0.remove(&reversed);
        }
        Some(removed)
    }

    /// Those at or behind `start`.
    fn from(&self, start: &ListStart) -> impl Iterator<Item = &RecordSet> {
        let first = reversed(&start.name);
        let begin = (
            start.record_type.clone().unwrap_or_default(),
            start.set_identifier.clone().unwrap_or_default(),
        );
        self.0
            .range(first.clone()..)
            .flat_map(move |(reversed, group)| {
                let skipped = if *reversed == first {
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

/// A name where it is listed. The name itself stands behind it because an escaped dot looks like
/// one between labels.
type Reversed = (Vec<u8>, RecordName);

/// `www.example.com` as `com.example.www.`, with the dot that is greater than some characters of a
/// name, and each escape as the character that it stands for, so that a `*` comes before both.
fn reversed(name: &RecordName) -> Reversed {
    let mut reversed = Vec::new();
    for label in name.as_str().rsplit('.') {
        let mut parts = label.split('\\');
        reversed.extend(parts.next().unwrap_or_default().bytes());
        for part in parts {
            let (code, text) = part.split_at(3);
            reversed.push(u8::from_str_radix(code, 8).unwrap());
            reversed.extend(text.bytes());
        }
        reversed.push(b'.');
    }
    (reversed, name.clone())
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
        let characters: usize = changes
            .iter()
            .flat_map(values_of)
            .map(|value| value.chars().count())
            .sum();
        if changes.is_empty()
            || records > LARGEST_BATCH_RECORDS
            || characters > LARGEST_BATCH_CHARACTERS
        {
            return Err(format!(
                "a batch of {records} records with {characters} characters"
            ));
        }
        let mut applied = Vec::with_capacity(changes.len());
        let mut result = Ok(());
        for change in changes {
            match self.apply_one(record_sets, change) {
                Ok(undo) => applied.push(undo),
                Err(problem) => {
                    result = Err(problem);
                    break;
                }
            }
        }
        let result = result.and_then(|()| self.check_result(record_sets, changes));
        if result.is_err() {
            for undo in applied.into_iter().rev() {
                match undo {
                    Undo::Insert(deleted) => record_sets.insert(deleted),
                    Undo::Remove(created) => {
                        record_sets.remove(created);
                    }
                }
            }
        }
        result
    }

    fn apply_one<'c>(
        &self,
        record_sets: &mut RecordSets,
        change: &Change<'c>,
    ) -> Result<Undo<'c>, String> {
        match change {
            Change::Delete(deleted) => {
                let removed = record_sets.remove(deleted).ok_or_else(|| {
                    format!(
                        "Tried to delete resource record set [name='{}', type='{}'] but it was not found, \
                         or the values provided do not match the current values",
                        deleted.name.fully_qualified(),
                        deleted.record_type
                    )
                })?;
                Ok(Undo::Insert(removed))
            }
            Change::Create(created) => {
                self.check_create(record_sets.at(&created.name), created)?;
                record_sets.insert(RecordSet::clone(created));
                Ok(Undo::Remove(created))
            }
        }
    }

    /// What holds of the zone once all changes are made.
    fn check_result(&self, result: &RecordSets, changes: &[Change<'_>]) -> Result<(), String> {
        for change in changes {
            match change {
                Change::Create(created) => self.check_alias_target(result, created)?,
                Change::Delete(deleted) => {
                    let is_the_zones_own = deleted.name == self.name
                        && ["NS", "SOA"].contains(&deleted.record_type.as_str());
                    if is_the_zones_own && !result.has(&deleted.name, &deleted.record_type) {
                        return Err(format!(
                            "A HostedZone must contain a {} record for the zone itself",
                            deleted.record_type
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// An alias has the type of what it stands for: of another record set of the zone, or of what
    /// an AWS resource has, which are addresses.
    fn check_alias_target(&self, live: &RecordSets, created: &RecordSet) -> Result<(), String> {
        let Answer::Alias {
            hosted_zone_id,
            dns_name,
            ..
        } = &created.answer
        else {
            return Ok(());
        };
        let shown = format!(
            "Tried to create an alias that targets {dns_name}, type {} in zone {hosted_zone_id}",
            created.record_type
        );
        if *hosted_zone_id != self.id.as_str() {
            return match created.record_type {
                RecordType::A | RecordType::Aaaa => Ok(()),
                _ => Err(format!("{shown}, but that target was not found")),
            };
        }
        let target: RecordName = dns_name.parse()?;
        if !target.is_in(&self.name) {
            return Err(format!(
                "{shown}, but the alias target name does not lie within the target zone"
            ));
        }
        let is_found = target != created.name && live.has(&target, &created.record_type);
        if is_found {
            Ok(())
        } else {
            Err(format!("{shown}, but that target was not found"))
        }
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
        if created.name == self.name && created.record_type == RecordType::Cname {
            return Err(format!(
                "{shown} is not permitted at apex in zone {}",
                self.name
            ));
        }
        if created.name.wildcard_parent().is_some() && created.record_type.as_str() == "NS" {
            return Err(format!("{shown} is not permitted as a wildcard"));
        }
        check_values(created)?;
        let group = live
            .iter()
            .filter(|other| other.record_type == created.record_type);
        if created.weighted().is_some() && group.count() >= LARGEST_WEIGHTED_GROUP {
            return Err(format!(
                "{shown} would be in a weighted group of more than {LARGEST_WEIGHTED_GROUP}"
            ));
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
            if max_items == 0 {
                return Err(Error::InvalidInput("MaxItems is 0".into()));
            }
            let start = start.cloned().unwrap_or_else(|| ListStart {
                name: self.name.clone(),
                record_type: None,
                set_identifier: None,
            });
            let mut listed = state.record_sets.from(&start);
            let record_sets = listed
                .by_ref()
                .take(max_items.min(LARGEST_PAGE))
                .cloned()
                .collect();
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
            Ok(change_id(state.batches.len()))
        })
        .await
    }

    /// Pending when first asked about, in sync from then on.
    async fn is_in_sync(&self, change_id: &str) -> Result<bool, Error> {
        self.call("GetChange", None, |state| {
            // AWS's clients leave the prefix out.
            let bare = change_id.trim_start_matches(CHANGE_ID_PREFIX);
            let is_known = |number| self::change_id(number).ends_with(&format!("/{bare}"));
            if !(1..=state.batches.len()).any(is_known) {
                return Err(Error::Unavailable(format!(
                    "NoSuchChange: a change with the ID {change_id} does not exist"
                )));
            }
            let polls = state.polls.entry(bare.to_owned()).or_default();
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

/// The id of the batch with this number, the first of all being 1.
fn change_id(number: usize) -> ChangeId {
    format!("{CHANGE_ID_PREFIX}C{number}")
}

/// The record set with its values sorted: they are a set (RFC 2181, section 5), so that a DELETE
/// may name them in any order.
fn in_any_order(record_set: &RecordSet) -> RecordSet {
    let mut sorted = record_set.clone();
    if let Answer::Values { values, .. } = &mut sorted.answer {
        values.sort();
    }
    sorted
}

/// TTL and values are such as the type has.
///
/// Source: Route 53 Developer Guide, "Supported DNS record types".
fn check_values(created: &RecordSet) -> Result<(), String> {
    let Answer::Values {
        ttl_seconds,
        values,
    } = &created.answer
    else {
        return Ok(());
    };
    let is_single = match created.record_type.as_str() {
        "CNAME" | "SOA" => values.len() == 1,
        _ => !values.is_empty(),
    };
    if !is_single || *ttl_seconds > LONGEST_TTL {
        return Err(format!(
            "{} values and a TTL of {ttl_seconds} in a {} record",
            values.len(),
            created.record_type
        ));
    }
    let different: BTreeSet<_> = values.iter().collect();
    if different.len() < values.len() {
        return Err(format!("Duplicate Resource Record among {values:?}"));
    }
    for value in values {
        let is_right = match created.record_type {
            RecordType::A => value.parse::<Ipv4Addr>().is_ok(),
            RecordType::Aaaa => value.parse::<Ipv6Addr>().is_ok(),
            RecordType::Cname => value.parse::<RecordName>().is_ok(),
            RecordType::Txt => is_text(value),
            RecordType::Other(_) => true,
        };
        if !is_right || value.chars().count() > LONGEST_VALUE {
            return Err(format!(
                "Invalid Resource Record: FATAL problem encountered with '{value}'"
            ));
        }
    }
    Ok(())
}

/// A TXT value is one or more quoted strings. `\"` and `\\` stand for themselves, `\ooo` for any byte.
///
/// Source: Route 53 Developer Guide, "TXT record type".
fn is_text(value: &str) -> bool {
    let mut rest = value;
    loop {
        let Some(after) = rest.strip_prefix('"').and_then(after_string) else {
            return false;
        };
        rest = after.trim_start_matches(' ');
        if rest.is_empty() {
            return true;
        }
    }
}

/// What stands behind the string whose first quote has been taken, if it is a right one.
fn after_string(text: &str) -> Option<&str> {
    let mut bytes = text.bytes();
    for _ in 0..=LONGEST_STRING {
        match bytes.next()? {
            b'"' => return text.get(text.len() - bytes.len()..),
            b'\\' => match bytes.next()? {
                b'"' | b'\\' => {}
                b'0'..=b'3' => {
                    for _ in 0..2 {
                        bytes.next().filter(|digit| (b'0'..=b'7').contains(digit))?;
                    }
                }
                _ => return None,
            },
            byte if byte == b' ' || byte.is_ascii_graphic() => {}
            _ => return None,
        }
    }
    None
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

    /// Whether an execution is running, and in this state.
    pub fn is_in(&self, name: &str, state: &str) -> bool {
        self.lock().get(name).is_some_and(|execution| {
            execution.described.is_running() && execution.state.as_deref() == Some(state)
        })
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
