//! The integration tests: one binary, one file per topic.

mod corpus;
mod tidy;
mod vectors;
