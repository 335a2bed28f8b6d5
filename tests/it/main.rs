//! The integration tests: one binary, one file per topic.

mod corpus;
mod engine;
mod lab;
mod tidy;
mod vectors;
