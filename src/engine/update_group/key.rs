//! What makes neighbours members of one update group: everything that what they are sent depends on.

use std::{net::Ipv4Addr, time::Duration};

use crate::{
    policy::{Context, Direction, NeighborFacts, PolicyChain},
    rib::NlriRef,
    types::{Asn, Family, PeerKind, Role},
    wire::bgp::{MAX_EXTENDED_LEN, MAX_LEN, capability::Capability},
};

use super::super::{
    AddPathSelect, EngineSettings, NextHopRule,
    filters::Filtering,
    sessions::Session,
    transform::{ExportRules, Relation},
};

/// Everything that what is sent depends on. Equal keys, equal octets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupKey {
    /// Families, in negotiated order.
    pub families: Vec<Family>,
    /// What is done to attributes.
    pub rules: ExportRules,
    /// Export policies.
    pub export: ExportPolicy,
    /// What they want to be sent themselves, in families in which they said so (RFC 5291).
    pub filters: Vec<(Family, Filtering)>,
    /// Families in which path identifiers are sent (RFC 7911).
    pub add_path: Vec<Family>,
    /// Which paths are sent there.
    pub add_path_select: AddPathSelect,
    /// Families in which a default route is sent, whatever the tables hold.
    pub default_originate: Vec<Family>,
    /// Least time between announcements (RFC 4271 §9.2.1.1); zero: none.
    pub advertisement_interval: Duration,
    /// AS numbers are sent in four octets.
    pub four_octet_as: bool,
    /// Longest message.
    pub max_len: usize,
}

impl GroupKey {
    /// The key of a session's group.
    pub fn of(session: &Session, settings: &EngineSettings) -> Self {
        let negotiated = &session.negotiated;
        let options = &session.settings.export_options;
        Self {
            families: negotiated.families.clone(),
            rules: rules(session, settings),
            export: ExportPolicy::new(session.export.clone(), session),
            filters: filters(session),
            add_path: negotiated.add_path_send.clone(),
            add_path_select: options.add_path,
            default_originate: options.default_originate.clone(),
            advertisement_interval: options.advertisement_interval,
            four_octet_as: negotiated.four_octet_as,
            max_len: if negotiated.extended_message { MAX_EXTENDED_LEN } else { MAX_LEN },
        }
    }

    /// Whether a route of the family passes the filter that the members gave.
    #[inline]
    pub fn passes_filter(&self, family: Family, nlri: NlriRef<'_>) -> bool {
        self.filters.is_empty() || self.filters.iter().all(|(of, filter)| *of != family || filter.passes(nlri))
    }

    /// Whether nothing is sent in the family before the members have asked for it.
    pub fn awaits_filter(&self, family: Family) -> bool {
        self.filters.contains(&(family, Filtering::Awaited))
    }

    /// Whether nothing can be sent: nothing needs to be kept ready for such a group.
    pub fn is_silent(&self) -> bool {
        self.export.rejects && self.default_originate.is_empty()
    }

    /// Whether what validation says of a route decides over what is sent: policy asks for it, or it is told.
    pub fn looks_at_validation(&self) -> bool {
        self.export.looks_at_validation || self.rules.validation_state
    }

    /// Whether what is sent may change although the best path of the Loc-RIB does not: it may be another path, or
    /// policy asks what validation says of it.
    pub fn looks_at_all_paths(&self, family: Family) -> bool {
        self.looks_at_validation() || self.rules.transparent || self.add_path.contains(&family)
    }
}

/// The export policies of a group, and what is known of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportPolicy {
    /// The policies.
    pub chain: PolicyChain,
    /// What they are told about the session. Where they do not ask about the neighbour, nobody in particular.
    pub context: Context,
    /// Nothing passes.
    pub rejects: bool,
    /// Everything passes as it is.
    pub unchanged: bool,
    /// They ask who sent a route.
    pub looks_at_source: bool,
    /// They ask what validation says.
    pub looks_at_validation: bool,
    /// They can make another AS the origin.
    pub changes_as_path: bool,
}

