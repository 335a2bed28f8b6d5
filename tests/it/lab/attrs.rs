//! Attributes of a route, in the words of a story.

use std::net::IpAddr;

use ribwatch::{
    types::{Asn, Family, RouterId},
    wire::bgp::{
        attribute::{AttrSetBuilder, NextHop, Origin},
        community::Community,
    },
};

/// Attributes of a route, in the words of a story.
#[derive(Clone)]
pub struct Attrs(AttrSetBuilder, Option<NextHop>);

/// A route with this AS_PATH (`"64496 64500"`), ORIGIN IGP and the sender as next hop.
pub fn path(asns: &str) -> Attrs {
    let asns: Vec<Asn> = asns.split_whitespace().map(|asn| asn.parse().expect("an AS number")).collect();
    let mut builder = AttrSetBuilder::new();
    builder.origin(Origin::Igp).as_path_sequence(&asns);
    Attrs(builder, None)
}

impl Attrs {
    pub fn med(mut self, med: u32) -> Self {
        self.0.med(med);
        self
    }

    pub fn local_pref(mut self, local_pref: u32) -> Self {
        self.0.local_pref(local_pref);
        self
    }

    pub fn community(mut self, community: Community) -> Self {
        self.0.communities(&[community]);
        self
    }

    pub fn originator(mut self, id: u32) -> Self {
        self.0.originator_id(RouterId(id));
        self
    }

    pub fn clusters(mut self, ids: &[u32]) -> Self {
        let ids: Vec<RouterId> = ids.iter().map(|id| RouterId(*id)).collect();
        self.0.cluster_list(&ids);
        self
    }

    pub fn raw(mut self, flags: u8, code: u8, value: &[u8]) -> Self {
        self.0.raw(flags, code, value);
        self
    }

    pub fn via(mut self, next_hop: &str) -> Self {
        self.1 = Some(NextHop::new(next_hop.parse().expect("an address")));
        self
    }

    /// With a link-local address beside the global one.
    pub fn via_both(mut self, global: &str, link_local: &str) -> Self {
        let global = global.parse().expect("an address");
        self.1 = Some(NextHop { global, link_local: link_local.parse().ok() });
        self
    }

    /// The canonical octets; `sender` is the next hop unless the story says otherwise.
    pub fn octets(&self, family: Family, sender: IpAddr) -> Vec<u8> {
        let mut builder = self.0.clone();
        builder.next_hop(family, self.1.unwrap_or(NextHop::new(sender)));
        builder.finish()
    }
}
