//! The kinds of alerts, by the names that users' tools know, and how grave one is.

use std::{fmt, str::FromStr};

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What is wrong.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// All kinds, in the order of the documents.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in configuration, JSON and labels.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

kinds! {
    /// A watched prefix from an origin that it does not have.
    OriginHijack = "origin-hijack",
    /// A more-specific of a watched prefix from an origin that it does not have.
    SubprefixHijack = "subprefix-hijack",
    /// A prefix around a watched one from an origin that is nobody's we know.
    CoveringPrefix = "covering-prefix",
    /// A watched prefix that nobody may originate.
    Squatting = "squatting",
    /// A watched prefix with a forged or new AS next to its origin.
    FirstHop = "first-hop",
    /// A path that breaks a rule about paths: length, prepends, expressions.
    PathRule = "path-rule",
    /// A watched prefix with several origins.
    Moas = "moas",
    /// A watched route that RPKI says is invalid (RFC 6811).
    RpkiInvalid = "rpki-invalid",
    /// A watched route that was valid and has no covering VRP any more, or soon will not, since nobody renewed its ROA.
    RpkiLostCover = "rpki-lost-cover",
    /// VRPs about watched prefixes or ASes changed.
    RoaChange = "roa-change",
    /// An RPKI source is sick: stale, gone, or lost much of what it had.
    RpkiCache = "rpki-cache",
    /// A path that ASPA says is invalid.
    AspaInvalid = "aspa-invalid",
    /// A route leak (RFC 7908).
    RouteLeak = "route-leak",
    /// A leak that the Only to Customer attribute shows (RFC 9234).
    Otc = "otc",
    /// A protected AS in a path from somebody who may not carry it.
    Peerlock = "peerlock",
    /// A prefix or an AS number that nobody may use in public.
    Bogon = "bogon",
    /// A watched prefix is seen by fewer vantage points than before.
    Visibility = "visibility",
    /// A prefix of a watched AS that no rule knows.
    NewPrefix = "new-prefix",
    /// A watched AS has a neighbour that it did not have, or two ASes on the way to a watched prefix never were neighbours.
    NewNeighbor = "new-neighbor",
    /// Routes that come and go.
    Flap = "flap",
    /// A session's number of prefixes jumped.
    PrefixCount = "prefix-count",
    /// A route marked to be discarded (RFC 7999) that should not be there.
    Blackhole = "blackhole",
    /// A session, or another of our own feeds, is down or silent.
    Session = "session",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|kind| kind.name() == s).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!("`{s}` is not a kind of alert: {}", names.join(" "))
        })
    }
}

/// How grave a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Severity {
    /// Worth knowing; nobody is called.
    Info,
    /// Look at it in working hours.
    Warning,
    /// Wake somebody.
    Critical,
}

impl Severity {
    /// All, from the least.
    pub const ALL: &'static [Self] = &[Self::Info, Self::Warning, Self::Critical];

    /// The name in configuration, JSON and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Severity {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.iter().copied().find(|severity| severity.name() == s);
        named.ok_or_else(|| format!("`{s}` is not a severity: info, warning or critical"))
    }
}
