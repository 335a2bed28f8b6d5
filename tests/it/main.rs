//! The integration tests: one binary, one file per topic.

mod corpus;
mod net;
mod session;
mod tidy;
mod vectors;
