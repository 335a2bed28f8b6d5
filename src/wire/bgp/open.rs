//! OPEN (RFC 4271 §4.2) with its optional parameters in both encodings (RFC 5492, RFC 9072). What the
//! capabilities say is in `capability`; whether the two sides agree is decided in `session::negotiate`.

use super::{
    HEADER_LEN, MAX_LEN, MessageType, begin_message,
    capability::{self, Capability},
    end_message,
};
use crate::{
    types::{Asn, RouterId},
    wire::{
        cursor::Reader,
        error::{Fault, NotificationCode},
    },
};

/// The only version there is.
const VERSION: u8 = 4;
/// Optional parameter "Capabilities" (RFC 5492 §4).
const PARAMETER_CAPABILITIES: u8 = 2;
/// "Non-Ext OP Type": where the first parameter's type would stand, it announces the extended encoding; anywhere
/// else it is an unknown parameter (RFC 9072 §2, §3).
const PARAMETER_EXTENDED: u8 = 255;
/// Octets of an OPEN before its parameters in the extended encoding: header, fixed part, 255, 255, length.
const EXTENDED_FIXED_LEN: usize = HEADER_LEN + 10 + 3;

/// An OPEN message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Open {
    /// Protocol version: 4.
    pub version: u8,
    /// The two-octet AS field: AS_TRANS where the number does not fit (RFC 6793 §4.1). See [`Open::asn`].
    pub my_as: u16,
    /// Proposed hold time in seconds: 0 (no keepalives) or at least 3.
    pub hold_time_secs: u16,
    /// BGP Identifier, not zero.
    pub router_id: RouterId,
    /// Capabilities in the order received, repeated ones included.
    pub capabilities: Vec<Capability>,
}

impl Open {
    /// An OPEN of AS `asn`; the two-octet field is filled as RFC 6793 §4.1 asks. The capability that carries the
    /// whole number is the caller's to add.
    pub fn new(asn: Asn, hold_time_secs: u16, router_id: RouterId, capabilities: Vec<Capability>) -> Self {
        let my_as = u16::try_from(asn.0).unwrap_or(23456);
        Self { version: VERSION, my_as, hold_time_secs, router_id, capabilities }
    }

    /// The sender's AS: from the four-octet AS capability where there is one, else from the two-octet field.
    pub fn asn(&self) -> Asn {
        let four_octet = self.capabilities.iter().rev().find_map(|capability| match capability {
            Capability::FourOctetAs(asn) => Some(*asn),
            _ => None,
        });
        four_octet.unwrap_or(Asn(self.my_as.into()))
    }

    /// Decodes a whole message, header included.
    ///
    /// # Errors
    /// All of RFC 4271 §6.2 that does not depend on configuration, all session resets: version 2/1 (the data is
    /// the version we speak), AS 0 2/2 (RFC 7607 §2), hold time of 1 or 2 s 2/6, identifier 0 2/3 (RFC 6286 §2.2),
    /// unknown optional parameter 2/4, lengths that contradict each other 2/0, two different roles 2/11
    /// (RFC 9234 §4.2).
    pub fn decode(message: &[u8]) -> Result<Self, Fault> {
        let mut r = Reader::new(message);
        let fixed = r.skip(HEADER_LEN).and_then(|()| Some((r.u8()?, r.u16()?, r.u16()?, r.u32()?, r.u8()?)));
        let Some((version, my_as, hold_time_secs, router_id, parameters_len)) = fixed else {
            return Err(malformed(message.len(), "RFC 4271 §4.2", "OPEN ends inside its fixed part"));
        };
        check_fixed_part(version, my_as, hold_time_secs, router_id)?;
        let capabilities = decode_parameters(r, parameters_len)?;
        check_capabilities(&capabilities)?;
        Ok(Self { version, my_as, hold_time_secs, router_id: RouterId(router_id), capabilities })
    }

    /// The whole message, header included: one Capabilities parameter with everything in it (RFC 5492 §4), none
    /// when there are no capabilities, and the extended encoding when that parameter would not fit 255 octets
    /// (RFC 9072 §2). Capabilities that would take the OPEN beyond 4096 octets are left out, last ones first.
    pub fn encode(&self) -> Vec<u8> {
        let capabilities = self.encode_capabilities();
        let mut out = Vec::with_capacity(EXTENDED_FIXED_LEN + 3 + capabilities.len());
        let start = begin_message(&mut out, MessageType::Open);
        out.push(self.version);
        out.extend(self.my_as.to_be_bytes());
        out.extend(self.hold_time_secs.to_be_bytes());
        out.extend(self.router_id.0.to_be_bytes());
        // Lengths count what follows them: type and length of the parameter are 2 octets, or 3 when extended.
        let short = u8::try_from(capabilities.len()).ok().and_then(|len| Some((len.checked_add(2)?, len)));
        match short {
            Some((_, 0)) => out.push(0),
            Some((total, len)) => out.extend([total, PARAMETER_CAPABILITIES, len]),
            None => {
                let len = u16::try_from(capabilities.len()).unwrap_or(u16::MAX);
                out.extend([255, PARAMETER_EXTENDED]);
                out.extend(len.saturating_add(3).to_be_bytes());
                out.push(PARAMETER_CAPABILITIES);
                out.extend(len.to_be_bytes());
            }
        }
        out.extend(capabilities);
        end_message(&mut out, start);
        out
    }

