//! What the operator says about next hops: what it costs to get there, and whether one gets there at all. There is no
//! IGP to ask, so a static table stands for it (RFC 4271 §9.1.2.1 "Route Resolvability", §9.1.2.2 e).
//!
//! The longest prefix of the table that covers a next hop speaks for it. Prefixes nest, so the table is cut once into
//! ranges of addresses that do not: asking is one binary search, whatever the table's size.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::types::Prefix;

/// What a row of the table says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextHopRoute {
    /// Next hops in here.
    pub prefix: Prefix,
    /// What it costs to get there.
    pub metric: u32,
    /// Whether one gets there; asked only when the check is strict.
    pub reachable: bool,
}

/// Which next hops count as reachable.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum NextHopCheck {
    /// All of them: the view of a collector.
    #[default]
    Off,
    /// Those that the table says are.
    Strict,
}

/// The table of next hops.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NextHops {
    check: NextHopCheck,
    /// First address of a range, and what is said from there to the next range; in order of address.
    ranges: Vec<(IpAddr, Option<Said>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Said {
    metric: u32,
    reachable: bool,
}

impl NextHops {
    /// A table of `routes`, in any order; of several for one prefix, the last one counts.
    pub fn new(check: NextHopCheck, routes: &[NextHopRoute]) -> Self {
        let mut sorted: Vec<&NextHopRoute> = routes.iter().collect();
        // Outer prefixes before those inside them; the sort is stable, so later ones of one prefix stay behind.
        sorted.sort_by_key(|route| (route.prefix.addr(), route.prefix.len()));
        let mut ranges = Vec::new();
        // Prefixes around the point reached: the last address of each, and what it says.
        let mut open: Vec<(IpAddr, Said)> = Vec::new();
        for route in sorted {
            let start = route.prefix.addr();
            close(&mut open, &mut ranges, Some(start));
            let said = Said { metric: route.metric, reachable: route.reachable };
            ranges.push((start, Some(said)));
            open.push((last_address(route.prefix), said));
        }
        close(&mut open, &mut ranges, None);
        // Of ranges that begin at one address, the one pushed last speaks.
        ranges.reverse();
        ranges.dedup_by_key(|(start, _)| *start);
        ranges.reverse();
        Self { check, ranges }
    }

    /// Whether next hops have to be asked about for their cost.
    #[inline]
    pub fn has_costs(&self) -> bool {
        !self.ranges.is_empty()
    }

    /// Whether next hops have to be asked about for their reachability.
    #[inline]
    pub fn is_strict(&self) -> bool {
        self.check == NextHopCheck::Strict
    }

    /// What it costs to get to `next_hop`; 0 where nothing is said.
    pub fn metric(&self, next_hop: IpAddr) -> u32 {
        self.said(next_hop).map_or(0, |said| said.metric)
    }

    /// Whether one gets to `next_hop`.
    pub fn reachable(&self, next_hop: IpAddr) -> bool {
        !self.is_strict() || self.said(next_hop).is_some_and(|said| said.reachable)
    }

    fn said(&self, next_hop: IpAddr) -> Option<Said> {
        let next_hop = next_hop.to_canonical();
        let behind = self.ranges.partition_point(|(start, _)| *start <= next_hop);
        self.ranges.get(behind.checked_sub(1)?)?.1
    }
}

/// Ends the open prefixes that end before `start` (all of them at the end): what is around them speaks again.
fn close(open: &mut Vec<(IpAddr, Said)>, ranges: &mut Vec<(IpAddr, Option<Said>)>, start: Option<IpAddr>) {
    while let Some((last, _)) = open.pop_if(|(last, _)| start.is_none_or(|start| *last < start)) {
        let around = open.last().map(|(_, said)| *said);
        match next_address(last) {
            Some(next) => ranges.push((next, around)),
            // IPv4 ends; behind it in order stand the addresses of IPv6.
            None if last.is_ipv4() => ranges.push((IpAddr::V6(Ipv6Addr::UNSPECIFIED), None)),
            None => {}
        }
    }
}

fn last_address(prefix: Prefix) -> IpAddr {
    let host_bits = |width: u8| u32::from(width - prefix.len());
    match prefix.addr() {
        IpAddr::V4(first) => {
            let mask = 1u32.checked_shl(host_bits(32)).map_or(u32::MAX, |size| size - 1);
            IpAddr::V4(Ipv4Addr::from(u32::from(first) | mask))
        }
        IpAddr::V6(first) => {
            let mask = 1u128.checked_shl(host_bits(128)).map_or(u128::MAX, |size| size - 1);
            IpAddr::V6(Ipv6Addr::from(u128::from(first) | mask))
        }
    }
}

fn next_address(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|next| IpAddr::V4(Ipv4Addr::from(next))),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|next| IpAddr::V6(Ipv6Addr::from(next))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Short and long prefixes at both ends of both families, so that they nest and touch.
    fn prefix() -> impl Strategy<Value = Prefix> {
        let end = prop_oneof![Just(0u8), Just(0xff), 0u8..4];
        (any::<bool>(), prop_oneof![Just(0u8), 1u8..9, 24u8..33], end).prop_map(|(v4, len, octet)| {
            let spread = u32::from_be_bytes([octet; 4]);
            if v4 {
                Prefix::v4(spread, len)
            } else {
                Prefix::v6(u128::from(spread) << 96 | u128::from(spread), len * 4)
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn the_longest_prefix_speaks(rows in prop::collection::vec((prefix(), 0u32..9, any::<bool>()), 0..12)) {
            let rows: Vec<NextHopRoute> =
                rows.iter().map(|&(prefix, metric, reachable)| NextHopRoute { prefix, metric, reachable }).collect();
            let table = NextHops::new(NextHopCheck::Strict, &rows);
            let ends = rows.iter().flat_map(|row| {
                let (first, last) = (row.prefix.addr(), last_address(row.prefix));
                [Some(first), Some(last), next_address(last)]
            });
            for address in ends.flatten() {
                let longest = rows.iter().filter(|row| row.prefix.contains(address)).max_by_key(|row| row.prefix.len());
                prop_assert_eq!(table.metric(address), longest.map_or(0, |row| row.metric), "{}", address);
                prop_assert_eq!(table.reachable(address), longest.is_some_and(|row| row.reachable), "{}", address);
            }
        }
    }

    #[test]
    fn without_a_check_everything_is_reachable_and_without_rows_it_costs_nothing() {
        let nothing = NextHops::default();
        let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert!(!nothing.has_costs() && !nothing.is_strict());
        assert_eq!((nothing.metric(address), nothing.reachable(address)), (0, true));
        assert!(!NextHops::new(NextHopCheck::Strict, &[]).reachable(address));
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
        let row = NextHopRoute { prefix: Prefix::v4(0xc000_0200, 24), metric: 7, reachable: true };
        assert_eq!(NextHops::new(NextHopCheck::Off, &[row]).metric(mapped), 7);
    }
}
