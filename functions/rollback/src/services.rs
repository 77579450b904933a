//! What the rollback of a target needs from outside.

use migration::journal::SigningKey;

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
