//! Route 53 with one hosted zone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use migration::Error;
use migration::change::{LARGEST_BATCH_CHARACTERS, LARGEST_BATCH_RECORDS};
use migration::dns::{HostedZoneId, RecordData, RecordName, RecordSet, RecordType, Routing};
use migration::error::{ChangeRefused, InvalidInput, NoSuchHostedZone};
use migration::route53::{
    Change, ChangeId, ChangeStatus, HostedZone, LARGEST_PAGE, ListStart, Page, RecordLimit, Route53,
};
use serde_json::json;

use crate::cli_json::{record_set_to_cli_json, record_sets_from_cli_json};
use crate::limits::{Limits, OtherLoad, Usage};
use crate::network::{Before, CHANGE, Fault, LIST, Network};
use crate::record_sets::RecordSets;
use crate::resolver::{NAME_SERVERS, names};
use crate::values::check_values;

/// The prefix of a change's id. Source: Route 53 API Reference, `ChangeInfo`.
const CHANGE_ID_PREFIX: &str = "/change/";
/// The most weighted record sets of one name and type.
///
/// Source: Route 53 API Reference, `ResourceRecordSet`, `Weight`.
const LARGEST_WEIGHTED_GROUP: usize = 100;

/// Reverts one change of a batch that fails later.
enum Revert<'c> {
    Insert(RecordSet),
    Remove(&'c RecordSet),
}

/// The action and the record set of one change of a batch.
pub type WrittenChange = (String, RecordSet);

/// Called with each batch that was accepted, and with the record sets after it.
pub type BatchObserver = Box<dyn Fn(&[WrittenChange], &RecordSets) + Send + Sync>;

pub struct FakeRoute53 {
    id: HostedZoneId,
    name: RecordName,
    network: Arc<Network>,
    observer: Option<BatchObserver>,
    state: Mutex<State>,
}

/// The quota of an account that has asked for no other.
///
/// Source: Route 53 Developer Guide, "Quotas".
const DEFAULT_RECORD_LIMIT: usize = 10_000;

struct State {
    record_sets: RecordSets,
    record_limit: usize,
    is_private: bool,
    /// Other zones of the account, which have no records.
    other_zones: BTreeMap<HostedZoneId, HostedZone>,
    batches: Vec<Vec<WrittenChange>>,
    comments: Vec<String>,
    /// How often was asked for a change, by the id without its prefix.
    polls: BTreeMap<ChangeId, usize>,
    /// The numbers of the batches whose changes are lost.
    lost: BTreeSet<usize>,
    /// Whether the change that the current call asks for is lost, and if so, whether it is stranded.
    losing: Option<bool>,
    protected: BTreeSet<RecordName>,
    /// The load balancers that are gone, each with what the refusal of an alias says; none for the text of
    /// Route 53.
    gone: BTreeMap<String, Option<String>>,
    /// None if nothing is throttled.
    limits: Option<Limits>,
}

impl FakeRoute53 {
    /// A zone with the record sets of `aws route53 list-resource-record-sets`, and with the name of its
    /// SOA record.
    pub fn from_cli_json(id: &str, text: &str) -> Self {
        Self::new(id, record_sets_from_cli_json(text))
    }

    /// A zone with these record sets, and with the name of their SOA record.
    pub fn new(id: &str, record_sets: Vec<RecordSet>) -> Self {
        let soa = record_sets
            .iter()
            .find(|record_set| record_set.record_type.as_str() == "SOA")
            .unwrap();
        Self {
            id: id.parse().unwrap(),
            name: soa.name.clone(),
            network: Arc::default(),
            observer: None,
            state: Mutex::new(State {
                record_sets: record_sets.into_iter().collect(),
                record_limit: DEFAULT_RECORD_LIMIT,
                is_private: false,
                other_zones: BTreeMap::new(),
                batches: Vec::new(),
                comments: Vec::new(),
                polls: BTreeMap::new(),
                lost: BTreeSet::new(),
                losing: None,
                protected: BTreeSet::new(),
                gone: BTreeMap::new(),
                limits: None,
            }),
        }
    }

    #[must_use]
    pub fn with_network(self, network: Arc<Network>) -> Self {
        Self { network, ..self }
    }

    #[must_use]
    pub fn with_observer(self, observer: BatchObserver) -> Self {
        Self {
            observer: Some(observer),
            ..self
        }
    }

