//! The figures of the README: what belongs into its section, and the goals that they have to reach.
//!
//! `cargo bench` measures them (`benches/figures`), and writes the section between two comments of the README.
//! Nothing here measures: the section is text from numbers, and [`Goal`]s are checked on its written table, so
//! that the same check holds for the README that is committed.

mod functions;
mod goals;
mod number;
mod route53;
pub mod rows;
mod section;
mod spread;
mod table;

pub use crate::functions::{FunctionFigures, function_table};
pub use crate::goals::{GOALS, Goal, Limit, missed_goals};
pub use crate::route53::{Work, WorkOf, work_table};
pub use crate::section::{Section, replace_section, section_of};
pub use crate::spread::Spread;
pub use crate::table::Table;
