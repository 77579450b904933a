//! The flags with which each side's ExternalDNS names its registry TXT records: those that the input tells, and those
//! that the zone shows.
//!
//! A migration that does not find the TXT records leases nothing, and ExternalDNS puts the weights back. One that
//! leases TXT records that are left over from former flags does no better. So flags that are not told are inferred if
//! only one answer is possible. Where several are, or the told ones contradict the zone, the plan is refused.
//!
//! `ExternalDNS` never deletes TXT records of former flags.

use std::collections::BTreeSet;

use super::identifiers::IdentifiersInZone;
use super::warning::Warning;
use crate::Error;
use crate::dns::{RecordName, RecordSet, RecordType, SetIdentifierTemplate, Side, Sides, Zone};
use crate::error::{InvalidInput, LiveText, NamedText};
use crate::external_dns::{
    Explained, Explanation, ExternalDns, RegistryNames, SideRegistry, TxtNaming,
};
use crate::input::{Input, ToldFlags, WarningCode};
use crate::text::counted;

/// What is known about the registries of both sides.
pub(super) struct Registries<'z> {
    pub(super) external_dns: ExternalDns,
    pub(super) sides: Sides<Registry<'z>>,
    pub(super) warnings: Vec<Warning>,
}

/// The registry of one side.
pub(super) struct Registry<'z> {
    texts: Vec<&'z RecordSet>,
    /// What the side's flags explain.
    explanation: Explanation<'z>,
    /// What other flags explain, which the side's ExternalDNS does not use any more.
    former: Vec<Explanation<'z>>,
}

impl<'z> Registry<'z> {
    /// The former flags that explain a TXT.
    pub(super) fn former_flags(&self, txt: &RecordName) -> Option<&RegistryNames> {
        let mut former = self.former.iter();
        former.find(|it| it.has(txt)).map(|it| &it.flags)
    }

    /// The Kubernetes objects of the side's records.
    pub(super) fn live_resources(&self) -> BTreeSet<&str> {
        self.explanation
            .attached()
            .filter_map(|(it, _)| it.text.resource())
            .collect()
    }

    /// The TXT records that belong to no record under the side's flags.
    pub(super) fn orphans(&self) -> impl Iterator<Item = &'z RecordSet> {
        let attached: BTreeSet<_> = self
            .explanation
            .attached()
            .map(|(it, _)| &it.text.read.name)
            .collect();
        self.texts
            .iter()
            .copied()
            .filter(move |text| !attached.contains(&text.name))
            .filter(|text| !self.explanation.flags.is_of_unmoved_type(&text.name))
    }
}

/// The flags of both sides, for a migration of `names`.
///
/// # Errors
/// [`InvalidInput::OtherRegistryFlags`], [`InvalidInput::TwoRegistryTexts`] or
/// [`InvalidInput::SeveralRegistryFlags`].
pub(super) fn registries<'z>(
    input: &Input,
    identifiers: &IdentifiersInZone<'z>,
    zone: &'z Zone,
    names: &[RecordName],
) -> Result<Registries<'z>, Error> {
    let moved: BTreeSet<_> = names.iter().collect();
    let mut warnings = Vec::new();
    let mut registry = |side| {
        let (field, identifier, told) = match side {
            Side::From => ("externalDns.from", &input.from, &input.external_dns.from),
            Side::To => ("externalDns.to", &input.to, &input.external_dns.to),
        };
        let flags = SideFlags {
            field,
            side: identifier.clone(),
            registry: SideRegistry::new(zone, |it| identifiers.matches(side, it)),
            told,
            zone,
            moved: &moved,
        };
        let registry = flags.registry()?;
        warnings.extend(flags.inferred(&registry.explanation));
        Ok::<_, Error>(registry)
    };
    let sides = Sides {
        from: registry(Side::From)?,
        to: registry(Side::To)?,
    };
    Ok(Registries {
        external_dns: ExternalDns {
            mode: input.external_dns.mode,
            from: sides.from.explanation.flags.clone(),
            to: sides.to.explanation.flags.clone(),
        },
        sides,
        warnings,
    })
}

