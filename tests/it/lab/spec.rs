//! Who a neighbour of the laboratory is: its settings and what its session agreed on.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ribwatch::{
    engine::{AddPathSelect, ExportOptions, MaxPrefix, NextHopRule, PeerSettings},
    session::negotiate::Negotiated,
    types::{Asn, Family, PeerKind, Role, RouterId},
    view::observed::VantageClass,
};

use super::OUR_AS;

/// What a neighbour is and agreed on.
#[derive(Clone)]
pub struct Spec {
    pub settings: PeerSettings,
    pub negotiated: Negotiated,
    /// It takes us for a member of its confederation.
    pub confederation_member: bool,
}

/// A neighbour in another AS that takes and gives everything in IPv4 unicast.
pub fn external(asn: u32) -> Spec {
    spec(asn, PeerKind::External)
}

/// A neighbour in our AS, likewise.
pub fn internal() -> Spec {
    spec(OUR_AS, PeerKind::Internal)
}

fn spec(asn: u32, kind: PeerKind) -> Spec {
    let address = |last: u8, port| SocketAddr::new(Ipv4Addr::new(192, 0, 2, last).into(), port);
    Spec {
        confederation_member: false,
        settings: PeerSettings {
            import: vec!["accept-all".into()],
            export: vec!["accept-all".into()],
            ..PeerSettings::new("neighbour".into())
        },
        negotiated: Negotiated {
            local_asn: Asn(OUR_AS),
            local_router_id: RouterId(0xc633_6401),
            peer_asn: Asn(asn),
            peer_router_id: RouterId(0),
            kind,
            local: address(254, 179),
            link: None,
            remote: address(0, 50_000),
            hold_time: Duration::from_secs(90),
            keepalive: Duration::from_secs(30),
            families: vec![Family::IPV4_UNICAST],
            four_octet_as: true,
            add_path_receive: Vec::new(),
            add_path_send: Vec::new(),
            filters_received: Vec::new(),
            filters_sent: Vec::new(),
            extended_message: false,
            route_refresh: true,
            enhanced_refresh: false,
            extended_next_hop: Vec::new(),
            graceful_restart: None,
            long_lived: None,
            local_role: None,
            hostname: None,
            software: None,
            remote_capabilities: Vec::new(),
        },
    }
}

impl Spec {
    pub fn import(mut self, names: &[&str]) -> Self {
        self.settings.import = names.iter().map(|name| Arc::from(*name)).collect();
        self
    }

    pub fn export(mut self, names: &[&str]) -> Self {
        self.settings.export = names.iter().map(|name| Arc::from(*name)).collect();
        self
    }

    /// Its name, in messages and as configured.
    pub fn called(mut self, name: &str) -> Self {
        self.settings.name = name.into();
        self.settings.called = Some(name.into());
        self
    }

    /// Whose view its routes are.
    pub fn vantage(mut self, class: VantageClass) -> Self {
        self.settings.vantage = class;
        self
    }

    pub fn monitor_only(mut self) -> Self {
        self.settings.monitor_only = true;
        self
    }

    pub fn next_hop_self(mut self) -> Self {
        self.settings.export_options.next_hop = NextHopRule::OwnAddress;
        self
    }

    pub fn max_prefix(mut self, family: Option<Family>, limit: u64, warning_percent: u8) -> Self {
        let restart_after = Some(Duration::from_secs(300));
        self.settings.max_prefix.push((family, MaxPrefix { limit, warning_percent, restart_after }));
        self
    }

    pub fn families(mut self, families: &[Family]) -> Self {
        self.negotiated.families = families.to_vec();
        self
    }

    pub fn enhanced_refresh(mut self) -> Self {
        self.negotiated.enhanced_refresh = true;
        self
    }

    pub fn two_octet_as(mut self) -> Self {
        self.negotiated.four_octet_as = false;
        self
    }

    /// The session runs over IPv6.
    pub fn over_ipv6(mut self) -> Self {
        let end = |last: u16, port| SocketAddr::new(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into(), port);
        self.negotiated.local = end(0xfe, 179);
        self.negotiated.remote = end(0, 50_000);
        self
    }

    /// It is sent several paths per prefix of IPv4 unicast (RFC 7911).
    pub fn add_path(mut self, select: AddPathSelect) -> Self {
        self.negotiated.add_path_send = vec![Family::IPV4_UNICAST];
        self.settings.export_options.add_path = select;
        self
    }

    /// With these export options.
    pub fn options(mut self, change: impl FnOnce(&mut ExportOptions)) -> Self {
        change(&mut self.settings.export_options);
        self
    }

    /// Another member AS of our confederation.
    pub fn confederation_member(mut self) -> Self {
        self.confederation_member = true;
        self
    }

    /// Our role towards it.
    pub fn role(mut self, role: Role) -> Self {
        self.negotiated.local_role = Some(role);
        self
    }

    /// It tells us by prefixes what it wants to be sent of IPv4 unicast (RFC 5291).
    pub fn sends_filters(mut self) -> Self {
        self.negotiated.filters_received = vec![Family::IPV4_UNICAST];
        self
    }

    pub fn extended_next_hop(mut self) -> Self {
        self.negotiated.extended_next_hop = vec![Family::IPV4_UNICAST];
        self
    }
}
