//! TLS for callers: certificate, key, and who may connect.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

use super::watched::Watched;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// When set, a caller must have a certificate signed by one of these authorities.
    pub client_ca: Option<PathBuf>,
}

/// The configuration from the current content of the files.
pub struct Tls(Watched<ServerConfig>);

impl Tls {
    /// Reads the files, which must exist and fit together.
    pub fn open(files: TlsFiles) -> Result<Self, String> {
        let mut paths = vec![files.certificate.clone(), files.key.clone()];
        paths.extend(files.client_ca.clone());
        let read = move || configuration(&files);
        Ok(Self(Watched::new("certificate and key", paths, read)?))
    }

    /// Performs the handshake. The caller of this method limits its time.
    pub async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.0.now()).accept(stream).await
    }

    /// Reads the files again.
    pub fn reload(&self) {
        self.0.reload();
    }
}

/// Returns the provider that is linked. The process's default provider is not used, because
/// libraries may set it.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn configuration(files: &TlsFiles) -> Result<ServerConfig, String> {
    let chain = certificates(&files.certificate)?;
    let key = read(&files.key)?;
    // The parser's own message is not shown, because it may repeat a line of the file.
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|_| format!("{} holds no private key in PEM", files.key.display()))?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => builder.with_client_cert_verifier(verifier(path)?),
    };
    let mut configuration = builder.with_single_cert(chain, key).map_err(|error| {
        let (certificate, key) = (files.certificate.display(), files.key.display());
        format!("{certificate} and {key} cannot be used together: {error}")
    })?;
    configuration.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(configuration)
}

fn verifier(
    path: &Path,
) -> Result<Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier>, String> {
    let bad = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| bad(&error))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| bad(&error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let none = || format!("{} holds no certificate in PEM", path.display());
    let bytes = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|_| none())?;
    if found.is_empty() { Err(none()) } else { Ok(found) }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn pair(dir: &Path, name: &str) -> TlsFiles {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let files = TlsFiles {
            certificate: dir.join(format!("{name}.pem")),
            key: dir.join(format!("{name}.key")),
            client_ca: None,
        };
        fs::write(&files.certificate, made.cert.pem()).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn files_that_do_not_fit_are_refused_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (pair(dir.path(), "one"), pair(dir.path(), "other"));
        assert!(Tls::open(one.clone()).is_ok());
        let ca = TlsFiles { client_ca: Some(other.certificate.clone()), ..one.clone() };
        assert!(Tls::open(ca).is_ok());
        let error = |files: TlsFiles| Tls::open(files).err().expect("they do not fit");
        let crossed = error(TlsFiles { key: other.key.clone(), ..one.clone() });
        assert!(crossed.contains("one.pem and ") && crossed.contains("together"), "{crossed}");
        let swapped = error(TlsFiles { certificate: one.key.clone(), ..one.clone() });
        assert!(swapped.contains("one.key holds no certificate"), "{swapped}");
        let swapped = error(TlsFiles { key: one.certificate.clone(), ..one.clone() });
        assert!(swapped.contains("one.pem holds no private key"), "{swapped}");
        let missing = error(TlsFiles { client_ca: Some(dir.path().join("none")), ..one });
        assert!(missing.contains("none") && missing.contains("No such file"), "{missing}");
    }

    #[test]
    fn a_broken_key_file_is_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let files = pair(dir.path(), "one");
        fs::write(&files.key, "-----BEGIN SECRET\nsecret\n").unwrap();
        let error = Tls::open(files).err().expect("it is no key");
        assert!(!error.to_lowercase().contains("secret"), "{error}");
    }
}
