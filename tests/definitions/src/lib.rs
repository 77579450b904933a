//! Generates the state machine definitions, and checks what no compiler reads.

mod check;
mod generate;
pub mod project;

pub use check::{FINAL_ERRORS, check};
pub use generate::Generator;
