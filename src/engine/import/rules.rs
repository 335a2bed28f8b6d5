//! What RFCs have us do with a route before policy is asked: loops, leaks, attributes that are added or taken away.
//! Plain functions of a session's settings and an attribute set; `judge` calls them once per set.
//!
//! # What the RFCs ask
//! 1. RFC 4271 §9.1.2: a route whose AS_PATH has our AS is excluded.
//! 2. RFC 5065 §4: so is one whose path has our member AS in a confederation segment, or our confederation outside one.
//! 3. RFC 4456 §8: a route with our own ORIGINATOR_ID, or our cluster in CLUSTER_LIST, has come around.
//! 4. RFC 4271 §6.3: NEXT_HOP must not be the address of the receiving speaker.
//! 5. RFC 9234 §5: OTC from a Customer or RS-client, or with another AS from a Peer, is a leak and not eligible; routes
//!    from a Provider, Peer or RS without OTC get it. IPv4 and IPv6 unicast only; no policy can change it.
//! 6. RFC 7311 §3.3: on a session without AIGP the attribute is ignored and dropped. Sessions inside the AS have it.
//! 7. RFC 8326 §4.1: a route with GRACEFUL_SHUTDOWN from EBGP gets a low LOCAL_PREF, 0 recommended.
//! 8. RFC 8212 §3: without an import policy EBGP routes are not eligible.
//! 9. RFC 8097 §2: a validation state from EBGP is dropped, unless it is wanted; one without a meaning always is.
//! 10. RFC 7999, RFC 8642: BLACKHOLE and the other well-known communities ask nothing of import by themselves.
//!
//! # What we do
//! 1. The AS may occur `allow_own_as` times: a site of a split AS hears the others. An AS that the neighbour knows us
//!    under (local AS) counts like our own.
//! 2. to 6. The same. We know our own addresses only as ends of sessions, so 4 is about the session's own end; where
//!    both ends are one address nobody can tell, and nothing is done.
//! 7. Always, and after policy: a policy that removes the community switches it off.
//! 8. In the policy chain. 9. The same. 10. Nothing.
//!
//! A local AS is put in front of paths from an EBGP neighbour unless `no_prepend` says otherwise, as other routers do, so
//! that those behind us see the AS that the neighbour peers with.

use std::net::IpAddr;

use crate::{
    policy::{Context, Direction, Library, NeighborFacts, PolicyChain},
    rib::Source,
    session::negotiate::Negotiated,
    types::{Asn, Family, Role, RouterId},
    wire::bgp::{
        as_path::AsPath,
        attribute::{AttrSet, AttrSetBuilder, NextHop, code},
        community::{Community, ExtCommunity},
        validation_state::{Stated, is_state, stated_in},
    },
};

use super::{
    super::{EngineSettings, PeerSettings},
    validity::Sender,
};

/// Why a path is not eligible although policy accepts it; kept as the path's `detail`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Unusable {
    /// Our AS is in its AS_PATH (RFC 4271 §9.1.2).
    AsLoop = 1,
    /// We are its ORIGINATOR_ID (RFC 4456 §8).
    OriginatorLoop = 2,
    /// Our cluster is in its CLUSTER_LIST (RFC 4456 §8).
    ClusterListed = 3,
    /// Our member AS or our confederation is in its AS_PATH (RFC 5065 §4).
    ConfederationLoop = 4,
    /// Its next hop is our own address (RFC 4271 §6.3).
    OwnNextHop = 5,
    /// It has OTC and comes from where it must not (RFC 9234 §5).
    OtcLeak = 6,
    /// A flow specification about no destination (RFC 8955 §6 a).
    FlowWithoutDestination = 7,
    /// No unicast route covers its destination (RFC 8955 §6 b).
    FlowWithoutRoute = 8,
    /// The best unicast route for its destination has another originator (RFC 8955 §6 b).
    FlowOriginator = 9,
    /// The best unicast route for its destination has another first AS (RFC 9117 §4.2).
    FlowFirstAs = 10,
    /// A more specific unicast route comes from another neighbouring AS (RFC 8955 §6 c).
    FlowMoreSpecific = 11,
    /// It waits for RPKI data (`engine::hold`).
    AwaitsRpki = 12,
}

