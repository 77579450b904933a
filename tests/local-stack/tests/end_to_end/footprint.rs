//! The size of the functions' binaries and the memory of the running stack.

use std::fs;

use serde_json::json;

use crate::{ALARM, assert_succeeded, input, migrate, stack};

/// That of `shift-weight`, which links a DNS resolver besides three SDKs.
const MAX_BINARY_BYTES: u64 = 14_000_000;
const MAX_MEMORY_KILOBYTES: u64 = 400 * 1024;

#[tokio::test]
async fn functions_and_emulator_stay_within_their_size_limits() {
    let stack = stack().await;
    for function in stack.functions() {
        let bytes = fs::metadata(&function.binary).unwrap().len();
        assert!(
            bytes <= MAX_BINARY_BYTES,
            "{} has {bytes} bytes",
            function.name
        );
    }
    if cfg!(target_os = "linux") {
        stack.create_alarm(ALARM).await.unwrap();
        let input = input(&stack, json!({ "alarms": { "names": [ALARM] } }));
        assert_succeeded(&migrate(&stack, "warm", &input).await, "Completed");
        let kilobytes = stack.resident_kilobytes().unwrap();
        assert!(kilobytes < MAX_MEMORY_KILOBYTES, "{kilobytes} kB");
        // A smaller number would mean that a process was not counted.
        assert!(kilobytes > 50 * 1024, "{kilobytes} kB");
    }
}
