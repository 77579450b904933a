//! The oracle checks every batch that Route 53 accepts from a migration or a rollback, and the zone
//! after it, against the invariants.
//!
//! Only other writers change the zone besides, so an invariant that holds after every batch holds at
//! any time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fakes::{BatchObserver, RecordSets, WrittenChange};
use migration::dns::{
    LoneWeights, Percent, RecordData, RecordName, RecordSet, RecordType, SetIdentifier, Side,
    Weights,
};
use migration::journal::Journal;

use crate::writers::is_of_later_format;
use crate::zones::is_same;

#[derive(Debug, Default)]
pub struct Oracle {
    pub violations: Vec<String>,
    /// Executions with a successful rollback, and how often each had been redriven when the rollback found it:
    /// they must not write any more on a plan of before.
    pub rolled_back: BTreeSet<(String, u32)>,
    /// Running executions: no other execution may adopt their journals.
    pub running: BTreeSet<String>,
    /// Executions that lease names from ExternalDNS.
    pub leasing: BTreeSet<String>,
    /// Whether Route 53 loses changes, so that a name may be written again that is at its step.
    pub may_write_again: bool,
    /// The load balancers that are gone: a rollback may delete the records of the new side that are aliases
    /// of them.
    pub gone_targets: BTreeSet<String>,
    /// Whether Route 53 may refuse a name twice and then not any more, which looks as if its load balancer
    /// were gone.
    pub may_refuse_twice: bool,
    /// The number of restored names, by execution.
    pub restored: BTreeMap<String, usize>,
    /// The number of completed names, by execution.
    pub completed: BTreeMap<String, usize>,
    /// The number of batches so far.
    pub batches: usize,
    /// The original registry TXT records of each name that has a journal.
    original_texts: BTreeMap<RecordName, Vec<RecordSet>>,
    /// Executions with a journal that is marked as completed.
    closing: BTreeSet<String>,
}

