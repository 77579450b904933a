//! The hosted zone: loading it, reading it, and editing it like another writer.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use aws_sdk_route53::types::{Change, ChangeAction, ChangeBatch, RrType};
use fakes::{record_set_to_cli_json, record_sets_from_cli_json};
use migration::dns::{RecordName, SetIdentifier};
use migration::dns::{RecordSet, RecordType, Routing};
use route53_adapter::{from_sdk, to_sdk};
use serde_json::json;

use crate::name_weights::NameWeights;

/// A zone with the records of two clusters of the EKS Blueprints, as
/// `aws route53 list-resource-record-sets` prints it.
const BLUEPRINT: &str = include_str!("../../zone-blueprint.json");

/// The number of zones created. It makes caller references unique: for one that is used already,
/// the emulator returns the existing zone.
static ZONES: AtomicUsize = AtomicUsize::new(0);

/// The record sets of a zone with two clusters of the EKS Blueprints.
pub fn blueprint() -> Vec<RecordSet> {
    record_sets_from_cli_json(BLUEPRINT)
}

/// Whether a record set belongs to ExternalDNS's TXT registry.
fn is_registry(record_set: &RecordSet) -> bool {
    record_set.record_type == RecordType::Txt
        && record_set
            .values()
            .iter()
            .any(|value| value.contains("heritage=external-dns"))
}

/// The record sets without ExternalDNS's TXT registry, as if its registry was elsewhere.
pub fn without_registry(mut record_sets: Vec<RecordSet>) -> Vec<RecordSet> {
    record_sets.retain(|record_set| !is_registry(record_set));
    record_sets
}

/// A hosted zone in the emulator.
#[derive(Clone, Debug)]
pub struct Zone {
    client: aws_sdk_route53::Client,
    id: String,
}

impl Zone {
    /// Creates a zone with these record sets. Its name is that of their SOA record.
    pub(crate) async fn load(
        client: aws_sdk_route53::Client,
        record_sets: &[RecordSet],
    ) -> Result<Self> {
        let soa = record_sets
            .iter()
            .find(|record_set| record_set.record_type.as_str() == "SOA")
            .context("the record sets have no SOA record")?;
        let count = ZONES.fetch_add(1, Ordering::Relaxed);
        let created = client
            .create_hosted_zone()
            .name(soa.name.fully_qualified())
            .caller_reference(format!("local-stack-{count}"))
            .send()
            .await?;
        let id = created
            .hosted_zone()
            .context("CreateHostedZone returned no zone")?
            .id();
        let id = id.trim_start_matches("/hostedzone/").to_owned();
        let zone = Self { client, id };
        let changes = record_sets.iter().map(|record_set| {
            // Route 53 creates the NS and the SOA record together with the zone.
            let exists = record_set.name == soa.name
                && ["NS", "SOA"].contains(&record_set.record_type.as_str());
            let action = if exists {
                ChangeAction::Upsert
            } else {
                ChangeAction::Create
            };
            (action, record_set.clone())
        });
        zone.change(changes.collect()).await?;
        Ok(zone)
    }

    /// Creates record sets, as ExternalDNS does for a new cluster.
    pub async fn create(&self, record_sets: &[RecordSet]) -> Result<()> {
        let changes = record_sets.iter().cloned();
        self.change(changes.map(|set| (ChangeAction::Create, set)).collect())
            .await
    }

    /// Deletes record sets, as ExternalDNS does for a deleted cluster.
    pub async fn delete(&self, record_sets: &[RecordSet]) -> Result<()> {
        let changes = record_sets.iter().cloned();
        self.change(changes.map(|set| (ChangeAction::Delete, set)).collect())
            .await
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// All record sets, in the order in which they are listed.
    pub async fn record_sets(&self) -> Result<Vec<RecordSet>> {
        let mut record_sets = Vec::new();
        let mut start: Option<(String, RrType, Option<String>)> = None;
        loop {
            let (name, record_type, identifier) = match start.take() {
                Some((name, record_type, identifier)) => {
                    (Some(name), Some(record_type), identifier)
                }
                None => (None, None, None),
            };
            let page = self
                .client
                .list_resource_record_sets()
                .hosted_zone_id(&self.id)
                .set_start_record_name(name)
                .set_start_record_type(record_type)
                .set_start_record_identifier(identifier)
                .send()
                .await?;
            for record_set in page.resource_record_sets() {
                record_sets.push(from_sdk(record_set).map_err(anyhow::Error::msg)?);
            }
            match (
                page.is_truncated(),
                page.next_record_name,
                page.next_record_type,
            ) {
                (true, Some(name), Some(record_type)) => {
                    start = Some((name, record_type, page.next_record_identifier));
                }
                _ => return Ok(record_sets),
            }
        }
    }

    /// The zone as `aws route53 list-resource-record-sets` prints it.
    pub async fn to_cli_json(&self) -> Result<String> {
        let record_sets = self.record_sets().await?;
        let record_sets: Vec<_> = record_sets.iter().map(record_set_to_cli_json).collect();
        Ok(format!(
            "{:#}",
            json!({ "ResourceRecordSets": record_sets })
        ))
    }

    pub async fn weights(&self, names: &[RecordName]) -> Result<NameWeights> {
        Ok(NameWeights::of(&self.record_sets().await?, names))
    }

    /// The names of all journals in the zone.
    pub async fn journals(&self) -> Result<Vec<RecordName>> {
        let record_sets = self.record_sets().await?;
        Ok(record_sets
            .into_iter()
            .map(|record_set| record_set.name)
            .filter(|name| name.journaled().is_some())
            .collect())
    }

    /// Sets the weight of all types of one side of a name with UPSERT, whatever it was: as a person
    /// in the console or Terraform does.
    pub async fn overwrite_weight(
        &self,
        name: &RecordName,
        side: &SetIdentifier,
        new_weight: u8,
    ) -> Result<()> {
        let mut edited = Vec::new();
        for mut record_set in self.record_sets().await? {
            if let Routing::Weighted {
                set_identifier,
                weight,
            } = &mut record_set.routing
                && record_set.name == *name
                && record_set.record_type.moves()
                && set_identifier == side
            {
                *weight = new_weight;
                edited.push((ChangeAction::Upsert, record_set));
            }
        }
        ensure!(
            !edited.is_empty(),
            "{name} has no weighted records of {side}"
        );
        self.change(edited).await
    }

    pub(crate) async fn change(&self, changes: Vec<(ChangeAction, RecordSet)>) -> Result<()> {
        let changes = changes
            .into_iter()
            .map(|(action, record_set)| {
                Ok(Change::builder()
                    .action(action)
                    .resource_record_set(to_sdk(&record_set)?)
                    .build()?)
            })
            .collect::<Result<_>>()?;
        self.client
            .change_resource_record_sets()
            .hosted_zone_id(&self.id)
            .change_batch(ChangeBatch::builder().set_changes(Some(changes)).build()?)
            .send()
            .await?;
        Ok(())
    }
}
