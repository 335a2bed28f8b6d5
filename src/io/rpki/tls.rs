//! TLS towards a cache (RFC 8210 §9.2): the files of the configuration made into a handshake, and what went wrong with
//! either in words that name the file to look at.
//!
//! What the RFC asks: the cache's certificate is checked against the name or address that it was configured with
//! (`subjectAltName`), and we show a certificate of our own, which the cache may insist on.

use std::{fmt, fs, io, path::Path, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        AlertDescription, CertificateError, ClientConfig, Error, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{
            CertificateDer, PrivateKeyDer, ServerName,
            pem::{self, PemObject},
        },
    },
};

use super::settings::{Identity, Tls};

/// A key of the configuration whose value TLS cannot use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFault {
    /// `ca_file`, `cert_file`, `key_file` or `server_name`.
    pub key: &'static str,
    /// What is wrong with it, in words that name the file.
    pub what: String,
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}

impl Tls {
    /// Whether the files can be used as they are now.
    ///
    /// # Errors
    /// Which of them cannot, and why.
    pub fn check(&self) -> Result<(), TlsFault> {
        if let Some(name) = &self.server_name
            && ServerName::try_from(name.as_str()).is_err()
        {
            return Err(TlsFault {
                key: "server_name",
                what: format!("{name:?} is neither the name of a host nor an address"),
            });
        }
        self.client().map(|_| ())
    }

    /// Reads the files.
    fn client(&self) -> Result<ClientConfig, TlsFault> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates("ca_file", &self.ca_file)? {
            roots.add(certificate).map_err(|error| fault("ca_file", &self.ca_file, explain(&error)))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let config = config.with_safe_default_protocol_versions();
        let config = config.map_err(|error| fault("ca_file", &self.ca_file, error.to_string()))?;
        let config = config.with_root_certificates(roots);
        let Some(Identity { cert_file, key_file }) = &self.identity else {
            return Ok(config.with_no_client_auth());
        };
        let chain = certificates("cert_file", cert_file)?;
        let key = PrivateKeyDer::from_pem_file(key_file)
            .map_err(|error| fault("key_file", key_file, unreadable(&error, "an unencrypted private key")))?;
        config.with_client_auth_cert(chain, key).map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                fault("key_file", key_file, format!("is not the key of the certificate in {}", cert_file.display()))
            }
            error => fault("key_file", key_file, explain(&error)),
        })
    }

    /// Speaks TLS over a connection to the cache at `address`.
    ///
    /// # Errors
    /// Why not, and where to look.
    pub(super) async fn connect(&self, stream: TcpStream, address: &str) -> Result<TlsStream<TcpStream>, String> {
        let client = self.client().map_err(|fault| fault.to_string())?;
        let name = self.server_name.as_deref().unwrap_or_else(|| host(address));
        let server = ServerName::try_from(name.to_owned()).map_err(|_| format!("{name} is no name of a host"))?;
        let done = TlsConnector::from(Arc::new(client)).connect(server, stream).await;
        done.map_err(|error| self.refused(&error, name).unwrap_or_else(|| format!("no TLS with {address}: {error}")))
    }

    /// What a fault of TLS means here; `None`: the fault is another one. A cache may refuse us as late as with our first
    /// words (RFC 8446 §4.4.2 and appendix E).
    pub(super) fn refused(&self, error: &io::Error, name: &str) -> Option<String> {
        let error = error.get_ref()?.downcast_ref::<Error>()?;
        let ca_file = self.ca_file.display();
        Some(match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
                format!("its certificate is not from an authority in ca_file {ca_file}")
            }
            Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => format!("its certificate is not for {name}: {}; see server_name", explain(error)),
            Error::AlertReceived(alert) => match (&self.identity, alert) {
                (None, AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure) => {
                    "it wants to know who we are: add cert_file and key_file".to_owned()
                }
                (Some(identity), alert) if is_about_us(*alert) => {
                    format!("it refused our certificate {}: {}", identity.cert_file.display(), explain(error))
                }
                _ => format!("it ended TLS: {}", explain(error)),
            },
            Error::InvalidMessage(_) => format!("it does not speak TLS: {}", explain(error)),
            error => format!("no TLS: {}", explain(error)),
        })
    }
}

fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            // Signed by another authority of the same name.
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired
    )
}

/// The host of a host and port.
pub(super) fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}

/// All certificates of a file, at least one.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    // Read as a whole first, or a file that cannot be read would look like one without certificates.
    let octets = fs::read(path).map_err(|error| fault(key, path, format!("cannot be read: {error}")))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    let found = found.map_err(|error| fault(key, path, unreadable(&error, "a certificate")))?;
    if found.is_empty() {
        return Err(fault(key, path, "has no certificate in PEM form".to_owned()));
    }
    Ok(found)
}

fn fault(key: &'static str, path: &Path, what: String) -> TlsFault {
    TlsFault { key, what: format!("{} {what}", path.display()) }
}

fn unreadable(error: &pem::Error, wanted: &str) -> String {
    match error {
        pem::Error::Io(error) => format!("cannot be read: {error}"),
        pem::Error::NoItemsFound => format!("has not {wanted} in PEM form"),
        error => format!("has not {wanted} in PEM form: {error}"),
    }
}

/// The library's words, on one line.
fn explain(error: &Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
