//! Which flags of an ExternalDNS explain the names of the registry TXT records in a zone.
//!
//! The name of a TXT is made from the name of its record, the record's type, and the flags; see
//! [`RegistryNames`]. Its value does not have the name of the record. So where the flags are unknown, each TXT is
//! compared with the names that have records of its side: what is before or after such a name may be a prefix or a
//! suffix. Most of these guesses explain one TXT. The flags that ExternalDNS runs with explain all that it wrote.
//!
//! Source: ExternalDNS v0.22, `registry/mapper/mapper.go`.

use std::collections::{BTreeMap, BTreeSet};

use super::lookup::registry_text;
use super::registry_names::{Affix, RECORD_TYPE, RegistryNames, TxtNaming, split_label};
use super::registry_txt::{Owner, RegistryText, owner};
use crate::dns::{RecordName, RecordSet, RecordType, SetIdentifier, Zone};

/// The types of records that a migration moves, as the names of registry TXT records have them.
const TYPES: [&str; 3] = ["a", "aaaa", "cname"];

/// The number of TXT records that no flags explain by accident. What they explain needs no other guess.
const NO_ACCIDENT: usize = 20;

/// The registry TXT records of one side that can be read, and the names that have records of it.
pub(crate) struct SideRegistry<'z> {
    zone: &'z Zone,
    pub(crate) texts: Vec<&'z RecordSet>,
    names: BTreeMap<&'z str, &'z RecordName>,
    /// The names by what follows their first label, and then by that label.
    labels: BTreeMap<&'z str, BTreeMap<&'z str, &'z RecordName>>,
}

/// The TXT records that some flags attach to names of the side.
#[derive(Clone, Debug)]
pub(crate) struct Explanation<'z> {
    pub(crate) flags: RegistryNames,
    texts: BTreeMap<&'z RecordName, Explained<'z>>,
}

/// The TXT records that guessed flags attach to names.
type Guesses<'z> = BTreeMap<RegistryNames, BTreeMap<&'z RecordName, Explained<'z>>>;

/// A TXT, and the name of its record under some flags.
#[derive(Clone, Debug)]
pub(crate) struct Explained<'z> {
    pub(crate) name: &'z RecordName,
    pub(crate) text: RegistryText<'z>,
}

impl<'z> SideRegistry<'z> {
    /// The registry of the records with set identifiers of which `is_of_side` is true.
    pub(crate) fn new(zone: &'z Zone, is_of_side: impl Fn(&SetIdentifier) -> bool) -> Self {
        let is_readable = |record_set: &&RecordSet| {
            record_set.weighted().is_some_and(|(of, _)| is_of_side(of))
                && matches!(
                    owner(record_set),
                    Some(Owner::ExternalDns(_) | Owner::Migration | Owner::Nobody)
                )
        };
        let mut labels: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        let has_side = |name: &&RecordName| {
            let mut identifiers = zone.set_identifiers(name).into_iter();
            identifiers.any(&is_of_side)
        };
        let names: Vec<_> = zone.record_sets.keys().filter(has_side).collect();
        for name in &names {
            let (label, parent) = split_label(name.as_str());
            labels.entry(parent).or_default().insert(label, *name);
        }
        Self {
            zone,
            texts: zone
                .record_sets
                .values()
                .flatten()
                .filter(is_readable)
                .collect(),
            names: names
                .into_iter()
                .map(|name| (name.as_str(), name))
                .collect(),
            labels,
        }
    }

