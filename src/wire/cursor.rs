//! Bounds-checked reading of network octets, and the few helpers for writing them. The only file that indexes
//! bytes: every other decoder takes what it needs from a [`Reader`] and handles `None`. No protocol lives here.

/// Reads big-endian values off a slice; a read that would pass the end gives `None` and takes nothing.
///
/// Positions are absolute, so that a fault found three levels deep still names the octet of the message.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first octet of `bytes`, which is position 0.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::at(bytes, 0)
    }

    /// Starts at the first octet of `bytes`, which is octet `position` of the whole.
    pub fn at(bytes: &'a [u8], position: usize) -> Self {
        Self { rest: bytes, position }
    }

    /// Octets not yet read.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Position of the next octet, counted from where the outermost reader started.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What was not read yet, without reading it.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Everything up to the end; the reader is empty afterwards.
    pub fn take_rest(&mut self) -> &'a [u8] {
        let (all, end) = self.rest.split_at(self.rest.len());
        self.position += all.len();
        self.rest = end;
        all
    }

    /// The next `n` octets.
    #[inline]
    pub fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(n)?;
        self.rest = tail;
        self.position += n;
        Some(head)
    }

    /// A reader over the next `n` octets that keeps counting positions from the outermost start.
    #[inline]
    pub fn sub(&mut self, n: usize) -> Option<Reader<'a>> {
        let position = self.position;
        Some(Reader::at(self.bytes(n)?, position))
    }

    /// Passes over `n` octets.
    pub fn skip(&mut self, n: usize) -> Option<()> {
        self.bytes(n).map(drop)
    }

    /// The next `N` octets by value.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>()?;
        self.rest = tail;
        self.position += N;
        Some(*head)
    }

    /// The next octet, without reading it.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// The next octet.
    #[inline]
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[octet]| octet)
    }

    /// The next two octets.
    #[inline]
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next three octets, as in an MPLS label.
    #[inline]
    pub fn u24(&mut self) -> Option<u32> {
        self.array::<3>().map(|[a, b, c]| u32::from_be_bytes([0, a, b, c]))
    }

    /// The next four octets.
    #[inline]
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next eight octets.
    #[inline]
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// The next sixteen octets.
    #[inline]
    pub fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_be_bytes)
    }
}

/// Overwrites the two octets at `at` with `value`: a length that is known only once its content is written.
/// Outside of `out` nothing happens.
pub fn patch_u16(out: &mut [u8], at: usize, value: u16) {
    if let Some(field) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<2>) {
        *field = value.to_be_bytes();
    }
}

/// Appends `value` behind a one-octet length. Values above 255 octets are cut: callers keep them shorter.
pub fn push_with_len8(out: &mut Vec<u8>, value: &[u8]) {
    let len = u8::try_from(value.len()).unwrap_or(u8::MAX);
    out.push(len);
    out.extend(value.iter().take(usize::from(len)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_past_the_end_takes_nothing() {
        let mut r = Reader::new(&[1, 2, 3]);
        assert_eq!(r.u32(), None);
        assert_eq!(r.u16(), Some(0x0102));
        assert_eq!(r.u16(), None);
        assert_eq!((r.position(), r.len(), r.peek()), (2, 1, Some(3)));
        assert_eq!(r.u8(), Some(3));
        assert!(r.is_empty() && r.u8().is_none() && r.peek().is_none());
        assert_eq!(r.bytes(0), Some(&[][..]));
        assert_eq!(r.bytes(usize::MAX), None);
    }

    #[test]
    fn a_reader_inside_a_reader_counts_from_the_outermost_start() {
        let mut outer = Reader::at(&[0, 1, 2, 3, 4, 5], 19);
        outer.skip(2).unwrap();
        let mut inner = outer.sub(3).unwrap();
        assert_eq!((inner.u8(), inner.position()), (Some(2), 22));
        assert_eq!((inner.take_rest(), inner.position()), (&[3, 4][..], 24));
        assert_eq!((outer.rest(), outer.position()), (&[5][..], 24));
        assert!(outer.sub(2).is_none());
    }

    #[test]
    fn integers_are_big_endian() {
        let bytes: Vec<u8> = (1..=34).collect();
        let mut r = Reader::new(&bytes);
        assert_eq!(r.u8(), Some(1));
        assert_eq!(r.u16(), Some(0x0203));
        assert_eq!(r.u24(), Some(0x04_0506));
        assert_eq!(r.u32(), Some(0x0708_090a));
        assert_eq!(r.u64(), Some(0x0b0c_0d0e_0f10_1112));
        assert_eq!(r.u128(), Some(0x1314_1516_1718_191a_1b1c_1d1e_1f20_2122));
    }

    #[test]
    fn a_length_is_patched_in_place_and_never_outside() {
        let mut out = vec![0; 4];
        patch_u16(&mut out, 1, 0xabcd);
        patch_u16(&mut out, 3, 0xffff);
        patch_u16(&mut out, 99, 0xffff);
        assert_eq!(out, [0, 0xab, 0xcd, 0]);
    }

    #[test]
    fn a_value_behind_one_length_octet_never_contradicts_it() {
        let mut out = Vec::new();
        push_with_len8(&mut out, b"ab");
        assert_eq!(out, [2, b'a', b'b']);
        out.clear();
        push_with_len8(&mut out, &[7; 300]);
        assert_eq!((out.len(), out.first()), (256, Some(&255)));
    }
}
