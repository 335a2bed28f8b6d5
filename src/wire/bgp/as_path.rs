//! AS_PATH: segments (RFC 4271 §4.3, RFC 5065 §3), four-octet views of it, and the way from and to two-octet
//! speakers (RFC 6793 §4.2). Which faults cost what stands in the attribute table, not here.

use std::fmt;

use crate::{types::Asn, wire::cursor::Reader};

/// What a path segment is (RFC 4271 §4.3, RFC 5065 §3); the value is the wire code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum SegmentKind {
    /// Unordered ASes of an aggregate.
    Set = 1,
    /// Ordered ASes, the most recent first.
    Sequence = 2,
    /// Ordered member ASes of the local confederation.
    ConfedSequence = 3,
    /// Unordered member ASes of the local confederation.
    ConfedSet = 4,
}

impl SegmentKind {
    /// The kind for a wire code.
    pub fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Set,
            2 => Self::Sequence,
            3 => Self::ConfedSequence,
            4 => Self::ConfedSet,
            _ => return None,
        })
    }

    /// Whether the segment names member ASes of a confederation.
    pub fn is_confed(self) -> bool {
        matches!(self, Self::ConfedSequence | Self::ConfedSet)
    }

    /// Whether the segment is unordered.
    pub fn is_set(self) -> bool {
        matches!(self, Self::Set | Self::ConfedSet)
    }
}

/// One path segment with four-octet AS numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment<'a> {
    /// Its kind.
    pub kind: SegmentKind,
    octets: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Its AS numbers, leftmost (most recent) first.
    #[inline]
    pub fn asns(&self) -> impl DoubleEndedIterator<Item = Asn> + ExactSizeIterator + use<'a> {
        self.octets.as_chunks::<4>().0.iter().map(|asn| Asn(u32::from_be_bytes(*asn)))
    }

    /// What it adds to the path length: a set counts one, confederation segments nothing (RFC 5065 §5.3).
    #[inline]
    fn path_length(&self) -> u32 {
        match self.kind {
            SegmentKind::Sequence => u32::try_from(self.octets.len() / 4).unwrap_or(u32::MAX),
            SegmentKind::Set => 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
        }
    }
}

/// An AS_PATH value whose AS numbers have four octets. Safe on any octets: what follows damage is not seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AsPath<'a>(&'a [u8]);

impl<'a> AsPath<'a> {
    /// A view over the value of an AS_PATH with four-octet AS numbers.
    pub fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    /// The attribute value.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether the path names nobody: a route that the sender's own AS originated.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The segments, leftmost first.
    #[inline]
    pub fn segments(&self) -> Segments<'a> {
        Segments(Reader::new(self.0))
    }

    /// Length for the decision process (RFC 4271 §9.1.2.2 a, RFC 5065 §5.3).
    pub fn path_length(&self) -> u32 {
        self.segments().map(|segment| segment.path_length()).sum()
    }

    /// The AS that originated the route: the rightmost of the last segment. `None` when that segment is not an
    /// AS_SEQUENCE (RFC 6811 §2 "NONE") or the path is empty.
    pub fn origin_asn(&self) -> Option<Asn> {
        let last = self.segments().last()?;
        if last.kind == SegmentKind::Sequence { last.asns().next_back() } else { None }
    }

    /// The AS next to us: the leftmost of the first segment outside the confederation.
    pub fn neighbor_asn(&self) -> Option<Asn> {
        self.segments().find(|segment| !segment.kind.is_confed())?.asns().next()
    }

    /// Every AS number, leftmost first, whatever its segment.
    pub fn asns(&self) -> impl Iterator<Item = Asn> + use<'a> {
        self.segments().flat_map(|segment| segment.asns())
    }

    /// Whether `asn` stands anywhere in the path.
    pub fn contains(&self, asn: Asn) -> bool {
        self.asns().any(|other| other == asn)
    }
}

/// The segments of a path.
#[derive(Clone, Debug)]
pub struct Segments<'a>(Reader<'a>);

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;
    #[inline]
    fn next(&mut self) -> Option<Segment<'a>> {
        let kind = SegmentKind::from_code(self.0.u8()?)?;
        let count = usize::from(self.0.u8()?);
        Some(Segment { kind, octets: self.0.bytes(count * 4)? })
    }
}

