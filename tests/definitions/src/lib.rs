//! Generates the state machine definitions, draws them, and checks what no compiler reads.

mod check;
mod generate;
mod picture;
pub mod project;

pub use check::{FINAL_ERRORS, check};
pub use generate::Generator;
pub use picture::draw;
