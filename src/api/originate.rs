//! A request to originate a route, read: words become a `LocalRoute` with a canonical attribute set. What may be
//! originated at all is for the engine to say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ribwatch_proto::v1;
use tonic::Status;

use super::status;
use crate::{
    types::{Asn, Family, Prefix},
    view::{LocalRoute, Nlri, filter::prefix_family},
    wire::bgp::{
        attribute::{AttrSetBuilder, NextHop, Origin, code, is_known, name},
        nlri::{TypedNlri, is_labelled, label_octets},
    },
};

/// AS numbers in the path of a route that is originated: one segment (RFC 4271 §4.3), which is also far more
/// than anyone accepts.
const PATH_LEN_MAX: usize = 255;
/// Communities of a route that is originated; keeps the attribute below a quarter of a message.
const COMMUNITIES_MAX: usize = 64;
/// Octets of raw attributes: with everything else they fit a message without extensions (RFC 4271 §4.1).
const RAW_OCTETS_MAX: usize = 2048;

/// The route that `request` asks for.
pub(super) fn local_route(request: &v1::OriginateRequest) -> Result<LocalRoute, Status> {
    let (family, nlri) = read_nlri(&request.prefix, &request.family)?;
    let mut set = AttrSetBuilder::new();
    raw_attributes(&request.attributes, &mut set)?;
    set.origin(read_origin(&request.origin)?);
    if request.as_path.len() > PATH_LEN_MAX {
        return Err(Status::invalid_argument(format!("the path is longer than {PATH_LEN_MAX} AS numbers")));
    }
    let path: Vec<Asn> = request.as_path.iter().copied().map(Asn).collect();
    set.as_path_sequence(&path);
    match (is_flow_specification(family), request.next_hop.as_str()) {
        // RFC 8955 §4: a length of zero.
        (true, "") => drop(set.mp_next_hop(family, &[])),
        (_, word) => drop(set.next_hop(family, NextHop { global: next_hop(word, family)?, link_local: None })),
    }
    if let Some(med) = request.med {
        set.med(med);
    }
    if let Some(local_pref) = request.local_pref {
        set.local_pref(local_pref);
    }
    if let Some(metric) = request.aigp {
        // RFC 7311 §3: type 1, length of the whole TLV, metric.
        let [a, b, c, d, e, f, g, h] = metric.to_be_bytes();
        set.raw(0x80, code::AIGP, &[1, 0, 11, a, b, c, d, e, f, g, h]);
    }
    if let Some(asn) = request.only_to_customer {
        set.otc(Asn(asn));
    }
    communities(&request.communities, &mut set)?;
    Ok(LocalRoute { family, nlri, labels: labels(family, request.label)?, attrs: set.finish() })
}

/// The family and NLRI that words name.
pub(super) fn read_nlri(word: &str, family: &str) -> Result<(Family, Nlri), Status> {
    if let Some(opaque) = family.parse::<Family>().ok().filter(|family| !family.is_plain_prefix()) {
        let key = TypedNlri::parse(opaque, word).and_then(|typed| typed.key());
        let key = key.map_err(|error| Status::invalid_argument(error.to_string()))?;
        return Ok((opaque, Nlri::Opaque(key.into())));
    }
    let prefix = word.parse::<Prefix>().map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok((prefix_family(family, &prefix).map_err(status)?, prefix.into()))
}

fn is_flow_specification(family: Family) -> bool {
    matches!(family.safi, 133 | 134)
}

fn labels(family: Family, label: Option<u32>) -> Result<Box<[u8]>, Status> {
    match label {
        None if is_labelled(family) => Err(Status::invalid_argument(format!("a route of {family} needs a label"))),
        None => Ok(Box::default()),
        Some(label) => match label_octets(label) {
            Some(octets) => Ok(octets.into()),
            None => Err(Status::invalid_argument(format!("{label} is no label: there are 0 to 1048575"))),
        },
    }
}

