//! Whom we trust over TLS: the authorities of this machine, or those of `ca_file`. The crypto library is named for each
//! connection, so nothing has to be installed for the whole process first.

use std::{path::Path, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::explain;

/// The settings of our end.
///
/// # Errors
/// One sentence: `ca_file` has no certificate, or this machine trusts nobody.
pub(super) fn config(ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let wrong = |why: String| format!("ca_file {}: {why}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))? {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
        }
        // Without any, every connection fails and says so; plain ones do not need them.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Protects `stream` to `host`.
///
/// # Errors
/// One line: the certificate is not trusted, or not for this host, or the other end speaks no TLS.
pub(super) async fn protect(
    config: &Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is no name for a certificate"))?;
    let protected = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
    protected.map_err(|error| format!("TLS with {host}: {}", explain(&error)))
}
