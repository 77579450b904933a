//! ExternalDNS of both clusters, at work in the stack's zone.

use std::time::Duration;

use anyhow::Result;
use aws_sdk_route53::types::ChangeAction;
use external_dns::{Action, Change, Controller, Generation, Outcome, Provider, Settings};
use migration::record::RecordSet;
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

/// The instance of ExternalDNS in each of the two clusters. They are stopped on drop.
pub struct ExternalDns {
    /// Blue's: of an older version than green's, as the blueprint's registry TXT show.
    pub blue: Controller,
    /// Green's.
    pub green: Controller,
    _passes: JoinSet<()>,
}

impl ExternalDns {
    /// The time between two passes (`--interval`) where nothing else is said.
    pub const INTERVAL: Duration = Duration::from_mins(1);

    /// Starts both. The annotations in the clusters say what the zone says now.
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

    /// Somebody writes the weights into the annotations that a migration of names of the two
    /// clusters alone reaches.
    pub fn annotate_reached_weights(&self) {
        self.blue.set_all_weights(0);
        self.green.set_all_weights(100);
    }

    /// Waits until both have finished `more` passes. Of two, the second has read the zone after
    /// this was called.
    pub async fn wait_for_passes(&self, more: u64) {
        tokio::join!(
            self.blue.wait_for_passes(more),
            self.green.wait_for_passes(more)
        );
    }

    /// The passes of each in which there was something to do, or that failed.
    pub fn histories(&self) -> [(&'static str, Vec<Outcome>); 2] {
        [(BLUE, self.blue.history()), (GREEN, self.green.history())]
    }

    /// Whether neither ever found anything to do.
    pub fn was_always_quiet(&self) -> bool {
        let histories = self.histories();
        histories.iter().all(|(_, history)| history.is_empty())
    }
}