/// The part of a batch that belongs to one name. Of each pair, the first element is deleted and the
/// second created.
#[derive(Default)]
struct Change<'a> {
    journals: [Option<&'a RecordSet>; 2],
    /// The A, AAAA and CNAME records.
    moved: [Vec<&'a RecordSet>; 2],
    /// The registry TXT records.
    texts: [Vec<&'a RecordSet>; 2],
    deletes_after_create: bool,
}

/// Locks a mutex, also a poisoned one: the panic that poisoned it has already failed the test.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name that a registry TXT record belongs to; none for any other record.
pub fn registered(record_set: &RecordSet) -> Option<RecordName> {
    let is_registry = record_set
        .values()
        .iter()
        .any(|value| value.contains("heritage=external-dns"));
    let name = record_set.name.as_str();
    let prefixes = ["a-", "aaaa-", "cname-"];
    let covered = prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
    is_registry
        .then(|| covered.unwrap_or(name).parse().ok())
        .flatten()
}

/// The owner in a registry TXT, and the value without it.
fn owner(record_set: &RecordSet) -> Option<(String, String)> {
    let value = record_set.values().first()?;
    let (start, rest) = value.split_once("external-dns/owner=")?;
    let end = rest.find([',', '"'])?;
    let (owner, rest) = rest.split_at(end);
    Some((owner.to_owned(), format!("{start}{rest}")))
}

impl Oracle {
    /// An observer of a fake that passes every batch to the oracle.
    pub fn observer(oracle: &Arc<Mutex<Self>>) -> BatchObserver {
        let oracle = oracle.clone();
        Box::new(move |batch, zone| lock(&oracle).check_batch(batch, zone))
    }

    /// Registers an execution that starts.
    pub fn start(&mut self, execution: &str, is_leasing: bool) {
        self.running.insert(execution.to_owned());
        self.leasing
            .extend(is_leasing.then(|| execution.to_owned()));
    }

    /// Checks a batch, and the zone after it.
    pub fn check_batch(&mut self, batch: &[WrittenChange], zone: &RecordSets) {
        self.batches += 1;
        let mut changes: BTreeMap<RecordName, Change<'_>> = BTreeMap::new();
        for (action, record_set) in batch {
            let slot = usize::from(action == "CREATE");
            if action != "CREATE" && action != "DELETE" {
                self.violations
                    .push(format!("a batch has {action} of {}", record_set.name));
                continue;
            }
            let journaled = record_set.name.journaled();
            let covered = registered(record_set);
            let name = journaled.clone().or(covered.clone());
            let change = changes
                .entry(name.unwrap_or_else(|| record_set.name.clone()))
                .or_default();
            change.deletes_after_create |= slot == 0 && change.has_created();
            if journaled.is_some() {
                change.journals[slot] = Some(record_set);
            } else if covered.is_some() {
                change.texts[slot].push(record_set);
            } else {
                change.moved[slot].push(record_set);
            }
        }
        for (name, change) in &changes {
            if let Err(violation) = self.check(name, change, zone) {
                self.violations.push(format!("{name}: {violation}"));
            }
        }
    }

    fn check(
        &mut self,
        name: &RecordName,
        change: &Change<'_>,
        zone: &RecordSets,
    ) -> Result<(), String> {
        if change.deletes_after_create {
            return Err("a DELETE comes after a CREATE".into());
        }
        // Whatever the functions make of it.
        if change.journals[0].is_some_and(is_of_later_format) {
            return Err("the journal of a later version is changed".into());
        }
        let [old, new] = change
            .journals
            .map(|journal| journal.map(Journal::parse_unverified));
        let (old, new) = (old.transpose()?, new.transpose()?);
        let kept = match (&old, &new) {
            (Some(old), None) => Some(self.without_gone(change, old, zone.at(name))?),
            _ => None,
        };
        let change = kept.as_ref().unwrap_or(change);
        only_weights_change(&change.moved)?;
        only_weight_and_owner_change(&change.texts)?;
        let after = zone.at(name);
        let texts: Vec<_> = texts_of(name, zone).collect();
        for text in &change.texts[1] {
            has_its_records_weight(text, after)?;
        }
        if !change.moved[1].is_empty() {
            no_group_is_all_zero(after)?;
        }
        match (old, new) {
            (None, None) => Err("changed without its journal".into()),
            (None, Some(new)) => {
                self.original_texts
                    .insert(name.clone(), before(&texts, &change.texts));
                self.check_first(&new, change, after, &texts)
            }
            (Some(old), Some(new)) => self.check_next(&old, &new, change, after, &texts),
            (Some(old), None) => {
                let original_texts = self.original_texts.remove(name).unwrap_or_default();
                self.check_last(&old, change, after, &texts, &original_texts)
            }
        }
    }

    /// A restoration without the records that it deletes because their load balancer is gone. That needs all
    /// records of the new side, their registry TXT records, and an old side with its original weight.
    fn without_gone<'a>(
        &self,
        change: &Change<'a>,
        old: &Journal,
        after: &[RecordSet],
    ) -> Result<Change<'a>, String> {
        let is_of_to = |it: &&RecordSet| it.weighted().is_some_and(|(side, _)| *side == old.to);
        let kept = Change {
            moved: change.moved.clone(),
            texts: change.texts.clone(),
            ..*change
        };
        let [deleted, created] = &change.moved;
        let is_gone = |it: &&RecordSet| match &it.data {
            RecordData::Alias { dns_name, .. } => self.gone_targets.contains(dns_name),
            RecordData::Values { .. } => false,
        };
        let mut of_to = deleted.iter().copied().filter(is_of_to).peekable();
        if created.iter().any(is_of_to) || of_to.peek().is_none() {
            return Ok(kept);
        }
        if !self.may_refuse_twice && !of_to.all(|it| is_gone(&it)) {
            return Err("a record is deleted although its load balancer exists".into());
        }
        if change.texts[1].iter().any(is_of_to) || after.iter().any(|it| is_of_to(&it)) {
            return Err("records of the deleted side are left".into());
        }
        for (record_type, original) in &old.original {
            let from = weight_of(after, record_type, &old.from);
            if original.from == 0 || from != Some(original.from) {
                return Err(format!(
                    "{record_type} has the weight {from:?} of {} only",
                    old.from
                ));
            }
        }
        let without = |sets: &[Vec<&'a RecordSet>; 2]| {
            sets.clone().map(|mut sets| {
                sets.retain(|it| !is_of_to(it));
                sets
            })
        };
        Ok(Change {
            moved: without(&change.moved),
            texts: without(&change.texts),
            ..kept
        })
    }

    fn check_first(
        &mut self,
        new: &Journal,
        change: &Change<'_>,
        after: &[RecordSet],
        texts: &[&RecordSet],
    ) -> Result<(), String> {
        if new.sequence != 1 {
            return Err(format!("the first journal has sequence {}", new.sequence));
        }
        let live: Vec<_> = after.iter().collect();
        let earlier = before(&live, &change.moved);
        let weights = weights_of(&earlier, new);
        if new.original != weights {
            return Err(format!(
                "the journal has the original weights {:?} instead of {weights:?}",
                new.original
            ));
        }
        for (record_type, lone) in &new.lone {
            let side = match lone.side {
                Side::From => &new.from,
                Side::To => &new.to,
            };
            let original = weight_of(&earlier, record_type, side);
            if original != Some(lone.original) {
                return Err(format!(
                    "the journal has the original weight {} of the lone {record_type} instead of {original:?}",
                    lone.original
                ));
            }
        }
        self.check_step(new, &weights, after, texts)
    }

    fn check_next(
        &mut self,
        old: &Journal,
        new: &Journal,
        change: &Change<'_>,
        after: &[RecordSet],
        texts: &[&RecordSet],
    ) -> Result<(), String> {
        if new.sequence != old.sequence + 1 {
            return Err(format!(
                "the sequence is {} after {}",
                new.sequence, old.sequence
            ));
        }
        if new.original != old.original {
            return Err("the original weights in the journal have changed".into());
        }
        if new.percent < old.percent {
            return Err(format!(
                "the journal has {} percent after {}",
                new.percent, old.percent
            ));
        }
        if new.execution != old.execution
            && (self.running.contains(old.execution.name())
                || (&new.from, &new.to) != (&old.from, &old.to))
        {
            return Err(format!(
                "{} adopts the journal of {}, which is running or has other sides",
                new.execution, old.execution
            ));
        }
        if new.completed {
            if new.percent != Percent::ALL || self.is_rolled_back(new) {
                return Err(format!(
                    "is marked as completed at {} percent or after its rollback",
                    new.percent
                ));
            }
            self.closing.insert(new.execution.name().to_owned());
        }
        let writes_nothing_new = new.written == old.written;
        let has_same_writer = (&new.execution, new.redrives) == (&old.execution, old.redrives);
        let is_at_its_step = writes_nothing_new && has_same_writer && new.percent == old.percent;
        if is_at_its_step && (new.completed || change.changes_an_owner()) {
            // The mark of a completion; or a release, which gives names back or leases them again.
            return Ok(());
        }
        if is_at_its_step && self.may_write_again {
            let [deleted, created] = &change.moved;
            let records = 2 * new.written.len() + new.lone.len();
            if created.len() != records || deleted.len() != created.len() {
                return Err("a lost change is made again without all of its records".into());
            }
            check_weights(new, after)?;
            return self.check_writer(new, texts);
        }
        if is_at_its_step {
            return Err(format!(
                "is at {} percent already and is written again",
                new.percent
            ));
        }
        if writes_nothing_new && change.moved[1].is_empty() {
            // Without a weight in the batch it overwrites nothing: an edit since the read remains, and
            // the next check finds it as drift.
            return self.check_writer(new, texts);
        }
        let live: Vec<_> = after.iter().collect();
        let earlier = weights_of(&before(&live, &change.moved), old);
        if earlier != old.written {
            return Err(format!(
                "another writer's {earlier:?} are overwritten, the journal has {:?}",
                old.written
            ));
        }
        self.check_step(new, &earlier, after, texts)
    }

    /// Checks a step from the weights `earlier` to those in the zone.
    fn check_step(
        &mut self,
        new: &Journal,
        earlier: &BTreeMap<RecordType, Weights>,
        after: &[RecordSet],
        texts: &[&RecordSet],
    ) -> Result<(), String> {
        check_weights(new, after)?;
        for (record_type, now) in &new.written {
            let before = earlier
                .get(record_type)
                .map_or(0.0, |before| share(*before));
            if share(*now) < before {
                return Err(format!("a step lowers the share of {}", new.to));
            }
            let wanted = percent(new) / 100.0;
            let is_off = (share(*now) - wanted).abs() > wanted / 10.0 + 1e-9;
            if before < wanted && is_off {
                return Err(format!(
                    "the weights {now:?} are not {} percent",
                    new.percent
                ));
            }
        }
        self.check_writer(new, texts)
    }

    /// Whether the writer of a journal was rolled back since its plan.
    fn is_rolled_back(&self, journal: &Journal) -> bool {
        let writer = (journal.execution.name().to_owned(), journal.redrives);
        self.rolled_back.contains(&writer)
    }

    /// Checks that the execution may still write, and that it leases the names that it moves.
    fn check_writer(&self, new: &Journal, texts: &[&RecordSet]) -> Result<(), String> {
        if self.is_rolled_back(new) {
            return Err(format!("{} writes after its rollback", new.execution));
        }
        for text in texts {
            let side = text.weighted().map(|(side, _)| side);
            let is_ours = side == Some(&new.from) || side == Some(&new.to);
            let Some((owner, _)) = owner(text) else {
                continue;
            };
            let leases = new.is_leased() || self.leasing.contains(new.execution.name());
            if is_ours && leases && owner != format!("cutover/{}", new.execution) {
                return Err(format!(
                    "{} has the owner {owner} during the lease",
                    text.name
                ));
            }
        }
        Ok(())
    }

    fn check_last(
        &mut self,
        old: &Journal,
        change: &Change<'_>,
        after: &[RecordSet],
        texts: &[&RecordSet],
        original_texts: &[RecordSet],
    ) -> Result<(), String> {
        let execution = old.execution.name().to_owned();
        let live: Vec<_> = after.iter().collect();
        // Where another writer has changed the weights since, a completed name is restored like any other.
        let is_as_written = weights_of(&before(&live, &change.moved), old) == old.written;
        if self.closing.contains(&execution) && (is_as_written || change.moved[1].is_empty()) {
            if old.percent != Percent::ALL {
                return Err(format!(
                    "its journal is deleted as completed at {} percent",
                    old.percent
                ));
            }
            *self.completed.entry(execution).or_default() += 1;
            return if change.moved[1].is_empty() {
                Ok(())
            } else {
                check_weights(old, after)
            };
        }
        *self.restored.entry(execution).or_default() += 1;
        for (record_type, original) in &old.original {
            for (side, weight) in [(&old.from, original.from), (&old.to, original.to)] {
                let live = weight_of(after, record_type, side);
                if live.is_some_and(|live| live != weight) {
                    return Err(format!(
                        "{record_type} of {side} is left at weight {live:?} instead of its original {weight}"
                    ));
                }
            }
        }
        check_lone(old, after, |lone| lone.original)?;
        for text in texts {
            let same = original_texts
                .iter()
                .find(|original| is_same(original, text));
            if let Some(original) = same
                && owner(original).map(|(owner, _)| owner) != owner(text).map(|(owner, _)| owner)
            {
                return Err(format!(
                    "{} does not get its original owner back",
                    text.name
                ));
            }
        }
        Ok(())
    }
}