impl ExportPolicy {
    fn new(chain: PolicyChain, session: &Session) -> Self {
        let negotiated = &session.negotiated;
        let nobody = NeighborFacts {
            address: Ipv4Addr::UNSPECIFIED.into(),
            asn: Asn(0),
            name: "".into(),
            group: None,
            kind: negotiated.kind,
            role: None,
        };
        let context = Context {
            direction: Direction::Export,
            neighbor: if chain.looks_at_neighbor() { neighbor_facts(session) } else { nobody },
            local_asn: negotiated.local_asn,
            local_address: negotiated.local.ip().to_canonical(),
        };
        Self {
            rejects: chain.rejects_everything(),
            unchanged: chain.accepts_everything_unchanged(),
            looks_at_source: chain.looks_at_source(),
            looks_at_validation: chain.looks_at_validation(),
            changes_as_path: chain.changes_as_path(),
            context,
            chain,
        }
    }
}

fn filters(session: &Session) -> Vec<(Family, Filtering)> {
    let in_force = session.filters.iter().filter_map(|filter| Some((filter.family, filter.in_force()?.clone())));
    in_force.collect()
}

/// What policies are told about a session's neighbour.
pub fn neighbor_facts(session: &Session) -> NeighborFacts {
    let negotiated = &session.negotiated;
    NeighborFacts {
        address: negotiated.remote.ip().to_canonical(),
        asn: negotiated.peer_asn,
        name: session.settings.name.clone(),
        group: session.settings.group.clone(),
        kind: negotiated.kind,
        role: negotiated.local_role.map(Role::counterpart),
    }
}

/// What a neighbour is to our AS.
fn relation(session: &Session, settings: &EngineSettings) -> Relation {
    let negotiated = &session.negotiated;
    let members = settings.confederation.as_ref().map(|confederation| &confederation.members);
    match negotiated.kind {
        PeerKind::Internal => Relation::Internal { client: session.settings.export_options.route_reflector_client },
        PeerKind::External if members.is_some_and(|members| members.contains(&negotiated.peer_asn)) => {
            Relation::Confederation
        }
        PeerKind::External => Relation::External,
    }
}

fn rules(session: &Session, settings: &EngineSettings) -> ExportRules {
    let negotiated = &session.negotiated;
    let options = &session.settings.export_options;
    let to = relation(session, settings);
    let external = to == Relation::External;
    let real = settings.confederation.as_ref().map_or(settings.asn, |confederation| confederation.id);
    let local_as = session.settings.local_as.filter(|local_as| external && local_as.asn != real);
    let override_as = external && options.as_override;
    let remove_private = options.remove_private.filter(|_| external);
    ExportRules {
        to,
        transparent: external && options.route_server_client,
        local_asn: negotiated.local_asn,
        behind: local_as.filter(|local_as| !local_as.replace_as).map(|_| real),
        peer_asn: (override_as || remove_private.is_some()).then_some(negotiated.peer_asn),
        override_as,
        remove_private,
        local_address: negotiated.local.ip(),
        // Groups are not to be told apart by what makes no difference.
        link: negotiated
            .link
            .filter(|_| external && !options.route_server_client && options.next_hop == NextHopRule::Standard),
        link_local: negotiated.link.filter(|link| options.link_local_next_hop && link.link_local.is_some()),
        next_hop: options.next_hop,
        extended_next_hop: negotiated.extended_next_hop.clone(),
        cluster_id: settings.cluster_id,
        role: negotiated.local_role.filter(|_| external),
        graceful_shutdown: options.graceful_shutdown,
        aigp: options.aigp,
        long_lived: knows_long_lived(session),
        validation_state: options.send_validation_state,
    }
}

/// Whether the neighbour told that it knows long-lived stale routes: the capability was received (RFC 9494 §4.3), whatever
/// families it lists and whether or not we said it too. Without Graceful Restart it means nothing (§4.5).
fn knows_long_lived(session: &Session) -> bool {
    let said = |of: fn(&Capability) -> bool| session.negotiated.remote_capabilities.iter().any(of);
    said(|capability| matches!(capability, Capability::LongLivedGracefulRestart(_)))
        && said(|capability| matches!(capability, Capability::GracefulRestart(_)))
}
