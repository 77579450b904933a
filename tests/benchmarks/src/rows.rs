//! The labels in the table of the functions.

pub const COLD_START: &str = "cold start, ms";
pub const BARE: &str = "cold start of a bare SDK client, ms";
pub const PYTHON: &str = "cold start of Python with boto3, ms";
pub const TIMES_BARE: &str = "cold start ÷ that of a bare SDK client";
pub const TIMES_OF_PYTHON: &str = "cold start of Python ÷ cold start";
pub const MEMORY: &str = "peak memory for 1 name, MB";
pub const MEMORY_OF_OTHERS: &str = "peak memory of bare SDK client, of Python, MB";
pub const MEMORY_FOR_MANY: &str = "peak memory for 2,000 names, MB";
pub const PACKAGE: &str = "package, MB";

/// The labels of the rows, in their order.
pub const ALL: [&str; 9] = [
    COLD_START,
    BARE,
    PYTHON,
    TIMES_BARE,
    TIMES_OF_PYTHON,
    MEMORY,
    MEMORY_FOR_MANY,
    MEMORY_OF_OTHERS,
    PACKAGE,
];

/// The head of the column with the goals.
pub const GOAL: &str = "goal";
