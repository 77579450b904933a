//! Whatever zone is planned: the migration moves every selected name beside both ExternalDNS, or the plan says
//! beforehand, by a refusal or a warning, why not. After what the plan advises is done, the zone moves without either.

use std::collections::BTreeSet;

use external_dns::{Affix, Controller, Endpoint, Generation, Settings};
use fakes::record_sets_from_cli_json;
use fastrand::Rng;
use migration::dns::{RecordData, RecordName, RecordSet, RecordType, Routing};
use serde_json::{Value, json};

use crate::external_dns::Clusters;
use crate::invariants::{replace_in_values, run};
use crate::zones::{self, BLUE, GREEN};
use crate::{Simulation, ZONE_ID};

/// So many zones in the ordinary tests.
const ZONES: u64 = 300;
/// No zone needs as many plans until everything that the plan says is done.
const MOST_PLANS: usize = 12;
const GENERATIONS: [Generation; 4] = [
    Generation::DualstackLabel,
    Generation::WithUntyped,
    Generation::CnameForAlias,
    Generation::OwnType,
];
/// The types of records that point at a name.
const POINTING: [&str; 3] = ["HTTPS", "SVCB", "SRV"];
/// The name with another routing policy.
const OTHER_ROUTING: &str = "routed.example.com";
/// The third set identifier at some names.
const THIRD: &str = "maintenance";

/// A zone, the two ExternalDNS that write it, and the input of a migration.
struct Estate {
    clusters: Clusters,
    input: Value,
}

/// What a random zone can have besides names that move.
type Flaw = fn(&mut Estate, &mut Rng);

const FLAWS: [(&str, Flaw); 18] = [
    ("no record of green", no_record_of_green),
    ("another routing policy", other_routing),
    ("a simple record in `names`", simple_record_in_names),
    ("weights of 0", weights_of_zero),
    ("a foreign journal", foreign_journal),
    ("coarse weights beside a third record", coarse_weights),
    ("a long TTL", long_ttl),
    ("a record that points at a name", pointing_record),
    ("no delegation", no_delegation),
    ("a full zone", full_zone),
    ("no lease", no_lease),
    ("an exclusion without a match", exclusion_without_match),
    ("no observer", no_observer),
    ("another weight of a TXT", other_weight_of_txt),
    ("a TXT of a deleted object", txt_of_deleted_object),
    ("a TXT of former flags", txt_of_former_flags),
    ("wrong flags in the input", wrong_flags),
    ("the default owner", default_owner),
];

/// The warnings that advise to change nothing.
const LEFT_ALONE: [&str; 1] = ["txt-of-other-flags"];

/// What became of a zone's first plan.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Answer {
    Moved,
    Warned,
    Refused,
}

#[test]
fn every_zone_moves_as_planned_or_the_plan_says_why_not_and_what_to_do() {
    let answers: Vec<_> = (0..ZONES).map(check).collect();
    for answer in [Answer::Moved, Answer::Warned, Answer::Refused] {
        let count = answers.iter().filter(|it| **it == answer).count();
        println!("{answer:?}: {count} of {ZONES} zones");
        assert!(count * 5 >= answers.len(), "{answer:?}: {count}");
    }
}

fn check(seed: u64) -> Answer {
    let random = &mut Rng::with_seed(seed);
    let mut estate = Estate::random(random);
    let count = random.choice([0, 0, 1, 1, 2]).unwrap();
    let mut flaws = Vec::new();
    for (name, flaw) in random.choose_multiple(FLAWS, count) {
        flaw(&mut estate, random);
        flaws.push(name);
    }
    let context = format!("seed {seed}, {flaws:?}");
    let mut first = None;
    let mut done = BTreeSet::new();
    for _ in 0..MOST_PLANS {
        let (answer, advice) = estate.plan();
        first.get_or_insert(answer);
        let is_left = advice
            .iter()
            .all(|(about, _)| LEFT_ALONE.contains(&about.as_str()));
        if is_left && answer != Answer::Refused {
            estate.migrate(&context);
            return first.unwrap();
        }
        let to_do = advice
            .into_iter()
            .filter(|(about, _)| !LEFT_ALONE.contains(&about.as_str()));
        for (about, text) in to_do {
            estate.follow(&about, &text, &context);
            done.insert(about);
        }
    }
    let (_, advice) = estate.plan();
    panic!("{context}: the plan still objects after {done:?}: {advice:?}");
}

