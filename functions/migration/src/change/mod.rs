//! What a migration writes: from the records as they were read to the batches that replace them.
//!
//! A change of a name is a compare-and-swap: DELETE of exactly what was read and CREATE of the new, in
//! one batch and never UPSERT. If another writer changed a record in the meantime, Route 53 refuses the
//! whole batch. The journal of the name is part of every change, and so are its registry TXT records,
//! because each must have the weight of its record at any time. A change never writes weights of 0 only,
//! and a name is never split over two batches.
//!
//! Only [`apply()`] and [`apply_in_part`] call Route 53. Everything else is computed from what was read.

mod allowance;
mod apply;
mod complete;
mod name_change;
mod release;
mod restore;
mod shift;

pub use allowance::{Allowance, CHANGES_AT_ONCE, CHANGES_PER_SECOND, Calls, calls_for};
pub use apply::{Applied, AppliedInOrder, AppliedInPart, Part, apply, apply_in_part};
pub use complete::{Closed, Closing, complete, journals_to_delete};
pub use name_change::{LARGEST_BATCH_CHARACTERS, LARGEST_BATCH_RECORDS, NameChange, batches};
pub use release::{delete_journal, give_back, reacquire_lease};
pub use restore::{Restoration, restore};
pub use shift::{Moment, Shift, shift};