/// What decides about the flags of one side.
struct SideFlags<'a, 'z> {
    /// The field of the input, for messages.
    field: &'static str,
    /// The side's set identifier in the input, for messages.
    side: SetIdentifierTemplate,
    registry: SideRegistry<'z>,
    told: &'a ToldFlags,
    zone: &'z Zone,
    moved: &'a BTreeSet<&'a RecordName>,
}

/// Two TXT records of the same record under different flags.
struct Claim<'e, 'z> {
    record_type: &'e RecordType,
    /// The weight of the record.
    weight: u8,
    one: &'e Explained<'z>,
    other: &'e Explained<'z>,
}

impl Claim<'_, '_> {
    fn is_of_one_resource(&self) -> bool {
        let resource = self.one.text.resource();
        resource.is_some() && resource == self.other.text.resource()
    }
}

impl<'z> SideFlags<'_, 'z> {
    fn registry(&self) -> Result<Registry<'z>, Error> {
        let base = self.told.names();
        let registry = &self.registry;
        let agrees = |flags: &RegistryNames| self.told.agree_with(flags);
        let mut former = registry.explanations(&base, agrees);
        let of_base = registry.explanation(&base);
        let attaches_more = |first: &&Explanation<'z>| {
            first.attached_to(self.moved) != of_base.attached_to(self.moved)
        };
        let is_base = |it: &Explanation<'z>| it.flags == base;
        let first = former.first().filter(attaches_more);
        let first = first.filter(|it| it.is_plausible()).cloned();
        let explanation = first
            .filter(|_| !former.iter().any(is_base))
            .unwrap_or(of_base);
        former.retain(|it| it.flags != explanation.flags);
        for other in &former {
            self.reject_ambiguity(&explanation, other)?;
        }
        if explanation.flags != base && !agrees(&explanation.flags) {
            let attached = explanation.attached_to(self.moved);
            return Err(Error::from(InvalidInput::OtherRegistryFlags {
                field: self.field,
                side: self.side.clone(),
                told: base.to_string(),
                found: named(&explanation, attached.first().map(|(txt, ..)| *txt)),
            }));
        }
        Ok(Registry {
            texts: registry.texts.clone(),
            explanation,
            former,
        })
    }

    /// Refuses another explanation that may be the right one as well as `best`.
    fn reject_ambiguity(
        &self,
        best: &Explanation<'z>,
        other: &Explanation<'z>,
    ) -> Result<(), Error> {
        let (one, another) = (best.attached_to(self.moved), other.attached_to(self.moved));
        // Flags that are inferred need more TXT records than any others.
        let is_as_likely =
            best.flags != self.told.names() && other.count() == best.count() && one != another;
        if another.is_subset(&one) && !is_as_likely {
            return Ok(());
        }
        let claims = self.claims(best, other);
        let of_best = Score::of(&claims, claims.iter().map(|claim| claim.one));
        let of_other = Score::of(&claims, claims.iter().map(|claim| claim.other));
        let is_told = self.tells_apart(&best.flags, &other.flags);
        // A TXT with a type for `best`, whose own record is gone.
        let has_type = |claim: &Claim<'_, '_>| best.flags.has_type(&claim.other.text.read.name);
        let is_certain = is_told || (best.count() > other.count() && claims.iter().all(has_type));
        let mut same = claims.iter().filter(|claim| claim.is_of_one_resource());
        if let Some(first) = same.next()
            && (!is_certain || of_other > of_best)
        {
            let live = (of_best != of_other).then(|| LiveText {
                flags: if of_best > of_other { best } else { other }
                    .flags
                    .to_string(),
                by_weight: of_best.weights != of_other.weights,
            });
            return Err(Error::from(InvalidInput::TwoRegistryTexts {
                field: self.field,
                side: self.side.clone(),
                name: first.one.name.clone(),
                record_type: first.record_type.clone(),
                resource: first.one.text.resource().unwrap_or_default().to_owned(),
                one: named(best, Some(&first.one.text.read.name)),
                other: named(other, Some(&first.other.text.read.name)),
                more: same.count(),
                live,
            }));
        }
        let of_best_records: BTreeSet<_> = records(best, self.moved).collect();
        let is_uncovered = |it: &Explained<'_>, record_type: &RecordType| {
            let txt = &it.text.read.name;
            let is_left_by_best = best.flags.has_type(txt)
                && (is_told || (other.flags.txt_suffix.is_empty() && best.count() > other.count()));
            let is_of_best = best.has(txt) || is_left_by_best;
            let is_covered = of_best_records.contains(&(it.name, record_type));
            self.moved.contains(it.name) && !is_covered && !is_of_best
        };
        let uncovered = other
            .attached()
            .filter(|_| other.is_plausible())
            .find(|(it, record_type)| is_uncovered(it, record_type));
        if uncovered.is_none() && !is_as_likely && of_other <= of_best {
            return Ok(());
        }
        let example = uncovered.or_else(|| other.attached().next());
        Err(Error::from(InvalidInput::SeveralRegistryFlags {
            field: self.field,
            side: self.side.clone(),
            one: named(best, one.first().map(|(txt, ..)| *txt)),
            other: named(other, example.map(|(it, _)| &it.text.read.name)),
        }))
    }

    /// Where `best` and `other` attach different TXT records to a record that moves.
    fn claims<'e>(
        &self,
        best: &'e Explanation<'z>,
        other: &'e Explanation<'z>,
    ) -> Vec<Claim<'e, 'z>> {
        let mut claims = Vec::new();
        for (of_other, record_type) in other.attached() {
            if best.has(&of_other.text.read.name) || !self.moved.contains(of_other.name) {
                continue;
            }
            let side = of_other.text.read.weighted();
            let record =
                side.and_then(|(side, _)| self.zone.weighted(of_other.name, record_type, side));
            let Some((_, weight)) = record else {
                continue;
            };
            // Some versions write two TXT records: one of them is enough to speak for `best`.
            let same_record = best
                .attached()
                .filter(|(it, of)| it.name == of_other.name && *of == record_type)
                .max_by_key(|(it, _)| {
                    let has_type = it.text.naming != TxtNaming::Any;
                    (it.text.weight() == weight, has_type)
                });
            claims.extend(same_record.map(|(one, _)| Claim {
                record_type,
                weight,
                one,
                other: of_other,
            }));
        }
        claims
    }

    /// Whether the input tells in what the two sets of flags differ.
    fn tells_apart(&self, one: &RegistryNames, other: &RegistryNames) -> bool {
        let has_one_affix =
            (&one.txt_prefix, &one.txt_suffix) == (&other.txt_prefix, &other.txt_suffix);
        let has_one_replacement = one.txt_wildcard_replacement == other.txt_wildcard_replacement;
        (has_one_affix || self.told.tell_the_affix())
            && (has_one_replacement || self.told.txt_wildcard_replacement.is_some())
    }

    /// The warning that flags are inferred.
    fn inferred(&self, explanation: &Explanation<'_>) -> Option<Warning> {
        if explanation.flags == self.told.names() {
            return None;
        }
        let attached = explanation.attached_to(self.moved);
        let (example, ..) = attached.first()?;
        let names: BTreeSet<_> = attached.iter().map(|(_, name, _)| name).collect();
        let (field, side, flags) = (self.field, &self.side, &explanation.flags);
        let message = format!(
            "{field} does not say how the ExternalDNS of {side} names its registry TXT records; those of {} show that it is \
              {flags}, such as {example}; the migration works as if this were in the input: compare it with the \
             --txt-prefix, --txt-suffix and --txt-wildcard-replacement of that ExternalDNS, and write it into {field}",
            counted(names.len(), "name"),
        );
        Some(Warning::new(WarningCode::TxtPrefixInferred, message))
    }
}

