//! The settings of a probe, from the environment.

use std::env;

use crate::connect_to::{self, ConnectTo};
use crate::tls::{self, Tls, root_store};

/// The function's settings: overrides of targets and trusted certificates.
#[derive(Clone, Debug)]
pub struct Prober {
    pub(crate) connect_to: ConnectTo,
    pub(crate) tls: Tls,
}

impl Prober {
    /// Reads the environment variables that the crate's documentation lists.
    ///
    /// # Errors
    /// Names the variable and its invalid part.
    pub fn from_env() -> Result<Self, String> {
        let variable = |name| env::var(name).unwrap_or_default();
        Self::new(&variable(connect_to::VARIABLE), &variable(tls::VARIABLE))
    }

    /// Parses the values of `PROBE_CONNECT_TO` and `PROBE_CA_CERTIFICATES`.
    ///
    /// # Errors
    /// Names the variable and its invalid part.
    pub fn new(connect_to: &str, ca_certificates: &str) -> Result<Self, String> {
        Ok(Self {
            connect_to: ConnectTo::parse(connect_to)?,
            tls: Tls::new(root_store(ca_certificates)?)
                .map_err(|error| format!("failed to set up TLS: {error}"))?,
        })
    }
}
