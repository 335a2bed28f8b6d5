//! One remote, sans-IO: input and time go in, actions come out.
pub mod negotiate;
