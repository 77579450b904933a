//! What the rollback of a target needs from outside.

use std::time::SystemTime;

use migration::executions::Executions;
use migration::journal::{ExecutionIdentity, SigningKey};

/// Route 53, Step Functions, and the key of the journals.
#[derive(Debug)]
pub(crate) struct Services<'a, R, E> {
    pub(crate) route53: &'a R,
    pub(crate) executions: &'a E,
    pub(crate) key: &'a SigningKey,
}

// Derived, it would need services that can be copied.
impl<R, E> Clone for Services<'_, R, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, E> Copy for Services<'_, R, E> {}

impl<R, E: Executions> Services<'_, R, E> {
    /// The identity of the execution with this name that started then.
    pub(crate) fn identity(self, name: &str, started_at: SystemTime) -> ExecutionIdentity {
        self.key
            .identity(name, &self.executions.arn(name), started_at)
    }
}
