//! The integration tests: one binary, one file per topic.

mod corpus;
mod mrt;
mod tidy;
mod vectors;