impl Change<'_> {
    fn changes_an_owner(&self) -> bool {
        let owner_of = |text: &RecordSet| owner(text).map(|(owner, _)| owner);
        let pairs = counterparts(&self.texts).unwrap_or_default();
        pairs
            .iter()
            .any(|(old, new)| owner_of(old) != owner_of(new))
    }

    fn has_created(&self) -> bool {
        self.journals[1].is_some() || !self.moved[1].is_empty() || !self.texts[1].is_empty()
    }
}

/// Checks that the zone has the weights that the journal has as written.
fn check_weights(new: &Journal, after: &[RecordSet]) -> Result<(), String> {
    let live = weights_of(after, new);
    if live != new.written {
        let written = &new.written;
        return Err(format!(
            "mixed state: the journal has {written:?} and the zone {live:?}"
        ));
    }
    check_lone(new, after, |lone| lone.written)
}

/// Checks that the records that are alone in their type have these weights, and that each of them has its side's.
fn check_lone(
    journal: &Journal,
    after: &[RecordSet],
    weight: fn(&LoneWeights) -> u8,
) -> Result<(), String> {
    let of_pairs: BTreeSet<_> = journal.written.values().copied().collect();
    for (record_type, lone) in &journal.lone {
        let (side, of_side) = match lone.side {
            Side::From => (&journal.from, of_pairs.first().map(|weights| weights.from)),
            Side::To => (&journal.to, of_pairs.first().map(|weights| weights.to)),
        };
        let live = weight_of(after, record_type, side);
        let expected = weight(lone);
        if live.is_some_and(|live| live != expected) {
            return Err(format!(
                "the lone {record_type} of {side} has the weight {live:?} instead of {expected}"
            ));
        }
        if of_pairs.len() == 1 && of_side != Some(lone.written) {
            return Err(format!(
                "the lone {record_type} of {side} gets {} and its side {of_side:?}",
                lone.written
            ));
        }
    }
    Ok(())
}

