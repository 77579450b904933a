//! Migrations and releases while the real ExternalDNS of both clusters runs in the zone.
//!
//! Without Go to build it with, these tests do nothing, and say so in one line.

use std::time::Duration;

use external_dns::{Affix, Endpoint, Policy, Settings, Version};
use local_stack::{ExternalDnsProgram, RecordName, Stack, blueprint};
use migration::dns::{RecordData, RecordSet, RecordType, Routing};
use serde_json::{Value, json};

use crate::{
    ARGOCD, BLUE, BURNHAM, GREEN, assert_succeeded, input, long_bake, migrate, roll_back,
    stack_with, until, until_weight, weight_of,
};

/// With this scale, a release watches a name for 2.4 seconds: two intervals of ExternalDNS and more.
const WAIT_SCALE: f64 = 0.02;
const INTERVAL: Duration = Duration::from_secs(1);
const SKIAPP: &str = "skiapp.eks-blueprint.example.com";
const SIDES: [&str; 2] = [BLUE, GREEN];

/// A stack whose zone has what the ExternalDNS of each cluster has created in it.
struct Clusters {
    stack: Stack,
    blue: ExternalDnsProgram,
    green: ExternalDnsProgram,
}

impl Clusters {
    /// `None` where there is no Go.
    async fn start(blue: (Version, Settings), green: (Version, Settings)) -> Option<Self> {
        let stack = stack_with(blueprint()).await;
        stack.scale_waits(WAIT_SCALE).await.unwrap();
        let created: Vec<_> = blueprint()
            .into_iter()
            .filter(|record_set| SIDES.into_iter().any(|side| is_of(record_set, side)))
            .collect();
        stack.zone.delete(&created).await.unwrap();

        let mut programs = Vec::new();
        for (side, (version, settings)) in SIDES.into_iter().zip([blue, green]) {
            let endpoints = endpoints_of(side);
            let program =
                ExternalDnsProgram::start(&stack, version, &settings, endpoints, INTERVAL);
            programs.push(program.await.unwrap()?);
        }
        let (green, blue) = (programs.pop().unwrap(), programs.pop().unwrap());
        let clusters = Self { stack, blue, green };
        clusters.wait_for_passes().await;
        for side in SIDES {
            let count = clusters.records_of(side).await;
            assert!(count >= 24, "{side} has {count} record sets");
        }
        assert_eq!(clusters.histories(), [1, 1], "{}", clusters.shown());
        Some(clusters)
    }

    /// The number of passes of each instance that planned changes or failed.
    fn histories(&self) -> [usize; 2] {
        [&self.blue, &self.green].map(|program| program.history().len())
    }

    fn shown(&self) -> String {
        let histories = [&self.blue, &self.green].map(ExternalDnsProgram::history);
        format!("{histories:#?}")
    }

    /// Waits for a pass of each instance that has begun after this call.
    async fn wait_for_passes(&self) {
        self.blue.wait_for_passes(2).await.unwrap();
        self.green.wait_for_passes(2).await.unwrap();
    }

    /// Checks that both instances have only created their records so far.
    async fn assert_quiet(&self) {
        self.wait_for_passes().await;
        assert_eq!(self.histories(), [1, 1], "{}", self.shown());
    }

    #[track_caller]
    fn assert_no_errors(&self) {
        for program in [&self.blue, &self.green] {
            let has_failed = program.history().iter().any(|pass| !pass.error.is_empty());
            assert!(!has_failed, "{}", self.shown());
        }
    }

    async fn record_sets(&self) -> Vec<RecordSet> {
        self.stack.zone.record_sets().await.unwrap()
    }

    /// The number of a side's record sets, registry TXT included.
    async fn records_of(&self, side: &str) -> usize {
        let record_sets = self.record_sets().await;
        record_sets
            .iter()
            .filter(|record_set| is_of(record_set, side))
            .count()
    }

    /// Tears one cluster down: ExternalDNS deletes everything that it has created.
    async fn tear_down(&mut self, side: &str) {
        let program = if side == BLUE {
            &mut self.blue
        } else {
            &mut self.green
        };
        program.edit(Vec::clear).unwrap();
        self.wait_for_passes().await;
        self.assert_no_errors();
        assert_eq!(
            self.records_of(side).await,
            0,
            "{:#?}",
            self.record_sets().await
        );
    }

    /// The input of a migration of all names.
    fn input(&self, overrides: Value) -> Value {
        let mut input = input(&self.stack, overrides);
        input.as_object_mut().unwrap().remove("names");
        input
    }

