//! How much the functions weigh, and how much the stack takes.

use std::fs;

use serde_json::json;

use crate::{ALARM, assert_succeeded, input, migrate, stack};

const LARGEST_BINARY_BYTES: u64 = 12_000_000;
const LARGEST_MEMORY_KILOBYTES: u64 = 400 * 1024;

#[tokio::test]
async fn the_functions_and_the_emulator_are_small() {
    let stack = stack().await;
    for function in stack.functions() {
        let bytes = fs::metadata(&function.binary).unwrap().len();
        assert!(
            bytes <= LARGEST_BINARY_BYTES,
            "{} has {bytes} bytes",
            function.name
        );
    }
    if cfg!(target_os = "linux") {
        stack.create_alarm(ALARM).await.unwrap();
        let input = input(&stack, json!({ "alarms": { "names": [ALARM] } }));
        assert_succeeded(&migrate(&stack, "warm", &input).await, "Completed");
        let kilobytes = stack.resident_kilobytes().unwrap();
        assert!(kilobytes < LARGEST_MEMORY_KILOBYTES, "{kilobytes} kB");
        // Less would mean that something was not counted.
        assert!(kilobytes > 50 * 1024, "{kilobytes} kB");
    }
}
