//! What the decision process, filters and validation ask about an attribute set again and again, read from its
//! octets once.

use crate::{
    types::Asn,
    wire::bgp::{
        as_path::{AsPath, SegmentKind},
        attribute::{AttrSet, code},
    },
};

/// What is asked about a set again and again: 20 octets, read from its octets once.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SetFacts {
    origin_asn: u32,
    /// Without the mark `NEIGHBOR_ASN`, and with `MEMBER_ASN`: the first member AS of the confederation.
    neighbor_asn: u32,
    med: u32,
    local_pref: u32,
    /// Path length in the low 14 bits (64 KiB of AS_PATH hold fewer than 2^14 ASNs), ORIGIN in the high 2.
    path: u16,
    marks: u16,
}

/// Which AS a path names as the one whose MEDs compare (RFC 4271 §9.1.2.2 c, RFC 5065 §5.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MedNeighbor {
    /// The leftmost of the AS_SEQUENCE that leads outside the confederation.
    As(Asn),
    /// The path has confederation segments only, and this is the first member AS in it.
    Member(Asn),
    /// Nobody: the path is empty, or an AS_SET leads outside the confederation.
    Unnamed,
}

/// Most ASNs that fit an AS_PATH attribute of 65,535 octets.
const PATH_LENGTH_MAX: u16 = (1 << 14) - 1;

impl SetFacts {
    const ORIGIN_ASN: u16 = 1;
    const NEIGHBOR_ASN: u16 = 1 << 1;
    const MED: u16 = 1 << 2;
    const LOCAL_PREF: u16 = 1 << 3;
    const AS_SET: u16 = 1 << 4;
    const ORIGINATOR_ID: u16 = 1 << 5;
    const CLUSTER_LIST: u16 = 1 << 6;
    const AIGP: u16 = 1 << 7;
    const CONFED: u16 = 1 << 8;
    const MEMBER_ASN: u16 = 1 << 9;
    const SET_LEADS: u16 = 1 << 10;

    /// Reads the facts of a set, in one pass.
    pub fn of(set: AttrSet<'_>) -> Self {
        let mut facts = Self::default();
        for (_, code, value) in set.iter() {
            match code {
                code::ORIGIN => facts.path |= u16::from(value.first().copied().unwrap_or_default().min(3)) << 14,
                code::AS_PATH => facts.read_path(AsPath::new(value)),
                code::MED => facts.set(Self::MED, number(value), |facts| &mut facts.med),
                code::LOCAL_PREF => facts.set(Self::LOCAL_PREF, number(value), |facts| &mut facts.local_pref),
                code::ORIGINATOR_ID => facts.marks |= Self::ORIGINATOR_ID,
                code::CLUSTER_LIST => facts.marks |= Self::CLUSTER_LIST,
                code::AIGP => facts.marks |= Self::AIGP,
                _ => {}
            }
        }
        facts
    }

    fn read_path(&mut self, path: AsPath<'_>) {
        self.path |= u16::try_from(path.path_length()).unwrap_or(u16::MAX).min(PATH_LENGTH_MAX);
        self.set(Self::ORIGIN_ASN, path.origin_asn().map(|asn| asn.0), |facts| &mut facts.origin_asn);
        self.set(Self::NEIGHBOR_ASN, path.neighbor_asn().map(|asn| asn.0), |facts| &mut facts.neighbor_asn);
        let mut outside = false;
        for segment in path.segments() {
            if segment.kind.is_set() {
                self.marks |= Self::AS_SET;
            }
            match segment.kind {
                SegmentKind::ConfedSequence | SegmentKind::ConfedSet => self.marks |= Self::CONFED,
                SegmentKind::Set if !outside => self.marks |= Self::SET_LEADS,
                SegmentKind::Sequence | SegmentKind::Set => {}
            }
            outside |= !segment.kind.is_confed();
        }
        if !outside {
            self.set(Self::MEMBER_ASN, path.asns().next().map(|asn| asn.0), |facts| &mut facts.neighbor_asn);
        }
    }

