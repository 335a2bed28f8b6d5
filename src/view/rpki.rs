//! Read models of RPKI: what each source holds and how old it is, and why a route has the state it has.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    types::{Asn, Prefix, Timestamp},
    validation::{Aspa, OriginState, Snapshot, SourceId, Vrp, rov::Fit},
};

/// Where a source of validated payloads stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SourceState {
    /// Nothing came yet.
    #[default]
    Starting,
    /// Its data are complete and as fresh as it promised.
    Synced,
    /// It cannot be reached or said something wrong; the last good data are in force until they expire.
    Failing,
    /// Its data are older than the expire interval and were dropped.
    Expired,
}

impl SourceState {
    /// In one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Synced => "synced",
            Self::Failing => "failing",
            Self::Expired => "expired",
        }
    }
}

/// One source: an RTR cache, a file, or local exceptions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceView {
    /// Its name.
    pub name: String,
    /// Where it is: host and port, or a path.
    pub place: String,
    /// `rtr`, `file` or `slurm`.
    pub kind: &'static str,
    /// Where it stands.
    pub state: SourceState,
    /// Whether its data are part of what routes are judged by.
    pub in_use: bool,
    /// RTR version spoken.
    pub version: Option<u8>,
    /// RTR session id.
    pub session_id: Option<u16>,
    /// RTR serial number of the data.
    pub serial: Option<u32>,
    /// VRPs held: of IPv4, of IPv6, after local filters.
    pub vrps: (u64, u64),
    /// Customers with ASPAs, after local filters.
    pub aspas: u64,
    /// ROAs per trust anchor, before local filters, where the source names it; by name of the anchor.
    pub anchors: BTreeMap<String, u64>,
    /// When the data were last confirmed; `None`: never.
    pub updated_at: Option<Timestamp>,
    /// When they are dropped unless confirmed.
    pub expires_at: Option<Timestamp>,
    /// Why its ASPAs are not used although it has some: RTR version 1 is spoken, which has none. `None`: they are.
    pub without_aspas: Option<String>,
    /// What went wrong last, in words; stays until the next success.
    pub last_error: Option<String>,
}

/// All sources, and what holds together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RpkiView {
    /// In the order of the configuration.
    pub sources: Vec<SourceView>,
    /// VRPs in force: of IPv4, of IPv6.
    pub vrps: (u64, u64),
    /// Customers with ASPAs in force.
    pub aspas: u64,
}

/// What is in force, and who says it.
#[derive(Clone, Debug, Default)]
pub struct InForce {
    /// The data.
    pub snapshot: Arc<Snapshot>,
    /// Names of sources by their number in the data; one that is missing stands for local exceptions.
    pub names: BTreeMap<SourceId, String>,
}

impl InForce {
    /// All VRPs that cover a prefix, with what they mean for this origin (`None`: the path ends in an AS_SET).
    pub fn covering(&self, prefix: Prefix, origin: Option<Asn>) -> Vec<CoveringVrp> {
        let name = |id: SourceId| self.names.get(&id).cloned().unwrap_or_else(|| "local exceptions".to_owned());
        let covering = self.snapshot.vrps.covering(prefix, origin).into_iter().map(|found| CoveringVrp {
            prefix: found.vrp.prefix,
            max_len: found.vrp.max_len,
            asn: found.vrp.asn,
            fit: found.fit,
            sources: found.sources.iter().map(name).collect(),
        });
        covering.collect()
    }
}

/// A VRP that covers the prefix asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoveringVrp {
    /// Its prefix.
    pub prefix: Prefix,
    /// Its maximum length.
    pub max_len: u8,
    /// Its AS.
    pub asn: Asn,
    /// Whether it matches, and why not.
    pub fit: Fit,
    /// Names of the sources that hold it.
    pub sources: Vec<String>,
}

/// The state of a prefix and origin, with all that decided it (RFC 6811 §2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OriginCheck {
    /// Asked about.
    pub prefix: Prefix,
    /// Asked about.
    pub origin: Asn,
    /// The state.
    pub state: OriginState,
    /// VRPs that cover the prefix, longest first.
    pub covering: Vec<CoveringVrp>,
}

impl OriginCheck {
    /// Why, in one sentence.
    pub fn why(&self) -> String {
        let (prefix, origin) = (self.prefix, self.origin.0);
        let count = self.covering.len();
        match self.state {
            OriginState::NotChecked => "there are no RPKI data: no cache has answered yet".to_owned(),
            OriginState::NotFound => format!("no VRP covers {prefix}"),
            OriginState::Valid => match self.covering.iter().find(|vrp| vrp.fit == Fit::Matches) {
                Some(vrp) => format!("{}-{} AS{} matches", vrp.prefix, vrp.max_len, vrp.asn.0),
                None => String::new(),
            },
            OriginState::Invalid => match self.covering.iter().find(|vrp| vrp.fit == Fit::TooLong) {
                Some(vrp) => format!(
                    "AS{origin} may announce {} down to /{} only, and {prefix} is longer",
                    vrp.prefix, vrp.max_len
                ),
                None if count == 1 => format!("1 VRP covers {prefix}, and it is not for AS{origin}"),
                None => format!("{count} VRPs cover {prefix}, and none is for AS{origin}"),
            },
        }
    }
}

/// What sources say and what only some of them say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Differences {
    /// Those that were compared, in the order asked for.
    pub sources: Vec<SourceDifference>,
    /// What is not in all of them: VRPs in order of their prefix, then ASPAs in order of their customer.
    pub records: Vec<Difference>,
}

/// One of the sources that were compared.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceDifference {
    /// Its name.
    pub name: String,
    /// VRPs that it has.
    pub vrps: u64,
    /// Customers whose ASPAs it has.
    pub aspas: u64,
    /// VRPs that it has and another one lacks.
    pub vrps_not_everywhere: u64,
    /// ASPAs that it has, and another one has none of this customer or one with other providers.
    pub aspas_not_everywhere: u64,
    /// VRPs that another one has and it lacks.
    pub vrps_missing: u64,
    /// ASPAs that another one has, and it has none of this customer or one with other providers.
    pub aspas_missing: u64,
}

/// Something that not all sources say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What it is.
    pub payload: Payload,
    /// Who says it: bit n is the nth of the sources that were compared.
    pub held_by: u16,
}

/// A validated payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// For origins.
    Vrp(Vrp),
    /// For paths: a customer with all its providers.
    Aspa(Aspa),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_vrp_covers_and_two_cover() {
        let vrp = |asn| {
            let prefix = "192.0.2.0/24".parse().unwrap();
            CoveringVrp { prefix, max_len: 24, asn: Asn(asn), fit: Fit::OtherOrigin, sources: Vec::new() }
        };
        let mut check = OriginCheck {
            prefix: "192.0.2.0/24".parse().unwrap(),
            origin: Asn(64511),
            state: OriginState::Invalid,
            covering: vec![vrp(64500)],
        };
        assert_eq!(check.why(), "1 VRP covers 192.0.2.0/24, and it is not for AS64511");
        check.covering.push(vrp(64501));
        assert_eq!(check.why(), "2 VRPs cover 192.0.2.0/24, and none is for AS64511");
    }
}
