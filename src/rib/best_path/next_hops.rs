//! What is known about next hops: what it costs to get there, and whether one gets there at all. There is no IGP to
//! ask, so a static table stands for it (RFC 4271 §9.1.2.1 "Route Resolvability", §9.1.2.2 e), and the subnets of our
//! interfaces, which whoever reads them hands over.
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
    /// Whether one gets there; asked only when next hops are checked.
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
    /// Those on a subnet that we are on; where the table has a row, what that says instead.
    Connected,
}

/// First address of a range, and what is said from there to the next range; in order of address.
type Ranges<T> = Vec<(IpAddr, Option<T>)>;

/// The table of next hops.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NextHops {
    check: NextHopCheck,
    said: Ranges<Said>,
    /// Subnets that we are on. What machines have, not what an operator says: empty in settings.
    connected: Ranges<()>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Said {
    metric: u32,
    reachable: bool,
}

impl NextHops {
    /// A table of `routes`, in any order; of several for one prefix, the last one counts. No subnet is connected.
    pub fn new(check: NextHopCheck, routes: &[NextHopRoute]) -> Self {
        let said = |route: &NextHopRoute| Said { metric: route.metric, reachable: route.reachable };
        Self { check, said: cut(routes.iter().map(|route| (route.prefix, said(route)))), connected: Ranges::new() }
    }

    /// The same with these subnets connected, in any order.
    #[must_use]
    pub fn with_connected(self, subnets: &[Prefix]) -> Self {
        Self { connected: cut(subnets.iter().map(|subnet| (*subnet, ()))), ..self }
    }

    /// The same with the subnets of another one.
    #[must_use]
    pub fn connected_as(self, other: &Self) -> Self {
        Self { connected: other.connected.clone(), ..self }
    }

    /// Which next hops count as reachable.
    pub fn check(&self) -> NextHopCheck {
        self.check
    }

    /// Whether next hops have to be asked about for their cost.
    #[inline]
    pub fn has_costs(&self) -> bool {
        !self.said.is_empty()
    }

    /// Whether next hops have to be asked about for their reachability.
    #[inline]
    pub fn is_checked(&self) -> bool {
        self.check != NextHopCheck::Off
    }

    /// What it costs to get to `next_hop`; 0 where nothing is said.
    pub fn metric(&self, next_hop: IpAddr) -> u32 {
        find(&self.said, next_hop).map_or(0, |said| said.metric)
    }

    /// Whether one gets to `next_hop`.
    pub fn reachable(&self, next_hop: IpAddr) -> bool {
        let said = || find(&self.said, next_hop).map(|said| said.reachable);
        match self.check {
            NextHopCheck::Off => true,
            NextHopCheck::Strict => said().unwrap_or(false),
            NextHopCheck::Connected => said().unwrap_or_else(|| find(&self.connected, next_hop).is_some()),
        }
    }
}

/// Cuts prefixes that nest into ranges that do not.
fn cut<T: Copy>(rows: impl Iterator<Item = (Prefix, T)>) -> Ranges<T> {
    let mut sorted: Vec<(Prefix, T)> = rows.collect();
    // Outer prefixes before those inside them; the sort is stable, so later ones of one prefix stay behind.
    sorted.sort_by_key(|(prefix, _)| (prefix.addr(), prefix.len()));
    let mut ranges = Ranges::new();
    // Prefixes around the point reached: the last address of each, and what it says.
    let mut open: Vec<(IpAddr, T)> = Vec::new();
    for (prefix, said) in sorted {
        let start = prefix.addr();
        close(&mut open, &mut ranges, Some(start));
        ranges.push((start, Some(said)));
        open.push((last_address(prefix), said));
    }
    close(&mut open, &mut ranges, None);
    // Of ranges that begin at one address, the one pushed last speaks.
    ranges.reverse();
    ranges.dedup_by_key(|(start, _)| *start);
    ranges.reverse();
    ranges
}

fn find<T: Copy>(ranges: &Ranges<T>, next_hop: IpAddr) -> Option<T> {
    let next_hop = next_hop.to_canonical();
    let behind = ranges.partition_point(|(start, _)| *start <= next_hop);
    ranges.get(behind.checked_sub(1)?)?.1
}

/// Ends the open prefixes that end before `start` (all of them at the end): what is around them speaks again.
fn close<T: Copy>(open: &mut Vec<(IpAddr, T)>, ranges: &mut Ranges<T>, start: Option<IpAddr>) {
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
        assert!(!nothing.has_costs() && !nothing.is_checked());
        assert_eq!((nothing.metric(address), nothing.reachable(address)), (0, true));
        assert!(!NextHops::new(NextHopCheck::Strict, &[]).reachable(address));
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
        let row = NextHopRoute { prefix: Prefix::v4(0xc000_0200, 24), metric: 7, reachable: true };
        assert_eq!(NextHops::new(NextHopCheck::Off, &[row]).metric(mapped), 7);
    }

    #[test]
    fn a_connected_next_hop_is_reachable_unless_a_row_says_otherwise() {
        let prefix = |text: &str| text.parse::<Prefix>().unwrap();
        let row = |text: &str, reachable| NextHopRoute { prefix: prefix(text), metric: 0, reachable };
        let rows = [row("192.0.2.128/25", false), row("203.0.113.0/24", true), row("2001:db8:0:1::/64", false)];
        let subnets = ["192.0.2.0/24", "198.51.100.0/31", "2001:db8::/48", "fe80::/64"].map(prefix);
        // RFC 4271 §9.1.2.1. (next hop, connected, strict)
        let cases = [
            ("192.0.2.1", true, false),
            ("::ffff:192.0.2.1", true, false), // the same address
            ("192.0.2.127", true, false),
            ("192.0.2.128", false, false), // a row speaks for it
            ("198.51.100.1", true, false), // RFC 3021: both addresses of a /31
            ("198.51.100.2", false, false),
            ("203.0.113.9", true, true), // routed, says a row
            ("2001:db8::1", true, false),
            ("2001:db8:0:1::1", false, false),
            ("2001:db8:1::1", false, false),
            ("fe80::9", true, false),
            ("0.0.0.0", false, false),
            ("::", false, false),
        ];
        let table = |check| NextHops::new(check, &rows).with_connected(&subnets);
        for (next_hop, connected, strict) in cases {
            let next_hop: IpAddr = next_hop.parse().unwrap();
            let reachable = |check| table(check).reachable(next_hop);
            assert_eq!(reachable(NextHopCheck::Connected), connected, "{next_hop}");
            assert_eq!(reachable(NextHopCheck::Strict), strict, "{next_hop}");
            assert!(reachable(NextHopCheck::Off));
        }
        let other = NextHops::new(NextHopCheck::Connected, &[]);
        assert!(!other.reachable("192.0.2.1".parse().unwrap()), "no interface, no next hop");
        assert!(other.connected_as(&table(NextHopCheck::Off)).reachable("192.0.2.200".parse().unwrap()));
    }
}