/// The record sets before a batch, from those after it.
fn before(live: &[&RecordSet], [deleted, created]: &[Vec<&RecordSet>; 2]) -> Vec<RecordSet> {
    let kept = live.iter().filter(|live| !created.contains(live));
    kept.chain(deleted).map(|it| RecordSet::clone(it)).collect()
}

fn texts_of<'a>(name: &'a RecordName, zone: &'a RecordSets) -> impl Iterator<Item = &'a RecordSet> {
    ["", "a-", "aaaa-", "cname-"]
        .into_iter()
        .filter_map(move |prefix| format!("{prefix}{name}").parse().ok())
        .flat_map(|name: RecordName| zone.at(&name))
        .filter(|record_set| registered(record_set).is_some())
}

fn weight_of(
    record_sets: &[RecordSet],
    record_type: &RecordType,
    side: &SetIdentifier,
) -> Option<u8> {
    record_sets.iter().find_map(|record_set| {
        let (identifier, weight) = record_set.weighted()?;
        (record_set.record_type == *record_type && identifier == side).then_some(weight)
    })
}

fn weights_of(record_sets: &[RecordSet], journal: &Journal) -> BTreeMap<RecordType, Weights> {
    RecordType::MOVED
        .into_iter()
        .filter_map(|record_type| {
            let from = weight_of(record_sets, &record_type, &journal.from)?;
            let to = weight_of(record_sets, &record_type, &journal.to)?;
            Some((record_type, Weights { from, to }))
        })
        .collect()
}

