//! The TLS configuration: trusted certificates, and no session resumption, so that
//! every connection verifies the certificate.

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

/// The certificate authorities of the operating system and of `pem`.
pub(crate) fn root_store(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "failed to load certificates of the operating system");
    }
    roots.add_parsable_certificates(native.certs);
    add_pem(pem, &mut roots).map_err(|problem| {
        format!("{VARIABLE}: expected PEM certificates of certificate authorities, found {problem}")
    })?;
    if roots.is_empty() {
        tracing::warn!(
            "no server certificate will be trusted: neither the operating system nor {VARIABLE} provides a \
             certificate authority"
        );
    }
    Ok(roots)
}

fn add_pem(pem: &str, roots: &mut RootCertStore) -> Result<(), String> {
    // The CloudFormation console removes line breaks from a pasted parameter.
    let pem = pem
        .replace(BEGIN, &format!("\n{BEGIN}\n"))
        .replace(END, &format!("\n{END}\n"));
    let mut count = 0_usize;
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        count += 1;
        let certificate = certificate.map_err(|error| format!("{error} in certificate {count}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("{error} in certificate {count}"))?;
    }
    if count == 0 && !pem.trim().is_empty() {
        return Err("none".to_owned());
    }
    Ok(())
}

/// The configurations for both values of the input's `verifyCertificate`.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub(crate) verifying: Arc<ClientConfig>,
    pub(crate) accepting_any: Arc<ClientConfig>,
}

impl Tls {
    pub(crate) fn new(roots: RootCertStore) -> Result<Self, rustls::Error> {
        // Set explicitly, because the process's default provider depends on the linked crates.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = || {
            ClientConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
        };
        let verifying = builder()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let accepting_any = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider.clone())))
            .with_no_client_auth();
        Ok(Self {
            verifying: Arc::new(without_resumption(verifying)),
            accepting_any: Arc::new(without_resumption(accepting_any)),
        })
    }
}

fn without_resumption(mut config: ClientConfig) -> ClientConfig {
    // A resumed session does not verify the certificate again. As both sides have the same
    // names, it could also be a session with the other side.
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
        add_pem(pem, &mut roots).map(|()| roots.len())
    }

    #[test]
    fn private_certificate_authorities_are_read() {
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
    fn text_without_a_valid_certificate_is_refused() {
        assert_eq!(count("/etc/ssl/ca.pem"), Err("none".to_owned()));
        assert!(count(&format!("{BEGIN} bm9uc2Vuc2U= {END}")).is_err());
        let truncated = Authority::new("one").pem().replace(END, "");
        assert!(count(&truncated).is_err());
        let problem = root_store("nonsense").unwrap_err();
        assert_eq!(
            problem,
            "PROBE_CA_CERTIFICATES: expected PEM certificates of certificate authorities, found none"
        );
    }
}
