//! The emulator's Route 53 alone.

use anyhow::Result;
use aws_sdk_route53::config::Credentials;
use migration::record::RecordSet;

use crate::emulator::Emulator;
use crate::stack::sdk_config;
use crate::zone::Zone;
use crate::{http, virtual_environment};

/// Route 53 of an emulator on which nothing else is: no functions, no load balancers, nothing
/// deployed. It is stopped on drop.
pub struct EmulatedRoute53 {
    client: aws_sdk_route53::Client,
    // Last: it is dropped after the one who uses it.
    _emulator: Emulator,
}

impl EmulatedRoute53 {
    /// Starts an emulator of its own.
    pub async fn start() -> Result<Self> {
        let python = tokio::task::spawn_blocking(virtual_environment::python).await??;
        let emulator = Emulator::start(&python, None).await?;
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

    /// AWS's own client, with which everything is permitted.
    pub fn client(&self) -> &aws_sdk_route53::Client {
        &self.client
    }

    /// A new zone with these record sets, named by their SOA record.
    pub async fn load(&self, record_sets: &[RecordSet]) -> Result<Zone> {
        Zone::load(self.client.clone(), record_sets).await
    }
}