    /// What `flags` explain.
    pub(crate) fn explanation(&self, flags: &RegistryNames) -> Explanation<'z> {
        let explained = self.texts.iter().filter_map(|text| {
            let (naming, name) = flags.read(text.name.as_str())?;
            Some((
                &text.name,
                self.explained(text, naming, self.name(flags, &name)?)?,
            ))
        });
        Explanation {
            flags: flags.clone(),
            texts: explained.collect(),
        }
    }

    /// The explanations that attach TXT records to records and are no part of another one: the one with the most TXT
    /// records first. Of those that attach the same ones to the same records, only that with `base`, with flags that
    /// `agrees` accepts, or with the simplest flags.
    pub(crate) fn explanations(
        &self,
        base: &RegistryNames,
        agrees: impl Fn(&RegistryNames) -> bool,
    ) -> Vec<Explanation<'z>> {
        let of_base = self.explanation(base);
        let is_of_moved_type = |text: &&&RecordSet| !base.is_of_unmoved_type(&text.name);
        let texts: Vec<_> = self.texts.iter().filter(is_of_moved_type).collect();
        if texts.iter().all(|text| of_base.has(&text.name)) {
            return vec![of_base];
        }
        let rank = |flags: &RegistryNames| (flags != base, !agrees(flags));
        let with_affixes = |prefix: Affix, suffix: Affix| RegistryNames {
            txt_prefix: prefix,
            txt_suffix: suffix,
            ..base.clone()
        };
        let mut guesses: Guesses<'_> = BTreeMap::new();
        for text in &texts {
            for (prefix, suffix, name) in self.affixes(text.name.as_str()) {
                self.guess(&mut guesses, with_affixes(prefix, suffix), text, name);
            }
        }
        let first = guesses.values().max_by_key(|texts| texts.len());
        let first = first.filter(|texts| texts.len() >= NO_ACCIDENT);
        let known = |txt: &RecordName| {
            of_base.has(txt) || first.is_some_and(|texts| texts.contains_key(txt))
        };
        let wildcards: Vec<_> = self
            .names
            .values()
            .copied()
            .filter(|name| name.wildcard_parent().is_some())
            .collect();
        let mut of_wildcards: Guesses<'_> = BTreeMap::new();
        for text in texts.iter().filter(|text| !known(&text.name)) {
            for wildcard in &wildcards {
                for (prefix, suffix, label) in replacements(text.name.as_str(), wildcard) {
                    let flags = RegistryNames {
                        txt_wildcard_replacement: label,
                        ..with_affixes(prefix, suffix)
                    };
                    self.guess(&mut of_wildcards, flags, text, wildcard);
                }
            }
        }
        for (flags, texts) in &mut of_wildcards {
            let affixes = with_affixes(flags.txt_prefix.clone(), flags.txt_suffix.clone());
            // With a replacement, no name of a TXT has the `*` itself.
            let of_others = guesses
                .get(&affixes)
                .into_iter()
                .flatten()
                .filter(|(_, it)| it.name.wildcard_parent().is_none());
            texts.extend(of_others.map(|(txt, it)| (*txt, it.clone())));
        }
        let guesses = guesses
            .into_iter()
            .chain(of_wildcards)
            .map(|(flags, texts)| Explanation { flags, texts });
        let guesses = guesses.filter(|it| it.flags != *base);
        widest(guesses.chain([of_base.clone()]).collect(), rank)
    }

    /// Adds that `text` is that of `name` under `flags`, if ExternalDNS reads it so.
    fn guess(
        &self,
        guesses: &mut Guesses<'z>,
        flags: RegistryNames,
        text: &'z RecordSet,
        name: &'z RecordName,
    ) {
        let registered = flags.registered(name);
        let read = flags.read(text.name.as_str());
        if let Some((naming, _)) = read.filter(|(_, read)| *read == registered)
            && let Some(explained) = self.explained(text, naming, name)
        {
            let texts = guesses.entry(flags).or_default();
            texts.insert(&text.name, explained);
        }
    }

    /// The record's name in the name of a TXT.
    fn name(&self, flags: &RegistryNames, registered: &str) -> Option<&'z RecordName> {
        let replacement = flags.txt_wildcard_replacement.as_str();
        let (label, parent) = split_label(registered);
        let plain = self
            .names
            .get(registered)
            .filter(|name| flags.registered(name) == registered);
        plain.copied().or_else(|| {
            (label == replacement)
                .then(|| self.wildcard(parent))
                .flatten()
        })
    }

    fn wildcard(&self, parent: &str) -> Option<&'z RecordName> {
        let mut names = self.labels.get(parent)?.values();
        names
            .find(|name| name.wildcard_parent() == Some(parent))
            .copied()
    }

    fn explained(
        &self,
        text: &'z RecordSet,
        naming: TxtNaming,
        name: &'z RecordName,
    ) -> Option<Explained<'z>> {
        // A TXT belongs to a name that has records with its own set identifier.
        let (side, _) = text.weighted()?;
        if !self.zone.set_identifiers(name).contains(side) {
            return None;
        }
        let text = registry_text(self.zone, name, side, naming, text)?;
        Some(Explained { name, text })
    }

    /// The prefixes and suffixes that may have made the name `txt` from one of the names.
    fn affixes(&self, txt: &str) -> Vec<(Affix, Affix, &'z RecordName)> {
        let mut found = Vec::new();
        for (head, rest) in splits(txt) {
            if let Some(name) = self.names.get(rest) {
                found.extend(prefixes(head).map(|prefix| (prefix, Affix::default(), *name)));
            }
        }
        for (body, parent) in splits(txt).filter(|(_, parent)| parent.starts_with('.')) {
            let Some(labels) = self.labels.get(parent) else {
                continue;
            };
            for (label, tail) in labels_and_tails(body) {
                if let Some(name) = labels.get(label) {
                    found.extend(suffixes(tail).map(|suffix| (Affix::default(), suffix, *name)));
                }
            }
        }
        found
    }
}

