//! Addresses as numbers: what a prefix table asks of `u32` (IPv4) and `u128` (IPv6).

/// An address as a number: `u32` for IPv4, `u128` for IPv6.
pub(crate) trait Address: Copy + Ord + Default + std::fmt::Debug {
    /// The smallest and the largest address.
    const MIN: Self;
    const MAX: Self;
    /// Address and length in as few octets as they need.
    type Packed: Copy + Default + std::fmt::Debug;

    /// The address with all bits behind the first `len` cleared.
    fn masked(self, len: u8) -> Self;
    /// The address with all bits behind the first `len` set.
    fn filled(self, len: u8) -> Self;
    /// How many leading bits both addresses share.
    fn common_bits(self, other: Self) -> u8;
    /// Puts address and length together.
    fn pack(self, len: u8) -> Self::Packed;
    /// Takes address and length apart.
    fn unpack(packed: Self::Packed) -> (Self, u8);
}

macro_rules! address {
    ($number:ty, $octets:literal) => {
        impl Address for $number {
            const MIN: Self = 0;
            const MAX: Self = <$number>::MAX;
            type Packed = [u8; $octets + 1];

            #[inline]
            fn masked(self, len: u8) -> Self {
                self & !<$number>::MAX.checked_shr(len.into()).unwrap_or(0)
            }

            #[inline]
            fn filled(self, len: u8) -> Self {
                self | <$number>::MAX.checked_shr(len.into()).unwrap_or(0)
            }

            #[inline]
            fn common_bits(self, other: Self) -> u8 {
                (self ^ other).leading_zeros() as u8
            }

            #[inline]
            fn pack(self, len: u8) -> Self::Packed {
                let mut packed = [len; $octets + 1];
                packed[..$octets].copy_from_slice(&self.to_be_bytes());
                packed
            }

            #[inline]
            fn unpack(packed: Self::Packed) -> (Self, u8) {
                let mut octets = [0; $octets];
                octets.copy_from_slice(&packed[..$octets]);
                (<$number>::from_be_bytes(octets), packed[$octets])
            }
        }
    };
}

address!(u32, 4);
address!(u128, 16);
