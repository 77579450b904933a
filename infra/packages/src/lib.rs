//! Builds the functions' deployment packages: what `cargo packages` and the benchmarks have in common.

mod architecture;
mod archive;
mod compile;
mod folder;

pub use crate::architecture::Architecture;
pub use crate::archive::archive;
pub use crate::compile::{Binary, Linker, Program, compile, functions};
pub use crate::folder::Folder;
