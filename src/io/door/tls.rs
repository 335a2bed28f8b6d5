//! Our end of TLS towards readers: certificate, key and the authorities of clients, read from files at the start and again at each
//! reload. A connection keeps what it began with.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        Error, RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
    server::TlsStream,
};

use super::names;
use crate::access::CertificateNames;

/// `tls` of `[api]` and `[http]`: files in PEM form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFiles {
    /// `certificate`: ours first, then those between it and its authority.
    pub certificate: PathBuf,
    /// `key`: its private key, without a password.
    pub key: PathBuf,
    /// `client_ca`: authorities that vouch for clients; `None`: clients are not asked for a certificate.
    pub client_ca: Option<PathBuf>,
}

/// A file that TLS cannot use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFault {
    /// `certificate`, `key` or `client_ca`.
    pub key: &'static str,
    /// What is wrong with it, in words that name the file.
    pub what: String,
}

impl TlsFiles {
    /// Reads the files. `protocols` are offered, the best first (RFC 7301).
    ///
    /// # Errors
    /// Which of them cannot be used, and why; never with what stands in it.
    pub fn read(&self, protocols: &[&str]) -> Result<ServerConfig, TlsFault> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| fault("certificate", &self.certificate, error))?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates("client_ca", path)? {
                    roots.add(authority).map_err(|error| fault("client_ca", path, error))?;
                }
                // Who shows none may have a token: that is judged by what is asked.
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| fault("client_ca", path, error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let chain = certificates("certificate", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| fault("key", &self.key, format!("has not an unencrypted private key: {error}")))?;
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            Error::InconsistentKeys(_) => {
                let what = format!("is not the key of the certificate in {}", self.certificate.display());
                fault("key", &self.key, what)
            }
            error => fault("certificate", &self.certificate, error),
        })?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(config)
    }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let octets = std::fs::read(path).map_err(|error| fault(key, path, format!("cannot be read: {error}")))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    let found = found.map_err(|error| fault(key, path, format!("has not a certificate in PEM form: {error}")))?;
    match found.is_empty() {
        true => Err(fault(key, path, "has no certificate in PEM form")),
        false => Ok(found),
    }
}

fn fault(key: &'static str, path: &Path, what: impl ToString) -> TlsFault {
    // The library's words, on one line.
    let what = what.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    TlsFault { key, what: format!("{} {what}", path.display()) }
}

/// TLS of one listener.
pub struct TlsServer {
    files: TlsFiles,
    protocols: &'static [&'static str],
    config: RwLock<Arc<ServerConfig>>,
}

impl TlsServer {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// As `TlsFiles::read`.
    pub fn new(files: TlsFiles, protocols: &'static [&'static str]) -> Result<Self, TlsFault> {
        let config = RwLock::new(Arc::new(files.read(protocols)?));
        Ok(Self { files, protocols, config })
    }

    /// Reads the files again; connections from now on are shown what stands there.
    ///
    /// # Errors
    /// As `TlsFiles::read`; all is as it was.
    pub fn reload(&self) -> Result<(), TlsFault> {
        let config = Arc::new(self.files.read(self.protocols)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Agrees on TLS with a client; answers with the names in its certificate, where it shows one.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<(TlsStream<TcpStream>, Option<CertificateNames>)> {
        let config = Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner));
        let stream = TlsAcceptor::from(config).accept(stream).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(names::names);
        Ok((stream, shown))
    }
}

/// Why a client's certificate was not accepted; `None`: something else went wrong.
pub(super) fn certificate_fault(error: &io::Error) -> Option<String> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::InvalidCertificate(why) => {
            let why = format!("{why:?}");
            Some(why.split_whitespace().collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}
