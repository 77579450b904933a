//! What the rollback of a target needs from outside.

use std::time::SystemTime;

use migration::Error;
use migration::executions::{Execution, Executions};
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

    /// Describes an execution; none if Step Functions has forgotten it, or another one has its name now.
    pub(crate) async fn describe(
        self,
        identity: &ExecutionIdentity,
    ) -> Result<Option<Execution>, Error> {
        let described = self.executions.describe(identity.name()).await?;
        Ok(described.filter(|it| self.identity(identity.name(), it.started_at) == *identity))
    }
}