/// The prefixes and suffixes that may have made the name `txt` from that of `wildcard`, with what replaces its `*`.
fn replacements(txt: &str, wildcard: &RecordName) -> Vec<(Affix, Affix, Affix)> {
    let mut found = Vec::new();
    let parent = wildcard.wildcard_parent().unwrap_or_default();
    let Some(body) = txt.strip_suffix(parent) else {
        return found;
    };
    let is_label = |label: &str| !label.is_empty() && !label.contains('.');
    for (head, label) in splits(body).filter(|(_, label)| is_label(label)) {
        if let Ok(label) = label.parse::<Affix>() {
            found.extend(prefixes(head).map(|prefix| (prefix, Affix::default(), label.clone())));
        }
    }
    for (label, tail) in labels_and_tails(body).filter(|(label, _)| is_label(label)) {
        if let Ok(label) = label.parse::<Affix>() {
            found.extend(suffixes(tail).map(|suffix| (Affix::default(), suffix, label.clone())));
        }
    }
    found
}

/// `text` in two parts, of which the second is not empty.
fn splits(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.char_indices().map(|(start, _)| text.split_at(start))
}

/// The prefixes with which a TXT name begins with `head`: with the type in the prefix, after it, or without a type.
fn prefixes(head: &str) -> impl Iterator<Item = Affix> {
    let before_type = TYPES
        .iter()
        .filter_map(move |record_type| head.strip_suffix('-')?.strip_suffix(record_type));
    before_type
        .chain([head])
        .map(str::to_owned)
        .chain(with_placeholder(head))
        .filter_map(|prefix| prefix.parse().ok())
}

/// The suffixes with which a TXT name has `tail` after the label of its record.
fn suffixes(tail: &str) -> impl Iterator<Item = Affix> {
    [tail.to_owned()]
        .into_iter()
        .chain(with_placeholder(tail))
        .filter_map(|suffix| suffix.parse().ok())
}

/// The parts of the first labels of a TXT name with a suffix: the label of its record, without the type before it,
/// and the suffix.
fn labels_and_tails(body: &str) -> impl Iterator<Item = (&str, &str)> {
    let after_type = TYPES
        .iter()
        .filter_map(move |record_type| body.strip_prefix(record_type)?.strip_prefix('-'));
    after_type.chain([body]).flat_map(splits)
}

impl<'z> Explanation<'z> {
    pub(crate) fn has(&self, txt: &RecordName) -> bool {
        self.texts.contains_key(txt)
    }

    pub(crate) fn count(&self) -> usize {
        self.texts.len()
    }

    /// The TXT records of existing records, with the type of each.
    pub(crate) fn attached(&self) -> impl Iterator<Item = (&Explained<'z>, &RecordType)> {
        let explained = self.texts.values();
        explained.filter_map(|it| Some((it, it.text.record_type.as_ref()?)))
    }

    fn records(&self) -> impl Iterator<Item = (&'z RecordName, &'z RecordName, &RecordType)> {
        self.attached()
            .map(|(it, record_type)| (&it.text.read.name, it.name, record_type))
    }

