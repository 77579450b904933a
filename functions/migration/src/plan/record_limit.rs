//! The journals of a migration, counted against the number of record sets that its zone may have.
//!
//! Source: Route 53 Developer Guide, "Quotas" (10,000 record sets per hosted zone, unless AWS has raised it).

use super::problems::Problems;
use super::warning::Warning;
use crate::Error;
use crate::error::InvalidInput;
use crate::input::WarningCode;
use crate::journal::PairedName;
use crate::route53::RecordLimit;

/// The warning if the limit is unknown. Adds a problem if the new journals exceed it.
pub(super) fn record_limit_warning(
    record_limit: &Result<RecordLimit, Error>,
    paired_names: &[PairedName<'_>],
    problems: &mut Problems,
) -> Option<Warning> {
    let has_no_journal = |paired: &&PairedName<'_>| matches!(paired.journal, Ok(None));
    let journals = paired_names.iter().filter(has_no_journal).count();
    match record_limit {
        Ok(RecordLimit { count, limit }) => {
            if count + journals > *limit {
                problems.add(InvalidInput::TooManyRecords {
                    count: *count,
                    journals,
                    limit: *limit,
                });
            }
            None
        }
        Err(error) => {
            let message = format!(
                "it is unknown whether the zone has room for {journals} journals, one more record set for each name \
                 ({}); compare its number of record sets with its quota, 10000 by default, before the start",
                error.message()
            );
            Some(Warning::new(WarningCode::RecordLimitUnknown, message))
        }
    }
}