/// Whether a name has the weights that its journal says were written, and its registry TXT records are leased if
/// the journal says so.
pub(crate) fn is_as_written(name: &RecordName, journal: &Journal, zone: &[RecordSet]) -> bool {
    let at_name: Vec<_> = zone.iter().filter(|it| it.name == *name).cloned().collect();
    let is_ours = |text: &RecordSet| {
        let side = text.weighted().map(|(side, _)| side);
        side == Some(&journal.from) || side == Some(&journal.to)
    };
    let mut texts = zone
        .iter()
        .filter(|text| registered(text).as_ref() == Some(name) && is_ours(text));
    let is_leased = |text: &RecordSet| {
        owner(text).is_some_and(|(owner, _)| owner == format!("cutover/{}", journal.execution))
    };
    weights_of(&at_name, journal) == journal.written
        && (!journal.is_leased() || texts.all(is_leased))
}

fn percent(journal: &Journal) -> f64 {
    journal.percent.to_string().parse().unwrap_or_default()
}

fn share(weights: Weights) -> f64 {
    f64::from(weights.to) / (f64::from(weights.from) + f64::from(weights.to)).max(1.0)
}

/// Each deleted record set with the created one that replaces it.
fn counterparts<'a>(
    [deleted, created]: &'a [Vec<&'a RecordSet>; 2],
) -> Result<Vec<(&'a RecordSet, &'a RecordSet)>, String> {
    if deleted.len() != created.len() {
        return Err(format!(
            "{} record sets are deleted and {} created",
            deleted.len(),
            created.len()
        ));
    }
    deleted
        .iter()
        .map(|old| {
            let new = created.iter().find(|new| is_same(new, old));
            new.map(|new| (*old, *new))
                .ok_or_else(|| format!("{} is deleted and not created again", old.name))
        })
        .collect()
}

