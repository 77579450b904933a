//! A model of both clusters' ExternalDNS, which runs in the stack's zone.

use std::time::Duration;

use anyhow::Result;
use aws_sdk_route53::types::ChangeAction;
use external_dns::{Action, Change, Controller, Generation, Outcome, Provider, Settings};
use migration::dns::RecordSet;
use tokio::task::JoinSet;

use crate::scenario::{BLUE, GREEN};
use crate::zone::Zone;

impl Provider for Zone {
    async fn record_sets(&self) -> Result<Vec<RecordSet>, String> {
        let record_sets = Zone::record_sets(self).await;
        record_sets.map_err(|error| format!("{error:#}"))
    }

    async fn change(&self, changes: &[Change]) -> Result<(), String> {
        let changes = changes.iter().map(|change| {
            let action = match change.action {
                Action::Create => ChangeAction::Create,
                Action::Delete => ChangeAction::Delete,
                Action::Upsert => ChangeAction::Upsert,
            };
            (action, change.record_set.clone())
        });
        let applied = Zone::change(self, changes.collect()).await;
        applied.map_err(|error| format!("{error:#}"))
    }
}

/// One instance of ExternalDNS for each cluster. They are stopped on drop.
pub struct ExternalDns {
    /// The registry TXT records in the blueprint's zone show that blue's ExternalDNS is older than
    /// green's.
    pub blue: Controller,
    pub green: Controller,
    _passes: JoinSet<()>,
}

impl ExternalDns {
    /// The default time between two passes (`--interval`).
    pub const INTERVAL: Duration = Duration::from_mins(1);

    /// Starts both instances. The annotations of both clusters have the zone's current weights.
    pub async fn start(zone: &Zone, interval: Duration) -> Result<Self> {
        let record_sets = zone.record_sets().await?;
        let instance = |owner, generation| {
            let settings = Settings::new(owner, generation);
            Controller::of(settings, &record_sets)
        };
        let blue = instance(BLUE, Generation::CnameForAlias);
        let green = instance(GREEN, Generation::OwnType);
        let mut passes = JoinSet::new();
        for controller in [blue.clone(), green.clone()] {
            let zone = zone.clone();
            passes.spawn(async move { controller.run(&zone, interval).await });
        }
        Ok(Self {
            blue,
            green,
            _passes: passes,
        })
    }

    /// Sets the annotations of both clusters to the weights that a completed migration has reached
    /// for names without further set identifiers.
    pub fn annotate_reached_weights(&self) {
        self.blue.set_all_weights(0);
        self.green.set_all_weights(100);
    }

    /// Waits until both have finished `more` passes. With 2, the second pass has read the zone after
    /// this call: the first one may have started before it.
    pub async fn wait_for_passes(&self, more: u64) {
        tokio::join!(
            self.blue.wait_for_passes(more),
            self.green.wait_for_passes(more)
        );
    }

    /// The passes of each instance that changed records or failed.
    pub fn histories(&self) -> [(&'static str, Vec<Outcome>); 2] {
        [(BLUE, self.blue.history()), (GREEN, self.green.history())]
    }

    /// Whether neither instance ever changed a record or failed.
    pub fn never_found_changes(&self) -> bool {
        let histories = self.histories();
        histories.iter().all(|(_, history)| history.is_empty())
    }
}