    fn set(&mut self, mark: u16, value: Option<u32>, field: impl FnOnce(&mut Self) -> &mut u32) {
        if let Some(value) = value {
            *field(self) = value;
            self.marks |= mark;
        }
    }

    fn has(&self, mark: u16) -> bool {
        self.marks & mark != 0
    }

    /// AS that originated the route: the last ASN of the last AS_SEQUENCE; `None` for an empty path or one that ends
    /// in an AS_SET (RFC 6811 §2).
    pub fn origin_asn(&self) -> Option<Asn> {
        self.has(Self::ORIGIN_ASN).then_some(Asn(self.origin_asn))
    }

    /// First ASN of the path outside a confederation: whose MEDs compare (RFC 4271 §9.1.2.2 c); `None` for a route
    /// from inside the AS.
    pub fn neighbor_asn(&self) -> Option<Asn> {
        self.has(Self::NEIGHBOR_ASN).then_some(Asn(self.neighbor_asn))
    }

    /// Which AS the path names as the one whose MEDs compare.
    #[inline]
    pub fn med_neighbor(&self) -> MedNeighbor {
        if self.has(Self::SET_LEADS) {
            MedNeighbor::Unnamed
        } else if self.has(Self::NEIGHBOR_ASN) {
            MedNeighbor::As(Asn(self.neighbor_asn))
        } else if self.has(Self::MEMBER_ASN) {
            MedNeighbor::Member(Asn(self.neighbor_asn))
        } else {
            MedNeighbor::Unnamed
        }
    }

    /// MULTI_EXIT_DISC (RFC 4271 §5.1.4).
    pub fn med(&self) -> Option<u32> {
        self.has(Self::MED).then_some(self.med)
    }

    /// LOCAL_PREF (RFC 4271 §5.1.5).
    pub fn local_pref(&self) -> Option<u32> {
        self.has(Self::LOCAL_PREF).then_some(self.local_pref)
    }

    /// Number of ASes as the decision process counts: an AS_SET is one, confederation segments none
    /// (RFC 4271 §9.1.2.2 a, RFC 5065 §5.3).
    pub fn path_length(&self) -> u16 {
        self.path & PATH_LENGTH_MAX
    }

    /// ORIGIN as its code: 0 IGP, 1 EGP, 2 INCOMPLETE (RFC 4271 §5.1.1).
    pub fn origin_code(&self) -> u8 {
        (self.path >> 14) as u8
    }

    /// Whether the path holds an AS_SET (RFC 9774).
    pub fn has_as_set(&self) -> bool {
        self.has(Self::AS_SET)
    }

    /// Whether the path holds confederation segments (RFC 5065 §3).
    pub fn has_confed(&self) -> bool {
        self.has(Self::CONFED)
    }

    /// Whether the set has an ORIGINATOR_ID (RFC 4456 §8).
    pub fn has_originator_id(&self) -> bool {
        self.has(Self::ORIGINATOR_ID)
    }

    /// Whether the set has a CLUSTER_LIST (RFC 4456 §8).
    pub fn has_cluster_list(&self) -> bool {
        self.has(Self::CLUSTER_LIST)
    }

    /// Whether the set has an AIGP attribute (RFC 7311).
    pub fn has_aigp(&self) -> bool {
        self.has(Self::AIGP)
    }
}

fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|octets| u32::from_be_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        types::{Family, RouterId},
        wire::bgp::attribute::{AttrSetBuilder, NextHop, Origin},
    };

    fn facts(build: impl FnOnce(&mut AttrSetBuilder)) -> SetFacts {
        let mut builder = AttrSetBuilder::new();
        build(&mut builder);
        SetFacts::of(AttrSet::new(&builder.finish()))
    }

    #[test]
    fn a_common_set_says_all_it_has() {
        let facts = facts(|b| {
            b.origin(Origin::Incomplete).as_path_sequence(&[Asn(64496), Asn(65536), Asn(64500)]);
            b.next_hop(Family::IPV4_UNICAST, NextHop::new("192.0.2.1".parse().expect("an address")));
            b.med(u32::MAX).local_pref(0);
        });
        assert_eq!((facts.origin_asn(), facts.neighbor_asn()), (Some(Asn(64500)), Some(Asn(64496))));
        assert_eq!((facts.path_length(), facts.origin_code()), (3, 2));
        assert_eq!((facts.med(), facts.local_pref()), (Some(u32::MAX), Some(0)));
        assert!(!facts.has_as_set() && !facts.has_originator_id() && !facts.has_cluster_list() && !facts.has_aigp());
    }

    #[test]
    fn a_set_without_attributes_has_nothing() {
        let facts = facts(|_| {});
        assert_eq!((facts.origin_asn(), facts.neighbor_asn(), facts.path_length()), (None, None, 0));
        assert_eq!((facts.med(), facts.local_pref()), (None, None));
    }

    #[test]
    fn segments_count_as_the_decision_process_counts_them() {
        use MedNeighbor::{As, Member, Unnamed};
        // (AS_PATH as segments of kind and ASNs, length, origin, neighbour, whose MEDs compare, has a set)
        type Row<'a> = (&'a [(u8, &'a [u32])], u16, Option<u32>, Option<u32>, MedNeighbor, bool);
        let rows: &[Row<'_>] = &[
            (&[], 0, None, None, Unnamed, false),
            // RFC 4271 §9.1.2.2 a: a set counts one; RFC 6811 §2: the origin is then nobody.
            (&[(2, &[64496, 64497]), (1, &[64498, 64499])], 3, None, Some(64496), As(Asn(64496)), true),
            // RFC 4271 §9.1.2.2 c: a path that begins with an AS_SET names no neighbouring AS.
            (&[(1, &[64498, 64499]), (2, &[64500])], 2, Some(64500), Some(64498), Unnamed, true),
            // RFC 5065 §5.3: confederation segments do not count; the neighbouring AS is the first outside.
            (&[(3, &[64496, 64497]), (2, &[64500, 64501])], 2, Some(64501), Some(64500), As(Asn(64500)), false),
            (&[(3, &[64496, 64497])], 0, None, None, Member(Asn(64496)), false),
            (&[(4, &[64496]), (1, &[64500])], 1, None, Some(64500), Unnamed, true),
        ];
        for (segments, length, origin, neighbor, med_neighbor, has_set) in rows {
            let mut value = Vec::new();
            for (kind, asns) in *segments {
                value.extend([*kind, asns.len() as u8]);
                asns.iter().for_each(|asn| value.extend(asn.to_be_bytes()));
            }
            let facts = facts(|b| _ = b.raw(0x40, code::AS_PATH, &value));
            let got = (facts.path_length(), facts.origin_asn(), facts.neighbor_asn(), facts.has_as_set());
            assert_eq!(got, (*length, origin.map(Asn), neighbor.map(Asn), *has_set), "{segments:?}");
            assert_eq!(facts.med_neighbor(), *med_neighbor, "{segments:?}");
            assert_eq!(facts.has_confed(), segments.iter().any(|(kind, _)| *kind > 2), "{segments:?}");
        }
    }

    #[test]
    fn reflection_attributes_and_the_longest_path_are_seen() {
        let mut value = Vec::new();
        for _ in 0..64 {
            value.extend([2, 255]);
            (0..255u32).for_each(|_| value.extend(64496u32.to_be_bytes()));
        }
        let facts = facts(|b| {
            b.raw(0x40, code::AS_PATH, &value).originator_id(RouterId(1)).cluster_list(&[RouterId(2)]);
            b.raw(0x80, code::AIGP, &[1, 0, 11, 0, 0, 0, 0, 0, 0, 0, 9]);
        });
        assert_eq!(facts.path_length(), 64 * 255);
        assert!(facts.has_originator_id() && facts.has_cluster_list() && facts.has_aigp());
    }
}
