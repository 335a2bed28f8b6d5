//! Skeleton: to be written.

pub mod mrt;
