//! The scratch records of a self-test: pairs of weighted records at names of its own, with documentation addresses.

use anyhow::{Context, Result, bail, ensure};
use migration::dns::{HostedZoneId, RecordData, RecordName, RecordSet, RecordType, Routing};
use migration::plan::SELF_TEST_LABEL;
use migration::route53::{Change, LARGEST_PAGE, ListStart, Route53 as _};
use route53_adapter::Route53Client;

/// The set identifiers of the two sides.
pub(crate) const FROM: &str = "self-test-blue";
pub(crate) const TO: &str = "self-test-green";
/// A migration waits as long after each shift.
const TTL_SECONDS: u32 = 1;
/// Addresses that are reserved for documentation, so no traffic goes to anybody.
///
/// Source: RFC 5737, section 3, and RFC 3849, section 2.
const ADDRESSES: [(RecordType, [&str; 2]); 2] = [
    (RecordType::A, ["192.0.2.1", "192.0.2.2"]),
    (RecordType::Aaaa, ["2001:db8::1", "2001:db8::2"]),
];
/// What an ExternalDNS writes into the TXT record of each of its records. None has this owner, so none changes them.
///
/// Source: ExternalDNS, "The TXT registry".
const REGISTRY_TEXT: &str = "\"heritage=external-dns,external-dns/owner=cutover-self-test,\
                             external-dns/resource=service/cutover/self-test\"";
/// How often records are read again, because something has changed them after they were read.
const MOST_ATTEMPTS: usize = 10;
/// Far below Route 53's limit of characters, although a journal may have 4,000.
///
/// Source: Route 53 API Reference, `ChangeResourceRecordSets`, "Limits on `ChangeResourceRecordSets` requests".
const LARGEST_BATCH: usize = 5;
const COMMENT: &str = "cutover self-test";

/// The records of one run of the self-test in a hosted zone.
pub(crate) struct Scratch {
    route53: Route53Client,
    pub(crate) zone: HostedZoneId,
    pub(crate) zone_name: RecordName,
    /// Tells its names from those of other runs; see [`new_run`](super::run::new_run).
    pub(crate) run: String,
}

impl Scratch {
    pub(crate) async fn new(
        route53: Route53Client,
        zone: HostedZoneId,
        run: String,
    ) -> Result<Self> {
        let found = route53.get_hosted_zone(&zone).await?;
        Ok(Self {
            route53,
            zone,
            zone_name: found.name,
            run,
        })
    }

    /// The name under which all runs have their names.
    pub(crate) fn root(&self) -> Result<RecordName> {
        self.parse(&format!("{SELF_TEST_LABEL}.{}", self.zone_name))
    }

    /// The name under which this run has its names.
    fn root_of_run(&self) -> Result<RecordName> {
        self.parse(&format!(
            "{}.{SELF_TEST_LABEL}.{}",
            self.run, self.zone_name
        ))
    }

    pub(crate) fn name(&self, label: &str) -> Result<RecordName> {
        self.parse(&format!("{label}.{}", self.root_of_run()?))
    }

    fn parse(&self, name: &str) -> Result<RecordName> {
        let parsed: Result<RecordName, String> = name.parse();
        parsed.map_err(|problem| {
            anyhow::anyhow!(
                "the zone {} has no room for the names of the self-test: {problem}",
                self.zone_name
            )
        })
    }

    /// Creates the pairs of records of a name and their registry TXT records, all traffic on `from`.
    pub(crate) async fn create(&self, label: &str) -> Result<RecordName> {
        let name = self.name(label)?;
        let mut records = Vec::new();
        for (record_type, addresses) in &ADDRESSES {
            for ((side, weight), address) in [(FROM, 100), (TO, 0)].into_iter().zip(addresses) {
                let record = |name: &RecordName, record_type: &RecordType, value: String| {
                    let set_identifier = side.parse().map_err(anyhow::Error::msg)?;
                    anyhow::Ok(RecordSet {
                        name: name.clone(),
                        record_type: record_type.clone(),
                        routing: Routing::Weighted {
                            set_identifier,
                            weight,
                        },
                        data: RecordData::Values {
                            ttl_seconds: TTL_SECONDS,
                            values: vec![value],
                        },
                        health_check_id: None,
                        traffic_policy_instance_id: None,
                    })
                };
                records.push(record(&name, record_type, (*address).to_owned())?);
                let kind = record_type.as_str().to_lowercase();
                let registry = self.parse(&format!("{kind}-{name}"))?;
                records.push(record(
                    &registry,
                    &RecordType::Txt,
                    REGISTRY_TEXT.to_owned(),
                )?);
            }
        }
        let changes: Vec<_> = records.iter().map(Change::Create).collect();
        self.change(&changes).await?;
        Ok(name)
    }

