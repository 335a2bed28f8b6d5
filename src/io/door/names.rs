//! The names in a certificate that TLS has accepted: the common name of its subject and its `subjectAltName` (RFC 5280 §4.1.2.6
//! and §4.2.1.6).

use tokio_rustls::rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

use crate::access::CertificateNames;

/// `id-at-commonName`, 2.5.4.3 (RFC 5280 appendix A.1), in DER.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;

/// The names in `certificate`; none where it cannot be read.
pub(super) fn names(certificate: &CertificateDer<'_>) -> CertificateNames {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return CertificateNames::default() };
    let alternatives = certificate.valid_dns_names().chain(certificate.valid_uri_names());
    CertificateNames {
        common_name: common_name(certificate.subject()),
        alternatives: alternatives.map(str::to_owned).collect(),
    }
}

/// The last common name of a subject, which is the most particular one; `subject` is what stands inside the sequence.
fn common_name(subject: &[u8]) -> Option<String> {
    let (mut rest, mut found) = (subject, None);
    while let Some((SET, mut set, after)) = element(rest) {
        rest = after;
        while let Some((SEQUENCE, pair, after)) = element(set) {
            set = after;
            let (OBJECT_IDENTIFIER, name, value) = element(pair)? else { return None };
            if name == COMMON_NAME
                && let Some((UTF8_STRING | PRINTABLE_STRING, text, _)) = element(value)
            {
                found = String::from_utf8(text.to_vec()).ok();
            }
        }
    }
    found
}

/// Tag and content of the first element of `der`, and what follows it; lengths in short form or in one or two octets, which no
/// name exceeds (X.690 §8.1.3).
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, der) = der.split_first()?;
    let (&first, der) = der.split_first()?;
    let (len, der) = match first {
        0..=0x7f => (usize::from(first), der),
        0x81 => der.split_first().map(|(&len, der)| (usize::from(len), der))?,
        0x82 => der.split_first_chunk().map(|(len, der)| (usize::from(u16::from_be_bytes(*len)), der))?,
        _ => return None,
    };
    let (content, rest) = der.split_at_checked(len)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn common_name_dns_names_and_uris_are_found() {
        let mut params = CertificateParams::new(["Robot.example".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "Example");
        params.distinguished_name.push(DnType::CommonName, "röbot 7");
        params.subject_alt_names.push(SanType::URI("spiffe://example/robot".try_into().unwrap()));
        params.subject_alt_names.push(SanType::Rfc822Name("robot@example".try_into().unwrap()));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let names = names(certificate.der());
        assert_eq!(names.common_name.as_deref(), Some("röbot 7"));
        assert_eq!(names.alternatives, ["Robot.example", "spiffe://example/robot"]);
    }

    #[test]
    fn broken_octets_have_no_names() {
        for octets in [&[][..], &[0x31], &[0x31, 0x05, 0x30], &[0x31, 0x83, 0, 0, 1, 0], &[0x31, 2, 0x30, 0]] {
            assert_eq!(common_name(octets), None, "{octets:?}");
        }
    }
}
