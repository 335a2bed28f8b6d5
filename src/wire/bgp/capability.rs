//! Capabilities of OPEN (RFC 5492): what each one says, and its codec. A new one is a variant here and a line in
//! each `match`; the compiler leads on to `session::negotiate`, where both sides' lists meet.
//!
//! *What the RFCs ask.* A capability that is not understood is ignored (RFC 5492 §3), one that may repeat is
//! listed as often as it was sent. *What we do.* A capability whose length contradicts its definition makes the
//! OPEN malformed (2/0, RFC 4271 §6.2), because a session that both sides understand differently is worse than
//! none. Host name and software version, which no behaviour depends on, are kept raw instead.

use std::fmt;

use crate::{
    types::{Asn, Family, Role},
    wire::{
        cursor::{Reader, push_with_len8},
        cut_text,
        error::{Fault, NotificationCode},
        printable_text,
    },
};

/// Which directions of ADD-PATH the sender is able to do (RFC 7911 §4); the value is the wire code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum AddPathMode {
    /// Receives several paths.
    Receive = 1,
    /// Sends several paths.
    Send = 2,
    /// Both.
    Both = 3,
}

impl AddPathMode {
    fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Receive,
            2 => Self::Send,
            3 => Self::Both,
            _ => return None,
        })
    }

    /// Whether the sender is able to receive several paths.
    pub fn receives(self) -> bool {
        matches!(self, Self::Receive | Self::Both)
    }

    /// Whether the sender is able to send several paths.
    pub fn sends(self) -> bool {
        matches!(self, Self::Send | Self::Both)
    }
}

/// Graceful Restart (RFC 4724 §3, RFC 8538 §2).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct GracefulRestart {
    /// R: the sender has restarted.
    pub restarting: bool,
    /// N: NOTIFICATIONs keep routes too (RFC 8538).
    pub notification: bool,
    /// How long a restart takes at most, in seconds; 0 to 4095.
    pub restart_time_secs: u16,
    /// Families with graceful restart, each with F: its forwarding state was preserved.
    pub families: Vec<(Family, bool)>,
}

/// One family of Long-Lived Graceful Restart (RFC 9494 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LlgrFamily {
    /// The family.
    pub family: Family,
    /// F: its forwarding state was preserved.
    pub forwarding_preserved: bool,
    /// How long stale routes may stay, in seconds; 0 to 16777215.
    pub stale_time_secs: u32,
}

/// Which directions of an outbound route filter the sender is able to do (RFC 5291 §5): the codes are those of ADD-PATH,
/// and so is what they mean.
pub type OrfMode = AddPathMode;

/// One family of Outbound Route Filtering (RFC 5291 §5).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct OrfFamily {
    /// The family.
    pub family: Family,
    /// ORF-Types, each with what is done with filters of that type.
    pub types: Vec<(u8, OrfMode)>,
}

/// A capability of OPEN.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Capability {
    /// 1: carries this family (RFC 4760 §8).
    MultiProtocol(Family),
    /// 2: sends its routes again when asked (RFC 2918).
    RouteRefresh,
    /// 3: receives or sends filters of what is to be sent (RFC 5291 §5).
    OutboundRouteFilter(Vec<OrfFamily>),
    /// 5: NLRI of this family with a next hop of this AFI (RFC 8950 §4).
    ExtendedNextHop(Vec<(Family, u16)>),
    /// 6: takes messages of up to 65535 octets (RFC 8654).
    ExtendedMessage,
    /// 9: BGP Role, wire code; see [`Role::from_code`] (RFC 9234 §4.1).
    Role(u8),
    /// 64: graceful restart (RFC 4724).
    GracefulRestart(GracefulRestart),
    /// 65: four-octet AS numbers, and the sender's own (RFC 6793 §3).
    FourOctetAs(Asn),
    /// 69: several paths per prefix (RFC 7911 §4).
    AddPath(Vec<(Family, AddPathMode)>),
    /// 70: marks where a refresh begins and ends (RFC 7313).
    EnhancedRouteRefresh,
    /// 71: long-lived graceful restart (RFC 9494).
    LongLivedGracefulRestart(Vec<LlgrFamily>),
    /// 73: host and domain name (draft-walton-bgp-hostname-capability-02).
    Fqdn {
        /// Host name.
        hostname: String,
        /// Domain name; often empty.
        domain: String,
    },
    /// 75: software version (draft-abraitis-bgp-version-capability-16).
    SoftwareVersion(String),
    /// Any other, and those known ones that their RFC says to ignore.
    Unknown {
        /// Capability code.
        code: u8,
        /// Its value, at most 255 octets.
        value: Vec<u8>,
    },
}

