//! Compares the model with the real ExternalDNS.
//!
//! Each comparison is a short life of an instance: a zone that others have written and edited
//! before, some flags, and a few passes with edits of the zone and of the desired endpoints in
//! between. Model and program have to send the same batches in every pass.
//!
//! | command                                                             | what it compares                          |
//! |---------------------------------------------------------------------|-------------------------------------------|
//! | `cargo test --package external-dns --test program`                   | 500 seeds from 0 for v0.15 and v0.22       |
//! | the same with `COMPARISONS=10000`                                    | that many seeds for v0.15, v0.21 and v0.22 |
//! | the same with `SEED=42`                                              | that seed for the three                    |

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a helper of a test panics when it fails"
)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use external_dns::{
    Action, Affix, Change, Controller, Endpoint, Generation, Outcome, Policy, Provider, Settings,
    Version, source_endpoints,
};
use fakes::{RecordSets, record_set_to_cli_json, record_sets_from_cli_json};
use fastrand::Rng;
use migration::dns::{RecordData, RecordName, RecordSet, RecordType, Routing};
use serde_json::{Value, json};

/// The number of comparisons for each version without `COMPARISONS`. Their seeds count from 0.
const COMPARISONS: u64 = 500;
const ZONE: &str = "example.com";
/// The name of the last is the zone's own; a TXT with a type before it is outside of the zone.
///
/// No name is that of another one with a type, such as `web` and `cname-web`: the order in which
/// ExternalDNS then sends the batches of single names decides which of them is refused, and that
/// order is random.
const NAMES: [&str; 7] = [
    "web.example.com",
    "*.apps.example.com",
    "a-b.example.com",
    "cname-old.example.com",
    "mx-relay.example.com",
    "deep.down.example.com",
    "example.com",
];
const OWNERS: [&str; 4] = ["blue", "green", "cutover/run", "a=b"];
const RESOURCES: [&str; 3] = ["ingress/web/web", "service/web/web", ""];
const SIDES: [Option<&str>; 3] = [Some("blue"), Some("green"), None];
/// Load balancers and their hosted zones, from `canonicalHostedZones` of `provider/aws/aws.go`.
const LOAD_BALANCERS: [(&str, &str); 3] = [
    ("k8s-blue-1.us-east-1.elb.amazonaws.com", "Z35SXDOTRQ7X7K"),
    ("k8s-green-2.us-east-1.elb.amazonaws.com", "Z35SXDOTRQ7X7K"),
    ("k8s-net-3.elb.eu-west-3.amazonaws.com", "Z1CMS0P5QUZ6D5"),
];

#[test]
fn model_sends_what_external_dns_v0_15_sends() {
    compare(Version::V0_15);
}

/// Only on demand, because each version takes minutes to build at first.
#[test]
fn model_sends_what_external_dns_v0_21_sends() {
    if ["COMPARISONS", "SEED"]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some())
    {
        compare(Version::V0_21);
    }
}

#[test]
fn model_sends_what_external_dns_v0_22_sends() {
    compare(Version::V0_22);
}

fn compare(version: Version) {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let Some(program) = version
        .build(target)
        .unwrap_or_else(|error| panic!("{error}"))
    else {
        return;
    };
    let mut program = Program::start(&program);
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("COMPARISONS").unwrap_or(COMPARISONS),
    };
    let mut tally = Tally::default();
    let mut failures = Vec::new();
    for seed in seeds.clone() {
        if let Err(difference) = compare_life(version, seed, &mut program, &mut tally) {
            failures.push((seed, difference));
        }
    }
    if let Some((seed, difference)) = failures.first() {
        let others: Vec<_> = failures.iter().skip(1).map(|(seed, _)| seed).collect();
        panic!("model and {version:?} differ with SEED={seed}, and {others:?}\n{difference}");
    }
    eprintln!("{version:?}: {tally:?}");
    // Comparisons of nothing show nothing.
    if seeds.end - seeds.start >= COMPARISONS {
        let third = tally.passes / 3;
        assert!(
            tally.changed > third,
            "too few passes change something: {tally:?}"
        );
        assert!(tally.refused > 0, "no batch was refused: {tally:?}");
        assert!(tally.cached > 0, "no pass used a cache: {tally:?}");
    }
}

/// What the comparisons covered.
#[derive(Debug, Default)]
struct Tally {
    passes: u64,
    /// Passes that sent a batch.
    changed: u64,
    /// Passes with a batch that was refused.
    refused: u64,
    /// Passes that may use the records of the pass before.
    cached: u64,
}

