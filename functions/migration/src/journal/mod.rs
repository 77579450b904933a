//! The journal: a TXT record for each name that is a lock, a fence and an undo log.
//!
//! The first change of a name creates it, each later change replaces it, and the last one deletes it,
//! always in the same batch as the change itself. It is
//!
//! - a lock: the CREATE of a second migration fails, and with it the batch;
//! - a fence: each change raises the sequence, so the DELETE of a stale writer fails, and with it the
//!   batch;
//! - an undo log: it has all that a rollback needs to restore the name.
//!
//! Anybody can read a public zone, so a journal contains no account id, ARN or token. Others may write TXT
//! records in it, so a journal is signed, and one without a valid signature is only a lock: it is reported,
//! never adopted or restored from. This module reads and signs journals and decides who may write; it calls
//! neither Route 53 nor Step Functions.

mod entry;
mod format;
mod identity;
mod ownership;
mod paired_name;
mod record;
mod signature;

pub use entry::{JournalEntry, Journals};
pub use identity::ExecutionIdentity;
pub use ownership::{EndedExecutions, Writer, reject_changed_records};
pub use paired_name::{LoneRecord, Pair, PairedName, lone_records, lowest_percent, pair};
pub use record::Journal;
pub use signature::{SigningKey, SigningKeys};