/// Codes without a variant, so that people see a name (IANA "Capability Codes").
const OTHER_NAMES: &[(u8, &str)] = &[
    (3, "outbound route filtering"), // one that is not understood
    (4, "multiple routes to a destination"),
    (7, "BGPsec"),
    (8, "multiple labels"),
    (67, "dynamic capability"),
    (68, "multisession"),
    (69, "ADD-PATH"),
    (72, "routing policy distribution"),
    (73, "FQDN"),
    (74, "BFD strict"),
    (75, "software version"),
    (76, "paths limit"),
    (77, "link-local next hop"),
    (128, "route refresh (prestandard)"),
    (129, "outbound route filtering (prestandard)"),
    (131, "multisession (prestandard)"),
];

impl Capability {
    /// Capability code.
    pub fn code(&self) -> u8 {
        match self {
            Self::MultiProtocol(_) => 1,
            Self::RouteRefresh => 2,
            Self::OutboundRouteFilter(_) => 3,
            Self::ExtendedNextHop(_) => 5,
            Self::ExtendedMessage => 6,
            Self::Role(_) => 9,
            Self::GracefulRestart(_) => 64,
            Self::FourOctetAs(_) => 65,
            Self::AddPath(_) => 69,
            Self::EnhancedRouteRefresh => 70,
            Self::LongLivedGracefulRestart(_) => 71,
            Self::Fqdn { .. } => 73,
            Self::SoftwareVersion(_) => 75,
            Self::Unknown { code, .. } => *code,
        }
    }

    /// What it says, for people: `4-octet AS 64512`.
    pub fn name(&self) -> String {
        self.to_string()
    }

    /// Decodes one value; `None` when its length contradicts the definition of `code`.
    fn decode_value(code: u8, mut r: Reader<'_>) -> Option<Self> {
        let raw = Self::Unknown { code, value: r.rest().to_vec() };
        let decoded = match code {
            1 => Self::MultiProtocol(read_padded_family(&mut r)?),
            2 => Self::RouteRefresh,
            3 => match decode_outbound_filter(&mut r)? {
                Some(families) => Self::OutboundRouteFilter(families),
                None => return Some(raw),
            },
            5 => Self::ExtendedNextHop(decode_extended_next_hop(&mut r)?),
            6 => Self::ExtendedMessage,
            9 => Self::Role(r.u8()?),
            64 => Self::GracefulRestart(decode_graceful_restart(&mut r)?),
            65 => Self::FourOctetAs(Asn(r.u32()?)),
            69 => match decode_add_path(&mut r)? {
                Some(families) => Self::AddPath(families),
                None => return Some(raw),
            },
            70 => Self::EnhancedRouteRefresh,
            71 => Self::LongLivedGracefulRestart(decode_llgr(&mut r)?),
            73 => return Some(decode_fqdn(r).unwrap_or(raw)),
            75 => return Some(decode_software_version(r).unwrap_or(raw)),
            _ => return Some(raw),
        };
        r.is_empty().then_some(decoded)
    }

    /// Appends code, length and value. A list is cut after the last entry that fits 255 octets, text between two
    /// characters.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut value = Vec::new();
        self.encode_value(&mut value);
        out.push(self.code());
        push_with_len8(out, &value);
    }

    fn encode_value(&self, out: &mut Vec<u8>) {
        match self {
            Self::MultiProtocol(family) => {
                out.extend(family.afi.to_be_bytes());
                out.extend([0, family.safi]);
            }
            Self::RouteRefresh | Self::ExtendedMessage | Self::EnhancedRouteRefresh => {}
            Self::ExtendedNextHop(families) => {
                for (family, next_hop_afi) in families.iter().take(42) {
                    out.extend(family.afi.to_be_bytes());
                    out.extend([0, family.safi]);
                    out.extend(next_hop_afi.to_be_bytes());
                }
            }
            Self::OutboundRouteFilter(families) => encode_outbound_filter(families, out),
            Self::Role(role) => out.push(*role),
            Self::GracefulRestart(restart) => encode_graceful_restart(restart, out),
            Self::FourOctetAs(asn) => out.extend(asn.0.to_be_bytes()),
            Self::AddPath(families) => {
                for (family, mode) in families.iter().take(63) {
                    out.extend(family.afi.to_be_bytes());
                    out.extend([family.safi, *mode as u8]);
                }
            }
            Self::LongLivedGracefulRestart(families) => encode_llgr(families, out),
            Self::Fqdn { hostname, domain } => {
                let hostname = cut_text(hostname, 253);
                push_with_len8(out, hostname.as_bytes());
                push_with_len8(out, cut_text(domain, 253 - hostname.len()).as_bytes());
            }
            Self::SoftwareVersion(version) => push_with_len8(out, cut_text(version, 254).as_bytes()),
            Self::Unknown { value, .. } => out.extend(value),
        }
    }
}