impl Estate {
    /// Names of all kinds on both sides, written by two ExternalDNS with the same flags.
    fn random(random: &mut Rng) -> Self {
        loop {
            let estate = Self::any(random);
            let zone = estate.clusters.simulation.route53.record_sets();
            let exists = |endpoint: &Endpoint| {
                zone.iter().any(|it| {
                    (&it.name, &it.record_type) == (&endpoint.name, &endpoint.record_type)
                        && it.routing == endpoint.routing
                })
            };
            let (blue, green) = (&estate.clusters.blue, &estate.clusters.green);
            // Some versions can't write a wildcard record with some flags.
            if blue.desired().iter().chain(&green.desired()).all(exists) {
                return estate;
            }
        }
    }

    fn any(random: &mut Rng) -> Self {
        let settings = |owner: &str, random: &mut Rng| Settings {
            affix: match random.u8(0..4) {
                0 => Affix::Prefix("reg.".to_owned()),
                1 => Affix::Suffix("-reg".to_owned()),
                _ => Affix::None,
            },
            wildcard_replacement: "any".repeat(random.usize(0..=1)),
            ..Settings::new(owner, random.choice(GENERATIONS).unwrap())
        };
        let blue = settings(BLUE, random);
        let green = Settings {
            owner: GREEN.to_owned(),
            generation: if random.u8(0..4) == 0 {
                random.choice(GENERATIONS).unwrap()
            } else {
                blue.generation
            },
            ..blue.clone()
        };
        let count = random.usize(1..=3);
        let kinds = random.choose_multiple(0..4, count);
        let simulation =
            Simulation::new(&json!({"ResourceRecordSets": [zones::soa()]}).to_string());
        let endpoints = |settings: &Settings, weight| -> Vec<_> {
            let of_kind = |kind| endpoints(kind, settings, weight);
            kinds.iter().copied().flat_map(of_kind).collect()
        };
        let mut input = json!({
            "hostedZoneId": ZONE_ID, "from": BLUE, "to": GREEN, "steps": [10, 50, 100],
            "bakeSeconds": 60,
        });
        if random.u8(0..3) > 0 {
            input["externalDns"] = json!({"from": flags(&blue), "to": flags(&green)});
        }
        let clusters = Clusters {
            simulation,
            blue: Controller::new(blue.clone(), endpoints(&blue, 100)),
            green: Controller::new(green.clone(), endpoints(&green, 0)),
        };
        clusters.passes();
        Self { clusters, input }
    }

    fn edit(&self, edit: impl FnOnce(&mut Vec<RecordSet>)) {
        self.clusters.simulation.route53.edit(edit);
    }

    /// The names with records of blue, in order.
    fn names(&self) -> Vec<RecordName> {
        let names: BTreeSet<_> = self
            .clusters
            .blue
            .desired()
            .into_iter()
            .map(|it| it.name)
            .collect();
        names.into_iter().collect()
    }

    /// Plans, and returns what the plan says: the kind of each problem, and its text.
    fn plan(&self) -> (Answer, Vec<(String, String)>) {
        match run(self.clusters.simulation.plan("plan", &self.input)) {
            Err(error) => (
                Answer::Refused,
                vec![(error.name().to_owned(), error.to_string())],
            ),
            Ok(planned) => {
                let warnings = planned["plan"]["warnings"].as_array().unwrap();
                let text = |value: &Value| value.as_str().unwrap().to_owned();
                let advice: Vec<_> = warnings
                    .iter()
                    .map(|warning| (text(&warning["code"]), text(&warning["message"])))
                    .collect();
                let answer = if advice.is_empty() {
                    Answer::Moved
                } else {
                    Answer::Warned
                };
                (answer, advice)
            }
        }
    }

