//! Flow specifications as operators write them, both ways:
//! `dst 192.0.2.0/24; proto =17; dport >=1024&<=2048,=53; tcp-flags syn&!ack; fragment is-fragment`.
//!
//! Conditions are separated by `;` and must all be true. Behind the name of a number stand comparisons, `&` for
//! "and", `,` for "or" ("and" binds closer, RFC 8955 §4.2.1.1). Behind the name of bits stand their names joined by
//! `+`, or a number in hex; `!` is "none of them", `=` "exactly these", `!=` the opposite of that.

use std::fmt;

use super::{
    TextError,
    flowspec::{Bitmask, Component, End, FlowSpec, Numeric, Test, has_rd},
};
use crate::types::{Family, Prefix};

const NUMERIC_NAMES: [(Numeric, &str); 9] = [
    (Numeric::Protocol, "proto"),
    (Numeric::Port, "port"),
    (Numeric::DestinationPort, "dport"),
    (Numeric::SourcePort, "sport"),
    (Numeric::IcmpType, "icmp-type"),
    (Numeric::IcmpCode, "icmp-code"),
    (Numeric::Length, "length"),
    (Numeric::Dscp, "dscp"),
    (Numeric::FlowLabel, "flow-label"),
];

const BITMASK_NAMES: [(Bitmask, &str); 2] = [(Bitmask::TcpFlags, "tcp-flags"), (Bitmask::Fragment, "fragment")];

/// Every condition that can be written.
const CONDITIONS: &str =
    "dst, src, proto, port, dport, sport, icmp-type, icmp-code, tcp-flags, length, dscp, fragment, flow-label (IPv6)";

/// RFC 9293 §3.1, lowest bit first.
const TCP_FLAGS: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
/// RFC 8955 §4.2.2.12, lowest bit first.
const FRAGMENT: [&str; 4] = ["dont-fragment", "is-fragment", "first-fragment", "last-fragment"];

/// By the three bits less, greater, equal.
const COMPARISONS: [&str; 8] = ["false", "=", ">", ">=", "<", "<=", "!=", "true"];
/// By the two bits not, match.
const MATCHES: [&str; 4] = ["", "=", "!", "!="];

/// Protocols that have a name in filters (IANA "Assigned Internet Protocol Numbers").
const PROTOCOLS: [(&str, u64); 6] = [("icmp", 1), ("tcp", 6), ("udp", 17), ("gre", 47), ("icmp6", 58), ("sctp", 132)];

impl Numeric {
    /// Its name in filters.
    pub fn name(self) -> &'static str {
        NUMERIC_NAMES.iter().find(|(field, _)| *field == self).map_or("", |(_, name)| name)
    }
}

impl Bitmask {
    /// Its name in filters.
    pub fn name(self) -> &'static str {
        BITMASK_NAMES.iter().find(|(field, _)| *field == self).map_or("", |(_, name)| name)
    }

    fn bits(self) -> &'static [&'static str] {
        match self {
            Self::TcpFlags => &TCP_FLAGS,
            Self::Fragment => &FRAGMENT,
        }
    }
}

impl Component {
    /// Its name in filters: `dst`, `proto`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prefix { end: End::Destination, .. } => "dst",
            Self::Prefix { end: End::Source, .. } => "src",
            Self::Numeric { field, .. } => field.name(),
            Self::Bitmask { field, .. } => field.name(),
        }
    }

    /// What stands behind its name.
    pub fn condition(&self) -> String {
        match self {
            Self::Prefix { prefix, offset: 0, .. } => prefix.to_string(),
            Self::Prefix { prefix, offset, .. } => format!("{}/{offset}-{}", prefix.addr(), prefix.len()),
            Self::Numeric { tests, .. } => join(tests, |test| match COMPARISONS[usize::from(test.op & 7)] {
                constant @ ("false" | "true") => constant.to_owned(),
                comparison => format!("{comparison}{}", test.value),
            }),
            Self::Bitmask { field, tests } => {
                join(tests, |test| format!("{}{}", MATCHES[usize::from(test.op & 3)], print_bits(*field, test.value)))
            }
        }
    }
}

fn join(tests: &[Test], print: impl Fn(&Test) -> String) -> String {
    let mut text = String::new();
    for (index, test) in tests.iter().enumerate() {
        match (index, test.and) {
            (0, _) => {}
            (_, true) => text.push('&'),
            (_, false) => text.push(','),
        }
        text.push_str(&print(test));
    }
    text
}

fn print_bits(field: Bitmask, value: u64) -> String {
    let names = field.bits();
    if value == 0 || value >> names.len() != 0 {
        return format!("0x{value:x}");
    }
    let set = names.iter().enumerate().filter(|(bit, _)| value >> bit & 1 == 1);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join("+")
}

impl fmt::Display for FlowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(rd) = self.rd {
            write!(f, "rd {rd}")?;
            separator = "; ";
        }
        for component in &self.components {
            write!(f, "{separator}{} {}", component.name(), component.condition())?;
            separator = "; ";
        }
        if separator.is_empty() {
            // No condition at all: every packet.
            f.write_str("any")?;
        }
        Ok(())
    }
}