/// Decodes the value of one Capabilities parameter (RFC 5492 §4): capabilities one behind the other.
///
/// # Errors
/// A capability that is longer than the parameter or whose length contradicts its definition: 2/0. The data is
/// the capability.
pub(super) fn decode_all(mut r: Reader<'_>, out: &mut Vec<Capability>) -> Result<(), Fault> {
    while !r.is_empty() {
        let (at, whole) = (r.position(), r.rest());
        let malformed = |what: String| Fault::reset(NotificationCode::OPEN_UNSPECIFIC, at, "RFC 5492 §4", what);
        let header = r.u8().and_then(|code| Some((code, usize::from(r.u8()?))));
        let Some((code, value)) = header.and_then(|(code, len)| Some((code, r.sub(len)?))) else {
            return Err(malformed("a capability is longer than its optional parameter".into()).with_data(whole));
        };
        let len = value.len();
        let Some(capability) = Capability::decode_value(code, value) else {
            let data: Vec<u8> = whole.iter().take(len + 2).copied().collect();
            return Err(malformed(format!("capability {code} of {len} octets")).with_data(data));
        };
        out.push(capability);
    }
    Ok(())
}

/// AFI, a reserved octet, SAFI (RFC 4760 §8).
fn read_padded_family(r: &mut Reader<'_>) -> Option<Family> {
    let afi = r.u16()?;
    r.skip(1)?;
    Some(Family::new(afi, r.u8()?))
}

fn read_family(r: &mut Reader<'_>) -> Option<Family> {
    Some(Family::new(r.u16()?, r.u8()?))
}

/// Triples of AFI, SAFI in two octets, next hop AFI (RFC 8950 §4).
fn decode_extended_next_hop(r: &mut Reader<'_>) -> Option<Vec<(Family, u16)>> {
    let mut families = Vec::new();
    while !r.is_empty() {
        families.push((read_padded_family(r)?, r.u16()?));
    }
    Some(families)
}

/// `Some(None)`: a Send/Receive value that is not defined; as with ADD-PATH the capability is then not understood.
fn decode_outbound_filter(r: &mut Reader<'_>) -> Option<Option<Vec<OrfFamily>>> {
    let mut families = Vec::new();
    let mut understood = true;
    while !r.is_empty() {
        let family = read_padded_family(r)?;
        let mut types = Vec::new();
        for _ in 0..r.u8()? {
            let kind = r.u8()?;
            match OrfMode::from_code(r.u8()?) {
                Some(mode) => types.push((kind, mode)),
                None => understood = false,
            }
        }
        families.push(OrfFamily { family, types });
    }
    Some(understood.then_some(families))
}

fn encode_outbound_filter(families: &[OrfFamily], out: &mut Vec<u8>) {
    let start = out.len();
    for OrfFamily { family, types } in families {
        if out.len() - start + 5 + 2 * types.len() > 255 {
            return;
        }
        out.extend(family.afi.to_be_bytes());
        out.extend([0, family.safi, types.len() as u8]); // 125 at most
        types.iter().for_each(|(kind, mode)| out.extend([*kind, *mode as u8]));
    }
}

fn decode_graceful_restart(r: &mut Reader<'_>) -> Option<GracefulRestart> {
    let head = r.u16()?;
    let mut families = Vec::new();
    while !r.is_empty() {
        families.push((read_family(r)?, r.u8()? & 0x80 != 0));
    }
    let (restarting, notification) = (head & 0x8000 != 0, head & 0x4000 != 0);
    Some(GracefulRestart { restarting, notification, restart_time_secs: head & 0x0fff, families })
}

fn encode_graceful_restart(restart: &GracefulRestart, out: &mut Vec<u8>) {
    let flags = u16::from(restart.restarting) << 15 | u16::from(restart.notification) << 14;
    out.extend((flags | restart.restart_time_secs.min(0x0fff)).to_be_bytes());
    for (family, forwarding_preserved) in restart.families.iter().take(63) {
        out.extend(family.afi.to_be_bytes());
        out.extend([family.safi, u8::from(*forwarding_preserved) << 7]);
    }
}

/// `Some(None)`: a Send/Receive value that is not defined, which makes the whole capability "not understood"
/// (RFC 7911 §4).
fn decode_add_path(r: &mut Reader<'_>) -> Option<Option<Vec<(Family, AddPathMode)>>> {
    let mut families = Vec::new();
    let mut understood = true;
    while !r.is_empty() {
        let family = read_family(r)?;
        match AddPathMode::from_code(r.u8()?) {
            Some(mode) => families.push((family, mode)),
            None => understood = false,
        }
    }
    Some(understood.then_some(families))
}

