//! The steps of the decision process, in order, with their names and words. How each compares two paths stands in
//! `compare`.

/// A step of the decision process, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Step {
    /// A long-lived stale path loses to any other (RFC 9494 §4.3).
    LlgrStale,
    /// Higher weight: of this router alone, never told to anybody.
    Weight,
    /// Higher LOCAL_PREF (RFC 4271 §9.1.1).
    LocalPref,
    /// Originated here.
    LocalOrigin,
    /// Has AIGP, and the lower sum of AIGP and cost to the next hop (RFC 7311 §4.1).
    Aigp,
    /// Shorter AS_PATH (RFC 4271 §9.1.2.2 a).
    PathLength,
    /// Lower ORIGIN: IGP, EGP, INCOMPLETE (§9.1.2.2 b).
    Origin,
    /// Lower MED from the same neighbouring AS (§9.1.2.2 c).
    Med,
    /// EBGP over IBGP (§9.1.2.2 d); other members of our confederation count as IBGP (RFC 5065 §5.3).
    External,
    /// Lower cost to the next hop (§9.1.2.2 e).
    IgpCost,
    /// Received earlier, among EBGP paths (in the spirit of RFC 5004).
    Older,
    /// Lower ORIGINATOR_ID, else BGP Identifier of the neighbour (§9.1.2.2 f, RFC 4456 §9).
    RouterId,
    /// Shorter CLUSTER_LIST (RFC 4456 §9).
    ClusterList,
    /// Lower address of the neighbour (§9.1.2.2 g); IPv4 before IPv6.
    PeerAddress,
    /// Lower path id, then lower number of the session.
    PathId,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Self; 15] = [
        Self::LlgrStale,
        Self::Weight,
        Self::LocalPref,
        Self::LocalOrigin,
        Self::Aigp,
        Self::PathLength,
        Self::Origin,
        Self::Med,
        Self::External,
        Self::IgpCost,
        Self::Older,
        Self::RouterId,
        Self::ClusterList,
        Self::PeerAddress,
        Self::PathId,
    ];

    /// Its name for programs; these do not change.
    pub fn name(self) -> &'static str {
        match self {
            Self::LlgrStale => "llgr-stale",
            Self::Weight => "weight",
            Self::LocalPref => "local-pref",
            Self::LocalOrigin => "local-origin",
            Self::Aigp => "aigp",
            Self::PathLength => "as-path-length",
            Self::Origin => "origin",
            Self::Med => "med",
            Self::External => "external",
            Self::IgpCost => "igp-cost",
            Self::Older => "older",
            Self::RouterId => "router-id",
            Self::ClusterList => "cluster-list",
            Self::PeerAddress => "neighbor-address",
            Self::PathId => "path-id",
        }
    }

    /// Why the loser lost, in words.
    pub fn why(self) -> &'static str {
        match self {
            Self::LlgrStale => "long-lived stale",
            Self::Weight => "lower weight",
            Self::LocalPref => "lower LOCAL_PREF",
            Self::LocalOrigin => "not originated locally",
            Self::Aigp => "no AIGP metric or a higher one",
            Self::PathLength => "longer AS_PATH",
            Self::Origin => "higher ORIGIN",
            Self::Med => "higher MED from the same neighbouring AS",
            Self::External => "internal against external",
            Self::IgpCost => "higher cost to the next hop",
            Self::Older => "received later",
            Self::RouterId => "higher router id",
            Self::ClusterList => "longer CLUSTER_LIST",
            Self::PeerAddress => "higher neighbour address",
            Self::PathId => "higher path id",
        }
    }
}