    fn encode_capabilities(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for capability in &self.capabilities {
            let before = out.len();
            capability.encode(&mut out);
            if EXTENDED_FIXED_LEN + 3 + out.len() > MAX_LEN {
                out.truncate(before);
                break;
            }
        }
        out
    }
}

fn malformed(at: usize, rfc: &'static str, what: impl Into<String>) -> Fault {
    Fault::reset(NotificationCode::OPEN_UNSPECIFIC, at, rfc, what)
}

fn check_fixed_part(version: u8, my_as: u16, hold_time_secs: u16, router_id: u32) -> Result<(), Fault> {
    if version != VERSION {
        let what = format!("BGP version {version}, we speak version 4");
        let fault = Fault::reset(NotificationCode::UNSUPPORTED_VERSION, 19, "RFC 4271 §6.2", what);
        return Err(fault.with_data(u16::from(VERSION).to_be_bytes()));
    }
    if my_as == 0 {
        return Err(Fault::reset(NotificationCode::BAD_PEER_AS, 20, "RFC 7607 §2", "the AS number is 0"));
    }
    if matches!(hold_time_secs, 1 | 2) {
        let what = format!("hold time of {hold_time_secs} s, 0 or at least 3 are possible");
        return Err(Fault::reset(NotificationCode::UNACCEPTABLE_HOLD_TIME, 22, "RFC 4271 §6.2", what));
    }
    if router_id == 0 {
        return Err(Fault::reset(NotificationCode::BAD_BGP_IDENTIFIER, 24, "RFC 6286 §2.2", "the BGP Identifier is 0"));
    }
    Ok(())
}

/// Reads all optional parameters; `r` stands behind the one-octet Optional Parameters Length.
fn decode_parameters(mut r: Reader<'_>, parameters_len: u8) -> Result<Vec<Capability>, Fault> {
    let extended = parameters_len != 0 && r.peek() == Some(PARAMETER_EXTENDED);
    let (at, len) = if extended {
        let field = r.skip(1).and_then(|()| r.u16());
        let what = "OPEN ends inside the extended optional parameters length";
        (29, usize::from(field.ok_or_else(|| malformed(29, "RFC 9072 §2", what))?))
    } else {
        (28, usize::from(parameters_len))
    };
    if len != r.len() {
        let what = format!("optional parameters length {len}, but {} octets follow", r.len());
        return Err(malformed(at, if extended { "RFC 9072 §2" } else { "RFC 4271 §6.2" }, what));
    }
    let mut capabilities = Vec::new();
    while !r.is_empty() {
        decode_parameter(&mut r, extended, &mut capabilities)?;
    }
    Ok(capabilities)
}

fn decode_parameter(r: &mut Reader<'_>, extended: bool, out: &mut Vec<Capability>) -> Result<(), Fault> {
    let at = r.position();
    let overrun = || malformed(at, "RFC 4271 §6.2", "an optional parameter is longer than the parameters field");
    let kind = r.u8().ok_or_else(overrun)?;
    let len = if extended { r.u16().map(usize::from) } else { r.u8().map(usize::from) };
    let value = len.and_then(|len| r.sub(len)).ok_or_else(overrun)?;
    if kind != PARAMETER_CAPABILITIES {
        let what = format!("optional parameter {kind} is unknown");
        return Err(Fault::reset(NotificationCode::UNSUPPORTED_PARAMETER, at, "RFC 4271 §6.2", what));
    }
    capability::decode_all(value, out)
}

fn check_capabilities(capabilities: &[Capability]) -> Result<(), Fault> {
    let zero = capabilities.contains(&Capability::FourOctetAs(Asn(0)));
    if zero {
        let what = "the AS number in the four-octet AS capability is 0";
        return Err(Fault::reset(NotificationCode::BAD_PEER_AS, HEADER_LEN + 10, "RFC 7607 §2", what));
    }
    let mut roles = capabilities.iter().filter_map(|capability| match capability {
        Capability::Role(role) => Some(*role),
        _ => None,
    });
    let first = roles.next();
    match roles.find(|role| Some(*role) != first) {
        Some(_) => {
            let what = "two BGP Role capabilities that differ";
            Err(Fault::reset(NotificationCode::ROLE_MISMATCH, HEADER_LEN + 10, "RFC 9234 §4.2", what))
        }
        None => Ok(()),
    }
}
