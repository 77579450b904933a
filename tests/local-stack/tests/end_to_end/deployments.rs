//! Updates of the stack while a migration is running.

use local_stack::{Execution, Stack};
use serde_json::{Value, json};

use crate::{
    ARGOCD, BURNHAM, GREEN, PROMOTE, answer, assert_succeeded, input, long_bake, stack,
    until_watched, until_weight,
};

/// The versions of the functions that the watches of a migration invoked, and the format of the
/// migration in their inputs.
async fn watched_with(stack: &Stack, migration: &Execution) -> Vec<(String, Value)> {
    let mut watched = Vec::new();
    for watch in stack.watches().await.unwrap() {
        let input = watch.input().await.unwrap();
        if input["executionArn"] == migration.arn() {
            let functions = input["functions"].as_object().unwrap().values();
            watched.extend(functions.map(|arn| {
                let version = arn.as_str().unwrap().rsplit(':').next().unwrap();
                (version.to_owned(), input["migration"]["format"].clone())
            }));
        }
    }
    watched.sort_by_key(|(version, _)| version.clone());
    watched.dedup();
    watched
}

/// In the new versions a migration has another format, and both versions refuse the other's: with
/// the new code, the running migration would fail at its next check.
#[tokio::test]
async fn migration_ends_with_the_code_with_which_it_was_started() {
    let stack = stack().await;
    let request = input(&stack, long_bake());
    let running = stack.start_migration("running", &request).await.unwrap();
    until_watched(&stack, &running, "bake").await;

    stack.deploy_another_format().await.unwrap();
    let request = input(&stack, json!({ "names": [ARGOCD] }));
    let newer = stack.start_migration("newer", &request).await.unwrap();
    assert_succeeded(&newer.wait().await.unwrap(), "Completed");

    // The next checks, the shift to 100 percent, its bake and the completion.
    answer(&stack, &running, "bake", PROMOTE).await;
    until_weight(&stack, &running, BURNHAM, GREEN, 100).await;
    answer(&stack, &running, "bake", PROMOTE).await;
    assert_succeeded(&running.wait().await.unwrap(), "Completed");
    assert!(stack.zone.journals().await.unwrap().is_empty());

    let (old, new) = (("1".to_owned(), Value::Null), ("2".to_owned(), json!(2)));
    assert_eq!(watched_with(&stack, &running).await, [old]);
    assert_eq!(watched_with(&stack, &newer).await, [new]);
}