fn decode_llgr(r: &mut Reader<'_>) -> Option<Vec<LlgrFamily>> {
    let mut families = Vec::new();
    while !r.is_empty() {
        let family = read_family(r)?;
        let forwarding_preserved = r.u8()? & 0x80 != 0;
        families.push(LlgrFamily { family, forwarding_preserved, stale_time_secs: r.u24()? });
    }
    Some(families)
}

fn encode_llgr(families: &[LlgrFamily], out: &mut Vec<u8>) {
    for entry in families.iter().take(36) {
        out.extend(entry.family.afi.to_be_bytes());
        out.extend([entry.family.safi, u8::from(entry.forwarding_preserved) << 7]);
        let [_, a, b, c] = entry.stale_time_secs.min(0x00ff_ffff).to_be_bytes();
        out.extend([a, b, c]);
    }
}

fn decode_fqdn(mut r: Reader<'_>) -> Option<Capability> {
    let hostname = read_text(&mut r)?;
    let domain = read_text(&mut r)?;
    r.is_empty().then_some(Capability::Fqdn { hostname, domain })
}

fn decode_software_version(mut r: Reader<'_>) -> Option<Capability> {
    let version = read_text(&mut r)?;
    r.is_empty().then_some(Capability::SoftwareVersion(version))
}

fn read_text(r: &mut Reader<'_>) -> Option<String> {
    let len = usize::from(r.u8()?);
    r.bytes(len).map(printable_text)
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MultiProtocol(family) => write!(f, "{family}"),
            Self::RouteRefresh => f.write_str("route refresh"),
            Self::OutboundRouteFilter(families) => {
                f.write_str("outbound route filtering")?;
                families.iter().try_for_each(|OrfFamily { family, types }| {
                    write!(f, " {family}")?;
                    types.iter().try_for_each(|(kind, mode)| write!(f, " type {kind} {}", add_path_word(*mode)))
                })
            }
            Self::ExtendedNextHop(families) => {
                f.write_str("extended next hop")?;
                families.iter().try_for_each(|(family, afi)| write!(f, " {family} via {}", afi_name(*afi)))
            }
            Self::ExtendedMessage => f.write_str("extended message"),
            Self::Role(code) => match Role::from_code(*code) {
                Some(role) => write!(f, "role {}", role.name()),
                None => write!(f, "role {code}"),
            },
            Self::GracefulRestart(restart) => write_graceful_restart(f, restart),
            Self::FourOctetAs(asn) => write!(f, "4-octet AS {asn}"),
            Self::AddPath(families) => {
                f.write_str("ADD-PATH")?;
                families.iter().try_for_each(|(family, mode)| write!(f, " {family} {}", add_path_word(*mode)))
            }
            Self::EnhancedRouteRefresh => f.write_str("enhanced route refresh"),
            Self::LongLivedGracefulRestart(families) => {
                f.write_str("long-lived graceful restart")?;
                families.iter().try_for_each(|entry| write!(f, " {} {} s", entry.family, entry.stale_time_secs))
            }
            Self::Fqdn { hostname, domain } if domain.is_empty() => write!(f, "host name {hostname}"),
            Self::Fqdn { hostname, domain } => write!(f, "host name {hostname}.{domain}"),
            Self::SoftwareVersion(version) => write!(f, "software {version}"),
            Self::Unknown { code, .. } => match OTHER_NAMES.iter().find(|(known, _)| known == code) {
                Some((_, name)) => write!(f, "{name} ({code})"),
                None => write!(f, "capability {code}"),
            },
        }
    }
}

fn write_graceful_restart(f: &mut fmt::Formatter<'_>, restart: &GracefulRestart) -> fmt::Result {
    write!(f, "graceful restart {} s", restart.restart_time_secs)?;
    if restart.restarting {
        f.write_str(" restarting")?;
    }
    if restart.notification {
        f.write_str(" notification")?;
    }
    restart.families.iter().try_for_each(|(family, preserved)| {
        write!(f, " {family}{}", if *preserved { " (forwarding preserved)" } else { "" })
    })
}

fn add_path_word(mode: AddPathMode) -> &'static str {
    match mode {
        AddPathMode::Receive => "receive",
        AddPathMode::Send => "send",
        AddPathMode::Both => "both",
    }
}

fn afi_name(afi: u16) -> String {
    match afi {
        1 => "ipv4".into(),
        2 => "ipv6".into(),
        other => format!("afi{other}"),
    }
}
