//! The currency between a session and the engine.

/// Decoded UPDATEs.
#[derive(Debug, Default)]
pub struct UpdateBatch {
    bytes: Vec<u8>,
}
