//! Prefixes and AS numbers that nobody may use in public: special-purpose registries of IANA (RFC 6890), reserved and private
//! AS numbers (RFC 6996, RFC 5398, RFC 7607, RFC 7300). The list is of 2026-11; unallocated space is not in it.
//!
//! Settings (`[detect.bogon]`) and defaults: `allow_asns` none, `allow_prefixes` none.
//!
//! # False positives
//! Labs and neighbours that use private numbers on purpose: a private AS that is our neighbour itself, or our own, is not
//! told of, and `allow_asns` and `allow_prefixes` name others. Host routes with BLACKHOLE are not looked at here.

use super::{Fault, PathRule, PathSeen, Verdict};
use crate::{
    detect::{Finding, Fingerprint, Kind, Severity},
    types::{Asn, Prefix},
    view::observed::VantageClass,
};

/// When the list was made.
pub const LIST_DATE: &str = "2026-11-01";

/// Settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Whether it is looked for.
    pub enabled: bool,
    /// AS numbers that may be there.
    pub allow_asns: Vec<Asn>,
    /// Prefixes that, with what is inside them, may be there.
    pub allow_prefixes: Vec<Prefix>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, allow_asns: Vec::new(), allow_prefixes: Vec::new() }
    }
}

/// One row of a registry.
#[derive(Clone, Copy, Debug)]
struct Row {
    prefix: Prefix,
    what: &'static str,
}

const fn v4(a: u8, b: u8, c: u8, len: u8, what: &'static str) -> Row {
    Row { prefix: Prefix::V4 { addr: u32::from_be_bytes([a, b, c, 0]), len }, what }
}

const fn v6(high: u64, len: u8, what: &'static str) -> Row {
    Row { prefix: Prefix::V6 { addr: (high as u128) << 64, len }, what }
}

/// IPv4: what is not globally reachable, and multicast.
const V4: &[Row] = &[
    v4(0, 0, 0, 8, "this network (RFC 791)"),
    v4(10, 0, 0, 8, "private (RFC 1918)"),
    v4(100, 64, 0, 10, "shared address space (RFC 6598)"),
    v4(127, 0, 0, 8, "loopback (RFC 1122)"),
    v4(169, 254, 0, 16, "link local (RFC 3927)"),
    v4(172, 16, 0, 12, "private (RFC 1918)"),
    v4(192, 0, 0, 24, "IETF protocol assignments (RFC 6890)"),
    v4(192, 0, 2, 24, "documentation (RFC 5737)"),
    v4(192, 168, 0, 16, "private (RFC 1918)"),
    v4(198, 18, 0, 15, "benchmarking (RFC 2544)"),
    v4(198, 51, 100, 24, "documentation (RFC 5737)"),
    v4(203, 0, 113, 24, "documentation (RFC 5737)"),
    v4(224, 0, 0, 4, "multicast (RFC 5771)"),
    v4(240, 0, 0, 4, "reserved (RFC 1112)"),
];

/// IPv6 inside the global unicast space.
const V6: &[Row] = &[
    v6(0x2001_0000_0000_0000, 32, "Teredo (RFC 4380)"),
    v6(0x2001_0002_0000_0000, 48, "benchmarking (RFC 5180)"),
    v6(0x2001_0010_0000_0000, 28, "ORCHID (RFC 4843)"),
    v6(0x2001_0db8_0000_0000, 32, "documentation (RFC 3849)"),
    v6(0x2002_0000_0000_0000, 16, "6to4 (RFC 7526)"),
    v6(0x3fff_0000_0000_0000, 20, "documentation (RFC 9637)"),
];

/// The registry row that a prefix lies in; the default route is none.
pub fn special(prefix: Prefix) -> Option<&'static str> {
    let rows = match prefix {
        Prefix::V4 { len: 0, .. } | Prefix::V6 { len: 0, .. } => return None,
        Prefix::V4 { .. } => V4,
        // RFC 4291 §2.4: global unicast that is in use begins with 001.
        Prefix::V6 { addr, .. } if addr >> 125 != 1 => return Some("outside global unicast (RFC 4291)"),
        Prefix::V6 { .. } => V6,
    };
    rows.iter().find(|row| row.prefix.covers(&prefix)).map(|row| row.what)
}

