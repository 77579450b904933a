//! Properties of all parsers of untrusted input: input from operators, AWS, ExternalDNS, and anyone
//! who can write into the zone.
//!
//! Each property is a function of bytes that panics if the property is violated. [`PROPERTIES`]
//! lists them under the names of their fuzz targets. The tests of this crate run them with mutated
//! examples and limit their allocations; cargo-fuzz (in `fuzz/`) searches further. The examples come
//! from this repository, see [`examples`].
//!
//! What the properties have in common:
//! - No input causes a panic.
//! - Refused input gives a documented error. Its message is short, however long the input is, because
//!   Step Functions limits the data between states to 256 KiB.
//! - Accepted input is unchanged after it is written and parsed again.
//! - Functions that process the input with the fakes change only weights of records, never set all
//!   weights of a name to 0, and can be rolled back.

#![expect(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a violated property panics"
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

/// A function that panics if the bytes violate the property.
pub type Property = fn(&[u8]);

/// All properties, by the name of their fuzz target.
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

/// Maximum characters of an error's message, and of one text in a function's output. A function cuts
/// longer messages when it returns them, and no message should need that.
const MAX_MESSAGE_CHARACTERS: usize = 4_000;

/// The bytes as text. Invalid UTF-8 is replaced, so that every input tests the property.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The bytes as JSON; `None` if they are not JSON, which Lambda never passes to a function.
fn json(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

#[track_caller]
fn assert_short(message: &str) {
    let length = message.chars().count();
    assert!(
        length <= MAX_MESSAGE_CHARACTERS,
        "a message has {length} characters: {}…",
        migration::text::shortened(message, 200)
    );
}

/// Checks that the state machines know the error's name and that its message is short.
#[track_caller]
fn assert_documented(error: &Error) {
    assert!(Error::NAMES.contains(&error.name()));
    assert_short(&error.to_string());
}

/// Checks the error of input that is refused before the zone is read.
#[track_caller]
fn assert_invalid(error: &Error) {
    assert_eq!(error.name(), "InvalidInput", "{error}");
    assert_short(&error.to_string());
}

/// The output of a future that never waits. Calls of the fakes never wait.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a fake does not wait"),
    }
}
