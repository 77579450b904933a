//! The settings of a probe, from the environment.

use std::env;
use std::path::Path;

use crate::connect_to::{self, ConnectTo};
use crate::tls::{self, Pem, Tls, root_store};

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
        let mut certificates = vec![Pem::of_the_variable(&variable(tls::VARIABLE))];
        let directory = variable(tls::DIRECTORY_VARIABLE);
        if !directory.is_empty() {
            certificates.extend(Pem::files_of(Path::new(&directory))?);
        }
        Self::with(&variable(connect_to::VARIABLE), &certificates)
    }

    /// Parses the values of `PROBE_CONNECT_TO` and `PROBE_CA_CERTIFICATES`.
    ///
    /// # Errors
    /// Names the variable and its invalid part.
    pub fn new(connect_to: &str, ca_certificates: &str) -> Result<Self, String> {
        Self::with(connect_to, &[Pem::of_the_variable(ca_certificates)])
    }

    fn with(connect_to: &str, certificates: &[Pem]) -> Result<Self, String> {
        Ok(Self {
            connect_to: ConnectTo::parse(connect_to)?,
            tls: Tls::new(root_store(certificates)?)
                .map_err(|error| format!("failed to set up TLS: {error}"))?,
        })
    }
}