/// A running program that makes one pass for each line.
struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(path: &Path) -> Self {
        let mut child = Command::new(path)
            .arg("compare")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        }
    }

    fn pass(&mut self, pass: &Value) -> Value {
        writeln!(self.input, "{pass}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("the program ended: {error} in {line:?} after {pass}"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has nothing to finish.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The batches of a pass, as text. ExternalDNS sends the batches of single names in random order.
#[derive(Debug, Eq, PartialEq)]
struct Sent {
    batches: Vec<String>,
}

impl Sent {
    fn new(mut batches: Vec<String>) -> Self {
        if let Some(single) = batches.get_mut(1..) {
            single.sort();
        }
        Self { batches }
    }

    fn of_program(outcome: &Value) -> Self {
        let batches = outcome["batches"].as_array().unwrap().iter().map(|batch| {
            let changes = batch["changes"].as_array().unwrap().iter().map(|change| {
                let listing = json!({ "ResourceRecordSets": [change["ResourceRecordSet"]] });
                let record_set = record_sets_from_cli_json(&listing.to_string()).remove(0);
                shown(change["Action"].as_str().unwrap(), &record_set)
            });
            batch_shown(changes.collect(), batch["refusal"] != "")
        });
        Self::new(batches.collect())
    }
}

fn batch_shown(mut changes: Vec<(String, String)>, is_refused: bool) -> String {
    // Changes that differ in the set identifier only have no order.
    let mut start = 0;
    while start < changes.len() {
        let key = changes[start].0.clone();
        let length = changes[start..]
            .iter()
            .take_while(|change| change.0 == key)
            .count();
        changes[start..start + length].sort();
        start += length;
    }
    let mut text = if is_refused {
        "refused:\n"
    } else {
        "applied:\n"
    }
    .to_owned();
    for (_, change) in changes {
        writeln!(text, "  {change}").unwrap();
    }
    text
}

/// What ExternalDNS sorts a change by, and the change.
fn shown(action: &str, record_set: &RecordSet) -> (String, String) {
    let key = format!("{action} {} {}", record_set.record_type, record_set.name);
    let routing = match record_set.weighted() {
        Some((identifier, weight)) => format!(" {identifier} {weight}"),
        None => String::new(),
    };
    let data = match &record_set.data {
        RecordData::Values {
            ttl_seconds,
            values,
        } => {
            let mut values = values.clone();
            values.sort();
            format!("{ttl_seconds}s {}", values.join(" "))
        }
        RecordData::Alias {
            hosted_zone_id,
            dns_name,
            evaluate_target_health,
        } => {
            let name = dns_name.trim_end_matches('.');
            format!("alias {hosted_zone_id} {name} {evaluate_target_health}")
        }
    };
    let health = record_set.health_check_id.as_deref().unwrap_or("");
    let line = format!("{key}{routing} {data} {health}");
    (key, line)
}

/// The zone in memory, which refuses what the server of the program refuses.
struct Zone {
    record_sets: Mutex<Vec<RecordSet>>,
    sent: Mutex<Vec<String>>,
}

impl Zone {
    fn new() -> Self {
        let record_set = |record_type: &str, value: &str| RecordSet {
            name: name(ZONE),
            record_type: record_type.into(),
            routing: Routing::Simple,
            data: values(900, &[value]),
            health_check_id: None,
            traffic_policy_instance_id: None,
        };
        let soa = "ns-1.awsdns-1.org. awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400";
        Self {
            record_sets: Mutex::new(vec![
                record_set("NS", "ns-1.awsdns-1.org."),
                record_set("SOA", soa),
            ]),
            sent: Mutex::default(),
        }
    }

    /// In the order in which Route 53 lists them.
    fn listed(&self) -> Vec<RecordSet> {
        let record_sets = self.record_sets.lock().unwrap().clone();
        let sorted: RecordSets = record_sets.into_iter().collect();
        sorted.iter().cloned().collect()
    }

    fn sent(&self) -> Sent {
        Sent::new(std::mem::take(&mut self.sent.lock().unwrap()))
    }
}

impl Provider for Zone {
    async fn record_sets(&self) -> Result<Vec<RecordSet>, String> {
        Ok(self.listed())
    }

    async fn change(&self, changes: &[Change]) -> Result<(), String> {
        let mut record_sets = self.record_sets.lock().unwrap();
        let result = applied(&record_sets, changes);
        let lines = changes
            .iter()
            .map(|change| shown(change.action.as_str(), &change.record_set));
        let mut sent = self.sent.lock().unwrap();
        sent.push(batch_shown(lines.collect(), result.is_err()));
        *record_sets = result?;
        Ok(())
    }
}

fn applied(record_sets: &[RecordSet], changes: &[Change]) -> Result<Vec<RecordSet>, String> {
    let mut next = record_sets.to_vec();
    for change in changes {
        let new = &change.record_set;
        let position = next.iter().position(|live| {
            live.name == new.name
                && live.record_type == new.record_type
                && live.weighted().map(|(id, _)| id) == new.weighted().map(|(id, _)| id)
        });
        match (change.action, position) {
            (Action::Create, Some(_)) => return Err("it exists".into()),
            (Action::Delete, Some(position)) if shown("", &next[position]) == shown("", new) => {
                next.remove(position);
            }
            (Action::Delete, _) => return Err("it does not match".into()),
            (Action::Upsert, Some(position)) => next[position] = new.clone(),
            (Action::Create | Action::Upsert, None) => next.push(new.clone()),
        }
    }
    Ok(next)
}

fn name(text: &str) -> RecordName {
    text.parse().unwrap()
}

fn values(ttl_seconds: u32, values: &[&str]) -> RecordData {
    RecordData::Values {
        ttl_seconds,
        values: values.iter().copied().map(str::to_owned).collect(),
    }
}

fn choose<T: Clone>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())].clone()
}