/// How much speaks for TXT records being live: ExternalDNS keeps the weight of a TXT equal to that of its record, and
/// since v0.12 it writes names with the type of the record.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
struct Score {
    weights: usize,
    types: usize,
}

impl Score {
    /// Of the texts of the same records as `claims`.
    fn of<'e>(claims: &[Claim<'_, '_>], texts: impl Iterator<Item = &'e Explained<'e>>) -> Self {
        let mut score = Self {
            weights: 0,
            types: 0,
        };
        for (claim, explained) in claims.iter().zip(texts) {
            score.weights += usize::from(explained.text.weight() == claim.weight);
            score.types += usize::from(explained.text.naming != TxtNaming::Any);
        }
        score
    }
}

/// The records at names that move to which an explanation attaches a TXT.
fn records<'e, 'z>(
    explanation: &'e Explanation<'z>,
    moved: &BTreeSet<&RecordName>,
) -> impl Iterator<Item = (&'z RecordName, &'e RecordType)> {
    let attached = explanation.attached();
    attached
        .filter(|(it, _)| moved.contains(it.name))
        .map(|(it, record_type)| (it.name, record_type))
}

fn named(explanation: &Explanation<'_>, txt: Option<&RecordName>) -> NamedText {
    NamedText {
        txt: txt.cloned(),
        flags: explanation.flags.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::dns::{RecordData, Routing, SetIdentifier};

    const SIDE: &str = "blue";
    const RESOURCE: &str = "ingress/team/app";

    fn record_set(name: &RecordName, record_type: RecordType, values: Vec<String>) -> RecordSet {
        RecordSet {
            name: name.clone(),
            record_type,
            routing: Routing::Weighted {
                set_identifier: SIDE.parse().unwrap(),
                weight: 100,
            },
            data: RecordData::Values {
                ttl_seconds: 300,
                values,
            },
            health_check_id: None,
            traffic_policy_instance_id: None,
        }
    }

    fn flags(prefix: &str, suffix: &str, replacement: &str) -> RegistryNames {
        RegistryNames {
            txt_prefix: prefix.parse().unwrap(),
            txt_suffix: suffix.parse().unwrap(),
            txt_wildcard_replacement: replacement.parse().unwrap(),
        }
    }

    fn told(flags: &RegistryNames) -> ToldFlags {
        ToldFlags {
            txt_prefix: Some(flags.txt_prefix.clone()),
            txt_suffix: Some(flags.txt_suffix.clone()),
            txt_wildcard_replacement: Some(flags.txt_wildcard_replacement.clone()),
        }
    }

    /// A zone with records of these names and types.
    fn zone(records: &[(RecordName, Vec<RecordType>)]) -> Zone {
        let mut zone = Zone {
            id: "Z1".parse().unwrap(),
            name: "example.com".parse().unwrap(),
            record_sets: std::collections::BTreeMap::new(),
        };
        for (name, types) in records {
            for record_type in types {
                add(&mut zone, record_set(name, record_type.clone(), Vec::new()));
            }
        }
        zone
    }

    fn add(zone: &mut Zone, record_set: RecordSet) {
        let at_name = zone.record_sets.entry(record_set.name.clone()).or_default();
        let is_same = |it: &RecordSet| it.record_type == record_set.record_type;
        if !at_name.iter().any(is_same) {
            at_name.push(record_set);
        }
    }

    /// Adds the TXT records that an ExternalDNS with these flags writes; also the ones without a type if it is an
    /// old one.
    fn register(
        zone: &mut Zone,
        records: &[(RecordName, Vec<RecordType>)],
        flags: &RegistryNames,
        is_old: bool,
        resource: &str,
    ) {
        let affixes = [&flags.txt_prefix, &flags.txt_suffix];
        let has_type = affixes.iter().any(|it| it.as_str().contains('%'));
        for (name, types) in records {
            let registered = match flags.txt_wildcard_replacement.as_str() {
                "" => name.to_string(),
                replacement => name.host(replacement),
            };
            let (label, parent) = registered.split_at(registered.find('.').unwrap());
            for (naming, txt) in flags.record_names(name) {
                let is_written = match naming {
                    TxtNaming::A => types.contains(&RecordType::A) && !is_old,
                    TxtNaming::Aaaa => types.contains(&RecordType::Aaaa),
                    TxtNaming::Cname => {
                        types.contains(&RecordType::Cname)
                            || (is_old && types.contains(&RecordType::A))
                    }
                    TxtNaming::Any => is_old && !has_type && *types != [RecordType::Aaaa],
                };
                // With the type in an affix, there is a second name for records of earlier versions.
                let record_type = naming.as_str().to_ascii_lowercase();
                let [prefix, suffix] =
                    affixes.map(|it| it.as_str().replace("%{record_type}", &record_type));
                let current = format!("{prefix}{label}{suffix}{parent}");
                if is_written && (!has_type || txt.as_str() == current) && txt.is_in(&zone.name) {
                    let value = format!(
                        "\"heritage=external-dns,external-dns/owner=blue,external-dns/resource={resource}\""
                    );
                    add(zone, record_set(&txt, RecordType::Txt, vec![value]));
                }
            }
        }
    }

    fn resolve<'z>(
        zone: &'z Zone,
        side: &'z SetIdentifier,
        told: &ToldFlags,
        moved: &BTreeSet<&RecordName>,
    ) -> Result<Registry<'z>, Error> {
        let flags = SideFlags {
            field: "externalDns.from",
            side: SetIdentifierTemplate::from(side),
            registry: SideRegistry::new(zone, |it| it == side),
            told,
            zone,
            moved,
        };
        flags.registry()
    }

    fn names() -> impl Strategy<Value = Vec<(RecordName, Vec<RecordType>)>> {
        let label = prop_oneof![
            Just("*.".to_owned()),
            Just("*.apps.".to_owned()),
            Just(String::new()),
            Just("apps.".to_owned()),
            "[a-c]{1,2}\\.",
            "(a|aaaa|cname|app)-[a-c]{1,2}\\.",
            "[a-c]{1,2}\\.apps\\.",
        ];
        let types = prop_oneof![
            Just(vec![RecordType::A]),
            Just(vec![RecordType::A, RecordType::Aaaa]),
            Just(vec![RecordType::Cname]),
            Just(vec![RecordType::Aaaa]),
        ];
        let name = label.prop_map(|label| format!("{label}example.com").parse().unwrap());
        proptest::collection::btree_map(name, types, 1..5)
            .prop_map(|names| names.into_iter().collect())
    }

    fn any_flags() -> impl Strategy<Value = RegistryNames> {
        let affix = || {
            prop_oneof![
                "[a-c_.-]{1,4}",
                "[a-c]{0,3}[_.-]{0,1}%\\{record_type\\}[_.-]{0,1}[a-c]{0,3}",
                Just("extdns.".to_owned()),
            ]
        };
        let replacement = || prop_oneof![Just(String::new()), "[d-f]{1,4}"];
        prop_oneof![
            replacement().prop_map(|star| flags("", "", &star)),
            (affix(), replacement()).prop_map(|(affix, star)| flags(&affix, "", &star)),
            (affix(), replacement()).prop_map(|(affix, star)| flags("", &affix, &star)),
        ]
    }

    /// The flags of a side with these records, of which those that begin with a `+` move; each with the TXT records of
    /// its name, as `txt` or `txt=resource`. `told` is the input's object.
    #[track_caller]
    fn check(told: Value, records: &[(&str, &[&str], &[&str])], expect: &str) {
        let mut parsed = Vec::new();
        let mut moved = BTreeSet::new();
        for (name, types, _) in records {
            let name: RecordName = name.trim_start_matches('+').parse().unwrap();
            let types = types.iter().map(|it| RecordType::from(*it)).collect();
            parsed.push((name, types));
        }
        let mut zone = zone(&parsed);
        for ((name, _), (text, _, texts)) in parsed.iter().zip(records) {
            if text.starts_with('+') {
                moved.insert(name);
            }
            for text in *texts {
                let (txt, resource) = text.split_once('=').unwrap_or((text, RESOURCE));
                let value = format!(
                    "\"heritage=external-dns,external-dns/owner=blue,external-dns/resource={resource}\""
                );
                let txt = txt.parse().unwrap();
                add(&mut zone, record_set(&txt, RecordType::Txt, vec![value]));
            }
        }
        let side = SIDE.parse().unwrap();
        let told: ToldFlags = serde_json::from_value(told).unwrap();
        let shown = match resolve(&zone, &side, &told, &moved) {
            Ok(registry) => {
                let attached = registry.explanation.attached_to(&moved).len();
                let orphans = registry.orphans().count();
                let flags = &registry.explanation.flags;
                format!("{flags}: {attached} attached, {orphans} not")
            }
            Err(error) => {
                let message = error.to_string();
                let (before, _) = message.split_once(';').unwrap();
                before.to_owned()
            }
        };
        assert_eq!(shown, expect);
    }

    const A: &[&str] = &["A"];
    const BOTH: &[&str] = &["A", "AAAA"];

    #[test]
    fn flags_that_are_not_told_are_inferred() {
        let untold = || json!({});
        // A suffix.
        check(
            untold(),
            &[(
                "+app.example.com",
                BOTH,
                &["a-app-own.example.com", "aaaa-app-own.example.com"],
            )],
            r#"{"txtSuffix": "-own"}: 2 attached, 0 not"#,
        );
        // The type in the prefix, which is how the apex has one in its zone.
        check(
            untold(),
            &[
                (
                    "+example.com",
                    BOTH,
                    &["own-a.example.com", "own-aaaa.example.com"],
                ),
                ("+app.example.com", A, &["own-a.app.example.com"]),
            ],
            r#"{"txtPrefix": "own-%{record_type}."}: 3 attached, 0 not"#,
        );
        check(
            untold(),
            &[(
                "+app.example.com",
                BOTH,
                &["app-a.reg.example.com", "app-aaaa.reg.example.com"],
            )],
            r#"{"txtSuffix": "-%{record_type}.reg"}: 2 attached, 0 not"#,
        );
        // A wildcard name, with and without a replacement.
        check(
            untold(),
            &[(
                "+*.example.com",
                BOTH,
                &["own.cname-\\052.example.com", "own.aaaa-\\052.example.com"],
            )],
            r#"{"txtPrefix": "own."}: 2 attached, 0 not"#,
        );
        check(
            untold(),
            &[
                (
                    "+*.example.com",
                    BOTH,
                    &["a-any.example.com", "aaaa-any.example.com"],
                ),
                ("+app.example.com", A, &["a-app.example.com"]),
            ],
            r#"{"txtWildcardReplacement": "any"}: 3 attached, 0 not"#,
        );
        check(
            untold(),
            &[
                (
                    "+*.example.com",
                    BOTH,
                    &["own.a-any.example.com", "own.aaaa-any.example.com"],
                ),
                ("+app.example.com", A, &["own.a-app.example.com"]),
            ],
            r#"{"txtPrefix": "own.", "txtWildcardReplacement": "any"}: 3 attached, 0 not"#,
        );
        // Up to v0.17, also without the type.
        check(
            untold(),
            &[(
                "+app.example.com",
                A,
                &["own.cname-app.example.com", "own.app.example.com"],
            )],
            r#"{"txtPrefix": "own."}: 2 attached, 0 not"#,
        );
        check(
            untold(),
            &[(
                "+app.example.com",
                &["CNAME"],
                &["own.cname-app.example.com"],
            )],
            r#"{"txtPrefix": "own."}: 1 attached, 0 not"#,
        );
        // Other names of the side show it as well.
        check(
            untold(),
            &[
                ("+example.com", A, &["own-a.example.com"]),
                ("app.example.com", A, &["own-a.app.example.com"]),
                ("api.example.com", A, &["own-a.api.example.com"]),
            ],
            r#"{"txtPrefix": "own-%{record_type}."}: 1 attached, 0 not"#,
        );
        // In part told.
        check(
            json!({"txtPrefix": "own."}),
            &[("+*.example.com", A, &["own.a-any.example.com"])],
            r#"{"txtPrefix": "own.", "txtWildcardReplacement": "any"}: 1 attached, 0 not"#,
        );
    }

    #[test]
    fn other_names_of_the_default_flags_need_no_inference() {
        check(
            json!({}),
            &[
                (
                    "+app.example.com",
                    A,
                    &["cname-app.example.com", "app.example.com"],
                ),
                (
                    "+api.example.com",
                    A,
                    &["cname-gone.example.com=ingress/team/gone"],
                ),
            ],
            r#"{"txtPrefix": ""}: 2 attached, 1 not"#,
        );
    }

    #[test]
    fn told_flags_are_taken_although_others_have_left_texts() {
        let records: &[(&str, &[&str], &[&str])] = &[(
            "+app.example.com",
            A,
            &["new.a-app.example.com", "old.a-app.example.com"],
        )];
        check(
            json!({"txtPrefix": "new."}),
            records,
            r#"{"txtPrefix": "new."}: 1 attached, 1 not"#,
        );
        check(
            json!({}),
            records,
            "externalDns.from: two registry TXT records of blue are for the A record of app.example.com and for \
             ingress/team/app: new.a-app.example.com (by {\"txtPrefix\": \"new.\"}), and old.a-app.example.com (by \
             {\"txtPrefix\": \"old.\"})",
        );
        // Of another object, it is no TXT of the record.
        check(
            json!({}),
            &[(
                "+app.example.com",
                BOTH,
                &[
                    "a-app.example.com",
                    "aaaa-app.example.com",
                    "old.a-app.example.com=ingress/team/old",
                ],
            )],
            r#"{"txtPrefix": ""}: 2 attached, 1 not"#,
        );
    }

    /// Nearly every name is a prefix and a name above it, so such a guess says nothing.
    #[test]
    fn left_texts_are_not_taken_for_those_of_a_name_above() {
        let left = &[
            "extdns.a-app.example.com",
            "old.a-gone.apps.example.com=ingress/team/gone",
        ];
        check(
            json!({"txtPrefix": "extdns."}),
            &[("+example.com", A, &[]), ("+app.example.com", A, left)],
            r#"{"txtPrefix": "extdns."}: 1 attached, 1 not"#,
        );
        check(
            json!({}),
            &[("+example.com", A, &["old.a-gone.apps.example.com"])],
            r#"{"txtPrefix": ""}: 0 attached, 1 not"#,
        );
        check(
            json!({}),
            &[
                ("+example.com", A, &[]),
                ("+app.example.com", A, left),
                ("+api.example.com", A, &["extdns.a-api.example.com"]),
            ],
            r#"{"txtPrefix": "extdns."}: 2 attached, 1 not"#,
        );
    }

    /// Of a record that is gone, or of a type that does not move.
    #[test]
    fn other_texts_of_the_default_flags_are_no_other_flags() {
        check(
            json!({}),
            &[(
                "+apps.example.com",
                BOTH,
                &[
                    "a-apps.example.com",
                    "aaaa-apps.example.com",
                    "a-foo.apps.example.com",
                ],
            )],
            r#"{"txtPrefix": ""}: 2 attached, 1 not"#,
        );
        check(
            json!({}),
            &[(
                "+app.example.com",
                A,
                &[
                    "a-app.example.com",
                    "aaaa-app.example.com",
                    "ns-app.example.com",
                    "a-gone.example.com",
                ],
            )],
            r#"{"txtPrefix": ""}: 1 attached, 2 not"#,
        );
    }

    #[test]
    fn told_flags_that_contradict_the_zone_are_refused() {
        check(
            json!({"txtPrefix": "other."}),
            &[("+app.example.com", A, &["own.a-app.example.com"])],
            "externalDns.from: expected the flags that name the registry TXT records of blue, found {\"txtPrefix\": \
             \"other.\"}, by which the names that move have no TXT",
        );
        check(
            json!({"txtPrefix": "other."}),
            &[("+app.example.com", A, &["a-app.example.com"])],
            "externalDns.from: expected the flags that name the registry TXT records of blue, found {\"txtPrefix\": \
             \"other.\"}, by which the names that move have no TXT",
        );
        check(
            json!({"txtWildcardReplacement": "other"}),
            &[("+*.example.com", A, &["a-any.example.com"])],
            "externalDns.from: expected the flags that name the registry TXT records of blue, found \
             {\"txtWildcardReplacement\": \"other\"}, by which the names that move have no TXT",
        );
    }

    #[test]
    fn several_answers_are_refused() {
        // Different names have different ones.
        check(
            json!({}),
            &[
                ("+app.example.com", A, &["a-app.example.com"]),
                ("+api.example.com", A, &["own.a-api.example.com"]),
            ],
            "externalDns.from: the registry TXT records of blue may be named by several flags: a-app.example.com (by \
             {\"txtPrefix\": \"\"}), or own.a-api.example.com (by {\"txtPrefix\": \"own.\"})",
        );
        // Of the A or of the AAAA record.
        check(
            json!({}),
            &[("+app.example.com", BOTH, &["own.aaaa-app.example.com"])],
            "externalDns.from: the registry TXT records of blue may be named by several flags: own.aaaa-app.example.com \
             (by {\"txtPrefix\": \"own.\"}), or own.aaaa-app.example.com (by {\"txtPrefix\": \"own.aaa\"})",
        );
    }

    /// The weight of the TXT records that ExternalDNS keeps up follows that of the record.
    #[test]
    fn of_two_texts_the_one_with_the_weight_of_the_record_is_live() {
        let name: RecordName = "app.example.com".parse().unwrap();
        let records = [(name, vec![RecordType::A])];
        let mut zone = zone(&records);
        register(&mut zone, &records, &flags("old.", "", ""), false, RESOURCE);
        for record_set in zone.record_sets.values_mut().flatten() {
            if record_set.record_type == RecordType::Txt {
                *record_set = record_set.with_weight(7);
            }
        }
        register(&mut zone, &records, &flags("new.", "", ""), false, RESOURCE);
        let side = SIDE.parse().unwrap();
        let moved = records.iter().map(|(name, _)| name).collect();
        let told_new = told(&flags("new.", "", ""));
        assert!(resolve(&zone, &side, &told_new, &moved).is_ok());
        for told in [told(&flags("old.", "", "")), ToldFlags::default()] {
            let Err(error) = resolve(&zone, &side, &told, &moved) else {
                panic!("expected a refusal");
            };
            let live = "probably {\"txtPrefix\": \"new.\"}, whose TXT records have the weights of their records";
            assert!(error.to_string().contains(live), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever the flags and the names are, the plan attaches the TXT records as ExternalDNS does, or refuses.
        #[test]
        fn flags_are_inferred_rightly_or_not_at_all(
            records in names(),
            flags in any_flags(),
            is_old: bool,
            moved in any::<proptest::sample::Index>(),
            moves_all: bool,
        ) {
            // What is then `aaaa-` in the name of an A record's TXT says AAAA without any flag, too.
            prop_assume!(!flags.txt_prefix.as_str().ends_with("aaa"));
            let mut zone = zone(&records);
            register(&mut zone, &records, &flags, is_old, RESOURCE);
            let side = SIDE.parse().unwrap();
            let mut names: BTreeSet<_> = records.iter().map(|(name, _)| name).collect();
            if !moves_all {
                let one = &records[moved.index(records.len())].0;
                names.retain(|name| *name == one);
            }
            let of_flags = SideRegistry::new(&zone, |it| *it == side).explanation(&flags);
            let truth = of_flags.attached_to(&names);
            match resolve(&zone, &side, &ToldFlags::default(), &names) {
                Ok(registry) => {
                    let found = registry.explanation.attached_to(&names);
                    let shown = format!("{} for {flags}", registry.explanation.flags);
                    prop_assert!(found.is_subset(&truth), "{found:?} by {shown}");
                    // Where the replacement of a `*` begins may be unknown.
                    let is_replaced = !flags.txt_wildcard_replacement.is_empty()
                        && names.iter().any(|name| name.wildcard_parent().is_some());
                    let may_be_unknown = is_replaced || !of_flags.is_plausible();
                    prop_assert!(found == truth || may_be_unknown, "{found:?} by {shown}");
                }
                Err(Error::InvalidInput(problem)) => {
                    let is_ambiguous = matches!(
                        *problem,
                        InvalidInput::SeveralRegistryFlags { .. } | InvalidInput::TwoRegistryTexts { .. }
                    );
                    prop_assert!(is_ambiguous, "{}", problem);
                }
                Err(error) => prop_assert!(false, "{}", error),
            }
            // Told, they are right.
            match resolve(&zone, &side, &told(&flags), &names) {
                Ok(registry) => prop_assert_eq!(&registry.explanation.attached_to(&names), &truth),
                Err(error) => prop_assert!(false, "{} for {}", error, flags),
            }
        }
    }
}
