//! The key that signs journals, derived by KMS.

use aws::classify;
use aws_config::SdkConfig;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::MacAlgorithmSpec;
use migration::Error;
use migration::error::Unavailable;
use migration::journal::{SigningKey, SigningKeys};
use tokio::sync::OnceCell;

/// The environment variable with the ARN of the KMS key, an `HMAC_256` key.
const KEY_VARIABLE: &str = "JOURNAL_KEY_ARN";
/// What KMS authenticates. The code never changes: with another message all journals would be untrusted.
const MESSAGE: &[u8] = b"Cutover: the key that signs journals";
const ACTION: &str = "kms:GenerateMac";

/// Derives the signing key with one call of `GenerateMac` and keeps it in memory, for as long as Lambda keeps
/// the function's execution environment.
///
/// KMS returns the HMAC of the message itself, 32 bytes that are as secret as the KMS key, so they can be used
/// as a key.
///
/// Source: KMS API Reference, `GenerateMac`; RFC 5869, section 2.3, derives keys in the same way.
#[derive(Debug)]
pub struct KmsSigningKeys {
    client: aws_sdk_kms::Client,
    key_arn: String,
    derived: OnceCell<SigningKey>,
}

impl KmsSigningKeys {
    /// With the key in the environment variable `JOURNAL_KEY_ARN`.
    ///
    /// # Errors
    /// The environment variable is missing.
    pub fn from_env(config: &SdkConfig) -> Result<Self, String> {
        let key_arn = std::env::var(KEY_VARIABLE).map_err(|_| {
            format!("the environment variable {KEY_VARIABLE} is not set; the template sets it")
        })?;
        Ok(Self::new(config, key_arn))
    }

    pub fn new(config: &SdkConfig, key_arn: String) -> Self {
        Self {
            client: aws_sdk_kms::Client::new(config),
            key_arn,
            derived: OnceCell::new(),
        }
    }

    async fn derive(&self) -> Result<SigningKey, Error> {
        let output = self
            .client
            .generate_mac()
            .key_id(&self.key_arn)
            .mac_algorithm(MacAlgorithmSpec::HmacSha256)
            .message(Blob::new(MESSAGE))
            .send()
            .await
            .map_err(|error| classify(ACTION, &error))?;
        let mac = output.mac.map(Blob::into_inner).unwrap_or_default();
        let length = mac.len();
        let secret = mac.try_into().map_err(|_| Unavailable::Unusable {
            action: ACTION.to_owned(),
            problem: format!("expected 32 bytes, found {length}"),
        })?;
        Ok(SigningKey::new(secret))
    }
}

impl SigningKeys for KmsSigningKeys {
    async fn signing_key(&self) -> Result<SigningKey, Error> {
        self.derived
            .get_or_try_init(|| self.derive())
            .await
            .cloned()
    }
}