    pub fn id(&self) -> &HostedZoneId {
        &self.id
    }

    /// Injects a fault into the call with this number. Numbers count from 0.
    pub fn inject_fault(&self, number: usize, fault: Fault) {
        self.network.inject_fault(number, fault);
    }

    /// Injects a fault into a call of `action`, see [`Network::inject_fault_into`].
    pub fn inject_fault_into(&self, action: &'static str, number: usize, fault: Fault) {
        self.network.inject_fault_into(action, number, fault);
    }

    /// How many calls have arrived.
    pub fn calls(&self) -> usize {
        self.network.calls()
    }

    /// The batches that were accepted.
    pub fn batches(&self) -> Vec<Vec<WrittenChange>> {
        self.lock().batches.clone()
    }

    /// The comments of these batches.
    pub fn comments(&self) -> Vec<String> {
        self.lock().comments.clone()
    }

    /// Changes the zone as another writer does, without Route 53's checks.
    pub fn edit(&self, edit: impl FnOnce(&mut Vec<RecordSet>)) {
        let state = &mut *self.lock();
        edit_all(&mut state.record_sets, edit);
    }

    /// Makes the zone a private one.
    pub fn make_private(&self) {
        self.lock().is_private = true;
    }

    /// Adds a public zone of the same name with other name servers.
    pub fn add_zone_of_same_name(&self, id: &str, name_servers: &[&str]) {
        let zone = HostedZone {
            name: self.name.clone(),
            record_set_count: 2,
            is_private: false,
            name_servers: names(name_servers),
        };
        self.lock().other_zones.insert(id.parse().unwrap(), zone);
    }

    /// Sets how many record sets the zone may have.
    pub fn set_record_limit(&self, limit: usize) {
        self.lock().record_limit = limit;
    }

    /// Refuses every batch with a change of this name from now on.
    pub fn protect(&self, name: &RecordName) {
        self.lock().protected.insert(name.clone());
    }

    /// Removes a load balancer: no alias of it can be created from now on, with the error that Route 53 has for
    /// a target that it does not find.
    ///
    /// Source: the issue harmony-one/harmony-ops#491.
    pub fn remove_load_balancer(&self, dns_name: &str) {
        self.lock().gone.insert(dns_name.to_owned(), None);
    }

    /// The same with another text of the error, because AWS does not document it.
    pub fn remove_load_balancer_with(&self, dns_name: &str, text: &str) {
        let text = Some(text.to_owned());
        self.lock().gone.insert(dns_name.to_owned(), text);
    }

    /// Throttles calls from now on as Route 53 does, while others use the same account.
    pub fn limit(&self, others: &[OtherLoad]) {
        let limits = Limits::new(self.network.now(), others);
        self.lock().limits = Some(limits);
    }

    /// What was used since [`Self::limit`].
    pub fn usage(&self) -> Usage {
        let state = self.lock();
        let limits = state.limits.as_ref();
        limits.map(|limits| limits.usage).unwrap_or_default()
    }