fn read_origin(word: &str) -> Result<Origin, Status> {
    match word {
        "" | "igp" => Ok(Origin::Igp),
        "egp" => Ok(Origin::Egp),
        "incomplete" => Ok(Origin::Incomplete),
        _ => Err(Status::invalid_argument(format!("`{word}` is not an origin: igp, egp or incomplete"))),
    }
}

/// The unspecified address stands for our own towards each neighbour.
fn next_hop(word: &str, family: Family) -> Result<IpAddr, Status> {
    if word.is_empty() {
        let unspecified = if family.afi == 1 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        return Ok(unspecified);
    }
    let address: IpAddr =
        word.parse().map_err(|_| Status::invalid_argument(format!("the next hop `{word}` is not an address")))?;
    match (family.afi, address) {
        (2, IpAddr::V4(_)) => Err(Status::invalid_argument(format!("{family} needs an IPv6 next hop, not {word}"))),
        _ => Ok(address),
    }
}

fn communities(words: &[String], set: &mut AttrSetBuilder) -> Result<(), Status> {
    if words.len() > COMMUNITIES_MAX {
        return Err(Status::invalid_argument(format!("at most {COMMUNITIES_MAX} communities")));
    }
    let (mut standard, mut large, mut extended) = (Vec::new(), Vec::new(), Vec::new());
    for word in words {
        if let Ok(community) = word.parse() {
            standard.push(community);
        } else if let Ok(community) = word.parse() {
            large.push(community);
        } else if let Ok(community) = word.parse() {
            extended.push(community);
        } else {
            return Err(Status::invalid_argument(format!(
                "`{word}` is not a community: write 64500:1, no-export, 64500:1:2 (large), rt:64500:1 or \
                 traffic-rate:0:0 (extended)"
            )));
        }
    }
    set.communities(&standard);
    set.large_communities(&large);
    set.ext_communities(&extended);
    Ok(())
}

/// Attributes as octets. Those that this request has a field for, and those that only a session may write, are not
/// taken: two answers to one question would have to be weighed.
fn raw_attributes(attributes: &[v1::RawAttribute], set: &mut AttrSetBuilder) -> Result<(), Status> {
    let wrong = |text: String| Err(Status::invalid_argument(text));
    if attributes.iter().map(|attribute| attribute.value.len()).sum::<usize>() > RAW_OCTETS_MAX {
        return wrong(format!("raw attributes have at most {RAW_OCTETS_MAX} octets together"));
    }
    for attribute in attributes {
        let (Ok(number), Ok(flags)) = (u8::try_from(attribute.code), u8::try_from(attribute.flags)) else {
            return wrong("code and flags of an attribute are octets: 0 to 255".into());
        };
        if has_field(number) || number == 0 || set.get(number).is_some() {
            return wrong(format!(
                "{} cannot be given as octets: it has a place of its own, or was given",
                name(number)
            ));
        }
        if flags & 0x0f != 0 || (flags & 0x80 == 0 && !is_known(number)) {
            // RFC 4271 §4.3: the low four bits are zero, and an attribute that nobody knows is optional.
            return wrong(format!("{flags:#04x} are no flags for {}: write c0 (transitive) or 80", name(number)));
        }
        set.raw(flags, number, &attribute.value);
    }
    Ok(())
}

/// Whether an attribute is set by another field, or by sessions alone.
fn has_field(number: u8) -> bool {
    matches!(
        number,
        code::ORIGIN
            | code::AS_PATH
            | code::NEXT_HOP
            | code::MED
            | code::LOCAL_PREF
            | code::COMMUNITIES
            | code::MP_REACH
            | code::MP_UNREACH
            | code::EXT_COMMUNITIES
            | code::AS4_PATH
            | code::AS4_AGGREGATOR
            | code::LARGE_COMMUNITIES
            | code::AIGP
            | code::OTC
    )
}
