//! ROUTE-REFRESH: the request of RFC 2918 and the demarcation of RFC 7313. The outbound route filter that a request may
//! carry is in `orf`.

use super::{HEADER_LEN, MessageType, begin_message, end_message};
use crate::{
    types::Family,
    wire::{
        cursor::Reader,
        error::{Fault, NotificationCode},
    },
};

/// What a ROUTE-REFRESH asks or marks (RFC 7313 §3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefreshSubtype {
    /// 0: send everything again (RFC 2918).
    Request,
    /// 1: beginning of a refresh (BoRR).
    BeginOfRefresh,
    /// 2: end of a refresh (EoRR).
    EndOfRefresh,
    /// Reserved or unknown: to be ignored and logged (RFC 7313 §5).
    Unknown(u8),
}

impl RefreshSubtype {
    fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Request,
            1 => Self::BeginOfRefresh,
            2 => Self::EndOfRefresh,
            other => Self::Unknown(other),
        }
    }

    /// The wire code.
    pub fn code(self) -> u8 {
        match self {
            Self::Request => 0,
            Self::BeginOfRefresh => 1,
            Self::EndOfRefresh => 2,
            Self::Unknown(code) => code,
        }
    }
}

/// A ROUTE-REFRESH message (RFC 2918, RFC 7313).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RouteRefresh {
    /// Which routes.
    pub family: Family,
    /// Request or mark.
    pub subtype: RefreshSubtype,
}

impl RouteRefresh {
    /// Decodes a whole message, header included. Octets behind the family of a request are an outbound route
    /// filter (`OrfRefresh`) and are passed over here; so is what follows an unknown subtype.
    ///
    /// # Errors
    /// BoRR or EoRR whose body is not 4 octets, or any whose body is shorter: 7/1, the data is the message
    /// (RFC 7313 §5).
    pub fn decode(message: &[u8]) -> Result<Self, Fault> {
        let malformed = || {
            let what =
                format!("ROUTE-REFRESH body of {} octets, 4 are expected", message.len().saturating_sub(HEADER_LEN));
            Fault::reset(NotificationCode::INVALID_REFRESH_LENGTH, 16, "RFC 7313 §5", what).with_data(message)
        };
        let mut r = Reader::new(message);
        let fields = r.skip(HEADER_LEN).and_then(|()| Some((r.u16()?, r.u8()?, r.u8()?)));
        let Some((afi, subtype, safi)) = fields else { return Err(malformed()) };
        let subtype = RefreshSubtype::from_code(subtype);
        let is_mark = matches!(subtype, RefreshSubtype::BeginOfRefresh | RefreshSubtype::EndOfRefresh);
        if is_mark && !r.is_empty() {
            return Err(malformed());
        }
        Ok(Self { family: Family::new(afi, safi), subtype })
    }

    /// The whole message, header included.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + 4);
        let start = begin_message(&mut out, MessageType::RouteRefresh);
        out.extend(self.family.afi.to_be_bytes());
        out.extend([self.subtype.code(), self.family.safi]);
        end_message(&mut out, start);
        out
    }
}