impl Unusable {
    /// In words, for `explain`.
    pub fn why(detail: u8) -> &'static str {
        match detail {
            1 => "own AS in AS_PATH (RFC 4271 §9.1.2)",
            2 => "ORIGINATOR_ID is our own (RFC 4456 §8)",
            3 => "our own cluster in CLUSTER_LIST (RFC 4456 §8)",
            4 => "own member AS or confederation in AS_PATH (RFC 5065 §4)",
            5 => "NEXT_HOP is our own address (RFC 4271 §6.3)",
            6 => "route leak: OTC says that it was for customers only (RFC 9234 §5)",
            12 => "waits for the first data of RPKI sources (hold_import)",
            detail => Self::why_no_flow(detail).unwrap_or("not usable"),
        }
    }

    /// In words, where it is the validation of flow specifications that says so.
    pub fn why_no_flow(detail: u8) -> Option<&'static str> {
        Some(match detail {
            7 => "flow specification without a destination prefix (RFC 8955 §6 a)",
            8 => "no unicast route covers the destination of the flow specification (RFC 8955 §6 b)",
            9 => "the best unicast route for its destination has another originator (RFC 8955 §6 b)",
            10 => "the best unicast route for its destination has another first AS (RFC 9117 §4.2)",
            11 => "a more specific unicast route comes from another neighboring AS (RFC 8955 §6 c)",
            _ => return None,
        })
    }
}

/// What import asks about a session; the same until its settings or policies change.
#[derive(Clone, PartialEq, Debug)]
pub struct ImportRules {
    /// Its import policies.
    pub chain: PolicyChain,
    /// What they are told of the session.
    pub context: Context,
    /// Where its routes come from.
    pub source: Source,
    /// Every route passes the chain as it is.
    pub passes_all: bool,
    /// No route passes the chain.
    pub passes_none: bool,
    own: OwnAsns,
    router_id: RouterId,
    cluster_id: RouterId,
    /// Our end of the session.
    own_address: Option<IpAddr>,
    /// What the neighbour is to us (RFC 9234 §4.1).
    remote_role: Option<Role>,
    /// What RPKI asks about the neighbour.
    pub sender: Sender,
    prepend: Option<Asn>,
    takes_aigp: bool,
    /// Of its routes, where policy gives none.
    pub weight: u16,
    /// Its flow specifications are held against unicast routes (`flows`).
    pub validates_flows: bool,
}

/// Our AS as paths may have it.
#[derive(Clone, PartialEq, Debug)]
struct OwnAsns {
    asn: Asn,
    /// Outside confederation segments, where `asn` is that of a member.
    confederation: Option<Asn>,
    /// What the neighbour peers with, where that is another one.
    local_as: Option<Asn>,
    allowed: usize,
}

/// What the rules say about a set.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Findings {
    /// It cannot be chosen.
    pub unusable: Option<Unusable>,
    /// OTC is to be added with this AS.
    otc: Option<Asn>,
    /// A local AS is to be put in front.
    prepend: Option<Asn>,
    drop_aigp: bool,
    /// The validation state that it carries is to be dropped (RFC 8097 §2).
    drop_state: bool,
    /// That state has no meaning.
    pub erroneous_state: Option<u8>,
}

impl Findings {
    /// Whether the set is another one before policy sees it.
    pub fn change(&self) -> bool {
        self.otc.is_some() || self.prepend.is_some() || self.drop_aigp || self.drop_state
    }