fn only_weights_change(moved: &[Vec<&RecordSet>; 2]) -> Result<(), String> {
    for (old, new) in counterparts(moved)? {
        let weight = new.weighted().map_or(0, |(_, weight)| weight);
        if old.with_weight(weight) != *new {
            return Err(format!("more than the weight changes: {old:?} to {new:?}"));
        }
    }
    Ok(())
}

fn only_weight_and_owner_change(texts: &[Vec<&RecordSet>; 2]) -> Result<(), String> {
    for (old, new) in counterparts(texts)? {
        if without_weight_and_owner(old) != without_weight_and_owner(new) {
            return Err(format!(
                "more than the weight and owner changes: {old:?} to {new:?}"
            ));
        }
    }
    Ok(())
}

fn without_weight_and_owner(text: &RecordSet) -> RecordSet {
    let mut rest = text.with_weight(0);
    if let (RecordData::Values { values, .. }, Some((_, value))) = (&mut rest.data, owner(text)) {
        values[0] = value;
    }
    rest
}

fn has_its_records_weight(text: &RecordSet, after: &[RecordSet]) -> Result<(), String> {
    let Some((side, weight)) = text.weighted() else {
        return Ok(());
    };
    let prefix = text.name.as_str().split('-').next().unwrap_or_default();
    let is_of_its_type = |record_set: &&RecordSet| match prefix {
        "a" => record_set.record_type == RecordType::A,
        "aaaa" => record_set.record_type == RecordType::Aaaa,
        _ => true,
    };
    let mut records = after
        .iter()
        .filter(is_of_its_type)
        .filter_map(RecordSet::weighted)
        .filter(|(of, _)| *of == side)
        .peekable();
    if records.peek().is_none() || records.any(|(_, live)| live == weight) {
        return Ok(());
    }
    Err(format!(
        "{} has a different weight than its record",
        text.name
    ))
}

fn no_group_is_all_zero(after: &[RecordSet]) -> Result<(), String> {
    let mut groups: BTreeMap<_, Vec<u8>> = BTreeMap::new();
    for record_set in after {
        if let Some((_, weight)) = record_set.weighted() {
            groups
                .entry(&record_set.record_type)
                .or_default()
                .push(weight);
        }
    }
    match groups
        .iter()
        // A record that is alone in its type answers whatever its weight is.
        .find(|(_, weights)| weights.len() > 1 && weights.iter().all(|weight| *weight == 0))
    {
        Some((record_type, _)) => Err(format!("all weights of {record_type} are 0")),
        None => Ok(()),
    }
}
