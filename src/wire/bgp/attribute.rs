//! Path attributes: THE table.

/// A canonical attribute set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AttrSet<'a>(&'a [u8]);

impl<'a> AttrSet<'a> {
    /// A view over canonical octets.
    pub fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }
    /// The octets.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }
}
