//! Capabilities (RFC 5492): one row per capability.

/// A capability of OPEN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Capability {
    /// A capability without a row here.
    Unknown {
        /// Capability code.
        code: u8,
        /// Its value.
        value: Vec<u8>,
    },
}