    /// Applies a batch of another writer, with Route 53's checks. It is not a call with a number, and not
    /// among [`Self::batches`].
    pub fn change_as_another_writer(&self, changes: &[Change<'_>]) -> Result<(), String> {
        let state = &mut *self.lock();
        self.apply(&mut state.record_sets, state.record_limit, changes)
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

    /// Waits until the limits permit a call, as the SDK does.
    ///
    /// # Errors
    /// [`Error::Throttled`] after the SDK's last attempt.
    async fn wait_for_limits(&self, action: &'static str, changes: usize) -> Result<(), Error> {
        let changes = u32::try_from(changes).unwrap_or(u32::MAX);
        let mut attempt = 0;
        loop {
            let now = self.network.now();
            let wait = {
                let mut state = self.lock();
                let Some(limits) = &mut state.limits else {
                    return Ok(());
                };
                match limits.take(now, action, changes) {
                    Ok(()) => return Ok(()),
                    Err(throttled) => limits.wait(attempt).ok_or(throttled)?,
                }
            };
            self.network.sleep(wait).await;
            attempt += 1;
        }
    }

    async fn call<T>(
        &self,
        action: &'static str,
        id: Option<&HostedZoneId>,
        carry_out: impl FnOnce(&mut State) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let carry_out = |before: Option<Before>| {
            let mut state = self.lock();
            state.losing = None;
            match before {
                Some(Before::OtherWriter(edit)) => edit_all(&mut state.record_sets, edit),
                Some(Before::LostChange { is_stranded }) => state.losing = Some(is_stranded),
                None => {}
            }
            match id {
                Some(id) if *id != self.id => Err(Error::from(NoSuchHostedZone { id: id.clone() })),
                _ => carry_out(&mut state),
            }
        };
        self.network.call(action, carry_out).await
    }

    /// Applies all of the changes, or none.
    fn apply(
        &self,
        record_sets: &mut RecordSets,
        record_limit: usize,
        changes: &[Change<'_>],
    ) -> Result<(), String> {
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
                Ok(revert) => applied.push(revert),
                Err(problem) => {
                    result = Err(problem);
                    break;
                }
            }
        }
        let result = result
            .and_then(|()| self.check_result(record_sets, changes))
            .and_then(|()| check_limit(record_sets, record_limit));
        if result.is_err() {
            for revert in applied.into_iter().rev() {
                match revert {
                    Revert::Insert(deleted) => record_sets.insert(deleted),
                    Revert::Remove(created) => {
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
    ) -> Result<Revert<'c>, String> {
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
                Ok(Revert::Insert(removed))
            }
            Change::Create(created) => {
                self.check_create(record_sets.at(&created.name), created)?;
                record_sets.insert(RecordSet::clone(created));
                Ok(Revert::Remove(created))
            }
        }
    }

    /// Checks what Route 53 requires of the zone after all changes.
    fn check_result(&self, result: &RecordSets, changes: &[Change<'_>]) -> Result<(), String> {
        for change in changes {
            match change {
                Change::Create(created) => self.check_alias_target(result, created)?,
                Change::Delete(deleted) => {
                    let is_own_record = deleted.name == self.name
                        && ["NS", "SOA"].contains(&deleted.record_type.as_str());
                    if is_own_record && !result.has(&deleted.name, &deleted.record_type) {
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

    /// An alias needs a target of its own type: a record set of the zone, or an AWS resource, which has
    /// addresses only.
    fn check_alias_target(&self, live: &RecordSets, created: &RecordSet) -> Result<(), String> {
        let RecordData::Alias {
            hosted_zone_id,
            dns_name,
            ..
        } = &created.data
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
        self.wait_for_limits("GetHostedZone", 0).await?;
        let other = self.lock().other_zones.get(id).cloned();
        if let Some(other) = other {
            return Ok(other);
        }
        self.call("GetHostedZone", Some(id), |state| {
            Ok(HostedZone {
                name: self.name.clone(),
                record_set_count: state.record_sets.len(),
                is_private: state.is_private,
                name_servers: names(&NAME_SERVERS),
            })
        })
        .await
    }

    async fn hosted_zones_by_name(&self, name: &RecordName) -> Result<Vec<HostedZoneId>, Error> {
        const ACTION: &str = "ListHostedZonesByName";
        self.wait_for_limits(ACTION, 0).await?;
        self.call(ACTION, None, |state| {
            let others = state.other_zones.iter();
            let others = others.filter(|(_, zone)| zone.name == *name);
            let own = (self.name == *name).then_some(&self.id);
            Ok(own
                .into_iter()
                .chain(others.map(|(id, _)| id))
                .cloned()
                .collect())
        })
        .await
    }

    async fn record_limit(&self, id: &HostedZoneId) -> Result<RecordLimit, Error> {
        const ACTION: &str = "GetHostedZoneLimit";
        self.wait_for_limits(ACTION, 0).await?;
        self.call(ACTION, Some(id), |state| {
            Ok(RecordLimit {
                count: state.record_sets.len(),
                limit: state.record_limit,
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
        self.wait_for_limits(LIST, 0).await?;
        self.call(LIST, Some(id), |state| {
            if max_items == 0 {
                return Err(Error::from(InvalidInput::RefusedByAws {
                    action: "ListResourceRecordSets".to_owned(),
                    answer: "MaxItems is 0".to_owned(),
                }));
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
        comment: &str,
        changes: &[Change<'_>],
    ) -> Result<ChangeId, Error> {
        self.wait_for_limits(CHANGE, changes.len()).await?;
        self.call(CHANGE, Some(id), |state| {
            let protected = changes.iter().find(|change| {
                let (Change::Delete(record_set) | Change::Create(record_set)) = change;
                state.protected.contains(&record_set.name)
            });
            if protected.is_some() {
                let reason = "the record is protected".to_owned();
                return Err(Error::from(ChangeRefused { reason }));
            }
            if let Some(reason) = state.missing_targets(changes) {
                return Err(Error::from(ChangeRefused { reason }));
            }
            self.apply(&mut state.record_sets, state.record_limit, changes)
                .map_err(|reason| ChangeRefused { reason })?;
            let batch: Vec<WrittenChange> = changes
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
            state.comments.push(comment.to_owned());
            Ok(change_id(state.batches.len()))
        })
        .await
    }

    /// Pending at the first call, in sync from the second on.
    async fn change_status(&self, change_id: &str) -> Result<ChangeStatus, Error> {
        self.wait_for_limits("GetChange", 0).await?;
        self.call("GetChange", None, |state| {
            // The SDKs remove the prefix from an id.
            let bare = change_id.trim_start_matches(CHANGE_ID_PREFIX);
            let is_asked = |number: &usize| self::change_id(*number).ends_with(&format!("/{bare}"));
            let number = (1..=state.batches.len()).find(is_asked);
            let Some(number) = number.filter(|number| !state.lost.contains(number)) else {
                return Ok(ChangeStatus::Lost);
            };
            let is_in_sync = state.polls.get(bare).is_some_and(|polls| *polls > 1);
            // A change that all servers have is not lost any more.
            if let Some(is_stranded) = state.losing.filter(|_| !is_in_sync) {
                state.lose(number, is_stranded);
                return Ok(ChangeStatus::Lost);
            }
            let polls = state.polls.entry(bare.to_owned()).or_default();
            *polls += 1;
            Ok(if *polls > 1 {
                ChangeStatus::InSync
            } else {
                ChangeStatus::Pending
            })
        })
        .await
    }
}

impl State {
    /// The error for aliases of load balancers that are gone.
    fn missing_targets(&self, changes: &[Change<'_>]) -> Option<String> {
        let mut problems = Vec::new();
        for change in changes {
            if let Change::Create(created) = change
                && let RecordData::Alias {
                    hosted_zone_id,
                    dns_name,
                    ..
                } = &created.data
                && let Some(text) = self.gone.get(dns_name)
            {
                let not_found = format!(
                    "Tried to create an alias that targets {dns_name}, type {} in zone {hosted_zone_id}, but that \
                     target was not found",
                    created.record_type
                );
                problems.push(text.clone().unwrap_or(not_found));
            }
        }
        (!problems.is_empty()).then(|| format!("[{}]", problems.join(", ")))
    }

    /// Loses the change of the batch with this number. If it is stranded, its records are as before it,
    /// unless they were changed again.
    fn lose(&mut self, number: usize, is_stranded: bool) {
        self.lost.insert(number);
        let Some(batch) = self.batches.get(number - 1).filter(|_| is_stranded) else {
            return;
        };
        let is_created = |(action, _): &&WrittenChange| action == "CREATE";
        let (created, deleted): (Vec<_>, Vec<_>) = batch.iter().partition(is_created);
        let live = &mut self.record_sets;
        let is_live = |(_, it): &&WrittenChange| live.at(&it.name).contains(it);
        // What a batch only deletes, such as a journal, was created again by a later one if it exists.
        let is_again = |(_, it): &&WrittenChange| {
            let is_replaced = created.iter().any(|(_, new)| new.name == it.name);
            !is_replaced && !live.at(&it.name).is_empty()
        };
        if created.iter().all(is_live) && !deleted.iter().any(is_again) {
            for (_, record_set) in &created {
                live.remove(record_set);
            }
            for (_, record_set) in deleted {
                live.insert(record_set.clone());
            }
        }
    }
}

fn check_limit(record_sets: &RecordSets, limit: usize) -> Result<(), String> {
    let count = record_sets.len();
    if count <= limit {
        return Ok(());
    }
    Err(format!(
        "the zone would have {count} record sets, and its limit is {limit}"
    ))
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
    match &record_set.data {
        RecordData::Values { ttl_seconds, .. } => Some(*ttl_seconds),
        RecordData::Alias { .. } => None,
    }
}

/// The id of the batch with this number. Numbers count from 1.
fn change_id(number: usize) -> ChangeId {
    format!("{CHANGE_ID_PREFIX}C{number}")
}
