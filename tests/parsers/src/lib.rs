//! What must hold of everything that parses what others wrote: operators, AWS, ExternalDNS, whoever
//! may write into a public zone.
//!
//! Each property is a plain function over bytes, listed in [`PROPERTIES`] under the name of its
//! fuzz target, and panics where it does not hold. The tests of this crate try them with mutated
//! examples and bound what they allocate; cargo-fuzz (in `fuzz/`) looks for more. The examples are
//! the repository's own, see [`examples`].
//!
//! Common to all of them:
//! - No input makes a parser panic.
//! - What is refused is refused with the documented error, whose message is short however long the
//!   input is: messages go from state to state, which Step Functions limits to 256 KiB.
//! - What is accepted is the same when it is written and parsed again.
//! - What a function does with it on the fakes leaves no name without an answer, changes nothing of
//!   a record but its weight, and can be rolled back.

#![expect(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a property that does not hold shall panic"
)]

mod alarms;
mod events;
pub mod examples;
mod input;
mod journal;
mod names;
mod registry;
#[cfg(test)]
mod regressions;
mod words;
mod world;

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use migration::Error;
use serde_json::Value;

pub use alarms::{alarm_history, check_alarms_event};
pub use events::{rollback_event, shift_weight_event};
pub use input::{execution_input, resolved_plan};
pub use journal::journal_text;
pub use names::{name_pattern, record_name};
pub use registry::{registry_names, registry_text};
pub use words::short_words;

/// A property of whatever bytes.
pub type Property = fn(&[u8]);

/// Every property, under the name of its fuzz target.
pub const PROPERTIES: [(&str, Property); 12] = [
    ("alarm_history", alarm_history),
    ("check_alarms_event", check_alarms_event),
    ("execution_input", execution_input),
    ("journal_text", journal_text),
    ("name_pattern", name_pattern),
    ("record_name", record_name),
    ("registry_names", registry_names),
    ("registry_text", registry_text),
    ("resolved_plan", resolved_plan),
    ("rollback_event", rollback_event),
    ("shift_weight_event", shift_weight_event),
    ("short_words", short_words),
];

/// The characters of an error's message, or of one line of an answer: not much more than what a function
/// lets through to Step Functions.
const LONGEST_MESSAGE: usize = 4_000;

/// What the property says of `bytes` that are no text is what it says of their nearest text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The JSON in `bytes`; AWS hands nothing else to a function.
fn json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

#[track_caller]
fn assert_short(message: &str) {
    let length = message.chars().count();
    assert!(
        length <= LONGEST_MESSAGE,
        "{length} characters of message: {}…",
        migration::shortened(message, 200)
    );
}

/// An error of a function: one of those that the state machines know, with a short message.
#[track_caller]
fn assert_documented(error: &Error) {
    assert!(Error::NAMES.contains(&error.name()));
    assert_short(&error.to_string());
}

/// What is refused before anything is read is `InvalidInput`.
#[track_caller]
fn assert_invalid(error: &Error) {
    assert_eq!(error.name(), "InvalidInput", "{error}");
    assert_short(&error.to_string());
}

/// What comes of a future that waits for nothing, as all calls of the fakes.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a fake does not wait"),
    }
}
