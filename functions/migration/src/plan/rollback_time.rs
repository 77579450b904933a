//! How long a step or a rollback takes until all clients notice it: until all names are written, and until
//! resolvers no longer return the old answers, which they do for as long as the TTL of the records.

use super::stays::listed;
use super::warning::Warning;
use crate::change::CHANGES_PER_SECOND;
use crate::dns::{RecordName, Zone};
use crate::input::WarningCode;

/// The longest TTL without a warning, in seconds. Resolvers return the addresses of a failed `to` for as long.
const LONGEST_QUICK_TTL_SECONDS: u32 = 600;

/// The warning about names with long TTLs.
pub(super) fn long_ttl_warning(zone: &Zone, names: &[RecordName]) -> Option<Warning> {
    let with_ttl = names.iter().map(|name| (zone.ttl_seconds(name), name));
    let mut long: Vec<_> = with_ttl
        .filter(|(seconds, _)| *seconds > LONGEST_QUICK_TTL_SECONDS)
        .collect();
    long.sort_by_key(|(seconds, _)| std::cmp::Reverse(*seconds));
    let (longest, _) = *long.first()?;
    let shown: Vec<_> = long
        .iter()
        .map(|(seconds, name)| format!("{name} ({seconds} seconds)"))
        .collect();
    let message = format!(
        "names have long TTLs: {}; each step waits for {longest} seconds times ttlFactor, and for {longest} seconds after \
         a rollback resolvers may still send clients to the new side; give the records a TTL of 60 seconds, and start \
         {longest} seconds after that",
        listed(&shown)?
    );
    Some(Warning::new(WarningCode::LongTtl, message))
}

/// The warning about the time that one step and a rollback of all names take to write; none if both are written at
/// once.
pub(super) fn slow_writes_warning(write_seconds: u32, rollback_seconds: u32) -> Option<Warning> {
    if write_seconds == 0 {
        return None;
    }
    let message = format!(
        "Route 53 permits {CHANGES_PER_SECOND} changes a second in an account, so writing one step takes about \
         {write_seconds} seconds, in which names stand at different percents, and a rollback of all names about \
         {rollback_seconds} seconds; for shorter times, move fewer names in one migration"
    );
    Some(Warning::new(WarningCode::SlowWrites, message))
}
