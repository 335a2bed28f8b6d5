//! Routes that are originated by command, as records: the key says which route, the value what it carries.
//!
//! ```text
//! key    AFI (2), SAFI (1), 4 | 6 | 0, then length and address of a prefix, or the key octets of any other NLRI
//! value  length of the labels (1), labels, canonical attribute set
//! ```

use std::io;

use super::{Journal, Kind};
use crate::{
    types::{Family, Prefix},
    view::{LocalRoute, Nlri},
};

/// All that are kept, in order; records that cannot be read are counted and stay.
pub fn load(journal: &Journal) -> (Vec<LocalRoute>, usize) {
    let mut unreadable = 0;
    let routes = journal.iter(Kind::LocalRoute).filter_map(|(key, value)| {
        let route = read(key, value);
        unreadable += usize::from(route.is_none());
        route
    });
    (routes.collect(), unreadable)
}

/// The route that is kept for this NLRI.
pub fn get(journal: &Journal, family: Family, nlri: &Nlri) -> Option<LocalRoute> {
    let key = key(family, nlri);
    read(&key, journal.get(Kind::LocalRoute, &key)?)
}

/// Keeps a route.
///
/// # Errors
/// The disk.
pub fn put(journal: &mut Journal, route: &LocalRoute) -> io::Result<()> {
    journal.put(Kind::LocalRoute, &key(route.family, &route.nlri), &value(route))
}

/// Forgets a route; false when none was kept.
///
/// # Errors
/// The disk.
pub fn remove(journal: &mut Journal, family: Family, nlri: &Nlri) -> io::Result<bool> {
    journal.remove(Kind::LocalRoute, &key(family, nlri))
}

fn key(family: Family, nlri: &Nlri) -> Vec<u8> {
    let mut out = family.afi.to_be_bytes().to_vec();
    out.push(family.safi);
    match nlri {
        Nlri::Prefix(Prefix::V4 { addr, len }) => {
            out.extend([4, *len]);
            out.extend(addr.to_be_bytes());
        }
        Nlri::Prefix(Prefix::V6 { addr, len }) => {
            out.extend([6, *len]);
            out.extend(addr.to_be_bytes());
        }
        Nlri::Opaque(key) => {
            out.push(0);
            out.extend_from_slice(key);
        }
    }
    out
}

fn value(route: &LocalRoute) -> Vec<u8> {
    // One label, three octets: the engine takes no other.
    let mut out = vec![u8::try_from(route.labels.len()).unwrap_or_default()];
    out.extend(route.labels.iter().take(usize::from(out.first().copied().unwrap_or_default())));
    out.extend_from_slice(&route.attrs);
    out
}

fn read(key: &[u8], value: &[u8]) -> Option<LocalRoute> {
    let (&[high, low, safi, form], rest) = key.split_first_chunk()?;
    let nlri = match (form, rest) {
        (4, [len, addr @ ..]) => Nlri::Prefix(Prefix::v4(u32::from_be_bytes(addr.try_into().ok()?), *len)),
        (6, [len, addr @ ..]) => Nlri::Prefix(Prefix::v6(u128::from_be_bytes(addr.try_into().ok()?), *len)),
        (0, octets) => Nlri::Opaque(octets.into()),
        _ => return None,
    };
    let (labels_len, rest) = value.split_first()?;
    let (labels, attrs) = rest.split_at_checked(usize::from(*labels_len))?;
    let family = Family::new(u16::from_be_bytes([high, low]), safi);
    Some(LocalRoute { family, nlri, labels: labels.into(), attrs: attrs.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_route_is_the_same_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Journal::open(dir.path(), "routes.journal").unwrap().journal;
        let plain = |text: &str, family| LocalRoute::plain(family, text.parse().unwrap(), vec![0x40, 1, 1, 0]);
        let routes = vec![
            plain("192.0.2.0/24", Family::IPV4_UNICAST),
            LocalRoute {
                family: Family::VPNV4,
                nlri: Nlri::Opaque([88, 0, 0, 0xfb, 0xf4, 0, 0, 0, 1, 192, 0, 2].into()),
                labels: [0, 6, 0x41].into(),
                attrs: vec![],
            },
            plain("2001:db8::/32", Family::IPV6_UNICAST),
        ];
        let mut journal = open();
        routes.iter().for_each(|route| put(&mut journal, route).unwrap());
        drop(journal);
        let mut journal = open();
        assert_eq!(load(&journal), (routes.clone(), 0));
        assert_eq!(get(&journal, routes[1].family, &routes[1].nlri).as_ref(), Some(&routes[1]));
        assert!(remove(&mut journal, routes[0].family, &routes[0].nlri).unwrap());
        assert!(!remove(&mut journal, routes[0].family, &routes[0].nlri).unwrap());
        journal.put(Kind::LocalRoute, b"?", b"").unwrap();
        assert_eq!(load(&journal), (routes[1..].to_vec(), 1), "what cannot be read stays and is counted");
    }

    proptest::proptest! {
        #[test]
        fn any_record_is_read_or_refused(
            key in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..30),
            value in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..30),
        ) {
            let _ = read(&key, &value);
        }
    }
}
