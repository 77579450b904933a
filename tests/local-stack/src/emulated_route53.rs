//! The emulator's Route 53 without a deployed stack.

use anyhow::Result;
use aws_sdk_route53::config::Credentials;
use migration::dns::RecordSet;

use crate::emulator::Emulator;
use crate::stack::sdk_config;
use crate::zone::Zone;
use crate::{http, virtual_environment};

/// Route 53 on an emulator of its own, without functions, load balancers or a deployed template.
/// The emulator is stopped on drop.
pub struct EmulatedRoute53 {
    client: aws_sdk_route53::Client,
    // The last field, so that it is dropped after the client.
    _emulator: Emulator,
}

impl EmulatedRoute53 {
    pub async fn start() -> Result<Self> {
        let python = tokio::task::spawn_blocking(virtual_environment::python).await??;
        let emulator = Emulator::start(&python, &[]).await?;
        let root = Credentials::new(
            http::ACCESS_KEY,
            http::SECRET_KEY,
            None,
            None,
            "local-stack",
        );
        let sdk = sdk_config(emulator.endpoint, root);
        Ok(Self {
            client: aws_sdk_route53::Client::new(&sdk),
            _emulator: emulator,
        })
    }

    /// A client with the permissions of the root account.
    pub fn client(&self) -> &aws_sdk_route53::Client {
        &self.client
    }

    /// Creates a zone with these record sets. Its name is that of their SOA record.
    pub async fn load(&self, record_sets: &[RecordSet]) -> Result<Zone> {
        Zone::load(self.client.clone(), record_sets).await
    }
}
