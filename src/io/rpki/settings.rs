//! What sources there are and how each is reached: what the configuration says of them.

use std::{path::PathBuf, time::Duration};

use crate::io::bgp::Password;

/// Where a source's data come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// An RTR cache at this host and port (RFC 8210), perhaps with TCP-MD5 or TLS.
    Rtr {
        /// Host and port.
        address: String,
        /// TCP-MD5 key.
        password: Option<Password>,
        /// How the cache proves who it is, and we to it; `None`: plain TCP.
        tls: Option<Tls>,
    },
    /// A file with exported payloads.
    File(PathBuf),
}

/// TLS towards a cache (RFC 8210 §9.2). The files are PEM; they are read for each connection, so certificates may be
/// replaced at any time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tls {
    /// Certificates of the authorities that may vouch for the cache, or the cache's own if it signed itself.
    pub ca_file: PathBuf,
    /// What we show the cache; `None`: nothing.
    pub identity: Option<Identity>,
    /// The name or address that the cache's certificate must be for; `None`: the host of its address.
    pub server_name: Option<String>,
}

/// A certificate and what proves that it is ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Our certificate first, then those between it and an authority that the cache knows.
    pub cert_file: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key_file: PathBuf,
}

/// One source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceSettings {
    /// Its name, in messages and answers.
    pub name: String,
    /// Where its data come from.
    pub place: Place,
    /// Sources with the lowest number that have data are in force.
    pub preference: u16,
    /// How often to ask at least, where the cache's own refresh interval is longer; for a file, how often to look at it.
    pub refresh: Option<Duration>,
    /// How long data hold without being confirmed, instead of the cache's own expire interval.
    pub expire: Option<Duration>,
}

impl Place {
    /// In one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rtr { .. } => "rtr",
            Self::File(_) => "file",
        }
    }

    /// Whether both are the same cache or file, however it is reached.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rtr { address: a, .. }, Self::Rtr { address: b, .. }) => a == b,
            (Self::File(a), Self::File(b)) => a == b,
            _ => false,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rtr { address, .. } => f.write_str(address),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// All sources and exceptions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RpkiSettings {
    /// At most `validation::SOURCES_MAX` less one for local exceptions.
    pub sources: Vec<SourceSettings>,
    /// A file with local exceptions (RFC 8416).
    pub slurm: Option<PathBuf>,
    /// How long import waits at start for the first answer of every source; `None`: it does not wait.
    pub hold_import: Option<Duration>,
}

impl RpkiSettings {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.slurm.is_none()
    }
}