impl fmt::Display for AsPath<'_> {
    /// As routers print it: `64496 64497 {64500,64501}`, confederations as `(64512 64513)` and `[64514,64515]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.segments().enumerate() {
            let (open, separator, close) = match segment.kind {
                SegmentKind::Sequence => ("", " ", ""),
                SegmentKind::Set => ("{", ",", "}"),
                SegmentKind::ConfedSequence => ("(", " ", ")"),
                SegmentKind::ConfedSet => ("[", ",", "]"),
            };
            f.write_str(if i == 0 { "" } else { " " })?;
            f.write_str(open)?;
            for (j, asn) in segment.asns().enumerate() {
                f.write_str(if j == 0 { "" } else { separator })?;
                asn.fmt(f)?;
            }
            f.write_str(close)?;
        }
        Ok(())
    }
}

impl fmt::Debug for AsPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AsPath({self})")
    }
}

/// Octets of one AS number in an AS_PATH (RFC 6793 §4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum AsWidth {
    Two,
    Four,
}

/// What a walk over an AS_PATH value found out, beside its being well formed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct PathFacts {
    pub(super) path_length: u32,
    pub(super) has_set: bool,
    pub(super) has_confed: bool,
    /// AS number 0 stands in it (RFC 7607 §2).
    pub(super) has_as_zero: bool,
    /// The leftmost AS of the first segment.
    pub(super) leftmost: Option<Asn>,
}

/// Why an AS_PATH value is malformed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PathFault {
    /// A segment type that nobody defined.
    SegmentType,
    /// A segment of no AS numbers.
    EmptySegment,
    /// A segment that reaches behind the attribute, or a single octet left over.
    Overrun,
}

impl PathFault {
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::SegmentType => "path segment of an unknown type",
            Self::EmptySegment => "path segment without AS numbers",
            Self::Overrun => "path segment does not end where the attribute ends",
        }
    }
}

/// Walks an AS_PATH value once and checks its form (RFC 7606 §7.2).
#[inline]
pub(super) fn check(value: &[u8], width: AsWidth) -> Result<PathFacts, PathFault> {
    match width {
        AsWidth::Two => walk::<2>(value, |asn| u32::from(u16::from_be_bytes(*asn))),
        AsWidth::Four => walk::<4>(value, |asn| u32::from_be_bytes(*asn)),
    }
}

#[inline]
fn walk<const WIDTH: usize>(value: &[u8], number: fn(&[u8; WIDTH]) -> u32) -> Result<PathFacts, PathFault> {
    let mut facts = PathFacts::default();
    let mut r = Reader::new(value);
    let mut first = true;
    while let Some(code) = r.u8() {
        let count = r.u8().ok_or(PathFault::Overrun)?;
        let kind = SegmentKind::from_code(code).ok_or(PathFault::SegmentType)?;
        if count == 0 {
            return Err(PathFault::EmptySegment);
        }
        let (asns, _) = r.bytes(usize::from(count) * WIDTH).ok_or(PathFault::Overrun)?.as_chunks::<WIDTH>();
        facts.has_as_zero |= asns.iter().any(|asn| number(asn) == 0);
        if first {
            facts.leftmost = asns.first().map(|asn| Asn(number(asn)));
            first = false;
        }
        match kind {
            SegmentKind::Sequence => facts.path_length += u32::from(count),
            SegmentKind::Set => facts.path_length += 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => facts.has_confed = true,
        }
        facts.has_set |= kind.is_set();
    }
    Ok(facts)
}

/// Appends a two-octet AS_PATH value with its AS numbers widened to four octets.
pub(super) fn widen(value: &[u8], out: &mut Vec<u8>) {
    for (kind, asns) in TwoOctetSegments(Reader::new(value)) {
        push_segment_head(out, kind, asns.len());
        for asn in asns {
            widen_asn(*asn, out);
        }
    }
}

fn widen_asn([high, low]: [u8; 2], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0, 0, high, low]);
}

/// Segments have at most 255 AS numbers because their length is one octet; callers keep to it.
fn push_segment_head(out: &mut Vec<u8>, kind: SegmentKind, count: usize) {
    out.push(kind as u8);
    out.push(u8::try_from(count).unwrap_or(u8::MAX));
}

struct TwoOctetSegments<'a>(Reader<'a>);