    /// What changes before policy sees the set, in words.
    pub fn changes(&self) -> Vec<String> {
        let otc = self.otc.map(|asn| format!("OTC {asn} is added (RFC 9234 §5)"));
        let prepend = self.prepend.map(|asn| format!("our local AS {asn} is put in front"));
        let aigp = self.drop_aigp.then(|| "AIGP is dropped, it is not enabled here (RFC 7311 §3.3)".to_owned());
        let state = self.drop_state.then(|| match self.erroneous_state {
            Some(value) => format!("validation state {value} is dropped, it has no meaning (RFC 8097 §2)"),
            None => "the validation state is dropped, it is not accepted here (RFC 8097 §2)".to_owned(),
        });
        [otc, prepend, aigp, state].into_iter().flatten().collect()
    }
}

impl ImportRules {
    /// The rules of a session whose routes come from `source`.
    pub fn new(
        engine: &EngineSettings,
        library: &Library,
        settings: &PeerSettings,
        negotiated: &Negotiated,
        source: Source,
    ) -> Self {
        let external = source == Source::External;
        let chain = PolicyChain::new(library, &settings.import, negotiated.kind);
        let remote_role = negotiated.local_role.map(Role::counterpart);
        let local = negotiated.local.ip().to_canonical();
        let confederation = engine.confederation.as_ref().map(|confederation| confederation.id);
        let known_as = [Some(negotiated.local_asn), settings.local_as.map(|local| local.asn)];
        let local_as = known_as.into_iter().flatten().find(|&asn| asn != engine.asn && Some(asn) != confederation);
        let options = &settings.import_options;
        let context = Context {
            direction: Direction::Import,
            neighbor: NeighborFacts {
                address: negotiated.remote.ip().to_canonical(),
                asn: negotiated.peer_asn,
                name: settings
                    .called
                    .clone()
                    .unwrap_or_else(|| negotiated.remote.ip().to_canonical().to_string().into()),
                group: settings.group.clone(),
                kind: negotiated.kind,
                role: remote_role,
            },
            local_asn: negotiated.local_asn,
            local_address: local,
        };
        Self {
            passes_all: chain.accepts_everything_unchanged(),
            passes_none: chain.rejects_everything(),
            chain,
            source,
            own: OwnAsns { asn: engine.asn, confederation, local_as, allowed: options.allow_own_as.into() },
            router_id: negotiated.local_router_id,
            cluster_id: engine.cluster_id,
            own_address: (negotiated.remote.ip().to_canonical() != local).then_some(local),
            remote_role,
            sender: Sender {
                own: engine.asn_outside(),
                role: remote_role.filter(|_| external).map(|role| (negotiated.peer_asn, role)),
                states: options.accept_validation_state,
            },
            prepend: settings.local_as.filter(|local| external && !local.no_prepend).map(|local| local.asn),
            takes_aigp: !external || settings.export_options.aigp,
            weight: options.weight,
            validates_flows: options.flowspec_validation.unwrap_or(external),
            context,
        }
    }

    /// Looks at a set as received, in one pass. The first reason of the enum's order counts.
    pub fn look(&self, set: AttrSet<'_>, family: Family) -> Findings {
        let mut findings = Findings { prepend: self.prepend, ..Findings::default() };
        let mut reason = |why: Unusable| {
            let known = findings.unusable.is_some_and(|known| known as u8 <= why as u8);
            findings.unusable = if known { findings.unusable } else { Some(why) };
        };
        let mut otc = None;
        for (_, code, value) in set.iter() {
            match code {
                code::AS_PATH => {
                    if let Some(why) = self.own.loops(AsPath::new(value)) {
                        reason(why);
                    }
                }
                code::NEXT_HOP | code::MP_REACH if self.is_own_next_hop(set) => reason(Unusable::OwnNextHop),
                code::ORIGINATOR_ID if self.is_inside() && set.originator_id() == Some(self.router_id) => {
                    reason(Unusable::OriginatorLoop);
                }
                code::CLUSTER_LIST if self.is_inside() && set.cluster_list().any(|id| id == self.cluster_id) => {
                    reason(Unusable::ClusterListed);
                }
                code::OTC => otc = set.otc(),
                code::EXT_COMMUNITIES => {
                    (findings.drop_state, findings.erroneous_state) = self.look_at_state(value);
                }
                code::AIGP => findings.drop_aigp = !self.takes_aigp,
                _ => {}
            }
        }
        let Some(role) = self.remote_role.filter(|_| is_unicast(family)) else { return findings };
        let remote = self.context.neighbor.asn;
        match (role, otc) {
            (Role::Customer | Role::RouteServerClient, Some(_)) => {
                findings.unusable = findings.unusable.or(Some(Unusable::OtcLeak));
            }
            (Role::Peer, Some(asn)) if asn != remote => {
                findings.unusable = findings.unusable.or(Some(Unusable::OtcLeak));
            }
            (Role::Provider | Role::Peer | Role::RouteServer, None) => findings.otc = Some(remote),
            _ => {}
        }
        findings
    }

