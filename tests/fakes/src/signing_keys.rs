//! The key that signs journals.

use migration::Error;
use migration::journal::{SigningKey, SigningKeys};

/// Answers with a key that is known to the tests.
#[derive(Clone, Debug)]
pub struct FakeSigningKeys(Result<SigningKey, Error>);

impl FakeSigningKeys {
    /// The key of another stack, one for each number.
    pub fn of_stack(number: u8) -> Self {
        Self(Ok(SigningKey::new([number; 32])))
    }

    /// Fails, as KMS does without a permission or during an outage.
    pub fn failing(error: Error) -> Self {
        Self(Err(error))
    }
}

impl Default for FakeSigningKeys {
    fn default() -> Self {
        Self::of_stack(0)
    }
}

impl SigningKeys for FakeSigningKeys {
    async fn signing_key(&self) -> Result<SigningKey, Error> {
        self.0.clone()
    }
}