    /// Sets the annotations to the weights that a completed migration has reached.
    async fn annotate_reached_weights(&mut self) {
        let reached = self.record_sets().await;
        for program in [&mut self.blue, &mut self.green] {
            program
                .edit(|endpoints| {
                    for endpoint in endpoints {
                        let live = reached.iter().find(|live| {
                            live.name == endpoint.name
                                && live.record_type == endpoint.record_type
                                && side_of(&live.routing) == side_of(&endpoint.routing)
                        });
                        endpoint.routing = live.unwrap().routing.clone();
                    }
                })
                .unwrap();
        }
    }

    async fn release(&self, execution: &str) {
        let input = json!({ "execution": execution, "externalDnsIntervalSeconds": 60 });
        let release = self.stack.start_release("release", &input).await.unwrap();
        assert_succeeded(&release.wait().await.unwrap(), "Released");
    }
}

fn settings(side: &str, version: Version) -> (Version, Settings) {
    (version, Settings::new(side, version.generation()))
}

fn side_of(routing: &Routing) -> Option<&str> {
    match routing {
        Routing::Weighted { set_identifier, .. } => Some(set_identifier.as_str()),
        Routing::Simple | Routing::Other(_) => None,
    }
}

fn is_of(record_set: &RecordSet, side: &str) -> bool {
    side_of(&record_set.routing) == Some(side)
}

/// What the annotated objects of a cluster ask for: all of its records in the blueprint's zone,
/// with and without a registry TXT there.
fn endpoints_of(side: &str) -> Vec<Endpoint> {
    blueprint()
        .into_iter()
        .filter(|record_set| record_set.record_type.moves() && is_of(record_set, side))
        .map(|record_set| Endpoint {
            resource: format!("ingress/{side}/{}", record_set.name.host("any")),
            name: record_set.name,
            record_type: record_set.record_type,
            routing: record_set.routing,
            data: record_set.data,
            health_check_id: record_set.health_check_id,
        })
        .collect()
}

fn name(text: &str) -> RecordName {
    text.parse().unwrap()
}

fn set_weight(endpoints: &mut [Endpoint], host: &str, new_weight: u8) {
    for endpoint in endpoints {
        if let Routing::Weighted { weight, .. } = &mut endpoint.routing
            && endpoint.name == name(host)
        {
            *weight = new_weight;
        }
    }
}

#[tokio::test]
async fn two_of_the_newest_version_are_moved_released_and_torn_down() {
    let newest = |side| settings(side, Version::V0_22);
    let Some(mut clusters) = Clusters::start(newest(BLUE), newest(GREEN)).await else {
        return;
    };
    let input = clusters.input(json!({}));
    let ended = migrate(&clusters.stack, "run", &input).await;
    assert_succeeded(&ended, "Completed");
    clusters.assert_quiet().await;
    for (host, weight) in [
        (BURNHAM, 100),
        ("\\052.apps.eks-blueprint.example.com", 100),
    ] {
        assert_eq!(weight_of(&clusters.stack.zone, host, BLUE).await, Some(0));
        let reached = weight_of(&clusters.stack.zone, host, GREEN).await;
        assert_eq!(reached, Some(weight));
    }

    clusters.annotate_reached_weights().await;
    clusters.release("run").await;
    clusters.assert_quiet().await;
    clusters.tear_down(BLUE).await;
    clusters
        .green
        .edit(|endpoints| set_weight(endpoints, BURNHAM, 7))
        .unwrap();
    clusters.wait_for_passes().await;
    clusters.assert_no_errors();
    let updated = weight_of(&clusters.stack.zone, BURNHAM, GREEN).await;
    assert_eq!(updated, Some(7));
}