    /// The live weights of a name, which all of its types have.
    pub(crate) async fn weights(&self, name: &RecordName) -> Result<(u8, u8)> {
        weights_in(&self.under(name).await?, name)
    }

    /// Whether a name has these weights, and no journal.
    pub(crate) async fn has(&self, name: &RecordName, weights: (u8, u8)) -> Result<bool> {
        // The journal's name is below the name, so one call reads both.
        let records = self.under(name).await?;
        let journal = name.journal();
        let has_journal = records.iter().any(|record| record.name == journal);
        Ok(weights_in(&records, name)? == weights && !has_journal)
    }

    /// The journal of a name, if it has one.
    pub(crate) async fn journal(&self, name: &RecordName) -> Result<Option<RecordSet>> {
        let journal = name.journal();
        Ok(self.at(&journal).await?.into_iter().next())
    }

    /// Sets the weights of a name, as a person does in the console.
    pub(crate) async fn set_weights(&self, name: &RecordName, from: u8, to: u8) -> Result<()> {
        let records = self.at(name).await?;
        let records: Vec<_> = records
            .iter()
            .filter_map(|record| {
                let (identifier, _) = record.weighted()?;
                let weight = if identifier.as_str() == FROM {
                    from
                } else {
                    to
                };
                Some((record, record.with_weight(weight)))
            })
            .collect();
        let changes: Vec<_> = records
            .iter()
            .flat_map(|(before, after)| [Change::Delete(before), Change::Create(after)])
            .collect();
        self.change(&changes).await
    }

    /// Creates a record as it is.
    pub(crate) async fn put(&self, record: &RecordSet) -> Result<()> {
        self.change(&[Change::Create(record)]).await
    }

    /// Deletes all records of this run, or of all runs, and returns how many there were.
    pub(crate) async fn delete_all(&self, only_this_run: bool) -> Result<usize> {
        let root = if only_this_run {
            self.root_of_run()?
        } else {
            self.root()?
        };
        let mut deleted = 0;
        let mut last_error = None;
        for _ in 0..MOST_ATTEMPTS {
            let records = self.under(&root).await?;
            if records.is_empty() {
                return Ok(deleted);
            }
            for some in records.chunks(LARGEST_BATCH) {
                let changes: Vec<_> = some.iter().map(Change::Delete).collect();
                // A function may just have changed one of them, so they are read again.
                match self.change(&changes).await {
                    Ok(()) => deleted += some.len(),
                    Err(error) => last_error = Some(error),
                }
            }
        }
        let error = last_error.context("something still writes there")?;
        Err(error.context(format!("records under {root} are left")))
    }

    async fn change(&self, changes: &[Change<'_>]) -> Result<()> {
        let route53 = &self.route53;
        route53
            .change_resource_record_sets(&self.zone, COMMENT, changes)
            .await?;
        Ok(())
    }

    /// The records with this name.
    pub(crate) async fn at(&self, name: &RecordName) -> Result<Vec<RecordSet>> {
        let mut records = self.under(name).await?;
        records.retain(|record| record.name == *name);
        Ok(records)
    }

    /// The records with this name and with names below it. Route 53 lists names in the order of their labels from
    /// the last one on, so these follow each other.
    ///
    /// Source: Route 53 API Reference, `ListResourceRecordSets`, "Sort order".
    async fn under(&self, root: &RecordName) -> Result<Vec<RecordSet>> {
        let mut found = Vec::new();
        let mut start = Some(ListStart {
            name: root.clone(),
            record_type: None,
            set_identifier: None,
        });
        while let Some(next) = start {
            let route53 = &self.route53;
            let page = route53
                .list_resource_record_sets(&self.zone, Some(&next), LARGEST_PAGE)
                .await?;
            found.extend(page.record_sets);
            start = page.next.filter(|next| next.name.is_in(root));
        }
        found.retain(|record| record.name.is_in(root));
        Ok(found)
    }
}

/// The weights of the pairs with this name, which all of its types have.
fn weights_in(records: &[RecordSet], name: &RecordName) -> Result<(u8, u8)> {
    let records = records.iter().filter(|record| record.name == *name);
    let records: Vec<_> = records.collect();
    let mut found = Vec::new();
    for (record_type, _) in &ADDRESSES {
        let weight = |side: &str| {
            let records = records.iter().filter(|it| it.record_type == *record_type);
            let mut weighted = records.filter_map(|record| record.weighted());
            weighted
                .find_map(|(identifier, weight)| (identifier.as_str() == side).then_some(weight))
        };
        let (Some(from), Some(to)) = (weight(FROM), weight(TO)) else {
            bail!(
                "{name} has no pair of {} records any more",
                record_type.as_str()
            );
        };
        found.push((from, to));
    }
    let first = found.first().copied().context("no types")?;
    ensure!(
        found.iter().all(|weights| *weights == first),
        "the types of {name} have different weights: {found:?}"
    );
    Ok(first)
}
