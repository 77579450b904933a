//! Types of records that only one side of a name has.
//!
//! `ExternalDNS` before v0.16 writes an AAAA alias only for a dual-stack load balancer, later ones for every one. So a
//! new cluster often has AAAA records that the old one lacks. Such a record answers alone, whatever its weight is. If
//! its load balancer has no address of the type, the answer is empty and the record is harmless. If it has addresses,
//! clients of the type are on one side, whatever the weights are: the probe finds that before the start.
//!
//! Source: ExternalDNS, pull request 5111.

use super::stays::listed;
use super::warning::Warning;
use crate::Error;
use crate::error::NoSuchPair;
use crate::input::{Input, WarningCode};
use crate::journal::PairedName;

/// The warning about the names with such a type.
///
/// # Errors
/// [`NoSuchPair::OneSidedWithoutProbe`] if nothing could find out what they answer.
pub(super) fn one_sided_warning(
    input: &Input,
    paired_names: &[PairedName<'_>],
) -> Result<Option<Warning>, Error> {
    let describe = |paired: &PairedName<'_>| {
        let lone = paired.lone.iter().map(|(record_type, record)| {
            let side = record
                .record_set
                .weighted()
                .map_or("", |(side, _)| side.as_str());
            format!("{} ({record_type} of {side})", paired.name)
        });
        lone.collect::<Vec<_>>()
    };
    let names: Vec<_> = paired_names.iter().flat_map(describe).collect();
    let Some(names) = listed(&names) else {
        return Ok(None);
    };
    if !input.probe.enabled && !input.accept_one_sided_types {
        return Err(Error::from(NoSuchPair::OneSidedWithoutProbe { names }));
    }
    let found_out = if input.accept_one_sided_types {
        "clients of that type may be on that side, whatever the weights are, which acceptOneSidedTypes accepts"
    } else {
        "before the start, the probe finds out whether their load balancers have addresses of that type: with an \
         address, the migration does not start, because clients of that type would be on that side, whatever the weights \
         are"
    };
    let message = format!(
        "records of one type that only one side has get the weights of that side: {names}; {found_out}; to have the same \
         types on both sides, run the ExternalDNS of that side with --exclude-record-types, or let that of the other \
         side write the type, too"
    );
    Ok(Some(Warning::new(WarningCode::OneSidedType, message)))
}