    /// Writes the set as policy gets to see it into `out`.
    pub fn adapt(&self, set: AttrSet<'_>, findings: &Findings, builder: &mut AttrSetBuilder, out: &mut Vec<u8>) {
        builder.load(set);
        if let Some(asn) = findings.otc {
            builder.otc(asn);
        }
        if let Some(asn) = findings.prepend {
            builder.prepend(asn, 1);
        }
        if findings.drop_aigp {
            builder.remove(code::AIGP);
        }
        if findings.drop_state {
            let others: Vec<ExtCommunity> =
                set.ext_communities().filter(|community| !is_state(&community.0.to_be_bytes())).collect();
            builder.ext_communities(&others);
        }
        out.clear();
        builder.write_to(out);
    }

    /// Whether the state among these communities is dropped, and its value where that has no meaning to somebody who
    /// wanted to know (RFC 8097 §2). Where states are not accepted inside the AS, they pass as they are: others may want them.
    fn look_at_state(&self, communities: &[u8]) -> (bool, Option<u8>) {
        let (value, dropped) = match stated_in(communities) {
            Stated::Nothing => return (false, None),
            Stated::Value(_) => (None, !self.sender.states && self.source == Source::External),
            Stated::Erroneous(value) => (Some(value), self.sender.states || self.source == Source::External),
        };
        (dropped, value.filter(|_| self.sender.states))
    }

    /// Whether a set that policy accepted asks for graceful shutdown (RFC 8326 §4.1).
    pub fn is_shut_down(&self, set: AttrSet<'_>) -> bool {
        self.source == Source::External
            && set.communities().any(|community| community == Community::GRACEFUL_SHUTDOWN)
            && set.local_pref() != Some(0)
    }

    /// ORIGINATOR_ID and CLUSTER_LIST mean something inside the AS only (RFC 4456 §8).
    fn is_inside(&self) -> bool {
        self.source != Source::External
    }

    fn is_own_next_hop(&self, set: AttrSet<'_>) -> bool {
        let Some(own) = self.own_address else { return false };
        set.next_hop().is_some_and(|NextHop { global, .. }| global.to_canonical() == own)
    }
}

impl OwnAsns {
    fn loops(&self, path: AsPath<'_>) -> Option<Unusable> {
        let count = |asn: Option<Asn>, inside: Option<bool>| {
            let Some(asn) = asn else { return 0 };
            let asked =
                path.segments().filter(|segment| inside.is_none_or(|inside| segment.kind.is_confed() == inside));
            asked.flat_map(|segment| segment.asns()).filter(|other| *other == asn).count()
        };
        if let Some(id) = self.confederation
            && (count(Some(self.asn), Some(true)) > self.allowed || count(Some(id), Some(false)) > self.allowed)
        {
            return Some(Unusable::ConfederationLoop);
        }
        let plain = self.confederation.is_none().then_some(self.asn);
        let loops = count(plain, None) > self.allowed || count(self.local_as, None) > self.allowed;
        loops.then_some(Unusable::AsLoop)
    }
}

/// RFC 9234 §5: IPv4 and IPv6 unicast only.
fn is_unicast(family: Family) -> bool {
    matches!(family, Family::IPV4_UNICAST | Family::IPV6_UNICAST)
}