/// Whether the first octets of a prefix may lie in a registry row; false is certain.
#[inline]
fn may_be_special(prefix: Prefix) -> bool {
    match prefix {
        Prefix::V4 { addr, .. } => {
            matches!(addr >> 24, 0 | 10 | 100 | 127 | 169 | 172 | 192 | 198 | 203 | 224..)
        }
        Prefix::V6 { addr, .. } => {
            let first = (addr >> 112) as u16;
            first >> 13 != 1 || matches!(first, 0x2001 | 0x2002 | 0x3fff)
        }
    }
}

/// The detector.
#[derive(Debug)]
pub struct Bogon {
    settings: Settings,
    own_asn: Asn,
}

impl Bogon {
    /// As the settings say; our own AS may be private.
    pub fn new(settings: &Settings, own_asn: Asn) -> Option<Self> {
        settings.enabled.then(|| Self { settings: settings.clone(), own_asn })
    }

    fn finding(path: &PathSeen<'_>, key: String, what: String, why: String) -> Finding {
        let severity = match path.vantage.class {
            VantageClass::Own => Severity::Warning,
            VantageClass::RouteServer | VantageClass::Public => Severity::Info,
        };
        Finding::new(Fingerprint::new(Kind::Bogon, key), severity, what, why)
            .asns("neighbor", [path.vantage.asn])
            .evidence("as_path", path.path.to_string())
            .evidence("list_date", LIST_DATE)
            .term("special_purpose", 2)
    }
}

impl PathRule for Bogon {
    fn judge(&self, path: &PathSeen<'_>, verdict: &mut Verdict) {
        let bad = |asn: &Asn| {
            (asn.is_private() || asn.is_reserved())
                && *asn != self.own_asn
                && *asn != path.vantage.asn
                && !self.settings.allow_asns.contains(asn)
        };
        let Some(asn) = path.path.asns().find(bad) else { return };
        let what = if asn.is_private() { "private (RFC 6996)" } else { "reserved" };
        let name = &path.vantage.name;
        let finding = Self::finding(
            path,
            format!("AS{asn} at {name}"),
            format!("AS{asn}, a {what} number, is in paths from {name}"),
            format!("AS{asn} is {what} and has no meaning outside one network, and {name} sends paths with it"),
        );
        // AS_TRANS from a public vantage says only that somebody on the way, or who recorded it, speaks two octets: one
        // vantage is never enough there.
        let vantages_min = (asn != Asn::TRANS).then_some(1);
        verdict.faults.push(Fault { vantages_min, ..Fault::new(finding.asns("bogon", [asn])) });
    }

    #[inline]
    fn looks_at(&self, prefix: Prefix) -> bool {
        may_be_special(prefix)
    }

    fn judge_prefix(&self, path: &PathSeen<'_>, prefix: Prefix, verdict: &mut Verdict) {
        if self.settings.allow_prefixes.iter().any(|allowed| allowed.covers(&prefix)) {
            return;
        }
        // What the operator declared is meant to be there.
        if path.watch.rule(prefix).is_some() || path.watch.parent(prefix).is_some() {
            return;
        }
        let Some(what) = special(prefix) else { return };
        let name = &path.vantage.name;
        let finding = Self::finding(
            path,
            format!("{what} at {name}"),
            format!("{name} sends prefixes that are {what}"),
            format!("{what} space must not be routed in public, and {name} announces {prefix} in it"),
        );
        verdict.faults.push(Fault { vantages_min: Some(1), ..Fault::new(finding) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_look_misses_no_row() {
        for row in V4.iter().chain(V6) {
            assert!(may_be_special(row.prefix), "{}", row.prefix);
            assert_eq!(special(row.prefix), Some(row.what));
        }
        for (prefix, is) in [
            ("0.0.0.0/0", false),
            ("::/0", false),
            ("8.8.8.0/24", false),
            ("100.128.0.0/16", false),
            ("100.64.0.0/16", true),
            ("2a00::/12", false),
            ("fd00::/8", true),
            ("2001:4860::/32", false),
            ("2001:db8:1::/48", true),
        ] {
            let prefix: Prefix = prefix.parse().expect("a prefix");
            assert_eq!(special(prefix).is_some(), is, "{prefix}");
            assert!(!is || may_be_special(prefix), "{prefix}");
        }
    }
}
