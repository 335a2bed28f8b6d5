//! What single values look like: durations, addresses, AS numbers, names of families. Each reader
//! says in its misfit what would be accepted.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

use toml::de::DeValue;

use super::{
    read::{Misfit, Value, describe},
    source::nearest,
};
use crate::{
    engine::Owned,
    types::{Asn, Family, Prefix, Role, RouterId},
};

/// A misfit of the whole value: `wanted` is what was expected, `accepted` what to write.
pub(super) fn misfit(value: &Value<'_>, wanted: &str, accepted: impl Into<String>) -> Misfit {
    let what = format!("expected {wanted}, found {}", describe(value.get_ref()));
    Misfit { span: value.span(), what, accepted: accepted.into() }
}

/// `true` or `false`.
pub(super) fn boolean(value: &Value<'_>) -> Result<bool, Misfit> {
    match value.get_ref() {
        DeValue::Boolean(flag) => Ok(*flag),
        _ => Err(misfit(value, "a yes or no", "true or false")),
    }
}

/// A whole number in `range`.
pub(super) fn integer(value: &Value<'_>, range: RangeInclusive<u64>) -> Result<u64, Misfit> {
    let accepted = || format!("a whole number from {} to {}", range.start(), range.end());
    match value.get_ref() {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| misfit(value, &accepted(), accepted())),
        _ => Err(misfit(value, "a number", accepted())),
    }
}

/// Any text that is not empty.
pub(super) fn text(value: &Value<'_>) -> Result<String, Misfit> {
    match value.get_ref() {
        DeValue::String(text) if !text.trim().is_empty() => Ok(text.clone().into_owned()),
        _ => Err(misfit(value, "a text", "a string in quotes, not empty")),
    }
}

/// One line of text that is safe to print in a log line or table.
pub(super) fn label(value: &Value<'_>) -> Result<String, Misfit> {
    let label = text(value)?;
    if label.chars().any(char::is_control) || label.chars().count() > 255 {
        return Err(misfit(value, "a name", "one line of at most 255 characters"));
    }
    Ok(label)
}

fn parsed<T: FromStr>(value: &Value<'_>, wanted: &str, accepted: &str) -> Result<T, Misfit> {
    let wrong = || misfit(value, wanted, accepted);
    match value.get_ref() {
        DeValue::String(text) => text.parse().map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// Parses with an error that explains itself.
fn explained<T: FromStr<Err: ToString>>(value: &Value<'_>, wanted: &str, accepted: &str) -> Result<T, Misfit> {
    match value.get_ref() {
        DeValue::String(text) => text.parse().map_err(|why: T::Err| Misfit {
            span: value.span(),
            what: why.to_string(),
            accepted: accepted.to_owned(),
        }),
        _ => Err(misfit(value, wanted, accepted)),
    }
}

/// An IP address.
pub(super) fn address(value: &Value<'_>) -> Result<IpAddr, Misfit> {
    parsed(value, "an IP address", "an address in quotes, such as \"192.0.2.1\" or \"2001:db8::1\"")
}

/// An address of one host, as a session's end needs it.
pub(super) fn host_address(value: &Value<'_>) -> Result<IpAddr, Misfit> {
    let address = address(value)?;
    let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if address.is_unspecified() || address.is_multicast() || link_local {
        let accepted = "the unicast address of one router; link-local addresses are not, they need an interface";
        return Err(misfit(value, "the address of one router", accepted));
    }
    Ok(address)
}

/// An address and a port.
pub(super) fn socket(value: &Value<'_>) -> Result<SocketAddr, Misfit> {
    let accepted = "address:port in quotes, such as \"127.0.0.1:50051\" or \"[::1]:50051\"";
    parsed(value, "an address and a port", accepted)
}

/// A host name or address, and a port.
pub(super) fn host_and_port(value: &Value<'_>) -> Result<String, Misfit> {
    let wrong = || misfit(value, "a host and a port", "host:port in quotes, such as \"127.0.0.1:3323\"");
    let host = text(value).map_err(|_| wrong())?;
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0) => Ok(host),
        _ => Err(wrong()),
    }
}

/// A prefix without host bits.
pub(super) fn prefix(value: &Value<'_>) -> Result<Prefix, Misfit> {
    explained(value, "a prefix", "address/length in quotes, such as \"192.0.2.0/24\" or \"2001:db8::/32\"")
}

/// What may be originated: prefixes, or `"any"`.
pub(super) fn owned(value: &Value<'_>) -> Result<Owned, Misfit> {
    let example = "[\"203.0.113.0/24\", \"2001:db8::/32\"]";
    match value.get_ref() {
        DeValue::String(word) if word == "any" => Ok(Owned::Any),
        DeValue::Array(_) => list(value, example, prefix).map(Owned::Within),
        _ => Err(misfit(
            value,
            "the prefixes that are ours",
            format!("a list such as {example}, or \"any\" without a guard"),
        )),
    }
}

/// An AS number that a speaker may have: not 0 (RFC 7607), AS_TRANS (RFC 6793 §9) or the last ones (RFC 7300).
pub(super) fn asn(value: &Value<'_>) -> Result<Asn, Misfit> {
    let accepted = "an AS number from 1 to 4294967294; not 23456 and 65535, which are reserved";
    let number = integer(value, 1..=4_294_967_294).map_err(|_| misfit(value, "an AS number", accepted))?;
    match u32::try_from(number) {
        Ok(number) if number != Asn::TRANS.0 && number != 65535 => Ok(Asn(number)),
        _ => Err(misfit(value, "an AS number", accepted)),
    }
}

