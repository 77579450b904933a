//! Whether a record that is alone in its type has addresses. Route 53 answers with it whatever its weight is, so with
//! addresses it holds the clients of that type on its side.
//!
//! Sources: Route 53 Developer Guide, "Weighted routing"; "Values specific for simple alias records", of a load
//! balancer without addresses of the record's type.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use migration::dns::{RecordName, RecordType, SetIdentifier, Side, Sides, Zone};
use migration::journal::{LoneRecord, lone_records};
use migration::plan::Migration;
use tokio::time::timeout;

use crate::attempt::{Phase, Problem};
use crate::prober::Prober;
use crate::target::{Target, targets_of};

impl Prober {
    /// Succeeds if no record of `name` that is alone in its type has an address, or the input accepts that.
    pub(crate) async fn reject_one_sided(
        &self,
        zone: &Zone,
        name: &RecordName,
        identifiers: &Sides<SetIdentifier>,
        migration: &Migration,
    ) -> Result<(), Problem> {
        let Sides { from, to } = identifiers;
        if migration.accept_one_sided_types {
            return Ok(());
        }
        let limit = Duration::from_secs(migration.probe.attempt_timeout_seconds.get().into());
        for (record_type, record) in lone_records(zone, name, from, to) {
            let problem = |target: Option<String>, text| Problem {
                phase: Phase::Resolve,
                target,
                address: None,
                text,
            };
            let targets = targets_of(record.record_set).map_err(|text| problem(None, text))?;
            for target in targets {
                let found = timeout(limit, self.addresses(&target, &record_type)).await;
                let found = found.unwrap_or_else(|_| Err("timed out".to_owned()));
                let shown = Some(target.to_string());
                match found {
                    Ok(addresses) if addresses.is_empty() => {}
                    Ok(addresses) => {
                        let text = describe(&record_type, &record, identifiers, &addresses);
                        return Err(problem(shown, text));
                    }
                    // A load balancer of `from` that is gone answers nobody.
                    Err(_) if record.side == Side::From => {}
                    Err(text) => return Err(problem(shown, text)),
                }
            }
        }
        Ok(())
    }

    /// The addresses of a target that a record of this type answers with.
    async fn addresses(
        &self,
        target: &Target,
        record_type: &RecordType,
    ) -> Result<BTreeSet<IpAddr>, String> {
        let addresses = self.lookup(target).await?.into_iter();
        Ok(addresses
            .filter(|address| match record_type {
                RecordType::A => address.is_ipv4(),
                RecordType::Aaaa => address.is_ipv6(),
                _ => true,
            })
            .collect())
    }
}

fn describe(
    record_type: &RecordType,
    record: &LoneRecord<'_>,
    identifiers: &Sides<SetIdentifier>,
    addresses: &BTreeSet<IpAddr>,
) -> String {
    let Sides { from, to } = identifiers;
    let (side, other, clients) = match record.side {
        Side::From => (from, to, "would stay there"),
        Side::To => (to, from, "are there already"),
    };
    let address = addresses
        .first()
        .map_or_else(String::new, ToString::to_string);
    format!(
        "{other} has no {record_type} record, and that of {side} has addresses ({address}), so its clients {clients}, \
         whatever the weights are; run the ExternalDNS of {side} with --exclude-record-types={record_type}, create the \
         {record_type} record of {other}, or accept it with acceptOneSidedTypes"
    )
}
