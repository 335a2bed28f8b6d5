//! The integration tests: one binary, one file per topic.

mod api;
mod captures;
mod cli;
mod corpus;
mod daemon;
mod decision;
mod engine;
mod fake;
mod lab;
mod mrt;
mod net;
mod session;
mod simulation;
mod tidy;
mod vectors;
mod vectors_update;
mod watch;
mod web;
