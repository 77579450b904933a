//! The signature of a journal, and the key that makes it.
//!
//! Whoever may write TXT records in a zone, such as the solver of DNS-01 challenges, can write a record at
//! the name of a journal. So a journal counts only with the signature of this stack's key. A signature
//! proves who wrote a journal, and at which name of which zone, but not when: anybody can collect the
//! journals of a public zone and put an old one back.

use std::fmt;
use std::future::Future;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::identity::ExecutionIdentity;
use crate::Error;

/// Bytes of a signature: HMAC-SHA-256 truncated to 128 bits, so that it fits beside the other fields.
///
/// Source: RFC 2104, section 5: not less than half of the hash, and not less than 80 bits.
const SIGNATURE_BYTES: usize = 16;
/// Bytes of an execution's id. Two of the executions that move the same zone must not have the same one.
const ID_BYTES: usize = 8;
/// Bytes of a block of SHA-256, to which HMAC pads its key with zeros.
const BLOCK_BYTES: usize = 64;

/// Where the key comes from.
pub trait SigningKeys {
    /// The key of this stack.
    ///
    /// # Errors
    /// Those of the call that derives it. Without the key no journal can be trusted, so nothing is written.
    fn signing_key(&self) -> impl Future<Output = Result<SigningKey, Error>> + Send;
}

/// The secret key with which a stack signs its journals. It exists only in the memory of a function, and has
/// no form as text.
#[derive(Clone)]
pub struct SigningKey([u8; BLOCK_BYTES]);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(secret)")
    }
}

impl SigningKey {
    /// The key with these secret bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        let mut block = [0; BLOCK_BYTES];
        let (start, _) = block.split_at_mut(secret.len());
        start.copy_from_slice(&secret);
        Self(block)
    }

    /// The identity of an execution. Its id is derived with the key, so that nobody can find the number of
    /// the account in it, which is part of the ARN.
    ///
    /// `started_at` is the start that Step Functions describes; it has milliseconds.
    pub fn identity(&self, name: &str, arn: &str, started_at: SystemTime) -> ExecutionIdentity {
        let started_at = started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
        // Step Functions answers with a floating-point number of seconds, so the nearest millisecond counts.
        let milliseconds = (started_at.as_micros() + 500) / 1_000;
        let mac = self.mac(&["execution", arn, &milliseconds.to_string()]);
        let id = mac.get(..ID_BYTES).unwrap_or_default();
        ExecutionIdentity::new(hex::encode(id), name.to_owned())
    }

    /// The signature of these strings, as hexadecimal digits.
    pub(super) fn sign(&self, signed: &[&str]) -> String {
        let mac = self.mac(&[&["journal"], signed].concat());
        hex::encode(mac.get(..SIGNATURE_BYTES).unwrap_or_default())
    }

    fn mac(&self, strings: &[&str]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        for string in strings {
            // The lengths keep different strings with the same characters apart.
            mac.update(
                &u64::try_from(string.len())
                    .unwrap_or(u64::MAX)
                    .to_be_bytes(),
            );
            mac.update(string.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_key_has_no_form_as_text() {
        let key = SigningKey::new([42; 32]);
        assert_eq!(format!("{key:?}"), "SigningKey(secret)");
    }

    /// Computed with Python's `hmac`, so that a change of the code can't change what is signed.
    #[test]
    fn a_signature_is_an_hmac_of_the_strings_with_their_lengths() {
        let key = SigningKey::new([42; 32]);
        expect_test::expect!["109958ee3d9a3c925f5df5808f85670d"].assert_eq(&key.sign(&["Z1", "a"]));
        assert_ne!(key.sign(&["Z1", "a"]), key.sign(&["Z1a", ""]));
    }

    #[test]
    fn executions_with_the_same_name_have_different_ids() {
        let key = SigningKey::new([42; 32]);
        let identity = |arn: &str, milliseconds: u64| {
            let started_at = UNIX_EPOCH + Duration::from_millis(milliseconds);
            key.identity("run", arn, started_at)
        };
        let one = identity(
            "arn:aws:states:eu-west-3:111122223333:execution:one:run",
            1_000,
        );
        assert_ne!(
            one,
            identity(
                "arn:aws:states:eu-west-3:111122223333:execution:other:run",
                1_000
            )
        );
        assert_ne!(
            one,
            identity(
                "arn:aws:states:eu-west-3:111122223333:execution:one:run",
                1_001
            )
        );
        assert_eq!(one.to_string().parse(), Ok(one));
    }
}