    /// The same at the names `moved`: the name of the TXT, that of the record, and its type.
    pub(crate) fn attached_to(
        &self,
        moved: &BTreeSet<&RecordName>,
    ) -> BTreeSet<(&'z RecordName, &'z RecordName, RecordType)> {
        self.records()
            .filter(|(_, name, _)| moved.contains(name))
            .map(|(txt, name, record_type)| (txt, name, record_type.clone()))
            .collect()
    }

    /// How many of the TXT records have the type of their record in their names.
    fn typed(&self) -> usize {
        let explained = self.texts.values();
        explained
            .filter(|it| it.text.naming != TxtNaming::Any)
            .count()
    }

    /// How unlikely the flags are if others explain the same: nearly every `a` in a name could be a type, and a name
    /// that is a part of the TXT's own by accident leaves a prefix of several labels, with the type somewhere in it.
    fn strangeness(&self) -> u8 {
        let RegistryNames {
            txt_prefix,
            txt_suffix,
            ..
        } = &self.flags;
        let is_in_a_word = |affix: &Affix| {
            let around = affix.as_str().split_once(RECORD_TYPE);
            around.is_some_and(|(before, after)| {
                before.ends_with(|it: char| it.is_ascii_alphanumeric())
                    || after.starts_with(|it: char| it.is_ascii_alphanumeric())
            })
        };
        let after_type = txt_prefix.as_str().split_once(RECORD_TYPE);
        let is_before_a_label =
            after_type.is_some_and(|(_, after)| after.trim_end_matches('.').contains('.'));
        if is_before_a_label || is_in_a_word(txt_prefix) || is_in_a_word(txt_suffix) {
            3
        } else if self.typed() == 0 {
            2
        } else {
            u8::from(self.flags.type_is_in_affix())
        }
    }

    /// Whether somebody may run ExternalDNS with these flags, of a version since v0.12, which first wrote the type.
    pub(crate) fn is_plausible(&self) -> bool {
        self.strangeness() < 2
    }

    /// Whether `self` says all that `other` says, which is not ranked before it.
    fn includes(&self, other: &Self) -> bool {
        other.texts.keys().all(|txt| self.has(txt))
            && (self.count() > other.count()
                // Every version since v0.12 writes names with the type.
                || (self.typed() > 0 && other.typed() == 0)
                || self.records().eq(other.records()))
    }
}

/// The explanations that no other one includes, by rank.
fn widest(
    mut explanations: Vec<Explanation<'_>>,
    rank: impl Fn(&RegistryNames) -> (bool, bool),
) -> Vec<Explanation<'_>> {
    explanations.retain(|it| it.attached().next().is_some());
    explanations.sort_by_cached_key(|it| {
        let RegistryNames {
            txt_prefix,
            txt_suffix,
            ..
        } = &it.flags;
        let length = txt_prefix.as_str().len() + txt_suffix.as_str().len();
        (
            usize::MAX - it.count(),
            rank(&it.flags),
            it.strangeness(),
            length,
            it.flags.clone(),
        )
    });
    let mut widest: Vec<Explanation<'_>> = Vec::new();
    let mut by_txt: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for explanation in explanations {
        // Only those that have its first TXT may include it.
        let first = explanation.texts.keys().next();
        let mut others = first.and_then(|txt| by_txt.get(txt)).into_iter().flatten();
        let includes = |index: &usize| {
            let other = widest.get(*index);
            other.is_some_and(|it| it.includes(&explanation))
        };
        if !others.any(includes) {
            for txt in explanation.texts.keys() {
                by_txt.entry(*txt).or_default().push(widest.len());
            }
            widest.push(explanation);
        }
    }
    widest
}

/// `affix` with the placeholder in place of each type in it. The types may overlap, as in `aaaaa`.
fn with_placeholder(affix: &str) -> impl Iterator<Item = String> {
    splits(affix).flat_map(|(before, rest)| {
        let after = TYPES.iter().filter_map(|it| rest.strip_prefix(it));
        after.map(move |after| format!("{before}{RECORD_TYPE}{after}"))
    })
}
