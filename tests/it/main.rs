//! The integration tests: one binary, one file per topic.

mod corpus;
mod daemon;
mod tidy;
mod vectors;
