//! The integration tests: one binary, one file per topic.

mod captures;
mod corpus;
mod engine;
mod lab;
mod daemon;
mod mrt;
mod net;
mod session;
mod simulation;
mod tidy;
mod vectors;
mod vectors_update;
