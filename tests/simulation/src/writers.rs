//! Other writers: what they do to a zone without asking what a migration does there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use external_dns::{Action, Controller, Generation, Settings, reconcile};
use migration::RecordName;
use migration::fake::Edit;
use migration::record::{Answer, RecordSet};

use crate::zones::{BLUE, GREEN, is_same};

/// Another writer, and what it does to one name or to all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Writer {
    /// A person edits the weights of one side of a name.
    Weight,
    /// Terraform puts all weights back to what its configuration says.
    Terraform,
    /// An ExternalDNS whose names are not leased goes by its annotations; where they are leased it
    /// finds nothing to do.
    ExternalDns,
    /// The load balancer of the new side is replaced, and a name's records with it.
    LoadBalancer,
    /// Somebody deletes the records of the new side of a name.
    GreenDeleted,
}

impl Writer {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Weight,
        Self::Terraform,
        Self::ExternalDns,
        Self::LoadBalancer,
        Self::GreenDeleted,
    ];

    /// Its edit of `name`; `before` is what Terraform's configuration and the annotations say. It
    /// counts itself if it changes something.
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
                Self::Weight => {
                    let is_of_blue = |live: &&mut RecordSet| {
                        let side = live.weighted().map(|(side, _)| side.as_str());
                        live.name == name && live.record_type.moves() && side == Some(BLUE)
                    };
                    for record_set in live.iter_mut().filter(is_of_blue) {
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
                Self::ExternalDns => pass(live, &before),
                Self::LoadBalancer => {
                    for record_set in live.iter_mut().filter(|live| live.name == name) {
                        replace_target(record_set);
                    }
                }
                Self::GreenDeleted => live.retain(|live| {
                    live.name != name
                        || live
                            .weighted()
                            .is_none_or(|(side, _)| side.as_str() != GREEN)
                }),
            }
            count.fetch_add(usize::from(*live != found), Ordering::Relaxed);
        })
    }
}

/// One pass of both clusters' instances of ExternalDNS, whose annotations say what `before` says.
fn pass(live: &mut Vec<RecordSet>, before: &[RecordSet]) {
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
                // Refused; the next pass tries again.
                (Action::Create, Some(_)) | (Action::Delete, None) => {}
            }
        }
    }
}

fn replace_target(record_set: &mut RecordSet) {
    let is_green = record_set
        .weighted()
        .is_some_and(|(side, _)| side.as_str() == GREEN);
    if let (true, Answer::Alias { dns_name, .. }) = (is_green, &mut record_set.answer) {
        *dns_name = format!("new-{dns_name}");
    }
}