/// Plays one life in model and program.
fn compare_life(
    version: Version,
    seed: u64,
    program: &mut Program,
    tally: &mut Tally,
) -> Result<(), String> {
    let rng = &mut Rng::with_seed(seed);
    let settings = some_settings(rng, Some(version));
    let prefer_cname = rng.u8(..8) == 0;
    let mut desired = some_endpoints(rng, prefer_cname);

    // What others wrote before: earlier versions, other flags and owners, and people.
    let zone = Zone::new();
    for _ in 0..rng.usize(..4) {
        let writer = if rng.bool() {
            settings.clone()
        } else {
            some_settings(rng, None)
        };
        let wanted = if rng.bool() {
            desired.clone()
        } else {
            some_endpoints(rng, prefer_cname)
        };
        block_on(Controller::new(writer, wanted).reconcile_once(&zone));
        for _ in 0..rng.usize(..3) {
            edit_zone(rng, &zone);
        }
    }
    zone.sent();

    let mut model = Controller::new(settings.clone(), desired.clone());
    let mut is_new = true;
    for pass in 0..=rng.usize(..4) {
        let listed = zone.listed();
        let mut line = json!({
            "zone": format!("{ZONE}."),
            "recordSets": listed.iter().map(record_set_to_cli_json).collect::<Vec<_>>(),
            "endpoints": source_endpoints(version, &desired),
        });
        if is_new {
            let mut flags = settings.flags();
            if prefer_cname {
                flags.push("--aws-prefer-cname".to_owned());
            }
            line["flags"] = flags.into();
        }
        let outcome: Outcome = block_on(model.reconcile_once(&zone));
        let sent = zone.sent();
        let answer = program.pass(&line);
        let expected = Sent::of_program(&answer);
        let error = answer["error"].as_str().unwrap();
        if sent != expected || outcome.refused.is_empty() != error.is_empty() {
            let mut zone = String::new();
            for record_set in &listed {
                writeln!(zone, "  {}", shown("", record_set).1).unwrap();
            }
            return Err(format!(
                "in pass {pass}, the model sent\n{}the program\n{}{error}\nwith {settings:?}\n\
                 zone:\n{zone}desired: {desired:#?}",
                sent.batches.concat(),
                expected.batches.concat(),
            ));
        }
        tally.passes += 1;
        tally.changed += u64::from(!sent.batches.is_empty());
        tally.refused += u64::from(!outcome.refused.is_empty());
        tally.cached += u64::from(!is_new && settings.cached_passes > 0);

        for _ in 0..rng.usize(..3) {
            edit_zone(rng, &zone);
        }
        for _ in 0..rng.usize(..3) {
            edit_endpoints(rng, &mut desired, prefer_cname);
        }
        model.edit(|endpoints| endpoints.clone_from(&desired));
        // A restart, which is also what the expiry of a cache amounts to.
        is_new = rng.u8(..4) == 0;
        if is_new {
            model = Controller::new(settings.clone(), desired.clone());
        }
    }
    Ok(())
}

