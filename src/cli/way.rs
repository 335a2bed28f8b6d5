//! How a verb reaches a daemon: over TCP, TLS or a Unix socket, and with what it shows there. The crypto library is that of the
//! daemon; authorities are those of `--ca`, or of this machine.

use std::{
    fmt, fs,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::Interceptor,
    transport::{self, Channel, Endpoint},
};
use tower::service_fn;

use super::client::Failure;
use crate::types::Secret;

/// Where a token may stand that is in no file.
const TOKEN_VARIABLE: &str = "RIBWATCH_TOKEN";

/// Where the daemon is and what is shown to it.
#[derive(Args, Clone, Debug)]
pub(super) struct Way {
    /// gRPC address of the daemon: HOST:PORT, https://HOST:PORT or unix:/PATH
    #[arg(long, global = true, value_name = "ADDRESS", env = "RIBWATCH_API", default_value = "127.0.0.1:50051")]
    api: String,
    /// A file whose first line is the token to show; or set RIBWATCH_TOKEN
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) of who vouches for the daemon; default: whom this machine trusts
    #[arg(long, global = true, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A certificate (PEM) to show to the daemon
    #[arg(long, global = true, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, global = true, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.api)
    }
}

/// Shows a token with every question.
#[derive(Clone)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// What a way leads over.
enum Over {
    Tcp(String),
    Tls { host: String, port: u16 },
    Unix(PathBuf),
}

impl Way {
    /// What is shown with every question.
    ///
    /// # Errors
    /// The file cannot be read, or the token would be sent in the clear to another machine.
    pub(super) fn bearer(&self) -> Result<Bearer, Failure> {
        let Some(token) = self.token()? else { return Ok(Bearer(None)) };
        if let Over::Tcp(url) = self.over()?
            && !self.api.contains("://")
            && !is_loopback(&url)
        {
            return Err(Failure::Usage(format!(
                "a token would be sent to {0} in the clear: write https://{0}, or http://{0} where the way there is safe",
                self.api
            )));
        }
        let value = MetadataValue::try_from(format!("Bearer {}", token.0));
        let mut value = value.map_err(|_| Failure::Usage("the token has characters that no token has".to_owned()))?;
        value.set_sensitive(true);
        Ok(Bearer(Some(value)))
    }

    fn token(&self) -> Result<Option<Secret>, Failure> {
        let Some(path) = &self.token_file else {
            let set = std::env::var(TOKEN_VARIABLE).ok().map(|token| token.trim().to_owned());
            return Ok(set.filter(|token| !token.is_empty()).map(Secret));
        };
        let text = fs::read_to_string(path).map_err(|error| unusable("--token-file", path, &error))?;
        match text.lines().next().map(str::trim) {
            Some(token) if !token.is_empty() => Ok(Some(Secret(token.to_owned()))),
            _ => Err(unusable("--token-file", path, &"it is empty")),
        }
    }

    fn over(&self) -> Result<Over, Failure> {
        if let Some(path) = self.api.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return Ok(Over::Unix(path.into()));
        }
        if !self.api.starts_with("https://") {
            let plain = if self.api.contains("://") { self.api.clone() } else { format!("http://{}", self.api) };
            return Ok(Over::Tcp(plain));
        }
        let wrong = || Failure::Usage(format!("`{}` is no address: write https://HOST:PORT", self.api));
        let uri: Uri = self.api.parse().map_err(|_| wrong())?;
        let host = uri.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
        Ok(Over::Tls { host, port: uri.port_u16().ok_or_else(wrong)? })
    }

    /// Connects; `prepare` sets what every connection has.
    ///
    /// # Errors
    /// Wrong usage, or nobody answers.
    pub(super) async fn connect(&self, prepare: impl FnOnce(Endpoint) -> Endpoint) -> Result<Channel, Failure> {
        let connected = match self.over()? {
            Over::Tcp(url) => {
                let wrong = |error| Failure::Usage(format!("`{self}` is no address: write HOST:PORT ({error})"));
                prepare(Endpoint::from_shared(url).map_err(wrong)?).connect().await
            }
            Over::Unix(path) => {
                let connector = service_fn(move |_: Uri| {
                    let path = path.clone();
                    async move { UnixStream::connect(path).await.map(TokioIo::new) }
                });
                prepare(Endpoint::from_static("http://localhost")).connect_with_connector(connector).await
            }
            Over::Tls { host, port } => {
                let tls = TlsConnector::from(Arc::new(self.tls()?));
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| Failure::Usage(format!("{host} is no name for a certificate")))?;
                let connector = service_fn(move |_: Uri| {
                    let (tls, name, host) = (tls.clone(), name.clone(), host.clone());
                    async move {
                        let stream = TcpStream::connect((host.as_str(), port)).await?;
                        // As tonic does it: small questions are not held back.
                        stream.set_nodelay(true)?;
                        tls.connect(name, stream).await.map(TokioIo::new)
                    }
                });
                prepare(Endpoint::from_static("http://localhost")).connect_with_connector(connector).await
            }
        };
        connected.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &transport::Error) -> Failure {
        Failure::Unreachable { api: self.api.clone(), why: super::client::innermost(error) }
    }

    fn tls(&self) -> Result<ClientConfig, Failure> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(path) => {
                for authority in certificates("--ca", path)? {
                    roots.add(authority).map_err(|error| unusable("--ca", path, &error))?;
                }
            }
            // Without any, every connection fails and says so.
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let wrong = |error| Failure::Usage(format!("TLS cannot be used: {error}"));
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(wrong)?.with_root_certificates(roots);
        let mut config = match self.cert.as_ref().zip(self.key.as_ref()) {
            None => builder.with_no_client_auth(),
            Some((cert, key_file)) => {
                let chain = certificates("--cert", cert)?;
                let key = PrivateKeyDer::from_pem_file(key_file)
                    .map_err(|error| unusable("--key", key_file, &format!("no unencrypted private key: {error}")))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| unusable("--key", key_file, &error))?
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}

/// Whether what is sent to `url` stays on this machine.
fn is_loopback(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let octets = fs::read(path).map_err(|error| unusable(option, path, &error))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(unusable(option, path, &"it has no certificate in PEM form")),
        Err(error) => Err(unusable(option, path, &error)),
    }
}

fn unusable(option: &str, path: &Path, why: &dyn fmt::Display) -> Failure {
    Failure::Usage(format!("{option} {} cannot be used: {why}", path.display()))
}
