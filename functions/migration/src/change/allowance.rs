//! How much one call of a function writes. Whatever is left, the next call writes.
//!
//! Route 53 limits the changes of an account, whoever makes them. A function that wrote on regardless would
//! be throttled until its retries are used up, and would hold up every ExternalDNS of the account. It has no
//! memory between two calls either, so that it could not tell what it has used. So one call writes no more
//! than Route 53 takes at once, and the state machine calls again when as much is possible again. That also
//! keeps a call far from its timeout: it reads the zone once, and writes a few batches.

use super::name_change::NameChange;

/// The most changes that Route 53 takes at once from an account: the size of its bucket of change tokens. A
/// CREATE and a DELETE cost one token each.
///
/// Source: Route 53 Developer Guide, "Throttling API requests".
pub const CHANGES_AT_ONCE: usize = 1_500;
/// The tokens that are added to the bucket in a second. Source: as above.
pub const CHANGES_PER_SECOND: usize = 100;

/// The changes that a call may still make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Allowance {
    changes: usize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            changes: CHANGES_AT_ONCE,
        }
    }
}

impl Allowance {
    /// Takes the first of the changes, as many as are allowed, out of `changes`. What it leaves there is for
    /// the next call. A change fits into a batch, so that a new allowance allows at least one.
    pub fn take(&mut self, changes: &mut Vec<NameChange>) -> Vec<NameChange> {
        let mut count = 0;
        for change in &*changes {
            if !self.spend(change.changes()) {
                break;
            }
            count += 1;
        }
        let left = changes.split_off(count);
        std::mem::replace(changes, left)
    }

    /// Takes so many changes, if they are allowed.
    fn spend(&mut self, changes: usize) -> bool {
        let left = self.changes.checked_sub(changes);
        self.changes = left.unwrap_or(self.changes);
        left.is_some()
    }

    /// The time from the start of this call to that of the next one, in seconds, in which Route 53 allows as
    /// many changes again as this call has taken.
    pub fn pause_seconds(self) -> u32 {
        seconds_of(CHANGES_AT_ONCE - self.changes)
    }
}

/// The calls that write many changes, one after the other.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Calls {
    pub count: usize,
    /// The time from the start of the first call to that of the last one, in seconds.
    pub seconds: u32,
}

/// The calls that write the changes of names, given how many changes each name has.
pub fn calls_for(changes_of_names: impl IntoIterator<Item = usize>) -> Calls {
    let mut calls = Calls::default();
    let mut allowance = Allowance { changes: 0 };
    for changes in changes_of_names {
        if !allowance.spend(changes) {
            if calls.count > 0 {
                calls.seconds = calls.seconds.saturating_add(allowance.pause_seconds());
            }
            calls.count += 1;
            allowance = Allowance::default();
            allowance.spend(changes);
        }
    }
    calls
}

/// How long Route 53 needs for so many changes, in seconds.
fn seconds_of(changes: usize) -> u32 {
    u32::try_from(changes.div_ceil(CHANGES_PER_SECOND)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::{RecordData, RecordSet, RecordType, Routing};

    /// A change with so many DELETEs and as many CREATEs.
    fn change(count: usize) -> NameChange {
        let record_set = RecordSet {
            name: "app.example.com".parse().unwrap(),
            record_type: RecordType::A,
            routing: Routing::Simple,
            data: RecordData::Values {
                ttl_seconds: 60,
                values: vec!["192.0.2.1".to_owned()],
            },
            health_check_id: None,
            traffic_policy_instance_id: None,
        };
        NameChange {
            name: record_set.name.clone(),
            deletes: vec![record_set.clone(); count],
            creates: vec![record_set; count],
        }
    }

    #[test]
    fn a_call_takes_no_more_than_route_53_takes_at_once() {
        let mut allowance = Allowance::default();
        let mut changes = vec![change(400), change(300), change(51), change(1)];
        assert_eq!(allowance.take(&mut changes).len(), 2);
        assert_eq!(changes.len(), 2, "in their order");
        assert_eq!(allowance.pause_seconds(), 14);
        assert_eq!(allowance.take(&mut vec![change(50)]).len(), 1);
        assert_eq!(allowance.pause_seconds(), 15);
        assert_eq!(allowance.take(&mut changes), vec![]);
        assert_eq!(Allowance::default().pause_seconds(), 0);
    }

    #[test]
    fn two_thousand_leased_names_take_about_six_minutes() {
        let calls = calls_for(std::iter::repeat_n(17, 2_000));
        let tokens = 2_000 * 17_usize;
        assert_eq!(calls.count, tokens.div_ceil(CHANGES_AT_ONCE));
        assert_eq!(calls.seconds, 330);
        let one = Calls {
            count: 1,
            seconds: 0,
        };
        assert_eq!(calls_for([17; 88]), one);
        assert_eq!(calls_for([17; 89]).count, 2);
        assert_eq!(calls_for([]), Calls::default());
    }

    #[test]
    fn the_largest_change_of_a_name_is_allowed() {
        let mut changes = vec![change(super::super::LARGEST_BATCH_RECORDS / 2)];
        assert_eq!(Allowance::default().take(&mut changes).len(), 1);
    }
}