    /// Migrates with one pass of each ExternalDNS in every wait. Every name that is selected must be at 100 percent,
    /// and no pass may have found anything to change.
    fn migrate(&self, context: &str) {
        // Some versions also create a TXT that exists, again and again, which Route 53 refuses.
        let unchanged = || {
            for outcome in self.clusters.passes() {
                assert!(outcome.changed.is_empty(), "{context}: {outcome:#?}");
            }
        };
        unchanged();
        let ended = self
            .clusters
            .simulation
            .migrate_watched("run", &self.input, unchanged);
        ended.unwrap_or_else(|failure| panic!("{context}: {failure:?}"));
        let settings = self.clusters.blue.settings();
        // The oracle finds the registry TXT records of a name by the default flags.
        if settings.affix == Affix::None && settings.wildcard_replacement.is_empty() {
            self.clusters.simulation.expect_invariants();
        }
        let excluded = self.input["exclude"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for record_set in self.clusters.simulation.route53.record_sets() {
            let is_excluded = excluded.contains(&json!(record_set.name.as_str()));
            if let (true, false, Some((side, weight))) = (
                record_set.record_type.moves(),
                is_excluded,
                record_set.weighted(),
            ) {
                let is_right = match side.as_str() {
                    BLUE => weight == 0,
                    GREEN => weight > 0,
                    _ => true,
                };
                assert!(is_right, "{context}: {record_set:?}");
            }
        }
    }

    fn exclude(&mut self, name: &str) {
        let excluded = self.input["exclude"].as_array_mut();
        match excluded {
            Some(excluded) => excluded.push(name.into()),
            None => self.input["exclude"] = json!([name]),
        }
    }

    /// The names whose row of the plan's table says this.
    fn names_with(&self, outcome: &str) -> Vec<String> {
        let planned = run(self.clusters.simulation.plan("plan", &self.input)).unwrap();
        let rows = planned["plan"]["nameTable"]["rows"].as_array().unwrap();
        let matching = rows
            .iter()
            .filter(|row| row["outcome"].as_str().unwrap().contains(outcome));
        matching
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Does what the plan advises.
    fn follow(&mut self, about: &str, text: &str, context: &str) {
        match about {
            "names-without-to" => {
                for name in self.names_with("no record of `to`") {
                    self.exclude(&name);
                }
            }
            "other-routing" => self.exclude(OTHER_ROUTING),
            "pointing-records" => {
                self.edit(|zone| {
                    zone.retain(|it| !POINTING.contains(&it.record_type.as_str()));
                });
            }
            "long-ttl" => set_ttl(self, 60),
            "not-leased" => self.input["externalDns"]["mode"] = "lease".into(),
            "exclude-without-match" => {
                let excluded = self.input["exclude"].as_array_mut().unwrap();
                excluded.retain(|it| it != "absent.example.com");
            }
            "nothing-observed" => self.input["probe"] = json!({"enabled": true}),
            "txt-weight-differs" => self.give_texts_the_weights_of_their_records(),
            "txt-without-record" => {
                self.edit(|zone| zone.retain(|it| !it.name.as_str().contains("deleted")));
            }
            "default-owner" => set_owner(&mut self.clusters, BLUE),
            "txt-names-differ" => self.upgrade(),
            "one-sided-type" => self.run_without_aaaa(),
            "txt-prefix-inferred" => self.tell_flags(),
            "AllZeroWeights" | "Busy" | "InvalidInput" | "NoSuchPair" | "UnsupportedRouting" => {
                self.remove_what_is_refused(text, context);
            }
            other => panic!("{context}: no remedy is known for {other}: {text}"),
        }
    }

    /// A refusal may list problems of several kinds.
    fn remove_what_is_refused(&mut self, text: &str, context: &str) {
        let mut is_known = false;
        let mut handle = |part: &str, remedy: &mut dyn FnMut()| {
            if text.contains(part) {
                is_known = true;
                remedy();
            }
        };
        let simulation = &self.clusters.simulation;
        let mut needs_flags = false;
        for part in [
            "by which the names that move have no TXT",
            "and leave both TXT records",
        ] {
            handle(part, &mut || needs_flags = true);
        }
        handle("may be named by several flags", &mut || needs_flags = true);
        handle("have weight 0 on both", &mut || {
            set_weights(&self.clusters, BLUE, 100);
        });
        handle("is not trusted as a journal", &mut || {
            let is_foreign = |it: &RecordSet| it.values().iter().any(|value| value == "\"hello\"");
            simulation
                .route53
                .edit(|zone| zone.retain(|it| !is_foreign(it)));
        });
        handle("has no NS records", &mut || {
            simulation.world.resolver.delegate(&fakes::NAME_SERVERS);
        });
        handle("record sets, and the migration would add", &mut || {
            simulation.route53.set_record_limit(10_000);
        });
        handle("can't be expressed", &mut || {
            for (side, weight) in proposed_weights(text) {
                set_weights(&self.clusters, &side, weight);
            }
        });
        let mut excluded = Vec::new();
        handle("expected weighted", &mut || {
            excluded.push("simple.example.com");
        });
        let mut has_lone_aaaa = false;
        handle("but none of", &mut || {
            excluded.push("only-blue.example.com");
            has_lone_aaaa = text.contains("has a weighted AAAA record");
        });
        assert!(is_known, "{context}: {text}");
        for name in excluded {
            self.exclude(name);
        }
        if needs_flags {
            self.tell_flags();
            // By these the plan finds out which of two TXT records is live.
            self.give_texts_the_weights_of_their_records();
        }
        if has_lone_aaaa {
            self.run_without_aaaa();
        }
    }

    fn give_texts_the_weights_of_their_records(&self) {
        self.edit(|zone| {
            let of_blue = |it: &&mut RecordSet| {
                it.record_type == RecordType::Txt
                    && it.weighted().is_some_and(|(side, _)| side.as_str() == BLUE)
            };
            for text in zone.iter_mut().filter(of_blue) {
                *text = text.with_weight(100);
            }
        });
    }

    /// Writes the flags that both ExternalDNS run with into the input.
    fn tell_flags(&mut self) {
        let (blue, green) = (&self.clusters.blue, &self.clusters.green);
        let told = [
            ("from", flags(blue.settings())),
            ("to", flags(green.settings())),
        ];
        for (side, flags) in told {
            self.input["externalDns"][side] = flags;
        }
    }

    /// Both sides run the newer of the two versions, and write all of their records again.
    fn upgrade(&mut self) {
        let (blue, green) = (&self.clusters.blue, &self.clusters.green);
        let generation = blue.settings().generation.max(green.settings().generation);
        let upgraded = |controller: &Controller| {
            let settings = Settings {
                generation,
                ..controller.settings().clone()
            };
            Controller::new(settings, controller.desired())
        };
        let (blue, green) = (upgraded(blue), upgraded(green));
        self.edit(|zone| {
            let is_written = |it: &RecordSet| {
                it.weighted()
                    .is_some_and(|(side, _)| [BLUE, GREEN].contains(&side.as_str()))
            };
            zone.retain(|it| !is_written(it));
        });
        (self.clusters.blue, self.clusters.green) = (blue, green);
        self.clusters.passes();
    }

    /// `--exclude-record-types=AAAA` on the side that writes them.
    fn run_without_aaaa(&mut self) {
        for controller in [&self.clusters.blue, &self.clusters.green] {
            controller.edit(|endpoints| endpoints.retain(|it| it.record_type != RecordType::Aaaa));
        }
        self.clusters.passes();
        self.edit(|zone| {
            let of_third = |it: &RecordSet| {
                it.record_type == RecordType::Aaaa
                    && it
                        .weighted()
                        .is_some_and(|(side, _)| side.as_str() == THIRD)
            };
            zone.retain(|it| !of_third(it));
        });
    }
}

/// The flags of an instance, as an input tells them.
fn flags(settings: &Settings) -> Value {
    let mut flags = json!({});
    match &settings.affix {
        Affix::None => flags["txtPrefix"] = "".into(),
        Affix::Prefix(prefix) => flags["txtPrefix"] = prefix.as_str().into(),
        Affix::Suffix(suffix) => flags["txtSuffix"] = suffix.as_str().into(),
    }
    if !settings.wildcard_replacement.is_empty() {
        flags["txtWildcardReplacement"] = settings.wildcard_replacement.as_str().into();
    }
    flags
}

/// The weights that the text proposes: `… name by 20: blue 200, green 0 (in …`.
fn proposed_weights(text: &str) -> Vec<(String, u8)> {
    let (_, after) = text
        .split_once("weights of the name")
        .or_else(|| text.split_once("weights with"))
        .unwrap();
    let (_, list) = after.split_once(": ").unwrap();
    let (list, _) = list.split_once(" (").unwrap();
    let pair = |item: &str| {
        let (side, weight) = item.rsplit_once(' ').unwrap();
        (side.to_owned(), weight.parse().unwrap())
    };
    list.split(", ").map(pair).collect()
}

fn endpoints(kind: u8, settings: &Settings, weight: u8) -> Vec<Endpoint> {
    let alias = RecordData::Alias {
        hosted_zone_id: "Z3Q77PNBQS71R4".to_owned(),
        dns_name: format!("{}-1234567890.eu-west-3.elb.amazonaws.com.", settings.owner),
        evaluate_target_health: true,
    };
    let values = |value: &str| RecordData::Values {
        ttl_seconds: 60,
        values: vec![value.to_owned()],
    };
    let (name, data): (&str, Vec<(RecordType, RecordData)>) = match kind {
        0 => (
            "app.example.com",
            vec![(RecordType::A, alias.clone()), (RecordType::Aaaa, alias)],
        ),
        1 => (
            "*.apps.example.com",
            vec![(RecordType::A, alias.clone()), (RecordType::Aaaa, alias)],
        ),
        2 => (
            "docs.example.com",
            vec![(RecordType::Cname, values("target.example.net"))],
        ),
        _ => (
            "direct.example.com",
            vec![(RecordType::A, values("192.0.2.1"))],
        ),
    };
    // Up to v0.15 only for a dual-stack load balancer.
    let writes = |record_type: &RecordType| {
        *record_type != RecordType::Aaaa || settings.generation != Generation::DualstackLabel
    };
    data.into_iter()
        .filter(|(record_type, _)| writes(record_type))
        .map(|(record_type, data)| endpoint(name, record_type, data, &settings.owner, weight))
        .collect()
}

fn endpoint(
    name: &str,
    record_type: RecordType,
    data: RecordData,
    side: &str,
    weight: u8,
) -> Endpoint {
    Endpoint {
        name: name.parse().unwrap(),
        record_type,
        routing: Routing::Weighted {
            set_identifier: side.parse().unwrap(),
            weight,
        },
        data,
        health_check_id: None,
        resource: format!("ingress/default/{}", name.replace('*', "any")),
    }
}

fn address(name: &str, side: Option<(&str, u8)>, record_type: &str, value: &str) -> RecordSet {
    let mut record_set = json!({
        "Name": name, "Type": record_type, "TTL": 60, "ResourceRecords": [{"Value": value}],
    });
    if let Some((side, weight)) = side {
        record_set["SetIdentifier"] = side.into();
        record_set["Weight"] = weight.into();
    }
    let text = json!({ "ResourceRecordSets": [record_set] }).to_string();
    record_sets_from_cli_json(&text).remove(0)
}

fn no_record_of_green(estate: &mut Estate, random: &mut Rng) {
    let name = "only-blue.example.com";
    let only = endpoint(
        name,
        RecordType::A,
        RecordData::Values {
            ttl_seconds: 60,
            values: vec!["192.0.2.9".to_owned()],
        },
        BLUE,
        100,
    );
    estate.clusters.blue.edit(|endpoints| endpoints.push(only));
    estate.clusters.passes();
    if random.bool() {
        let mut names: Vec<_> = estate.names().iter().map(ToString::to_string).collect();
        names.push(name.to_owned());
        estate.input["names"] = json!(names);
    }
}

fn other_routing(estate: &mut Estate, random: &mut Rng) {
    let mut record_set = address(OTHER_ROUTING, Some((BLUE, 1)), "A", "192.0.2.9");
    let policies = ["latency", "failover", "geolocation", "multivalue answer"];
    record_set.routing = Routing::Other(random.choice(policies).unwrap());
    estate.edit(|zone| zone.push(record_set));
}

fn simple_record_in_names(estate: &mut Estate, _: &mut Rng) {
    let name = "simple.example.com";
    estate.edit(|zone| zone.push(address(name, None, "A", "192.0.2.9")));
    let mut names: Vec<_> = estate.names().iter().map(ToString::to_string).collect();
    names.push(name.to_owned());
    estate.input["names"] = json!(names);
}

fn weights_of_zero(estate: &mut Estate, _: &mut Rng) {
    set_weights(&estate.clusters, BLUE, 0);
}

fn foreign_journal(estate: &mut Estate, _: &mut Rng) {
    let name = estate.names().remove(0).journal();
    let text = address(name.as_str(), None, "TXT", "\"hello\"");
    estate.edit(|zone| zone.push(text));
}

/// A pair with a total of 1, 2 or 3 has no weights for 10 percent.
fn coarse_weights(estate: &mut Estate, random: &mut Rng) {
    set_weights(&estate.clusters, BLUE, random.u8(1..=3));
    let moved: Vec<_> = estate.clusters.blue.desired();
    let share = random.u8(1..=3);
    estate.edit(|zone| {
        let of_blue = |it: &&RecordSet| {
            it.record_type.moves()
                && it.weighted().is_some_and(|(side, _)| side.as_str() == BLUE)
                && moved.iter().any(|endpoint| endpoint.name == it.name)
        };
        let thirds: Vec<_> = zone
            .iter()
            .filter(of_blue)
            .map(|it| RecordSet {
                routing: Routing::Weighted {
                    set_identifier: THIRD.parse().unwrap(),
                    weight: share,
                },
                ..it.clone()
            })
            .collect();
        zone.extend(thirds);
    });
}

/// Changes the annotations of a side, and its records. Some versions can't do that, so another writer does.
fn set_weights(clusters: &Clusters, side: &str, weight: u8) {
    match side {
        BLUE => clusters.blue.set_all_weights(weight),
        GREEN => clusters.green.set_all_weights(weight),
        _ => {}
    }
    clusters.simulation.route53.edit(|zone| {
        let of_side =
            |it: &&mut RecordSet| it.weighted().is_some_and(|(it, _)| it.as_str() == side);
        for record_set in zone.iter_mut().filter(of_side) {
            *record_set = record_set.with_weight(weight);
        }
    });
}

fn long_ttl(estate: &mut Estate, _: &mut Rng) {
    set_ttl(estate, 7_200);
}

fn set_ttl(estate: &mut Estate, seconds: u32) {
    for controller in [&estate.clusters.blue, &estate.clusters.green] {
        controller.edit(|endpoints| {
            for endpoint in endpoints {
                if let RecordData::Values { ttl_seconds, .. } = &mut endpoint.data {
                    *ttl_seconds = seconds;
                }
            }
        });
    }
    // Route 53 wants one TTL for all records of a name and type, so it is another writer that changes them.
    estate.edit(|zone| {
        for record_set in zone.iter_mut().filter(|it| it.record_type.moves()) {
            if let RecordData::Values { ttl_seconds, .. } = &mut record_set.data {
                *ttl_seconds = seconds;
            }
        }
    });
}

fn pointing_record(estate: &mut Estate, random: &mut Rng) {
    let name = estate.names().remove(0);
    let record_type = random.choice(POINTING).unwrap();
    let record_set = address(name.as_str(), None, record_type, "1 . ipv4hint=192.0.2.1");
    estate.edit(|zone| zone.push(record_set));
}

fn no_delegation(estate: &mut Estate, _: &mut Rng) {
    estate.clusters.simulation.world.resolver.delegate(&[]);
}

fn full_zone(estate: &mut Estate, _: &mut Rng) {
    let route53 = &estate.clusters.simulation.route53;
    route53.set_record_limit(route53.record_sets().len());
}

fn no_lease(estate: &mut Estate, _: &mut Rng) {
    estate.input["externalDns"]["mode"] = "ignore".into();
}

fn exclusion_without_match(estate: &mut Estate, _: &mut Rng) {
    estate.exclude("absent.example.com");
}

fn no_observer(estate: &mut Estate, _: &mut Rng) {
    estate.input["probe"] = json!({"enabled": false});
}

fn other_weight_of_txt(estate: &mut Estate, _: &mut Rng) {
    estate.edit(|zone| {
        let blue = |it: &&mut RecordSet| {
            it.record_type == RecordType::Txt
                && it.weighted().is_some_and(|(side, _)| side.as_str() == BLUE)
        };
        if let Some(text) = zone.iter_mut().find(blue) {
            *text = text.with_weight(7);
        }
    });
}

/// A registry TXT of blue that no record has.
fn text_of(estate: &Estate, name: &str, resource: &str) -> RecordSet {
    let owner = &estate.clusters.blue.settings().owner;
    let value = format!(
        "\"heritage=external-dns,external-dns/owner={owner},external-dns/resource={resource}\""
    );
    address(name, Some((BLUE, 100)), "TXT", &value)
}

/// `ExternalDNS` was stopped before it could delete it.
fn txt_of_deleted_object(estate: &mut Estate, _: &mut Rng) {
    let text = text_of(estate, "a-deleted.example.com", "ingress/default/deleted");
    estate.edit(|zone| zone.push(text));
}

/// `ExternalDNS` never deletes it, whatever its flags are now.
fn txt_of_former_flags(estate: &mut Estate, _: &mut Rng) {
    let desired = estate.clusters.blue.desired();
    let Some(app) = desired
        .iter()
        .find(|it| it.name.wildcard_parent().is_none())
    else {
        return;
    };
    let name = format!("former.cname-{}", app.name);
    let text = text_of(estate, &name, &app.resource);
    estate.edit(|zone| zone.push(text));
}

fn wrong_flags(estate: &mut Estate, _: &mut Rng) {
    estate.input["externalDns"]["from"] = json!({"txtPrefix": "wrong."});
}

fn default_owner(estate: &mut Estate, _: &mut Rng) {
    set_owner(&mut estate.clusters, "default");
}

/// Gives blue another owner id.
fn set_owner(clusters: &mut Clusters, owner: &str) {
    let settings = clusters.blue.settings().clone();
    let (old, new) = (
        format!("owner={},", settings.owner),
        format!("owner={owner},"),
    );
    clusters.simulation.route53.edit(|zone| {
        let is_of_blue =
            |it: &RecordSet| it.weighted().is_some_and(|(side, _)| side.as_str() == BLUE);
        replace_in_values(zone, is_of_blue, &old, &new);
    });
    let settings = Settings {
        owner: owner.to_owned(),
        ..settings
    };
    clusters.blue = Controller::new(settings, clusters.blue.desired());
}