impl<'a> Iterator for TwoOctetSegments<'a> {
    type Item = (SegmentKind, &'a [[u8; 2]]);
    fn next(&mut self) -> Option<Self::Item> {
        let kind = SegmentKind::from_code(self.0.u8()?)?;
        let count = usize::from(self.0.u8()?);
        Some((kind, self.0.bytes(count * 2)?.as_chunks::<2>().0))
    }
}

/// Appends what AS_PATH and AS4_PATH of a two-octet speaker mean together (RFC 6793 §4.2.3): as many AS numbers
/// of the leading part of AS_PATH as AS4_PATH is shorter, then AS4_PATH. Both values were checked before.
///
/// Confederation segments of AS4_PATH are left out (§6). An AS4_PATH longer than the AS_PATH is ignored.
pub(super) fn merge_as4(path: &[u8], as4_path: &[u8], out: &mut Vec<u8>) {
    let as4_path = AsPath::new(as4_path);
    let length = check(path, AsWidth::Two).map_or(0, |facts| facts.path_length);
    let Some(mut missing) = length.checked_sub(as4_path.path_length()) else {
        return widen(path, out);
    };
    let mut last_head = None;
    for (kind, asns) in TwoOctetSegments(Reader::new(path)) {
        // A confederation segment is taken when it leads or touches a segment that was taken whole; we stop at
        // the first segment that is not taken whole, so every one seen here qualifies.
        let take = match kind {
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => asns.len(),
            SegmentKind::Sequence => asns.len().min(usize::try_from(missing).unwrap_or(usize::MAX)),
            SegmentKind::Set if missing > 0 => asns.len(),
            SegmentKind::Set => 0,
        };
        if take == 0 {
            break;
        }
        last_head = Some((kind, out.len(), take));
        push_segment_head(out, kind, take);
        for asn in asns.iter().take(take) {
            widen_asn(*asn, out);
        }
        match kind {
            SegmentKind::Sequence => missing = missing.saturating_sub(u32::try_from(take).unwrap_or(u32::MAX)),
            SegmentKind::Set => missing -= 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => {}
        }
        if take < asns.len() {
            break;
        }
    }
    for segment in as4_path.segments().filter(|segment| !segment.kind.is_confed()) {
        append_segment(segment, last_head.take(), out);
    }
}

/// Appends `segment`; joins it to the segment in front (kind, where its head stands, AS numbers) when both are
/// sequences and fit into one, so that a path reads the same whichever speaker it came through.
fn append_segment(segment: Segment<'_>, front: Option<(SegmentKind, usize, usize)>, out: &mut Vec<u8>) {
    let count = segment.asns().len();
    match front {
        Some((SegmentKind::Sequence, head, before))
            if segment.kind == SegmentKind::Sequence && before + count <= 255 =>
        {
            if let Some(length) = out.get_mut(head + 1) {
                *length = u8::try_from(before + count).unwrap_or(u8::MAX);
            }
        }
        _ => push_segment_head(out, segment.kind, count),
    }
    out.extend_from_slice(segment.octets);
}

/// Appends an AS_PATH value of AS_SEQUENCE segments with `asns`; more than 255 make a further segment.
pub(super) fn push_sequence(asns: &[Asn], out: &mut Vec<u8>) {
    for chunk in asns.chunks(255) {
        push_segment_head(out, SegmentKind::Sequence, chunk.len());
        for asn in chunk {
            out.extend_from_slice(&asn.0.to_be_bytes());
        }
    }
}

/// Appends `path` with `asn` in front `times` times (RFC 4271 §5.1.2 b): into the leading AS_SEQUENCE while it
/// has room, else as a segment of its own.
pub(super) fn push_prepended(path: AsPath<'_>, asn: Asn, times: u8, out: &mut Vec<u8>) {
    if times == 0 {
        return out.extend_from_slice(path.as_bytes());
    }
    let times = usize::from(times);
    let first = path.segments().next().filter(|first| first.kind == SegmentKind::Sequence);
    let joined = first.filter(|first| first.asns().len() + times <= 255);
    push_segment_head(out, SegmentKind::Sequence, times + joined.map_or(0, |first| first.asns().len()));
    for _ in 0..times {
        out.extend_from_slice(&asn.0.to_be_bytes());
    }
    let rest = if joined.is_some() { path.as_bytes().get(2..) } else { Some(path.as_bytes()) };
    out.extend_from_slice(rest.unwrap_or_default());
}

/// Appends `path` as a two-octet speaker reads it: AS_TRANS for what does not fit (RFC 6793 §4.2.2).
pub(super) fn push_narrowed(path: AsPath<'_>, out: &mut Vec<u8>) {
    for segment in path.segments() {
        push_segment_head(out, segment.kind, segment.asns().len());
        for asn in segment.asns() {
            let narrow = if asn.is_two_octet() { asn } else { Asn::TRANS };
            let [_, _, high, low] = narrow.0.to_be_bytes();
            out.extend_from_slice(&[high, low]);
        }
    }
}

/// Whether a two-octet speaker needs an AS4_PATH beside `path`: an AS number outside confederation segments
/// does not fit two octets (RFC 6793 §4.2.2).
pub(super) fn needs_as4(path: AsPath<'_>) -> bool {
    regular(path).any(|segment| segment.asns().any(|asn| !asn.is_two_octet()))
}

/// Appends the AS4_PATH value for `path`: everything but its confederation segments (RFC 6793 §4.2.2).
pub(super) fn push_as4(path: AsPath<'_>, out: &mut Vec<u8>) {
    for segment in regular(path) {
        push_segment_head(out, segment.kind, segment.asns().len());
        out.extend_from_slice(segment.octets);
    }
}

fn regular(path: AsPath<'_>) -> impl Iterator<Item = Segment<'_>> {
    path.segments().filter(|segment| !segment.kind.is_confed())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path from its text; the inverse of `Display` for tests.
    fn path(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        let mut sequence = Vec::new();
        let asn = |word: &str| Asn(word.parse().unwrap());
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let (kind, inner) = match word.as_bytes()[0] {
                b'{' => (SegmentKind::Set, &word[1..word.len() - 1]),
                b'(' => (SegmentKind::ConfedSequence, &word[1..word.len() - 1]),
                b'[' => (SegmentKind::ConfedSet, &word[1..word.len() - 1]),
                _ => {
                    sequence.push(asn(word));
                    continue;
                }
            };
            push_sequence(&std::mem::take(&mut sequence), &mut out);
            let asns: Vec<Asn> = inner.split(['_', ',']).map(asn).collect();
            push_segment_head(&mut out, kind, asns.len());
            asns.iter().for_each(|asn| out.extend(asn.0.to_be_bytes()));
        }
        push_sequence(&sequence, &mut out);
        out
    }

    fn narrowed(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        push_narrowed(AsPath::new(&path(text)), &mut out);
        out
    }

    #[test]
    fn a_path_is_read_as_routers_print_it() {
        // text, length, origin, neighbour
        let rows = [
            ("", 0, None, None),
            ("64496", 1, Some(64496), Some(64496)),
            ("64496 64497 65551", 3, Some(65551), Some(64496)),
            // RFC 4271 §9.1.2.2 a: a set counts one; RFC 6811 §2: it has no origin.
            ("64496 {64500,64501}", 2, None, Some(64496)),
            ("{64500,64501} 64496", 2, Some(64496), Some(64500)),
            // RFC 5065 §5.3: confederation segments count nothing.
            ("(64512) 64496", 1, Some(64496), Some(64496)),
            ("(64512) [64513,64514]", 0, None, None),
        ];
        for (text, length, origin, neighbor) in rows {
            let octets = path(text);
            let path = AsPath::new(&octets);
            assert_eq!(path.to_string(), text);
            assert_eq!(path.path_length(), length, "{text}");
            assert_eq!(path.origin_asn(), origin.map(Asn), "{text}");
            assert_eq!(path.neighbor_asn(), neighbor.map(Asn), "{text}");
        }
        let octets = path("(64512) 64496 {64500,64501}");
        assert!(AsPath::new(&octets).contains(Asn(64501)) && AsPath::new(&octets).contains(Asn(64512)));
        assert!(!AsPath::new(&octets).contains(Asn(64499)));
    }

    #[test]
    fn damage_ends_the_view_and_nothing_else() {
        let mut octets = path("64496 64497");
        octets.extend([9, 1, 0, 0, 0, 1]);
        assert_eq!(AsPath::new(&octets).to_string(), "64496 64497");
        for cut in 0..octets.len() {
            let _ = AsPath::new(&octets[..cut]).to_string();
        }
    }

    #[test]
    fn malformed_paths_are_told_apart() {
        // RFC 7606 §7.2.
        let rows: [(&[u8], PathFault); 4] = [
            (&[9, 1, 0, 1], PathFault::SegmentType),
            (&[2, 0], PathFault::EmptySegment),
            (&[2, 2, 0, 1], PathFault::Overrun),
            (&[2, 1, 0, 1, 2], PathFault::Overrun),
        ];
        for (value, fault) in rows {
            assert_eq!(check(value, AsWidth::Two), Err(fault), "{value:?}");
        }
        let good = check(&narrowed("(64512) 64496 {64500,64501}"), AsWidth::Two).unwrap();
        assert!(good.has_set && good.has_confed && !good.has_as_zero);
        assert_eq!((good.path_length, good.leftmost), (2, Some(Asn(64512))));
        // RFC 7607 §2: well formed, and for the table to judge.
        for value in [&[2, 2, 0, 1, 0, 0][..], &[2, 1, 0, 1, 1, 1, 0, 0]] {
            assert!(check(value, AsWidth::Two).unwrap().has_as_zero);
        }
    }

    #[test]
    fn as4_path_fills_the_tail_of_as_path() {
        // RFC 6793 §4.2.3. AS_PATH, AS4_PATH, what they mean together.
        let rows = [
            ("64496 65550 65551", "65550 65551", "64496 65550 65551"),
            ("64496 64497 65551", "65551", "64496 64497 65551"),
            ("65550 65551", "65550 65551", "65550 65551"),
            // Longer than the AS_PATH: ignored, so AS_TRANS stays.
            ("65550", "65550 65551", "23456"),
            // A set counts one on both sides.
            ("64496 {65550,65551}", "{65550,65551}", "64496 {65550,65551}"),
            ("64496 {64497,64498} 65551", "65551", "64496 {64497,64498} 65551"),
            // Leading confederation segments of the AS_PATH stay, those of the AS4_PATH go (§6).
            ("(64512) 64496 65551", "65551", "(64512) 64496 65551"),
            ("(64512) 65551", "(64513) 65551", "(64512) 65551"),
            ("64496 (64512) 65551", "65551", "64496 (64512) 65551"),
        ];
        for (as_path, as4_path, together) in rows {
            let mut out = Vec::new();
            merge_as4(&narrowed(as_path), &path(as4_path), &mut out);
            assert_eq!(AsPath::new(&out).to_string(), together, "{as_path} + {as4_path}");
            assert_eq!(check(&out, AsWidth::Four).map(|_| ()), Ok(()));
        }
    }

    #[test]
    fn a_two_octet_speaker_gets_as_trans_and_the_rest_beside_it() {
        let octets = path("(65552) 64496 65551");
        let wide = AsPath::new(&octets);
        assert!(needs_as4(wide));
        let mut as4 = Vec::new();
        push_as4(wide, &mut as4);
        assert_eq!(AsPath::new(&as4).to_string(), "64496 65551");
        let mut widened = Vec::new();
        widen(&narrowed("(65552) 64496 65551"), &mut widened);
        assert_eq!(AsPath::new(&widened).to_string(), "(23456) 64496 23456");
        // Only confederation members are wide: no AS4_PATH, it could not carry them.
        assert!(!needs_as4(AsPath::new(&path("(65552) 64496"))));
    }

    #[test]
    fn a_prepended_path_never_has_a_segment_above_255() {
        let prepend = |octets: &[u8], times| {
            let mut out = Vec::new();
            push_prepended(AsPath::new(octets), Asn(64499), times, &mut out);
            out
        };
        assert_eq!(AsPath::new(&prepend(&[], 2)).to_string(), "64499 64499");
        assert_eq!(AsPath::new(&prepend(&path("64496"), 1)).to_string(), "64499 64496");
        assert_eq!(AsPath::new(&prepend(&path("{64496}"), 1)).to_string(), "64499 {64496}");
        assert_eq!(prepend(&path("64496"), 0), path("64496"));
        let mut long = Vec::new();
        push_sequence(&[Asn(64496); 300], &mut long);
        assert_eq!(AsPath::new(&long).segments().count(), 2);
        let longer = prepend(&long, 1);
        let counts: Vec<usize> = AsPath::new(&longer).segments().map(|s| s.asns().len()).collect();
        assert_eq!(counts, [1, 255, 45]);
    }
}
