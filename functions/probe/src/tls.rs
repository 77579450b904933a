//! How TLS is spoken: which certificates are trusted, and that none is ever
//! taken on trust from an earlier connection.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::any_certificate::AnyCertificate;

pub(crate) const VARIABLE: &str = "PROBE_CA_CERTIFICATES";

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The authorities of the operating system, and those of `pem`.
pub(crate) fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "failed to load certificates of the operating system");
    }
    roots.add_parsable_certificates(native.certs);
    add(pem, &mut roots).map_err(|problem| {
        format!("{VARIABLE}: expected certificates of authorities in PEM, found {problem}")
    })?;
    if roots.is_empty() {
        tracing::warn!(
            "no certificate will be trusted: there is no authority's, neither of the operating system nor in {VARIABLE}"
        );
    }
    Ok(roots)
}

fn add(pem: &str, roots: &mut RootCertStore) -> Result<(), String> {
    // A parameter of CloudFormation that is pasted into the console loses its line breaks.
    let pem = pem
        .replace(BEGIN, &format!("\n{BEGIN}\n"))
        .replace(END, &format!("\n{END}\n"));
    let mut count = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        count += 1;
        let certificate = certificate.map_err(|error| format!("{error} in number {count}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("{error} in number {count}"))?;
    }
    if count == 0 && !pem.trim().is_empty() {
        return Err("none".to_owned());
    }
    Ok(())
}

/// Both ways to speak TLS, as the input's `verifyCertificate` chooses.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) verifying: Arc<ClientConfig>,
    pub(crate) trusting: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(roots: RootCertStore) -> Result<Self, rustls::Error> {
        // Given explicitly: the process's default provider depends on what else is linked.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = || {
            ClientConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
        };
        let verifying = builder()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let trusting = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider.clone())))
            .with_no_client_auth();
        Ok(Self {
            verifying: Arc::new(afresh(verifying)),
            trusting: Arc::new(afresh(trusting)),
        })
    }
}

fn afresh(mut config: ClientConfig) -> ClientConfig {
    // A resumed session proves no certificate, and both sides bear the same names.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Authority;

    fn count(pem: &str) -> Result<usize, String> {
        let mut roots = RootCertStore::empty();
        add(pem, &mut roots).map(|()| roots.len())
    }

    #[test]
    fn private_authorities_are_read() {
        let both = format!(
            "{}{}",
            Authority::new("one").pem(),
            Authority::new("another").pem()
        );
        assert_eq!(count(&both), Ok(2));
        assert_eq!(count(&both.replace('\n', " ")), Ok(2));
        assert_eq!(count(""), Ok(0));
        assert_eq!(count(" \n"), Ok(0));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert_eq!(count("/etc/ssl/ca.pem"), Err("none".to_owned()));
        assert!(count(&format!("{BEGIN} bm9uc2Vuc2U= {END}")).is_err());
        let truncated = Authority::new("one").pem().replace(END, "");
        assert!(count(&truncated).is_err());
        let problem = roots("nonsense").unwrap_err();
        assert_eq!(
            problem,
            "PROBE_CA_CERTIFICATES: expected certificates of authorities in PEM, found none"
        );
    }
}
