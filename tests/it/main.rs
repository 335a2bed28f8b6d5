//! The integration tests: one binary, one file per topic.

mod captures;
mod corpus;
mod daemon;
mod net;
mod session;
mod tidy;
mod vectors;
mod vectors_update;
