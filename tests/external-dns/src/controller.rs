//! The loop over a zone, and what was seen in it.
//!
//! Source: `controller/controller.go`; `submitChanges` and
//! `groupChangesByNameAndOwnershipRelation` of `provider/aws/aws.go`.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use migration::RecordName;
use migration::record::{RecordSet, Routing};
use tokio::sync::watch;

use crate::planner::Endpoint;
use crate::reconcile::{Change, reconcile};
use crate::registry::Registry;
use crate::settings::Settings;

/// A hosted zone.
pub trait Provider: Send + Sync {
    /// All record sets of the zone.
    fn record_sets(&self) -> impl Future<Output = Result<Vec<RecordSet>, String>> + Send;

    /// Applies all of the changes, or refuses the batch and applies none.
    fn change(&self, changes: &[Change]) -> impl Future<Output = Result<(), String>> + Send;
}

/// A batch that was not applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The batch.
    pub changes: Vec<Change>,
    /// What the provider said.
    pub error: String,
}

/// What one pass did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcome {
    /// Why the zone could not be read; nothing else happened then.
    pub unread: Option<String>,
    /// The changes that were applied.
    pub changed: Vec<Change>,
    /// The batches that were refused. The first is the one with everything; those
    /// that follow are its parts, tried one by one, and stay failed.
    pub refused: Vec<Refusal>,
}

impl Outcome {
    /// Whether there was nothing to do, and no failure.
    pub fn is_quiet(&self) -> bool {
        *self == Self::default()
    }
}

/// One instance of ExternalDNS. A clone is the same instance: it shares the desired
/// state and the history.
#[derive(Clone)]
pub struct Controller {
    settings: Arc<Settings>,
    desired: Arc<Mutex<Vec<Endpoint>>>,
    history: Arc<Mutex<Vec<Outcome>>>,
    passes: Arc<watch::Sender<u64>>,
}

impl Controller {
    /// An instance in whose cluster these endpoints are annotated.
    pub fn new(settings: Settings, desired: Vec<Endpoint>) -> Self {
        Self {
            settings: Arc::new(settings),
            desired: Arc::new(Mutex::new(desired)),
            history: Arc::default(),
            passes: Arc::new(watch::Sender::new(0)),
        }
    }

    /// An instance whose annotations say what its records in the zone say.
    pub fn of(settings: Settings, zone: &[RecordSet]) -> Self {
        let desired = Registry::read(&settings, zone)
            .records
            .into_iter()
            .filter(|owned| owned.labels.owner() == Some(settings.owner.as_str()))
            .map(|owned| Endpoint {
                resource: owned.labels.resource().to_owned(),
                name: owned.record_set.name,
                record_type: owned.record_set.record_type,
                routing: owned.record_set.routing,
                answer: owned.record_set.answer,
                health_check_id: owned.record_set.health_check_id,
            })
            .collect();
        Self::new(settings, desired)
    }

    /// The flags.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The endpoints as they are annotated now.
    pub fn desired(&self) -> Vec<Endpoint> {
        lock(&self.desired).clone()
    }

    /// Edits the endpoints in any way.
    pub fn edit(&self, edit: impl FnOnce(&mut Vec<Endpoint>)) {
        edit(&mut lock(&self.desired));
    }

    /// Someone edits the weight annotation of one name.
    pub fn set_weight(&self, name: &RecordName, weight: u8) {
        self.set_weights_where(weight, |endpoint| endpoint.name == *name);
    }

    /// Someone edits the weight annotation of every name.
    pub fn set_all_weights(&self, weight: u8) {
        self.set_weights_where(weight, |_| true);
    }

    /// The objects that annotate one name are deleted.
    pub fn remove(&self, name: &RecordName) {
        self.edit(|desired| desired.retain(|endpoint| endpoint.name != *name));
    }

    /// All annotated objects are deleted.
    pub fn remove_all(&self) {
        self.edit(Vec::clear);
    }

    /// One pass: reads the zone, sends everything in one batch, and if that is
    /// refused, the records of each name with their TXT in a batch of their own.
    /// What fails then is planned again from scratch by the next pass.
    ///
    /// A queue is to keep failed changes out of the next pass's first batch, but it is
    /// searched by pointers to changes that each pass makes anew, so they are in it again.
    pub async fn reconcile_once(&self, provider: &impl Provider) -> Outcome {
        let mut outcome = Outcome::default();
        let current = match provider.record_sets().await {
            Ok(current) => current,
            Err(error) => {
                outcome.unread = Some(error);
                return outcome;
            }
        };
        let changes = reconcile(&self.settings, &self.desired(), &current);
        if changes.is_empty() {
            return outcome;
        }
        let groups = grouped(&changes);
        submit(provider, changes, &mut outcome).await;
        if !outcome.refused.is_empty() && groups.len() > 1 {
            for group in groups.into_values() {
                submit(provider, group, &mut outcome).await;
            }
        }
        outcome
    }

    /// Passes for ever, with `interval` between the end of one and the start of the
    /// next; the caller aborts the task.
    pub async fn run(&self, provider: &impl Provider, interval: Duration) {
        loop {
            let outcome = self.reconcile_once(provider).await;
            if !outcome.is_quiet() {
                lock(&self.history).push(outcome);
            }
            self.passes.send_modify(|passes| *passes += 1);
            tokio::time::sleep(interval).await;
        }
    }

    /// Of the passes of [`Self::run`], those that changed something or failed.
    pub fn history(&self) -> Vec<Outcome> {
        lock(&self.history).clone()
    }

    /// How many passes of [`Self::run`] have finished.
    pub fn passes(&self) -> u64 {
        *self.passes.borrow()
    }

    /// Waits until `more` passes of [`Self::run`] have finished. The first of them may
    /// have read the zone before this was called; of two, the second has not.
    pub async fn wait_for_passes(&self, more: u64) {
        let mut passes = self.passes.subscribe();
        let goal = self.passes() + more;
        // It fails if the sender is gone, which `self` holds.
        passes.wait_for(|passes| *passes >= goal).await.ok();
    }

    fn set_weights_where(&self, new_weight: u8, selected: impl Fn(&Endpoint) -> bool) {
        self.edit(|desired| {
            for endpoint in desired.iter_mut().filter(|endpoint| selected(endpoint)) {
                if let Routing::Weighted { weight, .. } = &mut endpoint.routing {
                    *weight = new_weight;
                }
            }
        });
    }
}

async fn submit(provider: &impl Provider, changes: Vec<Change>, outcome: &mut Outcome) {
    match provider.change(&changes).await {
        Ok(()) => outcome.changed.extend(changes),
        Err(error) => outcome.refused.push(Refusal { changes, error }),
    }
}

/// The changes by their owned name, each group in the order of the batch.
fn grouped(changes: &[Change]) -> BTreeMap<RecordName, Vec<Change>> {
    let mut groups: BTreeMap<RecordName, Vec<Change>> = BTreeMap::new();
    for change in changes {
        groups
            .entry(change.owned_name.clone())
            .or_default()
            .push(change.clone());
    }
    groups
}

/// A panic while an edit is made leaves the endpoints as they are, still of use.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