/// Flags of a version, or of any.
fn some_settings(rng: &mut Rng, version: Option<Version>) -> Settings {
    let generations = [
        Generation::DualstackLabel,
        Generation::WithUntyped,
        Generation::CnameForAlias,
        Generation::OwnType,
    ];
    let any = choose(rng, &generations);
    let prefixes = ["txt.", "%{record_type}-own.", "Own-"];
    let affix = match rng.u8(..5) {
        0 => Affix::Prefix(choose(rng, &prefixes).to_owned()),
        1 => Affix::Suffix(choose(rng, &["-own", "-%{record_type}"]).to_owned()),
        _ => Affix::None,
    };
    Settings {
        policy: choose(
            rng,
            &[
                Policy::Sync,
                Policy::Sync,
                Policy::UpsertOnly,
                Policy::CreateOnly,
            ],
        ),
        affix,
        wildcard_replacement: choose(rng, &["", "", "star", "Star"]).to_owned(),
        cached_passes: if rng.u8(..4) == 0 { 100 } else { 0 },
        ..Settings::new(
            choose(rng, &OWNERS),
            version.map_or(any, Version::generation),
        )
    }
}

fn some_endpoints(rng: &mut Rng, prefer_cname: bool) -> Vec<Endpoint> {
    let mut endpoints = Vec::new();
    for _ in 0..rng.usize(..5) {
        add_endpoints(rng, &mut endpoints, prefer_cname);
    }
    endpoints
}

/// Adds what one annotated object wants.
fn add_endpoints(rng: &mut Rng, endpoints: &mut Vec<Endpoint>, prefer_cname: bool) {
    let host = if rng.u8(..12) == 0 {
        "web.example.org"
    } else {
        choose(rng, &NAMES)
    };
    let endpoint = Endpoint {
        name: name(host),
        record_type: RecordType::A,
        routing: some_routing(rng),
        data: some_alias(rng),
        health_check_id: (rng.u8(..6) == 0).then(|| "hc-1".to_owned()),
        resource: choose(rng, &RESOURCES).to_owned(),
    };
    // One object has one endpoint for each name and set identifier, or a pair of aliases.
    if endpoints
        .iter()
        .any(|other| is_same_object(other, &endpoint))
    {
        return;
    }
    let of = |record_type: RecordType, data: RecordData| Endpoint {
        record_type,
        data,
        ..endpoint.clone()
    };
    let ttl_seconds = choose(rng, &[0, 0, 60, 300]);
    match rng.u8(..8) {
        _ if prefer_cname => {
            let (target, _) = choose(rng, &LOAD_BALANCERS);
            endpoints.push(of(RecordType::Cname, values(ttl_seconds, &[target])));
        }
        0..4 => {
            let aaaa = of(RecordType::Aaaa, endpoint.data.clone());
            endpoints.push(endpoint);
            if rng.u8(..3) > 0 {
                endpoints.push(aaaa);
            }
        }
        4 => endpoints.push(of(
            RecordType::Cname,
            values(
                ttl_seconds,
                &[choose(rng, &["old.example.net", "New.example.net"])],
            ),
        )),
        5 => endpoints.push(of(
            RecordType::Aaaa,
            values(
                ttl_seconds,
                &[choose(rng, &["2001:db8::1", "2001:db8:0::2"])],
            ),
        )),
        6 => endpoints.push(of(RecordType::Aaaa, some_alias(rng))),
        _ => {
            let addresses: &[&[&str]] = &[
                &["192.0.2.1"],
                &["192.0.2.2", "192.0.2.1"],
                &["9.0.0.1", "10.0.0.2"],
            ];
            endpoints.push(of(
                RecordType::A,
                values(ttl_seconds, choose(rng, addresses)),
            ));
        }
    }
}

fn is_same_object(a: &Endpoint, b: &Endpoint) -> bool {
    let side = |endpoint: &Endpoint| match &endpoint.routing {
        Routing::Weighted { set_identifier, .. } => Some(set_identifier.clone()),
        Routing::Simple | Routing::Other(_) => None,
    };
    a.name == b.name && a.resource == b.resource && side(a) == side(b)
}

fn some_routing(rng: &mut Rng) -> Routing {
    match choose(rng, &SIDES) {
        Some(side) => Routing::Weighted {
            set_identifier: side.parse().unwrap(),
            weight: choose(rng, &[0, 10, 100, 255]),
        },
        None => Routing::Simple,
    }
}

fn some_alias(rng: &mut Rng) -> RecordData {
    let (target, hosted_zone_id) = choose(rng, &LOAD_BALANCERS);
    RecordData::Alias {
        hosted_zone_id: hosted_zone_id.to_owned(),
        dns_name: format!("{target}."),
        evaluate_target_health: rng.u8(..5) > 0,
    }
}

