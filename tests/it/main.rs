//! The integration tests: one binary, one file per topic.

mod api;
mod captures;
mod cli;
mod corpus;
mod daemon;
mod decision;
mod engine;
mod export;
mod fake;
mod lab;
mod malformed_live;
mod mrt;
mod net;
mod network;
mod reload;
mod router;
mod rpki;
mod rtr;
mod session;
mod simulation;
mod tidy;
mod traps;
mod vectors;
mod vectors_update;
mod watch;
mod web;
