//! What makes neighbours members of one update group: everything that what they are sent depends on.

use crate::{
    policy::PolicyChain,
    types::Family,
    wire::bgp::{MAX_EXTENDED_LEN, MAX_LEN},
};

use super::super::{NextHopRule, sessions::Session, transform::ExportRules};

/// Everything that what is sent depends on. Equal keys, equal octets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupKey {
    /// Families, in negotiated order.
    pub families: Vec<Family>,
    /// What is done to attributes.
    pub rules: ExportRules,
    /// Export policies.
    pub export: PolicyChain,
    /// AS numbers are sent in four octets.
    pub four_octet_as: bool,
    /// Longest message.
    pub max_len: usize,
}

impl GroupKey {
    /// The key of a session's group.
    pub fn of(session: &Session) -> Self {
        let negotiated = &session.negotiated;
        Self {
            families: negotiated.families.clone(),
            rules: ExportRules {
                kind: negotiated.kind,
                local_asn: negotiated.local_asn,
                local_address: negotiated.local.ip(),
                next_hop_self: session.settings.export_options.next_hop == NextHopRule::OwnAddress,
                extended_next_hop: negotiated.extended_next_hop.clone(),
            },
            export: session.export.clone(),
            four_octet_as: negotiated.four_octet_as,
            max_len: if negotiated.extended_message { MAX_EXTENDED_LEN } else { MAX_LEN },
        }
    }

    /// Whether no route can pass: nothing needs to be kept ready for such a group.
    pub fn is_silent(&self) -> bool {
        self.export.rejects_everything()
    }
}
