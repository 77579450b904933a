//! The reconciliation loop, and a history of what it did.
//!
//! Source: `controller/controller.go`; `submitChanges` and
//! `groupChangesByNameAndOwnershipRelation` of `provider/aws/aws.go`.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use migration::dns::RecordName;
use migration::dns::{RecordSet, Routing};
use tokio::sync::watch;

use crate::planner::Endpoint;
use crate::reconcile::{Change, reconcile_registry};
use crate::registry::Registry;
use crate::settings::Settings;

pub trait Provider: Send + Sync {
    /// All record sets of the zone.
    fn record_sets(&self) -> impl Future<Output = Result<Vec<RecordSet>, String>> + Send;

    /// Applies all changes, or refuses the batch and applies none.
    fn change(&self, changes: &[Change]) -> impl Future<Output = Result<(), String>> + Send;
}

/// A batch that was not applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    pub changes: Vec<Change>,
    /// The provider's message.
    pub error: String,
}

/// The result of one pass.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcome {
    /// The error if the zone could not be read. The pass ends there.
    pub unread: Option<String>,
    pub changed: Vec<Change>,
    /// The refused batches. The first is the batch of all changes. The others are the
    /// batches of single names that were refused as well.
    pub refused: Vec<Refusal>,
}

impl Outcome {
    /// Whether the pass had nothing to do and did not fail.
    pub fn is_quiet(&self) -> bool {
        *self == Self::default()
    }
}

/// One instance of ExternalDNS. A clone shares the desired state, the cache and the history.
#[derive(Clone)]
pub struct Controller {
    settings: Arc<Settings>,
    desired: Arc<Mutex<Vec<Endpoint>>>,
    /// The records of the pass before, if there is a cache.
    cache: Arc<Mutex<Option<Registry>>>,
    history: Arc<Mutex<Vec<Outcome>>>,
    passes: Arc<watch::Sender<u64>>,
}

impl Controller {
    /// An instance whose cluster has annotations for these endpoints.
    pub fn new(settings: Settings, desired: Vec<Endpoint>) -> Self {
        Self {
            settings: Arc::new(settings),
            desired: Arc::new(Mutex::new(desired)),
            cache: Arc::default(),
            history: Arc::default(),
            passes: Arc::new(watch::Sender::new(0)),
        }
    }

    /// An instance whose annotations match the records that it owns in the zone.
    pub fn of(settings: Settings, zone: &[RecordSet]) -> Self {
        let desired = Registry::read(&settings, zone)
            .records
            .into_iter()
            .filter(|owned| owned.labels.owner() == Some(settings.owner.as_str()))
            .map(|owned| Endpoint {
                resource: owned.labels.resource().to_owned(),
                name: owned.record_set.name,
                record_type: owned.listed_type,
                routing: owned.record_set.routing,
                data: owned.record_set.data,
                health_check_id: owned.record_set.health_check_id,
            })
            .collect();
        Self::new(settings, desired)
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The endpoints of the current annotations.
    pub fn desired(&self) -> Vec<Endpoint> {
        lock(&self.desired).clone()
    }

    /// Edits the annotations.
    pub fn edit(&self, edit: impl FnOnce(&mut Vec<Endpoint>)) {
        edit(&mut lock(&self.desired));
    }

    /// Sets the weight annotation of one name.
    pub fn set_weight(&self, name: &RecordName, weight: u8) {
        self.set_weights_where(weight, |endpoint| endpoint.name == *name);
    }

    /// Sets the weight annotation of every name.
    pub fn set_all_weights(&self, weight: u8) {
        self.set_weights_where(weight, |_| true);
    }

    /// Deletes the Kubernetes objects that annotate one name.
    pub fn remove(&self, name: &RecordName) {
        self.edit(|desired| desired.retain(|endpoint| endpoint.name != *name));
    }

    /// Deletes all annotated Kubernetes objects.
    pub fn remove_all(&self) {
        self.edit(Vec::clear);
    }

    /// One pass: reads the zone, unless it has it from the cache, and sends all changes in one batch. If that batch is
    /// refused, sends one batch for each name: its records with their TXT. The next
    /// pass plans everything again.
    ///
    /// ExternalDNS has a queue that is meant to keep failed changes out of the next
    /// pass's first batch. It has no effect: it compares pointers, and each pass creates
    /// new changes.
    pub async fn reconcile_once(&self, provider: &impl Provider) -> Outcome {
        let mut outcome = Outcome::default();
        let cached = lock(&self.cache).take().and_then(Registry::cached);
        let mut registry = match cached {
            Some(registry) => registry,
            None => match provider.record_sets().await {
                Ok(current) => Registry::read(&self.settings, &current),
                Err(error) => {
                    outcome.unread = Some(error);
                    return outcome;
                }
            },
        };
        let changes = reconcile_registry(&self.settings, &self.desired(), &mut registry);
        *lock(&self.cache) = (self.settings.cached_passes > 0).then_some(registry);
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

    /// Runs passes until the caller aborts the task, with `interval` between the end of
    /// one pass and the start of the next.
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

    /// The passes of [`Self::run`] that changed something or failed.
    pub fn history(&self) -> Vec<Outcome> {
        lock(&self.history).clone()
    }

    /// The number of finished passes of [`Self::run`].
    pub fn passes(&self) -> u64 {
        *self.passes.borrow()
    }

    /// Waits until `more` further passes of [`Self::run`] have finished. The first of them
    /// may have read the zone before this call; the second reads it after this call.
    pub async fn wait_for_passes(&self, more: u64) {
        let mut passes = self.passes.subscribe();
        let goal = self.passes() + more;
        // Can't fail: `self` owns the sender.
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

/// The changes by owned name, in the order of the batch.
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

/// Ignores poisoning: after a panic in an edit, the endpoints are still usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
