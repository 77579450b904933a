//! The TLS configuration: trusted certificates, and no session resumption, so that
//! every connection verifies the certificate.

use std::fs;
use std::path::Path;
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

pub(crate) const DIRECTORY_VARIABLE: &str = "PROBE_CA_CERTIFICATES_DIRECTORY";

/// PEM certificates of certificate authorities.
#[derive(Clone, Debug)]
pub(crate) struct Pem {
    /// Where the text comes from, for errors.
    source: String,
    text: String,
}

impl Pem {
    /// The value of `PROBE_CA_CERTIFICATES`.
    pub(crate) fn of_the_variable(text: &str) -> Self {
        Self {
            source: VARIABLE.to_owned(),
            text: text.to_owned(),
        }
    }

    /// The files `*.pem` of a directory, which a Lambda layer delivers: a layer may have 50 MB, the
    /// environment of a function only 4 KB.
    ///
    /// # Errors
    /// If the directory can't be read or has no such file.
    pub(crate) fn files_of(directory: &Path) -> Result<Vec<Self>, String> {
        let problem = |found: String| {
            format!(
                "{DIRECTORY_VARIABLE}: expected a directory with files *.pem, found {found}. The archive \
                 of the layer has to have them in the folder ca-certificates"
            )
        };
        let path = directory.display();
        let unreadable = |error| problem(format!("{path}, which can't be read: {error}"));
        let mut files = Vec::new();
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|extension| extension == "pem") {
                files.push(file);
            }
        }
        if files.is_empty() {
            return Err(problem(format!("none in {path}")));
        }
        // The order of a directory is not defined, and an error should name the same file each time.
        files.sort();
        let read = |file: &Path| {
            let source = file.display().to_string();
            match fs::read_to_string(file) {
                Ok(text) if text.trim().is_empty() => Err(problem(format!("{source} empty"))),
                Ok(text) => Ok(Self { source, text }),
                Err(error) => Err(problem(format!("{source}, which can't be read: {error}"))),
            }
        };
        files.iter().map(|file| read(file)).collect()
    }
}

/// The certificate authorities of the operating system and of `pems`.
pub(crate) fn root_store(pems: &[Pem]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        tracing::warn!(%error, "failed to load certificates of the operating system");
    }
    roots.add_parsable_certificates(native.certs);
    for Pem { source, text } in pems {
        add_pem(text, &mut roots).map_err(|problem| {
            format!(
                "{source}: expected PEM certificates of certificate authorities, found {problem}"
            )
        })?;
    }
    if roots.is_empty() {
        tracing::warn!(
            "no server certificate will be trusted: neither the operating system nor {VARIABLE} or \
             {DIRECTORY_VARIABLE} provides a certificate authority"
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
    use tempfile::TempDir;

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
        let problem = root_store(&[Pem::of_the_variable("nonsense")]).unwrap_err();
        assert_eq!(
            problem,
            "PROBE_CA_CERTIFICATES: expected PEM certificates of certificate authorities, found none"
        );
    }
    #[test]
    fn files_of_a_directory_are_read() {
        let directory = TempDir::new().unwrap();
        let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
        let none = Pem::files_of(directory.path()).unwrap_err();
        assert!(none.contains("found none in"), "{none}");

        write("README", "not a certificate");
        write("two.pem", &{
            let [one, another] = ["one", "another"].map(Authority::new);
            format!("{}{}", one.pem(), another.pem())
        });
        write("three.pem", Authority::new("three").pem());
        let of_the_system = root_store(&[]).unwrap().len();
        let files = Pem::files_of(directory.path()).unwrap();
        assert_eq!(root_store(&files).unwrap().len(), of_the_system + 3);

        write("broken.pem", "nonsense");
        let files = Pem::files_of(directory.path()).unwrap();
        let problem = root_store(&files).unwrap_err();
        assert!(problem.contains("broken.pem: expected PEM"), "{problem}");
        write("broken.pem", " \n");
        let empty = Pem::files_of(directory.path()).unwrap_err();
        assert!(empty.contains("broken.pem empty"), "{empty}");
    }

    #[test]
    fn a_missing_directory_is_named() {
        let problem = Pem::files_of(Path::new("/nowhere/ca-certificates")).unwrap_err();
        let expected = "PROBE_CA_CERTIFICATES_DIRECTORY: expected a directory with files *.pem, found \
                        /nowhere/ca-certificates, which can't be read: ";
        assert!(problem.starts_with(expected), "{problem}");
    }
}