impl FlowSpec {
    /// Reads what `Display` prints; conditions may stand in any order and are sorted as the wire wants them.
    pub(super) fn parse(family: Family, text: &str) -> Result<Self, TextError> {
        let mut filter = Self { rd: None, components: Vec::new() };
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty() && *part != "any") {
            let (name, condition) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
            if name == "rd" {
                filter.rd = Some(condition.trim().parse()?);
            } else {
                filter.components.push(parse_component(family, name, condition)?);
            }
        }
        match (has_rd(family), filter.rd) {
            (true, None) => {
                return Err(TextError(format!("{family} needs a route distinguisher: begin with rd 64500:1;")));
            }
            (false, Some(_)) => return Err(TextError(format!("{family} has no route distinguisher: leave rd out"))),
            _ => {}
        }
        filter.components.sort_by_key(Component::kind);
        if let Some([twice, _]) = filter.components.array_windows().find(|[a, b]| a.kind() == b.kind()) {
            let what = format!("`{}` stands twice: join its conditions with & (and) or , (or)", twice.name());
            return Err(TextError(what));
        }
        Ok(filter)
    }
}

fn parse_component(family: Family, name: &str, condition: &str) -> Result<Component, TextError> {
    // Spaces between tests are for the reader.
    let condition: String = condition.chars().filter(|c| !c.is_whitespace()).collect();
    let end = match name {
        "dst" | "destination" => Some(End::Destination),
        "src" | "source" => Some(End::Source),
        _ => None,
    };
    if let Some(end) = end {
        let (prefix, offset) = parse_prefix(family, &condition)?;
        return Ok(Component::Prefix { end, prefix, offset });
    }
    if let Some((field, _)) = BITMASK_NAMES.iter().find(|(_, known)| *known == name) {
        let tests = parse_tests(&condition, |test| parse_match(*field, test)).ok_or_else(|| {
            let bits = field.bits().join(", ");
            TextError(format!(
                "`{name} {condition}` is not understood: write bits ({bits}) joined by +, with !, = or != in front"
            ))
        })?;
        return Ok(Component::Bitmask { field: *field, tests });
    }
    let name = if name == "next-header" || name == "protocol" { "proto" } else { name };
    let Some((field, _)) = NUMERIC_NAMES.iter().find(|(_, known)| *known == name) else {
        return Err(TextError(format!("`{name}` is not a condition: there are {CONDITIONS}")));
    };
    if *field == Numeric::FlowLabel && family.afi != 2 {
        return Err(TextError("flow-label is a condition of IPv6 alone (RFC 8956 §3.7)".into()));
    }
    let tests = parse_tests(&condition, |test| parse_comparison(*field, test)).ok_or_else(|| {
        TextError(format!(
            "`{name} {condition}` is not understood: write comparisons such as =17, >=1024&<=2048 or =53,=123"
        ))
    })?;
    Ok(Component::Numeric { field: *field, tests })
}

/// `192.0.2.0/24`; in IPv6 also `::1:0:0/64-104`, offset and length (the notation of RFC 8956 §3.8).
fn parse_prefix(family: Family, text: &str) -> Result<(Prefix, u8), TextError> {
    let wrong = |error: crate::types::PrefixError| TextError(error.to_string());
    let (address, bits) = text.split_once('/').unwrap_or((text, ""));
    let (prefix, offset): (Prefix, u8) = match bits.split_once('-') {
        Some((offset, len)) if family.afi == 2 => {
            let offset = offset.parse().map_err(|_| TextError(format!("`{text}` is not address/offset-length")))?;
            (format!("{address}/{len}").parse().map_err(wrong)?, offset)
        }
        _ => (text.parse().map_err(wrong)?, 0),
    };
    if prefix.is_v4() != (family.afi == 1) {
        return Err(TextError(format!("{prefix} is no prefix of {family}")));
    }
    match prefix {
        Prefix::V6 { len, .. } if offset != 0 && offset >= len => {
            Err(TextError(format!("`{text}`: the offset must be below the length (RFC 8956 §3.1)")))
        }
        Prefix::V6 { addr, len } => Ok((Prefix::v6(addr & u128::MAX >> offset, len), offset)),
        Prefix::V4 { .. } => Ok((prefix, 0)),
    }
}

fn parse_tests(text: &str, parse: impl Fn(&str) -> Option<(u8, u64)>) -> Option<Vec<Test>> {
    let mut tests = Vec::new();
    for alternative in text.split(',') {
        for (index, test) in alternative.split('&').enumerate() {
            let (op, value) = parse(test)?;
            tests.push(Test::new(index > 0, op, value));
        }
    }
    Some(tests)
}

/// `>=1024`, `=tcp`, `1024` (equal).
fn parse_comparison(field: Numeric, text: &str) -> Option<(u8, u64)> {
    let digits = text.trim_start_matches(['=', '<', '>', '!']);
    let comparison = text.strip_suffix(digits)?;
    if comparison.is_empty() && matches!(text, "true" | "false") {
        return Some((if text == "true" { 7 } else { 0 }, 0));
    }
    let comparison = if comparison.is_empty() { "=" } else { comparison };
    let op = COMPARISONS.iter().position(|known| *known == comparison)?;
    let named =
        PROTOCOLS.iter().find(|(name, _)| field == Numeric::Protocol && *name == digits).map(|(_, number)| *number);
    Some((u8::try_from(op).ok()?, named.or_else(|| digits.parse().ok())?))
}

/// `syn+ack`, `!ack`, `=0x12`.
fn parse_match(field: Bitmask, text: &str) -> Option<(u8, u64)> {
    let bits = text.trim_start_matches(['=', '!']);
    let op = MATCHES.iter().position(|known| text.strip_suffix(bits) == Some(*known))?;
    let value = match bits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => bits.split('+').try_fold(0, |value, name| {
            let bit = field.bits().iter().position(|known| *known == name)?;
            Some(value | 1_u64 << bit)
        })?,
    };
    Some((u8::try_from(op).ok()?, value))
}
