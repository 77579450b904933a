//! IAM: only the functions that write may change records.

use aws_sdk_route53::error::SdkError;
use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
};
use local_stack::Stack;

use crate::stack;

/// The HTTP status of a CREATE with the role of `function`.
async fn status_of_a_change(stack: &Stack, function: &str) -> u16 {
    let record_set = ResourceRecordSet::builder()
        .name(format!("by-{function}.eks-blueprint.example.com"))
        .r#type(RrType::Txt)
        .ttl(60)
        .resource_records(ResourceRecord::builder().value("\"x\"").build().unwrap())
        .build()
        .unwrap();
    let change = Change::builder()
        .action(ChangeAction::Create)
        .resource_record_set(record_set)
        .build()
        .unwrap();
    let changed = stack
        .route53_with_role_of(function)
        .await
        .unwrap()
        .change_resource_record_sets()
        .hosted_zone_id(stack.zone.id())
        .change_batch(ChangeBatch::builder().changes(change).build().unwrap())
        .send()
        .await;
    match changed {
        Ok(_) => 200,
        Err(SdkError::ServiceError(error)) => error.raw().status().as_u16(),
        Err(error) => panic!("Route 53 did not answer: {error:?}"),
    }
}

#[tokio::test]
async fn only_shift_weight_and_rollback_may_change_records() {
    let stack = stack().await;
    for (function, status) in [
        ("probe", 403),
        ("check-alarms", 403),
        ("shift-weight", 200),
        ("rollback", 200),
    ] {
        assert_eq!(
            status_of_a_change(&stack, function).await,
            status,
            "{function}"
        );
    }
}
