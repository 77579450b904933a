//! The machine on which the figures were measured.

use std::env::consts::ARCH;
use std::{fs, thread};

/// Its processor, cores and architecture.
pub(crate) fn description() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model
        .and_then(|rest| rest.split_once(':'))
        .map(|(_, model)| model.trim());
    let model = model.unwrap_or("an unknown processor");
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!("{model}, {cores} cores, {ARCH}")
}
