//! What the command line `cutover` and the demo have in common: following an execution while it runs, and
//! showing it.
//!
//! [`Follower`] reads an execution and what watches it, by calls of Step Functions only. [`Snapshot`] is what
//! is known of it at one time. [`Live`] shows it: bars on a terminal, lines elsewhere. Text of the cloud is
//! printed only through [`printable`].
//!
//! The commands themselves are modules of the binary.

mod execution;
mod follower;
mod live;
mod progress;
mod snapshot;
mod text;
mod updates;

pub use execution::{Execution, ExecutionResult};
pub use follower::Follower;
pub use live::{Display, Live, Moment, Row};
pub use snapshot::{Judgement, Snapshot};
pub use text::{is_question, printable, short_duration};
pub use updates::{Update, Verdict, Weights};