/// A person, a migration, or another tool changes the zone.
fn edit_zone(rng: &mut Rng, zone: &Zone) {
    let mut record_sets = zone.record_sets.lock().unwrap();
    let editable: Vec<usize> = (0..record_sets.len())
        .filter(|index| {
            let record_type = &record_sets[*index].record_type;
            record_type.moves() || *record_type == RecordType::Txt
        })
        .collect();
    if editable.is_empty() {
        return;
    }
    let index = choose(rng, &editable);
    let chosen = record_sets[index].clone();
    match rng.u8(..10) {
        0 | 1 => {
            record_sets.remove(index);
        }
        // All records with a name and set identifier, as one that knows the registry does.
        2 | 3 => {
            let new_weight = rng.u8(..);
            let text = choose(rng, &[true, false]);
            for record_set in record_sets.iter_mut() {
                let is_side =
                    record_set.weighted().map(|(id, _)| id) == chosen.weighted().map(|(id, _)| id);
                if is_side && (text || record_set.record_type != RecordType::Txt) {
                    *record_set = record_set.with_weight(new_weight);
                }
            }
        }
        4 => record_sets[index] = chosen.with_weight(rng.u8(..)),
        // A lease of everything, or of one record.
        5 | 6 => {
            let owner = choose(rng, &OWNERS);
            let all = rng.bool();
            for (position, record_set) in record_sets.iter_mut().enumerate() {
                if (all || position == index)
                    && record_set.record_type == RecordType::Txt
                    && let RecordData::Values { values, .. } = &mut record_set.data
                {
                    for value in values {
                        let rewritten: Vec<String> = value
                            .trim_matches('"')
                            .split(',')
                            .map(|token| match token.split_once('=') {
                                Some(("external-dns/owner", _)) => {
                                    format!("external-dns/owner={owner}")
                                }
                                _ => token.to_owned(),
                            })
                            .collect();
                        *value = format!("\"{}\"", rewritten.join(","));
                    }
                }
            }
        }
        7 => {
            if let RecordData::Values {
                ttl_seconds,
                values,
            } = &mut record_sets[index].data
            {
                *ttl_seconds = choose(rng, &[0, 60, 300]);
                if chosen.record_type == RecordType::Txt {
                    let text = choose(
                        rng,
                        &[
                            "heritage=external-dns,external-dns/owner=blue",
                            "external-dns/owner=blue,heritage=external-dns,note=x",
                            "heritage=external-dns,external-dns/owner=blue,external-dns/dualstack=true",
                            "v=spf1 -all",
                        ],
                    );
                    *values = vec![format!("\"{text}\"")];
                }
            }
        }
        8 => {
            if matches!(chosen.data, RecordData::Alias { .. }) {
                record_sets[index].data = some_alias(rng);
            } else if chosen.record_type == RecordType::A {
                record_sets[index].data = values(60, &["192.0.2.2"]);
            } else if chosen.record_type == RecordType::Cname {
                record_sets[index].data = values(60, &["OLD.example.net"]);
            }
        }
        _ => {
            record_sets[index].health_check_id = choose(
                rng,
                &[None, Some("hc-1".to_owned()), Some("hc-2".to_owned())],
            );
        }
    }
}

/// Somebody changes the annotated objects.
fn edit_endpoints(rng: &mut Rng, endpoints: &mut Vec<Endpoint>, prefer_cname: bool) {
    if endpoints.is_empty() || rng.u8(..4) == 0 {
        add_endpoints(rng, endpoints, prefer_cname);
        return;
    }
    let chosen = choose(rng, endpoints);
    let is_same = |other: &Endpoint| is_same_object(other, &chosen);
    match rng.u8(..4) {
        0 => endpoints.retain(|endpoint| !is_same(endpoint)),
        1 => {
            let new_weight = rng.u8(..);
            for endpoint in endpoints.iter_mut().filter(|endpoint| is_same(endpoint)) {
                if let Routing::Weighted { weight, .. } = &mut endpoint.routing {
                    *weight = new_weight;
                }
            }
        }
        2 => {
            let target = some_alias(rng);
            for endpoint in endpoints.iter_mut().filter(|endpoint| is_same(endpoint)) {
                if matches!(endpoint.data, RecordData::Alias { .. }) {
                    endpoint.data = target.clone();
                }
            }
        }
        _ => {
            let resource = choose(rng, &RESOURCES).to_owned();
            let renamed = Endpoint {
                resource: resource.clone(),
                ..chosen.clone()
            };
            if endpoints
                .iter()
                .any(|other| is_same_object(other, &renamed))
            {
                return;
            }
            for endpoint in endpoints.iter_mut().filter(|endpoint| is_same(endpoint)) {
                endpoint.resource.clone_from(&resource);
            }
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}
