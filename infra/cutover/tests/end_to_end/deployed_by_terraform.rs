//! The commands on a stack that the Terraform module has deployed.

use local_stack::{Settings, Tool, terraform_is_installed};

use crate::self_test::{self_test, stack_with};

#[tokio::test]
async fn self_test_passes() {
    if !terraform_is_installed().unwrap() {
        return;
    }
    let stack = stack_with(Settings {
        tool: Tool::Terraform,
        ..Settings::default()
    });
    let ran = self_test(&stack.await, &[]).await;
    ran.assert(0, &[]);
}
