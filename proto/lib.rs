//! Generated messages, clients and servers of the gRPC package `ribwatch.v1`.
//!
//! One deviation from the `.proto` files, invisible on the wire: `v1::Route::attributes` holds the *encoded*
//! `v1::PathAttributes`, so that an attribute set shared by many routes is encoded and decoded once.
#![allow(missing_docs, reason = "generated code; the documentation stands in the .proto files")]
#![allow(clippy::all, reason = "generated code")]
#![allow(rustdoc::all, reason = "comments of .proto files are not written as Markdown")]

/// Package `ribwatch.v1`.
pub mod v1 {
    tonic::include_proto!("ribwatch.v1");

    /// The encoded `FileDescriptorSet`, for server reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
}