/// A BGP Identifier, not zero (RFC 6286 §2.1).
pub(super) fn router_id(value: &Value<'_>) -> Result<RouterId, Misfit> {
    let accepted = "four numbers with dots in quotes, such as \"198.51.100.1\", not \"0.0.0.0\"";
    let id: RouterId = parsed(value, "a router id", accepted)?;
    if id.0 == 0 { Err(misfit(value, "a router id", accepted)) } else { Ok(id) }
}

/// A name of an address family.
pub(super) fn family(value: &Value<'_>) -> Result<Family, Misfit> {
    const COMMON: [&str; 13] = [
        "ipv4-unicast",
        "ipv6-unicast",
        "ipv4-multicast",
        "ipv6-multicast",
        "ipv4-labeled-unicast",
        "ipv6-labeled-unicast",
        "vpnv4-unicast",
        "vpnv6-unicast",
        "l2vpn-evpn",
        "ipv4-flowspec",
        "ipv6-flowspec",
        "bgp-ls",
        "ipv4-rtc",
    ];
    let accepted = format!("{}, or afiN-safiM for any other", COMMON.join(", "));
    let DeValue::String(name) = value.get_ref() else { return Err(misfit(value, "an address family", accepted)) };
    name.parse().map_err(|_| {
        let mut misfit = misfit(value, "an address family", accepted);
        if let Some(near) = nearest(name, COMMON) {
            misfit.what.push_str(&format!("; did you mean \"{near}\"?"));
        }
        misfit
    })
}

/// A role towards a neighbour (RFC 9234 §4.1).
pub(super) fn role(value: &Value<'_>) -> Result<Role, Misfit> {
    let accepted = "our role towards the neighbour: provider, customer, peer, rs or rs-client";
    parsed(value, "a role", accepted)
}

/// One of a few words.
pub(super) fn word<T: Copy>(value: &Value<'_>, words: &[(&str, T)]) -> Result<T, Misfit> {
    let names: Vec<String> = words.iter().map(|(name, _)| format!("{name:?}")).collect();
    match value.get_ref() {
        DeValue::String(text) => words.iter().find(|(name, _)| name == text).map(|(_, word)| *word),
        _ => None,
    }
    .ok_or_else(|| misfit(value, "one of a few words", names.join(", ")))
}

/// A list, each item read by `item`; no item twice.
pub(super) fn list<'a, T: PartialEq>(
    value: &'a Value<'a>,
    example: &str,
    item: impl Fn(&'a Value<'a>) -> Result<T, Misfit>,
) -> Result<Vec<T>, Misfit> {
    let DeValue::Array(items) = value.get_ref() else {
        return Err(misfit(value, "a list", format!("a list in brackets, such as {example}")));
    };
    let mut list = Vec::with_capacity(items.len());
    for entry in items.iter() {
        let read = item(entry)?;
        if list.contains(&read) {
            let what = format!("{} stands twice in the list", describe(entry.get_ref()));
            return Err(Misfit { span: entry.span(), what, accepted: "each item once".to_owned() });
        }
        list.push(read);
    }
    Ok(list)
}

/// As `list`, and an empty one is a misfit.
pub(super) fn some_of<'a, T: PartialEq>(
    value: &'a Value<'a>,
    example: &str,
    item: impl Fn(&'a Value<'a>) -> Result<T, Misfit>,
) -> Result<Vec<T>, Misfit> {
    let list = list(value, example, item)?;
    if list.is_empty() {
        let accepted = format!("a list with at least one item, such as {example}");
        return Err(Misfit { span: value.span(), what: "the list is empty".to_owned(), accepted });
    }
    Ok(list)
}

const DURATION_HELP: &str = "a string with units ms, s, m, h or d, such as \"90s\", \"15m\" or \"1h30m\"";

/// A duration in `range`.
pub(super) fn duration(value: &Value<'_>, range: RangeInclusive<Duration>) -> Result<Duration, Misfit> {
    let read = match value.get_ref() {
        DeValue::String(text) => parse_duration(text),
        _ => None,
    };
    let Some(duration) = read else { return Err(misfit(value, "a duration", DURATION_HELP)) };
    if range.contains(&duration) {
        return Ok(duration);
    }
    let accepted = format!("from \"{}\" to \"{}\"", print_duration(*range.start()), print_duration(*range.end()));
    Err(misfit(value, &format!("a duration {accepted}"), accepted))
}

/// A number of octets up to `most`, with a unit.
pub(super) fn octets(value: &Value<'_>, most: u64) -> Result<u64, Misfit> {
    let read = match value.get_ref() {
        DeValue::String(text) => parse_octets(text),
        _ => None,
    };
    let accepted = "a string with a unit KiB, MiB or GiB, such as \"32MiB\", or \"0\"";
    let octets = read.ok_or_else(|| misfit(value, "a number of octets", accepted))?;
    let limit = format!("at most \"{}GiB\"", most >> 30);
    if octets <= most { Ok(octets) } else { Err(misfit(value, &format!("a number of octets, {limit}"), limit)) }
}

/// Reads `64KiB`, `32MiB`, `1GiB` and `0`; `None` for anything else, a number without a unit included.
fn parse_octets(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let size = match unit.trim() {
        "" if number == 0 => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(size)
}

/// Reads `1h30m`, `90s`, `500ms`; `None` for anything else, a bare number included.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(millis)?))?;
        rest = tail;
    }
    Some(total)
}

/// Writes a duration as the configuration reads it: `1h30m`, `90s` as `1m30s`, `500ms`, `0s`.
pub fn print_duration(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if millis >= size {
            text.push_str(&format!("{}{unit}", millis / size));
            millis %= size;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
