//! Who may ask and who may change: roles, how callers are told apart, and what each question needs.
//!
//! ```text
//! caller (address or uid, certificate) + bearer token --Rules::identify--> Principal --Need--> admitted, or a Refusal
//! ```
//! `table` names the role that every RPC and every address of HTTP needs, `token` and `certificate` are what callers show,
//! `failures` slows down who guesses, `audit` is what is written down, `gate` joins them. Time is an argument or handed in, lines
//! are handed out; no token is kept, only its hash (SHA-256: a token has at least 128 random bits, so nobody finds it by trying).

mod audit;
mod certificate;
mod failures;
mod gate;
pub mod table;
mod token;

use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc};

pub use self::{
    audit::{Entry, Outcome},
    certificate::{CertificateName, CertificateNames, CertificateRule},
    gate::{Admitted, Gate, Note},
    token::{Token, TokenHash},
};
use crate::types::Timestamp;

/// What somebody may do; each includes the ones before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Role {
    /// Reads everything, changes nothing.
    View,
    /// Also does what a shift does: alerts, sessions, routes of our own.
    Operate,
    /// Also changes what is configured: neighbours and the file.
    Admin,
}

impl Role {
    /// All, the least first.
    pub const ALL: [Self; 3] = [Self::View, Self::Operate, Self::Admin];

    /// As the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.name() == s);
        found.ok_or_else(|| format!("`{s}` is no role: there are view, operate and admin"))
    }
}

/// What a question or command needs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Need {
    /// Anybody may have the answer.
    Nothing,
    /// At least this role.
    Role(Role),
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Principal {
    /// Name of the token or certificate; `uid N` on the Unix socket, else `local` or `anonymous`.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
}

/// Where a connection comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// TCP.
    Address {
        /// The other end.
        peer: SocketAddr,
        /// Whether our listener is on loopback, so that only this machine reaches it.
        loopback: bool,
    },
    /// The Unix socket.
    User {
        /// The user of the process at the other end, as the kernel says.
        uid: u32,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { peer, .. } => peer.fmt(f),
            Self::User { uid } => write!(f, "uid {uid}"),
        }
    }
}

/// A connection, as it was accepted.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Where it comes from.
    pub place: Place,
    /// Whether it is under TLS.
    pub protected: bool,
    /// The names in the certificate that it showed; an authority that we trust vouches for them.
    pub certificate: Option<Arc<CertificateNames>>,
}

/// `[access]`: who is let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Tokens, each with a name of its own.
    pub tokens: Vec<Token>,
    /// Certificates; the first that fits counts.
    pub certificates: Vec<CertificateRule>,
    /// What those may do who show nothing; `None`: nothing, but on loopback everything while there are no tokens or certificates.
    pub unauthenticated: Option<Role>,
    /// What those may do who reach the Unix socket.
    pub socket_role: Role,
}

impl Default for Rules {
    /// Without `[access]`: this machine may do everything, nobody else anything.
    fn default() -> Self {
        Self { tokens: Vec::new(), certificates: Vec::new(), unauthenticated: None, socket_role: Role::Admin }
    }
}

impl Rules {
    /// Whether nobody has to show anything.
    pub fn is_open(&self) -> bool {
        self.tokens.is_empty() && self.certificates.is_empty()
    }

    /// Who `caller` is.
    ///
    /// # Errors
    /// What it shows is not enough, or wrong.
    pub fn identify(&self, caller: &Caller, bearer: Option<&str>, now: Timestamp) -> Result<Principal, Refusal> {
        let named = |name: &str, role| Ok(Principal { name: name.into(), role });
        // Where nobody is asked for a token, one that is shown is no fault.
        let bearer = bearer.filter(|_| !self.is_open());
        match (caller.place, bearer) {
            (Place::User { uid }, None) => return named(&format!("uid {uid}"), self.socket_role),
            (Place::Address { loopback: true, .. }, None) if self.is_open() && self.unauthenticated.is_none() => {
                return named("local", Role::Admin);
            }
            (_, Some(bearer)) => return token::find(&self.tokens, bearer, now),
            (Place::Address { .. }, None) => {}
        }
        if let Some(names) = &caller.certificate {
            if let Some(rule) = self.certificates.iter().find(|rule| rule.fits(names)) {
                return named(&rule.name, rule.role);
            }
            // With one of the right authority and no rule for it, one is as good as anybody.
            if self.unauthenticated.is_none() {
                return Err(Refusal::UnknownCertificate(names.to_string()));
            }
        }
        match self.unauthenticated {
            Some(role) => named("anonymous", role),
            None => Err(Refusal::NoCredentials),
        }
    }
}

/// Why somebody is not let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Nothing was shown.
    NoCredentials,
    /// Not a token of ours.
    UnknownToken,
    /// A token of ours, too late.
    Expired {
        /// Its name.
        name: Arc<str>,
        /// Since when.
        at: Timestamp,
    },
    /// A certificate that nobody gave a role; the names in it.
    UnknownCertificate(String),
    /// A certificate that no authority of ours vouches for; why.
    BadCertificate(String),
    /// Known, and not allowed.
    RoleTooLow {
        /// Who.
        principal: Principal,
        /// What it takes.
        needs: Role,
    },
    /// Too many failures from one address.
    TooManyFailures {
        /// When it is worth trying again, in seconds.
        retry_s: u64,
    },
    /// A browser was made to ask by another site; what told it.
    Elsewhere(String),
}

impl Refusal {
    /// What kind of answer it is.
    pub fn class(&self) -> Class {
        match self {
            Self::NoCredentials
            | Self::UnknownToken
            | Self::Expired { .. }
            | Self::UnknownCertificate(_)
            | Self::BadCertificate(_) => Class::Unauthenticated,
            Self::RoleTooLow { .. } | Self::Elsewhere(_) => Class::Forbidden,
            Self::TooManyFailures { .. } => Class::TooMany,
        }
    }
}

/// Kinds of refusals, as protocols tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Who are you? HTTP 401, gRPC `UNAUTHENTICATED`.
    Unauthenticated,
    /// You may not. HTTP 403, gRPC `PERMISSION_DENIED`.
    Forbidden,
    /// Not so fast. HTTP 429, gRPC `RESOURCE_EXHAUSTED`.
    TooMany,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCredentials => f.write_str("this daemon wants a token or a client certificate, and got neither"),
            Self::UnknownToken => f.write_str("this token is not known here"),
            Self::Expired { name, at } => write!(f, "the token of {name} expired at {at}"),
            Self::UnknownCertificate(names) => write!(f, "no role is given to a certificate for {names}"),
            Self::BadCertificate(why) => write!(f, "the client certificate is not accepted: {why}"),
            Self::RoleTooLow { principal: Principal { name, role }, needs } => {
                write!(f, "{name} has the role {role}, and this needs {needs}")
            }
            Self::TooManyFailures { retry_s } => {
                write!(f, "too many refused attempts from this address: try again in {retry_s}s")
            }
            Self::Elsewhere(why) => f.write_str(why),
        }
    }
}
