//! The integration tests: one binary, one file per topic.

mod api;
mod captures;
mod cli;
mod corpus;
mod daemon;
mod fake;
mod net;
mod session;
mod tidy;
mod vectors;
mod vectors_update;
mod web;