/// The usual upgrade: the old version in the old cluster. What changes in the clusters meanwhile is
/// written after the rollback.
#[tokio::test]
async fn old_and_new_version_wait_for_the_rollback_of_a_lease_with_their_changes() {
    let old = settings(BLUE, Version::V0_15);
    let Some(mut clusters) = Clusters::start(old, settings(GREEN, Version::V0_22)).await else {
        return;
    };
    let before = clusters.record_sets().await;
    let input = clusters.input(long_bake());
    let migration = clusters.stack.start_migration("run", &input).await.unwrap();
    until_weight(&clusters.stack, &migration, BURNHAM, GREEN, 50).await;
    until_weight(&clusters.stack, &migration, SKIAPP, GREEN, 50).await;
    let leased = clusters.stack.zone.to_cli_json().await.unwrap();

    let replaced = "dualstack.k8s-blue-replaced-1.eu-west-3.elb.amazonaws.com";
    clusters
        .blue
        .edit(|endpoints| {
            endpoints.retain(|endpoint| endpoint.name != name(SKIAPP));
            for endpoint in endpoints {
                if let RecordData::Alias { dns_name, .. } = &mut endpoint.data
                    && endpoint.name == name(ARGOCD)
                {
                    replaced.clone_into(dns_name);
                }
            }
        })
        .unwrap();
    clusters
        .green
        .edit(|endpoints| set_weight(endpoints, BURNHAM, 7))
        .unwrap();
    clusters.green.restart().unwrap();
    clusters.assert_quiet().await;
    assert_eq!(clusters.stack.zone.to_cli_json().await.unwrap(), leased);

    let ended = roll_back(&clusters.stack, "by-hand", &json!({ "execution": "run" })).await;
    assert_succeeded(&ended, "Rolled back");
    until("changes of both clusters", async || {
        let record_sets = clusters.record_sets().await;
        let is_gone = !record_sets
            .iter()
            .any(|record_set| record_set.name == name(SKIAPP) && is_of(record_set, BLUE));
        let is_replaced = |record_type: RecordType| {
            record_sets.iter().any(|record_set| {
                record_set.name == name(ARGOCD)
                    && record_set.record_type == record_type
                    && record_set
                        .alias_target()
                        .is_some_and(|target| target.trim_end_matches('.') == replaced)
            })
        };
        let weight = weight_of(&clusters.stack.zone, BURNHAM, GREEN).await;
        (is_gone
            && is_replaced(RecordType::A)
            && is_replaced(RecordType::Aaaa)
            && weight == Some(7))
        .then_some(())
    })
    .await;
    clusters.assert_no_errors();
    let legacy = |record_sets: &[RecordSet]| {
        let of_name = record_sets
            .iter()
            .filter(|record_set| record_set.name.as_str().contains("legacy"));
        of_name.cloned().collect::<Vec<_>>()
    };
    assert_eq!(legacy(&clusters.record_sets().await), legacy(&before));
    clusters.tear_down(GREEN).await;
    clusters.tear_down(BLUE).await;
}

/// The flags that name the registry's records are inferred from the zone, and then told in the input.
#[tokio::test]
async fn prefix_upsert_only_and_a_cache_are_moved_and_released() {
    let with_flags = |side, affix, cached_passes| {
        let version = Version::V0_22;
        let settings = Settings {
            policy: Policy::UpsertOnly,
            affix,
            wildcard_replacement: "any".to_owned(),
            cached_passes,
            ..Settings::new(side, version.generation())
        };
        (version, settings)
    };
    let blue = with_flags(BLUE, Affix::Prefix("%{record_type}-own.".to_owned()), 0);
    let green = with_flags(GREEN, Affix::Suffix("-own".to_owned()), 1);
    let Some(mut clusters) = Clusters::start(blue, green).await else {
        return;
    };
    let before = clusters.record_sets().await;
    let untold = clusters.input(json!({}));
    let ended = migrate(&clusters.stack, "untold", &untold).await;
    assert_succeeded(&ended, "Completed");
    clusters.assert_quiet().await;
    let ended = roll_back(&clusters.stack, "back", &json!({ "execution": "untold" })).await;
    assert_succeeded(&ended, "Rolled back");
    clusters.assert_quiet().await;
    assert_eq!(clusters.record_sets().await, before);

    let input = clusters.input(json!({
        "externalDns": {
            "from": { "txtPrefix": "%{record_type}-own.", "txtWildcardReplacement": "any" },
            "to": { "txtSuffix": "-own", "txtWildcardReplacement": "any" },
        }
    }));
    let ended = migrate(&clusters.stack, "run", &input).await;
    assert_succeeded(&ended, "Completed");
    clusters.assert_quiet().await;
    // As if its cache had expired during the lease.
    clusters.green.restart().unwrap();
    clusters.wait_for_passes().await;
    clusters.annotate_reached_weights().await;
    clusters.release("run").await;
    clusters.assert_quiet().await;
    // Nothing is deleted with this policy.
    let count = clusters.records_of(BLUE).await;
    clusters.blue.edit(Vec::clear).unwrap();
    clusters.assert_quiet().await;
    assert_eq!(clusters.records_of(BLUE).await, count);
}
