//! Other writers, which change a zone without regard to a migration.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use external_dns::{Action, Controller, Generation, Settings, reconcile};
use fakes::Edit;
use migration::dns::{RecordData, RecordName, RecordSet, RecordType, Routing};

use crate::zones::{BLUE, GREEN, is_of, is_same};

/// Another writer, and what it changes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Writer {
    /// A person edits the weights of the old side of a name.
    EditsWeight,
    /// Terraform resets all weights to those in its configuration.
    Terraform,
    /// The ExternalDNS of each cluster resets all weights to those in its annotations, except those
    /// of leased names.
    ExternalDns,
    /// The load balancer of the new side is replaced, and the alias targets of a name with it.
    ReplacesLoadBalancer,
    /// A person deletes the records of the new side of a name.
    DeletesNewSide,
}

impl Writer {
    pub const ALL: [Self; 5] = [
        Self::EditsWeight,
        Self::Terraform,
        Self::ExternalDns,
        Self::ReplacesLoadBalancer,
        Self::DeletesNewSide,
    ];

    /// The edit of `name`. `before` has the weights of Terraform's configuration and of the
    /// annotations. An edit that changes something adds 1 to `count`.
    pub fn edit(
        self,
        name: RecordName,
        weight: u8,
        before: Arc<Vec<RecordSet>>,
        count: Arc<AtomicUsize>,
    ) -> Edit {
        Box::new(move |live: &mut Vec<RecordSet>| {
            let found = live.clone();
            match self {
                Self::EditsWeight => {
                    let is_of_old_side = |live: &&mut RecordSet| {
                        let is_blue = live.weighted().is_some_and(|(side, _)| is_of(side, BLUE));
                        live.name == name && live.record_type.moves() && is_blue
                    };
                    for record_set in live.iter_mut().filter(is_of_old_side) {
                        *record_set = record_set.with_weight(weight);
                    }
                }
                Self::Terraform => {
                    for record_set in live.iter_mut() {
                        if record_set.record_type.moves()
                            && let Some(wanted) = before.iter().find(|it| is_same(it, record_set))
                            && let Some((_, weight)) = wanted.weighted()
                        {
                            *record_set = record_set.with_weight(weight);
                        }
                    }
                }
                Self::ExternalDns => reconcile_both(live, &before),
                Self::ReplacesLoadBalancer => {
                    for record_set in live.iter_mut().filter(|live| live.name == name) {
                        replace_target(record_set);
                    }
                }
                Self::DeletesNewSide => live.retain(|live| {
                    let is_green = live.weighted().is_some_and(|(side, _)| is_of(side, GREEN));
                    live.name != name || !is_green
                }),
            }
            count.fetch_add(usize::from(*live != found), Ordering::Relaxed);
        })
    }
}

/// What the journals of this version begin with, and those of a later one.
const FORMAT: &str = "cutover=2";
const LATER_FORMAT: &str = "cutover=3";

/// A later version of the functions writes the journal of a name: of the migration that runs, or of its own if
/// there is none. An edit adds 1 to `count`.
pub fn write_later_format(name: RecordName, count: Arc<AtomicUsize>) -> Edit {
    Box::new(move |live: &mut Vec<RecordSet>| {
        let journal = name.journal();
        if let Some(found) = live.iter_mut().find(|it| it.name == journal) {
            if let RecordData::Values { values, .. } = &mut found.data {
                for value in values {
                    *value = value.replace(FORMAT, LATER_FORMAT);
                }
            }
        } else {
            let text = format!("\"{LATER_FORMAT}\" \"execution=0123456789abcdef/later\"");
            live.push(RecordSet {
                name: journal,
                record_type: RecordType::Txt,
                routing: Routing::Simple,
                data: RecordData::Values {
                    ttl_seconds: 60,
                    values: vec![text],
                },
                health_check_id: None,
                traffic_policy_instance_id: None,
            });
        }
        count.fetch_add(1, Ordering::Relaxed);
    })
}

/// Whether a later version of the functions has written this journal.
pub fn is_of_later_format(record_set: &RecordSet) -> bool {
    let mut values = record_set.values().iter();
    record_set.name.journaled().is_some() && values.any(|it| it.contains(LATER_FORMAT))
}

/// One pass of the ExternalDNS of each cluster. Its annotations have the weights of `before`.
fn reconcile_both(live: &mut Vec<RecordSet>, before: &[RecordSet]) {
    for side in [BLUE, GREEN] {
        let settings = Settings::new(side, Generation::OwnType);
        let desired = Controller::of(settings.clone(), before).desired();
        for change in reconcile(&settings, &desired, live) {
            let new = change.record_set;
            let position = live.iter().position(|live| is_same(live, &new));
            match (change.action, position) {
                (Action::Create | Action::Upsert, None) => live.push(new),
                (Action::Upsert, Some(position)) => live[position] = new,
                (Action::Delete, Some(position)) => {
                    live.remove(position);
                }
                // Route 53 refuses the change, and the next pass of ExternalDNS tries again.
                (Action::Create, Some(_)) | (Action::Delete, None) => {}
            }
        }
    }
}

fn replace_target(record_set: &mut RecordSet) {
    let is_green = record_set
        .weighted()
        .is_some_and(|(side, _)| is_of(side, GREEN));
    if let (true, RecordData::Alias { dns_name, .. }) = (is_green, &mut record_set.data) {
        *dns_name = format!("new-{dns_name}");
    }
}
