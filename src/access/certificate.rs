//! Client certificates: what stands in one, and who that is.

use std::{fmt, sync::Arc};

use super::Role;

/// The names in a certificate.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CertificateNames {
    /// The common name of its subject.
    pub common_name: Option<String>,
    /// DNS names and URIs of its `subjectAltName`.
    pub alternatives: Vec<String>,
}

impl fmt::Display for CertificateNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<&str> = self.common_name.iter().chain(&self.alternatives).map(String::as_str).collect();
        match all.as_slice() {
            [] => f.write_str("nobody"),
            all => f.write_str(&all.join(", ")),
        }
    }
}

/// What a certificate is known by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CertificateName {
    /// The common name of its subject.
    Subject(String),
    /// One of the DNS names and URIs of its `subjectAltName`.
    Alternative(String),
}

/// `[[access.certificate]]`: a role for those who show a certificate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CertificateRule {
    /// Who it is in the audit log.
    pub name: Arc<str>,
    /// What it may do.
    pub role: Role,
    /// Which certificate.
    pub shows: CertificateName,
}

impl CertificateRule {
    /// Whether a certificate with these names is meant. DNS names are compared without regard to case (RFC 4343).
    pub fn fits(&self, names: &CertificateNames) -> bool {
        match &self.shows {
            CertificateName::Subject(wanted) => names.common_name.as_ref() == Some(wanted),
            CertificateName::Alternative(wanted) => names.alternatives.iter().any(|name| match name.contains(':') {
                true => name == wanted,
                false => name.eq_ignore_ascii_case(wanted),
            }),
        }
    }
}
